"""Normalisation. Mirrors the normalisation functions of torch.nn.functional."""

from __future__ import annotations

import math
from typing import Literal, overload

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating


@overload
def batch_norm(
    input: ArrayLike,
    running_mean: None,
    running_var: None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array: ...
@overload
def batch_norm(
    input: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: Literal[False] = False,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array: ...
@overload
def batch_norm(
    input: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    training: Literal[True],
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> tuple[jax.Array, jax.Array, jax.Array]: ...
def batch_norm(
    input: ArrayLike,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    training: bool = False,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array | tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each channel by the batch's statistics (training) or the running ones.

    Mirrors `torch.nn.functional.batch_norm` on channels-last input. Nothing is written in place:
    the new running statistics are returned. The batch is normalised with the biased variance;
    the running variance takes in the unbiased one.

    Args:
      input: `(n, *spatial, c)`.
      running_mean: `(c,)`, or None.
      running_var: `(c,)`, or None.
      weight: Scale `(c,)`, or None.
      bias: Shift `(c,)`, or None.
      training: Whether to use the batch's statistics.
      momentum: Weight of the new value in the running statistics.
      eps: Added to the variance.

    Returns:
      The output, or `(output, running_mean, running_var)` when `training` and running statistics
      are given.

    Raises:
      ValueError: If the statistics do not fit, are missing in evaluation, or a training batch has
        one value a channel.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> x = jnp.full((2, 4, 4, 1), 3.0)
      >>> y, mean, var = batch_norm(x, jnp.zeros(1), jnp.ones(1), training=True)
      >>> round(float(mean[0]), 6), round(float(var[0]), 6)
      (0.3, 0.9)
    """
    x = jnp.asarray(input)
    check_floating("batch_norm", x)
    _check_shapes(x, running_mean, running_var, weight, bias)
    # Half precision would lose the statistics: they are computed in at least float32.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if training:
        count = math.prod(x.shape[:-1])
        rule = "training needs more than one value per channel"
        check(count > 1, "batch_norm", rule, shape=x.shape)
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(wide, axes)
        # Two passes: E[x^2] - E[x]^2 cancels where the mean is large against the deviation.
        var = jnp.mean(jnp.square(wide - mean), axes)
    else:
        if running_mean is None or running_var is None:
            raise ValueError(
                "batch_norm: evaluation needs running statistics, got running_mean="
                f"{running_mean!r}, running_var={running_var!r}; pass them or training=True."
            )
        count, mean, var = 0, jnp.asarray(running_mean), jnp.asarray(running_var)
    scale = lax.rsqrt(var + eps)
    y = (wide - mean) * (scale if weight is None else scale * jnp.asarray(weight))
    y = (y if bias is None else y + jnp.asarray(bias)).astype(x.dtype)
    if not training or running_mean is None or running_var is None:
        return y
    old_mean, old_var = jnp.asarray(running_mean), jnp.asarray(running_var)
    unbiased = var * (count / (count - 1))
    share = jnp.asarray(momentum)
    new_mean = ((1 - share) * old_mean + share * mean).astype(old_mean.dtype)
    new_var = ((1 - share) * old_var + share * unbiased).astype(old_var.dtype)
    return y, lax.stop_gradient(new_mean), lax.stop_gradient(new_var)


def _check_shapes(x: jax.Array, *per_channel: ArrayLike | None) -> None:
    check(x.ndim >= 2, "batch_norm", "input must be (n, *spatial, c)", shape=x.shape)
    running_mean, running_var = per_channel[:2]
    both = (running_mean is None) == (running_var is None)
    rule = "running_mean and running_var must be given together"
    check(both, "batch_norm", rule, running_mean=running_mean, running_var=running_var)
    names = ("running_mean", "running_var", "weight", "bias")
    for name, value in zip(names, per_channel, strict=True):
        if value is not None:
            shape = jnp.shape(value)
            channels_first = x.ndim > 2 and shape == x.shape[1:2]
            fix = "it looks channels-first: use jaxcnn.layout.to_channels_last"
            rule = f"{name} must have one entry for each channel of the input {x.shape}"
            fits = shape == x.shape[-1:]
            check(fits, "batch_norm", rule, fix if channels_first else "", shape=shape)
