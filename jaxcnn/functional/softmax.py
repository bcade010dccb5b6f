"""Softmax and its kin. Mirrors torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxcnn._checks import check
from jaxcnn.functional._numbers import axis_of, elementwise


def softmax(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """exp(x) / sum(exp(x)) along an axis.

    Mirrors `torch.nn.functional.softmax`; `dim` counts in the array as given, so PyTorch's channel
    axis 1 is -1 here.

    Args:
      input: An array of any shape.
      dim: The axis that sums to one. None, deprecated in PyTorch, is the last axis of an array of
        up to two axes; with more axes PyTorch's choice would be another one in channels-last.
      _stacklevel: Accepted and without effect.
      dtype: Type to cast the input to first.

    Raises:
      ValueError: If there is no such axis, or `dim` is None and the array has over two axes.
      TypeError: If the input is not floating point (after the cast) or `dim` is not an integer.

    Example:
      >>> softmax(jnp.zeros((2, 4)), dim=-1)[0].tolist()
      [0.25, 0.25, 0.25, 0.25]
    """
    del _stacklevel
    return _along("softmax", jax.nn.softmax, input, dim, dtype)


def log_softmax(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """log(softmax(x)) along an axis, without overflow.

    Mirrors `torch.nn.functional.log_softmax`; arguments and errors as in `softmax`.

    Example:
      >>> log_softmax(jnp.array([[0.0, 1e4]]), dim=-1).tolist()
      [[-10000.0, 0.0]]
    """
    del _stacklevel
    return _along("log_softmax", jax.nn.log_softmax, input, dim, dtype)


def softmin(
    input: ArrayLike,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: DTypeLike | None = None,
) -> jax.Array:
    """softmax(-x) along an axis.

    Mirrors `torch.nn.functional.softmin`; arguments and errors as in `softmax`.

    Example:
      >>> softmin(jnp.array([[0.0, 1e4]]), dim=-1).tolist()
      [[1.0, 0.0]]
    """
    del _stacklevel
    return _along("softmin", lambda x, axis: jax.nn.softmax(-x, axis), input, dim, dtype)


def _along(
    where: str,
    function: Callable[[jax.Array, int], jax.Array],
    input: ArrayLike,
    dim: int | None,
    dtype: DTypeLike | None,
) -> jax.Array:
    x = jnp.asarray(input, dtype)
    if dim is None:
        rule = "dim must be given for an array of more than two axes"
        check(x.ndim <= 2, where, rule, "dim=-1 is the channel axis", dim=dim, shape=x.shape)
        dim = -1
    axis = axis_of(where, dim, x.ndim)
    # A number alone is its own axis, as in PyTorch.
    return elementwise(where, lambda x: function(jnp.atleast_1d(x), axis).reshape(x.shape), x)
