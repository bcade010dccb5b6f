"""Initialisers that keep the variance of activations or gradients. Mirrors torch.nn.init's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn._checks import check, check_type
from jaxcnn.init.distributions import Initializer, normal, uniform

_GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}
_NONLINEARITIES = (*_GAINS, "leaky_relu")
_MODES = ("fan_in", "fan_out")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much to scale weights so that a nonlinearity after them keeps the variance.

    Mirrors `torch.nn.init.calculate_gain`.

    Args:
      nonlinearity: The function's name in `torch.nn.functional`, such as "relu".
      param: The negative slope of "leaky_relu", 0.01 if None; of no effect for the others.

    Raises:
      ValueError: If `nonlinearity` is unknown.
      TypeError: If the slope of "leaky_relu" is not a number.

    Example:
      >>> calculate_gain("relu")
      1.4142135623730951
    """
    known = nonlinearity in _NONLINEARITIES
    rule = f"nonlinearity must be one of {_NONLINEARITIES}"
    check(known, "calculate_gain", rule, nonlinearity=nonlinearity)
    if nonlinearity != "leaky_relu":
        return _GAINS[nonlinearity]
    slope = 0.01 if param is None else param
    number = isinstance(slope, int | float) and not isinstance(slope, bool)
    check_type(number, "calculate_gain", "param must be a number", param=param)
    return math.sqrt(2.0 / (1 + slope**2))


def fan_in_and_fan_out(shape: Sequence[int]) -> tuple[int, int]:
    """The number of inputs and outputs of one unit, from a weight's PyTorch shape.

    Raises:
      ValueError: If `shape` has fewer than two axes.

    Example:
      >>> fan_in_and_fan_out((6, 1, 5, 5))
      (25, 150)
    """
    rule = "a fan needs a weight of two or more axes"
    check(len(shape) >= 2, "fan_in_and_fan_out", rule, shape=tuple(shape))
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Values from U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)).

    Mirrors `torch.nn.init.xavier_uniform_`. Source: Glorot and Bengio, 2010.

    Args:
      gain: A factor, such as `calculate_gain("tanh")`.

    Raises:
      ValueError: If `gain` is negative; (the initialiser) if the shape has fewer than two axes.

    Example:
      >>> xavier_uniform()(jax.random.key(0), (6, 1, 5, 5)).shape
      (6, 1, 5, 5)
    """
    check(gain >= 0, "xavier_uniform", "gain must not be negative", gain=gain)

    def distribution(fans: tuple[int, int]) -> Initializer:
        bound = gain * math.sqrt(6.0 / sum(fans))
        return uniform(-bound, bound)

    return _scaled(distribution)


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Values from N(0, std^2), std = gain * sqrt(2 / (fan_in + fan_out)).

    Mirrors `torch.nn.init.xavier_normal_`. Source: Glorot and Bengio, 2010.

    Args:
      gain: A factor, such as `calculate_gain("tanh")`.

    Raises:
      ValueError: If `gain` is negative; (the initialiser) if the shape has fewer than two axes.

    Example:
      >>> xavier_normal()(jax.random.key(0), (6, 1, 5, 5)).shape
      (6, 1, 5, 5)
    """
    check(gain >= 0, "xavier_normal", "gain must not be negative", gain=gain)
    return _scaled(lambda fans: normal(0.0, gain * math.sqrt(2.0 / sum(fans))))


def kaiming_uniform(
    a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Initializer:
    """Values from U(-b, b), b = gain * sqrt(3 / fan).

    Mirrors `torch.nn.init.kaiming_uniform_`. Source: He et al., 2015.

    Args:
      a: The negative slope of a "leaky_relu" after the layer.
      mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
      nonlinearity: The function after the layer, as `calculate_gain` takes it.

    Raises:
      ValueError: If `mode` or `nonlinearity` is unknown; (the initialiser) if the shape has fewer
        than two axes.
      TypeError: If `a` is not a number.

    Example:
      >>> w = kaiming_uniform(nonlinearity="relu")(jax.random.key(0), (8, 24))
      >>> bool(jnp.abs(w).max() <= 0.5)
      True
    """
    fan = _which_fan("kaiming_uniform", mode)
    gain = calculate_gain(nonlinearity, a)

    def distribution(fans: tuple[int, int]) -> Initializer:
        bound = gain * math.sqrt(3.0 / fans[fan])
        return uniform(-bound, bound)

    return _scaled(distribution)


def kaiming_normal(
    a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Initializer:
    """Values from N(0, std^2), std = gain / sqrt(fan).

    Mirrors `torch.nn.init.kaiming_normal_`. Source: He et al., 2015.

    Args:
      a: The negative slope of a "leaky_relu" after the layer.
      mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
      nonlinearity: The function after the layer, as `calculate_gain` takes it.

    Raises:
      ValueError: If `mode` or `nonlinearity` is unknown; (the initialiser) if the shape has fewer
        than two axes.
      TypeError: If `a` is not a number.

    Example:
      >>> init = kaiming_normal(mode="fan_out", nonlinearity="relu")
      >>> init(jax.random.key(0), (64, 3, 7, 7)).shape
      (64, 3, 7, 7)
    """
    fan = _which_fan("kaiming_normal", mode)
    gain = calculate_gain(nonlinearity, a)
    return _scaled(lambda fans: normal(0.0, gain / math.sqrt(fans[fan])))


def _scaled(distribution: Callable[[tuple[int, int]], Initializer]) -> Initializer:
    """An initialiser whose distribution depends on the weight's fans."""

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        fans = fan_in_and_fan_out(shape)
        if 0 in shape:
            return jnp.zeros(tuple(shape), dtype)
        return distribution(fans)(key, shape, dtype)

    return initializer


def _which_fan(where: str, mode: str) -> int:
    """The position of the fan that `mode` names."""
    # PyTorch takes capitals too.
    name = str(mode).lower()
    check(name in _MODES, where, f"mode must be one of {_MODES}", mode=mode)
    return _MODES.index(name)
