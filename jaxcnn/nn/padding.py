"""Padding layers. Mirrors torch.nn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax

from jaxcnn.functional.padding import pad_images, spatial_padding


class _Pad(nn.Module):
    """Pads all spatial axes, with or without a batch axis; subclasses say how many, and how."""

    padding: int | Sequence[int]

    _axes: ClassVar[int]
    _mode: ClassVar[str]

    def __post_init__(self) -> None:
        spatial_padding(type(self).__name__, self.padding, self._axes)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return pad_images(type(self).__name__, x, self.padding, self._axes, self._mode)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return str(spatial_padding(type(self).__name__, self.padding, self._axes))


class _ConstantPad(_Pad):
    """The same with a value to fill in."""

    value: float

    _mode = "constant"

    def __call__(self, x: Any) -> jax.Array:
        name = type(self).__name__
        return pad_images(name, x, self.padding, self._axes, self._mode, self.value)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        padding = spatial_padding(type(self).__name__, self.padding, self._axes)
        return f"padding={padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Surrounds sequences with a constant.

    Mirrors `torch.nn.ConstantPad1d` on channels-last input; `ConstantPad2d` for sequences,
    `(n, l, c)`, with `padding` (left, right).

    Example:
      >>> import jax.numpy as jnp
      >>> ConstantPad1d((1, 2), 9.0).apply({}, jnp.ones((1, 5, 2))).shape
      (1, 8, 2)
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Surrounds images with a constant.

    Mirrors `torch.nn.ConstantPad2d` on channels-last input.

    Attributes:
      padding: Pixels for every side, or (left, right, top, bottom); negative numbers cut.
      value: What to fill in.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same axes, `h_out = top + h + bottom`,
      `w_out = left + w + right`.

    Raises:
      ValueError: If `padding` is not 4 long, the input has other axes, or more is cut than there
        is.
      TypeError: If `padding` is not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
      >>> ConstantPad2d((2, 0, 0, 0), 9).apply({}, x).ravel().tolist()
      [9, 9, 1, 2, 3]
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Surrounds volumes with a constant.

    Mirrors `torch.nn.ConstantPad3d` on channels-last input; `ConstantPad2d` for volumes,
    `(n, d, h, w, c)`, with `padding` (left, right, top, bottom, front, back).

    Example:
      >>> import jax.numpy as jnp
      >>> ConstantPad3d((1, 2, 1, 0, 0, 1), 9.0).apply({}, jnp.ones((1, 4, 5, 6, 2))).shape
      (1, 5, 6, 9, 2)
    """

    _axes = 3


class ZeroPad1d(_Pad):
    """Surrounds sequences with zeros.

    Mirrors `torch.nn.ZeroPad1d` on channels-last input; `ZeroPad2d` for sequences,
    `(n, l, c)`, with `padding` (left, right).

    Example:
      >>> import jax.numpy as jnp
      >>> ZeroPad1d((1, 2)).apply({}, jnp.ones((1, 5, 2))).shape
      (1, 8, 2)
    """

    _axes = 1
    _mode = "constant"


class ZeroPad2d(_Pad):
    """Surrounds images with zeros.

    Mirrors `torch.nn.ZeroPad2d` on channels-last input.

    Attributes:
      padding: Pixels for every side, or (left, right, top, bottom); negative numbers cut.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same axes, `h_out = top + h + bottom`,
      `w_out = left + w + right`.

    Raises:
      ValueError: If `padding` is not 4 long, the input has other axes, or more is cut than there
        is.
      TypeError: If `padding` is not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
      >>> ZeroPad2d((2, 0, 0, 0)).apply({}, x).ravel().tolist()
      [0, 0, 1, 2, 3]
    """

    _axes = 2
    _mode = "constant"


class ZeroPad3d(_Pad):
    """Surrounds volumes with zeros.

    Mirrors `torch.nn.ZeroPad3d` on channels-last input; `ZeroPad2d` for volumes,
    `(n, d, h, w, c)`, with `padding` (left, right, top, bottom, front, back).

    Example:
      >>> import jax.numpy as jnp
      >>> ZeroPad3d((1, 2, 1, 0, 0, 1)).apply({}, jnp.ones((1, 4, 5, 6, 2))).shape
      (1, 5, 6, 9, 2)
    """

    _axes = 3
    _mode = "constant"


class ReflectionPad1d(_Pad):
    """Surrounds sequences with their mirror image, without the edge.

    Mirrors `torch.nn.ReflectionPad1d` on channels-last input; `ReflectionPad2d` for sequences,
    `(n, l, c)`, with `padding` (left, right).

    Example:
      >>> import jax.numpy as jnp
      >>> ReflectionPad1d((1, 2)).apply({}, jnp.ones((1, 5, 2))).shape
      (1, 8, 2)
    """

    _axes = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """Surrounds images with their mirror image, without the edge.

    Mirrors `torch.nn.ReflectionPad2d` on channels-last input.

    Attributes:
      padding: Pixels for every side, or (left, right, top, bottom); negative numbers cut.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same axes, `h_out = top + h + bottom`,
      `w_out = left + w + right`.

    Raises:
      ValueError: If `padding` is not 4 long, the input has other axes, or more is cut than
        there is, or an axis is not longer than its padding.
      TypeError: If `padding` is not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
      >>> ReflectionPad2d((2, 0, 0, 0)).apply({}, x).ravel().tolist()
      [3, 2, 1, 2, 3]
    """

    _axes = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """Surrounds volumes with their mirror image, without the edge.

    Mirrors `torch.nn.ReflectionPad3d` on channels-last input; `ReflectionPad2d` for volumes,
    `(n, d, h, w, c)`, with `padding` (left, right, top, bottom, front, back).

    Example:
      >>> import jax.numpy as jnp
      >>> ReflectionPad3d((1, 2, 1, 0, 0, 1)).apply({}, jnp.ones((1, 4, 5, 6, 2))).shape
      (1, 5, 6, 9, 2)
    """

    _axes = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """Surrounds sequences with repetitions of the edge.

    Mirrors `torch.nn.ReplicationPad1d` on channels-last input; `ReplicationPad2d` for sequences,
    `(n, l, c)`, with `padding` (left, right).

    Example:
      >>> import jax.numpy as jnp
      >>> ReplicationPad1d((1, 2)).apply({}, jnp.ones((1, 5, 2))).shape
      (1, 8, 2)
    """

    _axes = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """Surrounds images with repetitions of the edge.

    Mirrors `torch.nn.ReplicationPad2d` on channels-last input.

    Attributes:
      padding: Pixels for every side, or (left, right, top, bottom); negative numbers cut.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same axes, `h_out = top + h + bottom`,
      `w_out = left + w + right`.

    Raises:
      ValueError: If `padding` is not 4 long, the input has other axes, or more is cut than there
        is.
      TypeError: If `padding` is not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
      >>> ReplicationPad2d((2, 0, 0, 0)).apply({}, x).ravel().tolist()
      [1, 1, 1, 2, 3]
    """

    _axes = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """Surrounds volumes with repetitions of the edge.

    Mirrors `torch.nn.ReplicationPad3d` on channels-last input; `ReplicationPad2d` for volumes,
    `(n, d, h, w, c)`, with `padding` (left, right, top, bottom, front, back).

    Example:
      >>> import jax.numpy as jnp
      >>> ReplicationPad3d((1, 2, 1, 0, 0, 1)).apply({}, jnp.ones((1, 4, 5, 6, 2))).shape
      (1, 5, 6, 9, 2)
    """

    _axes = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """Surrounds sequences with what is on the other side.

    Mirrors `torch.nn.CircularPad1d` on channels-last input; `CircularPad2d` for sequences,
    `(n, l, c)`, with `padding` (left, right).

    Example:
      >>> import jax.numpy as jnp
      >>> CircularPad1d((1, 2)).apply({}, jnp.ones((1, 5, 2))).shape
      (1, 8, 2)
    """

    _axes = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """Surrounds images with what is on the other side.

    Mirrors `torch.nn.CircularPad2d` on channels-last input.

    Attributes:
      padding: Pixels for every side, or (left, right, top, bottom); negative numbers cut.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same axes, `h_out = top + h + bottom`,
      `w_out = left + w + right`.

    Raises:
      ValueError: If `padding` is not 4 long, the input has other axes, or more is cut than
        there is, or an axis is shorter than its padding.
      TypeError: If `padding` is not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.array([1, 2, 3]).reshape(1, 1, 3, 1)
      >>> CircularPad2d((2, 0, 0, 0)).apply({}, x).ravel().tolist()
      [2, 3, 1, 2, 3]
    """

    _axes = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """Surrounds volumes with what is on the other side.

    Mirrors `torch.nn.CircularPad3d` on channels-last input; `CircularPad2d` for volumes,
    `(n, d, h, w, c)`, with `padding` (left, right, top, bottom, front, back).

    Example:
      >>> import jax.numpy as jnp
      >>> CircularPad3d((1, 2, 1, 0, 0, 1)).apply({}, jnp.ones((1, 4, 5, 6, 2))).shape
      (1, 5, 6, 9, 2)
    """

    _axes = 3
    _mode = "circular"
