"""The training loop."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxcnn._checks import check_int
from jaxcnn.data import ImageDataset, epoch_batches
from jaxcnn.train.checkpoint import Row
from jaxcnn.train.evaluation import Evaluator
from jaxcnn.train.feed import AHEAD, Feed, most_steps
from jaxcnn.train.parallel import Devices
from jaxcnn.train.run import RunFolder
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import TrainStep, make_eval_step, make_train_step

_REDRAW_SECONDS = 0.1


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
    resident: bool | None = None,
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
        images (8,192 on an accelerator), fewer where they are larger than CIFAR's, made to divide
        an epoch where that is close.
      resident: Whether the data set lies on the devices, whole; by default if it has at most 1 GiB.
        A larger one is sent in the background, as bytes. The numbers are the same.
      strategy: "pmap" or "jit", see `parallelize`.
      devices: The devices; all local ones by default.
      run: Folder for metrics and checkpoints; if it has checkpoints, training continues from the
        newest.
      on_epoch: Called with each new row of metrics.

    Returns:
      The last state, and a row for each epoch: `epoch`, `step`, `train_loss` (mean over images,
      while the weights change; images that fill up a last batch count), `train_loss_sum` (sum of
      the batches' losses), `train_accuracy`, `seconds` and `images_per_second` of training,
      `compile_seconds` (before the first epoch, 0 later), and with a test set `test_loss`,
      `test_loss_sum`, `test_accuracy`.

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
    if steps_per_dispatch is None:
        full = sum(len(batch) == batch_size for batch in plan())
        most = most_steps(train_set.images[0].nbytes, batch_size, devices[0].platform)
        steps_per_dispatch = _near_divisor(full, most)
    check_int("fit", "steps_per_dispatch", steps_per_dispatch, 1)
    feed = Feed(train_step or make_train_step(), train_set, strategy, devices, resident)
    if test_set is not None and evaluate is None:
        evaluate = Evaluator(
            make_eval_step(), batch_size=batch_size, strategy=strategy, devices=devices
        )
    history: list[Row] = []
    if run is not None:
        state, history = run.restore(state)
    state = feed.place(state)
    compile_seconds = None
    for epoch in range(len(history) + 1, epochs + 1):
        dispatches = _stacked(plan(epoch=epoch), steps_per_dispatch)
        if compile_seconds is None:
            compile_seconds = _compile(feed, state, dispatches, evaluate, test_set)
        started = time.perf_counter()
        state, row = _train_epoch(state, feed, dispatches, f"epoch {epoch}/{epochs}")
        seconds = time.perf_counter() - started
        speed = sum(rows.size for rows in dispatches) / seconds
        row = {"epoch": epoch, "step": int(state.step), **row}
        row |= {"seconds": seconds, "images_per_second": speed, "compile_seconds": compile_seconds}
        compile_seconds = 0.0
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


def _compile(
    feed: Feed,
    state: TrainState,
    dispatches: list[np.ndarray],
    evaluate: Evaluator | None,
    test_set: ImageDataset | None,
) -> float:
    """Compiles all that the epochs run; returns the seconds that it took."""
    started = time.perf_counter()
    with tqdm(desc="compiling", bar_format="{desc}", leave=False, disable=None):
        for rows in {rows.shape: rows for rows in dispatches}.values():
            feed.compile(state, rows)
        if test_set is not None and evaluate is not None:
            evaluate.compile(state, test_set)
    return time.perf_counter() - started


def _train_epoch(
    state: TrainState, feed: Feed, dispatches: list[np.ndarray], title: str
) -> tuple[TrainState, Row]:
    images = sum(rows.size for rows in dispatches)
    with (
        tqdm(total=images, desc=title, unit="img", leave=False, disable=None, mininterval=0) as bar,
        contextlib.closing(feed.batches(dispatches)) as batches,
    ):
        meter = _Meter(bar)
        for batch in batches:
            state, metrics = feed.run(state, batch)
            meter.add(metrics)
        return state, meter.row()


class _Meter:
    """Sums the metrics of an epoch; they stay on the device until the bar is drawn."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar
        self._drawn = time.monotonic()
        self._unread: list[dict[str, jax.Array]] = []
        self._totals = {"loss": 0.0, "loss_sum": 0.0, "correct": 0.0, "count": 0.0}

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of a dispatch that may still run; waits until few do."""
        self._unread.append(metrics)
        jax.block_until_ready(self._unread[-1 - AHEAD : -AHEAD])
        finished = self._unread[:-AHEAD]
        due = not self._bar.disable and time.monotonic() - self._drawn >= _REDRAW_SECONDS
        if finished and due:
            self._read(finished)
            self._unread = self._unread[-AHEAD:]
            loss, accuracy = self._means()
            self._bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.2%}", refresh=False)
            self._bar.update(self._totals["count"] - self._bar.n)
            self._drawn = time.monotonic()

    def row(self) -> Row:
        """Waits for all dispatches; the means over the epoch's images."""
        self._read(self._unread)
        loss, accuracy = self._means()
        return {
            "train_loss": loss,
            "train_loss_sum": self._totals["loss_sum"],
            "train_accuracy": accuracy,
        }

    def _read(self, finished: list[dict[str, jax.Array]]) -> None:
        for metrics in jax.device_get(finished):
            loss, correct, count = (
                np.asarray(metrics[name], np.float64) for name in ("loss", "correct", "count")
            )
            self._totals["loss"] += float(loss @ count)
            self._totals["loss_sum"] += float(loss.sum())
            self._totals["correct"] += float(correct.sum())
            self._totals["count"] += float(count.sum())

    def _means(self) -> tuple[float, float]:
        count = self._totals["count"]
        return self._totals["loss"] / count, self._totals["correct"] / count


def _stacked(batches: list[np.ndarray], per_dispatch: int) -> list[np.ndarray]:
    """Stacks batches of equal size, `per_dispatch` at a time: (steps, batch_size), int32."""
    sizes = [len(batch) for batch in batches]
    stacks, start = [], 0
    while start < len(batches):
        stop = min(start + per_dispatch, len(batches))
        while sizes[stop - 1] != sizes[start]:
            stop -= 1
        stacks.append(np.stack(batches[start:stop]).astype(np.int32))
        start = stop
    return stacks


def _near_divisor(full: int, most: int) -> int:
    """At most `most`; a divisor of the epoch's full batches saves compiling their remainder."""
    most = max(1, min(full, most))
    divisors = [k for k in range(most, most // 2, -1) if full % k == 0]
    return divisors[0] if divisors else most
