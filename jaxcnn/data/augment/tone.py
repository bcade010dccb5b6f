"""Grey levels: fewer of them, inverted, or spread over the whole range."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check
from jaxcnn.data.augment._common import (
    as_colors,
    as_levels,
    as_pixels,
    floats,
    per_image,
    scaled,
    white,
)


def invert(images: ArrayLike) -> jax.Array:
    """Turns white into black.

    Mirrors `torchvision.transforms.v2.functional.invert`.

    Args:
      images: A batch of bytes, or floats from 0 to 1.

    Raises:
      ValueError: If `images` is not a batch.
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> invert(jnp.array([0, 255], jnp.uint8).reshape(1, 1, 2, 1)).ravel().tolist()
      [255, 0]
    """
    x = as_pixels("invert", images)
    return white(x) - x


def posterize(images: ArrayLike, bits: ArrayLike) -> jax.Array:
    """Keeps the highest bits of each number.

    Mirrors `torchvision.transforms.v2.functional.posterize`; each image may keep bits of its own.

    Args:
      images: A batch of bytes, or floats from 0 to 1.
      bits: One whole number for all images, or one each, 0 to 8.

    Raises:
      ValueError: If `images` is not a batch, there are not as many numbers as images, or one is
        outside 0 to 8 (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> posterize(jnp.array([63, 200], jnp.uint8).reshape(1, 1, 2, 1), 1).ravel().tolist()
      [0, 128]
    """
    x = as_pixels("posterize", images)
    if not isinstance(bits, jax.Array):
        numbers = np.asarray(bits)
        ok = bool(((numbers >= 0) & (numbers <= 8) & (numbers == numbers.round())).all())
        check(ok, "posterize", "bits must be whole and between 0 and 8", bits=bits)
    kept = per_image(bits, x, "posterize", "bits").astype(jnp.int32)
    if white(x) == 255:
        return x & (255 << (8 - kept)).astype(jnp.uint8)
    levels = (1 << kept).astype(x.dtype)
    return jnp.clip(jnp.floor(x * levels), 0, levels - 1) / levels


def solarize(images: ArrayLike, threshold: ArrayLike) -> jax.Array:
    """Inverts the numbers from a threshold up.

    Mirrors `torchvision.transforms.v2.functional.solarize`; each image may have a threshold of its
    own.

    Args:
      images: A batch of bytes, or floats from 0 to 1.
      threshold: One number for all images, or one each, up to the brightest: 255 of bytes, 1 of
        floats.

    Raises:
      ValueError: If `images` is not a batch, there are not as many numbers as images, or one is
        above the brightest (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> solarize(jnp.array([100, 200], jnp.uint8).reshape(1, 1, 2, 1), 128).ravel().tolist()
      [100, 55]
    """
    x = as_pixels("solarize", images)
    if not isinstance(threshold, jax.Array):
        rule = f"threshold must not exceed {white(x)}"
        ok = bool((np.asarray(threshold) <= white(x)).all())
        check(ok, "solarize", rule, threshold=threshold)
    limit = per_image(threshold, x, "solarize", "threshold")
    return jnp.where(x >= limit, white(x) - x, x)


def autocontrast(images: ArrayLike) -> jax.Array:
    """Stretches each channel of each image to the whole range.

    Mirrors `torchvision.transforms.v2.functional.autocontrast`.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.

    Raises:
      ValueError: If `images` is not such a batch.
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> autocontrast(jnp.array([50, 60, 70], jnp.uint8).reshape(1, 1, 3, 1)).ravel().tolist()
      [0, 127, 254]
    """
    x = as_colors("autocontrast", images)
    y = floats(x)
    darkest, brightest = (f(y, axis=(1, 2), keepdims=True) for f in (jnp.min, jnp.max))
    step = (brightest - darkest) * np.float32(1 / white(x))
    above = y - darkest
    # Of a divisor that differs from pixel to pixel XLA does not take the reciprocal, which would
    # put some pixels one grey level higher.
    stretched = jnp.clip(above / jnp.where(above > 0, step, 1), 0, white(x))
    return jnp.where(darkest == brightest, y, stretched).astype(x.dtype)


def equalize(images: ArrayLike) -> jax.Array:
    """Spreads the grey levels of each channel of each image so that all are equally frequent.

    Mirrors `torchvision.transforms.v2.functional.equalize`, which is Pillow's `ImageOps.equalize`.

    Args:
      images: A batch of bytes, or floats from 0 to 1; floats are counted as bytes.

    Raises:
      ValueError: If `images` is not a batch.
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> ramp = (jnp.arange(1024) // 8).astype(jnp.uint8).reshape(1, 32, 32, 1)
      >>> equalize(ramp)[0, ::8, 0, 0].tolist()
      [0, 85, 171, 255]
    """
    x = as_pixels("equalize", images)
    n, h, w, c = x.shape
    levels = x if white(x) == 255 else as_levels(x)
    # One table of 256 levels for each channel of each image, one after the other.
    tables = (jnp.arange(n)[:, None, None, None] * c + jnp.arange(c)) * 256
    places = tables + levels
    counts = jnp.zeros((n * c, 256), jnp.int32).ravel().at[places].add(1).reshape(n * c, 256)
    below = jnp.cumsum(counts, axis=1)
    brightest = jnp.argmax(below, axis=1, keepdims=True)
    step = (h * w - jnp.take_along_axis(counts, brightest, axis=1)) // 255
    spread = jnp.clip((below + step // 2) // jnp.maximum(step, 1), 0, 255)
    spread = jnp.pad(spread[:, :-1], [(0, 0), (1, 0)])
    spread = jnp.where(step == 0, jnp.arange(256), spread).astype(jnp.uint8)
    levels = spread.ravel()[places]
    return levels if white(x) == 255 else scaled(levels).astype(x.dtype)
