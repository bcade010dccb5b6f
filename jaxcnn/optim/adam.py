"""Adam and its kin: averages of the gradient and of its square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn._checks import check, check_type
from jaxcnn.optim._common import check_lr, check_not_negative, check_number, compose, renew, widen


class AdamState(NamedTuple):
    """State of `adam` and `adamw`, named as PyTorch's.

    Attributes:
      step: Updates made so far.
      exp_avg: Running average of the gradient.
      exp_avg_sq: Running average of its square.
      max_exp_avg_sq: Largest `exp_avg_sq` so far; None without `amsgrad`.
    """

    step: jax.Array
    exp_avg: Any
    exp_avg_sq: Any
    max_exp_avg_sq: Any


class NAdamState(NamedTuple):
    """State of `nadam`, named as PyTorch's.

    Attributes:
      step: Updates made so far.
      mu_product: Product of all momenta so far; float32 for every parameter type, as in PyTorch.
      exp_avg: Running average of the gradient.
      exp_avg_sq: Running average of its square.
    """

    step: jax.Array
    mu_product: jax.Array
    exp_avg: Any
    exp_avg_sq: Any


def adam(
    lr: float | optax.Schedule = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformation:
    """Adam with PyTorch's exact update.

    Mirrors `torch.optim.Adam`. The decay is an L2 penalty, added to the gradient before the
    averages, unless it is decoupled; with `amsgrad` the largest average is kept before its bias is
    corrected. (`optax.adam` has no decay, and `optax.amsgrad` corrects first.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      betas: Shares of the old averages of the gradient and of its square that stay.
      eps: Added to the root of the averaged square.
      weight_decay: L2 penalty, or the share of a parameter lost each step, in units of `lr`.
      amsgrad: Whether to divide by the largest average so far.
      maximize: Whether to climb instead of descend.
      decoupled_weight_decay: Whether the decay bypasses the averages, as in `adamw`.

    Raises:
      ValueError: If a value is negative, or a beta is not under 1.
      TypeError: If a value is not a number.

    Source: Kingma and Ba, 2015; Reddi et al., 2018 (`amsgrad`).

    Example:
      >>> tx = adam(0.1)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.9
    """
    _check_adam("adam", lr, betas, eps=eps, weight_decay=weight_decay)
    rule = _scale_by_adam(betas, eps, amsgrad)
    return compose(rule, lr, weight_decay, maximize, decoupled_weight_decay)


def adamw(
    lr: float | optax.Schedule = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay and PyTorch's exact update.

    Mirrors `torch.optim.AdamW`. (`optax.adamw` has another default decay, 1e-4.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      betas: Shares of the old averages of the gradient and of its square that stay.
      eps: Added to the root of the averaged square.
      weight_decay: Share of a parameter that is lost each step, in units of `lr`.
      amsgrad: Whether to divide by the largest average so far.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative, or a beta is not under 1.
      TypeError: If a value is not a number.

    Source: Loshchilov and Hutter, 2019.

    Example:
      >>> tx = adamw(0.1, weight_decay=0.5)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.85
    """
    _check_adam("adamw", lr, betas, eps=eps, weight_decay=weight_decay)
    return compose(_scale_by_adam(betas, eps, amsgrad), lr, weight_decay, maximize, True)


def nadam(
    lr: float | optax.Schedule = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """Adam with Nesterov momentum and PyTorch's exact update.

    Mirrors `torch.optim.NAdam`. (`optax.nadam` has no momentum schedule.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      betas: Shares of the old averages of the gradient and of its square that stay.
      eps: Added to the root of the averaged square.
      weight_decay: L2 penalty, or the share of a parameter lost each step, in units of `lr`.
      momentum_decay: How fast the momentum rises from half of the first beta to all of it.
      decoupled_weight_decay: Whether the decay bypasses the averages.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative, or a beta is not under 1.
      TypeError: If a value is not a number.

    Source: Dozat, 2016.

    Example:
      >>> tx = nadam(0.1)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.8944
    """
    values = {"eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
    _check_adam("nadam", lr, betas, **values)
    rule = _scale_by_nadam(betas, eps, momentum_decay)
    return compose(rule, lr, weight_decay, maximize, decoupled_weight_decay)


def _check_adam(where: str, lr: Any, betas: Any, **values: Any) -> None:
    check_lr(where, lr)
    pair = isinstance(betas, Sequence) and len(betas) == 2
    check_type(pair, where, "betas must be a pair of numbers", betas=betas)
    for beta in betas:
        check_number(where, "betas", beta)
        ok = isinstance(beta, jax.Array) or 0 <= beta < 1
        check(ok, where, "betas must be at least 0 and under 1", betas=betas)
    check_not_negative(where, **values)


def _one_minus_power(beta: Any, step: jax.Array) -> jax.Array:
    # In float32 `1 - 0.999**step` would keep three digits at the first steps.
    if isinstance(beta, jax.Array):
        log = jnp.log(beta)
    else:
        log = math.log(beta) if beta > 0 else -math.inf
    return -jnp.expm1(step * log)


def _averages(state: Any, grads: Any, betas: tuple[Any, Any]) -> tuple[Any, Any]:
    beta1, beta2 = betas
    average = renew(lambda m, g: m + (1 - beta1) * (g - m), state.exp_avg, grads)
    square = renew(lambda v, g: beta2 * v + (1 - beta2) * g * g, state.exp_avg_sq, grads)
    return average, square


def _scale_by_adam(betas: tuple[Any, Any], eps: Any, amsgrad: bool) -> optax.GradientTransformation:
    def init(params: Any) -> AdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AdamState(jnp.zeros((), jnp.int32), zeros, zeros, zeros if amsgrad else None)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdamState]:
        del params
        step = state.step + 1
        average, square = _averages(state, updates, betas)
        largest = renew(jnp.maximum, state.max_exp_avg_sq, widen(square)) if amsgrad else None
        correction = _one_minus_power(betas[0], step)
        root = jnp.sqrt(_one_minus_power(betas[1], step))
        direction = jax.tree.map(
            lambda m, v: m / correction / (jnp.sqrt(v) / root + eps),
            widen(average),
            widen(largest if amsgrad else square),
        )
        return direction, AdamState(step, average, square, largest)

    return optax.GradientTransformation(init, update)


def _scale_by_nadam(
    betas: tuple[Any, Any], eps: Any, momentum_decay: Any
) -> optax.GradientTransformation:
    def momentum(step: jax.Array) -> jax.Array:
        return betas[0] * (1 - 0.5 * 0.96 ** (step * momentum_decay))

    def init(params: Any) -> NAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return NAdamState(jnp.zeros((), jnp.int32), jnp.ones((), jnp.float32), zeros, zeros)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, NAdamState]:
        del params
        step = state.step + 1
        mu, next_mu = momentum(step), momentum(step + 1)
        mu_product = state.mu_product * mu.astype(jnp.float32)
        product = mu_product.astype(mu.dtype)
        average, square = _averages(state, updates, betas)
        correction = _one_minus_power(betas[1], step)
        now, ahead = (1 - mu) / (1 - product), next_mu / (1 - product * next_mu)
        direction = jax.tree.map(
            lambda g, m, v: (now * g + ahead * m) / (jnp.sqrt(v / correction) + eps),
            updates,
            widen(average),
            widen(square),
        )
        return direction, NAdamState(step, mu_product, average, square)

    return optax.GradientTransformation(init, update)
