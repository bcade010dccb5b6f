"""What the losses share: PyTorch's reductions, promotion of types and broadcasting."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(where: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raises unless `reduction` is one of `allowed`.

    Example:
      >>> check_reduction("l1_loss", "avg")
      Traceback (most recent call last):
      ValueError: l1_loss: reduction must be one of ('none', 'mean', 'sum'), got reduction='avg'.
    """
    rule = f"reduction must be one of {allowed}"
    check(reduction in allowed, where, rule, reduction=reduction)


def resolve_reduction(
    where: str,
    size_average: bool | None,
    reduce: bool | None,
    reduction: str,
    allowed: tuple[str, ...] = REDUCTIONS,
) -> str:
    """The reduction that PyTorch reads from `reduction` and its two deprecated arguments.

    Example:
      >>> resolve_reduction("l1_loss", False, None, "mean")
      'sum'
    """
    if size_average is None and reduce is None:
        check_reduction(where, reduction, allowed)
        return reduction
    if reduce is not None and not reduce:
        return "none"
    return "sum" if size_average is not None and not size_average else "mean"


def reduce_losses(losses: jax.Array, reduction: str, dtype: Any) -> jax.Array:
    """`losses`, their mean or their sum, as `dtype`."""
    if reduction != "none":
        losses = jnp.mean(losses) if reduction == "mean" else jnp.sum(losses)
    return losses.astype(dtype)


def widen(*values: ArrayLike) -> tuple[Any, list[jax.Array]]:
    """The floating type that `values` have in common, and `values` in at least float32.

    Half precision is computed in float32 and rounded once, at the end.

    Example:
      >>> dtype, (x, y) = widen(jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.int32))
      >>> dtype.name, x.dtype.name, y.dtype.name
      ('bfloat16', 'float32', 'float32')
    """
    arrays = [jnp.asarray(value) for value in values]
    dtype = jnp.result_type(*arrays)
    if not jnp.issubdtype(dtype, jnp.inexact):
        dtype = jnp.promote_types(dtype, jnp.float32)
    wide = jnp.promote_types(dtype, jnp.float32)
    return dtype, [array.astype(wide) for array in arrays]


def check_broadcast(where: str, **values: ArrayLike) -> tuple[int, ...]:
    """The shape that `values` broadcast to; raises if there is none.

    Example:
      >>> check_broadcast("soft_margin_loss", input=jnp.ones((5, 4)), target=jnp.ones(5))
      Traceback (most recent call last):
      ValueError: soft_margin_loss: the shapes must broadcast, got input=(5, 4), target=(5,).
    """
    shapes = {name: jnp.shape(value) for name, value in values.items()}
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        got = ", ".join(f"{name}={shape}" for name, shape in shapes.items())
        raise ValueError(f"{where}: the shapes must broadcast, got {got}.") from None


def warn_if_broadcast(where: str, input: ArrayLike, target: ArrayLike) -> None:
    """Warns, as PyTorch does, where `(n, 1)` against `(n,)` would become `(n, n)` unseen."""
    check_broadcast(where, input=input, target=target)
    got = jnp.shape(input), jnp.shape(target)
    if got[0] != got[1]:
        warnings.warn(
            f"{where}: input and target should have the same shape, got input={got[0]}, "
            f"target={got[1]}; they are broadcast.",
            stacklevel=3,
        )


def check_same_shape(where: str, **values: ArrayLike) -> None:
    """Raises unless all `values` have one shape.

    Example:
      >>> check_same_shape("mse_loss", input=jnp.ones(3), weight=jnp.ones(2))
      Traceback (most recent call last):
      ValueError: mse_loss: input and weight must have the same shape, got input=(3,), weight=(2,).
    """
    shapes = {name: jnp.shape(value) for name, value in values.items()}
    rule = f"{' and '.join(shapes)} must have the same shape"
    check(len(set(shapes.values())) == 1, where, rule, **shapes)
