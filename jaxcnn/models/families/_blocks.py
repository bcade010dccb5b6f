"""Blocks that several families share, with torchvision's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn
from jaxcnn import init

Layer = Callable[..., flax.linen.Module]

# What torchvision's models with ReLU start their convolutions from.
FAN_OUT = init.kaiming_normal(mode="fan_out", nonlinearity="relu")


class Conv2dNormActivation(nn.Sequential):
    """A convolution without bias, a norm and an activation: children "0", "1", "2".

    Mirrors `torchvision.ops.Conv2dNormActivation`, with padding that keeps the size at stride 1.

    Args:
      in_channels: Channels of the input.
      out_channels: Channels of the output.
      kernel_size: Kernel height and width in pixels.
      stride: Steps between windows in pixels.
      groups: Groups of channels that do not see each other.
      dilation: Steps between the taps of the kernel in pixels.
      norm: The norm, called with `out_channels`; None leaves it out and gives the convolution a
        bias.
      act: The activation, called without arguments; None leaves it out.
      weight_init: What the convolution's weight starts from.

    Example:
      >>> block = Conv2dNormActivation(3, 8, stride=2)
      >>> y, _ = block.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
      >>> y.shape
      (1, 4, 4, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        norm: Layer | None = nn.BatchNorm2d,
        act: Layer | None = nn.ReLU,
        weight_init: init.Initializer = FAN_OUT,
        **linen: Any,
    ) -> None:
        conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            dilation * (kernel_size - 1) // 2,
            dilation,
            groups,
            norm is None,
            weight_init=weight_init,
            bias_init=init.zeros(),
        )
        norms = [] if norm is None else [norm(out_channels)]
        super().__init__(conv, *norms, *([] if act is None else [act()]), **linen)


class SqueezeExcitation(flax.linen.Module):
    """Scales each channel by a factor computed from the means of all channels.

    Mirrors `torchvision.ops.SqueezeExcitation`.

    Attributes:
      input_channels: Channels of input and output.
      squeeze_channels: Channels between the two 1x1 convolutions.
      activation: Between them, called without arguments.
      scale_activation: Makes the factors, called without arguments.
      weight_init: What the convolutions' weights start from.
      bias_init: What their biases start from; None is PyTorch's choice.

    Shape:
      `(n, h, w, input_channels)` -> the same.

    Source: Hu et al., 2018.

    Example:
      >>> layer, x = SqueezeExcitation(8, 2), jnp.ones((1, 4, 4, 8))
      >>> layer.init_with_output(jax.random.key(0), x)[0].shape
      (1, 4, 4, 8)
    """

    input_channels: int
    squeeze_channels: int
    activation: Layer = nn.ReLU
    scale_activation: Layer = nn.Sigmoid
    weight_init: init.Initializer = FAN_OUT
    bias_init: init.Initializer | None = init.zeros()

    def setup(self) -> None:
        start = {"weight_init": self.weight_init, "bias_init": self.bias_init}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(self.input_channels, self.squeeze_channels, 1, **start)
        self.fc2 = nn.Conv2d(self.squeeze_channels, self.input_channels, 1, **start)
        # Not named as in PyTorch, where the fields above hold the modules.
        self.act = self.activation()
        self.scale = self.scale_activation()

    def __call__(self, x: Any) -> jax.Array:
        x = jnp.asarray(x)
        return x * self.scale(self.fc2(self.act(self.fc1(self.avgpool(x)))))

    @flax.linen.nowrap
    def named_children(self) -> Iterator[tuple[str, flax.linen.Module]]:
        """Yields (name, layer) in order, by PyTorch's names."""
        yield from (("avgpool", self.avgpool), ("fc1", self.fc1), ("fc2", self.fc2))
        yield from (("activation", self.act), ("scale_activation", self.scale))


class StochasticDepth(nn.DropPath):
    """A DropPath that prints as torchvision's does.

    Mirrors `torchvision.ops.StochasticDepth`, whose `p` is here `drop_prob`.

    Example:
      >>> StochasticDepth(0.2).extra_repr()
      'p=0.2, mode=row'
    """

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"p={self.drop_prob}, mode={self.mode}"


def last_at_each_scale(strides: Sequence[int]) -> tuple[str, ...]:
    """Names of those of the modules "features.0", "features.1", ... before a stride or the end.

    Args:
      strides: The stride of each module.

    Example:
      >>> last_at_each_scale([2, 1, 2, 2, 1])
      ('features.1', 'features.2', 'features.4')
    """
    return tuple(f"features.{i}" for i, after in enumerate((*strides[1:], 2)) if after > 1)


def make_divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to a number of channels, but not under 90 % of it.

    Example:
      >>> [make_divisible(c) for c in (3, 18, 33.6)]
      [8, 24, 32]
    """
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest if nearest >= 0.9 * value else nearest + divisor
