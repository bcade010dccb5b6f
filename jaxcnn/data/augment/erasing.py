"""Random erasing: a rectangle of an image is painted over."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check
from jaxcnn.data.augment._common import (
    as_batch,
    check_probability,
    check_range,
    draw_boxes,
    draw_corners,
)


def random_erasing(
    images: ArrayLike,
    rng: jax.Array,
    p: float = 0.5,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
    value: float | Sequence[float] = 0,
) -> jax.Array:
    """Paints over a rectangle of random place, area and shape of each image, with probability `p`.

    Mirrors `torchvision.transforms.v2.RandomErasing`, but for its random values; each image has its
    own draw. Before `normalize`, the mean colour is what 0 is after it.

    Args:
      images: A batch of any dtype.
      rng: The random key.
      p: Probability of a rectangle, 0 to 1.
      scale: Smallest and largest share of the image's area.
      ratio: Smallest and largest height / width.
      value: What is painted: a number for all channels, or one each.

    Raises:
      ValueError: If `images` is not a batch, `p` is outside 0 to 1, a range is none, or there are
        not as many values as channels.
      TypeError: If a range is not a pair.

    References:
      Zhong et al., Random Erasing Data Augmentation, https://arxiv.org/abs/1708.04896

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> images = jnp.ones((4, 16, 16, 1))
      >>> erased = random_erasing(images, jax.random.key(0), p=1.0, scale=(0.25, 0.25))
      >>> bool(((erased == 0).mean(axis=(1, 2, 3)) > 0.2).all())
      True
    """
    x = as_batch("random_erasing", images)
    n, height, width, channels = x.shape
    check_probability("random_erasing", p)
    shares = check_range("random_erasing", "scale", scale, 0, 1)
    shapes = check_range("random_erasing", "ratio", ratio)
    check(shapes[0] > 0, "random_erasing", "ratio must be positive", ratio=ratio)
    painted = np.asarray(value)
    rule = f"value must be a number or one for each of {channels} channels"
    ok = painted.shape in ((), (1,), (channels,))
    check(ok, "random_erasing", rule, value=value)
    chosen_rng, box_rng, corner_rng = jax.random.split(rng, 3)
    # A rectangle as high or as wide as the image does not fit.
    limits = (height - 1, width - 1)
    inverse = (1 / shapes[1], 1 / shapes[0])
    heights, widths, fits = draw_boxes(box_rng, n, limits, height * width, shares, inverse)
    lengths = jnp.stack([heights, widths], axis=1)
    room = jnp.maximum(jnp.array([height, width]) - lengths, 0)
    corners = draw_corners(corner_rng, room, n)
    chosen = fits & jax.random.bernoulli(chosen_rng, float(p), (n,))
    mask = inside(corners, corners + lengths, height, width) & chosen[:, None, None, None]
    return jnp.where(mask, jnp.asarray(painted, x.dtype), x)


def inside(first: jax.Array, last: jax.Array, height: int, width: int) -> jax.Array:
    """Which pixels lie in a rectangle, `(n, h, w, 1)`; `last`, `(n, 2)`, is not in it."""
    rows, columns = (
        (jnp.arange(size) >= first[:, axis, None]) & (jnp.arange(size) < last[:, axis, None])
        for axis, size in enumerate((height, width))
    )
    return (rows[:, :, None] & columns[:, None, :])[..., None]
