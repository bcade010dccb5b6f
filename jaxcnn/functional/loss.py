"""Losses of classification. Mirrors the loss functions of torch.nn.functional."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_type
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._reduction import (
    check_same_shape,
    reduce_losses,
    resolve_reduction,
    widen,
)


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
      ValueError: If shapes, `reduction`, `label_smoothing` or `ignore_index` do not fit.
      TypeError: If `input` is not floating point, or indices are not integers.

    Example:
      >>> round(float(cross_entropy(jnp.array([[2.0, 0.0]]), jnp.array([0]))), 4)
      0.1269
    """
    where = "cross_entropy"
    x, y = jnp.asarray(input), jnp.asarray(target)
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_classes(where, x, y, weight, probabilities=True)
    ok = 0 <= label_smoothing <= 1
    check(ok, where, "label_smoothing must be in 0..1", label_smoothing=label_smoothing)
    soft = x.shape == y.shape
    rule = "probabilities take no ignore_index"
    check(not soft or ignore_index < 0, where, rule, ignore_index=ignore_index)
    # Half precision sums in float32, as PyTorch does.
    log_p = jax.nn.log_softmax(widened(x), axis=-1)
    class_weight = _class_weight(weight, log_p)
    if soft:
        share = y.astype(log_p.dtype) * (1 - label_smoothing) + label_smoothing / x.shape[-1]
        return reduce_losses(-jnp.sum(log_p * class_weight * share, axis=-1), reduction, x.dtype)
    losses, weights = _index_losses(log_p, y, class_weight, ignore_index, label_smoothing)
    return _reduce_by_weight(losses, weights, reduction, x.dtype)


def nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Negative log likelihood: minus the log probability of the target class.

    Mirrors `torch.nn.functional.nll_loss`; the class axis is the last one. A class index outside
    the classes, which PyTorch refuses, gives NaN here (values are unknown under jit).

    Args:
      input: Log probabilities `(n, *spatial, classes)` or `(classes,)`.
      target: Class indices `(n, *spatial)`.
      weight: Weight of each class, `(classes,)`. The mean divides by the sum of the targets'
        weights.
      size_average: Deprecated in PyTorch; see `reduction`.
      ignore_index: Targets with this index count neither in the sum nor in the mean.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point or `target` not integer.

    Example:
      >>> float(nll_loss(jnp.array([[-0.5, -1.0], [-2.0, -0.25]]), jnp.array([0, 1])))
      0.375
    """
    where = "nll_loss"
    x, y = jnp.asarray(input), jnp.asarray(target)
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_classes(where, x, y, weight, probabilities=False)
    log_p = widened(x)
    losses, weights = _index_losses(log_p, y, _class_weight(weight, log_p), ignore_index)
    return _reduce_by_weight(losses, weights, reduction, x.dtype)


def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Cross entropy between probabilities of a yes and targets.

    Mirrors `torch.nn.functional.binary_cross_entropy`: logarithms are clamped at -100, the
    gradient is PyTorch's `(input - target) / max(input * (1 - input), 1e-12)`. Probabilities and
    targets outside 0..1, which PyTorch refuses, give NaN here (values are unknown under jit).

    Args:
      input: Probabilities, any shape.
      target: Targets in 0..1, the shape of `input`.
      weight: Factor of each loss; broadcasts to the shape of `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> round(float(binary_cross_entropy(jnp.array([0.9, 0.2]), jnp.array([1.0, 0.0]))), 4)
      0.1643
    """
    where = "binary_cross_entropy"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check_same_shape(where, input=input, target=target)
    dtype, (x, y) = widen(input, target)
    losses = jnp.where((y >= 0) & (y <= 1), _binary_cross_entropy(x, y), jnp.nan)
    if weight is not None:
        losses = losses * _fitting(where, "weight", weight, x)
    return reduce_losses(losses, reduction, dtype)


def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: ArrayLike | None = None,
) -> jax.Array:
    """Binary cross entropy of logits, stable for logits of any size.

    Mirrors `torch.nn.functional.binary_cross_entropy_with_logits`. With images the classes are
    on the last axis, so a `pos_weight` of each class is `(classes,)` where PyTorch's is
    `(classes, 1, 1)`.

    Args:
      input: Logits, any shape.
      target: Targets in 0..1, the shape of `input`.
      weight: Factor of each loss; broadcasts to the shape of `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      pos_weight: Factor of the targets' yes; broadcasts to the shape of `input`.

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> logits, target = jnp.array([2.0, -1.0]), jnp.array([1.0, 0.0])
      >>> round(float(binary_cross_entropy_with_logits(logits, target)), 4)
      0.2201
    """
    where = "binary_cross_entropy_with_logits"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check_same_shape(where, input=input, target=target)
    dtype, (x, y) = widen(input, target)
    log_yes = jax.nn.log_sigmoid(x)
    if pos_weight is not None:
        log_yes = log_yes * ((_fitting(where, "pos_weight", pos_weight, x) - 1) * y + 1)
    losses = (1 - y) * x - log_yes
    if weight is not None:
        losses = losses * _fitting(where, "weight", weight, x)
    return reduce_losses(losses, reduction, dtype)


def _class_weight(weight: ArrayLike | None, log_p: jax.Array) -> jax.Array:
    if weight is None:
        return jnp.ones(log_p.shape[-1], log_p.dtype)
    return jnp.asarray(weight).astype(log_p.dtype)


def _index_losses(
    log_p: jax.Array,
    y: jax.Array,
    class_weight: jax.Array,
    ignore_index: int,
    label_smoothing: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Loss and weight of each target: zero if ignored, a loss of NaN if there is no such class."""
    y = y.astype(jnp.promote_types(y.dtype, jnp.int32))
    counts = y != ignore_index
    known = (y >= 0) & (y < log_p.shape[-1])
    index = jnp.where(known, y, 0)
    picked = jnp.take_along_axis(log_p, index[..., None], axis=-1)[..., 0]
    losses = -(1 - label_smoothing) * picked * class_weight[index]
    if label_smoothing > 0:  # a class ruled out by a logit of -inf must not turn 0 into NaN
        spread = label_smoothing / log_p.shape[-1]
        losses = losses - spread * jnp.sum(log_p * class_weight, axis=-1)
    losses = jnp.where(counts, jnp.where(known, losses, jnp.nan), 0)
    return losses, jnp.where(counts, class_weight[index], 0)


def _reduce_by_weight(
    losses: jax.Array, weights: jax.Array, reduction: str, dtype: Any
) -> jax.Array:
    if reduction == "mean":
        return (jnp.sum(losses) / jnp.sum(weights)).astype(dtype)
    return reduce_losses(losses, reduction, dtype)


@jax.custom_jvp
def _binary_cross_entropy(x: jax.Array, y: jax.Array) -> jax.Array:
    return (y - 1) * jnp.maximum(jnp.log1p(-x), -100) - y * jnp.maximum(jnp.log(x), -100)


def _binary_cross_entropy_jvp(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """PyTorch's slopes: finite in `x` where a logarithm is clamped, unclamped in `y`."""
    (x, y), (dx, dy) = primals, tangents
    slope = jnp.zeros_like(x)
    if not isinstance(dx, SymbolicZero):
        slope = slope + (x - y) / jnp.maximum((1 - x) * x, 1e-12) * dx
    if not isinstance(dy, SymbolicZero):  # infinite at 0 and 1: a dy of 0 would give NaN
        slope = slope + (jnp.log1p(-x) - jnp.log(x)) * dy
    return _binary_cross_entropy(x, y), slope


_binary_cross_entropy.defjvp(_binary_cross_entropy_jvp, symbolic_zeros=True)


def _fitting(where: str, name: str, value: ArrayLike, x: jax.Array) -> jax.Array:
    """`value` in the type of `x`; raises unless it broadcasts to the shape of `x`."""
    array = jnp.asarray(value)
    axes = zip(reversed(array.shape), reversed(x.shape), strict=False)
    fits = array.ndim <= x.ndim and all(a in (1, b) for a, b in axes)
    check(fits, where, f"{name} must broadcast to the input's {x.shape}", shape=array.shape)
    return array.astype(x.dtype)


def _check_classes(
    where: str, x: jax.Array, y: jax.Array, weight: ArrayLike | None, *, probabilities: bool
) -> None:
    check_floating(where, x)
    check(x.ndim >= 1, where, "input must be (n, *spatial, classes)", shape=x.shape)
    channels_first = x.ndim > 2 and (x.shape[0], *x.shape[2:]) == y.shape
    rule = f"target must be {x.shape[:-1]} indices"
    rule += f" or {x.shape} probabilities" if probabilities else ""
    fix = "it looks channels-first: use jaxcnn.layout.to_channels_last"
    soft = probabilities and y.shape == x.shape
    fits = soft or y.shape == x.shape[:-1]
    check(fits, where, rule, fix if channels_first else "", shape=y.shape)
    right = jnp.issubdtype(y.dtype, jnp.floating if soft else jnp.integer)
    rule = "class indices must be integers"
    rule += ", probabilities floating point" if probabilities else ""
    check_type(right, where, rule, dtype=str(y.dtype), shape=y.shape)
    if weight is not None:
        shape = jnp.shape(weight)
        check(shape == x.shape[-1:], where, f"weight must be {x.shape[-1:]}", shape=shape)
