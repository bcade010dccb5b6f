"""What numbers a function takes, and the precision it computes in."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxcnn._checks import check, check_floating, check_type, is_int


def wide_dtype(dtype: DTypeLike) -> jnp.dtype:
    """What PyTorch computes in: float32 for half precision; other types stay.

    Example:
      >>> wide_dtype(jnp.bfloat16), wide_dtype(jnp.int32)
      (dtype('float32'), dtype('int32'))
    """
    floating = jnp.issubdtype(dtype, jnp.floating)
    return jnp.promote_types(dtype, jnp.float32) if floating else jnp.dtype(dtype)


def widened(x: jax.Array) -> jax.Array:
    """An array in the type that PyTorch computes in.

    Example:
      >>> widened(jnp.ones(2, jnp.bfloat16)).dtype
      dtype('float32')
    """
    return x.astype(wide_dtype(x.dtype))


def elementwise(
    where: str, function: Callable[[jax.Array], jax.Array], input: ArrayLike
) -> jax.Array:
    """`function` of a floating point array, computed in at least float32, in the array's dtype.

    Raises:
      TypeError: If the array is not floating point.
    """
    x = jnp.asarray(input)
    check_floating(where, x)
    return function(widened(x)).astype(x.dtype)


def real(where: str, input: ArrayLike) -> jax.Array:
    """An array of floating point numbers or integers.

    Raises:
      TypeError: If it is boolean or complex.
    """
    x = jnp.asarray(input)
    ok = jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)
    check_type(ok, where, "input must be real numbers", dtype=str(x.dtype))
    return x


def as_floating(input: ArrayLike) -> jax.Array:
    """Integers and booleans as float32, PyTorch's default type; other types stay.

    Example:
      >>> as_floating(jnp.array([True])).dtype
      dtype('float32')
    """
    x = jnp.asarray(input)
    whole = jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == jnp.bool_
    return x.astype(jnp.float32) if whole else x


def axis_of(where: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front; a number without axes counts as an array with one.

    Raises:
      TypeError: If `dim` is not an integer.
      ValueError: If there is no such axis.

    Example:
      >>> axis_of("glu", -1, 4)
      3
    """
    check_type(is_int(dim), where, "dim must be an int", dim=dim)
    axes = max(ndim, 1)
    check(-axes <= dim < axes, where, f"dim must be an axis of the {ndim}-D array", dim=dim)
    return dim % axes
