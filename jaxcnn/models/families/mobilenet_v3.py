"""MobileNetV3, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.models.families._blocks import (
    Conv2dNormActivation,
    Layer,
    SqueezeExcitation,
    last_at_each_scale,
    make_divisible,
)

_HARDSWISH = partial(nn.Hardswish, inplace=True)


@dataclasses.dataclass(frozen=True)
class InvertedResidualConfig:
    """One block.

    Attributes:
      input_channels: Channels of the input.
      kernel: Height and width of the depthwise kernel in pixels.
      expanded_channels: Channels of the depthwise convolution.
      out_channels: Channels of the output.
      use_se: Whether squeeze-and-excitation follows the depthwise convolution.
      use_hs: Whether activations are Hardswish, not ReLU.
      stride: Of the depthwise convolution, 1 or 2; dilation takes its place if above 1.
      dilation: Of the depthwise convolution.

    Raises:
      ValueError: If `stride` is neither 1 nor 2.
    """

    input_channels: int
    kernel: int
    expanded_channels: int
    out_channels: int
    use_se: bool
    use_hs: bool
    stride: int
    dilation: int = 1

    def __post_init__(self) -> None:
        rule = "stride must be 1 or 2"
        check(self.stride in (1, 2), "InvertedResidualConfig", rule, stride=self.stride)

    @property
    def step(self) -> int:
        """The stride that dilation leaves."""
        return self.stride if self.dilation == 1 else 1


class InvertedResidual(flax.linen.Module):
    """A 1x1 convolution that widens, a depthwise one and a linear 1x1 one, beside a shortcut.

    The shortcut is there where the block keeps the shape.
    """

    config: InvertedResidualConfig
    norm_layer: Layer

    def setup(self) -> None:
        c = self.config
        act = _HARDSWISH if c.use_hs else partial(nn.ReLU, inplace=True)
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=act)
        layers: list[flax.linen.Module] = []
        if c.expanded_channels != c.input_channels:
            layers.append(conv(c.input_channels, c.expanded_channels, 1))
        layers.append(
            conv(
                c.expanded_channels,
                c.expanded_channels,
                c.kernel,
                c.step,
                groups=c.expanded_channels,
                dilation=c.dilation,
            )
        )
        if c.use_se:
            squeeze = make_divisible(c.expanded_channels // 4)
            layers.append(
                SqueezeExcitation(c.expanded_channels, squeeze, scale_activation=nn.Hardsigmoid)
            )
        self.block = nn.Sequential(*layers, conv(c.expanded_channels, c.out_channels, 1, act=None))

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        c, y = self.config, self.block(x, train)
        return x + y if (c.stride, c.input_channels) == (1, c.out_channels) else y


class MobileNetV3(flax.linen.Module):
    """Inverted residuals with squeeze-and-excitation; `VARIANTS` has the published networks.

    Mirrors `torchvision.models.MobileNetV3` on channels-last images.

    Attributes:
      inverted_residual_setting: The blocks.
      last_channel: Features in front of the last layer.
      num_classes: Outputs of the last layer.
      block: The kind of block, called with its entry of the setting and `norm_layer`.
      norm_layer: The norm, called with its number of channels.
      dropout: Probability of dropping a feature in front of the last layer, 0 to 1.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If there are no blocks or `dropout` is out of range.

    Source: Howard et al., 2019.
    """

    inverted_residual_setting: Sequence[InvertedResidualConfig]
    last_channel: int
    num_classes: int = 1000
    block: Callable[..., flax.linen.Module] = InvertedResidual
    norm_layer: Layer = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
    dropout: float = 0.2
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        where, setting = "MobileNetV3", self.inverted_residual_setting
        rule = "inverted_residual_setting must not be empty"
        check(len(setting) > 0, where, rule, inverted_residual_setting=setting)
        check(0 <= self.dropout <= 1, where, "dropout must be from 0 to 1", dropout=self.dropout)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last module at each scale."""
        return last_at_each_scale([2, *(c.step for c in self.inverted_residual_setting), 1])

    def setup(self) -> None:
        setting = self.inverted_residual_setting
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=_HARDSWISH)
        outputs = setting[-1].out_channels
        self.features = nn.Sequential(
            conv(self.in_channels, setting[0].input_channels, stride=2),
            *(self.block(config, self.norm_layer) for config in setting),
            conv(outputs, 6 * outputs, 1),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        linear = partial(nn.Linear, weight_init=init.normal(std=0.01), bias_init=init.zeros())
        self.classifier = nn.Sequential(
            linear(6 * outputs, self.last_channel),
            _HARDSWISH(),
            nn.Dropout(self.dropout, inplace=True),
            linear(self.last_channel, self.num_classes),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.avgpool(self.features(x, train))
        return self.classifier(x.reshape(x.shape[0], -1), train)


# Of each block: kernel, expanded channels, channels, whether with squeeze-and-excitation and with
# Hardswish, stride.
_LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def _mobilenet_v3(
    rows: Sequence[tuple[int, int, int, bool, bool, int]],
    last_channel: int,
    *,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **options: Any,
) -> MobileNetV3:
    """The network of a table.

    Args:
      rows: The table.
      last_channel: Features in front of the last layer.
      width_mult: Multiplies the channels of every layer.
      reduced_tail: Whether the last three blocks and what follows have half the channels.
      dilated: Whether the last three blocks keep the size and dilate their convolutions instead.
      **options: Further arguments of `MobileNetV3`.
    """
    rule = "width_mult must be positive"
    check(width_mult > 0, "mobilenet_v3", rule, width_mult=width_mult)
    divisor = 2 if reduced_tail else 1
    setting, inputs = [], make_divisible(16 * width_mult)
    for i, (kernel, expanded, channels, use_se, use_hs, stride) in enumerate(rows, -len(rows)):
        if i >= -3:
            channels //= divisor
        if i >= -2:
            expanded //= divisor
        outputs, middle = (make_divisible(c * width_mult) for c in (channels, expanded))
        dilation = 2 if dilated and i >= -3 else 1
        setting.append(
            InvertedResidualConfig(
                inputs, kernel, middle, outputs, use_se, use_hs, stride, dilation
            )
        )
        inputs = outputs
    last = make_divisible(last_channel // divisor * width_mult)
    return MobileNetV3(tuple(setting), last, **options)


VARIANTS = {
    "mobilenet_v3_large": partial(_mobilenet_v3, _LARGE, 1280),
    "mobilenet_v3_small": partial(_mobilenet_v3, _SMALL, 1024),
}
