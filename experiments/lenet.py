"""LeNet on scanned digits (default), MNIST or Fashion-MNIST.

python experiments/lenet.py
    98 % of the test digits in about 25 s on two CPU cores.
python experiments/lenet.py --dataset fashion_mnist
    Dive into Deep Learning's recipe: after 10 epochs train loss 0.48 and test accuracy 0.80.
    The data is downloaded once; --raw-dir FOLDER reads the four original .gz files instead.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import jax
import tyro

from jaxcnn import data, init, models, optim, parameters, train
from jaxcnn.cli import one_line_errors


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train on one data set."""

    activation: Literal["sigmoid", "relu"]
    pool: Literal["avg", "max"]
    epochs: int
    batch_size: int
    lr: float
    momentum: float


DIGITS = Recipe("relu", "max", epochs=20, batch_size=16, lr=0.01, momentum=0.9)
D2L = Recipe("sigmoid", "avg", epochs=10, batch_size=256, lr=0.9, momentum=0.0)


@dataclasses.dataclass(frozen=True)
class Settings(train.RunSettings):
    """Settings; what is None comes from the data set's recipe."""

    dataset: Literal["digits", "mnist", "fashion_mnist"] = "digits"
    activation: Literal["sigmoid", "relu"] | None = None
    """relu for digits, sigmoid (d2l) for the others."""
    pool: Literal["avg", "max"] | None = None
    """max for digits, avg (d2l) for the others."""
    epochs: int | None = None
    """20 for digits, 10 for the others."""
    batch_size: int | None = None
    """Images in a step, over all devices: 16 for digits, 256 for the others."""
    lr: float | None = None
    """Learning rate: 0.01 for digits, 0.9 for the others."""
    momentum: float | None = None
    """0.9 for digits, 0 for the others."""
    histograms: bool = False
    """Whether to write histograms of activations and gradients for `jaxcnn report`."""

    def recipe(self) -> Recipe:
        """The data set's recipe with this object's changes."""
        recipe = DIGITS if self.dataset == "digits" else D2L
        names = [field.name for field in dataclasses.fields(Recipe)]
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        recipe = dataclasses.replace(recipe, **changes)
        if recipe.epochs < 1:
            raise ValueError(f"lenet: epochs must be at least 1, got epochs={recipe.epochs}.")
        return recipe


def main(settings: Settings) -> train.Evaluation:
    started = time.perf_counter()
    settings.prepare()
    recipe = settings.recipe()
    train_set, test_set = (
        data.load(
            settings.dataset, split, data_dir=settings.data_dir, raw_dir=settings.raw_dir
        ).resize(28)
        for split in ("train", "test")
    )
    options = {
        "num_classes": len(train_set.class_names),
        "in_channels": train_set.images.shape[-1],
        "activation": recipe.activation,
        "pool": recipe.pool,
    }
    model = models.create("lenet", **options)
    tx = optim.sgd(recipe.lr, recipe.momentum)

    def initialize(key: jax.Array, sample: jax.Array) -> dict[str, Any]:
        key, weights_key = jax.random.split(key)
        variables = model.init(key, sample)
        return parameters.reinitialize(variables, weights_key, init.xavier_uniform(), r"weight$")

    made_by = {"model": "lenet", "model_options": options}
    run = settings.open_run(
        f"lenet-{settings.dataset}",
        {**dataclasses.asdict(settings), **dataclasses.asdict(recipe), **made_by},
    )
    devices = train.even_devices(recipe.batch_size)
    key = jax.random.key(settings.seed)
    state = train.create_state(model, tx, key, train_set.images[:1], initialize=initialize)
    evaluate = train.Evaluator(
        train.make_eval_step(),
        batch_size=recipe.batch_size,
        strategy=settings.strategy,
        devices=devices,
    )
    state, history = train.fit(
        state,
        train_set,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        test_set=test_set,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
        evaluate=evaluate,
        strategy=settings.strategy,
        devices=devices,
        run=run,
        on_epoch=train.print_epoch,
    )
    if settings.histograms:
        batch = {"image": train_set.images[:256], "label": train_set.labels[:256]}
        train.layer_histograms(state, batch).write(run.path)
    return train.finish(run, state, history, test_set, evaluate, started)


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    with one_line_errors():
        main(settings)
