"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn._checks import check
from jaxcnn.optim._common import (
    check_lr,
    check_not_negative,
    check_number,
    compose,
    is_zero,
    renew,
    widen,
)


class MomentumState(NamedTuple):
    """State of SGD's momentum.

    Attributes:
      step: Updates made so far.
      momentum_buffer: One array for each parameter, as in `torch.optim.SGD`'s state.
    """

    step: jax.Array
    momentum_buffer: Any


def sgd(
    lr: float | optax.Schedule,
    momentum: float = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """Stochastic gradient descent with PyTorch's exact update.

    Mirrors `torch.optim.SGD`: the decay is added to the gradient before momentum, the first
    momentum buffer is the raw gradient without dampening, and the learning rate comes last.
    (`optax.sgd` has neither dampening nor decay.)

    Args:
      lr: Learning rate, or an optax schedule from the step number.
      momentum: Share of the last buffer that stays in the new one.
      dampening: Share of the gradient that does not enter the buffer (from the second step on).
      weight_decay: L2 penalty.
      nesterov: Whether to look ahead; needs momentum and no dampening.
      maximize: Whether to climb instead of descend.

    Raises:
      ValueError: If a value is negative, or `nesterov` is used without momentum or with dampening.
      TypeError: If a value is not a number.

    Source: Sutskever et al., 2013, in the form of `torch.optim.SGD`.

    Example:
      >>> tx = sgd(0.1, momentum=0.9)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(1.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.9
    """
    check_lr("sgd", lr)
    check_not_negative("sgd", momentum=momentum, weight_decay=weight_decay)
    check_number("sgd", "dampening", dampening)
    undamped = isinstance(dampening, jax.Array) or dampening == 0
    fits = not nesterov or (undamped and not is_zero(momentum))
    needs = "nesterov needs momentum and no dampening"
    check(fits, "sgd", needs, momentum=momentum, dampening=dampening)
    plain = is_zero(momentum)
    rule = optax.identity() if plain else _momentum(momentum, dampening, nesterov)
    return compose(rule, lr, weight_decay, maximize)


def _momentum(momentum: float, dampening: float, nesterov: bool) -> optax.GradientTransformation:
    def init(params: Any) -> MomentumState:
        return MomentumState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, MomentumState]:
        del params
        share = jnp.where(state.step == 0, 1.0, 1.0 - dampening)
        buffer = renew(lambda b, g: momentum * b + share * g, state.momentum_buffer, updates)
        direction = widen(buffer)
        if nesterov:
            direction = jax.tree.map(lambda g, b: g + momentum * b, updates, direction)
        return direction, MomentumState(state.step + 1, buffer)

    return optax.GradientTransformation(init, update)
