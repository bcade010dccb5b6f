"""MobileNetV2, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check, check_int
from jaxcnn.models.families._blocks import (
    FAN_OUT,
    Conv2dNormActivation,
    Layer,
    last_at_each_scale,
    make_divisible,
)

_RELU6 = partial(nn.ReLU6, inplace=True)


class InvertedResidual(flax.linen.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 one and a linear 1x1 one, beside a shortcut.

    The shortcut is there where the block keeps the shape.
    """

    in_channels: int
    out_channels: int
    stride: int
    expand_ratio: float
    norm_layer: Layer = nn.BatchNorm2d

    def setup(self) -> None:
        hidden = round(self.in_channels * self.expand_ratio)
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=_RELU6)
        self.conv = nn.Sequential(
            *([] if self.expand_ratio == 1 else [conv(self.in_channels, hidden, 1)]),
            conv(hidden, hidden, stride=self.stride, groups=hidden),
            nn.Conv2d(hidden, self.out_channels, 1, bias=False, weight_init=FAN_OUT),
            self.norm_layer(self.out_channels),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.conv(x, train)
        return x + y if (self.stride, self.in_channels) == (1, self.out_channels) else y


class MobileNetV2(flax.linen.Module):
    """A network of inverted residuals.

    Mirrors `torchvision.models.MobileNetV2` on channels-last images.

    Attributes:
      num_classes: Outputs of the last layer.
      width_mult: Multiplies the channels of every layer; the last convolution's only if above 1.
      inverted_residual_setting: Rows of blocks: (expansion of the channels inside, channels,
        number of blocks, stride of the first one).
      round_nearest: Channels are rounded to multiples of this number.
      block: The kind of block, called with the channels of its input and output, its stride, its
        expansion and `norm_layer`.
      norm_layer: The norm, called with its number of channels.
      dropout: Probability of dropping a feature in front of the last layer, 0 to 1.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If a row has not four entries or a stride other than 1 and 2, or another value
        is out of range.
      TypeError: If `round_nearest` is not an integer.

    Source: Sandler et al., 2018.
    """

    num_classes: int = 1000
    width_mult: float = 1.0
    inverted_residual_setting: Sequence[Sequence[int]] = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    round_nearest: int = 8
    block: Callable[..., flax.linen.Module] = InvertedResidual
    norm_layer: Layer = nn.BatchNorm2d
    dropout: float = 0.2
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        where, rows = "MobileNetV2", self.inverted_residual_setting
        rule = "inverted_residual_setting must be rows of four, the last entry a stride of 1 or 2"
        check(len(rows) > 0, where, rule, inverted_residual_setting=rows)
        for row in rows:
            check(len(row) == 4 and row[3] in (1, 2), where, rule, row=row)
        check(self.width_mult > 0, where, "width_mult must be positive", width_mult=self.width_mult)
        check_int(where, "round_nearest", self.round_nearest, 1)
        check(0 <= self.dropout <= 1, where, "dropout must be from 0 to 1", dropout=self.dropout)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last module at each scale."""
        rows = self.inverted_residual_setting
        strides = [s for *_, repeats, stride in rows for s in (stride, *(1,) * (repeats - 1))]
        return last_at_each_scale([2, *strides, 1])

    def setup(self) -> None:
        conv = partial(Conv2dNormActivation, norm=self.norm_layer, act=_RELU6)
        channels = make_divisible(32 * self.width_mult, self.round_nearest)
        last = make_divisible(1280 * max(1.0, self.width_mult), self.round_nearest)
        features: list[flax.linen.Module] = [conv(self.in_channels, channels, stride=2)]
        for expand_ratio, width, repeats, stride in self.inverted_residual_setting:
            outputs = make_divisible(width * self.width_mult, self.round_nearest)
            for i in range(repeats):
                step = stride if i == 0 else 1
                features.append(self.block(channels, outputs, step, expand_ratio, self.norm_layer))
                channels = outputs
        self.features = nn.Sequential(*features, conv(channels, last, 1))
        linear = partial(nn.Linear, weight_init=init.normal(std=0.01), bias_init=init.zeros())
        self.classifier = nn.Sequential(nn.Dropout(self.dropout), linear(last, self.num_classes))

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.classifier(self.features(x, train).mean((1, 2)), train)


VARIANTS = {"mobilenet_v2": MobileNetV2}
