"""Sliding blocks of images as columns, and back. Mirrors torch.nn's Unfold and Fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn._checks import int_tuple, is_int
from jaxcnn.functional.fold import fold_window

_WINDOW = ("kernel_size", "dilation", "padding", "stride")


class Unfold(nn.Module):
    """Copies each sliding block of an image into one column of numbers.

    Mirrors `torch.nn.Unfold` on channels-last images; the columns are channels-last too, with the
    features of a block in PyTorch's order: `(c, kh, kw)`, `kw` running fastest.

    Attributes:
      kernel_size: Block height and width in pixels; an int means both.
      dilation: Steps between the pixels of one block.
      padding: Zeros added on both sides in pixels.
      stride: Steps between blocks in pixels.

    Shape:
      `(n, h, w, c)` -> `(n, blocks, c*kh*kw)`, `blocks` the product over both axes of
      `floor((size + 2*padding - dilation*(kernel_size - 1) - 1) / stride) + 1`.

    Raises:
      ValueError: If a size is out of range or no block fits.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> Unfold(3, padding=1).apply({}, jnp.ones((1, 8, 8, 4))).shape
      (1, 64, 36)
    """

    kernel_size: int | Sequence[int]
    dilation: int | Sequence[int] = 1
    padding: int | Sequence[int] = 0
    stride: int | Sequence[int] = 1

    def __post_init__(self) -> None:
        _check_window(self)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return _settings(self)


class Fold(nn.Module):
    """Adds up columns as sliding blocks of an image: the transpose of `Unfold`.

    Mirrors `torch.nn.Fold` on channels-last columns, whose features are in PyTorch's order:
    `(c, kh, kw)`, `kw` running fastest.

    Attributes:
      output_size: Height and width of the images in pixels; an int means both.
      kernel_size: Block height and width in pixels; an int means both.
      dilation: Steps between the pixels of one block.
      padding: Pixels on both sides of the image that blocks reach into and that are dropped.
      stride: Steps between blocks in pixels.

    Shape:
      `(n, blocks, c*kh*kw)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If a size is out of range, or the input does not fit the sizes.
      TypeError: If a size is not an integer.

    Example:
      >>> import jax.numpy as jnp
      >>> Fold(8, 2, stride=2).apply({}, jnp.ones((1, 16, 12))).shape
      (1, 8, 8, 3)
    """

    output_size: int | Sequence[int]
    kernel_size: int | Sequence[int]
    dilation: int | Sequence[int] = 1
    padding: int | Sequence[int] = 0
    stride: int | Sequence[int] = 1

    def __post_init__(self) -> None:
        int_tuple(self.output_size, 2, "Fold", "output_size", 1)
        _freeze(self, ["output_size"])
        _check_window(self)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.fold(
            x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"output_size={self.output_size}, {_settings(self)}"


# Functions, because linen wraps methods in what is not there yet before __post_init__.
def _check_window(layer: Any) -> None:
    sizes = {name: getattr(layer, name) for name in _WINDOW}
    fold_window(type(layer).__name__, **sizes)
    _freeze(layer, _WINDOW)


def _freeze(layer: Any, fields: Sequence[str]) -> None:
    """Lists become tuples, so that layers can be hashed; an int stays, for torch prints it so."""
    for field in fields:
        value = getattr(layer, field)
        setattr(layer, field, value if is_int(value) else tuple(value))


def _settings(layer: Any) -> str:
    return ", ".join(f"{name}={getattr(layer, name)}" for name in _WINDOW)
