"""An experiment: from its settings to its report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen
import jax
import numpy as np

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn.data import FileDataset, ImageDataset
from jaxcnn.train.evaluation import Evaluation, Evaluator
from jaxcnn.train.loop import fit
from jaxcnn.train.parallel import even_devices
from jaxcnn.train.precision import grad_scaler
from jaxcnn.train.recipe import Recipe
from jaxcnn.train.report import finish, print_epoch
from jaxcnn.train.settings import RunSettings
from jaxcnn.train.state import create_state
from jaxcnn.train.step import make_eval_step, to_float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentSettings(Recipe, RunSettings):
    """Settings of an experiment that trains by a recipe.

    Example:
      >>> ExperimentSettings(lr=0.4, seed=1).seed
      1
    """

    def check(self) -> None:
        """Checks all settings.

        Raises:
          ValueError: If one is out of range.
        """
        Recipe.check(self)
        RunSettings.check(self)


def run_experiment(
    name: str,
    settings: ExperimentSettings,
    model: flax.linen.Module,
    train_set: ImageDataset | FileDataset,
    test_set: ImageDataset | FileDataset,
    *,
    made_by: tuple[str, Mapping[str, Any]] | None = None,
    loss_fn: Callable[..., jax.Array] = F.cross_entropy,
    preprocess: Callable[[jax.Array], jax.Array] = to_float,
    evaluation_preprocess: Callable[[jax.Array], jax.Array] | None = None,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    initialize: Callable[[jax.Array, jax.Array], Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Trains a model by a recipe, evaluates it and writes its report.

    Args:
      name: Beginning of the run folder's name.
      settings: The recipe, and where to read, compute and write.
      model: A linen module whose `__call__` takes `train`.
      train_set: The images to train on.
      test_set: The images to evaluate on after each epoch.
      made_by: Name and options of `models.create`, if it made the model, for `jaxcnn inspect-run`.
      loss_fn: The loss, see `make_train_step`.
      preprocess: Turns images into the model's input.
      evaluation_preprocess: The same for evaluation, if that differs.
      augment: Random changes that the model needs, before the recipe's.
      initialize: `(key, sample) -> variables`, `model.init` by default.
      variables: Variables to start from, instead of new ones.

    Returns:
      The evaluation of the trained model; of its averaged weights if the recipe averages.

    Raises:
      ValueError: If settings do not fit each other or the data.
    """
    started = time.perf_counter()
    classes = len(train_set.class_names)
    same = train_set.class_names == test_set.class_names
    check(same, "run_experiment", "both splits must have the same classes", test_set=test_set)
    devices = even_devices(settings.batch_size)
    evaluation_preprocess = evaluation_preprocess or preprocess
    sample = jax.eval_shape(evaluation_preprocess, train_set.images[:1])
    steps_per_epoch = -(-len(train_set) // settings.batch_size)
    tx = settings.make_optimizer(steps_per_epoch)
    config = {**dataclasses.asdict(settings), "classes": classes}
    if made_by is not None:
        config |= {"model": made_by[0], "model_options": dict(made_by[1])}
    run = settings.open_run(name, config)
    state = create_state(
        model,
        tx,
        jax.random.key(settings.seed),
        np.zeros(sample.shape, sample.dtype),
        initialize=initialize,
        variables=variables,
        ema=settings.ema is not None,
        loss_scale=grad_scaler() if settings.precision == "float16" else None,
    )
    evaluate = Evaluator(
        make_eval_step(loss_fn, preprocess=evaluation_preprocess),
        batch_size=settings.batch_size,
        strategy=settings.strategy,
        devices=devices,
    )
    step = settings.make_train_step(
        classes, loss_fn=loss_fn, preprocess=preprocess, augment=augment
    )
    state, history = fit(
        state,
        train_set,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        train_step=step,
        test_set=test_set,
        evaluate=evaluate,
        seed=settings.seed,
        checkpoint_every=settings.checkpoint_every,
        workers=settings.workers,
        strategy=settings.strategy,
        devices=devices,
        run=run,
        on_epoch=print_epoch,
    )
    return finish(run, state, history, test_set, evaluate, started)
