"""What the rules and the schedules share: checks, and all that surrounds a rule."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn._checks import check, check_type


def check_number(where: str, name: str, value: Any) -> None:
    """Raises unless `value` is a number; an array may be a tracer and passes."""
    ok = isinstance(value, numbers.Real | np.ndarray | jax.Array) and not isinstance(value, bool)
    check_type(ok, where, f"{name} must be a number", **{name: value})


def check_not_negative(where: str, **values: Any) -> None:
    """Raises unless each value is a number of at least 0; of a JAX array only the type counts."""
    for name, value in values.items():
        check_number(where, name, value)
        ok = isinstance(value, jax.Array) or value >= 0
        check(ok, where, f"{name} must not be negative", **{name: value})


def check_lr(where: str, lr: Any) -> None:
    """Raises unless `lr` is a schedule or a number of at least 0."""
    if not callable(lr):
        check_not_negative(where, lr=lr)


def check_share(where: str, name: str, value: Any) -> None:
    """Raises unless `value` is a number from 0 to 1."""
    check_number(where, name, value)
    check(0 <= value <= 1, where, f"{name} must be from 0 to 1", **{name: value})


def is_zero(value: Any) -> bool:
    """Whether `value` is 0 already now; of a JAX array that is not known."""
    return not isinstance(value, jax.Array) and value == 0


def widen(tree: Any) -> Any:
    """Turns half precision into float32."""
    return jax.tree.map(lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32)), tree)


def renew(function: Callable[..., jax.Array], buffers: Any, *others: Any) -> Any:
    """`function(buffer, *others)` at each leaf, in the buffer's type."""
    return jax.tree.map(
        lambda b, *rest: function(widen(b), *rest).astype(b.dtype), buffers, *others
    )


def compose(
    rule: optax.GradientTransformation,
    lr: Any,
    weight_decay: Any,
    maximize: bool,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformation:
    """Sign, decay, `rule` and learning rate in torch.optim's order.

    As in PyTorch's kernels half precision is only stored: the square of 300 is no float16.
    """
    decay = optax.identity() if is_zero(weight_decay) else optax.add_decayed_weights(weight_decay)
    chain = optax.chain(
        optax.scale(-1.0) if maximize else optax.identity(),
        *((rule, decay) if decoupled_weight_decay else (decay, rule)),
        optax.scale_by_learning_rate(lr),
    )

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        grads, params = jax.tree.map(jnp.asarray, (updates, params))
        updates, state = chain.update(widen(grads), state, widen(params))
        return jax.tree.map(lambda u, g: u.astype(g.dtype), updates, grads), state

    return optax.GradientTransformation(chain.init, update)
