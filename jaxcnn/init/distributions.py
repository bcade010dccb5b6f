"""Initialisers that draw every entry alike. Mirrors torch.nn.init's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from jaxcnn._checks import check

Initializer = Callable[..., jax.Array]


def drawn_in(dtype: Any) -> Any:
    """The dtype to draw in before rounding to `dtype`.

    Half precision is drawn in float32, as PyTorch does: eight random bits make no distribution.
    """
    return jnp.promote_types(dtype, jnp.float32)


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """Values from U(a, b). Mirrors `torch.nn.init.uniform_`.

    Args:
      a: The lower bound.
      b: The upper bound.

    Raises:
      ValueError: If `a` is above `b`.

    Example:
      >>> bool(jnp.all(uniform(2.0, 3.0)(jax.random.key(0), (8,)) >= 2.0))
      True
    """
    check(a <= b, "uniform", "a must not be above b", a=a, b=b)

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, tuple(shape), drawn_in(dtype), a, b).astype(dtype)

    return initializer


def normal(mean: float = 0.0, std: float = 1.0) -> Initializer:
    """Values from N(mean, std^2). Mirrors `torch.nn.init.normal_`.

    Args:
      mean: The mean.
      std: The standard deviation.

    Raises:
      ValueError: If `std` is negative.

    Example:
      >>> normal(0.0, 0.01)(jax.random.key(0), (6, 1, 5, 5)).shape
      (6, 1, 5, 5)
    """
    check(std >= 0, "normal", "std must not be negative", std=std)

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        x = jax.random.normal(key, tuple(shape), drawn_in(dtype))
        return (mean + std * x).astype(dtype)

    return initializer


def trunc_normal(
    mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Initializer:
    """Values from N(mean, std^2), given that they lie in [a, b].

    Mirrors `torch.nn.init.trunc_normal_`; the bounds are values, not multiples of `std`. Where
    PyTorch rejects and draws again, this inverts the distribution function.

    Args:
      mean: The mean of the normal distribution, not of what is left of it.
      std: The standard deviation of the normal distribution.
      a: The smallest value.
      b: The largest value.

    Raises:
      ValueError: If `std` is not positive, `a` is above `b`, or [a, b] is more than 10 `std` away
        from `mean`, where float32 cannot hold the probability.

    Example:
      >>> x = trunc_normal(std=0.02, a=-0.04, b=0.04)(jax.random.key(0), (64, 64))
      >>> bool(jnp.abs(x).max() <= 0.04)
      True
    """
    check(std > 0, "trunc_normal", "std must be positive", std=std)
    check(a <= b, "trunc_normal", "a must not be above b", a=a, b=b)
    lower, upper = (a - mean) / std, (b - mean) / std
    rule = "[a, b] must come within 10 std of mean"
    near = lower <= 10 and upper >= -10
    check(near, "trunc_normal", rule, mean=mean, std=std, a=a, b=b)
    # In the upper tail the distribution function rounds to 1; its mirror image has full precision.
    sign = -1.0 if lower > 0 else 1.0
    if lower > 0:
        lower, upper = -upper, -lower

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        real = drawn_in(dtype)
        first, last = (ndtr(jnp.asarray(edge, real)) for edge in (lower, upper))
        # Never 0, which would be drawn as the far end of an interval that hardly reaches there.
        u = jax.random.uniform(key, tuple(shape), real, jnp.finfo(real).eps / 2)
        x = mean + std * sign * ndtri(first + u * (last - first))
        return jnp.clip(x, a, b).astype(dtype)

    return initializer


def constant(val: float) -> Initializer:
    """The value `val` everywhere. Mirrors `torch.nn.init.constant_`.

    Example:
      >>> constant(0.5)(jax.random.key(0), (2,)).tolist()
      [0.5, 0.5]
    """

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        del key
        return jnp.full(tuple(shape), val, dtype)

    return initializer


def ones() -> Initializer:
    """Ones. Mirrors `torch.nn.init.ones_`.

    Example:
      >>> ones()(jax.random.key(0), (2,)).tolist()
      [1.0, 1.0]
    """
    return constant(1.0)


def zeros() -> Initializer:
    """Zeros. Mirrors `torch.nn.init.zeros_`.

    Example:
      >>> zeros()(jax.random.key(0), (2,)).tolist()
      [0.0, 0.0]
    """
    return constant(0.0)
