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
    names = ("end",) if len(args) == 1 and "end" not in kwargs else ("start", "end", "step")
    given = {"start": 0, "step": 1, **kwargs, **dict(zip(names, args, strict=False))}
    start, end, step = given["start"], given["end"], given["step"]
    bounds = (
        (end,) if (start, step) == (0, 1) else (start, end) if step == 1 else (start, end, step)
    )
    return g.emit("jnp.arange", *bounds, dtype=jax_dtype(g.out[0].dtype))


@lowers("fill", "zero")
def _lower_fill(g: Graph, input: Value, value: Any = 0) -> Value:
    return g.like(input, g.emit("jnp.full_like", input, value))


@lowers("copy")
def _lower_copy(g: Graph, input: Value, src: Value, non_blocking: bool = False) -> Any:
    del input, non_blocking
    x, dtype = g.emit("jnp.broadcast_to", g.plain(src), g.out[0].sizes), g.out[0].dtype
    return x if dtype == src.dtype else g.emit(".astype", x, jax_dtype(dtype))
