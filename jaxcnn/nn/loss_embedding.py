"""Losses on embeddings and on pairs. Mirrors those of torch.nn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn.nn._loss import Loss
from jaxcnn.nn.distance import PairwiseDistance


class MarginRankingLoss(Loss):
    """Hinge `max(0, margin - target * (input1 - input2))` on which of two should rank higher.

    Mirrors `torch.nn.MarginRankingLoss`.

    Attributes:
      margin: By how much the right one should lead.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Two arrays of scores and targets 1 (the first should rank higher) or -1, all of one shape
      -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> first, second = jnp.array([3.0, 0.0]), jnp.array([1.0, 2.0])
      >>> float(MarginRankingLoss().apply({}, first, second, jnp.array([1, 1])))
      1.0
    """

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input1: Any, input2: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.margin_ranking_loss(input1, input2, target, self.margin, *legacy, self.reduction)


class HingeEmbeddingLoss(Loss):
    """The distance of similar pairs; of dissimilar ones, what it lacks to a margin.

    Mirrors `torch.nn.HingeEmbeddingLoss`.

    Attributes:
      margin: Distance from which dissimilar pairs cost nothing.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Distances and targets 1 (similar) or -1, of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> import jax.numpy as jnp
      >>> x, target = jnp.array([0.5, 0.25, 2.0]), jnp.array([1, -1, -1])
      >>> HingeEmbeddingLoss(reduction="none").apply({}, x, target).tolist()
      [0.5, 0.75, 0.0]
    """

    margin: float = 1.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.hinge_embedding_loss(input, target, self.margin, *legacy, self.reduction)


class CosineEmbeddingLoss(Loss):
    """1 - cosine for similar pairs; for dissimilar ones, what the cosine exceeds a margin by.

    Mirrors `torch.nn.CosineEmbeddingLoss`.

    Attributes:
      margin: Cosine up to which dissimilar pairs cost nothing, -1 to 1.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Two arrays of embeddings `(n, features)` or `(features,)` and targets 1 (similar) or -1,
      `(n,)` or `()` -> `()`, or the shape of the targets with "none".

    Raises:
      ValueError: If a value or a shape does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> x1, x2 = jnp.array([[3.0, 4.0]]), jnp.array([[4.0, 3.0]])
      >>> round(float(CosineEmbeddingLoss().apply({}, x1, x2, jnp.array([1]))), 4)
      0.04
    """

    margin: float = 0.0
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input1: Any, input2: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.cosine_embedding_loss(input1, input2, target, self.margin, *legacy, self.reduction)


class TripletMarginLoss(Loss):
    """Hinge on how much nearer an anchor is to its like than to an unlike.

    Mirrors `torch.nn.TripletMarginLoss`.

    Attributes:
      margin: By how much the negative should be farther.
      p: Degree of the norm.
      eps: Added to each difference of features.
      swap: Whether to take the positive's distance from the negative where that is shorter than
        the anchor's.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Anchors, positives and negatives `(*batch, features)` -> `()`, or `batch` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.

    Source: Balntas et al., Learning local feature descriptors with triplets, 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> anchor, positive, negative = jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.full((1, 2), 1.5)
      >>> round(float(TripletMarginLoss(p=1, swap=True).apply({}, anchor, positive, negative)), 4)
      2.0
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        check(self.margin > 0, "TripletMarginLoss", "margin must be positive", margin=self.margin)
        super().__post_init__()

    def __call__(self, anchor: Any, positive: Any, negative: Any) -> jax.Array:
        settings = self.margin, self.p, self.eps, self.swap, self.size_average, self.reduce
        return F.triplet_margin_loss(anchor, positive, negative, *settings, self.reduction)


class TripletMarginWithDistanceLoss(Loss):
    """`TripletMarginLoss` with a distance of one's own.

    Mirrors `torch.nn.TripletMarginWithDistanceLoss`.

    Attributes:
      distance_function: `(x1, x2) -> distance`, a function or a module, of arrays in at least
        float32; `PairwiseDistance()` if None.
      margin: By how much the negative should be farther.
      swap: Whether to take the positive's distance from the negative where that is shorter than
        the anchor's.
      reduction: "mean", "sum" or "none".

    Shape:
      Anchors, positives and negatives `(*batch, features)` -> `()`, or `batch` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.

    Source: Balntas et al., Learning local feature descriptors with triplets, 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = TripletMarginWithDistanceLoss(
      ...     distance_function=lambda x1, x2: jnp.max(jnp.abs(x1 - x2), -1))
      >>> float(loss.apply({}, jnp.zeros((1, 2)), jnp.ones((1, 2)), jnp.full((1, 2), 1.5)))
      0.5
    """

    distance_function: Callable[[Any, Any], jax.Array] | None = dataclasses.field(
        default=None, kw_only=True
    )
    margin: float = dataclasses.field(default=1.0, kw_only=True)
    swap: bool = dataclasses.field(default=False, kw_only=True)
    reduction: str = dataclasses.field(default="mean", kw_only=True)

    def __post_init__(self) -> None:
        where = "TripletMarginWithDistanceLoss"
        check(self.margin > 0, where, "margin must be positive", margin=self.margin)
        if self.distance_function is None:
            self.distance_function = PairwiseDistance(parent=None)
        super().__post_init__()

    def __call__(self, anchor: Any, positive: Any, negative: Any) -> jax.Array:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
