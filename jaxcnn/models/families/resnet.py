"""ResNet, ResNeXt and Wide ResNet, as torchvision builds them."""

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
from jaxcnn.models.families._blocks import FAN_OUT, Layer


@dataclasses.dataclass(frozen=True)
class _Setting:
    """How one block differs from the others."""

    inplanes: int
    planes: int
    stride: int = 1
    groups: int = 1
    width_per_group: int = 64
    dilation: int = 1
    norm: Layer = nn.BatchNorm2d
    last_scale: init.Initializer | None = None

    def conv(self, inputs: int, outputs: int, kernel: int, stride: int = 1, **options: Any) -> Any:
        """A convolution without bias that keeps the size at stride 1."""
        padding = options.get("dilation", 1) * (kernel // 2)
        return nn.Conv2d(
            inputs, outputs, kernel, stride, padding, bias=False, weight_init=FAN_OUT, **options
        )

    def last_norm(self, features: int) -> Any:
        """The norm before the sum, which `zero_init_residual` starts at zero."""
        scale = {} if self.last_scale is None else {"weight_init": self.last_scale}
        return self.norm(features, **scale)

    def shortcut(self, outputs: int) -> Any:
        """The projection of the shortcut, or None where the block keeps the shape."""
        if self.stride == 1 and self.inplanes == outputs:
            return None
        conv = self.conv(self.inplanes, outputs, 1, self.stride)
        return nn.Sequential(conv, self.norm(outputs))


class BasicBlock(flax.linen.Module):
    """Two 3x3 convolutions beside a shortcut."""

    setting: _Setting

    expansion = 1

    def setup(self) -> None:
        s = self.setting
        self.conv1 = s.conv(s.inplanes, s.planes, 3, s.stride)
        self.bn1 = s.norm(s.planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = s.conv(s.planes, s.planes, 3)
        self.bn2 = s.last_norm(s.planes)
        self.downsample = s.shortcut(s.planes)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.relu(self.bn1(self.conv1(x), train))
        y = self.bn2(self.conv2(y), train)
        return self.relu(y + (x if self.downsample is None else self.downsample(x, train)))


class Bottleneck(flax.linen.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut; the 3x3 one has the stride."""

    setting: _Setting

    expansion = 4

    def setup(self) -> None:
        s = self.setting
        width = s.planes * s.width_per_group // 64 * s.groups
        self.conv1 = s.conv(s.inplanes, width, 1)
        self.bn1 = s.norm(width)
        self.conv2 = s.conv(width, width, 3, s.stride, groups=s.groups, dilation=s.dilation)
        self.bn2 = s.norm(width)
        self.conv3 = s.conv(width, s.planes * self.expansion, 1)
        self.bn3 = s.last_norm(s.planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = s.shortcut(s.planes * self.expansion)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.relu(self.bn1(self.conv1(x), train))
        y = self.relu(self.bn2(self.conv2(y), train))
        y = self.bn3(self.conv3(y), train)
        return self.relu(y + (x if self.downsample is None else self.downsample(x, train)))


class ResNet(flax.linen.Module):
    """A residual network; `VARIANTS` has the published ones.

    Mirrors `torchvision.models.ResNet` on channels-last images.

    Attributes:
      block: The kind of residual block.
      layers: Blocks in each of the four stages.
      num_classes: Outputs of the last layer.
      zero_init_residual: Whether each block starts as its shortcut, its last scale at zero.
      groups: Groups of the 3x3 convolutions.
      width_per_group: Channels of a group in the first stage.
      replace_stride_with_dilation: For each of the last three stages, whether it keeps the size
        and dilates its convolutions instead.
      norm_layer: The norm, called with its number of channels.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If `replace_stride_with_dilation` has not three entries, or the basic block is
        to have groups or dilation.

    Source: He et al., 2015; Xie et al., 2017; Zagoruyko and Komodakis, 2016.
    """

    block: type[BasicBlock] | type[Bottleneck]
    layers: Sequence[int]
    num_classes: int = 1000
    zero_init_residual: bool = False
    groups: int = 1
    width_per_group: int = 64
    replace_stride_with_dilation: Sequence[bool] = (False, False, False)
    norm_layer: Layer = nn.BatchNorm2d
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    feature_names = ("relu", "layer1", "layer2", "layer3", "layer4")

    def __post_init__(self) -> None:
        dilate = self.replace_stride_with_dilation
        rule = "replace_stride_with_dilation must have three entries"
        check(len(dilate) == 3, "ResNet", rule, replace_stride_with_dilation=dilate)
        plain = (self.groups, self.width_per_group, any(dilate)) == (1, 64, False)
        check(
            self.block is not BasicBlock or plain,
            "ResNet",
            "the basic block has neither groups nor dilation",
            groups=self.groups,
            width_per_group=self.width_per_group,
            replace_stride_with_dilation=dilate,
        )
        super().__post_init__()

    def setup(self) -> None:
        self.conv1 = nn.Conv2d(
            self.in_channels, 64, 7, stride=2, padding=3, bias=False, weight_init=FAN_OUT
        )
        self.bn1 = self.norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inplanes, dilation = 64, 1
        for i, dilate in enumerate((False, *self.replace_stride_with_dilation)):
            stride, before = 2 if i > 0 else 1, dilation
            if dilate:
                stride, dilation = 1, dilation * stride
            first = _Setting(
                inplanes,
                64 * 2**i,
                stride,
                self.groups,
                self.width_per_group,
                before,
                self.norm_layer,
                init.zeros() if self.zero_init_residual else None,
            )
            inplanes = first.planes * self.block.expansion
            rest = dataclasses.replace(first, inplanes=inplanes, stride=1, dilation=dilation)
            stage = (self.block(first), *(self.block(rest) for _ in range(self.layers[i] - 1)))
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(inplanes, self.num_classes)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x), train)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x, train)
        return self.fc(self.avgpool(x).reshape(x.shape[0], -1))


VARIANTS = {
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3)),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    "resnet101": partial(ResNet, Bottleneck, (3, 4, 23, 3)),
    "resnet152": partial(ResNet, Bottleneck, (3, 8, 36, 3)),
    "resnext50_32x4d": partial(ResNet, Bottleneck, (3, 4, 6, 3), groups=32, width_per_group=4),
    "resnext101_32x8d": partial(ResNet, Bottleneck, (3, 4, 23, 3), groups=32, width_per_group=8),
    "resnext101_64x4d": partial(ResNet, Bottleneck, (3, 4, 23, 3), groups=64, width_per_group=4),
    "wide_resnet50_2": partial(ResNet, Bottleneck, (3, 4, 6, 3), width_per_group=128),
    "wide_resnet101_2": partial(ResNet, Bottleneck, (3, 4, 23, 3), width_per_group=128),
}
