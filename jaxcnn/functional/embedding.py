"""Look-up of rows by index. Mirrors torch.nn.functional.embedding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional._numbers import widened


def embedding(
    input: ArrayLike,
    weight: ArrayLike,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> jax.Array:
    """The rows of `weight` at the given indices.

    Mirrors `torch.nn.functional.embedding`. Nothing is written in place: with `max_norm` the rows
    are shortened in the output, and `embedding_renorm` gives the weight as PyTorch leaves it
    behind. An index outside the rows, which PyTorch refuses, gives NaN (values are unknown under
    jit).

    Args:
      input: Integer indices of any shape.
      weight: `(num_embeddings, embedding_dim)`.
      padding_idx: An index whose row gets no gradient; may be negative.
      max_norm: Longest norm of a row; longer ones are scaled down to it. The gradient is that of
        the scaled row, as if it had been stored.
      norm_type: The p of that p-norm.
      scale_grad_by_freq: Whether to divide the gradient of each row by how often it is looked up.
      sparse: Accepted and without effect.

    Returns:
      `(*, embedding_dim)`.

    Raises:
      ValueError: If `weight` is not a matrix or `padding_idx` is outside its rows.
      TypeError: If an index is not an integer.

    Example:
      >>> embedding(jnp.array([2, 0]), jnp.array([[1.0], [2.0], [3.0]])).tolist()
      [[3.0], [1.0]]
    """
    del sparse
    index, w = _checked("embedding", input, weight)
    padding = padding_index("embedding", padding_idx, w.shape[0])
    rows = w.at[index].get(mode="fill", fill_value=jnp.nan)
    value = rows if max_norm is None else _shortened(rows, max_norm, norm_type)
    if max_norm is None and padding is None and not scale_grad_by_freq:
        return rows
    share = jnp.ones(index.shape, widened(rows).dtype)
    if scale_grad_by_freq:
        share = share / jnp.zeros(w.shape[0], share.dtype).at[index].add(1)[index]
    if padding is not None:
        share = jnp.where(index == padding, 0, share)
    return _looked_up(value, rows, share[..., None])


def embedding_renorm(
    weight: ArrayLike, input: ArrayLike, max_norm: float, norm_type: float = 2.0
) -> jax.Array:
    """`weight` with the rows at the given indices scaled down to a norm of `max_norm`.

    Mirrors `torch.embedding_renorm_`, which `torch.nn.functional.embedding` applies to its weight
    in place; here a new weight is returned.

    Args:
      weight: `(num_embeddings, embedding_dim)`.
      input: Integer indices of any shape; other rows stay as they are.
      max_norm: Longest norm of a row.
      norm_type: The p of that p-norm.

    Raises:
      ValueError: If `weight` is not a matrix.
      TypeError: If an index is not an integer.

    Example:
      >>> weight = jnp.array([[3.0, 4.0], [6.0, 8.0]])
      >>> embedding_renorm(weight, jnp.array([1]), 5.0).round(4).tolist()
      [[3.0, 4.0], [3.0, 4.0]]
    """
    index, w = _checked("embedding_renorm", input, weight)
    rows = w.at[index].get(mode="fill", fill_value=0)
    return w.at[index].set(_shortened(rows, max_norm, norm_type), mode="drop")


def padding_index(where: str, padding_idx: int | None, rows: int) -> int | None:
    """`padding_idx` counted from the front.

    Raises:
      TypeError: If it is neither an integer nor None.
      ValueError: If there is no such row.

    Example:
      >>> padding_index("embedding", -1, 10)
      9
    """
    if padding_idx is None:
        return None
    check_type(is_int(padding_idx), where, "padding_idx must be an int", padding_idx=padding_idx)
    rule = f"padding_idx must be one of the {rows} rows"
    check(-rows <= padding_idx < rows, where, rule, padding_idx=padding_idx)
    return padding_idx % rows


def _checked(where: str, input: ArrayLike, weight: ArrayLike) -> tuple[jax.Array, jax.Array]:
    """Indices, with the number of rows for what is none of them, and the weight."""
    index, w = jnp.asarray(input), jnp.asarray(weight)
    rule = "weight must be (num_embeddings, embedding_dim)"
    check(w.ndim == 2, where, rule, shape=w.shape)
    whole = jnp.issubdtype(index.dtype, jnp.integer)
    check_type(whole, where, "indices must be integers", dtype=str(index.dtype))
    # JAX would count a negative index from the end.
    return jnp.where(index < 0, w.shape[0], index), w


def _shortened(rows: jax.Array, max_norm: float, norm_type: float) -> jax.Array:
    x = widened(rows)
    norm = jnp.linalg.norm(x, norm_type, axis=-1, keepdims=True)
    return jnp.where(norm > max_norm, x * (max_norm / (norm + 1e-7)), x).astype(rows.dtype)


@jax.custom_jvp
def _looked_up(value: jax.Array, rows: jax.Array, share: jax.Array) -> jax.Array:
    """`value`, with `share` of the gradient for the rows it came from."""
    del rows, share
    return value


@_looked_up.defjvp
def _looked_up_jvp(
    primals: tuple[jax.Array, jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    value, _, share = primals
    # Chosen, not multiplied: a NaN that arrives at the padding must not reach its row.
    scaled = jnp.where(share > 0, widened(tangents[1]) * share, 0)
    return value, scaled.astype(value.dtype)
