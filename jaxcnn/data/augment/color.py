"""Colours: brightness, contrast, saturation, hue, sharpness, and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating
from jaxcnn.data.augment import _enhance
from jaxcnn.data.augment._common import (
    as_batch,
    as_colors,
    check_probability,
    check_range,
    per_image,
)
from jaxcnn.data.augment._drawn import Change, apply
from jaxcnn.data.augment._enhance import Shares


def normalize(
    images: ArrayLike, mean: float | Sequence[float], std: float | Sequence[float]
) -> jax.Array:
    """Subtracts a mean and divides by a standard deviation, channel by channel.

    Mirrors `torchvision.transforms.v2.functional.normalize`. It belongs into the `preprocess` of
    the steps, after `train.to_float`, for training and evaluation alike.

    Args:
      images: A batch of floats.
      mean: One number for all channels, or one each.
      std: One number for all channels, or one each.

    Raises:
      ValueError: If `images` is not a batch, there are not as many numbers as channels, or a
        standard deviation is 0.
      TypeError: If the images are not floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> normalize(jnp.ones((1, 1, 1, 2)), mean=(0.5, 0.0), std=(0.25, 2.0)).ravel().tolist()
      [2.0, 0.5]
    """
    x = as_batch("normalize", images)
    check_floating("normalize", x)
    means, stds = np.asarray(mean), np.asarray(std)
    for name, values in (("mean", means), ("std", stds)):
        rule = f"{name} must be a number or one for each of {x.shape[-1]} channels"
        ok = values.shape in ((), (1,), x.shape[-1:])
        check(ok, "normalize", rule, **{name: values.tolist()})
    check(bool(stds.all()), "normalize", "std must not be 0", std=std)
    return (x - means.astype(x.dtype)) / stds.astype(x.dtype)


def adjust_brightness(images: ArrayLike, brightness_factor: ArrayLike) -> jax.Array:
    """Makes images darker (factor under 1; 0 is black) or brighter (over 1).

    Mirrors `torchvision.transforms.v2.functional.adjust_brightness`; each image may have a factor
    of its own.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      brightness_factor: One number for all images, or one each; not negative.

    Raises:
      ValueError: If `images` is not such a batch, there are not as many factors as images, or one
        is negative (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> images = jnp.array([10, 200], jnp.uint8).reshape(2, 1, 1, 1)
      >>> adjust_brightness(images, 1.5).ravel().tolist()
      [15, 255]
    """
    x = as_colors("adjust_brightness", images)
    return _enhance.brightness(x, _shares("brightness", brightness_factor, x))


def adjust_contrast(images: ArrayLike, contrast_factor: ArrayLike) -> jax.Array:
    """Moves pixels towards the image's mean grey (factor under 1) or away from it (over 1).

    Mirrors `torchvision.transforms.v2.functional.adjust_contrast`; each image may have a factor of
    its own.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      contrast_factor: One number for all images, or one each; not negative.

    Raises:
      ValueError: If `images` is not such a batch, there are not as many factors as images, or one
        is negative (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> image = jnp.array([10, 30], jnp.uint8).reshape(1, 1, 2, 1)
      >>> adjust_contrast(image, 0.5).ravel().tolist()
      [15, 25]
    """
    x = as_colors("adjust_contrast", images)
    return _enhance.contrast(x, _shares("contrast", contrast_factor, x))


def adjust_saturation(images: ArrayLike, saturation_factor: ArrayLike) -> jax.Array:
    """Moves pixels towards their grey (factor under 1) or away from it (over 1).

    Mirrors `torchvision.transforms.v2.functional.adjust_saturation`; each image may have a factor
    of its own. Grey images stay as they are.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      saturation_factor: One number for all images, or one each; not negative.

    Raises:
      ValueError: If `images` is not such a batch, there are not as many factors as images, or one
        is negative (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> red = jnp.array([200, 0, 0], jnp.uint8).reshape(1, 1, 1, 3)
      >>> adjust_saturation(red, 0.0).ravel().tolist()
      [59, 59, 59]
    """
    x = as_colors("adjust_saturation", images)
    return _enhance.saturation(x, _shares("saturation", saturation_factor, x))


def adjust_sharpness(images: ArrayLike, sharpness_factor: ArrayLike) -> jax.Array:
    """Blurs images (factor under 1) or sharpens them (over 1).

    Mirrors `torchvision.transforms.v2.functional.adjust_sharpness`; each image may have a factor of
    its own. Images of up to two rows or columns stay as they are.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      sharpness_factor: One number for all images, or one each; not negative.

    Raises:
      ValueError: If `images` is not such a batch, there are not as many factors as images, or one
        is negative (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> dot = jnp.zeros((1, 3, 3, 1), jnp.uint8).at[0, 1, 1, 0].set(130)
      >>> adjust_sharpness(dot, 0.0)[0, 1, 1, 0].item()
      50
    """
    x = as_colors("adjust_sharpness", images)
    return _enhance.sharpness(x, _shares("sharpness", sharpness_factor, x))


def adjust_hue(images: ArrayLike, hue_factor: ArrayLike) -> jax.Array:
    """Turns the colour wheel.

    Mirrors `torchvision.transforms.v2.functional.adjust_hue`; each image may have a factor of its
    own. Grey images stay as they are.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      hue_factor: One number for all images, or one each: the share of a full turn, -0.5 to 0.5.

    Raises:
      ValueError: If `images` is not such a batch, there are not as many factors as images, or one
        is outside -0.5 to 0.5 (numbers of an array of JAX's are not looked at).
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> red = jnp.array([1.0, 0.0, 0.0]).reshape(1, 1, 1, 3)
      >>> adjust_hue(red, 0.5).round(5).ravel().tolist()
      [0.0, 1.0, 1.0]
    """
    x = as_colors("adjust_hue", images)
    if not isinstance(hue_factor, jax.Array):
        rule = "hue_factor must be between -0.5 and 0.5"
        ok = bool((abs(np.asarray(hue_factor)) <= 0.5).all())
        check(ok, "adjust_hue", rule, hue_factor=hue_factor)
    shift = per_image(hue_factor, x, "adjust_hue", "hue_factor")
    return _enhance.hue(x, shift)


def random_grayscale(images: ArrayLike, rng: jax.Array, p: float = 0.1) -> jax.Array:
    """Turns each image grey with probability `p`; it keeps its channels.

    Mirrors `torchvision.transforms.v2.RandomGrayscale`; each image has its own draw.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      rng: The random key.
      p: Probability of grey, 0 to 1.

    Raises:
      ValueError: If `images` is not such a batch, or `p` is outside 0 to 1.
      TypeError: If the images are neither uint8 nor floating point.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> red = jnp.array([200, 0, 0], jnp.uint8).reshape(1, 1, 1, 3)
      >>> random_grayscale(red, jax.random.key(0), p=1.0).ravel().tolist()
      [59, 59, 59]
    """
    x = as_colors("random_grayscale", images)
    check_probability("random_grayscale", p)
    chosen = jax.random.bernoulli(rng, float(p), (len(x), 1, 1, 1))
    return jnp.where(chosen, _enhance.gray(x).astype(x.dtype), x)


def color_jitter(
    images: ArrayLike,
    rng: jax.Array,
    brightness: float | Sequence[float] | None = None,
    contrast: float | Sequence[float] | None = None,
    saturation: float | Sequence[float] | None = None,
    hue: float | Sequence[float] | None = None,
) -> jax.Array:
    """Changes brightness, contrast, saturation and hue of each image, in a random order.

    Mirrors `torchvision.transforms.v2.ColorJitter`; each image has factors and an order of its own.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      rng: The random key.
      brightness: Range `(min, max)` of the factor; a number `d` means `(max(0, 1 - d), 1 + d)`.
      contrast: The same.
      saturation: The same.
      hue: Range of the share of a full turn; a number `d` means `(-d, d)`.

    Raises:
      ValueError: If `images` is not such a batch, or a range is none: factors must not be negative,
        shares are between -0.5 and 0.5.
      TypeError: If the images are neither uint8 nor floating point, or a range is neither a number
        nor a pair.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> images = jnp.full((2, 4, 4, 3), 128, jnp.uint8)
      >>> color_jitter(images, jax.random.key(0), brightness=0.4, hue=0.1).shape
      (2, 4, 4, 3)
    """
    x = as_colors("color_jitter", images)
    jitters: list[tuple[Change, tuple[float, float]]] = []
    for change, value in (
        (_enhance.brightness, brightness),
        (_enhance.contrast, contrast),
        (_enhance.saturation, saturation),
    ):
        if value is not None:
            limits = _jitter_range(change.__name__, value, 1, 0, np.inf)
            jitters.append((_by_factor(change), limits))
    if hue is not None:
        jitters.append((_enhance.hue, _jitter_range("hue", hue, 0, -0.5, 0.5)))
    if not jitters:
        return x
    order_rng, factor_rng = jax.random.split(rng)
    order = jnp.argsort(jax.random.uniform(order_rng, (len(x), len(jitters))), axis=1)
    low, high = np.array([limits for _, limits in jitters], np.float32).T
    factors = jax.random.uniform(factor_rng, order.shape, minval=low, maxval=high)
    factors = jnp.take_along_axis(factors, order, axis=1)
    return apply([change for change, _ in jitters], x, order, factors)


def _by_factor(change: Callable[[jax.Array, Shares], jax.Array]) -> Change:
    return lambda x, factor: change(x, Shares(factor, 1 - factor))


def _jitter_range(
    name: str, value: float | Sequence[float], centre: float, low: float, high: float
) -> tuple[float, float]:
    pair: Any = value
    if isinstance(value, (int, float)):
        check(value >= 0, "color_jitter", f"{name} must not be negative", **{name: value})
        pair = (max(centre - value, low) if centre else -value, centre + value)
    return check_range("color_jitter", name, pair, low, high)


def _shares(name: str, factor: ArrayLike, x: jax.Array) -> Shares:
    where, argument = f"adjust_{name}", f"{name}_factor"
    if isinstance(factor, jax.Array):
        rest: ArrayLike = 1 - factor
    else:
        numbers = np.asarray(factor, np.float64)
        rule = f"{argument} must not be negative"
        check(bool((numbers >= 0).all()), where, rule, **{argument: factor})
        factor, rest = np.float32(numbers), np.float32(1 - numbers)
    return Shares(*(per_image(share, x, where, argument) for share in (factor, rest)))
