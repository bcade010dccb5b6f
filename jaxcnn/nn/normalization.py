"""Normalisation layers without running statistics. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import canonicalize_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn._checks import check, check_channels, check_int
from jaxcnn.functional.normalization import trailing_shape


class LayerNorm(nn.Module):
    """Normalises over the trailing axes.

    Mirrors `torch.nn.LayerNorm`; torch's `device` and `dtype` are left out. The trailing axes are
    those of the array as given: `LayerNorm(c)` normalises each pixel of channels-last images over
    its channels.

    Attributes:
      normalized_shape: Sizes of the axes to normalise over; an int means the last axis alone.
      eps: Added to the variance.
      elementwise_affine: Whether to scale and shift by learned parameters.
      bias: Whether `elementwise_affine` shifts as well as scales.
      dtype: Dtype of the output; None promotes input and parameters. Statistics are computed in
        at least float32.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight normalized_shape` ones, `bias normalized_shape` zeros.

    Shape:
      `(*, *normalized_shape)` -> the same.

    Raises:
      ValueError: If `normalized_shape` or the input does not fit.
      TypeError: If `normalized_shape` is not integers.

    Source: Ba et al., 2016.

    Example:
      >>> layer = LayerNorm(2)
      >>> y, _ = layer.init_with_output(jax.random.key(0), jnp.array([1.0, 3.0]))
      >>> y.round(3).tolist()
      [-1.0, 1.0]
    """

    normalized_shape: int | Sequence[int]
    eps: float = 1e-5
    elementwise_affine: bool = True
    bias: bool = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        trailing_shape("LayerNorm", self.normalized_shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x, shape = jnp.asarray(x), trailing_shape("LayerNorm", self.normalized_shape)
        _check_trailing("LayerNorm", x.shape, shape)
        weight = bias = None
        if self.elementwise_affine:
            weight = self.param("weight", nn.initializers.ones, shape, self.param_dtype)
            if self.bias:
                bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        x = x.astype(canonicalize_dtype(x, weight, bias, dtype=self.dtype))
        return F.layer_norm(x, shape, weight, bias, self.eps)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets.

        PyTorch 2.13 prints `bias=` always; here only `bias=False`, as older releases read.
        """
        shape = trailing_shape("LayerNorm", self.normalized_shape)
        text = f"{shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return text + ("" if self.bias else ", bias=False")


class RMSNorm(nn.Module):
    """Divides by the root of the mean square over the trailing axes.

    Mirrors `torch.nn.RMSNorm`; torch's `device` and `dtype` are left out. The trailing axes are
    those of the array as given.

    Attributes:
      normalized_shape: Sizes of the axes to normalise over; an int means the last axis alone.
      eps: Added to the mean square; None is the machine epsilon of the computation.
      elementwise_affine: Whether to scale by learned parameters.
      dtype: Dtype of the output; None promotes input and parameters. Statistics are computed in
        at least float32.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight normalized_shape` ones.

    Shape:
      `(*, *normalized_shape)` -> the same.

    Raises:
      ValueError: If `normalized_shape` or the input does not fit.
      TypeError: If `normalized_shape` is not integers.

    Source: Zhang and Sennrich, 2019.

    Example:
      >>> layer = RMSNorm(2)
      >>> layer.init_with_output(jax.random.key(0), jnp.array([3.0, 3.0]))[0].tolist()
      [1.0, 1.0]
    """

    normalized_shape: int | Sequence[int]
    eps: float | None = None
    elementwise_affine: bool = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        trailing_shape("RMSNorm", self.normalized_shape)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x, shape = jnp.asarray(x), trailing_shape("RMSNorm", self.normalized_shape)
        _check_trailing("RMSNorm", x.shape, shape)
        weight = None
        if self.elementwise_affine:
            weight = self.param("weight", nn.initializers.ones, shape, self.param_dtype)
        x = x.astype(canonicalize_dtype(x, weight, dtype=self.dtype))
        return F.rms_norm(x, shape, weight, self.eps)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        shape = trailing_shape("RMSNorm", self.normalized_shape)
        return f"{shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(nn.Module):
    """Normalises each group of channels of each image.

    Mirrors `torch.nn.GroupNorm` on channels-last input; torch's `device` and `dtype` are left out.

    Attributes:
      num_groups: Groups that the channels are split into.
      num_channels: Channels of the input.
      eps: Added to the variance.
      affine: Whether to scale and shift by learned parameters.
      bias: Whether `affine` shifts as well as scales.
      dtype: Dtype of the output; None promotes input and parameters. Statistics are computed in
        at least float32.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight (num_channels,)` ones, `bias (num_channels,)` zeros.

    Shape:
      `(n, *spatial, num_channels)` -> the same.

    Raises:
      ValueError: If the channels do not divide into groups or the input does not fit.
      TypeError: If a number is not an integer.

    Source: Wu and He, 2018.

    Example:
      >>> layer = GroupNorm(2, 4)
      >>> x = jnp.array([[1.0, 3.0, 10.0, 30.0]])
      >>> layer.init_with_output(jax.random.key(0), x)[0].round(3).tolist()
      [[-1.0, 1.0, -1.0, 1.0]]
    """

    num_groups: int
    num_channels: int
    eps: float = 1e-5
    affine: bool = True
    bias: bool = dataclasses.field(default=True, kw_only=True)
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int("GroupNorm", "num_groups", self.num_groups, 1)
        check_int("GroupNorm", "num_channels", self.num_channels, 1)
        check(
            self.num_channels % self.num_groups == 0,
            "GroupNorm",
            "num_channels must be divisible by num_groups",
            num_channels=self.num_channels,
            num_groups=self.num_groups,
        )
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        x, shape = jnp.asarray(x), (self.num_channels,)
        check(x.ndim >= 2, "GroupNorm", "input must be (n, *spatial, c)", shape=x.shape)
        check_channels("GroupNorm", x.shape, self.num_channels, x.ndim - 2)
        weight = bias = None
        if self.affine:
            weight = self.param("weight", nn.initializers.ones, shape, self.param_dtype)
            if self.bias:
                bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        x = x.astype(canonicalize_dtype(x, weight, bias, dtype=self.dtype))
        return F.group_norm(x, self.num_groups, weight, bias, self.eps)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets, `bias=` as in LayerNorm."""
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return text + ("" if self.bias else ", bias=False")


class LocalResponseNorm(nn.Module):
    """Divides by a power of the mean square over neighbouring channels.

    Mirrors `torch.nn.LocalResponseNorm` on channels-last input:
    `x / (k + alpha * mean(x^2))^beta`.

    Attributes:
      size: Channels in the neighbourhood.
      alpha: Factor of the mean square.
      beta: Exponent.
      k: Added to the mean square.

    Shape:
      `(n, *spatial, c)` -> the same, with at least one spatial axis.

    Raises:
      ValueError: If `size` is not positive or the input has no spatial axis.
      TypeError: If `size` is not an integer.

    Source: Krizhevsky et al., 2012.

    Example:
      >>> LocalResponseNorm(2).apply({}, jnp.ones((1, 4, 4, 8))).shape
      (1, 4, 4, 8)
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        check_int("LocalResponseNorm", "size", self.size, 1)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _check_trailing(where: str, shape: tuple[int, ...], trailing: tuple[int, ...]) -> None:
    ok = shape[-len(trailing) :] == trailing
    check(ok, where, f"input must end in the axes normalized_shape={trailing}", shape=shape)
