"""Moving values between channels and pixels. Mirrors torch.nn.functional's shuffles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int


def pixel_shuffle(input: ArrayLike, upscale_factor: int) -> jax.Array:
    """Spreads channels over pixels: each r*r channels become one, r times as high and wide.

    Mirrors `torch.nn.functional.pixel_shuffle` on channels-last input, in PyTorch's channel
    order: channel `k*r*r + i*r + j` becomes channel `k` at row `i`, column `j` of its pixel.

    Args:
      input: `(*, h, w, c*r*r)`; any number of leading axes.
      upscale_factor: r.

    Returns:
      `(*, h*r, w*r, c)`.

    Raises:
      ValueError: If the channels are not divisible by `r*r`, the input has fewer than three axes
        or `upscale_factor` is under 1.
      TypeError: If `upscale_factor` is not an integer.

    Source:
      "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
      Convolutional Neural Network", Shi et al. 2016, https://arxiv.org/abs/1609.05158.

    Example:
      >>> pixel_shuffle(jnp.arange(4).reshape(1, 1, 1, 4), 2)[0, :, :, 0].tolist()
      [[0, 1], [2, 3]]
    """
    x, r = jnp.asarray(input), upscale_factor
    check_int("pixel_shuffle", "upscale_factor", r, 1)
    _check_image("pixel_shuffle", x)
    *lead, h, w, channels = x.shape
    rule = "channels must be divisible by upscale_factor squared"
    check(channels % r**2 == 0, "pixel_shuffle", rule, channels=channels, upscale_factor=r)
    c = channels // r**2
    # (h, w, c, i, j) -> (h, i, w, j, c)
    y = _permuted(x.reshape(*lead, h, w, c, r, r), (0, 3, 1, 4, 2))
    return y.reshape(*lead, h * r, w * r, c)


def pixel_unshuffle(input: ArrayLike, downscale_factor: int) -> jax.Array:
    """Gathers pixels into channels: the inverse of `pixel_shuffle`.

    Mirrors `torch.nn.functional.pixel_unshuffle` on channels-last input, in PyTorch's channel
    order.

    Args:
      input: `(*, h*r, w*r, c)`; any number of leading axes.
      downscale_factor: r.

    Returns:
      `(*, h, w, c*r*r)`.

    Raises:
      ValueError: If height and width are not divisible by r, the input has fewer than three axes
        or `downscale_factor` is under 1.
      TypeError: If `downscale_factor` is not an integer.

    Example:
      >>> pixel_unshuffle(jnp.arange(4).reshape(1, 2, 2, 1), 2).tolist()
      [[[[0, 1, 2, 3]]]]
    """
    x, r = jnp.asarray(input), downscale_factor
    check_int("pixel_unshuffle", "downscale_factor", r, 1)
    _check_image("pixel_unshuffle", x)
    *lead, height, width, c = x.shape
    rule = "height and width must be divisible by downscale_factor"
    fits = height % r == 0 == width % r
    check(fits, "pixel_unshuffle", rule, height=height, width=width, downscale_factor=r)
    h, w = height // r, width // r
    # (h, i, w, j, c) -> (h, w, c, i, j)
    y = _permuted(x.reshape(*lead, h, r, w, r, c), (0, 2, 4, 1, 3))
    return y.reshape(*lead, h, w, c * r**2)


def channel_shuffle(input: ArrayLike, groups: int) -> jax.Array:
    """Interleaves groups of channels.

    Mirrors `torch.nn.functional.channel_shuffle` on channels-last input: the first channels of all
    groups, then the second ones, and so on.

    Args:
      input: `(n, *spatial, c)`.
      groups: Number of groups that the channels are in.

    Returns:
      An array of the same shape.

    Raises:
      ValueError: If the channels are not divisible by `groups`, the input has fewer than three
        axes or `groups` is under 1.
      TypeError: If `groups` is not an integer.

    Source:
      "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", Zhang
      et al. 2017, https://arxiv.org/abs/1707.01083.

    Example:
      >>> channel_shuffle(jnp.arange(6).reshape(1, 1, 6), 2).ravel().tolist()
      [0, 3, 1, 4, 2, 5]
    """
    x = jnp.asarray(input)
    check_int("channel_shuffle", "groups", groups, 1)
    rule = "input must be (n, *spatial, c)"
    check(x.ndim >= 3, "channel_shuffle", rule, shape=x.shape)
    channels = x.shape[-1]
    rule = "channels must be divisible by groups"
    check(channels % groups == 0, "channel_shuffle", rule, channels=channels, groups=groups)
    grouped = x.reshape(*x.shape[:-1], groups, channels // groups)
    return grouped.swapaxes(-1, -2).reshape(x.shape)


def _check_image(where: str, x: jax.Array) -> None:
    check(x.ndim >= 3, where, "input must be (*, h, w, c)", shape=x.shape)


def _permuted(x: jax.Array, last: tuple[int, ...]) -> jax.Array:
    """Permutes the last axes, which `last` counts from the first of them."""
    lead = x.ndim - len(last)
    return x.transpose(*range(lead), *(lead + axis for axis in last))
