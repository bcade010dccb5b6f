"""EfficientNet and EfficientNetV2, as torchvision builds them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check, check_int
from jaxcnn.models.families._blocks import (
    Conv2dNormActivation,
    Layer,
    SqueezeExcitation,
    StochasticDepth,
    last_at_each_scale,
    make_divisible,
)

_SILU = partial(nn.SiLU, inplace=True)


@dataclasses.dataclass(frozen=True)
class MBConvConfig:
    """One stage of blocks.

    Attributes:
      block: `MBConv` or `FusedMBConv`.
      expand_ratio: Expansion of the channels inside a block.
      kernel: Height and width of the kernels in pixels.
      stride: Stride of the first block, 1 or 2.
      input_channels: Channels of the stage's input.
      out_channels: Channels of the stage's output.
      num_layers: Number of blocks.

    Raises:
      ValueError: If `stride` is neither 1 nor 2, or `num_layers` is under 1.
      TypeError: If `num_layers` is not an integer.
    """

    block: type[MBConv] | type[FusedMBConv]
    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int

    def __post_init__(self) -> None:
        rule = "stride must be 1 or 2"
        check(self.stride in (1, 2), "MBConvConfig", rule, stride=self.stride)
        check_int("MBConvConfig", "num_layers", self.num_layers, 1)

    @property
    def expanded_channels(self) -> int:
        """Channels inside the first block."""
        return make_divisible(self.input_channels * self.expand_ratio)

    def blocks(self) -> list[MBConvConfig]:
        """Each block as a stage of its own."""
        first = dataclasses.replace(self, num_layers=1)
        rest = dataclasses.replace(first, input_channels=self.out_channels, stride=1)
        return [first, *[rest] * (self.num_layers - 1)]


class _Block(flax.linen.Module):
    """Layers beside a shortcut, which is there where they keep the shape."""

    config: MBConvConfig
    stochastic_depth_prob: float
    norm_layer: Layer

    @flax.linen.nowrap
    def _layers(self, conv: Callable[..., flax.linen.Module]) -> list[flax.linen.Module]:
        raise NotImplementedError

    def setup(self) -> None:
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=_SILU)
        self.block = nn.Sequential(*self._layers(conv))
        self.stochastic_depth = StochasticDepth(self.stochastic_depth_prob)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        c, y = self.config, self.block(x, train)
        if (c.stride, c.input_channels) != (1, c.out_channels):
            return y
        return x + self.stochastic_depth(y, train)


class MBConv(_Block):
    """A 1x1 convolution that widens, a depthwise one, squeeze-and-excitation, a linear 1x1 one."""

    @flax.linen.nowrap
    def _layers(self, conv: Callable[..., flax.linen.Module]) -> list[flax.linen.Module]:
        c, width = self.config, self.config.expanded_channels
        squeeze = max(1, c.input_channels // 4)
        return [
            *([] if width == c.input_channels else [conv(c.input_channels, width, 1)]),
            conv(width, width, c.kernel, c.stride, groups=width),
            SqueezeExcitation(width, squeeze, activation=_SILU),
            conv(width, c.out_channels, 1, act=None),
        ]


class FusedMBConv(_Block):
    """A convolution that widens and a linear 1x1 one, or one convolution if nothing is widened."""

    @flax.linen.nowrap
    def _layers(self, conv: Callable[..., flax.linen.Module]) -> list[flax.linen.Module]:
        c, width = self.config, self.config.expanded_channels
        if width == c.input_channels:
            return [conv(width, c.out_channels, c.kernel, c.stride)]
        wide = conv(c.input_channels, width, c.kernel, c.stride)
        return [wide, conv(width, c.out_channels, 1, act=None)]


class EfficientNet(flax.linen.Module):
    """A network of depthwise or fused blocks; `VARIANTS` has the published ones.

    Mirrors `torchvision.models.EfficientNet` on channels-last images.

    Attributes:
      inverted_residual_setting: The stages.
      dropout: Probability of dropping a feature in front of the last layer, 0 to 1.
      stochastic_depth_prob: Probability of dropping a block of one image, 0 to 1; it grows evenly
        from 0 at the first block to this behind the last one.
      num_classes: Outputs of the last layer.
      norm_layer: The norm, called with its number of channels.
      last_channel: Channels of the last convolution. Defaults to four times those of its input.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If there are no stages or a probability is out of range.

    Source: Tan and Le, 2019 and 2021.
    """

    inverted_residual_setting: Sequence[MBConvConfig]
    dropout: float
    stochastic_depth_prob: float = 0.2
    num_classes: int = 1000
    norm_layer: Layer = nn.BatchNorm2d
    last_channel: int | None = None
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        where, setting = "EfficientNet", self.inverted_residual_setting
        rule = "inverted_residual_setting must not be empty"
        check(len(setting) > 0, where, rule, inverted_residual_setting=setting)
        for name in ("dropout", "stochastic_depth_prob"):
            value = getattr(self, name)
            check(0 <= value <= 1, where, f"{name} must be from 0 to 1", **{name: value})
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last stage at each scale."""
        return last_at_each_scale([2, *(c.stride for c in self.inverted_residual_setting), 1])

    def setup(self) -> None:
        setting = self.inverted_residual_setting
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=_SILU)
        total = sum(config.num_layers for config in setting)
        stages, done = [], 0
        for config in setting:
            blocks = []
            for block in config.blocks():
                probability = self.stochastic_depth_prob * done / total
                blocks.append(config.block(block, probability, self.norm_layer))
                done += 1
            stages.append(nn.Sequential(*blocks))
        outputs = setting[-1].out_channels
        last = 4 * outputs if self.last_channel is None else self.last_channel
        stem = conv(self.in_channels, setting[0].input_channels, stride=2)
        self.features = nn.Sequential(stem, *stages, conv(outputs, last, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        bound = 1 / math.sqrt(self.num_classes)  # outputs, not inputs, in torchvision too
        uniform = init.uniform(-bound, bound)
        self.classifier = nn.Sequential(
            nn.Dropout(self.dropout, inplace=True),
            nn.Linear(last, self.num_classes, weight_init=uniform, bias_init=init.zeros()),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.avgpool(self.features(x, train))
        return self.classifier(x.reshape(x.shape[0], -1), train)


def _b(width: float, depth: float, dropout: float, **options: Any) -> Callable[..., EfficientNet]:
    """The first version, its channels and numbers of blocks multiplied."""
    rows = (
        # expansion, kernel, stride, channels in and out, blocks
        (1, 3, 1, 32, 16, 1),
        (6, 3, 2, 16, 24, 2),
        (6, 5, 2, 24, 40, 2),
        (6, 3, 2, 40, 80, 3),
        (6, 5, 1, 80, 112, 3),
        (6, 5, 2, 112, 192, 4),
        (6, 3, 1, 192, 320, 1),
    )
    setting = tuple(
        MBConvConfig(
            MBConv,
            expansion,
            kernel,
            stride,
            make_divisible(inputs * width),
            make_divisible(outputs * width),
            math.ceil(repeats * depth),
        )
        for expansion, kernel, stride, inputs, outputs, repeats in rows
    )
    return partial(EfficientNet, setting, dropout=dropout, **options)


def _v2(dropout: float, *rows: tuple[int, int, int, int, int]) -> Callable[..., EfficientNet]:
    """The second version: the first three stages are fused.

    Args:
      dropout: In front of the last layer.
      *rows: Expansion, stride, channels in and out, blocks of each stage.
    """
    setting = tuple(
        MBConvConfig(FusedMBConv if i < 3 else MBConv, expansion, 3, *rest)
        for i, (expansion, *rest) in enumerate(rows)
    )
    norm = partial(nn.BatchNorm2d, eps=0.001)
    return partial(EfficientNet, setting, dropout=dropout, norm_layer=norm, last_channel=1280)


_TENSORFLOW_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)

VARIANTS = {
    "efficientnet_b0": _b(1.0, 1.0, 0.2),
    "efficientnet_b1": _b(1.0, 1.1, 0.2),
    "efficientnet_b2": _b(1.1, 1.2, 0.3),
    "efficientnet_b3": _b(1.2, 1.4, 0.3),
    "efficientnet_b4": _b(1.4, 1.8, 0.4),
    "efficientnet_b5": _b(1.6, 2.2, 0.4, norm_layer=_TENSORFLOW_NORM),
    "efficientnet_b6": _b(1.8, 2.6, 0.5, norm_layer=_TENSORFLOW_NORM),
    "efficientnet_b7": _b(2.0, 3.1, 0.5, norm_layer=_TENSORFLOW_NORM),
    "efficientnet_v2_s": _v2(
        0.2,
        (1, 1, 24, 24, 2),
        (4, 2, 24, 48, 4),
        (4, 2, 48, 64, 4),
        (4, 2, 64, 128, 6),
        (6, 1, 128, 160, 9),
        (6, 2, 160, 256, 15),
    ),
    "efficientnet_v2_m": _v2(
        0.3,
        (1, 1, 24, 24, 3),
        (4, 2, 24, 48, 5),
        (4, 2, 48, 80, 5),
        (4, 2, 80, 160, 7),
        (6, 1, 160, 176, 14),
        (6, 2, 176, 304, 18),
        (6, 1, 304, 512, 5),
    ),
    "efficientnet_v2_l": _v2(
        0.4,
        (1, 1, 32, 32, 4),
        (4, 2, 32, 64, 7),
        (4, 2, 64, 96, 7),
        (4, 2, 96, 192, 10),
        (6, 1, 192, 224, 19),
        (6, 2, 224, 384, 25),
        (6, 1, 384, 640, 7),
    ),
}
