"""Losses of regression and of distributions. Mirrors those of torch.nn.functional."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating
from jaxcnn.functional._kinks import absolute, straight_through_clamp_min
from jaxcnn.functional._reduction import (
    REDUCTIONS,
    check_broadcast,
    check_reduction,
    check_same_shape,
    reduce_losses,
    resolve_reduction,
    warn_if_broadcast,
    widen,
)


def mse_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Squared error.

    Mirrors `torch.nn.functional.mse_loss`. Other shapes than the input's are broadcast, with a
    warning.

    Args:
      input: Predictions, any shape.
      target: Targets, the shape of `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      weight: Factor of each error, the shape of `input`; the mean divides by its sum.

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> float(mse_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
      2.0
    """
    where = "mse_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    warn_if_broadcast(where, input, target)
    dtype, (x, y) = widen(input, target)
    return _reduce_weighted(where, jnp.square(x - y), x, weight, reduction, dtype)


def l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Absolute error.

    Mirrors `torch.nn.functional.l1_loss`, with its gradient of 0 at an error of 0. Other shapes
    than the input's are broadcast, with a warning.

    Args:
      input: Predictions, any shape.
      target: Targets, the shape of `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      weight: Factor of each error, the shape of `input`; the mean divides by its sum.

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> float(l1_loss(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
      1.0
    """
    where = "l1_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    warn_if_broadcast(where, input, target)
    dtype, (x, y) = widen(input, target)
    return _reduce_weighted(where, absolute(x - y), x, weight, reduction, dtype)


def smooth_l1_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> jax.Array:
    """Absolute error, less `beta / 2`; under `beta` the parabola `error^2 / (2 * beta)`.

    Mirrors `torch.nn.functional.smooth_l1_loss`. Other shapes than the input's are broadcast,
    with a warning.

    Args:
      input: Predictions, any shape.
      target: Targets, the shape of `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      beta: Error at which the parabola ends; 0 gives `l1_loss`.

    Raises:
      ValueError: If shapes, `reduction` or `beta` do not fit.
      TypeError: If `input` is not floating point.

    Source: Girshick, Fast R-CNN, 2015.

    Example:
      >>> smooth_l1_loss(jnp.array([0.5, 3.0]), jnp.zeros(2), reduction="none").tolist()
      [0.125, 2.5]
    """
    where = "smooth_l1_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check(beta >= 0, where, "beta must not be negative", beta=beta)
    warn_if_broadcast(where, input, target)
    dtype, (x, y) = widen(input, target)
    error = absolute(x - y)
    if beta > 0:
        error = jnp.where(error < beta, jnp.square(error) / (2 * beta), error - beta / 2)
    return reduce_losses(error, reduction, dtype)


def huber_loss(
    input: ArrayLike,
    target: ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: ArrayLike | None = None,
) -> jax.Array:
    """Half the squared error up to an error of `delta`; from there on a line of slope `delta`.

    Mirrors `torch.nn.functional.huber_loss`. Other shapes than the input's are broadcast, with a
    warning.

    Args:
      input: Predictions, any shape.
      target: Targets, the shape of `input`.
      reduction: "mean", "sum" or "none".
      delta: Error at which the line begins.
      weight: Factor of each loss, the shape of `input`. Unlike in `mse_loss` and `l1_loss`, the
        mean divides by the number of losses.

    Raises:
      ValueError: If shapes, `reduction` or `delta` do not fit.
      TypeError: If `input` is not floating point.

    Source: Huber, 1964.

    Example:
      >>> huber_loss(jnp.array([1.0, 3.0]), jnp.zeros(2), reduction="none", delta=2.0).tolist()
      [0.5, 4.0]
    """
    where = "huber_loss"
    check_floating(where, jnp.asarray(input))
    check_reduction(where, reduction)
    check(delta > 0, where, "delta must be positive", delta=delta)
    warn_if_broadcast(where, input, target)
    dtype, (x, y) = widen(input, target)
    error = absolute(x - y)
    losses = jnp.where(error <= delta, jnp.square(error) / 2, delta * (error - delta / 2))
    if weight is not None:
        check_same_shape(where, input=x, weight=weight)
        losses = losses * jnp.asarray(weight).astype(x.dtype)
    return reduce_losses(losses, reduction, dtype)


def kl_div(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> jax.Array:
    """Kullback-Leibler divergence of the distribution `input` from `target`, entry by entry.

    Mirrors `torch.nn.functional.kl_div`, without its warning that "mean" divides by the number of
    entries; the divergence itself is "batchmean".

    Args:
      input: Log probabilities, any shape.
      target: Probabilities, or their logarithms with `log_target`; broadcasts with `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum", "none" or "batchmean" (the sum over the length of the first axis).
      log_target: Whether `target` holds log probabilities.

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> p = jnp.array([[0.5, 0.5]])
      >>> round(float(kl_div(jnp.log(jnp.array([[0.25, 0.75]])), p, reduction="batchmean")), 4)
      0.1438
    """
    where = "kl_div"
    check_floating(where, jnp.asarray(input))
    allowed = (*REDUCTIONS, "batchmean")
    reduction = resolve_reduction(where, size_average, reduce, reduction, allowed)
    check_broadcast(where, input=input, target=target)
    dtype, (x, y) = widen(input, target)
    losses = jnp.exp(y) * (y - x) if log_target else jax.scipy.special.xlogy(y, y) - y * x
    if reduction != "batchmean":
        return reduce_losses(losses, reduction, dtype)
    return (jnp.sum(losses) / (x.shape[0] if x.ndim else 1)).astype(dtype)


def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of targets under normal distributions.

    Mirrors `torch.nn.functional.gaussian_nll_loss`. A negative variance in an array, which
    PyTorch refuses, gives NaN here (values are unknown under jit).

    Args:
      input: Means, any shape.
      target: Targets; broadcasts with `input`.
      var: Variances: a number, the shape of `input`, that shape with one axis of 1, or without
        the last axis.
      full: Whether to add the constant `log(2 * pi) / 2`.
      eps: Least variance; smaller ones count as this, but keep their gradient.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit, or `var` is a negative number.
      TypeError: If `input` is not floating point.

    Source: Nix and Weigend, 1994.

    Example:
      >>> float(gaussian_nll_loss(jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]), jnp.ones(2)))
      0.25
    """
    where = "gaussian_nll_loss"
    check_floating(where, jnp.asarray(input))
    check_reduction(where, reduction)
    if isinstance(var, int | float):
        check(var >= 0, where, "var must not be negative", var=var)
    check_broadcast(where, input=input, target=target)
    dtype, (x, y, v) = widen(input, target, var)
    v = _fitting_variance(where, v, x)
    v = straight_through_clamp_min(jnp.where(v < 0, jnp.nan, v), eps)
    losses = 0.5 * (jnp.log(v) + jnp.square(x - y) / v)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_losses(losses, reduction, dtype)


def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood of counts under Poisson distributions.

    Mirrors `torch.nn.functional.poisson_nll_loss`.

    Args:
      input: Expected counts, or their logarithms with `log_input`; any shape.
      target: Counts; broadcasts with `input`.
      log_input: Whether `input` holds logarithms.
      full: Whether to add Stirling's approximation of `log(target!)` where `target > 1`.
      size_average: Deprecated in PyTorch; see `reduction`.
      eps: Added to `input` before its logarithm is taken.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.

    Example:
      >>> float(poisson_nll_loss(jnp.zeros(2), jnp.array([1.0, 3.0])))
      1.0
    """
    where = "poisson_nll_loss"
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check_broadcast(where, input=input, target=target)
    dtype, (x, y) = widen(input, target)
    losses = jnp.exp(x) - y * x if log_input else x - y * jnp.log(x + eps)
    if full:
        stirling = y * jnp.log(y) - y + 0.5 * jnp.log(2 * math.pi * y)
        losses = losses + jnp.where(y > 1, stirling, 0)
    return reduce_losses(losses, reduction, dtype)


def _reduce_weighted(
    where: str,
    errors: jax.Array,
    x: jax.Array,
    weight: ArrayLike | None,
    reduction: str,
    dtype: Any,
) -> jax.Array:
    if weight is None:
        return reduce_losses(errors, reduction, dtype)
    check_same_shape(where, input=x, weight=weight)
    factors = jnp.asarray(weight).astype(x.dtype)
    if reduction == "mean":
        return (jnp.sum(errors * factors) / jnp.sum(factors)).astype(dtype)
    return reduce_losses(errors * factors, reduction, dtype)


def _fitting_variance(where: str, v: jax.Array, x: jax.Array) -> jax.Array:
    """`v` so that it broadcasts to `x`, in one of the shapes that PyTorch takes."""
    if v.shape in ((), x.shape):
        return v
    if v.shape == x.shape[:-1]:
        return v[..., None]
    differing = [a for a, b in zip(v.shape, x.shape, strict=False) if a != b]
    fits = v.ndim == x.ndim and differing == [1]
    rule = f"var must be a number, {x.shape}, that with one axis of 1, or {x.shape[:-1]}"
    check(fits, where, rule, shape=v.shape)
    return v
