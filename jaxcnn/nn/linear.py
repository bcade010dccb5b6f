"""Linear layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check, check_int
from jaxcnn.nn.container import LINEN_FIELDS, set_linen_fields


class Linear(nn.Module):
    """x @ weight.T + bias.

    Mirrors `torch.nn.Linear`; torch's `device` and `dtype` are left out.

    Attributes:
      in_features: Entries of the input's last axis.
      out_features: Entries of the output's last axis.
      bias: Whether to add a learned bias.
      dtype: Computation dtype; None promotes input and parameters.
      param_dtype: Dtype of the parameters.
      weight_init: What the weight starts from; None is PyTorch's choice, below.
      bias_init: What the bias starts from; None is PyTorch's choice.

    Parameters:
      `weight (out_features, in_features)`, `bias (out_features,)`, both from U(-b, b),
      `b = 1 / sqrt(in_features)`.

    Shape:
      `(*, in_features)` -> `(*, out_features)`.

    Raises:
      ValueError: If a size is negative or the input does not fit.
      TypeError: If a size is not an integer.

    Example:
      >>> layer = Linear(3, 4)
      >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((2, 3)))
      >>> y.shape, variables["params"]["weight"].shape
      ((2, 4), (4, 3))
    """

    in_features: int
    out_features: int
    bias: bool = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)
    weight_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)
    bias_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_int("Linear", "in_features", self.in_features, 0)
        check_int("Linear", "out_features", self.out_features, 0)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        fits = x.ndim >= 1 and x.shape[-1] == self.in_features
        rule = f"input must have {self.in_features} entries on its last axis"
        check(fits, "Linear", rule, shape=x.shape)
        shape = (self.out_features, self.in_features)
        weight_init = self.weight_init or init.default_weight
        weight = self.param("weight", weight_init, shape, self.param_dtype)
        bias = None
        if self.bias:
            bias_init = self.bias_init or init.default_bias(self.in_features)
            bias = self.param("bias", bias_init, (self.out_features,), self.param_dtype)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        return F.linear(x, weight, bias)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias}"


class Bilinear(nn.Module):
    """x1 @ weight[k] @ x2 + bias[k] for each output k.

    Mirrors `torch.nn.Bilinear`; torch's `device` and `dtype` are left out.

    Attributes:
      in1_features: Entries of the first input's last axis.
      in2_features: Entries of the second input's last axis.
      out_features: Entries of the output's last axis.
      bias: Whether to add a learned bias.
      dtype: Computation dtype; None promotes inputs and parameters.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight (out_features, in1_features, in2_features)`, `bias (out_features,)`, both from
      U(-b, b), `b = 1 / sqrt(in1_features)`.

    Shape:
      `(*, in1_features)` and `(*, in2_features)` -> `(*, out_features)`.

    Raises:
      ValueError: If a size is out of range or the inputs do not fit.
      TypeError: If a size is not an integer.

    Example:
      >>> layer, x1, x2 = Bilinear(3, 4, 5), jnp.ones((2, 3)), jnp.ones((2, 4))
      >>> y, variables = layer.init_with_output(jax.random.key(0), x1, x2)
      >>> y.shape, variables["params"]["weight"].shape
      ((2, 5), (5, 3, 4))
    """

    in1_features: int
    in2_features: int
    out_features: int
    bias: bool = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int("Bilinear", "in1_features", self.in1_features, 1)
        check_int("Bilinear", "in2_features", self.in2_features, 0)
        check_int("Bilinear", "out_features", self.out_features, 0)
        super().__post_init__()

    @nn.compact
    def __call__(self, x1: Any, x2: Any) -> jax.Array:
        x1, x2 = jnp.asarray(x1), jnp.asarray(x2)
        for name, x, features in (("x1", x1, self.in1_features), ("x2", x2, self.in2_features)):
            fits = x.ndim >= 1 and x.shape[-1] == features
            rule = f"{name} must have {features} entries on its last axis"
            check(fits, "Bilinear", rule, shape=x.shape)
        same = x1.shape[:-1] == x2.shape[:-1]
        rule = "x1 and x2 must have the same leading axes"
        check(same, "Bilinear", rule, x1=x1.shape, x2=x2.shape)
        initializer = init.default_bias(self.in1_features)
        shape = (self.out_features, self.in1_features, self.in2_features)
        weight = self.param("weight", initializer, shape, self.param_dtype)
        bias = None
        if self.bias:
            bias = self.param("bias", initializer, (self.out_features,), self.param_dtype)
        x1, x2, weight, bias = promote_dtype(x1, x2, weight, bias, dtype=self.dtype)
        return F.bilinear(x1, x2, weight, bias)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias}"
        )


class Identity(nn.Module):
    """Returns its input.

    Mirrors `torch.nn.Identity`: arguments of any kind are accepted and ignored.

    Example:
      >>> Identity(54, unused=True).apply({}, jnp.ones(2)).tolist()
      [1.0, 1.0]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        del args
        set_linen_fields(self, {k: v for k, v in kwargs.items() if k in LINEN_FIELDS})
        self.__post_init__()

    def __call__(self, x: Any) -> Any:
        return x
