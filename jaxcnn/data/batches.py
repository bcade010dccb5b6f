"""Which images go into which batch: a pure function of the seed and the epoch."""

from __future__ import annotations

import numpy as np

from jaxcnn._checks import check, check_int


def epoch_batches(
    n: int,
    batch_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    multiple_of: int = 1,
) -> list[np.ndarray]:
    """The indices of each batch of one epoch.

    The order depends on `seed` and `epoch` alone, so a resumed run sees what an uninterrupted one
    sees. The last batch may be smaller, as with `torch.utils.data.DataLoader`.

    Args:
      n: Number of images.
      batch_size: Images in a batch.
      seed: Seed of the order.
      epoch: Number of the epoch; each has its own order.
      shuffle: Whether to shuffle at all.
      drop_last: Whether to leave out a last batch that is not full.
      multiple_of: The last batch is filled up to a multiple of this (the number of devices) with
        the epoch's first images, as `torch.utils.data.DistributedSampler` does.

    Raises:
      ValueError: If a size is not positive, or `batch_size` is not a multiple of `multiple_of`.

    Example:
      >>> [batch.tolist() for batch in epoch_batches(5, 2, shuffle=False)]
      [[0, 1], [2, 3], [4]]
    """
    check(n >= 1, "epoch_batches", "there must be images", n=n)
    check_int("epoch_batches", "batch_size", batch_size, 1)
    rule = "batch_size must be a multiple of the number of devices"
    divides = batch_size % multiple_of == 0
    check(divides, "epoch_batches", rule, batch_size=batch_size, devices=multiple_of)
    order = np.random.default_rng((seed, epoch)).permutation(n) if shuffle else np.arange(n)
    if drop_last:
        order = order[: n - n % batch_size]
        check(order.size > 0, "epoch_batches", "no batch is full", n=n, batch_size=batch_size)
    else:
        order = np.resize(order, n + -n % multiple_of)
    return [order[i : i + batch_size] for i in range(0, order.size, batch_size)]
