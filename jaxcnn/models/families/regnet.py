"""RegNet, as torchvision builds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

import flax.linen
import jax
import numpy as np

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.models.families._blocks import (
    Conv2dNormActivation,
    Layer,
    SqueezeExcitation,
    make_divisible,
)


@dataclasses.dataclass(frozen=True)
class _Setting:
    """How one block differs from the others."""

    width_in: int
    width_out: int
    stride: int
    group_width: int
    bottleneck_multiplier: float
    se_ratio: float | None
    norm: Layer
    act: Layer


class SimpleStemIN(Conv2dNormActivation):
    """A 3x3 convolution of stride 2, a norm and an activation.

    Args:
      width_in: Channels of the input.
      width_out: Channels of the output.
      norm: The norm, called with `width_out`.
      act: The activation, called with `inplace=True`.
    """

    def __init__(
        self, width_in: int, width_out: int, norm: Layer, act: Layer, **linen: Any
    ) -> None:
        act = partial(act, inplace=True)
        super().__init__(width_in, width_out, stride=2, norm=norm, act=act, **linen)


class BottleneckTransform(nn.Sequential):
    """A 3x3 convolution in groups between two 1x1 ones; the 3x3 one has the stride.

    Args:
      setting: The block's setting.
    """

    def __init__(self, setting: _Setting, **linen: Any) -> None:
        s = setting
        width = round(s.width_out * s.bottleneck_multiplier)
        groups = width // s.group_width
        block = partial(Conv2dNormActivation, norm=s.norm, act=partial(s.act, inplace=True))
        layers: dict[str, flax.linen.Module] = {
            "a": block(s.width_in, width, 1),
            "b": block(width, width, 3, s.stride, groups),
        }
        if s.se_ratio:
            squeezed = round(s.se_ratio * s.width_in)
            layers["se"] = SqueezeExcitation(width, squeezed, s.act, bias_init=None)
        layers["c"] = block(width, s.width_out, 1, act=None)
        super().__init__(layers, **linen)


class ResBottleneckBlock(flax.linen.Module):
    """A bottleneck beside a shortcut."""

    setting: _Setting

    def setup(self) -> None:
        s = self.setting
        self.proj = None
        if s.stride != 1 or s.width_in != s.width_out:
            self.proj = Conv2dNormActivation(
                s.width_in, s.width_out, 1, s.stride, norm=s.norm, act=None
            )
        self.f = BottleneckTransform(s)
        self.activation = s.act(inplace=True)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        shortcut = x if self.proj is None else self.proj(x, train)
        return self.activation(shortcut + self.f(x, train))


class AnyStage(nn.Sequential):
    """Blocks of one width.

    Args:
      stage: Its number, part of the blocks' names.
      settings: The blocks' settings.
    """

    def __init__(self, stage: int, settings: Iterable[_Setting], **linen: Any) -> None:
        blocks = {f"block{stage}-{i}": ResBottleneckBlock(s) for i, s in enumerate(settings)}
        super().__init__(blocks, **linen)


class RegNet(flax.linen.Module):
    """A network whose widths grow along a line, in steps; `VARIANTS` has the published ones.

    Mirrors `torchvision.models.RegNet` on channels-last images, built from what torchvision gives
    to `BlockParams.from_init_params`. The width of block `i` is `w_0 + w_a*i`, rounded to a
    `w_0 * w_m**k` and then to a multiple of 8; blocks of one width are a stage.

    Attributes:
      depth: Number of blocks.
      w_0: Width of the first block in channels.
      w_a: What each block adds to the width.
      w_m: The factor between the widths of two stages.
      group_width: Channels of a group in the 3x3 convolutions.
      se_ratio: Channels that squeeze and excitation has inside, for each channel that enters the
        block; None leaves it out.
      bottleneck_multiplier: Channels inside a block, for each channel that leaves it.
      num_classes: Outputs of the last layer.
      stem_width: Channels of the first convolution.
      norm_layer: The norm, called with its number of channels.
      activation: The activation, called with or without `inplace=True`.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If the parameters do not describe growing widths.

    Source: Radosavovic et al., 2020.

    Example:
      >>> import jax.numpy as jnp
      >>> model, x = RegNet(4, 8, 8.0, 2.0, group_width=8, num_classes=5), jnp.ones((1, 32, 32, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int
    se_ratio: float | None = None
    bottleneck_multiplier: float = 1.0
    num_classes: int = 1000
    stem_width: int = 32
    norm_layer: Layer = nn.BatchNorm2d
    activation: Layer = nn.ReLU
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        whole = self.w_0 > 0 and self.w_0 % 8 == 0
        check(self.depth > 0, "RegNet", "depth must be positive", depth=self.depth)
        check(whole, "RegNet", "w_0 must be a positive multiple of 8", w_0=self.w_0)
        check(self.w_a >= 0, "RegNet", "w_a must not be negative", w_a=self.w_a)
        check(self.w_m > 1, "RegNet", "w_m must be above 1", w_m=self.w_m)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The stem and each stage."""
        stages = range(1, len(list(_stages(self))) + 1)
        return ("stem", *(f"trunk_output.block{i}" for i in stages))

    def setup(self) -> None:
        norm, act = self.norm_layer, self.activation
        self.stem = SimpleStemIN(self.in_channels, self.stem_width, norm, act)
        width_in, stages = self.stem_width, {}
        for i, (width, depth, group_width) in enumerate(_stages(self), start=1):
            rest = _Setting(
                width, width, 1, group_width, self.bottleneck_multiplier, self.se_ratio, norm, act
            )
            first = dataclasses.replace(rest, width_in=width_in, stride=2)
            stages[f"block{i}"] = AnyStage(i, (first, *(rest,) * (depth - 1)))
            width_in = width
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(
            width_in, self.num_classes, weight_init=init.normal(0.0, 0.01), bias_init=init.zeros()
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.trunk_output(self.stem(x, train), train)
        return self.fc(self.avgpool(x).reshape(x.shape[0], -1))


def _stages(model: RegNet) -> Iterator[tuple[int, int, int]]:
    """Yields each stage's width, number of blocks and group width."""
    line = model.w_0 + model.w_a * np.arange(model.depth)
    steps = np.round(np.log(line / model.w_0) / math.log(model.w_m))
    widths = 8 * np.round(model.w_0 * model.w_m**steps / 8).astype(int)
    for width, blocks in groupby(widths.tolist()):
        inner = int(width * model.bottleneck_multiplier)
        group_width = min(model.group_width, inner)
        width = int(make_divisible(inner, group_width) / model.bottleneck_multiplier)
        yield width, len(list(blocks)), group_width


# Name: depth, w_0, w_a, w_m, group_width.
_X = {
    "400mf": (22, 24, 24.48, 2.54, 16),
    "800mf": (16, 56, 35.73, 2.28, 16),
    "1_6gf": (18, 80, 34.01, 2.25, 24),
    "3_2gf": (25, 88, 26.31, 2.25, 48),
    "8gf": (23, 80, 49.56, 2.88, 120),
    "16gf": (22, 216, 55.59, 2.1, 128),
    "32gf": (23, 320, 69.86, 2.0, 168),
}
_Y = {
    "400mf": (16, 48, 27.89, 2.09, 8),
    "800mf": (14, 56, 38.84, 2.4, 16),
    "1_6gf": (27, 48, 20.71, 2.65, 24),
    "3_2gf": (21, 80, 42.63, 2.66, 24),
    "8gf": (17, 192, 76.82, 2.19, 56),
    "16gf": (18, 200, 106.23, 2.48, 112),
    "32gf": (20, 232, 115.89, 2.53, 232),
    "128gf": (27, 456, 160.83, 2.52, 264),
}
VARIANTS = {
    **{f"regnet_x_{size}": partial(RegNet, *row) for size, row in _X.items()},
    **{f"regnet_y_{size}": partial(RegNet, *row, se_ratio=0.25) for size, row in _Y.items()},
}
