"""Layers that move values between channels and pixels. Mirrors torch.nn's."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn._checks import check_int


class PixelShuffle(nn.Module):
    """Spreads channels over pixels: each r*r channels become one, r times as high and wide.

    Mirrors `torch.nn.PixelShuffle` on channels-last input, in PyTorch's channel order.

    Attributes:
      upscale_factor: r.

    Shape:
      `(*, h, w, c*r*r)` -> `(*, h*r, w*r, c)`.

    Raises:
      ValueError: If `upscale_factor` is under 1 or the channels are not divisible by its square.
      TypeError: If `upscale_factor` is not an integer.

    Source:
      "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
      Convolutional Neural Network", Shi et al. 2016, https://arxiv.org/abs/1609.05158.

    Example:
      >>> import jax.numpy as jnp
      >>> PixelShuffle(3).apply({}, jnp.ones((1, 4, 4, 9))).shape
      (1, 12, 12, 1)
    """

    upscale_factor: int

    def __post_init__(self) -> None:
        check_int("PixelShuffle", "upscale_factor", self.upscale_factor, 1)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(nn.Module):
    """Gathers pixels into channels: the inverse of `PixelShuffle`.

    Mirrors `torch.nn.PixelUnshuffle` on channels-last input, in PyTorch's channel order.

    Attributes:
      downscale_factor: r.

    Shape:
      `(*, h*r, w*r, c)` -> `(*, h, w, c*r*r)`.

    Raises:
      ValueError: If `downscale_factor` is under 1 or height and width are not divisible by it.
      TypeError: If `downscale_factor` is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> PixelUnshuffle(3).apply({}, jnp.ones((1, 12, 12, 1))).shape
      (1, 4, 4, 9)
    """

    downscale_factor: int

    def __post_init__(self) -> None:
        check_int("PixelUnshuffle", "downscale_factor", self.downscale_factor, 1)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(nn.Module):
    """Interleaves groups of channels.

    Mirrors `torch.nn.ChannelShuffle` on channels-last input.

    Attributes:
      groups: Number of groups that the channels are in.

    Shape:
      `(n, *spatial, c)` -> the same.

    Raises:
      ValueError: If `groups` is under 1 or does not divide the channels.
      TypeError: If `groups` is not an integer.

    Source:
      "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", Zhang
      et al. 2017, https://arxiv.org/abs/1707.01083.

    Example:
      >>> import jax.numpy as jnp
      >>> ChannelShuffle(2).apply({}, jnp.arange(4).reshape(1, 1, 1, 4)).ravel().tolist()
      [0, 2, 1, 3]
    """

    groups: int

    def __post_init__(self) -> None:
        check_int("ChannelShuffle", "groups", self.groups, 1)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.channel_shuffle(x, self.groups)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"groups={self.groups}"
