"""Losses on embeddings and on pairs. Mirrors those of torch.nn.functional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating
from jaxcnn.functional._kinks import clamp_min
from jaxcnn.functional._reduction import (
    check_broadcast,
    check_reduction,
    reduce_losses,
    resolve_reduction,
    widen,
)
from jaxcnn.functional.distance import pairwise_distance


def margin_ranking_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Hinge `max(0, margin - target * (input1 - input2))` on which of two should rank higher.

    Mirrors `torch.nn.functional.margin_ranking_loss`.

    Args:
      input1: Scores, any shape.
      input2: Scores to compare with; as many axes.
      target: 1 where `input1` should rank higher, -1 where `input2` should; as many axes.
      margin: By how much the right one should lead.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.

    Example:
      >>> target = jnp.array([1, 1])
      >>> float(margin_ranking_loss(jnp.array([3.0, 0.0]), jnp.array([1.0, 2.0]), target))
      1.0
    """
    where = "margin_ranking_loss"
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_axes(where, input1=input1, input2=input2, target=target)
    check_broadcast(where, input1=input1, input2=input2, target=target)
    dtype, (x1, x2, y) = widen(input1, input2, target)
    return reduce_losses(clamp_min(margin - y * (x1 - x2), 0), reduction, dtype)


def hinge_embedding_loss(
    input: ArrayLike,
    target: ArrayLike,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """The distance of similar pairs; of dissimilar ones, what it lacks to a margin.

    Mirrors `torch.nn.functional.hinge_embedding_loss`; as there, a target that is neither 1 nor
    -1 counts as both.

    Args:
      input: Distances, any shape.
      target: 1 for similar pairs, -1 for dissimilar ones; broadcasts with `input`.
      margin: Distance from which dissimilar pairs cost nothing.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.
      TypeError: If `input` is not floating point.

    Example:
      >>> x, target = jnp.array([0.5, 0.25, 2.0]), jnp.array([1, -1, -1])
      >>> hinge_embedding_loss(x, target, reduction="none").tolist()
      [0.5, 0.75, 0.0]
    """
    where = "hinge_embedding_loss"
    check_floating(where, jnp.asarray(input))
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    check_broadcast(where, input=input, target=target)
    dtype, (x,) = widen(input)
    y = jnp.asarray(target)
    apart = jnp.where(y != 1, clamp_min(margin - x, 0), 0)
    return reduce_losses(apart + jnp.where(y != -1, x, 0), reduction, dtype)


def cosine_embedding_loss(
    input1: ArrayLike,
    input2: ArrayLike,
    target: ArrayLike,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """1 - cosine for similar pairs; for dissimilar ones, what the cosine exceeds a margin by.

    Mirrors `torch.nn.functional.cosine_embedding_loss`; as there, a target that is neither 1 nor
    -1 costs nothing.

    Args:
      input1: Embeddings `(n, features)` or `(features,)`.
      input2: Embeddings to compare with, likewise.
      target: 1 for similar pairs, -1 for dissimilar ones; `(n,)`, or `()` without a batch.
      margin: Cosine up to which dissimilar pairs cost nothing, -1 to 1.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes or `reduction` do not fit.

    Example:
      >>> x1, x2 = jnp.array([[3.0, 4.0]]), jnp.array([[4.0, 3.0]])
      >>> round(float(cosine_embedding_loss(x1, x2, jnp.array([1]))), 4)
      0.04
    """
    where = "cosine_embedding_loss"
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    shapes = {"input1": jnp.shape(input1), "input2": jnp.shape(input2), "target": jnp.shape(target)}
    axes = [len(shape) for shape in shapes.values()]
    rule = "inputs and target must be (n, features) and (n,), or (features,) and ()"
    check(axes in ([2, 2, 1], [1, 1, 0]), where, rule, **shapes)
    check_broadcast(where, input1=input1, input2=input2)
    dtype, (x1, x2) = widen(input1, input2)
    dot = jnp.sum(x1 * x2, axis=-1)
    # PyTorch's: inside the root, unlike the eps of cosine_similarity.
    squares = [jnp.sum(jnp.square(x), axis=-1) + 1e-12 for x in (x1, x2)]
    cosine = dot / jnp.sqrt(squares[0] * squares[1])
    y = jnp.asarray(target)
    check_broadcast(where, cosine=cosine, target=y)
    losses = jnp.where(y == -1, clamp_min(cosine - margin, 0), 0)
    return reduce_losses(jnp.where(y == 1, 1 - cosine, losses), reduction, dtype)


def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> jax.Array:
    """Hinge on how much nearer an anchor is to its like than to an unlike.

    Mirrors `torch.nn.functional.triplet_margin_loss`.

    Args:
      anchor: Embeddings `(*batch, features)`.
      positive: Embeddings that should be near the anchor's; as many axes.
      negative: Embeddings that should be far from it; as many axes.
      margin: By how much the negative should be farther.
      p: Degree of the norm.
      eps: Added to each difference of features.
      swap: Whether to take the positive's distance from the negative where that is shorter than
        the anchor's.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes, `margin` or `reduction` do not fit.

    Source: Balntas et al., Learning local feature descriptors with triplets, 2016.

    Example:
      >>> anchor, positive, negative = jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.full((1, 2), 1.5)
      >>> round(float(triplet_margin_loss(anchor, positive, negative, p=1)), 4)
      0.0
      >>> round(float(triplet_margin_loss(anchor, positive, negative, p=1, swap=True)), 4)
      2.0
    """
    where = "triplet_margin_loss"
    reduction = resolve_reduction(where, size_average, reduce, reduction)
    _check_axes(where, anchor=anchor, positive=positive, negative=negative)
    check_broadcast(where, anchor=anchor, positive=positive, negative=negative)
    distance = lambda x1, x2: pairwise_distance(x1, x2, p, eps)
    return _triplet(where, (anchor, positive, negative), distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    distance_function: Callable[[Any, Any], jax.Array] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> jax.Array:
    """`triplet_margin_loss` with a distance of one's own.

    Mirrors `torch.nn.functional.triplet_margin_with_distance_loss`.

    Args:
      anchor: Embeddings `(*batch, features)`.
      positive: Embeddings that should be near the anchor's; as many axes.
      negative: Embeddings that should be far from it; as many axes.
      distance_function: `(x1, x2) -> distance`, of arrays in at least float32;
        `pairwise_distance` if None.
      margin: By how much the negative should be farther.
      swap: Whether to take the positive's distance from the negative where that is shorter than
        the anchor's.
      reduction: "mean", "sum" or "none".

    Raises:
      ValueError: If shapes, `margin` or `reduction` do not fit.

    Source: Balntas et al., Learning local feature descriptors with triplets, 2016.

    Example:
      >>> distance = lambda x1, x2: jnp.max(jnp.abs(x1 - x2), -1)
      >>> anchor, positive, negative = jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.full((1, 2), 1.5)
      >>> float(triplet_margin_with_distance_loss(
      ...     anchor, positive, negative, distance_function=distance))
      0.5
    """
    where = "triplet_margin_with_distance_loss"
    check_reduction(where, reduction)
    _check_axes(where, anchor=anchor, positive=positive, negative=negative)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(where, (anchor, positive, negative), distance, margin, swap, reduction)


def _triplet(
    where: str,
    triplet: tuple[ArrayLike, ArrayLike, ArrayLike],
    distance: Callable[[Any, Any], jax.Array],
    margin: float,
    swap: bool,
    reduction: str,
) -> jax.Array:
    check(margin > 0, where, "margin must be positive", margin=margin)
    dtype, (anchor, positive, negative) = widen(*triplet)
    to_positive, to_negative = distance(anchor, positive), distance(anchor, negative)
    if swap:
        to_negative = jnp.minimum(to_negative, distance(positive, negative))
    return reduce_losses(clamp_min(margin + to_positive - to_negative, 0), reduction, dtype)


def _check_axes(where: str, **values: ArrayLike) -> None:
    shapes = {name: jnp.shape(value) for name, value in values.items()}
    same = len({len(shape) for shape in shapes.values()}) == 1
    check(same, where, f"{', '.join(shapes)} must have as many axes", **shapes)
