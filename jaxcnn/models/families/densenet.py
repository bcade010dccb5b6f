"""DenseNet, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn
from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check

_conv = partial(nn.Conv2d, bias=False, weight_init=init.kaiming_normal())


class _DenseLayer(flax.linen.Module):
    """Computes `growth_rate` new channels from all maps before it."""

    num_input_features: int
    growth_rate: int
    bn_size: int
    drop_rate: float
    memory_efficient: bool

    def setup(self) -> None:
        width = self.bn_size * self.growth_rate
        self.norm1 = nn.BatchNorm2d(self.num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = _conv(self.num_input_features, width, kernel_size=1, stride=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = _conv(width, self.growth_rate, kernel_size=3, stride=1, padding=1)

    def bottleneck(self, maps: Sequence[jax.Array], train: bool) -> jax.Array:
        return self.conv1(self.relu1(self.norm1(jnp.concatenate(maps, -1), train)))

    def __call__(self, maps: Sequence[jax.Array], train: bool = False) -> jax.Array:
        bottleneck = _DenseLayer.bottleneck
        if self.memory_efficient:
            bottleneck = flax.linen.remat(bottleneck, static_argnums=(2,))
        x = self.conv2(self.relu2(self.norm2(bottleneck(self, maps, train), train)))
        if not train or self.drop_rate == 0:
            return x
        return F.dropout(x, self.drop_rate, rng=self.make_rng("dropout"))


class _DenseBlock(flax.linen.Module):
    """Layers of which each sees the maps of all before it."""

    num_layers: int
    num_input_features: int
    bn_size: int
    growth_rate: int
    drop_rate: float
    memory_efficient: bool

    def setup(self) -> None:
        for i in range(self.num_layers):
            layer = _DenseLayer(
                self.num_input_features + i * self.growth_rate,
                self.growth_rate,
                self.bn_size,
                self.drop_rate,
                self.memory_efficient,
            )
            setattr(self, f"denselayer{i + 1}", layer)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        maps = [x]
        for i in range(self.num_layers):
            maps.append(getattr(self, f"denselayer{i + 1}")(maps, train))
        return jnp.concatenate(maps, -1)


class _Transition(nn.Sequential):
    """Halves the size of the map."""

    def __init__(self, num_input_features: int, num_output_features: int, **linen: Any) -> None:
        layers = {
            "norm": nn.BatchNorm2d(num_input_features),
            "relu": nn.ReLU(inplace=True),
            "conv": _conv(num_input_features, num_output_features, kernel_size=1, stride=1),
            "pool": nn.AvgPool2d(kernel_size=2, stride=2),
        }
        super().__init__(layers, **linen)


class DenseNet(flax.linen.Module):
    r"""Dense blocks with transitions between them; `VARIANTS` has the published ones.

    Mirrors `torchvision.models.DenseNet` on channels-last images. With `memory_efficient` the
    running statistics are updated once a step, where PyTorch's recomputation updates them again.
    torchvision's files have "norm.1" for "norm1" in a layer's keys: load them by
    `to_variables(..., rename={r"\.(norm|conv)\.([12])\.": r".\1\2."})`.

    Attributes:
      growth_rate: Channels that each layer adds.
      block_config: Layers in each dense block.
      num_init_features: Channels of the first convolution.
      bn_size: Channels between the two convolutions of a layer, as a multiple of `growth_rate`.
      drop_rate: Probability of a zero in the output of each layer.
      num_classes: Outputs of the last layer.
      memory_efficient: Whether the backward pass computes concatenations, first norms and 1x1
        convolutions again instead of keeping them.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 29 with four blocks.

    Raises:
      ValueError: If `block_config` has no entry or one under 1, `drop_rate` is outside 0 to 1 or
        the images are too small.

    Source: Huang et al., 2016; Pleiss et al., 2017 (memory).

    Example:
      >>> model, x = DenseNet(block_config=(2, 2), num_classes=5), jnp.ones((1, 33, 33, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    growth_rate: int = 32
    block_config: Sequence[int] = (6, 12, 24, 16)
    num_init_features: int = 64
    bn_size: int = 4
    drop_rate: float = 0.0
    num_classes: int = 1000
    memory_efficient: bool = False
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        rule = "block_config must have entries of 1 or more"
        layers = self.block_config
        check(len(layers) > 0 and min(layers) >= 1, "DenseNet", rule, block_config=layers)
        rule = "drop_rate must be between 0 and 1"
        check(0 <= self.drop_rate <= 1, "DenseNet", rule, drop_rate=self.drop_rate)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The first ReLU, each dense block, and the norm after the last one."""
        blocks = (f"features.denseblock{i}" for i in range(1, len(self.block_config)))
        return ("features.relu0", *blocks, "features.norm5")

    def setup(self) -> None:
        channels = self.num_init_features
        layers: dict[str, flax.linen.Module] = {
            "conv0": _conv(self.in_channels, channels, kernel_size=7, stride=2, padding=3),
            "norm0": nn.BatchNorm2d(channels),
            "relu0": nn.ReLU(inplace=True),
            "pool0": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        }
        for i, depth in enumerate(self.block_config, 1):
            layers[f"denseblock{i}"] = _DenseBlock(
                depth,
                channels,
                self.bn_size,
                self.growth_rate,
                self.drop_rate,
                self.memory_efficient,
            )
            channels += depth * self.growth_rate
            if i < len(self.block_config):
                layers[f"transition{i}"] = _Transition(channels, channels // 2)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, self.num_classes, bias_init=init.zeros())

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = F.relu(self.features(x, train))
        return self.classifier(F.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1))


VARIANTS = {
    "densenet121": partial(DenseNet, 32, (6, 12, 24, 16), 64),
    "densenet161": partial(DenseNet, 48, (6, 12, 36, 24), 96),
    "densenet169": partial(DenseNet, 32, (6, 12, 32, 32), 64),
    "densenet201": partial(DenseNet, 32, (6, 12, 48, 32), 64),
}
