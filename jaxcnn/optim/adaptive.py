"""Rules that divide by past gradients' sizes: RMSprop, Adagrad, Adadelta. Adam's are in adam.py."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn._checks import check
from jaxcnn.optim._common import check_lr, check_not_negative, compose, is_zero, renew, widen


class RMSpropState(NamedTuple):
    """State of `rmsprop`, named as PyTorch's.

    Attributes:
      step: Updates made so far.
      square_avg: Running average of the gradient's square.
      momentum_buffer: Sum of past directions; None without `momentum`.
      grad_avg: Running average of the gradient; None unless `centered`.
    """

    step: jax.Array
    square_avg: Any
    momentum_buffer: Any
    grad_avg: Any


class AdagradState(NamedTuple):
    """State of `adagrad`, named as PyTorch's.

    Attributes:
      step: Updates made so far.
      sum: Sum of the gradients' squares.
    """

    step: jax.Array
    sum: Any


class AdadeltaState(NamedTuple):
    """State of `adadelta`, named as PyTorch's.

    Attributes:
      step: Updates made so far.
      square_avg: Running average of the gradient's square.
      acc_delta: Running average of the direction's square.
    """

    step: jax.Array
    square_avg: Any
    acc_delta: Any


def rmsprop(
    lr: float | optax.Schedule = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum: float = 0,
    centered: bool = False,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """RMSprop with PyTorch's exact update.

    Mirrors `torch.optim.RMSprop`: `eps` is added after the root, and momentum collects directions
    before the learning rate. (`optax.rmsprop` adds `eps` before the root by default, and its decay
    is 0.9.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      alpha: Share of the old average of the square that stays.
      eps: Added to the root of the averaged square.
      weight_decay: L2 penalty.
      momentum: Share of the last direction that stays in the new one.
      centered: Whether to divide by the standard deviation instead of the root mean square.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative.
      TypeError: If a value is not a number.

    Source: Tieleman and Hinton, 2012; Graves, 2013 (`centered`).

    Example:
      >>> tx = rmsprop(0.1)
      >>> params = {"w": jnp.array(2.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      1.0
    """
    check_lr("rmsprop", lr)
    check_not_negative("rmsprop", alpha=alpha, eps=eps, weight_decay=weight_decay)
    check_not_negative("rmsprop", momentum=momentum)
    return compose(_scale_by_rms(alpha, eps, momentum, centered), lr, weight_decay, maximize)


def adagrad(
    lr: float | optax.Schedule = 1e-2,
    lr_decay: float = 0,
    weight_decay: float = 0,
    initial_accumulator_value: float = 0,
    eps: float = 1e-10,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """Adagrad with PyTorch's exact update.

    Mirrors `torch.optim.Adagrad`: `eps` is added after the root, and the sum starts at 0.
    (`optax.adagrad` adds it before and starts at 0.1.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      lr_decay: The learning rate is divided by 1 + `lr_decay` * steps so far.
      weight_decay: L2 penalty.
      initial_accumulator_value: What the sum of squares starts from.
      eps: Added to the root of the sum.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative.
      TypeError: If a value is not a number.

    Source: Duchi et al., 2011.

    Example:
      >>> tx = adagrad(0.1)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.9
    """
    check_lr("adagrad", lr)
    check_not_negative("adagrad", lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
    check_not_negative("adagrad", initial_accumulator_value=initial_accumulator_value)
    rule = _scale_by_sum(lr_decay, initial_accumulator_value, eps)
    return compose(rule, lr, weight_decay, maximize)


def adadelta(
    lr: float | optax.Schedule = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """Adadelta with PyTorch's exact update.

    Mirrors `torch.optim.Adadelta`.

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      rho: Share of the old averages that stays.
      eps: Added to both averages before the root; sets the size of the first steps.
      weight_decay: L2 penalty.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative, or `rho` is above 1.
      TypeError: If a value is not a number.

    Source: Zeiler, 2012.

    Example:
      >>> tx = adadelta()
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(5.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.9968
    """
    check_lr("adadelta", lr)
    check_not_negative("adadelta", rho=rho, eps=eps, weight_decay=weight_decay)
    ok = isinstance(rho, jax.Array) or rho <= 1
    check(ok, "adadelta", "rho must be at most 1", rho=rho)
    return compose(_scale_by_delta(rho, eps), lr, weight_decay, maximize)


def _scale_by_rms(
    alpha: Any, eps: Any, momentum: Any, centered: bool
) -> optax.GradientTransformation:
    collects = not is_zero(momentum)

    def init(params: Any) -> RMSpropState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        step = jnp.zeros((), jnp.int32)
        return RMSpropState(step, zeros, zeros if collects else None, zeros if centered else None)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, RMSpropState]:
        del params
        square = renew(lambda v, g: alpha * v + (1 - alpha) * g * g, state.square_avg, updates)
        mean = variance = None
        if centered:
            mean = renew(lambda m, g: m + (1 - alpha) * (g - m), state.grad_avg, updates)
            variance = jax.tree.map(lambda v, m: v - m * m, widen(square), widen(mean))
        direction = jax.tree.map(
            lambda g, v: g / (jnp.sqrt(v) + eps), updates, variance if centered else widen(square)
        )
        buffer = None
        if collects:
            buffer = renew(lambda b, d: momentum * b + d, state.momentum_buffer, direction)
            direction = widen(buffer)
        return direction, RMSpropState(state.step + 1, square, buffer, mean)

    return optax.GradientTransformation(init, update)


def _scale_by_sum(lr_decay: Any, start: Any, eps: Any) -> optax.GradientTransformation:
    def init(params: Any) -> AdagradState:
        full = jax.tree.map(lambda p: jnp.full_like(p, start), params)
        return AdagradState(jnp.zeros((), jnp.int32), full)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdagradState]:
        del params
        total = renew(lambda s, g: s + g * g, state.sum, updates)
        decay = 1 + state.step * lr_decay
        direction = jax.tree.map(
            lambda g, s: g / (jnp.sqrt(s) + eps) / decay, updates, widen(total)
        )
        return direction, AdagradState(state.step + 1, total)

    return optax.GradientTransformation(init, update)


def _scale_by_delta(rho: Any, eps: Any) -> optax.GradientTransformation:
    def init(params: Any) -> AdadeltaState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AdadeltaState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AdadeltaState]:
        del params
        average = lambda old, x: rho * old + (1 - rho) * x * x
        square = renew(average, state.square_avg, updates)
        direction = jax.tree.map(
            lambda g, v, d: jnp.sqrt(d + eps) / jnp.sqrt(v + eps) * g,
            updates,
            widen(square),
            widen(state.acc_delta),
        )
        acc_delta = renew(average, state.acc_delta, direction)
        return direction, AdadeltaState(state.step + 1, square, acc_delta)

    return optax.GradientTransformation(init, update)
