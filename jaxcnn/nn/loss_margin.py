"""Margin losses of classification. Mirrors those of torch.nn."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn.nn._loss import Loss


class SoftMarginLoss(Loss):
    """Logistic loss `log(1 + exp(-target * input))` of targets 1 and -1.

    Mirrors `torch.nn.SoftMarginLoss`, without its overflow.

    Attributes:
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> loss = SoftMarginLoss().apply({}, jnp.array([2.0, -200.0]), jnp.array([1.0, 1.0]))
      >>> round(float(loss), 4)
      100.0635
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.soft_margin_loss(input, target, self.size_average, self.reduce, self.reduction)


class MultiMarginLoss(Loss):
    """How far the other classes' scores come over the target's less a margin: multi-class hinge.

    Mirrors `torch.nn.MultiMarginLoss`.

    Attributes:
      p: Power of each excess, 1 or 2.
      margin: By how much the target's score should lead.
      weight: Weight of each class, `(classes,)`.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).

    Buffers:
      `weight (classes,)`, if given.

    Shape:
      Scores `(n, classes)` or `(classes,)`, class indices `(n,)` or `()` -> `()`, or the shape of
      the indices with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point or the target not integer.

    Example:
      >>> scores = jnp.array([[1.0, 0.5, -1.0, 2.0]])
      >>> float(MultiMarginLoss().apply({}, scores, jnp.array([0])))
      0.625
    """

    p: int = 1
    margin: float = 1.0
    weight: ArrayLike | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __post_init__(self) -> None:
        check(self.p in (1, 2), "MultiMarginLoss", "p must be 1 or 2", p=self.p)
        shape = (0,) if self.weight is None else jnp.shape(self.weight)
        check(len(shape) == 1, "MultiMarginLoss", "weight must be (classes,)", shape=shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        weight = self._buffer("weight")
        legacy = self.size_average, self.reduce
        return F.multi_margin_loss(
            input, target, self.p, self.margin, weight, *legacy, self.reduction
        )


class MultiLabelMarginLoss(Loss):
    """How far the scores of other classes come over those of several targets less 1.

    Mirrors `torch.nn.MultiLabelMarginLoss`.

    Attributes:
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each row).

    Shape:
      Scores `(n, classes)` or `(classes,)` and class indices of the same shape, of which those
      from the first -1 on do not count -> `()`, or `(n,)` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point or the target not integer.

    Example:
      >>> scores, target = jnp.array([0.1, 0.2, 0.4, 0.8]), jnp.array([3, 0, -1, 1])
      >>> round(float(MultiLabelMarginLoss().apply({}, scores, target)), 4)
      0.85
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.multilabel_margin_loss(input, target, *legacy, self.reduction)


class MultiLabelSoftMarginLoss(Loss):
    """Binary cross entropy of logits, averaged over the classes.

    Mirrors `torch.nn.MultiLabelSoftMarginLoss`.

    Attributes:
      weight: Weight of each class, `(classes,)`, or of each logit.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each row).

    Buffers:
      `weight`, if given.

    Shape:
      Logits and targets `(*batch, classes)` -> `()`, or `batch` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> logits, target = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
      >>> round(float(MultiLabelSoftMarginLoss().apply({}, logits, target)), 4)
      0.2201
    """

    weight: ArrayLike | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        weight = self._buffer("weight")
        legacy = self.size_average, self.reduce
        return F.multilabel_soft_margin_loss(input, target, weight, *legacy, self.reduction)
