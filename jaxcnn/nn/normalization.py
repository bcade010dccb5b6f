"""Normalisation layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn._checks import check, check_channels, check_int


class BatchNorm2d(nn.Module):
    """Normalises each channel over the batch and the image.

    Mirrors `torch.nn.BatchNorm2d` on channels-last input; torch's `device` and `dtype` are left
    out. With `train=True` it uses the batch's statistics and writes the running ones into the
    mutable collection `batch_stats`:
    `y, new = model.apply(variables, x, train=True, mutable=["batch_stats"])`.

    Attributes:
      num_features: Channels of the input.
      eps: Added to the variance.
      momentum: Weight of the new value in the running statistics; None averages over all batches.
      affine: Whether to scale and shift by learned parameters.
      track_running_stats: Whether to keep running statistics; without, evaluation too uses the
        batch's.
      bias: Whether `affine` shifts as well as scales.
      dtype: Dtype of the output; None promotes input and parameters. Statistics are computed in
        at least float32.
      param_dtype: Dtype of parameters and statistics.

    Parameters:
      `weight (num_features,)` ones, `bias (num_features,)` zeros; in `batch_stats` `running_mean`
      zeros, `running_var` ones, `num_batches_tracked` 0.

    Shape:
      `(n, h, w, num_features)` -> the same.

    Raises:
      ValueError: If `num_features` or the input does not fit.
      TypeError: If `num_features` is not an integer.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> layer = BatchNorm2d(3)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4, 4, 3)))
      >>> y, new = layer.apply(
      ...     variables, jnp.ones((2, 4, 4, 3)), train=True, mutable=["batch_stats"])
      >>> int(new["batch_stats"]["num_batches_tracked"])
      1
    """

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = dataclasses.field(default=True, kw_only=True)
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int("BatchNorm2d", "num_features", self.num_features, 1)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = jnp.asarray(x)
        check(x.ndim == 4, "BatchNorm2d", "input must be (n, h, w, c)", shape=x.shape)
        check_channels("BatchNorm2d", x.shape, self.num_features, 2)
        shape = (self.num_features,)
        weight = bias = None
        if self.affine:
            weight = self.param("weight", nn.initializers.ones, shape, self.param_dtype)
            if self.bias:
                bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        x = x.astype(self.dtype or jnp.result_type(x, self.param_dtype))
        if not self.track_running_stats:
            return F.batch_norm(x, None, None, weight, bias, training=True, eps=self.eps)

        mean = self.variable("batch_stats", "running_mean", jnp.zeros, shape, self.param_dtype)
        var = self.variable("batch_stats", "running_var", jnp.ones, shape, self.param_dtype)
        batches = self.variable("batch_stats", "num_batches_tracked", jnp.zeros, (), int)
        if not train:
            return F.batch_norm(x, mean.value, var.value, weight, bias, eps=self.eps)
        tracked = batches.value + 1
        momentum = 1.0 / tracked if self.momentum is None else self.momentum
        y, new_mean, new_var = F.batch_norm(
            x, mean.value, var.value, weight, bias, training=True, momentum=momentum, eps=self.eps
        )
        if not self.is_initializing():
            mean.value, var.value, batches.value = new_mean, new_var, tracked
        return y

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets.

        PyTorch 2.13 prints `bias=` always; here only `bias=False`, as older releases read.
        """
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, {'' if self.bias else 'bias=False, '}"
            f"track_running_stats={self.track_running_stats}"
        )
