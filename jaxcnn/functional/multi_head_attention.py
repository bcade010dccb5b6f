"""Multi-head attention. Mirrors torch.nn.functional.multi_head_attention_forward."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating, check_int
from jaxcnn.functional.attention import (
    attention_probabilities,
    check_dropout,
    check_mask_dtype,
    drop_weights,
    merge_heads,
    split_heads,
    weighted_sum,
)
from jaxcnn.functional.linear import linear


def multi_head_attention_forward(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: ArrayLike | None,
    in_proj_bias: ArrayLike | None,
    bias_k: ArrayLike | None,
    bias_v: ArrayLike | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: ArrayLike,
    out_proj_bias: ArrayLike | None,
    training: bool = True,
    key_padding_mask: ArrayLike | None = None,
    need_weights: bool = True,
    attn_mask: ArrayLike | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: ArrayLike | None = None,
    k_proj_weight: ArrayLike | None = None,
    v_proj_weight: ArrayLike | None = None,
    static_k: ArrayLike | None = None,
    static_v: ArrayLike | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    rng: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    """Projects, attends in several heads and projects back.

    Mirrors `torch.nn.functional.multi_head_attention_forward`; the random key is explicit. See
    `nn.MultiheadAttention`, which holds the parameters.

    Args:
      query: `(l, n, embed_dim)`, or `(l, embed_dim)` for a single one.
      key: `(s, n, kdim)`.
      value: `(s, n, vdim)`.
      embed_dim_to_check: The features that the query must have.
      num_heads: Heads that the features are divided into.
      in_proj_weight: `(3 * embed_dim, embed_dim)`, query's, key's and value's below each other.
      in_proj_bias: `(3 * embed_dim,)`, or None.
      bias_k: `embed_dim` numbers that follow the projected keys as one more; with `bias_v`.
      bias_v: The same for the values.
      add_zero_attn: Whether one more key and value of zeros follow.
      dropout_p: Probability of dropping a weight while `training`.
      out_proj_weight: `(embed_dim, embed_dim)`.
      out_proj_bias: `(embed_dim,)`, or None.
      training: Whether to drop at all.
      key_padding_mask: `(n, s)`, True where a key does not count, or numbers to add to its scores.
      need_weights: Whether to return the weights. With them a query that may attend to nothing
        gives NaN, without them zeros, as in PyTorch.
      attn_mask: `(l, s)` or `(n * num_heads, l, s)`, True where a query must not attend, or numbers
        to add to the scores.
      use_separate_proj_weight: Whether the next three stand in for `in_proj_weight`.
      q_proj_weight: `(embed_dim, embed_dim)`.
      k_proj_weight: `(embed_dim, kdim)`.
      v_proj_weight: `(embed_dim, vdim)`.
      static_k: `(n * num_heads, s, embed_dim / num_heads)`, in place of the projected keys.
      static_v: The same for the values.
      average_attn_weights: Whether to return the mean of the heads' weights.
      is_causal: A hint that `attn_mask` is the causal one. Without weights and padding mask the
        causal mask is then taken instead of `attn_mask`.
      rng: The random key; needed when `training` and `0 < dropout_p < 1`.

    Returns:
      The output `(l, n, embed_dim)`, and the weights after dropout, `(n, l, s)` or
      `(n, num_heads, l, s)`, or None; no `n` where the query has none.

    Raises:
      ValueError: If shapes or options do not fit, or the random key is missing.
      TypeError: If an input is not floating point, or a mask neither that nor boolean.

    Source: Vaswani et al., 2017.

    Example:
      >>> x, w = jnp.ones((5, 2, 4)), jnp.ones((4, 4))
      >>> y, weights = multi_head_attention_forward(
      ...     x, x, x, 4, 2, jnp.ones((12, 4)), None, None, None, False, 0.0, w, None)
      >>> y.shape, weights.shape
      ((5, 2, 4), (2, 5, 5))
    """
    where = "multi_head_attention_forward"
    features = jnp.shape(query)[-1:]
    rule = f"query must have embed_dim_to_check={embed_dim_to_check} features"
    check(features == (embed_dim_to_check,), where, rule, shape=jnp.shape(query))
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    y, weights = attend_in_heads(
        where,
        query,
        key,
        value,
        num_heads,
        separate if use_separate_proj_weight else in_proj_weight,
        in_proj_bias,
        bias_k=bias_k,
        bias_v=bias_v,
        add_zero_attn=add_zero_attn,
        dropout_p=dropout_p if training else 0.0,
        key_padding_mask=key_padding_mask,
        need_weights=need_weights,
        attn_mask=attn_mask,
        static_k=static_k,
        static_v=static_v,
        average_attn_weights=average_attn_weights,
        is_causal=is_causal,
        rng=rng,
    )
    return linear(y, out_proj_weight, out_proj_bias), weights


def attend_in_heads(
    where: str,
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: ArrayLike | None,
    *,
    bias_k: ArrayLike | None,
    bias_v: ArrayLike | None,
    add_zero_attn: bool,
    dropout_p: float,
    key_padding_mask: ArrayLike | None,
    need_weights: bool,
    attn_mask: ArrayLike | None,
    static_k: ArrayLike | None = None,
    static_v: ArrayLike | None = None,
    average_attn_weights: bool,
    is_causal: bool,
    batch_first: bool = False,
    rng: jax.Array | None,
) -> tuple[jax.Array, jax.Array | None]:
    """`multi_head_attention_forward` up to its last layer; `where` is named in errors.

    The arguments are the same, but that `in_proj_weight` may be a tuple of three weights, and
    `batch_first` says whether arrays are `(n, l, features)`.
    """
    check_dropout(where, "dropout_p", dropout_p, rng)
    check(
        attn_mask is not None or not is_causal,
        where,
        "is_causal is a hint about attn_mask, which must be given",
        is_causal=is_causal,
        attn_mask=attn_mask,
    )
    one_array = query is key and key is value
    arrays = [jnp.asarray(x) for x in (query, key, value)]
    _check_sequences(where, *arrays, batch_first=batch_first)
    single = arrays[0].ndim == 2
    if single:
        arrays = [x[None] for x in arrays]
    elif not batch_first:
        arrays = [x.swapaxes(0, 1) for x in arrays]
    projected = _projected(where, arrays, in_proj_weight, in_proj_bias, one_array)
    embed_dim = projected[0].shape[-1]
    check_int(where, "num_heads", num_heads, 1)
    rule = "embed_dim must be divisible by num_heads"
    check(embed_dim % num_heads == 0, where, rule, embed_dim=embed_dim, num_heads=num_heads)
    q, k, v = (split_heads(x, num_heads) for x in projected)
    together = (bias_k is None) == (bias_v is None)
    rule = "bias_k and bias_v must be given together"
    check(together, where, rule, bias_k=_shape(bias_k), bias_v=_shape(bias_v))
    k = _extended(where, "k", k, static_k, bias_k, add_zero_attn)
    v = _extended(where, "v", v, static_v, bias_v, add_zero_attn)

    if is_causal and key_padding_mask is None and not need_weights:
        mask = jnp.asarray(np.tri(q.shape[2], k.shape[2], dtype=bool))
    else:
        extra = (bias_k is not None) + bool(add_zero_attn)
        scores = (*q.shape[:3], k.shape[2] - extra)
        mask = _merged_mask(where, attn_mask, key_padding_mask, scores, extra, single)
    weights = attention_probabilities(q, k, mask, zero_if_masked=not need_weights)
    weights = drop_weights(weights, dropout_p, rng)
    y = merge_heads(weighted_sum(weights, v))
    weights = (weights.mean(1) if average_attn_weights else weights).astype(y.dtype)
    if single:
        y, weights = y[0], weights[0]
    elif not batch_first:
        y = y.swapaxes(0, 1)
    return y, weights if need_weights else None


def _check_sequences(
    where: str, q: jax.Array, k: jax.Array, v: jax.Array, *, batch_first: bool
) -> None:
    for x in (q, k, v):
        check_floating(where, x)
    shapes = {"query": q.shape, "key": k.shape, "value": v.shape}
    batch = "(n, length, features)" if batch_first else "(length, n, features)"
    rule = f"query, key and value must all be {batch} or all (length, features)"
    check(q.ndim in (2, 3) and q.ndim == k.ndim == v.ndim, where, rule, **shapes)
    rule = "key and value must be equally long, and as many"
    check(k.shape[:-1] == v.shape[:-1], where, rule, key=k.shape, value=v.shape)
    axis = 0 if batch_first else 1
    rule = "query and key must be equally many"
    many = q.ndim == 2 or q.shape[axis] == k.shape[axis]
    fix = "" if batch_first else "n is on axis 1 unless batch_first"
    check(many, where, rule, fix, query=q.shape, key=k.shape)


def _projected(
    where: str,
    arrays: list[jax.Array],
    weight: Any,
    bias: ArrayLike | None,
    one_array: bool,
) -> list[jax.Array]:
    """Query, key and value after the first layer."""
    embed_dim = arrays[0].shape[-1]
    b = None if bias is None else jnp.asarray(bias)
    size = (3 * embed_dim,)
    rule = f"in_proj_bias must be {size}"
    check(b is None or b.shape == size, where, rule, shape=_shape(bias))
    if isinstance(weight, tuple):
        names, weights = ("q_proj_weight", "k_proj_weight", "v_proj_weight"), list(weight)
        for name, w, x in zip(names, weights, arrays, strict=True):
            shape = (embed_dim, x.shape[-1])
            check(_shape(w) == shape, where, f"{name} must be {shape}", shape=_shape(w))
    else:
        shape = (3 * embed_dim, embed_dim)
        rule = f"in_proj_weight must be {shape}"
        check(_shape(weight) == shape, where, rule, shape=_shape(weight))
        rule = f"key and value must have {embed_dim} features like the query"
        same = all(x.shape[-1] == embed_dim for x in arrays)
        check(same, where, rule, key=arrays[1].shape[-1], value=arrays[2].shape[-1])
        if one_array:  # one product instead of three
            return jnp.split(linear(arrays[0], weight, b), 3, axis=-1)
        weights = jnp.split(jnp.asarray(weight), 3)
    biases = [None] * 3 if b is None else jnp.split(b, 3)
    return [linear(x, w, b) for x, w, b in zip(arrays, weights, biases, strict=True)]


def _extended(
    where: str,
    name: str,
    x: jax.Array,
    static: ArrayLike | None,
    bias: ArrayLike | None,
    add_zero_attn: bool,
) -> jax.Array:
    """Keys or values `(n, heads, s, e)`, replaced or with the extra ones after them."""
    n, heads, _, features = x.shape
    one = (n, heads, 1, features)
    if static is not None:
        rule = f"static_{name} takes no bias_{name}"
        check(bias is None, where, rule, shape=_shape(bias))
        x = jnp.asarray(static)
        rule = f"static_{name} must be {(n * heads, 's', features)}"
        fits = x.ndim == 3 and (x.shape[0], x.shape[2]) == (n * heads, features)
        check(fits, where, rule, shape=x.shape)
        x = x.reshape(n, heads, x.shape[1], features)
    if bias is not None:
        b = jnp.asarray(bias)
        rule = f"bias_{name} must have {heads * features} entries"
        check(b.size == heads * features, where, rule, shape=b.shape)
        b = b.reshape(1, heads, 1, features)
        x = jnp.concatenate([x, jnp.broadcast_to(b, one).astype(x.dtype)], 2)
    return jnp.concatenate([x, jnp.zeros(one, x.dtype)], 2) if add_zero_attn else x


def _merged_mask(
    where: str,
    attn_mask: ArrayLike | None,
    key_padding_mask: ArrayLike | None,
    scores: tuple[int, ...],
    extra: int,
    single: bool,
) -> jax.Array | None:
    """What to add to the scores `(n, heads, l, s)`; the last `extra` keys are never masked."""
    n, heads, queries, keys = scores
    masks = []
    if attn_mask is not None:
        shape = (queries, keys) if np.ndim(attn_mask) == 2 else (n * heads, queries, keys)
        mask = _additive(where, "attn_mask", attn_mask, shape)
        masks.append(mask if mask.ndim == 2 else mask.reshape(scores))
    if key_padding_mask is not None:
        shape = (keys,) if single else (n, keys)
        mask = _additive(where, "key_padding_mask", key_padding_mask, shape)
        masks.append(mask.reshape(n, 1, 1, keys))
    if not masks:
        return None
    mask = sum(masks[1:], masks[0])
    return jnp.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, extra)])


def _additive(where: str, name: str, mask: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    m = jnp.asarray(mask)
    check(m.shape == shape, where, f"{name} must be {shape}", shape=m.shape)
    check_mask_dtype(where, name, m)
    return jnp.where(m, -jnp.inf, 0.0) if m.dtype == jnp.bool_ else m


def _shape(x: ArrayLike | None) -> tuple[int, ...] | None:
    return None if x is None else jnp.shape(x)
