"""The CIFAR-10 quick net, as two well-known PyTorch programs train it.

python experiments/cifar10_quick.py --recipe seed
    The test split in order, one image a step, SGD 0.01, 10 epochs; prints each epoch's sum of
    losses as the PyTorch program does. About 12 s an epoch on two CPU cores. (Like its original it
    trains on the test images, and with steps this large the loss soon climbs again.)
python experiments/cifar10_quick.py --recipe tutorial
    The train split, 64 images a step, 10 epochs; prints the sum of test losses and the accuracy,
    about 0.56 after 10 epochs.

--limit N uses the first N images. The data is downloaded once; --raw-dir FOLDER reads the original
binary files instead.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import jax
import tyro

from jaxcnn import data, models, optim, train
from jaxcnn.cli import one_line_errors


@dataclasses.dataclass(frozen=True)
class Settings(train.RunSettings):
    """Settings."""

    recipe: Literal["seed", "tutorial"] = "seed"
    """Which program to follow."""
    epochs: int = 10
    """Epochs in all."""
    lr: float = 0.01
    """Learning rate."""
    limit: int | None = None
    """Use only the first images of each split."""


def load(settings: Settings, split: str) -> data.ImageDataset:
    dataset = data.load("cifar10", split, data_dir=settings.data_dir, raw_dir=settings.raw_dir)
    return dataset if settings.limit is None else dataset.take(min(settings.limit, len(dataset)))


def print_seed(row: dict[str, Any]) -> None:
    # The original counts its epochs from 0 and prints a float32 sum.
    print(f"epoch:{row['epoch'] - 1}, loss:{row['train_loss_sum']:.4f}", flush=True)


def print_tutorial(row: dict[str, Any]) -> None:
    print(f"epoch {row['epoch']}: test loss sum {row['test_loss_sum']:.4f}", end="", flush=True)
    print(f", test accuracy {row['test_accuracy']:.4f}", flush=True)


def main(settings: Settings) -> train.Evaluation:
    started = time.perf_counter()
    settings.prepare()
    seed_recipe = settings.recipe == "seed"
    test_set = load(settings, "test")
    train_set = test_set if seed_recipe else load(settings, "train")
    batch_size = 1 if seed_recipe else 64
    devices = train.even_devices(batch_size)

    model = models.cifar10_quick()
    tx = optim.sgd(settings.lr)
    run = settings.open_run(
        f"cifar10_quick-{settings.recipe}",
        {**dataclasses.asdict(settings), "model": "cifar10_quick", "model_options": {}},
    )
    state = train.create_state(model, tx, jax.random.key(settings.seed), train_set.images[:1])
    evaluate = train.Evaluator(
        train.make_eval_step(), batch_size=64, strategy=settings.strategy, devices=devices
    )
    state, history = train.fit(
        state,
        train_set,
        epochs=settings.epochs,
        batch_size=batch_size,
        test_set=None if seed_recipe else test_set,
        evaluate=evaluate,
        checkpoint_every=settings.checkpoint_every,
        shuffle=False,
        strategy=settings.strategy,
        devices=devices,
        run=run,
        on_epoch=print_seed if seed_recipe else print_tutorial,
    )
    return train.finish(run, state, history, test_set, evaluate, started)


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    with one_line_errors():
        main(settings)
