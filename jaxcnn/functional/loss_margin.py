"""Margin losses of classification. Mirrors those of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_type
from jaxcnn.functional._numbers import widened
from jaxcnn.functional._reduction import (
    check_broadcast,
    check_same_shape,
    reduce_losses,
    resolve_reduction,
    widen,
)


def soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Logistic loss `log(1 + exp(-target * input))` of targets 1 and -1.

    Mirrors `torch.nn.functional.soft_margin_loss`; where PyTorch overflows (from
    `-target * input` of 88 on in float32) the loss is the finite right one.

    Args:
      input: Scores, any shape.
      target: 1 or -1; broadcasts with `input`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> round(float(soft_margin_loss(jnp.array([2.0, -200.0]), jnp.array([1.0, 1.0]))), 4)
      100.0635
    """
    where = "soft_margin_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check_broadcast(where, input=input, target=target)
    dtype, (x, y) = widen(input, target)
    return reduce_losses(jax.nn.softplus(-y * x), reduction, dtype)


def multi_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    p: int = 1,
    margin: float = 1.0,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """How far the other classes' scores come over the target's less a margin: multi-class hinge.

    Mirrors `torch.nn.functional.multi_margin_loss`. A class index outside the classes, which
    PyTorch refuses, gives NaN here (values are unknown under jit).

    Args:
      input: Scores `(n, classes)` or `(classes,)`.
      target: Class indices `(n,)`; `()` or `(1,)` without a batch.
      p: Power of each excess, 1 or 2.
      margin: By how much the target's score should lead.
      weight: Weight of each class, `(classes,)`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).

    Returns:
      The excesses' sum over the classes, divided by the number of classes.

    Raises:
      ValueError: If shapes, `p` or `reduction` do not fit.
      TypeError: If `input` is not floating point or `target` not integer.

    Example:
      >>> float(multi_margin_loss(jnp.array([[1.0, 0.5, -1.0, 2.0]]), jnp.array([0])))
      0.625
    """
    where = "multi_margin_loss"
    x, y = jnp.asarray(input), jnp.asarray(target)
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_scores(where, x)
    check(p in (1, 2), where, "p must be 1 or 2", p=p)
    rows = x.shape[:1] if x.ndim == 2 else (1,)
    fits = y.shape == rows or (x.ndim < 2 and y.ndim == 0)
    check(fits, where, f"target must be {rows} indices", shape=y.shape)
    _check_indices(where, y)
    classes = x.shape[-1] if x.ndim else 1
    scores = widened(x.reshape(*rows, classes))
    index = y.reshape(rows).astype(jnp.promote_types(y.dtype, jnp.int32))
    known = (index >= 0) & (index < classes)
    index = jnp.where(known, index, 0)[:, None]
    lead = margin - jnp.take_along_axis(scores, index, axis=-1) + scores
    excess = jnp.where((lead > 0) & (jnp.arange(classes) != index), lead, 0) ** p
    losses = jnp.sum(excess, axis=-1) / classes
    if weight is not None:
        shape = jnp.shape(weight)
        check(shape == (classes,), where, f"weight must be {(classes,)}", shape=shape)
        losses = losses * jnp.asarray(weight).astype(scores.dtype)[index[:, 0]]
    losses = jnp.where(known, losses, jnp.nan).reshape(y.shape)
    return reduce_losses(losses, reduction, x.dtype)


def multilabel_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """How far the scores of other classes come over those of several targets less 1.

    Mirrors `torch.nn.functional.multilabel_margin_loss`. An index under -1 or over the last
    class, which PyTorch refuses, gives NaN here (values are unknown under jit).

    Args:
      input: Scores `(n, classes)` or `(classes,)`.
      target: The targets' class indices, then -1; the shape of `input`. What follows the first -1
        does not count.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each row).

    Returns:
      The excesses' sum over pairs of a target and another class, divided by the number of classes.

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point or `target` not integer.

    Example:
      >>> scores, target = jnp.array([0.1, 0.2, 0.4, 0.8]), jnp.array([3, 0, -1, 1])
      >>> round(float(multilabel_margin_loss(scores, target)), 4)
      0.85
    """
    where = "multilabel_margin_loss"
    x, y = jnp.asarray(input), jnp.asarray(target)
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_scores(where, x)
    check_same_shape(where, input=x, target=y)
    _check_indices(where, y)
    scores = widened(jnp.atleast_1d(x))
    index = jnp.atleast_1d(y).astype(jnp.promote_types(y.dtype, jnp.int32))
    classes = scores.shape[-1]
    known = jnp.all((index >= -1) & (index < classes), axis=-1)
    listed = jnp.cumsum(index < 0, axis=-1) == 0
    is_class = listed[..., None] & (index[..., None] == jnp.arange(classes))
    others = ~jnp.any(is_class, axis=-2, keepdims=True)
    picked = jnp.take_along_axis(scores, jnp.clip(index, 0, classes - 1), axis=-1)
    gap = 1 - picked[..., None] + scores[..., None, :]
    excess = jnp.where((gap > 0) & listed[..., None] & others, gap, 0)
    losses = jnp.where(known, jnp.sum(excess, axis=(-2, -1)) / classes, jnp.nan)
    return reduce_losses(losses, reduction, x.dtype)


def multilabel_soft_margin_loss(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Binary cross entropy of logits, averaged over the classes.

    Mirrors `torch.nn.functional.multilabel_soft_margin_loss`.

    Args:
      input: Logits `(*batch, classes)`.
      target: 0 or 1 for each class; broadcasts with `input`.
      weight: Weight of each class, `(classes,)`, or of each logit.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each row).

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> logits, target = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
      >>> round(float(multilabel_soft_margin_loss(logits, target)), 4)
      0.2201
    """
    where = "multilabel_soft_margin_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check(jnp.ndim(input) >= 1, where, "input must be (*batch, classes)", shape=jnp.shape(input))
    factor = 1 if weight is None else weight
    check_broadcast(where, input=input, target=target, weight=factor)
    dtype, (x, y, w) = widen(input, target, factor)
    losses = -w * (y * jax.nn.log_sigmoid(x) + (1 - y) * jax.nn.log_sigmoid(-x))
    return reduce_losses(jnp.sum(losses, axis=-1) / x.shape[-1], reduction, dtype)


def _check_scores(where: str, x: jax.Array) -> None:
    check_floating(where, x)
    fits = x.ndim <= 2 and (x.ndim == 0 or x.shape[-1] > 0)
    rule = "input must be (n, classes) or (classes,) with at least one class"
    check(fits, where, rule, shape=x.shape)


def _check_indices(where: str, y: jax.Array) -> None:
    integers = jnp.issubdtype(y.dtype, jnp.integer)
    check_type(integers, where, "target must hold integers", dtype=str(y.dtype))
