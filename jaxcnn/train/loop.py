"""The training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxcnn._checks import check_int
from jaxcnn.data import Dataset, epoch_batches
from jaxcnn.train.checkpoint import Progress, Row
from jaxcnn.train.distributed import is_main_process
from jaxcnn.train.evaluation import Evaluator
from jaxcnn.train.feed import Feed, image_bytes, most_steps, near_divisor, stack_batches
from jaxcnn.train.interrupts import Interrupts, Stopped
from jaxcnn.train.meter import Meter, NonFiniteLossError
from jaxcnn.train.parallel import Devices, all_devices
from jaxcnn.train.run import RunFolder
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import TrainStep, all_finite, make_eval_step, make_train_step


def fit(
    state: TrainState,
    train_set: Dataset,
    *,
    epochs: int,
    batch_size: int,
    train_step: TrainStep | None = None,
    test_set: Dataset | None = None,
    evaluate: Evaluator | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
    seed: int = 0,
    steps_per_dispatch: int | None = None,
    checkpoint_every: int | None = None,
    resident: bool | None = None,
    workers: int = 0,
    strategy: str = "pmap",
    devices: Devices | None = None,
    run: RunFolder | None = None,
    on_epoch: Callable[[Row], Any] | None = None,
) -> tuple[TrainState, list[Row]]:
    """Trains for `epochs` epochs and evaluates after each, the averaged weights if there are any.

    The same seed on the same CPU gives bit-identical metrics and weights, also when the run was
    killed and resumed; GPUs round differently from run to run by default. On a terminal a progress
    bar shows loss, accuracy and images a second.

    With a run folder, SIGTERM and Ctrl-C end the program with exit code 0 after a checkpoint; a
    second Ctrl-C ends it at once.

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
      checkpoint_every: Steps from one checkpoint to the next inside an epoch, rounded up to whole
        dispatches; by default there is one at the end of each epoch.
      resident: Whether the data set lies on the devices, whole; by default if it has at most 1 GiB.
        A larger one is sent in the background, as bytes. The numbers are the same.
      workers: Processes that decode images of files; 0 decodes in threads.
      strategy: "pmap" or "jit", see `parallelize`.
      devices: The devices; those of all processes by default.
      run: Folder for metrics and checkpoints; if it has checkpoints, training continues from the
        newest undamaged one.
      on_epoch: Called with each new row of metrics.

    Returns:
      The last state, and a row for each epoch: `epoch`, `step`, `train_loss` (mean over images,
      while the weights change; images that fill up a last batch count), `train_loss_sum` (sum of
      the batches' losses), `train_accuracy`, `seconds` and `images_per_second` of training,
      `compile_seconds` (before the first epoch, 0 later), and with a test set `test_loss`,
      `test_loss_sum`, `test_accuracy`.

    Raises:
      ValueError: If sizes do not fit.
      NonFiniteLossError: If the loss is infinite or NaN (see `make_train_step` to skip such steps).
      Stopped: After SIGTERM or Ctrl-C, with a run folder.
      OSError: If a checkpoint cannot be written; those before it are left as they were.

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
    devices = list(all_devices() if devices is None else devices)
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
        most = most_steps(image_bytes(train_set), batch_size, devices[0].platform)
        steps_per_dispatch = near_divisor(full, most)
    check_int("fit", "steps_per_dispatch", steps_per_dispatch, 1)
    if checkpoint_every is not None:
        check_int("fit", "checkpoint_every", checkpoint_every, 1)
        steps_per_dispatch = min(steps_per_dispatch, checkpoint_every)
    if test_set is not None and evaluate is None:
        evaluate = Evaluator(
            make_eval_step(), batch_size=batch_size, strategy=strategy, devices=devices
        )
    feed = Feed(train_step or make_train_step(), train_set, strategy, devices, resident, workers)
    loop = _Loop(epochs, plan, steps_per_dispatch, feed, evaluate, test_set, run, checkpoint_every)
    if run is None:
        return loop.train(state, None, on_epoch)
    with Interrupts() as interrupts:
        try:
            return loop.train(state, interrupts, on_epoch)
        except NonFiniteLossError as error:
            message = f"{error}; the last good checkpoint is {run.checkpoints.newest()}"
            raise NonFiniteLossError(message, error.step, error.rows) from None


@dataclasses.dataclass(frozen=True)
class _Loop:
    """What stays the same from epoch to epoch."""

    epochs: int
    plan: Callable[..., list[np.ndarray]]
    steps_per_dispatch: int
    feed: Feed
    evaluate: Evaluator | None
    test_set: Dataset | None
    run: RunFolder | None
    checkpoint_every: int | None

    def train(
        self,
        state: TrainState,
        interrupts: Interrupts | None,
        on_epoch: Callable[[Row], Any] | None,
    ) -> tuple[TrainState, list[Row]]:
        """Makes all epochs that are left."""
        progress = Progress()
        if self.run is not None:
            state, progress = self.run.restore(state)
        state, compiled = self.feed.place(state), False
        for epoch in range(len(progress.history) + 1, self.epochs + 1):
            batches = self.plan(epoch=epoch)[progress.steps :]
            dispatches = stack_batches(batches, self.steps_per_dispatch)
            compile_seconds = 0.0 if compiled else self._compile(state, dispatches)
            compiled = True
            state, metrics = self._train_epoch(state, dispatches, progress, interrupts)
            row = {"epoch": epoch, "step": int(state.step), **metrics}
            row |= {"compile_seconds": compile_seconds, **self._test(state)}
            progress = Progress([*progress.history, row])
            self._save(state, progress)
            if on_epoch is not None:
                on_epoch(row)
        if self.run is not None:
            self.run.wait()
        return state, progress.history

    def _compile(self, state: TrainState, dispatches: list[np.ndarray]) -> float:
        """Compiles all that the epochs run; returns the seconds that it took."""
        started = time.perf_counter()
        quiet = None if is_main_process() else True
        with tqdm(desc="compiling", bar_format="{desc}", leave=False, disable=quiet):
            for rows in {rows.shape: rows for rows in dispatches}.values():
                self.feed.compile(state, rows)
            if self.test_set is not None and self.evaluate is not None:
                self.evaluate.compile(state, self.test_set)
        return time.perf_counter() - started

    def _train_epoch(
        self,
        state: TrainState,
        dispatches: list[np.ndarray],
        progress: Progress,
        interrupts: Interrupts | None,
    ) -> tuple[TrainState, Row]:
        """Makes the steps of an epoch that are left after `progress`."""
        title = f"epoch {len(progress.history) + 1}/{self.epochs}"
        images, steps = sum(rows.size for rows in dispatches), progress.steps
        before = int(state.step) - steps
        meter = Meter(title, images, before + steps, progress.totals)
        with meter, contextlib.closing(self.feed.batches(dispatches)) as batches:
            for rows, batch in zip(dispatches, batches, strict=True):
                state, metrics = self.feed.run(state, batch)
                meter.add(rows, metrics)
                steps += len(rows)
                received = interrupts and interrupts.received()
                if received or (self._due(steps, len(rows)) and rows is not dispatches[-1]):
                    self._save(state, Progress(progress.history, steps, meter.totals()), received)
        return state, meter.row()

    def _due(self, steps: int, made: int) -> bool:
        every = self.checkpoint_every
        return every is not None and steps // every > (steps - made) // every

    def _save(self, state: TrainState, progress: Progress, received: str | None = None) -> None:
        """Writes a checkpoint, if there is a run folder; ends the program after a signal."""
        if self.run is None:
            return
        if not jax.jit(all_finite)(state.params):  # the loss shows it one step later
            step = int(state.step)
            message = f"fit: the parameters must be finite, got inf or NaN after step {step}"
            raise NonFiniteLossError(message, step, np.zeros(0, np.int32))
        self.run.save(state, progress)
        if received:
            self.run.wait()
            message = f"{received}: stopped after step {int(state.step)}; resume {self.run.path}"
            if is_main_process():
                print(message, flush=True)
            raise Stopped(message)

    def _test(self, state: TrainState) -> Row:
        if self.test_set is None or self.evaluate is None:
            return {}
        result = self.evaluate(state.averaged, self.test_set)
        return {
            "test_loss": result.loss,
            "test_loss_sum": result.loss_sum,
            "test_accuracy": result.accuracy,
        }
