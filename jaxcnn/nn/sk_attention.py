"""Selective kernels: attention over the size of a convolution's kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxcnn._checks import check, check_channels, check_int, check_type, is_int
from jaxcnn.functional.attention import fuse_branches
from jaxcnn.nn.batch_norm import BatchNorm2d
from jaxcnn.nn.container import Sequential
from jaxcnn.nn.conv import Conv2d
from jaxcnn.nn.linear import Linear
from jaxcnn.nn.piecewise import ReLU


class SKAttention(nn.Module):
    """Convolves with kernels of several sizes and lets each channel choose among them.

    Images are channels-last. Each kernel's branch is convolution, BatchNorm and ReLU; the mean of
    their sum over the pixels decides, through two linear layers and a softmax over the kernels, how
    much of each branch a channel takes.

    Attributes:
      channel: Channels of input and output.
      kernels: Kernel sizes in pixels, odd; kernel k is padded by k // 2.
      reduction: Divides the channels between the two linear layers.
      group: Groups of channels that do not see each other in the convolutions.
      L: Fewest channels between the two linear layers.
      dtype: Computation dtype; None promotes input and parameters.
      param_dtype: Dtype of the parameters.

    Call:
      x: `(n, h, w, channel)`.
      train: Whether BatchNorm normalises with the batch and updates `batch_stats`.

    Shape:
      `(n, h, w, channel)` -> the same.

    Raises:
      ValueError: If a size is out of range or the input does not fit.
      TypeError: If a size is not an integer.

    Source: Li et al., 2019 (Selective Kernel Networks); names and order of the External-Attention-
    pytorch collection's `model/attention/SKAttention.py`.

    Example:
      >>> layer, x = SKAttention(8, (1, 3), L=4), jnp.ones((2, 5, 5, 8))
      >>> y, variables = layer.init_with_output(jax.random.key(0), x)
      >>> y.shape, variables["params"]["fc"]["weight"].shape
      ((2, 5, 5, 8), (4, 8))
    """

    channel: int = 512
    kernels: Sequence[int] = (1, 3, 5, 7)
    reduction: int = 16
    group: int = 1
    L: int = 32
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        for field in ("channel", "reduction", "group", "L"):
            check_int("SKAttention", field, getattr(self, field), 1)
        rule = "channel must be divisible by group"
        ok = self.channel % self.group == 0
        check(ok, "SKAttention", rule, channel=self.channel, group=self.group)
        ok = isinstance(self.kernels, Sequence) and all(map(is_int, self.kernels))
        check_type(ok, "SKAttention", "kernels must be a sequence of ints", kernels=self.kernels)
        odd = len(self.kernels) > 0 and all(k > 0 and k % 2 == 1 for k in self.kernels)
        check(odd, "SKAttention", "kernels must be one or more odd sizes", kernels=self.kernels)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = jnp.asarray(x)
        check(x.ndim == 4, "SKAttention", "input must be (n, h, w, c)", shape=x.shape)
        check_channels("SKAttention", x.shape, self.channel, 2)
        dtypes = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        branches = []
        for i, k in enumerate(self.kernels):
            layers = {
                "conv": Conv2d(
                    self.channel, self.channel, k, padding=k // 2, groups=self.group, **dtypes
                ),
                "bn": BatchNorm2d(self.channel, **dtypes),
                "relu": ReLU(),
            }
            branches.append(Sequential(layers, name=f"convs.{i}")(x, train=train))
        stacked = jnp.stack(branches)
        hidden = max(self.L, self.channel // self.reduction)
        summary = jnp.mean(jnp.sum(stacked, axis=0), axis=(1, 2))
        z = Linear(self.channel, hidden, **dtypes, name="fc")(summary)
        logits = [
            Linear(hidden, self.channel, **dtypes, name=f"fcs.{i}")(z)
            for i in range(len(self.kernels))
        ]
        return fuse_branches(stacked, jnp.stack(logits))
