"""Functions of each entry alone: the order of axes stays."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.program import Rng

_SAME_NAME_IN_F = (
    *("relu", "relu6", "sigmoid", "tanh", "gelu", "silu", "mish", "selu", "celu", "elu"),
    *("leaky_relu", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink"),
    *("softplus", "softsign", "tanhshrink", "threshold", "logsigmoid"),
)
_SAME_NAME_IN_JNP = (
    *("abs", "exp", "expm1", "log", "log1p", "log2", "log10", "sqrt", "square", "sign", "floor"),
    *("ceil", "round", "trunc", "sin", "cos", "tan", "sinh", "cosh", "isnan", "isinf", "isfinite"),
    *("logical_not", "bitwise_not", "reciprocal", "deg2rad", "rad2deg", "real", "imag", "conj"),
    *("angle", "exp2"),
)
_OTHER_UNARY = {
    "absolute": "jnp.abs",
    "neg": "operator.neg",
    "negative": "operator.neg",
    "rsqrt": "jax.lax.rsqrt",
    "erf": "jax.scipy.special.erf",
    "asin": "jnp.arcsin",
    "acos": "jnp.arccos",
    "atan": "jnp.arctan",
    "special_expit": "F.sigmoid",
    "_threshold": "F.threshold",
    "log_sigmoid": "F.logsigmoid",
}
_OPERATORS = {
    "mul": "operator.mul",
    "multiply": "operator.mul",
    "pow": "operator.pow",
    "eq": "operator.eq",
    "ne": "operator.ne",
    "lt": "operator.lt",
    "le": "operator.le",
    "gt": "operator.gt",
    "ge": "operator.ge",
    "and": "operator.and_",
    "or": "operator.or_",
    "xor": "operator.xor",
    "bitwise_and": "operator.and_",
    "bitwise_or": "operator.or_",
    "floor_divide": "jnp.floor_divide",
    "floordiv": "jnp.floor_divide",
    "remainder": "jnp.mod",
    "mod": "jnp.mod",
    "fmod": "jnp.fmod",
    "maximum": "jnp.maximum",
    "minimum": "jnp.minimum",
    "atan2": "jnp.arctan2",
    "logical_and": "jnp.logical_and",
    "logical_or": "jnp.logical_or",
    "logical_xor": "jnp.logical_xor",
    "float_power": "jnp.float_power",
    "logaddexp": "jnp.logaddexp",
}
_SWAPPED = {"rmul": "mul", "rpow": "pow", "rfloordiv": "floordiv", "rmod": "remainder"}
_DTYPES = {
    *("float", "half", "double", "bfloat16", "int", "long", "bool", "short", "char", "byte"),
}
_NO_CHANGE = (
    *("contiguous", "clone", "alias", "requires_grad", "cpu", "cuda", "wait_tensor"),
    *("resolve_conj", "resolve_neg", "positive", "view_as_real_copy"),
)


def jax_dtype(dtype: torch.dtype) -> str | type:
    """A torch dtype for JAX; one of 64 bits has 32 where JAX has no more, and no warning.

    Example:
      >>> jax_dtype(torch.float32), jax_dtype(torch.int64)
      ('float32', <class 'int'>)
    """
    widest = {torch.int64: int, torch.float64: float, torch.complex128: complex}
    return widest.get(dtype) or str(dtype).removeprefix("torch.")


def _register_unary(name: str, target: str) -> None:
    @lowers(name)
    def lower(g: Graph, input: Value, *args: Any, inplace: bool = False, **kwargs: Any) -> Value:
        del inplace
        # The last positional flag of these functions is `inplace`.
        args = tuple(x for x in args if not isinstance(x, bool))
        return g.like(input, g.emit(target, input, *args, **kwargs))


def _register_binary(name: str, target: str, swapped: bool = False) -> None:
    @lowers(name)
    def lower(g: Graph, input: Any, other: Any) -> Value:
        return binary(g, target, *((other, input) if swapped else (input, other)))


for _name in _SAME_NAME_IN_F:
    _register_unary(_name, f"F.{_name}")
for _name in _SAME_NAME_IN_JNP:
    _register_unary(_name, f"jnp.{_name}")
for _name, _target in _OTHER_UNARY.items():
    _register_unary(_name, _target)
for _name, _target in _OPERATORS.items():
    _register_binary(_name, _target)
for _name, _other in _SWAPPED.items():
    _register_binary(_name, _OPERATORS[_other], swapped=True)


def binary(g: Graph, target: str, *operands: Any) -> Value:
    """A function of operands that broadcast."""
    order, operands_ = g.aligned(operands)
    first = next(x for x in operands_ if isinstance(x, Value))
    var = g.emit(target, *operands_)
    return dataclasses.replace(first, var=var, sizes=g.out[0].sizes, order=order)


@lowers("add", "radd")
def _lower_add(g: Graph, input: Any, other: Any, *, alpha: float = 1) -> Value:
    return binary(g, "operator.add", input, _scaled(g, other, alpha))


@lowers("sub", "subtract")
def _lower_sub(g: Graph, input: Any, other: Any, *, alpha: float = 1) -> Value:
    return binary(g, "operator.sub", input, _scaled(g, other, alpha))


@lowers("rsub")
def _lower_rsub(g: Graph, input: Any, other: Any, *, alpha: float = 1) -> Value:
    return binary(g, "operator.sub", other, _scaled(g, input, alpha))


@lowers("div", "divide", "true_divide")
def _lower_div(g: Graph, input: Any, other: Any, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode == "floor":
        return binary(g, "jnp.floor_divide", input, other)
    quotient = binary(g, "operator.truediv", input, other)
    if rounding_mode == "trunc":
        return g.like(quotient, g.emit("jnp.trunc", quotient))
    return quotient


@lowers("rdiv")
def _lower_rdiv(g: Graph, input: Any, other: Any) -> Value:
    return binary(g, "operator.truediv", other, input)


@lowers("addcmul")
def _lower_addcmul(g: Graph, input: Any, a: Any, b: Any, *, value: float = 1) -> Value:
    return binary(g, "operator.add", input, _scaled(g, binary(g, "operator.mul", a, b), value))


@lowers("addcdiv")
def _lower_addcdiv(g: Graph, input: Any, a: Any, b: Any, *, value: float = 1) -> Value:
    return binary(g, "operator.add", input, _scaled(g, binary(g, "operator.truediv", a, b), value))


@lowers("lerp")
def _lower_lerp(g: Graph, input: Any, end: Any, weight: Any) -> Value:
    change = binary(g, "operator.mul", binary(g, "operator.sub", end, input), weight)
    return binary(g, "operator.add", input, change)


@lowers("where")
def _lower_where(g: Graph, condition: Any, input: Any, other: Any) -> Value:
    return binary(g, "jnp.where", condition, input, other)


@lowers("masked_fill")
def _lower_masked_fill(g: Graph, input: Value, mask: Value, value: Any) -> Value:
    return binary(g, "jnp.where", mask, value, input)


@lowers("clamp", "clip")
def _lower_clamp(g: Graph, input: Value, min: Any = None, max: Any = None) -> Value:
    order, (x, low, high) = g.aligned((input, min, max))
    return dataclasses.replace(x, var=g.emit("tensor.clamp", x, low, high), order=order)


@lowers("clamp_min")
def _lower_clamp_min(g: Graph, input: Value, min: Any) -> Value:
    return _lower_clamp(g, input, min)


@lowers("clamp_max")
def _lower_clamp_max(g: Graph, input: Value, max: Any) -> Value:
    return _lower_clamp(g, input, None, max)


@lowers("nan_to_num")
def _lower_nan_to_num(
    g: Graph, input: Value, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Value:
    var = g.emit("jnp.nan_to_num", input, nan=nan, posinf=posinf, neginf=neginf)
    return g.like(input, var)


@lowers(*_NO_CHANGE)
def _lower_no_change(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Value:
    del g, args, kwargs
    return input


@lowers("detach", "data")
def _lower_detach(g: Graph, input: Value) -> Value:
    return g.like(input, g.emit("jax.lax.stop_gradient", input))


@lowers("to", "type", "type_as", *_DTYPES)
def _lower_to(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Value:
    del args, kwargs
    dtype = g.out[0].dtype
    return (
        input if dtype == input.dtype else g.like(input, g.emit(".astype", input, jax_dtype(dtype)))
    )


def _register_dropout(name: str, by_default: bool) -> None:
    @lowers(name)
    def lower(
        g: Graph, input: Value, p: float = 0.5, training: Any = by_default, inplace: bool = False
    ) -> Value:
        del inplace
        return random(g, f"F.{name}", input, p, training)


_register_dropout("dropout", True)
_register_dropout("alpha_dropout", False)


def random(g: Graph, target: str, x: Value, p: float, training: Any) -> Value:
    """A function that draws while training and otherwise returns its input."""
    if training is False or p == 0:
        return x
    return g.like(x, g.emit(target, x, p, training, rng=Rng()))


@lowers("_assert", "__assert__")
def _lower_assert(g: Graph, *args: Any) -> None:
    del g, args


def _scaled(g: Graph, x: Any, factor: float) -> Any:
    if factor == 1:
        return x
    return binary(g, "operator.mul", factor, x) if isinstance(x, Value) else factor * x
