"""Softmax layers. Mirrors torch.nn's."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn import functional as F
from jaxcnn._checks import check, check_type, is_int
from jaxcnn.nn.activation import shown


class Softmax(nn.Module):
    """exp(x) / sum(exp(x)) along an axis.

    Mirrors `torch.nn.Softmax`; `dim` counts in the array as given, so PyTorch's channel axis 1 is
    -1 here.

    Attributes:
      dim: The axis that sums to one. None, deprecated in PyTorch, is the last axis of an array of
        up to two axes, and an error for others.

    Raises:
      ValueError: If there is no such axis, or `dim` is None and the array has over two axes.
      TypeError: If `dim` is not an integer.

    Example:
      >>> Softmax(-1).apply({}, jnp.zeros((1, 4))).tolist()
      [[0.25, 0.25, 0.25, 0.25]]
    """

    dim: int | None = None

    def __post_init__(self) -> None:
        _check_dim("Softmax", self.dim)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(dim=self.dim)


class Softmax2d(nn.Module):
    """Softmax over the channels of each pixel.

    Mirrors `torch.nn.Softmax2d` on channels-last input.

    Shape:
      `(n, h, w, c)` or `(h, w, c)` -> the same.

    Raises:
      ValueError: If the input is not images.

    Example:
      >>> Softmax2d().apply({}, jnp.zeros((1, 1, 1, 2))).tolist()
      [[[[0.5, 0.5]]]]
    """

    def __call__(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        rule = "input must be (n, h, w, c) or (h, w, c)"
        check(x.ndim in (3, 4), "Softmax2d", rule, shape=x.shape)
        return F.softmax(x, -1)


class LogSoftmax(nn.Module):
    """log(softmax(x)) along an axis, without overflow.

    Mirrors `torch.nn.LogSoftmax`; `dim` and errors as in `Softmax`.

    Attributes:
      dim: The axis whose exponentials sum to one.

    Example:
      >>> LogSoftmax(-1).apply({}, jnp.array([[0.0, 1e4]])).tolist()
      [[-10000.0, 0.0]]
    """

    dim: int | None = None

    def __post_init__(self) -> None:
        _check_dim("LogSoftmax", self.dim)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.log_softmax(x, self.dim)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(dim=self.dim)


class Softmin(nn.Module):
    """softmax(-x) along an axis.

    Mirrors `torch.nn.Softmin`; `dim` and errors as in `Softmax`.

    Attributes:
      dim: The axis that sums to one.

    Example:
      >>> Softmin(-1).apply({}, jnp.array([[0.0, 1e4]])).tolist()
      [[1.0, 0.0]]
    """

    dim: int | None = None

    def __post_init__(self) -> None:
        _check_dim("Softmin", self.dim)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.softmin(x, self.dim)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(dim=self.dim)


def _check_dim(where: str, dim: int | None) -> None:
    check_type(dim is None or is_int(dim), where, "dim must be an int or None", dim=dim)
