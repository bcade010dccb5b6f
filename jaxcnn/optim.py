"""torch.optim's update rules, composed from optax.

Every optimiser is an `optax.GradientTransformation`; its updates are added to the parameters with
`optax.apply_updates`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn._checks import check


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

    Source: Sutskever et al., 2013, in the form of `torch.optim.SGD`.

    Example:
      >>> tx = sgd(0.1, momentum=0.9)
      >>> params = {"w": jnp.array(1.0)}
      >>> updates, state = tx.update({"w": jnp.array(1.0)}, tx.init(params), params)
      >>> round(float(optax.apply_updates(params, updates)["w"]), 4)
      0.9
    """
    values = {"momentum": momentum, "weight_decay": weight_decay}
    if not callable(lr):
        values["lr"] = lr
    for name, value in values.items():
        ok = isinstance(value, jax.Array) or value >= 0  # an array may be a tracer
        check(ok, "sgd", f"{name} must not be negative", **{name: value})
    fits = not nesterov or (_is_zero(dampening) and not _is_zero(momentum))
    rule = "nesterov needs momentum and no dampening"
    check(fits, "sgd", rule, momentum=momentum, dampening=dampening)
    return optax.chain(
        optax.scale(-1.0) if maximize else optax.identity(),
        optax.identity() if _is_zero(weight_decay) else optax.add_decayed_weights(weight_decay),
        optax.identity() if _is_zero(momentum) else _momentum(momentum, dampening, nesterov),
        optax.scale_by_learning_rate(lr),
    )


def _is_zero(value: Any) -> bool:
    return not isinstance(value, jax.Array) and value == 0


def _momentum(momentum: float, dampening: float, nesterov: bool) -> optax.GradientTransformation:
    def init(params: Any) -> MomentumState:
        return MomentumState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, MomentumState]:
        del params
        share = jnp.where(state.step == 0, 1.0, 1.0 - dampening)
        buffer = jax.tree.map(
            lambda g, b: momentum * b + share.astype(g.dtype) * g, updates, state.momentum_buffer
        )
        direction = (
            jax.tree.map(lambda g, b: g + momentum * b, updates, buffer) if nesterov else buffer
        )
        return direction, MomentumState(state.step + 1, buffer)

    return optax.GradientTransformation(init, update)
