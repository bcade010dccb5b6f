"""Attention layers: torch.nn.MultiheadAttention, and one without projections."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import init
from jaxcnn._checks import check, check_int, check_type
from jaxcnn.functional.attention import simplified_attention
from jaxcnn.functional.multi_head_attention import attend_in_heads
from jaxcnn.nn.linear import Linear


class NonDynamicallyQuantizableLinear(Linear):
    """The last layer of `MultiheadAttention`, named as PyTorch prints it; its bias starts at 0.

    Example:
      >>> layer = NonDynamicallyQuantizableLinear(3, 4)
      >>> layer.init(jax.random.key(0), jnp.ones((2, 3)))["params"]["bias"].tolist()
      [0.0, 0.0, 0.0, 0.0]
    """

    bias_init: init.Initializer | None = dataclasses.field(default=init.zeros(), kw_only=True)


class MultiheadAttention(nn.Module):
    """Attention in several heads between a projection of the inputs and one of the output.

    Mirrors `torch.nn.MultiheadAttention`; torch's `device` and `dtype` are left out. Sequences are
    not images: their axes are PyTorch's. Dropout draws from the `dropout` rng:
    `model.apply(variables, q, k, v, train=True, rngs={"dropout": key})`.

    Attributes:
      embed_dim: Features of queries and output.
      num_heads: Heads that the features are divided into.
      dropout: Probability of dropping an attention weight while training.
      bias: Whether the projections have learned biases.
      add_bias_kv: Whether a learned key and value follow the projected ones.
      add_zero_attn: Whether a key and value of zeros follow.
      kdim: Features of keys. Defaults to `embed_dim`.
      vdim: Features of values. Defaults to `embed_dim`.
      batch_first: Whether arrays are `(n, l, features)` instead of `(l, n, features)`.
      dtype: Computation dtype; None promotes inputs and parameters.
      param_dtype: Dtype of the parameters.

    Call:
      query: `(l, n, embed_dim)`, or `(l, embed_dim)` for a single one.
      key: `(s, n, kdim)`.
      value: `(s, n, vdim)`.
      key_padding_mask: `(n, s)`, True where a key does not count, or numbers to add to its scores.
      need_weights: Whether to return the weights. With them a query that may attend to nothing
        gives NaN, without them zeros.
      attn_mask: `(l, s)` or `(n * num_heads, l, s)`, True where a query must not attend, or numbers
        to add to the scores.
      average_attn_weights: Whether to return the mean of the heads' weights.
      is_causal: A hint that `attn_mask` is the causal one. Without weights and padding mask the
        causal mask is then taken instead of `attn_mask`.
      train: Whether to drop weights.

    Parameters:
      `in_proj_weight (3 * embed_dim, embed_dim)`, or, if `kdim` or `vdim` differ from `embed_dim`,
      `q_proj_weight`, `k_proj_weight` and `v_proj_weight`, xavier uniform; `in_proj_bias`, zeros;
      `bias_k` and `bias_v (1, 1, embed_dim)`, xavier normal; `out_proj.weight`, `out_proj.bias`.

    Returns:
      The output, shaped like the query, and the weights `(n, l, s)`, `(n, num_heads, l, s)` or
      None.

    Raises:
      ValueError: If a size is out of range or an input does not fit.
      TypeError: If a size is not an integer, or an input has the wrong type.

    Source: Vaswani et al., 2017.

    Example:
      >>> layer, x = MultiheadAttention(8, 2, batch_first=True), jnp.ones((3, 5, 8))
      >>> (y, weights), _ = layer.init_with_output(jax.random.key(0), x, x, x)
      >>> y.shape, weights.shape
      ((3, 5, 8), (3, 5, 5))
    """

    embed_dim: int
    num_heads: int
    dropout: float = 0.0
    bias: bool = True
    add_bias_kv: bool = False
    add_zero_attn: bool = False
    kdim: int | None = None
    vdim: int | None = None
    batch_first: bool = False
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        where = "MultiheadAttention"
        for field in ("embed_dim", "num_heads", "kdim", "vdim"):
            value = getattr(self, field)
            if value is not None or field in ("embed_dim", "num_heads"):
                check_int(where, field, value, 1)
        divisible = self.embed_dim % self.num_heads == 0
        rule = "embed_dim must be divisible by num_heads"
        check(divisible, where, rule, embed_dim=self.embed_dim, num_heads=self.num_heads)
        ok = 0 <= self.dropout <= 1
        check(ok, where, "dropout must be between 0 and 1", dropout=self.dropout)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array | None]:
        where = "MultiheadAttention"
        inputs = {"query": query, "key": key, "value": value}
        for (name, x), size in zip(inputs.items(), self._features(), strict=True):
            shape = jnp.shape(x)
            check(shape[-1:] == (size,), where, f"{name} must have {size} features", shape=shape)
        check_type(
            all(jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in inputs.values()),
            where,
            "query, key and value must be floating point",
            **{name: str(jnp.result_type(x)) for name, x in inputs.items()},
        )
        weights, bias, bias_k, bias_v = self._parameters()
        one_array = query is key and key is value
        query, key, value, bias, bias_k, bias_v, *weights = promote_dtype(
            query, key, value, bias, bias_k, bias_v, *weights, dtype=self.dtype
        )
        if one_array:
            key = value = query
        y, weights = attend_in_heads(
            where,
            query,
            key,
            value,
            self.num_heads,
            tuple(weights) if len(weights) == 3 else weights[0],
            bias,
            bias_k=bias_k,
            bias_v=bias_v,
            add_zero_attn=self.add_zero_attn,
            dropout_p=self.dropout if train else 0.0,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
            rng=self.make_rng("dropout") if train and 0 < self.dropout < 1 else None,
        )
        last = NonDynamicallyQuantizableLinear(
            self.embed_dim,
            self.embed_dim,
            self.bias,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            name="out_proj",
        )
        return last(y), weights

    @nn.nowrap
    def _features(self) -> tuple[int, int, int]:
        """Of query, key and value."""
        return self.embed_dim, self.kdim or self.embed_dim, self.vdim or self.embed_dim

    @nn.nowrap
    def _parameters(self) -> tuple[list[jax.Array], Any, Any, Any]:
        """The first projection's weights, one or three, its bias, and the extra key and value."""
        dim, dtype = self.embed_dim, self.param_dtype
        xavier, zeros = init.xavier_uniform(), nn.initializers.zeros
        bias = bias_k = bias_v = None
        if self._features() == (dim, dim, dim):
            weights = [self.param("in_proj_weight", xavier, (3 * dim, dim), dtype)]
        else:
            weights = [
                self.param(f"{name}_proj_weight", xavier, (dim, size), dtype)
                for name, size in zip("qkv", self._features(), strict=True)
            ]
        if self.bias:
            bias = self.param("in_proj_bias", zeros, (3 * dim,), dtype)
        if self.add_bias_kv:
            # Xavier's normal for PyTorch's shape, whose fans are both `embed_dim`.
            normal = nn.initializers.normal(dim**-0.5)
            bias_k = self.param("bias_k", normal, (1, 1, dim), dtype)
            bias_v = self.param("bias_v", normal, (1, 1, dim), dtype)
        return weights, bias, bias_k, bias_v


class SimplifiedScaledDotProductAttention(nn.Module):
    """Attention whose heads are slices of the features, with one layer after it.

    No projection of queries, keys and values. Dropout draws from the `dropout` rng. A query that
    may attend to nothing gives NaN.

    Attributes:
      d_model: Features of queries, keys, values and output.
      h: Heads that the features are divided into.
      dropout: Probability of dropping an attention weight while training.
      dtype: Computation dtype; None promotes inputs and parameters.
      param_dtype: Dtype of the parameters.

    Call:
      queries: `(n, l, d_model)`.
      keys: `(n, s, d_model)`.
      values: `(n, s, d_model)`.
      attention_mask: Broadcastable to `(n, h, l, s)`: True where a query must not attend.
      attention_weights: Factors of the scores, broadcastable to the same shape.
      train: Whether to drop weights.

    Parameters:
      `fc_o.weight (d_model, d_model)` from N(0, 0.001), `fc_o.bias (d_model,)`, zeros.

    Returns:
      `(n, l, d_model)`.

    Raises:
      ValueError: If a size is out of range or an input does not fit.
      TypeError: If a size is not an integer, or an input has the wrong type.

    Source: `model/attention/SimplifiedSelfAttention.py` of the External-Attention-pytorch
    collection.

    Example:
      >>> layer, x = SimplifiedScaledDotProductAttention(8, 2), jnp.ones((3, 5, 8))
      >>> y, _ = layer.init_with_output(jax.random.key(0), x, x, x)
      >>> y.shape
      (3, 5, 8)
    """

    d_model: int
    h: int
    dropout: float = 0.1
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        where = "SimplifiedScaledDotProductAttention"
        check_int(where, "d_model", self.d_model, 1)
        check_int(where, "h", self.h, 1)
        rule = "d_model must be divisible by h"
        check(self.d_model % self.h == 0, where, rule, d_model=self.d_model, h=self.h)
        ok = 0 <= self.dropout <= 1
        check(ok, where, "dropout must be between 0 and 1", dropout=self.dropout)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        queries: Any,
        keys: Any,
        values: Any,
        attention_mask: Any = None,
        attention_weights: Any = None,
        train: bool = False,
    ) -> jax.Array:
        for name, x in (("queries", queries), ("keys", keys), ("values", values)):
            rule = f"{name} must be (n, length, {self.d_model})"
            fits = jnp.ndim(x) == 3 and jnp.shape(x)[2] == self.d_model
            check(fits, "SimplifiedScaledDotProductAttention", rule, shape=jnp.shape(x))
        queries, keys, values = promote_dtype(queries, keys, values, dtype=self.dtype)
        y = simplified_attention(
            queries,
            keys,
            values,
            self.h,
            attention_mask,
            attention_weights,
            self.dropout if train else 0.0,
            rng=self.make_rng("dropout") if train and 0 < self.dropout < 1 else None,
        )
        fc_o = Linear(
            self.d_model,
            self.d_model,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            weight_init=init.normal(0.0, 0.001),
            bias_init=init.zeros(),
            name="fc_o",
        )
        return fc_o(y)
