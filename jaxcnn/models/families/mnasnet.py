"""MNASNet, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.models.families._blocks import FAN_OUT, make_divisible

# The paper's 0.9997 is the weight of the old value, as TensorFlow counts it.
_BN_MOMENTUM = 1 - 0.9997


class _InvertedResidual(flax.linen.Module):
    """A 1x1 convolution that widens, a depthwise one and a linear 1x1 one, beside a shortcut.

    The shortcut is there where the block keeps the shape.
    """

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    expansion: int

    def setup(self) -> None:
        hidden = self.in_channels * self.expansion
        self.layers = nn.Sequential(
            *_conv(self.in_channels, hidden, 1),
            nn.ReLU(inplace=True),
            *_conv(hidden, hidden, self.kernel_size, self.stride, hidden),
            nn.ReLU(inplace=True),
            *_conv(hidden, self.out_channels, 1),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.layers(x, train)
        return x + y if (self.stride, self.in_channels) == (1, self.out_channels) else y


class MNASNet(flax.linen.Module):
    """A network found by search, variant B1; `VARIANTS` has the published widths.

    Mirrors `torchvision.models.MNASNet`, version 2 (its stem has the width `alpha` too), on
    channels-last images.

    Attributes:
      alpha: Multiplies the channels of every layer but the last convolution.
      num_classes: Outputs of the last layer.
      dropout: Probability of dropping a feature in front of the last layer, 0 to 1.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If `alpha` is not positive or `dropout` is out of range.

    Source: Tan et al., 2019.
    """

    alpha: float
    num_classes: int = 1000
    dropout: float = 0.2
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    feature_names = ("layers.7", "layers.8", "layers.9", "layers.11", "layers.16")

    def __post_init__(self) -> None:
        check(self.alpha > 0, "MNASNet", "alpha must be positive", alpha=self.alpha)
        rule = "dropout must be from 0 to 1"
        check(0 <= self.dropout <= 1, "MNASNet", rule, dropout=self.dropout)
        super().__post_init__()

    def setup(self) -> None:
        widths = (32, 16, 24, 40, 80, 96, 192, 320)
        w = [make_divisible(width * self.alpha) for width in widths]
        self.layers = nn.Sequential(
            *_conv(self.in_channels, w[0], 3, stride=2),
            nn.ReLU(inplace=True),
            *_conv(w[0], w[0], 3, groups=w[0]),
            nn.ReLU(inplace=True),
            *_conv(w[0], w[1], 1),
            _stack(w[1], w[2], 3, 2, expansion=3, repeats=3),
            _stack(w[2], w[3], 5, 2, expansion=3, repeats=3),
            _stack(w[3], w[4], 5, 2, expansion=6, repeats=3),
            _stack(w[4], w[5], 3, 1, expansion=6, repeats=2),
            _stack(w[5], w[6], 5, 2, expansion=6, repeats=4),
            _stack(w[6], w[7], 3, 1, expansion=6, repeats=1),
            *_conv(w[7], 1280, 1),
            nn.ReLU(inplace=True),
        )
        weight_init = init.kaiming_uniform(mode="fan_out", nonlinearity="sigmoid")
        self.classifier = nn.Sequential(
            nn.Dropout(self.dropout, inplace=True),
            nn.Linear(1280, self.num_classes, weight_init=weight_init, bias_init=init.zeros()),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.classifier(self.layers(x, train).mean((1, 2)), train)


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution that keeps the size at stride 1, and its norm."""
    conv = nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        kernel // 2,
        groups=groups,
        bias=False,
        weight_init=FAN_OUT,
    )
    return conv, nn.BatchNorm2d(outputs, momentum=_BN_MOMENTUM)


def _stack(
    inputs: int, outputs: int, kernel: int, stride: int, *, expansion: int, repeats: int
) -> nn.Sequential:
    """Blocks, the first of which has the stride."""
    first = _InvertedResidual(inputs, outputs, kernel, stride, expansion)
    rest = (_InvertedResidual(outputs, outputs, kernel, 1, expansion) for _ in range(repeats - 1))
    return nn.Sequential(first, *rest)


VARIANTS = {
    "mnasnet0_5": partial(MNASNet, 0.5),
    "mnasnet0_75": partial(MNASNet, 0.75),
    "mnasnet1_0": partial(MNASNet, 1.0),
    "mnasnet1_3": partial(MNASNet, 1.3),
}
