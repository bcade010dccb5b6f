"""The training loop."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxcnn._checks import check_int
from jaxcnn.data import ImageDataset, epoch_batches
from jaxcnn.train.checkpoint import Row
from jaxcnn.train.evaluation import Evaluator
from jaxcnn.train.parallel import Devices, parallelize
from jaxcnn.train.run import RunFolder
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import TrainStep, make_eval_step, make_train_step, scan_steps

# With this many images in a dispatch, its fixed cost no longer counts for small models.
_IMAGES_PER_DISPATCH = 1024


def fit(
    state: TrainState,
    train_set: ImageDataset,
    *,
    epochs: int,
    batch_size: int,
    train_step: TrainStep | None = None,
    test_set: ImageDataset | None = None,
    evaluate: Evaluator | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    seed: int = 0,
    steps_per_dispatch: int | None = None,
    strategy: str = "pmap",
    devices: Devices | None = None,
    run: RunFolder | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
) -> tuple[TrainState, list[Row]]:
    """Trains for `epochs` epochs and evaluates after each.

    The same seed on the same machine gives bit-identical metrics, also when the run was stopped
    and resumed. On a terminal a progress bar shows loss, accuracy and images a second.

    Args:
      state: Where to start; its memory is reused, so use the returned state from then on.
      train_set: The images to train on.
      epochs: Epochs in all, those before a resume included.
      batch_size: Images in a step, over all devices.
      train_step: The step; cross entropy by default.
      test_set: The images to evaluate on after each epoch, if any.
      evaluate: What evaluates on `test_set`; cross entropy by default.
      shuffle: Whether each epoch has a new order.
      drop_last: Whether to leave out a last batch that is not full.
      seed: Seed of the order.
      steps_per_dispatch: Steps that the device makes in one go; by default as many as have 1,024
        images, made to divide an epoch where that is close.
      strategy: "pmap" or "jit", see `parallelize`.
      devices: The devices; all local ones by default.
      run: Folder for metrics and checkpoints; if it has checkpoints, training continues from the
        newest.
      on_epoch: Called with each new row of metrics.

    Returns:
      The last state, and a row for each epoch: `epoch`, `step`, `train_loss` (mean over images,
      while the weights change; images that fill up a last batch count), `train_loss_sum` (sum of
      the batches' losses), `train_accuracy`, `seconds`, `images_per_second`, and with a test set
      `test_loss`, `test_loss_sum`, `test_accuracy`.

    Raises:
      ValueError: If sizes do not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import data, models, optim, train
      >>> digits = data.load("digits", "train").take(64).resize(28)
      >>> state = train.create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> state, history = train.fit(state, digits, epochs=2, batch_size=32)
      >>> [row["step"] for row in history]
      [2, 4]
    """
    for name, value, minimum in (("epochs", epochs, 1), ("seed", seed, 0)):
        check_int("fit", name, value, minimum)
    devices = list(jax.local_devices() if devices is None else devices)
    plan = functools.partial(
        epoch_batches,
        len(train_set),
        batch_size,
        seed=seed,
        shuffle=shuffle,
        drop_last=drop_last,
        multiple_of=len(devices),
    )
    full = sum(len(batch) == batch_size for batch in plan())
    if steps_per_dispatch is None:
        steps_per_dispatch = _steps_per_dispatch(full, batch_size)
    check_int("fit", "steps_per_dispatch", steps_per_dispatch, 1)
    step = parallelize(
        scan_steps(train_step or make_train_step()), strategy, devices=devices, batch_axis=1
    )
    if test_set is not None and evaluate is None:
        evaluate = Evaluator(
            make_eval_step(), batch_size=batch_size, strategy=strategy, devices=devices
        )
    history: list[Row] = []
    if run is not None:
        state, history = run.restore(state)
    for epoch in range(len(history) + 1, epochs + 1):
        started = time.perf_counter()
        batches = plan(epoch=epoch)
        rows = list(_dispatches(batches, steps_per_dispatch))
        state, row = _train_epoch(state, step, train_set, rows, f"epoch {epoch}/{epochs}")
        row = {"epoch": epoch, "step": int(state.step), **row}
        seconds = time.perf_counter() - started
        row |= {"seconds": seconds, "images_per_second": sum(map(len, batches)) / seconds}
        if test_set is not None and evaluate is not None:
            result = evaluate(state, test_set)
            row |= {"test_loss": result.loss, "test_loss_sum": result.loss_sum}
            row |= {"test_accuracy": result.accuracy}
        history.append(row)
        if run is not None:
            run.save(state, history)
        if on_epoch is not None:
            on_epoch(row)
    return state, history


def _train_epoch(
    state: TrainState,
    step: Callable[[Any, Any], Any],
    dataset: ImageDataset,
    dispatches: list[np.ndarray],
    title: str,
) -> tuple[TrainState, Row]:
    """Makes the steps of one epoch; reads metrics one dispatch late, to keep the device busy."""
    totals = {"loss": 0.0, "loss_sum": 0.0, "correct": 0, "count": 0}
    images = sum(rows.size for rows in dispatches)
    with tqdm(total=images, desc=title, unit="img", leave=False, disable=None) as bar:
        waiting = None
        for rows in dispatches:
            batch = {"image": dataset.images[rows], "label": dataset.labels[rows]}
            state, metrics = step(state, batch)
            if waiting is not None:
                _count(totals, waiting, bar)
            waiting = metrics
        assert waiting is not None
        _count(totals, waiting, bar)
    return state, {
        "train_loss": totals["loss"] / totals["count"],
        "train_loss_sum": totals["loss_sum"],
        "train_accuracy": totals["correct"] / totals["count"],
    }


def _count(totals: dict[str, float], metrics: dict[str, jax.Array], bar: tqdm) -> None:
    loss, correct, count = (
        np.asarray(metrics[name], np.float64) for name in ("loss", "correct", "count")
    )
    totals["loss"] += float(np.sum(loss * count))
    totals["loss_sum"] += float(np.sum(loss))
    totals["correct"] += int(np.sum(correct))
    totals["count"] += int(np.sum(count))
    mean, share = totals["loss"] / totals["count"], totals["correct"] / totals["count"]
    bar.set_postfix(loss=f"{mean:.4f}", accuracy=f"{share:.2%}", refresh=False)
    bar.update(int(np.sum(count)))


def _dispatches(batches: list[np.ndarray], per_dispatch: int) -> Iterator[np.ndarray]:
    """Stacks batches of equal size, `per_dispatch` at a time: (steps, batch_size)."""
    sizes = [len(batch) for batch in batches]
    start = 0
    while start < len(batches):
        stop = min(start + per_dispatch, len(batches))
        while sizes[stop - 1] != sizes[start]:
            stop -= 1
        yield np.stack(batches[start:stop])
        start = stop


def _steps_per_dispatch(full: int, batch_size: int) -> int:
    """Steps with about 1,024 images; a divisor of the epoch saves compiling its remainder."""
    most = max(1, min(full, _IMAGES_PER_DISPATCH // batch_size))
    divisors = [k for k in range(most, most // 2, -1) if full % k == 0]
    return divisors[0] if divisors else most
