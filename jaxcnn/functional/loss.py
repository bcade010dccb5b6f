"""Losses. Mirrors the loss functions of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating

REDUCTIONS = ("none", "mean", "sum")


def cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> jax.Array:
    """Softmax cross entropy between logits and class indices or class probabilities.

    Mirrors `torch.nn.functional.cross_entropy`; the class axis is the last one. A class index
    outside the classes, which PyTorch refuses, gives NaN here (values are unknown under jit).

    Args:
      input: Logits `(n, *spatial, classes)` or `(classes,)`.
      target: Class indices `(n, *spatial)`, or probabilities with the shape of `input`.
      weight: Weight of each class, `(classes,)`. With indices the mean divides by the sum of the
        targets' weights.
      size_average: Deprecated in PyTorch; see `reduction`.
      ignore_index: Targets with this index count neither in the sum nor in the mean.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).
      label_smoothing: Share of the target that is spread over all classes, 0 to 1.

    Raises:
      ValueError: If shapes, `reduction` or `label_smoothing` do not fit.

    Example:
      >>> round(float(cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]))), 4)
      0.1269
    """
    x, y = jnp.asarray(input), jnp.asarray(target)
    reduction = _legacy_reduction(size_average, reduce, reduction)
    _check_cross_entropy(x, y, weight, reduction, label_smoothing)
    # Half precision sums in float32, as PyTorch does.
    log_p = jax.nn.log_softmax(x.astype(jnp.promote_types(x.dtype, jnp.float32)), axis=-1)
    class_weight = jnp.ones(x.shape[-1], log_p.dtype) if weight is None else jnp.asarray(weight)
    weighted = log_p * class_weight.astype(log_p.dtype)
    spread = label_smoothing / x.shape[-1]
    if x.shape == y.shape:
        share = y.astype(log_p.dtype) * (1 - label_smoothing) + spread
        losses = -jnp.sum(weighted * share, axis=-1)
        total_weight = jnp.asarray(losses.size, log_p.dtype)
    else:
        y = y.astype(jnp.promote_types(y.dtype, jnp.int32))
        counts = y != ignore_index
        known = (y >= 0) & (y < x.shape[-1])
        index = jnp.where(known, y, 0)
        picked = jnp.take_along_axis(weighted, index[..., None], axis=-1)[..., 0]
        losses = -(1 - label_smoothing) * picked
        if label_smoothing > 0:  # a class ruled out by a logit of -inf must not turn 0 into NaN
            losses = losses - spread * jnp.sum(weighted, axis=-1)
        losses = jnp.where(counts, jnp.where(known, losses, jnp.nan), 0)
        total_weight = jnp.sum(jnp.where(counts, class_weight[index].astype(log_p.dtype), 0))
    if reduction == "none":
        return losses.astype(x.dtype)
    total = jnp.sum(losses)
    return (total / total_weight if reduction == "mean" else total).astype(x.dtype)


def _legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """PyTorch's reading of its two deprecated arguments."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def _check_cross_entropy(
    x: jax.Array, y: jax.Array, weight: ArrayLike | None, reduction: str, label_smoothing: float
) -> None:
    where = "cross_entropy"
    check_floating(where, x)
    check(x.ndim >= 1, where, "input must be (n, *spatial, classes)", shape=x.shape)
    check(reduction in REDUCTIONS, where, f"must be one of {REDUCTIONS}", reduction=reduction)
    ok = 0 <= label_smoothing <= 1
    check(ok, where, "label_smoothing must be in 0..1", label_smoothing=label_smoothing)
    channels_first = x.ndim > 2 and (x.shape[0], *x.shape[2:]) == y.shape
    rule = f"target must be {x.shape[:-1]} indices or {x.shape} probabilities"
    fix = "it looks channels-first: use jaxcnn.layout.to_channels_last"
    fits = y.shape in (x.shape, x.shape[:-1])
    check(fits, where, rule, fix if channels_first else "", shape=y.shape)
    floating = jnp.issubdtype(y.dtype, jnp.floating)
    rule = "class indices must be integers, probabilities floating point"
    check(floating == (y.shape == x.shape), where, rule, dtype=str(y.dtype), shape=y.shape)
    if weight is not None:
        shape = jnp.shape(weight)
        check(shape == x.shape[-1:], where, f"weight must be {x.shape[-1:]}", shape=shape)
