"""Losses of regression and of distributions. Mirrors those of torch.nn."""

from __future__ import annotations

import dataclasses
import numbers
from typing import Any

import jax
from jax.typing import ArrayLike

from jaxcnn import functional as F
from jaxcnn._checks import check, check_type
from jaxcnn.functional._reduction import REDUCTIONS
from jaxcnn.nn._loss import Loss


class MSELoss(Loss):
    """Squared error.

    Mirrors `torch.nn.MSELoss`.

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
      >>> import jax.numpy as jnp
      >>> float(MSELoss().apply({}, jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
      2.0
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.mse_loss(input, target, self.size_average, self.reduce, self.reduction)


class L1Loss(Loss):
    """Absolute error.

    Mirrors `torch.nn.L1Loss`.

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
      >>> import jax.numpy as jnp
      >>> float(L1Loss().apply({}, jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
      1.0
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.l1_loss(input, target, self.size_average, self.reduce, self.reduction)


class SmoothL1Loss(Loss):
    """Absolute error, less `beta / 2`; under `beta` the parabola `error^2 / (2 * beta)`.

    Mirrors `torch.nn.SmoothL1Loss`.

    Attributes:
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".
      beta: Error at which the parabola ends; 0 gives `L1Loss`.

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Source: Girshick, Fast R-CNN, 2015.

    Example:
      >>> import jax.numpy as jnp
      >>> SmoothL1Loss(reduction="none").apply({}, jnp.array([0.5, 3.0]), jnp.zeros(2)).tolist()
      [0.125, 2.5]
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self.beta >= 0, "SmoothL1Loss", "beta must not be negative", beta=self.beta)
        super().__post_init__()

    def __call__(self, input: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.smooth_l1_loss(input, target, *legacy, self.reduction, self.beta)


class HuberLoss(Loss):
    """Half the squared error up to an error of `delta`; from there on a line of slope `delta`.

    Mirrors `torch.nn.HuberLoss`.

    Attributes:
      reduction: "mean", "sum" or "none".
      delta: Error at which the line begins.

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If `delta` is not a number or the input not floating point.

    Source: Huber, 1964.

    Example:
      >>> import jax.numpy as jnp
      >>> HuberLoss("none", 2.0).apply({}, jnp.array([1.0, 3.0]), jnp.zeros(2)).tolist()
      [0.5, 4.0]
    """

    reduction: str = "mean"
    delta: float = 1.0

    def __post_init__(self) -> None:
        real = isinstance(self.delta, numbers.Real)
        check_type(real, "HuberLoss", "delta must be a number", delta=self.delta)
        check(self.delta > 0, "HuberLoss", "delta must be positive", delta=self.delta)
        super().__post_init__()

    def __call__(self, input: Any, target: Any) -> jax.Array:
        return F.huber_loss(input, target, self.reduction, self.delta)


class KLDivLoss(Loss):
    """Kullback-Leibler divergence of the distribution `input` from `target`, entry by entry.

    Mirrors `torch.nn.KLDivLoss`.

    Attributes:
      size_average: Deprecated in PyTorch; see `reduction`.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum", "none" or "batchmean" (the sum over the length of the first axis:
        the divergence itself).
      log_target: Whether targets are log probabilities.

    Shape:
      Log probabilities and targets of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Example:
      >>> import jax.numpy as jnp
      >>> log_q, p = jnp.log(jnp.array([[0.25, 0.75]])), jnp.array([[0.5, 0.5]])
      >>> round(float(KLDivLoss(reduction="batchmean").apply({}, log_q, p)), 4)
      0.1438
    """

    size_average: bool | None = None
    reduce: bool | None = None
    reduction: str = "mean"
    log_target: bool = False

    _reductions = (*REDUCTIONS, "batchmean")

    def __call__(self, input: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.reduce
        return F.kl_div(input, target, *legacy, self.reduction, self.log_target)


class GaussianNLLLoss(Loss):
    """Negative log likelihood of targets under normal distributions.

    Mirrors `torch.nn.GaussianNLLLoss`.

    Attributes:
      full: Whether to add the constant `log(2 * pi) / 2`.
      eps: Least variance; smaller ones count as this, but keep their gradient.
      reduction: "mean", "sum" or "none".

    Shape:
      Means, targets of one shape, and variances: a number, that shape, that shape with one axis
      of 1, or without the last axis -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.
      TypeError: If the input is not floating point.

    Source: Nix and Weigend, 1994.

    Example:
      >>> import jax.numpy as jnp
      >>> mean, target, var = jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]), jnp.ones(2)
      >>> float(GaussianNLLLoss().apply({}, mean, target, var))
      0.25
    """

    full: bool = dataclasses.field(default=False, kw_only=True)
    eps: float = dataclasses.field(default=1e-6, kw_only=True)
    reduction: str = dataclasses.field(default="mean", kw_only=True)

    def __call__(self, input: Any, target: Any, var: ArrayLike) -> jax.Array:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class PoissonNLLLoss(Loss):
    """Negative log likelihood of counts under Poisson distributions.

    Mirrors `torch.nn.PoissonNLLLoss`.

    Attributes:
      log_input: Whether the input holds logarithms of the expected counts.
      full: Whether to add Stirling's approximation of `log(target!)` where `target > 1`.
      size_average: Deprecated in PyTorch; see `reduction`.
      eps: Added to the input before its logarithm is taken.
      reduce: Deprecated in PyTorch; see `reduction`.
      reduction: "mean", "sum" or "none".

    Shape:
      Two arrays of one shape -> `()`, or that shape with "none".

    Raises:
      ValueError: If a value or a shape does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> float(PoissonNLLLoss().apply({}, jnp.zeros(2), jnp.array([1.0, 3.0])))
      1.0
    """

    log_input: bool = True
    full: bool = False
    size_average: bool | None = None
    eps: float = 1e-8
    reduce: bool | None = None
    reduction: str = "mean"

    def __call__(self, log_input: Any, target: Any) -> jax.Array:
        legacy = self.size_average, self.eps, self.reduce
        return F.poisson_nll_loss(
            log_input, target, self.log_input, self.full, *legacy, self.reduction
        )
