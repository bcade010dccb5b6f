"""ShuffleNetV2, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.functional as F
import jaxcnn.nn as nn
from jaxcnn._checks import check, check_int


class InvertedResidual(flax.linen.Module):
    """Two branches, joined and shuffled.

    At stride 1 the first branch is the first half of the channels as it is, and the second one sees
    the other half. At other strides both see all channels.
    """

    in_channels: int
    out_channels: int
    stride: int

    def setup(self) -> None:
        inputs, half = self.in_channels, self.out_channels // 2
        whole = self.stride > 1
        first = (*_depthwise(inputs, self.stride), *_pointwise(inputs, half)) if whole else ()
        self.branch1 = nn.Sequential(*first)
        self.branch2 = nn.Sequential(
            *_pointwise(inputs if whole else half, half),
            *_depthwise(half, self.stride),
            *_pointwise(half, half),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        first, second = (x, x) if self.stride > 1 else jnp.split(x, 2, axis=-1)
        branches = self.branch1(first, train), self.branch2(second, train)
        return F.channel_shuffle(jnp.concatenate(branches, axis=-1), 2)


class ShuffleNetV2(flax.linen.Module):
    """A network whose blocks shuffle their channels; `VARIANTS` has the published widths.

    Mirrors `torchvision.models.ShuffleNetV2` on channels-last images.

    Attributes:
      stages_repeats: Blocks in each of the three stages.
      stages_out_channels: Channels of the first convolution, the stages and the last convolution.
      num_classes: Outputs of the last layer.
      inverted_residual: The kind of block, called with the channels of its input and output and
        its stride.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If there are not three stages or their channels are not even.
      TypeError: If a number of blocks is not an integer.

    Source: Ma et al., 2018.
    """

    stages_repeats: Sequence[int]
    stages_out_channels: Sequence[int]
    num_classes: int = 1000
    inverted_residual: Callable[..., flax.linen.Module] = InvertedResidual
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    feature_names = ("conv1", "maxpool", "stage2", "stage3", "conv5")

    def __post_init__(self) -> None:
        where, repeats, channels = "ShuffleNetV2", self.stages_repeats, self.stages_out_channels
        rule = "stages_repeats must have three entries"
        check(len(repeats) == 3, where, rule, stages_repeats=repeats)
        for repeat in repeats:
            check_int(where, "an entry of stages_repeats", repeat, 1)
        rule = "stages_out_channels must have five entries, even ones for the stages"
        ok = len(channels) == 5 and all(c % 2 == 0 for c in channels[1:4])
        check(ok, where, rule, stages_out_channels=channels)
        super().__post_init__()

    def setup(self) -> None:
        first, *stages, last = self.stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(self.in_channels, first, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = first
        for i, (repeats, outputs) in enumerate(zip(self.stages_repeats, stages, strict=True), 2):
            blocks = [self.inverted_residual(inputs, outputs, 2)]
            blocks += [self.inverted_residual(outputs, outputs, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{i}", nn.Sequential(*blocks))
            inputs = outputs
        self.conv5 = nn.Sequential(*_pointwise(inputs, last))
        self.fc = nn.Linear(last, self.num_classes)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.maxpool(self.conv1(x, train))
        for part in (self.stage2, self.stage3, self.stage4, self.conv5):
            x = part(x, train)
        return self.fc(x.mean((1, 2)))


def _pointwise(inputs: int, outputs: int) -> tuple[flax.linen.Module, ...]:
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _depthwise(channels: int, stride: int) -> tuple[flax.linen.Module, ...]:
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    return conv, nn.BatchNorm2d(channels)


VARIANTS = {
    "shufflenet_v2_x0_5": partial(ShuffleNetV2, (4, 8, 4), (24, 48, 96, 192, 1024)),
    "shufflenet_v2_x1_0": partial(ShuffleNetV2, (4, 8, 4), (24, 116, 232, 464, 1024)),
    "shufflenet_v2_x1_5": partial(ShuffleNetV2, (4, 8, 4), (24, 176, 352, 704, 1024)),
    "shufflenet_v2_x2_0": partial(ShuffleNetV2, (4, 8, 4), (24, 244, 488, 976, 2048)),
}
