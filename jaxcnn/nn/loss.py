"""Losses of classification. Mirrors the losses of torch.nn."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
from jax.typing import ArrayLike

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn.nn._loss import Loss


class CrossEntropyLoss(Loss):
    """Softmax cross entropy between logits and class indices or class probabilities.

    Mirrors `torch.nn.CrossEntropyLoss`; the class axis is the last one.

    Attributes:
      weight: Weight of each class, `(classes,)`. With indices the mean divides by the sum of the
        targets' weights.
      size_average: Deprecated in PyTorch; see `reduction`.
      ignore_index: Targets with this index count neither in the sum nor in the mean.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).
      label_smoothing: Share of the target that is spread over all classes, 0 to 1.

    Buffers:
      `weight (classes,)`, if given.

    Shape:
      Logits `(n, *spatial, classes)` or `(classes,)`, targets `(n, *spatial)` or probabilities
      with the shape of the logits -> `()`, or `(n, *spatial)` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If logits are not floating point, or indices are not integers.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = CrossEntropyLoss().apply({}, jnp.array([[2.0, 0.0]]), jnp.array([0]))
      >>> round(float(loss), 4)
      0.1269
    """

    weight: ArrayLike | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        ok = 0 <= self.label_smoothing <= 1
        rule = "label_smoothing must be in 0..1"
        check(ok, "CrossEntropyLoss", rule, label_smoothing=self.label_smoothing)
        super().__post_init__()

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.cross_entropy(
            input,
            target,
            self._buffer("weight"),
            self.size_average,
            self.ignore_index,
            self.reduce,
            self.reduction,
            self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log likelihood: minus the log probability of the target class.

    Mirrors `torch.nn.NLLLoss`; the class axis is the last one.

    Attributes:
      weight: Weight of each class, `(classes,)`. The mean divides by the sum of the targets'
        weights.
      size_average: Deprecated in PyTorch; see `reduction`.
      ignore_index: Targets with this index count neither in the sum nor in the mean.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none" (one loss for each target).

    Buffers:
      `weight (classes,)`, if given.

    Shape:
      Log probabilities `(n, *spatial, classes)` or `(classes,)`, targets `(n, *spatial)` -> `()`,
      or `(n, *spatial)` with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point or the target not integer.

    Example:
      >>> import jax.numpy as jnp
      >>> log_p = jnp.array([[-0.5, -1.0], [-2.0, -0.25]])
      >>> float(NLLLoss().apply({}, log_p, jnp.array([0, 1])))
      0.375
    """

    weight: ArrayLike | None = None
    size_average: bool | None = None
    ignore_index: int = -100
    reduce: bool | None = None
    reduction: str = "mean"

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        weight = self._buffer("weight")
        legacy = self.size_average, self.ignore_index, self.reduce
        return F.nll_loss(input, target, weight, *legacy, self.reduction)


class BCELoss(Loss):
    """Cross entropy between probabilities of a yes and targets.

    Mirrors `torch.nn.BCELoss`. Probabilities and targets outside 0..1 give NaN.

    Attributes:
      weight: Factor of each loss; broadcasts to the shape of the input.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Buffers:
      `weight`, if given.

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = BCELoss().apply({}, jnp.array([0.9, 0.2]), jnp.array([1.0, 0.0]))
      >>> round(float(loss), 4)
      0.1643
    """

    weight: ArrayLike | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        weight = self._buffer("weight")
        legacy = self.size_average, self.reduce
        return F.binary_cross_entropy(input, target, weight, *legacy, self.reduction)


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of logits, stable for logits of any size.

    Mirrors `torch.nn.BCEWithLogitsLoss`. With images the classes are on the last axis, so a
    `pos_weight` of each class is `(classes,)` where PyTorch's is `(classes, 1, 1)`.

    Attributes:
      weight: Factor of each loss; broadcasts to the shape of the input.
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      pos_weight: Factor of the targets' yes; broadcasts to the shape of the input.

    Buffers:
      `weight` and `pos_weight`, if given.

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = BCEWithLogitsLoss().apply({}, jnp.array([2.0, -1.0]), jnp.array([1.0, 0.0]))
      >>> round(float(loss), 4)
      0.2201
    """

    weight: ArrayLike | None = None
    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    pos_weight: ArrayLike | None = None

    @nn.compact
    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.binary_cross_entropy_with_logits(
            input,
            target,
            self._buffer("weight"),
            self.size_average,
            self.reduce,
            self.reduction,
            self._buffer("pos_weight"),
        )
