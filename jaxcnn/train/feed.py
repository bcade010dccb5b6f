"""How a data set's images reach the devices."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np

from jaxcnn.data import Dataset, batches
from jaxcnn.train.parallel import Devices, parallelize
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import TrainStep, on_rows, scan_steps

Item = TypeVar("Item")
Made = TypeVar("Made")

# Dispatches that are queued on the devices while the host waits for the one before them.
AHEAD = 2
# A data set of at most this size lies on every device.
_RESIDENT_BYTES = 2**30
# Images in a dispatch, with which its fixed cost no longer counts for small nets, and their bytes:
# large images take long in themselves, several dispatches are in memory at a time, and the progress
# bar is to move.
_PER_DISPATCH = {"cpu": (2**10, 3 * 2**20)}
_PER_DISPATCH_ELSEWHERE = (2**13, 2**25)


class Feed:
    """A training step and its data set, on the devices.

    A small data set lies on every device, whole, and a dispatch is told which images to use. Images
    of a larger one are gathered and sent in the background, as bytes. The numbers are the same.

    Attributes:
      resident: Whether the data set lies on the devices.

    Args:
      step: The training step.
      dataset: The images.
      strategy: "pmap" or "jit", see `parallelize`.
      devices: The devices.
      resident: Whether the data set is to lie on the devices; by default if it has at most 1 GiB.
      workers: Processes that decode images of files; 0 decodes in threads.
    """

    def __init__(
        self,
        step: TrainStep,
        dataset: Dataset,
        strategy: str,
        devices: Devices,
        resident: bool | None = None,
        workers: int = 0,
    ) -> None:
        small = dataset.images.nbytes + dataset.labels.nbytes <= _RESIDENT_BYTES
        self.resident = small if resident is None else resident
        self._dataset, self._workers = dataset, workers
        several = scan_steps(on_rows(step) if self.resident else step)
        self._step = parallelize(several, strategy, devices=devices, batch_axis=1)
        self._shared = []
        if self.resident:
            arrays = {"image": np.asarray(dataset.images), "label": dataset.labels}
            self._shared = [self._step.replicate(arrays)]

    def place(self, state: TrainState) -> TrainState:
        """Puts a state on the devices."""
        return self._step.replicate(state)

    def compile(self, state: TrainState, rows: np.ndarray) -> None:
        """Compiles the dispatch of such `rows`, `(steps, batch_size)`."""
        rows = self._step.local_part(rows)
        batch = rows if self.resident else batch_like(self._dataset, rows.shape)
        self._step.compile(state, batch, *self._shared)

    def batches(self, dispatches: Iterable[np.ndarray]) -> Generator[Any]:
        """Sends each dispatch's rows, or their images, to the devices, ahead of `run`."""
        own = [self._step.local_part(rows) for rows in dispatches]
        if self.resident:
            yield from map(self._step.shard, own)
        elif self._workers:
            with contextlib.closing(batches(self._dataset, own, workers=self._workers)) as read:
                yield from prefetch(self._step.shard, read)
        else:
            yield from prefetch(lambda rows: self._step.shard(gather(self._dataset, rows)), own)

    def run(self, state: TrainState, batch: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        """Makes the steps of one dispatch."""
        return self._step.run(state, batch, *self._shared)


def gather(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The images and labels at `rows`, an array of any shape."""
    return {"image": dataset.images[rows], "label": dataset.labels[rows]}


def image_bytes(dataset: Dataset) -> int:
    """The bytes of one image."""
    return math.prod(dataset.images.shape[1:])


def batch_like(dataset: Dataset, shape: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes and dtypes of what `gather` gives for rows of this shape."""
    arrays = {"image": dataset.images, "label": dataset.labels}
    return {
        name: jax.ShapeDtypeStruct((*shape, *x.shape[1:]), x.dtype) for name, x in arrays.items()
    }


def prefetch(
    make: Callable[[Item], Made], items: Iterable[Item], ahead: int = AHEAD
) -> Generator[Made]:
    """Yields `make(item)` for each item in order; a thread makes up to `ahead` of them early.

    An error in `make` is raised where its result is due. Closing the generator ends the thread.

    Example:
      >>> list(prefetch(lambda x: x * x, [1, 2, 3]))
      [1, 4, 9]
    """
    waiting: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def most_steps(image_bytes: int, batch_size: int, platform: str) -> int:
    """How many steps of this size one dispatch should make at most."""
    images, most_bytes = _PER_DISPATCH.get(platform, _PER_DISPATCH_ELSEWHERE)
    return max(1, min(images, most_bytes // image_bytes) // batch_size)


def stack_batches(batches: list[np.ndarray], per_dispatch: int) -> list[np.ndarray]:
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


def near_divisor(full: int, most: int) -> int:
    """At most `most`; a divisor of the epoch's full batches saves compiling their remainder."""
    most = max(1, min(full, most))
    divisors = [k for k in range(most, most // 2, -1) if full % k == 0]
    return divisors[0] if divisors else most
