"""Batches that are read ahead, in a thread or in processes of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Generator, Sequence

import numpy as np

from jaxcnn._checks import check, check_int
from jaxcnn.data.image_files import Dataset, FileDataset, processors


def batches(
    dataset: Dataset,
    dispatches: Sequence[np.ndarray],
    *,
    workers: int = 0,
    ahead: int = 2,
) -> Generator[dict[str, np.ndarray]]:
    """Yields the images and labels of each array of rows, in order, and reads ahead.

    Which images are read depends on `dispatches` alone, so a run that stopped goes on exactly
    where it was when it passes the rest. Starting processes takes seconds: pass the dispatches of
    many epochs at once (any sequence will do, also one that computes its entries). As always with
    Python's processes, the program's own file must do its work under
    `if __name__ == "__main__":`. Closing the generator ends the processes.

    Args:
      dataset: The images.
      dispatches: Rows of the data set, an array of any shape for each item. Several hosts each
        pass their own rows.
      workers: Processes that decode, for images in files; 0 decodes in this process, whose
        threads share the processors as well as Pillow lets them.
      ahead: Items that are made before they are asked for; each worker makes at least one.

    Returns:
      A generator of `{"image": dataset.images[rows], "label": dataset.labels[rows]}`.

    Raises:
      TypeError: If `workers` or `ahead` is not an integer.
      ValueError: If one is too small, or there are workers for images in memory.
      DataError: Where its item is due, if an image is broken, in whichever process.

    Example:
      >>> from jaxcnn.data import load
      >>> digits = load("digits", "test")
      >>> rows = [np.array([[0, 1], [2, 3]]), np.array([[4, 5]])]
      >>> [batch["image"].shape for batch in batches(digits, rows)]
      [(2, 2, 8, 8, 1), (1, 2, 8, 8, 1)]
    """
    check_int("batches", "workers", workers, 0)
    check_int("batches", "ahead", ahead, 1)
    if workers:
        rule = "workers read images from files"
        in_files = isinstance(dataset, FileDataset)
        fix = "leave them out for images in memory"
        check(in_files, "batches", rule, fix, workers=workers, dataset=dataset)
    return _read(dataset, dispatches, workers, ahead)


def _read(
    dataset: Dataset, dispatches: Sequence[np.ndarray], workers: int, ahead: int
) -> Generator[dict[str, np.ndarray]]:
    # Both take long to import, and most programs keep their images in memory.
    import grain
    from absl import flags

    if isinstance(dataset, FileDataset) and workers:
        images = dataclasses.replace(dataset.images, threads=max(1, processors() // workers))
        dataset = dataclasses.replace(dataset, images=images)
    gathered = grain.MapDataset.source(dispatches).map(functools.partial(_gather, dataset))
    if workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # grain reads absl's flags; their defaults are right
        one_by_one = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        processes = grain.MultiprocessingOptions(workers, -(-ahead // workers))
        # Through a pipe: grain frees shared memory in the background, too late at a program's end.
        piped = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
        items = gathered.to_iter_dataset(one_by_one)
        items = grain.experimental.WithOptionsIterDataset(items, piped).mp_prefetch(processes)
    else:
        items = gathered.to_iter_dataset(grain.ReadOptions(1, ahead))
    with contextlib.closing(iter(items)) as iterator:
        yield from iterator


def _gather(dataset: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {"image": dataset.images[rows], "label": dataset.labels[rows]}
