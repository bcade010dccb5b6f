"""What the augmentations share: checks of their arguments, and numbers for each image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type

_ATTEMPTS = 10  # as often as torchvision draws a box before it gives up


def as_batch(where: str, images: ArrayLike) -> jax.Array:
    """The images as an array.

    Raises:
      ValueError: If they are not `(n, h, w, c)`.
    """
    x = jnp.asarray(images)
    check(x.ndim == 4, where, "images must be a batch (n, h, w, c)", shape=x.shape)
    return x


def as_pixels(where: str, images: ArrayLike) -> jax.Array:
    """The images as an array whose numbers mean brightness: bytes, or floats from 0 to 1.

    Raises:
      ValueError: If they are not `(n, h, w, c)`.
      TypeError: If they are neither uint8 nor floating point.
    """
    x = as_batch(where, images)
    known = x.dtype == jnp.uint8 or jnp.issubdtype(x.dtype, jnp.floating)
    check_type(known, where, "images must be uint8 or floating point", dtype=str(x.dtype))
    return x


def as_colors(where: str, images: ArrayLike) -> jax.Array:
    """The images as an array of grey or RGB pixels.

    Raises:
      ValueError: If they are not `(n, h, w, c)` with 1 or 3 channels.
      TypeError: If they are neither uint8 nor floating point.
    """
    x = as_pixels(where, images)
    check(x.shape[-1] in (1, 3), where, "images must have 1 or 3 channels", shape=x.shape)
    return x


def white(x: jax.Array) -> int:
    """The brightest value of a pixel: 255 of bytes, 1 of floats."""
    return 255 if x.dtype == jnp.uint8 else 1


def scaled(x: jax.Array) -> jax.Array:
    """Pixels as floats from 0 to 1."""
    return x if white(x) == 1 else x.astype(jnp.float32) * np.float32(1 / 255)


def as_levels(y: jax.Array) -> jax.Array:
    """Floats from 0 to 1 as bytes; each byte has an equal share of them."""
    return (y * (256 - 1e-3)).astype(jnp.uint8)


def floats(x: jax.Array) -> jax.Array:
    """Numbers in float32, or in a finer type that they have."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def product(x: jax.Array, y: jax.Array) -> jax.Array:
    """`x * y`, rounded before anything is added to it.

    Some processors multiply and add at once, without rounding between, and ties fall to the other
    side there. Clipping, which changes no finite number, keeps the two apart.
    """
    z = x * y
    limit = jnp.finfo(z.dtype).max
    return jnp.clip(z, -limit, limit)


def check_probability(where: str, p: float) -> None:
    """Raises unless `p` is between 0 and 1."""
    check(0 <= p <= 1, where, "p must be between 0 and 1", p=p)


def check_range(
    where: str, name: str, value: Sequence[float], low: float = 0, high: float = math.inf
) -> tuple[float, float]:
    """The two ends of a range.

    Raises:
      TypeError: If `value` is not a pair.
      ValueError: If its ends are outside `low` to `high`, or in the wrong order.
    """
    ok = isinstance(value, Sequence) and len(value) == 2
    check_type(ok, where, f"{name} must be a pair (min, max)", **{name: value})
    first, last = map(float, value)
    rule = f"{name} must be increasing and between {low} and {high}"
    check(low <= first <= last <= high, where, rule, **{name: value})
    return first, last


def per_image(values: ArrayLike, x: jax.Array, where: str, name: str) -> jax.Array:
    """One number for all images, or one each, in a shape that multiplies with `x`.

    Raises:
      ValueError: If there are not as many numbers as images.
    """
    numbers = jnp.asarray(values)
    rule = f"{name} must be a number or one for each image"
    check(numbers.shape in ((), x.shape[:1]), where, rule, shape=numbers.shape, images=len(x))
    return numbers.reshape(-1, 1, 1, 1)


def draw_boxes(
    rng: jax.Array,
    count: int,
    limits: tuple[int, int],
    area: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Draws the sizes of boxes by their share of an area and their shape.

    As torchvision does: shares are uniform, logarithms of width / height are uniform, and a box
    that does not fit is drawn again, ten times in all.

    Args:
      rng: The random key.
      count: Number of boxes.
      limits: Largest height and width.
      area: Pixels of the whole.
      scale: Smallest and largest share.
      ratio: Smallest and largest width / height.

    Returns:
      Heights `(count,)`, widths `(count,)`, and which of them fit `(count,)`.
    """
    share_rng, shape_rng = jax.random.split(rng)
    tries = (count, _ATTEMPTS)
    pixels = area * jax.random.uniform(share_rng, tries, minval=scale[0], maxval=scale[1])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shapes = jnp.exp(jax.random.uniform(shape_rng, tries, minval=low, maxval=high))
    heights = jnp.round(jnp.sqrt(pixels / shapes)).astype(jnp.int32)
    widths = jnp.round(jnp.sqrt(pixels * shapes)).astype(jnp.int32)
    fits = (heights > 0) & (heights <= limits[0]) & (widths > 0) & (widths <= limits[1])
    first = jnp.argmax(fits, axis=1)[:, None]
    take = lambda values: jnp.take_along_axis(values, first, axis=1)[:, 0]
    return take(heights), take(widths), take(fits)


def draw_corners(rng: jax.Array, room: ArrayLike, count: int) -> jax.Array:
    """Draws the top left corners of windows.

    Args:
      rng: The random key.
      room: Pixels by which a window may move down and right, `(2,)` or `(count, 2)`.
      count: Number of windows.

    Returns:
      Tops and lefts, `(count, 2)`.
    """
    return jax.random.randint(rng, (count, 2), 0, jnp.asarray(room) + 1)
