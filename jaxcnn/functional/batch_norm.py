"""Normalisation with running statistics. Mirrors torch.nn.functional's batch and instance norm."""

from __future__ import annotations

import math
from typing import Literal, overload

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating
from jaxcnn.functional._moments import (
    check_per_channel,
    scaled_and_shifted,
    standardized,
)
from jaxcnn.functional._numbers import widened


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
    *,
    axis_name: str | tuple[str, ...] | None = None,
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
    *,
    axis_name: str | tuple[str, ...] | None = None,
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
    axis_name: str | tuple[str, ...] | None = None,
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
    *,
    axis_name: str | tuple[str, ...] | None = None,
) -> jax.Array | tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each channel by the batch's statistics (training) or the running ones.

    Mirrors `torch.nn.functional.batch_norm` on channels-last input. Nothing is written in place:
    the new running statistics are returned. The batch is normalised with the biased variance;
    the running variance takes in the unbiased one. An empty batch leaves them as they are.

    Args:
      input: `(n, *spatial, c)`.
      running_mean: `(c,)`, or None.
      running_var: `(c,)`, or None.
      weight: Scale `(c,)`, or None.
      bias: Shift `(c,)`, or None.
      training: Whether to use the batch's statistics.
      momentum: Weight of the new value in the running statistics.
      eps: Added to the variance.
      axis_name: Mapped axes (of `jax.pmap`, `jax.shard_map` or `jax.vmap`) whose devices hold
        parts of one batch: training takes the statistics of the whole, as SyncBatchNorm does.

    Returns:
      The output, or `(output, running_mean, running_var)` when `training` and running statistics
      are given.

    Raises:
      ValueError: If the statistics do not fit, are missing in evaluation, or a training batch has
        one value a channel.
      TypeError: If `input` is not floating point.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> x = jnp.full((2, 4, 4, 1), 3.0)
      >>> y, mean, var = batch_norm(x, jnp.zeros(1), jnp.ones(1), training=True)
      >>> round(float(mean[0]), 6), round(float(var[0]), 6)
      (0.3, 0.9)
    """
    x = jnp.asarray(input)
    check_floating("batch_norm", x)
    # PyTorch takes an empty array of any shape.
    check(x.ndim >= 2 or x.size == 0, "batch_norm", "input must be (n, *spatial, c)", shape=x.shape)
    _check_statistics("batch_norm", x, running_mean, running_var, weight, bias)
    wide = widened(x)
    if not training:
        mean, var = _running("batch_norm", "training", running_mean, running_var)
        return _normalized(wide, mean, var, weight, bias, eps, x.dtype)
    count = math.prod(x.shape[:-1])
    if axis_name is not None:
        count *= lax.axis_size(axis_name)
    rule = "training needs more than one value per channel"
    check(count > 1 or x.size == 0, "batch_norm", rule, shape=x.shape)
    batch = tuple(range(x.ndim - 1))
    y, mean, var = standardized(wide, _as_array(weight), batch, eps, axis_name)
    y = scaled_and_shifted(y, None, bias, x.dtype)
    if running_mean is None or running_var is None:
        return y
    if x.size == 0:
        return y, jnp.asarray(running_mean), jnp.asarray(running_var)
    unbiased = var.ravel() * (count / (count - 1))
    return (
        y,
        _moved(running_mean, mean.ravel(), momentum),
        _moved(running_var, unbiased, momentum),
    )


@overload
def instance_norm(
    input: ArrayLike,
    running_mean: None = None,
    running_var: None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    use_input_stats: bool = True,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array: ...
@overload
def instance_norm(
    input: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    use_input_stats: Literal[True] = True,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> tuple[jax.Array, jax.Array, jax.Array]: ...
@overload
def instance_norm(
    input: ArrayLike,
    running_mean: ArrayLike,
    running_var: ArrayLike,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    *,
    use_input_stats: Literal[False],
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array: ...
def instance_norm(
    input: ArrayLike,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    use_input_stats: bool = True,
    momentum: ArrayLike = 0.1,
    eps: float = 1e-5,
) -> jax.Array | tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises each channel of each image by its own statistics, or by the running ones.

    Mirrors `torch.nn.functional.instance_norm` on channels-last input. Nothing is written in
    place: the new running statistics are returned. They take in the mean over the batch of each
    image's mean and unbiased variance. An empty batch leaves them as they are.

    Args:
      input: `(n, *spatial, c)`.
      running_mean: `(c,)`, or None.
      running_var: `(c,)`, or None.
      weight: Scale `(c,)`, or None.
      bias: Shift `(c,)`, or None.
      use_input_stats: Whether to use each image's statistics rather than the running ones.
      momentum: Weight of the new value in the running statistics.
      eps: Added to the variance.

    Returns:
      The output, or `(output, running_mean, running_var)` when `use_input_stats` and running
      statistics are given.

    Raises:
      ValueError: If the statistics do not fit, are missing without `use_input_stats`, or an image
        has one pixel.
      TypeError: If `input` is not floating point.

    Source: Ulyanov et al., 2016.

    Example:
      >>> x = jnp.array([1.0, 3.0, 10.0, 30.0]).reshape(2, 2, 1)
      >>> instance_norm(x)[..., 0].round(3).tolist()
      [[-1.0, 1.0], [-1.0, 1.0]]
    """
    x = jnp.asarray(input)
    check_floating("instance_norm", x)
    check(x.ndim >= 2, "instance_norm", "input must be (n, *spatial, c)", shape=x.shape)
    _check_statistics("instance_norm", x, running_mean, running_var, weight, bias)
    wide = widened(x)
    if not use_input_stats:
        mean, var = _running("instance_norm", "use_input_stats", running_mean, running_var)
        return _normalized(wide, mean, var, weight, bias, eps, x.dtype)
    count = math.prod(x.shape[1:-1])
    rule = "an image's statistics need more than one pixel"
    check(count > 1 or x.size == 0, "instance_norm", rule, shape=x.shape)
    y, mean, var = standardized(wide, _as_array(weight), tuple(range(1, x.ndim - 1)), eps)
    y = scaled_and_shifted(y, None, bias, x.dtype)
    if running_mean is None or running_var is None:
        return y
    if x.size == 0:
        return y, jnp.asarray(running_mean), jnp.asarray(running_var)
    batch = tuple(range(x.ndim - 1))
    unbiased = jnp.mean(var, batch) * (count / (count - 1))
    return (
        y,
        _moved(running_mean, jnp.mean(mean, batch), momentum),
        _moved(running_var, unbiased, momentum),
    )


def _check_statistics(
    where: str,
    x: jax.Array,
    running_mean: ArrayLike | None,
    running_var: ArrayLike | None,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
) -> None:
    both = (running_mean is None) == (running_var is None)
    rule = "running_mean and running_var must be given together"
    check(both, where, rule, running_mean=running_mean, running_var=running_var)
    statistics = {"running_mean": running_mean, "running_var": running_var}
    check_per_channel(where, x.shape, **statistics, weight=weight, bias=bias)


def _running(
    where: str, flag: str, running_mean: ArrayLike | None, running_var: ArrayLike | None
) -> tuple[jax.Array, jax.Array]:
    if running_mean is None or running_var is None:
        raise ValueError(
            f"{where}: evaluation needs running statistics, got running_mean={running_mean!r}, "
            f"running_var={running_var!r}; pass them or {flag}=True."
        )
    return widened(jnp.asarray(running_mean)), widened(jnp.asarray(running_var))


def _normalized(
    wide: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    weight: ArrayLike | None,
    bias: ArrayLike | None,
    eps: float,
    dtype: jnp.dtype,
) -> jax.Array:
    scale = lax.rsqrt(var + eps)
    # One factor a channel, so that each value is multiplied once.
    factor = scale if weight is None else scale * jnp.asarray(weight)
    return scaled_and_shifted(wide - mean, factor, bias, dtype)


def _as_array(value: ArrayLike | None) -> jax.Array | None:
    return None if value is None else jnp.asarray(value)


def _moved(old: ArrayLike, new: jax.Array, momentum: ArrayLike) -> jax.Array:
    """The running statistic a step on; no gradient goes through it."""
    old, share = jnp.asarray(old), jnp.asarray(momentum)
    moved = (1 - share) * widened(old) + share * new
    return lax.stop_gradient(moved.astype(old.dtype))
