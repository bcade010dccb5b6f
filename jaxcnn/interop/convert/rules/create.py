"""Tensors made of nothing, where their size depends on the batch."""

from __future__ import annotations

from typing import Any

from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.convert.rules.elementwise import jax_dtype


@lowers("zeros", "new_zeros", "zeros_like", "empty", "empty_like", "new_empty")
def _lower_zeros(g: Graph, *args: Any, **kwargs: Any) -> Any:
    # What is in an empty tensor is undefined in PyTorch, and zeros here.
    return g.emit("jnp.zeros", g.out[0].sizes, jax_dtype(g.out[0].dtype))


@lowers("ones", "new_ones", "ones_like")
def _lower_ones(g: Graph, *args: Any, **kwargs: Any) -> Any:
    return g.emit("jnp.ones", g.out[0].sizes, jax_dtype(g.out[0].dtype))


@lowers("full", "new_full", "full_like")
def _lower_full(g: Graph, *args: Any, **kwargs: Any) -> Any:
    value = kwargs.get("fill_value", args[-1] if args else 0)
    return g.emit("jnp.full", g.out[0].sizes, value, jax_dtype(g.out[0].dtype))


@lowers("arange")
def _lower_arange(g: Graph, *args: Any, **kwargs: Any) -> Any:
    return g.emit("jnp.arange", *args, dtype=jax_dtype(g.out[0].dtype))


@lowers("fill", "zero")
def _lower_fill(g: Graph, input: Value, value: Any = 0) -> Value:
    return g.like(input, g.emit("jnp.full_like", input, value))


@lowers("copy")
def _lower_copy(g: Graph, input: Value, src: Value, non_blocking: bool = False) -> Any:
    x = g.plain(src)
    return g.emit("jnp.broadcast_to", x, g.out[0].sizes)
