"""Activation layers made of straight pieces. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn._checks import check, check_channels, check_int
from jaxcnn.functional.piecewise import check_slopes
from jaxcnn.nn.activation import shown


class ReLU(nn.Module):
    """max(x, 0), elementwise.

    Mirrors `torch.nn.ReLU`.

    Attributes:
      inplace: Accepted and without effect.

    Example:
      >>> ReLU().apply({}, jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.relu(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(inplace=self.inplace)


class ReLU6(nn.Module):
    """min(max(x, 0), 6), elementwise.

    Mirrors `torch.nn.ReLU6`.

    Attributes:
      inplace: Accepted and without effect.

    Example:
      >>> ReLU6().apply({}, jnp.array([-1.0, 2.0, 7.0])).tolist()
      [0.0, 2.0, 6.0]
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.relu6(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(inplace=self.inplace)


class Hardtanh(nn.Module):
    """min(max(x, min_val), max_val), elementwise.

    Mirrors `torch.nn.Hardtanh`.

    Attributes:
      min_val: Smallest output.
      max_val: Largest output.
      inplace: Accepted and without effect.
      min_value: Deprecated in PyTorch; replaces `min_val` if given.
      max_value: Deprecated in PyTorch; replaces `max_val` if given.

    Raises:
      ValueError: If the largest output is not greater than the smallest.

    Example:
      >>> Hardtanh(-2.0, 2.0).apply({}, jnp.array([-3.0, 1.0])).tolist()
      [-2.0, 1.0]
    """

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False
    min_value: float | None = None
    max_value: float | None = None

    def __post_init__(self) -> None:
        low, high = _bounds(self)
        rule = "max_val must be greater than min_val"
        check(low < high, "Hardtanh", rule, min_val=low, max_val=high)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.hardtanh(x, *_bounds(self))

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        low, high = _bounds(self)
        return shown(min_val=low, max_val=high, inplace=self.inplace)


class Threshold(nn.Module):
    """X where x > threshold, else `value`, elementwise.

    Mirrors `torch.nn.Threshold`.

    Attributes:
      threshold: Where to stop letting x through.
      value: The output at and below it.
      inplace: Accepted and without effect.

    Example:
      >>> Threshold(1.0, -3.0).apply({}, jnp.array([0.5, 2.0])).tolist()
      [-3.0, 2.0]
    """

    threshold: float
    value: float
    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.threshold(x, self.threshold, self.value)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(threshold=self.threshold, value=self.value, inplace=self.inplace)


class LeakyReLU(nn.Module):
    """X where x > 0, else negative_slope * x.

    Mirrors `torch.nn.LeakyReLU`.

    Attributes:
      negative_slope: Slope below 0.
      inplace: Accepted and without effect.

    Source: Maas et al., 2013.

    Example:
      >>> LeakyReLU(0.25).apply({}, jnp.array([-1.0, 2.0])).tolist()
      [-0.25, 2.0]
    """

    negative_slope: float = 0.01
    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(negative_slope=self.negative_slope, inplace=self.inplace)


class PReLU(nn.Module):
    """X where x > 0, else weight * x, with a learned weight for each channel or one for all.

    Mirrors `torch.nn.PReLU`; the channels are on the last axis, torch's `device` and `dtype` are
    left out, and torch's `init` is `init_value`, because linen's modules have a method `init`.

    Attributes:
      num_parameters: Channels of the input, or 1 for one weight.
      init_value: What the weights start from.
      dtype: Computation dtype; None promotes input and parameters.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight (num_parameters,)`, all `init_value`.

    Shape:
      `(n, *, num_parameters)` -> the same; any shape with one parameter.

    Raises:
      ValueError: If `num_parameters` is not positive or the input does not fit.
      TypeError: If `num_parameters` is not an integer.

    Source: He et al., 2015.

    Example:
      >>> y, _ = PReLU(2).init_with_output(jax.random.key(0), jnp.array([[-1.0, 3.0]]))
      >>> y.tolist()
      [[-0.25, 3.0]]
    """

    num_parameters: int = 1
    init_value: float = 0.25
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int("PReLU", "num_parameters", self.num_parameters, 1)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        if self.num_parameters > 1:
            rule = "input must be (n, *, c) unless there is one parameter"
            check(x.ndim >= 2, "PReLU", rule, shape=x.shape)
            check_channels("PReLU", x.shape, self.num_parameters, x.ndim - 2)
        initializer = nn.initializers.constant(self.init_value)
        weight = self.param("weight", initializer, (self.num_parameters,), self.param_dtype)
        return F.prelu(*promote_dtype(x, weight, dtype=self.dtype))

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(num_parameters=self.num_parameters)


class RReLU(nn.Module):
    """X where x > 0, else slope * x, with a random slope for each entry while training.

    Mirrors `torch.nn.RReLU`. In evaluation the slope is the mean. The key comes from the `dropout`
    rng: `model.apply(variables, x, train=True, rngs={"dropout": key})`.

    Attributes:
      lower: Smallest slope.
      upper: Largest slope.
      inplace: Accepted and without effect.

    Raises:
      ValueError: If `lower` is greater than `upper`.

    Source: Xu et al., 2015.

    Example:
      >>> RReLU(0.25, 0.75).apply({}, jnp.array([-1.0, 2.0])).tolist()
      [-0.5, 2.0]
    """

    lower: float = 1.0 / 8
    upper: float = 1.0 / 3
    inplace: bool = False

    def __post_init__(self) -> None:
        check_slopes("RReLU", self.lower, self.upper)
        super().__post_init__()

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        rng = self.make_rng("dropout") if train else None
        return F.rrelu(x, self.lower, self.upper, train, rng=rng)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(lower=self.lower, upper=self.upper, inplace=self.inplace)


class Hardsigmoid(nn.Module):
    """relu6(x + 3) / 6, elementwise.

    Mirrors `torch.nn.Hardsigmoid`.

    Attributes:
      inplace: Accepted and without effect.

    Source: Howard et al., 2019 (MobileNetV3).

    Example:
      >>> Hardsigmoid().apply({}, jnp.array([-4.0, 0.0, 4.0])).tolist()
      [0.0, 0.5, 1.0]
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.hardsigmoid(x)


class Hardswish(nn.Module):
    """X * relu6(x + 3) / 6, elementwise.

    Mirrors `torch.nn.Hardswish`.

    Attributes:
      inplace: Accepted and without effect.

    Source: Howard et al., 2019 (MobileNetV3).

    Example:
      >>> Hardswish().apply({}, jnp.array([0.0, 4.0])).tolist()
      [0.0, 4.0]
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.hardswish(x)


class Hardshrink(nn.Module):
    """0 where -lambd <= x <= lambd, else x.

    Mirrors `torch.nn.Hardshrink`.

    Attributes:
      lambd: Half the width of what becomes 0.

    Example:
      >>> Hardshrink().apply({}, jnp.array([-1.0, 0.5, 2.0])).tolist()
      [-1.0, 0.0, 2.0]
    """

    lambd: float = 0.5

    def __call__(self, x: Any) -> jax.Array:
        return F.hardshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return str(self.lambd)


class Softshrink(nn.Module):
    """X moved towards 0 by `lambd`, and 0 where it would pass it.

    Mirrors `torch.nn.Softshrink`.

    Attributes:
      lambd: How far x moves.

    Raises:
      ValueError: If `lambd` is negative.

    Example:
      >>> Softshrink().apply({}, jnp.array([-1.0, 0.5, 2.0])).tolist()
      [-0.5, 0.0, 1.5]
    """

    lambd: float = 0.5

    def __post_init__(self) -> None:
        check(self.lambd >= 0, "Softshrink", "lambd must be at least 0", lambd=self.lambd)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.softshrink(x, self.lambd)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return str(self.lambd)


def _bounds(layer: Hardtanh) -> tuple[float, float]:
    low, high = layer.min_value, layer.max_value
    return layer.min_val if low is None else low, layer.max_val if high is None else high
