"""Curved activations. Mirrors those of torch.nn.functional; the others are in `piecewise`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating
from jaxcnn.functional._numbers import as_floating, axis_of, elementwise

_APPROXIMATIONS = ("none", "tanh")
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def sigmoid(input: ArrayLike) -> jax.Array:
    """1 / (1 + exp(-x)), elementwise.

    Mirrors `torch.nn.functional.sigmoid`. Integers become float32.

    Raises:
      TypeError: If the input is complex.

    Example:
      >>> float(sigmoid(0.0))
      0.5
    """
    return elementwise("sigmoid", jax.nn.sigmoid, as_floating(input))


def tanh(input: ArrayLike) -> jax.Array:
    """The hyperbolic tangent, elementwise.

    Mirrors `torch.nn.functional.tanh`. Integers become float32.

    Raises:
      TypeError: If the input is complex.

    Example:
      >>> float(tanh(0.0))
      0.0
    """
    return elementwise("tanh", jnp.tanh, as_floating(input))


def gelu(input: ArrayLike, approximate: str = "none") -> jax.Array:
    """X times the normal distribution's share below x, elementwise.

    Mirrors `torch.nn.functional.gelu`: exact by default, where `jax.nn.gelu` approximates.

    Args:
      input: An array of any shape.
      approximate: "none", or "tanh" for x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2.

    Raises:
      ValueError: If `approximate` is something else.
      TypeError: If the input is not floating point.

    Source: Hendrycks and Gimpel, 2016.

    Example:
      >>> round(float(gelu(1.0)), 4), round(float(gelu(1.0, "tanh")), 4)
      (0.8413, 0.8412)
    """
    check_approximate("gelu", approximate)
    return elementwise("gelu", lambda x: jax.nn.gelu(x, approximate == "tanh"), input)


def silu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """X * sigmoid(x), elementwise.

    Mirrors `torch.nn.functional.silu`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Hendrycks and Gimpel, 2016; Ramachandran et al., 2017 (Swish).

    Example:
      >>> round(float(silu(1.0)), 4)
      0.7311
    """
    del inplace
    return elementwise("silu", jax.nn.silu, input)


def mish(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """X * tanh(log(1 + exp(x))), elementwise.

    Mirrors `torch.nn.functional.mish`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Misra, 2020.

    Example:
      >>> round(float(mish(1.0)), 4)
      0.8651
    """
    del inplace
    return elementwise("mish", lambda x: x * jnp.tanh(jax.nn.softplus(x)), input)


def elu(input: ArrayLike, alpha: float = 1.0, inplace: bool = False) -> jax.Array:
    """X where x > 0, else alpha * (exp(x) - 1); the gradient at 0 is `alpha`.

    Mirrors `torch.nn.functional.elu`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Clevert et al., 2016.

    Example:
      >>> elu(jnp.array([-100.0, 2.0]), 0.5).tolist()
      [-0.5, 2.0]
    """
    del inplace
    return elementwise("elu", lambda x: _exponential(x, alpha, 1.0, 1.0), input)


def celu(input: ArrayLike, alpha: float = 1.0, inplace: bool = False) -> jax.Array:
    """X where x > 0, else alpha * (exp(x / alpha) - 1); the gradient at 0 is 1.

    Mirrors `torch.nn.functional.celu`. `inplace` is accepted and changes nothing.

    Raises:
      ValueError: If `alpha` is zero.
      TypeError: If the input is not floating point.

    Source: Barron, 2017.

    Example:
      >>> celu(jnp.array([-100.0, 2.0]), 0.5).tolist()
      [-0.5, 2.0]
    """
    del inplace
    check(alpha != 0, "celu", "alpha must not be zero", alpha=alpha)
    return elementwise("celu", lambda x: _exponential(x, alpha, 1.0, 1.0 / alpha), input)


def selu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """1.0507 * elu(x, 1.6733), elementwise; the gradient at 0 is that of the negative side.

    Mirrors `torch.nn.functional.selu`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Klambauer et al., 2017.

    Example:
      >>> selu(jnp.array([0.0, 1.0])).round(4).tolist()
      [0.0, 1.0506999492645264]
    """
    del inplace
    function = lambda x: _exponential(x, _SELU_ALPHA, _SELU_SCALE, 1.0)
    return elementwise("selu", function, input)


def softplus(input: ArrayLike, beta: float = 1.0, threshold: float = 20.0) -> jax.Array:
    """log(1 + exp(beta * x)) / beta, elementwise; x itself where beta * x > threshold.

    Mirrors `torch.nn.functional.softplus`.

    Args:
      input: An array of any shape.
      beta: How sharply the curve bends at 0.
      threshold: Beyond this value of beta * x the function is x.

    Raises:
      TypeError: If the input is not floating point.

    Example:
      >>> softplus(jnp.array([0.0, 30.0])).round(4).tolist()
      [0.6930999755859375, 30.0]
    """

    def function(x: jax.Array) -> jax.Array:
        scaled = beta * x
        return jnp.where(scaled > threshold, x, jax.nn.softplus(scaled) / beta)

    return elementwise("softplus", function, input)


def softsign(input: ArrayLike) -> jax.Array:
    """X / (1 + |x|), elementwise.

    Mirrors `torch.nn.functional.softsign`. Integers become float32.

    Raises:
      TypeError: If the input is complex.

    Example:
      >>> softsign(jnp.array([-1.0, 3.0])).tolist()
      [-0.5, 0.75]
    """
    return elementwise("softsign", lambda x: x / (1 + jnp.abs(x)), as_floating(input))


def tanhshrink(input: ArrayLike) -> jax.Array:
    """X - tanh(x), elementwise.

    Mirrors `torch.nn.functional.tanhshrink`. Integers become float32.

    Raises:
      TypeError: If the input is complex.

    Example:
      >>> round(float(tanhshrink(1.0)), 4)
      0.2384
    """
    return elementwise("tanhshrink", lambda x: x - jnp.tanh(x), as_floating(input))


def logsigmoid(input: ArrayLike) -> jax.Array:
    """log(1 / (1 + exp(-x))), elementwise, without overflow.

    Mirrors `torch.nn.functional.logsigmoid`.

    Raises:
      TypeError: If the input is not floating point.

    Example:
      >>> logsigmoid(jnp.array([-1e4, 0.0])).round(4).tolist()
      [-10000.0, -0.6930999755859375]
    """
    return elementwise("logsigmoid", jax.nn.log_sigmoid, input)


def glu(input: ArrayLike, dim: int = -1) -> jax.Array:
    """The first half of an axis times the sigmoid of the second half.

    Mirrors `torch.nn.functional.glu`; `dim` counts in the array as given, so PyTorch's channel
    axis 1 is -1 here.

    Args:
      input: An array with an axis of even length.
      dim: The axis to halve.

    Raises:
      ValueError: If there is no such axis or its length is odd.
      TypeError: If the input is not floating point or `dim` is not an integer.

    Source: Dauphin et al., 2017.

    Example:
      >>> glu(jnp.array([3.0, 4.0, 0.0, 0.0])).tolist()
      [1.5, 2.0]
    """
    x = jnp.asarray(input)
    check_floating("glu", x)
    check(x.ndim > 0, "glu", "input must have an axis to halve", shape=x.shape)
    axis = axis_of("glu", dim, x.ndim)
    rule = "the axis to halve must have an even length"
    check(x.shape[axis] % 2 == 0, "glu", rule, shape=x.shape, dim=dim)

    def function(x: jax.Array) -> jax.Array:
        value, gate = jnp.split(x, 2, axis)
        return value * jax.nn.sigmoid(gate)

    return elementwise("glu", function, x)


def check_approximate(where: str, approximate: str) -> None:
    """Raises unless `approximate` names one of gelu's formulas."""
    rule = f"approximate must be one of {_APPROXIMATIONS}"
    check(approximate in _APPROXIMATIONS, where, rule, approximate=approximate)


def _exponential(x: jax.Array, alpha: float, scale: float, rate: float) -> jax.Array:
    """The ELU family."""
    # exp must not meet a large x, which it does not belong to: its gradient would be 0 * inf.
    below = jnp.where(x > 0, 0, x)
    return jnp.where(x > 0, scale * x, scale * alpha * _expm1(rate * below))


@jax.custom_jvp
def _expm1(x: jax.Array) -> jax.Array:
    """exp(x) - 1; JAX's own gradient, the result plus 1, is 0 instead of exp(x) far below 0."""
    return jnp.expm1(x)


_expm1.defjvps(lambda dx, _, x: dx * jnp.exp(x))
