"""What the normalisations share: statistics in at least float32, then scale and shift."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check


def mean_and_variance(
    x: jax.Array, axes: Sequence[int], axis_name: str | tuple[str, ...] | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over `axes`, which stay with size 1; of nothing, both are 0.

    Args:
      x: At least float32.
      axes: Axes to average over.
      axis_name: Mapped axes to average over as well; every device holds as many values.

    Example:
      >>> mean_and_variance(jnp.array([1.0, 3.0]), (0,))
      (Array([2.], dtype=float32), Array([1.], dtype=float32))
    """
    count = max(math.prod(x.shape[axis] for axis in axes), 1)

    def average(values: jax.Array) -> jax.Array:
        local = jnp.sum(values, tuple(axes), keepdims=True) / count
        return local if axis_name is None else lax.pmean(local, axis_name)

    mean = average(x)
    # Two passes: E[x^2] - E[x]^2 cancels where the mean is large against the deviation.
    return mean, average(jnp.square(x - mean))


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
