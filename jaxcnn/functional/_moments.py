"""What the normalisations share: statistics in at least float32, then scale and shift."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def standardized(
    x: jax.Array,
    scale: jax.Array | None,
    axes: tuple[int, ...],
    eps: float,
    axis_name: str | tuple[str, ...] | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Subtracts the mean over `axes` and divides by the deviation.

    The gradient reads the input once for its two sums and once more for itself. The derivative of
    the formula reads it about twice as often.

    Args:
      x: At least float32.
      scale: Factor that is constant along `axes`, or None.
      axes: Axes to average over.
      eps: Added to the variance.
      axis_name: Mapped axes to average over as well; every device holds as many values.

    Returns:
      The values, and their mean and biased variance before, with size 1 in place of `axes`.

    Example:
      >>> y, mean, var = standardized(jnp.array([1.0, 3.0]), None, (0,), 0.0)
      >>> y.tolist(), mean.tolist(), var.tolist()
      ([-1.0, 1.0], [2.0], [1.0])
    """
    mean = _average(x, axes, axis_name)
    # Two passes: E[x^2] - E[x]^2 cancels where the mean is large against the deviation.
    var = _average(jnp.square(x - mean), axes, axis_name)
    inverse = lax.rsqrt(var + eps)
    # One factor a channel, so that each value is multiplied once.
    return (x - mean) * (inverse if scale is None else inverse * scale), mean, var


@standardized.defjvp
def _standardized_jvp(
    axes: tuple[int, ...],
    eps: float,
    axis_name: str | tuple[str, ...] | None,
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
) -> tuple[Any, Any]:
    (x, scale), (dx, dscale) = primals, tangents
    y, mean, var = standardized(x, scale, axes, eps, axis_name)
    inverse = lax.rsqrt(var + eps)
    normal = (x - mean) * inverse
    factor = inverse if scale is None else inverse * scale
    dmean, along = _average(dx, axes, axis_name), _average(normal * dx, axes, axis_name)
    # Transposed, the factors come after the sums, which are also the gradients of scale and bias.
    dy = factor * dx - factor * dmean - normal * (factor * along)
    if scale is not None:
        dy += normal * dscale
    return (y, mean, var), (dy, dmean, 2 * along / inverse)


def _average(
    x: jax.Array, axes: tuple[int, ...], axis_name: str | tuple[str, ...] | None
) -> jax.Array:
    """The mean over `axes`, which stay with size 1; of nothing it is 0."""
    count = max(math.prod(x.shape[axis] for axis in axes), 1)
    local = jnp.sum(x, axes, keepdims=True) / count
    return local if axis_name is None else lax.pmean(local, axis_name)


def scaled_and_shifted(
    x: jax.Array, weight: ArrayLike | None, bias: ArrayLike | None, dtype: jnp.dtype
) -> jax.Array:
    """Scales by `weight` and shifts by `bias`, either may be missing, and rounds once to `dtype`.

    Example:
      >>> scaled_and_shifted(jnp.ones(2), 3.0, None, jnp.dtype("bfloat16")).tolist()
      [3.0, 3.0]
    """
    x = x if weight is None else x * jnp.asarray(weight)
    return (x if bias is None else x + jnp.asarray(bias)).astype(dtype)


def check_per_channel(where: str, shape: tuple[int, ...], **values: ArrayLike | None) -> None:
    """Raises unless each given value has one entry for each channel; recognises channels-first.

    Example:
      >>> check_per_channel("group_norm", (8, 32, 32, 4), weight=jnp.ones(3))
      Traceback (most recent call last):
      ValueError: group_norm: weight must have one entry for each channel of the input \
(8, 32, 32, 4), got shape=(3,).
    """
    for name, value in values.items():
        if value is not None:
            have = jnp.shape(value)
            channels_first = len(shape) > 2 and have == shape[1:2]
            fix = "it looks channels-first: use jaxcnn.layout.to_channels_last"
            rule = f"{name} must have one entry for each channel of the input {shape}"
            check(have == shape[-1:], where, rule, fix if channels_first else "", shape=have)
