"""Crops and flips: which pixels an image keeps, and where."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int, int_tuple
from jaxcnn.data.augment._common import (
    as_batch,
    as_pixels,
    check_probability,
    check_range,
    draw_boxes,
    draw_corners,
    floats,
)

_PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def random_crop(
    images: ArrayLike,
    rng: jax.Array,
    padding: int = 4,
    size: int | Sequence[int] | None = None,
    padding_mode: str = "constant",
) -> jax.Array:
    """Cuts a window out of each padded image, at a place of its own.

    Mirrors `torchvision.transforms.v2.RandomCrop(size, padding)`, by default for the `size` that
    the images have: each moves by up to `padding` pixels each way.

    Args:
      images: A batch of any dtype; of bytes it is fastest.
      rng: The random key.
      padding: Pixels added to each side before cropping.
      size: Height and width of the windows; an int means both. Defaults to the images' own.
      padding_mode: "constant" (black), "edge", "reflect" or "symmetric".

    Raises:
      ValueError: If `images` is not a batch, `padding` is negative, the window is larger than the
        padded image or the mode is unknown.

    Shape:
      `(n, h, w, c)` -> `(n, *size, c)`.

    Example:
      >>> random_crop(jnp.ones((2, 4, 4, 1), jnp.uint8), jax.random.key(0), padding=1).shape
      (2, 4, 4, 1)
    """
    x = as_batch("random_crop", images)
    check_int("random_crop", "padding", padding, 0)
    rule = f"padding_mode must be one of {', '.join(_PADDING_MODES)}"
    check(padding_mode in _PADDING_MODES, "random_crop", rule, padding_mode=padding_mode)
    window = x.shape[1:3] if size is None else int_tuple(size, 2, "random_crop", "size", 1)
    room = tuple(full + 2 * padding - cut for full, cut in zip(x.shape[1:3], window, strict=True))
    rule = "size must not exceed the padded image"
    check(min(room) >= 0, "random_crop", rule, size=window, shape=x.shape, padding=padding)
    corners = draw_corners(rng, jnp.array(room), len(x))
    widths = [(0, 0), (padding, padding), (padding, padding), (0, 0)]
    padded = jnp.pad(x, widths, mode=padding_mode)
    cut = functools.partial(lax.dynamic_slice, slice_sizes=(*window, x.shape[3]))
    return jax.vmap(lambda image, corner: cut(image, (*corner, 0)))(padded, corners)


def random_horizontal_flip(images: ArrayLike, rng: jax.Array, p: float = 0.5) -> jax.Array:
    """Mirrors each image, left to right, with probability `p`.

    Mirrors `torchvision.transforms.v2.RandomHorizontalFlip`; each image has its own draw.

    Args:
      images: A batch of any dtype.
      rng: The random key.
      p: Probability of a flip, 0 to 1.

    Raises:
      ValueError: If `images` is not a batch, or `p` is outside 0 to 1.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> row = jnp.array([1, 2, 3], jnp.uint8).reshape(1, 1, 3, 1)
      >>> random_horizontal_flip(row, jax.random.key(0), p=1.0).ravel().tolist()
      [3, 2, 1]
    """
    x = as_batch("random_horizontal_flip", images)
    check_probability("random_horizontal_flip", p)
    flipped = jax.random.bernoulli(rng, float(p), (len(x), 1, 1, 1))
    return jnp.where(flipped, x[:, :, ::-1], x)


def random_vertical_flip(images: ArrayLike, rng: jax.Array, p: float = 0.5) -> jax.Array:
    """Mirrors each image, top to bottom, with probability `p`.

    Mirrors `torchvision.transforms.v2.RandomVerticalFlip`; each image has its own draw.

    Args:
      images: A batch of any dtype.
      rng: The random key.
      p: Probability of a flip, 0 to 1.

    Raises:
      ValueError: If `images` is not a batch, or `p` is outside 0 to 1.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> column = jnp.array([1, 2, 3], jnp.uint8).reshape(1, 3, 1, 1)
      >>> random_vertical_flip(column, jax.random.key(0), p=1.0).ravel().tolist()
      [3, 2, 1]
    """
    x = as_batch("random_vertical_flip", images)
    check_probability("random_vertical_flip", p)
    flipped = jax.random.bernoulli(rng, float(p), (len(x), 1, 1, 1))
    return jnp.where(flipped, x[:, ::-1], x)


def center_crop(images: ArrayLike, size: int | Sequence[int]) -> jax.Array:
    """Cuts the middle out of each image; black surrounds an image that is smaller.

    Mirrors `torchvision.transforms.v2.functional.center_crop`.

    Args:
      images: A batch of any dtype.
      size: Height and width of the window; an int means both.

    Raises:
      ValueError: If `images` is not a batch, or `size` is not positive.

    Shape:
      `(n, h, w, c)` -> `(n, *size, c)`.

    Example:
      >>> row = jnp.array([1, 2, 3], jnp.uint8).reshape(1, 1, 3, 1)
      >>> center_crop(row, 1).ravel().tolist()
      [2]
      >>> center_crop(row, (1, 5)).ravel().tolist()
      [0, 1, 2, 3, 0]
    """
    x = as_batch("center_crop", images)
    window = int_tuple(size, 2, "center_crop", "size", 1)
    missing = [max(cut - full, 0) for cut, full in zip(window, x.shape[1:3], strict=True)]
    x = jnp.pad(x, [(0, 0), *((m // 2, m - m // 2) for m in missing), (0, 0)])
    top, left = (round((full - cut) / 2) for full, cut in zip(x.shape[1:3], window, strict=True))
    return x[:, top : top + window[0], left : left + window[1]]


def random_resized_crop(
    images: ArrayLike,
    rng: jax.Array,
    size: int | Sequence[int],
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    antialias: bool = True,
) -> jax.Array:
    """Cuts a window of random place, area and shape out of each image and resizes it.

    Mirrors `torchvision.transforms.v2.RandomResizedCrop` with bilinear interpolation; each image
    has its own draw. Bytes may differ by one grey level from PyTorch's, whose weights are rounded.

    Args:
      images: A batch of bytes or floats.
      rng: The random key.
      size: Height and width to resize to; an int means both.
      scale: Smallest and largest share of the image's area that a window covers.
      ratio: Smallest and largest width / height of a window.
      antialias: Whether to average over all pixels that an output pixel covers.

    Raises:
      ValueError: If `images` is not a batch, `size` is not positive, or a range is not one.
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, *size, c)`.

    Example:
      >>> images = jnp.ones((2, 9, 7, 3), jnp.uint8)
      >>> random_resized_crop(images, jax.random.key(0), 4).shape
      (2, 4, 4, 3)
    """
    x = as_pixels("random_resized_crop", images)
    height, width = x.shape[1:3]
    to = int_tuple(size, 2, "random_resized_crop", "size", 1)
    shares = check_range("random_resized_crop", "scale", scale, 0, 1)
    shapes = check_range("random_resized_crop", "ratio", ratio)
    check(shapes[0] > 0, "random_resized_crop", "ratio must be positive", ratio=ratio)
    box_rng, corner_rng = jax.random.split(rng)
    heights, widths, fits = draw_boxes(
        box_rng, len(x), (height, width), height * width, shares, shapes
    )
    whole = _central_box(height, width, shapes)
    lengths = jnp.where(fits[:, None], jnp.stack([heights, widths], axis=1), jnp.array(whole))
    room = jnp.array([height, width]) - lengths
    corners = jnp.where(fits[:, None], draw_corners(corner_rng, room, len(x)), room // 2)
    return resized_crop(x, corners, lengths, to, antialias)


def _central_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of the window of an image in which no drawn one fits."""
    shape = width / height
    if shape < ratio[0]:
        return round(width / ratio[0]), width
    if shape > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def resized_crop(
    x: jax.Array, corners: jax.Array, lengths: jax.Array, size: Sequence[int], antialias: bool
) -> jax.Array:
    """Resizes a window of each image, bilinearly.

    A window is another one in each image, so each axis is a product with a matrix of weights,
    most of them zero; processors multiply matrices faster than they gather pixels.
    """
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    y = floats(x)
    product = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)
    for axis, indices in ((1, "now,nhwc->nhoc"), (0, "noh,nhwc->nowc")):
        weights = _bilinear_weights(
            corners[:, axis], lengths[:, axis], x.shape[1 + axis], size[axis], antialias, y.dtype
        )
        y = product(indices, weights, y)
        # Bytes are rounded after each axis, as PyTorch does.
        y = y if floating else jnp.floor(y + 0.5)
    return y.astype(x.dtype)


def _bilinear_weights(
    start: jax.Array, length: jax.Array, n_in: int, n_out: int, antialias: bool, dtype: jnp.dtype
) -> jax.Array:
    """How much of each pixel of an axis is in each pixel of the resized windows, `(n, out, in)`."""
    step = (length.astype(dtype) / n_out)[:, None, None]
    centres = (jnp.arange(n_out, dtype=dtype) + 0.5)[:, None] * step
    pixels = jnp.arange(n_in) - start[:, None, None]
    reach = jnp.maximum(step, 1) if antialias else 1
    weights = jnp.maximum(1 - abs(pixels + 0.5 - centres) / reach, 0)
    weights = jnp.where((pixels >= 0) & (pixels < length[:, None, None]), weights, 0)
    return weights / weights.sum(axis=-1, keepdims=True)
