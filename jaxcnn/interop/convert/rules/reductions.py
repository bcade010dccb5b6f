"""Functions that make one entry of many along some axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jaxcnn.interop.convert.errors import NoRuleError
from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.convert.rules.elementwise import binary, jax_dtype

_SIMPLE = {
    "mean": "jnp.mean",
    "sum": "jnp.sum",
    "amax": "jnp.max",
    "amin": "jnp.min",
    "prod": "jnp.prod",
    "all": "jnp.all",
    "any": "jnp.any",
    "logsumexp": "jax.scipy.special.logsumexp",
    "nansum": "jnp.nansum",
}
Dims = int | Sequence[int] | None


def _register(name: str, target: str) -> None:
    @lowers(name)
    def lower(
        g: Graph,
        input: Value,
        dim: Dims = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        axis: Dims = None,
    ) -> Value:
        options = {} if dtype is None else {"dtype": jax_dtype(dtype)}
        dim = dim if axis is None else axis
        return reduced(g, target, input, dim, keepdim, **options)


for _name, _target in _SIMPLE.items():
    _register(_name, _target)


def reduced(
    g: Graph, target: str, x: Value, dim: Dims = None, keepdim: bool = False, **options: Any
) -> Value:
    """A function of jnp over PyTorch's axes `dim`; None or () means all."""
    dims = dims_of(x, dim)
    axes = tuple(sorted(x.axis(d) for d in dims))
    if len(axes) < x.ndim:
        options["axis"] = axes[0] if len(axes) == 1 else axes
    if keepdim:
        options["keepdims"] = True
    var = g.emit(target, x, **options)
    return dataclasses.replace(x, var=var, order=x.order if keepdim else removed(x.order, dims))


def dims_of(x: Value, dim: Dims) -> tuple[int, ...]:
    """PyTorch's axes, counted from 0; None or () means all."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(x.ndim))
    dims = (dim,) if isinstance(dim, int) else dim
    return tuple(d % max(x.ndim, 1) for d in dims)


def removed(order: Sequence[int], dims: Sequence[int]) -> tuple[int, ...]:
    """The order that is left without the tensor's axes `dims`.

    Example:
      >>> removed((0, 2, 3, 1), (2, 3)), removed((0, 2, 3, 1), (1,))
      ((0, 1), (0, 1, 2))
    """
    left = [axis for axis in order if axis not in dims]
    return tuple(sorted(left).index(axis) for axis in left)


def _register_spread(name: str, target: str) -> None:
    @lowers(name)
    def lower(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Value:
        return _spread(g, target, input, *args, **kwargs)


_register_spread("var", "jnp.var")
_register_spread("std", "tensor.std")


@lowers("var_mean")
def _lower_var_mean(g: Graph, *args: Any, **kwargs: Any) -> list[Value]:
    return _spread_and_mean(g, "jnp.var", *args, **kwargs)


@lowers("std_mean")
def _lower_std_mean(g: Graph, *args: Any, **kwargs: Any) -> list[Value]:
    return _spread_and_mean(g, "tensor.std", *args, **kwargs)


def _spread_and_mean(
    g: Graph,
    target: str,
    input: Value,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: bool = False,
    **kwargs: Any,
) -> list[Value]:
    if isinstance(dim, bool):  # var_mean(unbiased)
        dim, unbiased = None, dim
    spread = _spread(g, target, input, dim, unbiased, keepdim, **kwargs)
    return [spread, reduced(g, "jnp.mean", input, dim, keepdim)]


def _spread(
    g: Graph,
    target: str,
    x: Value,
    dim: Any = None,
    unbiased: Any = True,
    keepdim: bool = False,
    *,
    correction: int | None = None,
) -> Value:
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    ddof = int(unbiased) if correction is None else correction
    return reduced(g, target, x, dim, keepdim, **({"ddof": ddof} if ddof else {}))


@lowers("norm")
def _lower_norm(
    g: Graph,
    input: Value,
    p: Any = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Value:
    if out is not None:
        raise NoRuleError("with out")
    return _lower_vector_norm(g, input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@lowers("linalg_norm")
def _lower_linalg_norm(
    g: Graph,
    input: Value,
    ord: Any = None,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Value:
    if ord is not None and not isinstance(dim, int):
        raise NoRuleError("of matrices")
    return _lower_vector_norm(g, input, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@lowers("linalg_vector_norm")
def _lower_vector_norm(
    g: Graph,
    x: Value,
    ord: Any = 2,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Value:
    if isinstance(ord, str) or ord == 0 or dtype not in (None, x.dtype):
        raise NoRuleError(f"with ord={ord} and dtype={dtype}")
    if ord == 2:
        total = reduced(g, "jnp.sum", g.like(x, g.emit("jnp.square", x)), dim, keepdim)
        return g.like(total, g.emit("tensor.root", total))
    size = g.like(x, g.emit("jnp.abs", x))
    if math.isinf(ord):
        return reduced(g, "jnp.max" if ord > 0 else "jnp.min", size, dim, keepdim)
    total = reduced(g, "jnp.sum", g.like(size, g.emit("operator.pow", size, ord)), dim, keepdim)
    return g.like(total, g.emit("operator.pow", total, 1 / ord))


@lowers("_weight_norm")
def _lower_weight_norm(g: Graph, v: Value, size: Value, dim: int = 0) -> Value:
    square = g.like(v, g.emit("jnp.square", v))
    others = [axis for axis in range(v.ndim) if axis != dim % v.ndim]
    total = reduced(g, "jnp.sum", square, others, keepdim=True)
    scale = binary(g, "operator.truediv", size, g.like(total, g.emit("jnp.sqrt", total)))
    return binary(g, "operator.mul", v, scale)


@lowers("cosine_similarity")
def _lower_cosine_similarity(
    g: Graph, x1: Value, x2: Value, dim: int = 1, eps: float = 1e-8
) -> Value:
    order, (a, b) = g.aligned((x1, x2))
    dim %= len(order)
    var = g.emit("F.cosine_similarity", a, b, order.index(dim), eps)
    return dataclasses.replace(a, var=var, order=removed(order, (dim,)))


@lowers("normalize")
def _lower_normalize(
    g: Graph, input: Value, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Value:
    del out
    return g.like(input, g.emit("F.normalize", input, p, input.axis(dim), eps))


@lowers("max")
def _lower_max(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Any:
    return _extreme(g, "max", input, *args, **kwargs)


@lowers("min")
def _lower_min(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Any:
    return _extreme(g, "min", input, *args, **kwargs)


def _extreme(
    g: Graph, which: str, x: Value, dim: Any = None, keepdim: bool = False, **other: Any
) -> Any:
    dim = other.pop("other", dim)
    if other:
        raise NoRuleError(f"with {sorted(other)}")
    if isinstance(dim, Value):
        return binary(g, f"jnp.{which}imum", x, dim)
    if dim is None:
        return reduced(g, f"jnp.{which}", x)
    order = x.order if keepdim else removed(x.order, dims_of(x, dim))
    both = g.emit_several(2, f"tensor.{which}_along", x, x.axis(dim), keepdim)
    return [dataclasses.replace(x, var=var, order=order) for var in both]


def _register_place(name: str) -> None:
    @lowers(name)
    def lower(g: Graph, input: Value, dim: int | None = None, keepdim: bool = False) -> Value:
        x = input if dim is not None else g.plain(input)
        return reduced(g, f"jnp.{name}", x, dim, keepdim)


_register_place("argmax")
_register_place("argmin")


@lowers("softmax")
def _lower_softmax(
    g: Graph, input: Value, dim: int, *_: Any, dtype: Any = None, **__: Any
) -> Value:
    return _along(g, "F.softmax", input, dim, dtype)


@lowers("log_softmax")
def _lower_log_softmax(
    g: Graph, input: Value, dim: int, *_: Any, dtype: Any = None, **__: Any
) -> Value:
    return _along(g, "F.log_softmax", input, dim, dtype)


def _along(g: Graph, target: str, x: Value, dim: int, dtype: Any) -> Value:
    if dtype is not None and dtype != x.dtype:
        x = g.like(x, g.emit(".astype", x, jax_dtype(dtype)))
    return g.like(x, g.emit(target, x, x.axis(dim)))


@lowers("cumsum")
def _lower_cumsum(g: Graph, input: Value, dim: int, *, dtype: Any = None) -> Value:
    options = {} if dtype is None else {"dtype": jax_dtype(dtype)}
    return g.like(input, g.emit("jnp.cumsum", input, axis=input.axis(dim), **options))


@lowers("glu")
def _lower_glu(g: Graph, input: Value, dim: int = -1) -> Value:
    return g.like(input, g.emit("F.glu", input, input.axis(dim)))
