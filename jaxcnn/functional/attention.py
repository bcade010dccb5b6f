"""Attention. Mirrors torch.nn.functional.scaled_dot_product_attention."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_int, check_type
from jaxcnn.functional._numbers import wide_dtype, widened
from jaxcnn.functional.dropout import dropout


def scaled_dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    attn_mask: ArrayLike | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """softmax(query @ key.T * scale + mask) @ value.

    Mirrors `torch.nn.functional.scaled_dot_product_attention`; the random key is explicit. A query
    that may attend to nothing gives zeros, as in PyTorch.

    Args:
      query: `(*, l, e)`.
      key: `(*, s, e)`; the leading axes of the three broadcast.
      value: `(*, s, ev)`.
      attn_mask: Broadcastable to `(*, l, s)`: True where a query attends, or numbers that are added
        to the scores.
      dropout_p: Probability of dropping a weight. There is no `training` here: pass 0 to evaluate.
      is_causal: Whether query i attends to keys 0 to i only; excludes `attn_mask`.
      scale: Factor of the scores. Defaults to 1 / sqrt(e).
      enable_gqa: Whether groups of heads of the query, axis -3, share a head of key and value.
      rng: The random key; needed when `0 < dropout_p < 1`.

    Returns:
      `(*, l, ev)`.

    Raises:
      ValueError: If shapes or options do not fit, or the random key is missing.
      TypeError: If an input is not floating point, or the mask neither that nor boolean.

    Source: Vaswani et al., 2017; Ainslie et al., 2023 (grouped queries).

    Example:
      >>> q, kv = jnp.ones((2, 8, 5, 4)), jnp.ones((2, 8, 7, 4))
      >>> scaled_dot_product_attention(q, kv, kv).shape
      (2, 8, 5, 4)
    """
    where = "scaled_dot_product_attention"
    q, k, v = (jnp.asarray(x) for x in (query, key, value))
    check_dropout(where, "dropout_p", dropout_p, rng)
    _check_inputs(where, q, k, v)
    if enable_gqa:
        k, v = _shared_heads(where, q, k, v)
    rule = "the leading axes of query, key and value must broadcast"
    leading = _broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    check(leading is not None, where, rule, query=q.shape, key=k.shape, value=v.shape)
    mask = None
    if attn_mask is not None:
        mask = jnp.asarray(attn_mask)
        rule = "attn_mask must be None when is_causal"
        check(not is_causal, where, rule, is_causal=is_causal, shape=mask.shape)
        check_mask(where, "attn_mask", mask, (*(leading or ()), q.shape[-2], k.shape[-2]))
    elif is_causal:
        mask = jnp.asarray(np.tri(q.shape[-2], k.shape[-2], dtype=bool))
    weights = attention_probabilities(q, k, mask, scale=scale, zero_if_masked=True)
    return weighted_sum(drop_weights(weights, dropout_p, rng), v)


def attention_probabilities(
    query: jax.Array,
    key: jax.Array,
    mask: jax.Array | None = None,
    *,
    scale: float | None = None,
    gain: jax.Array | None = None,
    zero_if_masked: bool = False,
) -> jax.Array:
    """softmax(query @ key.T * scale * gain + mask), in at least float32.

    Args:
      query: `(*, l, e)`.
      key: `(*, s, e)`.
      mask: True where a query attends, or numbers that are added to the scores.
      scale: Factor of all scores. Defaults to 1 / sqrt(e).
      gain: Factor of each score, before the mask.
      zero_if_masked: Whether a query that attends to nothing has weights 0 instead of NaN.

    Returns:
      `(*, l, s)`.

    Example:
      >>> attention_probabilities(jnp.ones((1, 4)), jnp.ones((2, 4))).tolist()
      [[0.5, 0.5]]
    """
    dtype = jnp.result_type(query, key)
    scores = jnp.einsum(
        "...ld,...sd->...ls",
        query.astype(dtype),
        key.astype(dtype),
        # Products of half precision numbers are exact in float32; only their sum needs it.
        preferred_element_type=wide_dtype(dtype),
    )
    scores = scores * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if gain is not None:
        scores = scores * widened(gain)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    masked = mask.dtype == jnp.bool_
    scores = jnp.where(mask, scores, -jnp.inf) if masked else scores + widened(mask)
    if not zero_if_masked:
        return jax.nn.softmax(scores, axis=-1)
    # Chosen before the softmax and after it: the gradient through a row of -inf would be NaN.
    lost = jnp.all(scores == -jnp.inf, axis=-1, keepdims=True)
    return jnp.where(lost, 0, jax.nn.softmax(jnp.where(lost, 0, scores), axis=-1))


def weighted_sum(weights: jax.Array, value: jax.Array) -> jax.Array:
    """`(*, l, s)` weights times `(*, s, e)` values, in the values' dtype.

    Example:
      >>> weighted_sum(jnp.array([[0.5, 0.5]]), jnp.array([[1.0], [3.0]])).tolist()
      [[2.0]]
    """
    return jnp.einsum("...ls,...sd->...ld", weights, widened(value)).astype(value.dtype)


def drop_weights(weights: jax.Array, p: float, rng: jax.Array | None) -> jax.Array:
    """Dropout on attention weights; nothing happens, and no key is needed, at p = 0."""
    return dropout(weights, p, rng=rng) if p > 0 else weights


def simplified_attention(
    queries: ArrayLike,
    keys: ArrayLike,
    values: ArrayLike,
    h: int,
    attention_mask: ArrayLike | None = None,
    attention_weights: ArrayLike | None = None,
    dropout: float = 0.0,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Attention whose heads are slices of the features, without any projection.

    What `nn.SimplifiedScaledDotProductAttention` computes before its last layer. A query that may
    attend to nothing gives NaN.

    Args:
      queries: `(n, l, d_model)`.
      keys: `(n, s, d_model)`.
      values: `(n, s, d_model)`.
      h: Number of heads.
      attention_mask: Broadcastable to `(n, h, l, s)`: True where a query must not attend.
      attention_weights: Factors of the scores, broadcastable to the same shape.
      dropout: Probability of dropping a weight.
      rng: The random key; needed when `0 < dropout < 1`.

    Returns:
      `(n, l, d_model)`.

    Raises:
      ValueError: If shapes or options do not fit, or the random key is missing.
      TypeError: If an input is not floating point, or the mask not boolean.

    Example:
      >>> x = jnp.ones((2, 5, 8))
      >>> simplified_attention(x, x, x, 4).shape
      (2, 5, 8)
    """
    where = "simplified_attention"
    q, k, v = (jnp.asarray(x) for x in (queries, keys, values))
    check_dropout(where, "dropout", dropout, rng)
    check_int(where, "h", h, 1)
    for name, x in (("queries", q), ("keys", k), ("values", v)):
        rule = f"{name} must be (n, length, d_model) with d_model divisible by h"
        check(x.ndim == 3 and x.shape[2] % h == 0, where, rule, shape=x.shape, h=h)
    q, k, v = (split_heads(x, h) for x in (q, k, v))
    _check_inputs(where, q, k, v)
    shape = (*q.shape[:3], k.shape[2])
    mask = gain = None
    if attention_mask is not None:
        hidden = jnp.asarray(attention_mask)
        rule = "attention_mask must be boolean"
        check_type(hidden.dtype == jnp.bool_, where, rule, dtype=str(hidden.dtype))
        check_mask(where, "attention_mask", hidden, shape)
        mask = ~hidden
    if attention_weights is not None:
        gain = jnp.asarray(attention_weights)
        check_mask(where, "attention_weights", gain, shape)
    weights = attention_probabilities(q, k, mask, gain=gain)
    return merge_heads(weighted_sum(drop_weights(weights, dropout, rng), v))


def split_heads(x: jax.Array, heads: int) -> jax.Array:
    """`(n, l, e)` -> `(n, heads, l, e / heads)`.

    Example:
      >>> split_heads(jnp.ones((2, 5, 8)), 4).shape
      (2, 4, 5, 2)
    """
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).swapaxes(1, 2)


def merge_heads(x: jax.Array) -> jax.Array:
    """`(n, heads, l, e / heads)` -> `(n, l, e)`.

    Example:
      >>> merge_heads(jnp.ones((2, 4, 5, 2))).shape
      (2, 5, 8)
    """
    n, heads, length, features = x.shape
    return x.swapaxes(1, 2).reshape(n, length, heads * features)


def check_dropout(where: str, name: str, p: float, rng: jax.Array | None) -> None:
    """Raises unless `p` is a probability, and there is a random key where one is needed."""
    check(0 <= p <= 1, where, f"{name} must be between 0 and 1", **{name: p})
    rule = f"{name}={p} needs a random key"
    check(rng is not None or p in (0, 1), where, rule, "pass rng=key", rng=rng)


def check_mask(where: str, name: str, mask: jax.Array, shape: tuple[int, ...]) -> None:
    """Raises unless a mask is boolean or floating point and broadcasts to the scores' `shape`."""
    check_mask_dtype(where, name, mask)
    fits = _broadcast(mask.shape, shape) == shape
    check(fits, where, f"{name} must broadcast to {shape}", shape=mask.shape)


def check_mask_dtype(where: str, name: str, mask: jax.Array) -> None:
    """Raises unless a mask is boolean or floating point."""
    ok = mask.dtype == jnp.bool_ or jnp.issubdtype(mask.dtype, jnp.floating)
    check_type(ok, where, f"{name} must be boolean or floating point", dtype=str(mask.dtype))


def _check_inputs(where: str, q: jax.Array, k: jax.Array, v: jax.Array) -> None:
    for x in (q, k, v):
        check_floating(where, x)
    shapes = {"query": q.shape, "key": k.shape, "value": v.shape}
    two = min(q.ndim, k.ndim, v.ndim) >= 2
    check(two, where, "query, key and value must have at least two axes", **shapes)
    rule = "query and key must have equally many features"
    check(q.shape[-1] == k.shape[-1], where, rule, query=q.shape, key=k.shape)
    rule = "key and value must be equally long"
    check(k.shape[-2] == v.shape[-2], where, rule, key=k.shape, value=v.shape)


def _shared_heads(
    where: str, q: jax.Array, k: jax.Array, v: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Repeats the heads of key and value, axis -3, until each head of the query has its own."""
    three = min(q.ndim, k.ndim, v.ndim) >= 3
    rule = "enable_gqa needs heads on axis -3"
    check(three, where, rule, query=q.shape, key=k.shape, value=v.shape)
    heads = q.shape[-3]
    for name, x in (("key", k), ("value", v)):
        rule = f"the query's heads must be a multiple of the {name}'s"
        ok = x.shape[-3] > 0 and heads % x.shape[-3] == 0
        check(ok, where, rule, query=q.shape, **{name: x.shape})
    k, v = (jnp.repeat(x, heads // x.shape[-3], axis=-3) for x in (k, v))
    return k, v


def _broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def fuse_branches(branches: jax.Array, logits: jax.Array) -> jax.Array:
    """Sums branches of images, weighted for each image and channel by a softmax over branches.

    What `nn.SKAttention` ends with.

    Args:
      branches: `(branches, n, h, w, c)`.
      logits: `(branches, n, c)`.

    Returns:
      `(n, h, w, c)`.

    Example:
      >>> fuse_branches(jnp.ones((4, 2, 7, 7, 3)), jnp.zeros((4, 2, 3))).shape
      (2, 7, 7, 3)
    """
    shares = jax.nn.softmax(widened(logits), axis=0)
    return jnp.einsum("knc,knhwc->nhwc", shares, widened(branches)).astype(branches.dtype)
