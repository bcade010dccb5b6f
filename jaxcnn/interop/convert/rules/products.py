"""Products of matrices, and attention."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxcnn.interop.convert.errors import NoRuleError
from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.convert.rules.elementwise import binary
from jaxcnn.interop.program import Rng


def ends_in_order(g: Graph, x: Value, count: int) -> Value:
    """`x` with the tensor's last `count` axes last in the array too; the others may stay."""
    last = tuple(range(x.ndim - count, x.ndim))
    return x if x.order[x.ndim - count :] == last else g.plain(x)


@lowers("linear")
def _lower_linear(g: Graph, input: Value, weight: Value, bias: Value | None = None) -> Value:
    x = ends_in_order(g, input, 1)
    return g.like(x, g.emit("F.linear", x, g.plain(weight), bias))


@lowers("layer_norm")
def _lower_layer_norm(
    g: Graph,
    input: Value,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    x = ends_in_order(g, input, len(normalized_shape))
    return g.like(x, g.emit("F.layer_norm", x, tuple(normalized_shape), weight, bias, eps))


@lowers("rms_norm")
def _lower_rms_norm(
    g: Graph, input: Value, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Value:
    x = ends_in_order(g, input, len(normalized_shape))
    return g.like(x, g.emit("F.rms_norm", x, tuple(normalized_shape), weight, eps))


@lowers("matmul", "bmm", "mm", "mv", "dot")
def _lower_matmul(g: Graph, input: Value, other: Value) -> Any:
    return g.emit("operator.matmul", g.plain(input), g.plain(other))


@lowers("rmatmul")
def _lower_rmatmul(g: Graph, input: Value, other: Value) -> Any:
    return _lower_matmul(g, other, input)


@lowers("addmm", "baddbmm")
def _lower_addmm(
    g: Graph, input: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1
) -> Value:
    product = g.like(a, g.emit("operator.matmul", g.plain(a), g.plain(b)))
    product = dataclasses.replace(product, order=tuple(range(a.ndim)))
    if alpha != 1:
        product = g.like(product, g.emit("operator.mul", alpha, product))
    if beta == 0:
        return product
    scaled = input if beta == 1 else g.like(input, g.emit("operator.mul", beta, input))
    return binary(g, "operator.add", scaled, product)


@lowers("einsum")
def _lower_einsum(g: Graph, equation: str, *operands: Any) -> Any:
    values = operands[0] if isinstance(operands[0], list | tuple) else operands
    return g.emit("jnp.einsum", equation, *(g.plain(x) for x in values))


@lowers("scaled_dot_product_attention")
def _lower_attention(
    g: Graph,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: Any = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    options: dict[str, Any] = {"scale": scale} if scale is not None else {}
    if attn_mask is not None:
        options["attn_mask"] = g.plain(attn_mask)
    if dropout_p != 0:
        options |= {"dropout_p": dropout_p, "rng": Rng()}
    options |= {"is_causal": True} if is_causal else {}
    options |= {"enable_gqa": True} if enable_gqa else {}
    q, k, v = (g.plain(x) for x in (query, key, value))
    return g.emit("F.scaled_dot_product_attention", q, k, v, **options)


@lowers("embedding")
def _lower_embedding(
    g: Graph,
    input: Value,
    weight: Value,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Value:
    del norm_type, sparse
    if max_norm is not None:
        raise NoRuleError("with max_norm, which writes into the weight; use a layer")
    options = {"scale_grad_by_freq": True} if scale_grad_by_freq else {}
    var = g.emit("F.embedding", input, g.plain(weight), padding_idx, **options)
    return dataclasses.replace(input, var=var, order=(*input.order, input.ndim))


@lowers("outer", "ger")
def _lower_outer(g: Graph, input: Value, vec2: Value) -> Any:
    return g.emit("jnp.outer", input, vec2)
