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
        weight = self.param("weight", init.default_weight, shape, self.param_dtype)
        bias = None
        if self.bias:
            initializer = init.default_bias(self.in_features)
            bias = self.param("bias", initializer, (self.out_features,), self.param_dtype)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        return F.linear(x, weight, bias)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias}"


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
