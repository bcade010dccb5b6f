"""ConvNeXt, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.models.families._blocks import Layer, StochasticDepth

_WEIGHT = init.trunc_normal(std=0.02)
_conv = partial(nn.Conv2d, weight_init=_WEIGHT, bias_init=init.zeros())
_linear = partial(nn.Linear, weight_init=_WEIGHT, bias_init=init.zeros())


class LayerNorm2d(nn.LayerNorm):
    """A LayerNorm over the channels of each pixel; channels-last, so nothing is to be added."""


class Permute(flax.linen.Module):
    """Nothing: torchvision moves the channels to the end and back here."""

    def __call__(self, x: Any) -> jax.Array:
        return x


class Conv2dNormActivation(nn.Sequential):
    """The stem: a 4x4 convolution of stride 4 and a norm, under torchvision's name.

    Args:
      in_channels: Channels of the input.
      out_channels: Channels of the output.
      norm: The norm, called with `out_channels`.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Layer, **linen: Any) -> None:
        conv = _conv(in_channels, out_channels, 4, stride=4)
        super().__init__(conv, norm(out_channels), **linen)


class CNBlock(flax.linen.Module):
    """A depthwise 7x7 convolution and a two-layer perceptron, scaled, beside a shortcut."""

    dim: int
    scale: float
    stochastic_depth_prob: float

    def setup(self) -> None:
        dim = self.dim
        self.block = nn.Sequential(
            _conv(dim, dim, 7, padding=3, groups=dim),
            Permute(),
            nn.LayerNorm(dim, eps=1e-6),
            _linear(dim, 4 * dim),
            nn.GELU(),
            _linear(4 * dim, dim),
            Permute(),
        )
        # PyTorch's shape, for channels first.
        self.layer_scale = self.param("layer_scale", init.constant(self.scale), (dim, 1, 1))
        self.stochastic_depth = StochasticDepth(self.stochastic_depth_prob)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return x + self.stochastic_depth(self.layer_scale.reshape(-1) * self.block(x), train)


class ConvNeXt(flax.linen.Module):
    """A convolutional network after the pattern of vision transformers; see `VARIANTS`.

    Mirrors `torchvision.models.ConvNeXt` on channels-last images; `widths` and `depths` stand for
    its `block_setting`, and there is one kind of block.

    Attributes:
      widths: Channels of each stage.
      depths: Blocks in each stage.
      stochastic_depth_prob: Probability to drop the last block's branch while training; that of
        the others grows to it from 0.
      layer_scale: What each block's branch is first multiplied by.
      num_classes: Outputs of the last layer.
      norm_layer: The norm outside the blocks, called with its number of channels.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If `widths` and `depths` differ in length or are empty.

    Source: Liu et al., 2022.

    Example:
      >>> import jax.numpy as jnp
      >>> model, x = ConvNeXt((8, 16), (1, 1), num_classes=5), jnp.ones((1, 32, 32, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    widths: Sequence[int]
    depths: Sequence[int]
    stochastic_depth_prob: float = 0.0
    layer_scale: float = 1e-6
    num_classes: int = 1000
    norm_layer: Layer = partial(LayerNorm2d, eps=1e-6)
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        rule = "widths and depths must have one entry for each stage"
        stages = len(self.widths)
        fits = stages == len(self.depths) > 0
        check(fits, "ConvNeXt", rule, widths=self.widths, depths=self.depths)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Each stage; the first has a quarter of the size."""
        return tuple(f"features.{2 * i + 1}" for i in range(len(self.depths)))

    def setup(self) -> None:
        norm, widths = self.norm_layer, self.widths
        last = max(sum(self.depths) - 1, 1)
        layers: list[Any] = [Conv2dNormActivation(self.in_channels, widths[0], norm)]
        before = 0
        for i, (width, depth) in enumerate(zip(widths, self.depths, strict=True)):
            if i > 0:
                conv = _conv(widths[i - 1], width, 2, stride=2)
                layers.append(nn.Sequential(norm(widths[i - 1]), conv))
            rates = (self.stochastic_depth_prob * (before + j) / last for j in range(depth))
            layers.append(nn.Sequential(*(CNBlock(width, self.layer_scale, p) for p in rates)))
            before += depth
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            norm(widths[-1]), nn.Flatten(1), _linear(widths[-1], self.num_classes)
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.classifier(self.avgpool(self.features(x, train)), train)


# Name: width of the first stage, depths, stochastic_depth_prob.
_SIZES = {
    "tiny": (96, (3, 3, 9, 3), 0.1),
    "small": (96, (3, 3, 27, 3), 0.4),
    "base": (128, (3, 3, 27, 3), 0.5),
    "large": (192, (3, 3, 27, 3), 0.5),
}
VARIANTS = {
    f"convnext_{size}": partial(
        ConvNeXt, tuple(width << i for i in range(4)), depths, stochastic_depth_prob=rate
    )
    for size, (width, depths, rate) in _SIZES.items()
}
