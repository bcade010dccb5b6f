"""Gradient clipping, put before an optimiser with `optax.chain`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.experimental import checkify

from jaxcnn.optim._common import check_not_negative, check_number, widen


def clip_grad_norm(
    max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> optax.GradientTransformation:
    """Scales all gradients together so that their norm is at most `max_norm`.

    Mirrors `torch.nn.utils.clip_grad_norm_`: the factor is `max_norm / (norm + 1e-6)`, never above
    1. (`optax.clip_by_global_norm` has no 1e-6 and only the 2-norm.) The norm itself, which
    PyTorch's returns, is `optax.global_norm(grads)`.

    A compiled function cannot raise by itself: `error_if_nonfinite` raises outside `jax.jit`; a
    function inside it must be wrapped with `jax.experimental.checkify.checkify`, and JAX says so
    when it compiles one that is not.

    Args:
      max_norm: Largest norm.
      norm_type: Order of the norm; `math.inf` for the largest entry.
      error_if_nonfinite: Whether an infinite or undefined norm is an error.

    Raises:
      ValueError: If `max_norm` is negative; in an update, if the norm is not finite and
        `error_if_nonfinite` is set (`checkify.JaxRuntimeError`, where PyTorch has a RuntimeError).
      TypeError: If a value is not a number.

    Source: Pascanu et al., 2013.

    Example:
      >>> tx = clip_grad_norm(1.0)
      >>> clipped, _ = tx.update({"w": jnp.array([3.0, 4.0])}, optax.EmptyState())
      >>> [round(x, 4) for x in clipped["w"].tolist()]
      [0.6, 0.8]
    """
    check_not_negative("clip_grad_norm", max_norm=max_norm)
    check_number("clip_grad_norm", "norm_type", norm_type)

    def update(grads: Any, params: Any = None) -> Any:
        del params
        # Of each array first, then of these norms: with norm_type 0 that is another number.
        norms = [_norm(leaf, norm_type) for leaf in jax.tree.leaves(widen(grads))]
        total = _norm(jnp.stack(norms), norm_type) if norms else jnp.zeros(())
        if error_if_nonfinite:
            rule = "clip_grad_norm: the norm of the gradients must be finite, got norm={norm}."
            checkify.check(jnp.isfinite(total), rule, norm=total)
        factor = jnp.minimum(max_norm / (total + 1e-6), 1.0)
        return jax.tree.map(lambda g: (g * factor).astype(g.dtype), grads)

    return optax.stateless(update)


def _norm(x: jax.Array, order: float) -> jax.Array:
    return jnp.linalg.norm(jnp.ravel(x), order)


def clip_grad_value(clip_value: float) -> optax.GradientTransformation:
    """Limits each entry of the gradients to `[-clip_value, clip_value]`.

    Mirrors `torch.nn.utils.clip_grad_value_`.

    Args:
      clip_value: Largest size of an entry.

    Raises:
      ValueError: If `clip_value` is negative.
      TypeError: If it is not a number.

    Example:
      >>> tx = clip_grad_value(0.5)
      >>> clipped, _ = tx.update({"w": jnp.array([-2.0, 0.25])}, optax.EmptyState())
      >>> clipped["w"].tolist()
      [-0.5, 0.25]
    """
    check_not_negative("clip_grad_value", clip_value=clip_value)
    return optax.clip(clip_value)
