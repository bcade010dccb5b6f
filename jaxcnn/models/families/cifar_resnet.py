"""ResNets for CIFAR's small images, as akamaster/pytorch_resnet_cifar10 builds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.functional as F
import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check

_conv = partial(nn.Conv2d, bias=False, weight_init=init.kaiming_normal())


class LambdaLayer(flax.linen.Module):
    """The shortcut without parameters: every second pixel, and zeros for the new channels.

    Attributes:
      padding: Channels of zeros before the given ones, and as many after them.
    """

    padding: int

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return jnp.pad(x[:, ::2, ::2], (*((0, 0),) * 3, (self.padding, self.padding)))


class BasicBlock(flax.linen.Module):
    """Two 3x3 convolutions beside a shortcut."""

    in_planes: int
    planes: int
    stride: int
    option: str

    def setup(self) -> None:
        self.conv1 = _conv(self.in_planes, self.planes, 3, self.stride, 1)
        self.bn1 = nn.BatchNorm2d(self.planes)
        self.conv2 = _conv(self.planes, self.planes, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(self.planes)
        if self.stride == 1:
            self.shortcut = nn.Sequential()
        elif self.option == "A":
            self.shortcut = LambdaLayer(self.planes // 4)
        else:
            conv = _conv(self.in_planes, self.planes, 1, self.stride)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(self.planes))

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = F.relu(self.bn1(self.conv1(x), train))
        y = self.bn2(self.conv2(y), train)
        return F.relu(y + self.shortcut(x, train))


class ResNet(flax.linen.Module):
    """A residual network of three stages with 16, 32 and 64 channels.

    Mirrors `ResNet` of akamaster/pytorch_resnet_cifar10 on channels-last images, of which
    `VARIANTS` has the published ones; there is one kind of block, and the shortcut, there an
    argument of the block, is chosen for all.

    Attributes:
      num_blocks: Blocks in each of the three stages.
      num_classes: Outputs of the last layer.
      option: The shortcut where the width doubles: "A" subsamples and pads with zeros, as the
        published models do, "B" is a 1x1 convolution with a norm.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If `num_blocks` has not three entries, or `option` is unknown.

    Source: He et al., 2015, section 4.2.

    Example:
      >>> model, x = ResNet((3, 3, 3)), jnp.ones((1, 32, 32, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 10)
    """

    num_blocks: Sequence[int]
    num_classes: int = 10
    option: str = "A"
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    feature_names = ("layer1", "layer2", "layer3")

    def __post_init__(self) -> None:
        rule = "num_blocks must have three entries"
        check(len(self.num_blocks) == 3, "ResNet", rule, num_blocks=self.num_blocks)
        rule = "option must be 'A' or 'B'"
        check(self.option in ("A", "B"), "ResNet", rule, option=self.option)
        super().__post_init__()

    def setup(self) -> None:
        self.conv1 = _conv(self.in_channels, 16, 3, 1, 1)
        self.bn1 = nn.BatchNorm2d(16)
        for i, blocks in enumerate(self.num_blocks):
            planes = 16 * 2**i
            first = BasicBlock(max(16, planes // 2), planes, 2 if i > 0 else 1, self.option)
            rest = (BasicBlock(planes, planes, 1, self.option) for _ in range(blocks - 1))
            setattr(self, f"layer{i + 1}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(64, self.num_classes, weight_init=init.kaiming_normal())

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = F.relu(self.bn1(self.conv1(x), train))
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x, train)
        return self.linear(x.mean((1, 2)))


VARIANTS = {
    f"resnet{6 * blocks + 2}": partial(ResNet, (blocks, blocks, blocks))
    for blocks in (3, 5, 7, 9, 18)
}
