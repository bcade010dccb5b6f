"""GoogLeNet, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn.nn as nn
from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.layout import flatten

# Channels of each Inception block: of its 1x1 branch, before and after its 3x3 convolution, before
# and after the one that stands for 5x5, and of the branch with a pool.
_WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_NORMAL = init.trunc_normal(std=0.01)


class GoogLeNetOutputs(NamedTuple):
    """What GoogLeNet returns while training: the output and those of the auxiliary heads."""

    logits: jax.Array
    aux_logits2: jax.Array
    aux_logits1: jax.Array


class BasicConv2d(flax.linen.Module):
    """A convolution without bias, a norm and a ReLU."""

    in_channels: int
    out_channels: int
    kernel_size: int | Sequence[int]
    stride: int = 1
    padding: int | Sequence[int] = 0
    weight_init: init.Initializer = _NORMAL

    def setup(self) -> None:
        self.conv = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.padding,
            bias=False,
            weight_init=self.weight_init,
        )
        self.bn = nn.BatchNorm2d(self.out_channels, eps=0.001)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return F.relu(self.bn(self.conv(x), train))


class Inception(flax.linen.Module):
    """Convolutions of several sizes side by side."""

    in_channels: int
    ch1x1: int
    ch3x3red: int
    ch3x3: int
    ch5x5red: int
    ch5x5: int
    pool_proj: int

    def setup(self) -> None:
        inputs = self.in_channels
        self.branch1 = BasicConv2d(inputs, self.ch1x1, 1)
        self.branch2 = nn.Sequential(
            BasicConv2d(inputs, self.ch3x3red, 1),
            BasicConv2d(self.ch3x3red, self.ch3x3, 3, padding=1),
        )
        # 3x3 in spite of the names: torchvision's weights are so.
        self.branch3 = nn.Sequential(
            BasicConv2d(inputs, self.ch5x5red, 1),
            BasicConv2d(self.ch5x5red, self.ch5x5, 3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            BasicConv2d(inputs, self.pool_proj, 1),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return jnp.concatenate([branch(x, train) for branch in branches], -1)


class InceptionAux(flax.linen.Module):
    """A classifier on a map in the middle of the network, which helps to train it."""

    in_channels: int
    num_classes: int
    rate: float

    def setup(self) -> None:
        self.conv = BasicConv2d(self.in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024, weight_init=_NORMAL)
        self.fc2 = nn.Linear(1024, self.num_classes, weight_init=_NORMAL)
        self.dropout = nn.Dropout(self.rate)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = flatten(self.conv(F.adaptive_avg_pool2d(x, 4), train), 1)
        return self.fc2(self.dropout(F.relu(self.fc1(x)), train))


class InceptionNetwork(flax.linen.Module):
    """What GoogLeNet and Inception v3 share."""

    num_classes: int = 1000
    aux_logits: bool = True
    transform_input: bool = False
    # By keyword only: torchvision has other arguments between.
    dropout: float = dataclasses.field(default=0.5, kw_only=True)
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        check(
            not self.transform_input or self.in_channels == 3,
            type(self).__name__,
            "transform_input needs images of 3 channels",
            in_channels=self.in_channels,
        )
        super().__post_init__()

    @flax.linen.nowrap
    def named_children(self) -> Iterator[tuple[str, flax.linen.Module]]:
        """Yields (name, layer) in order; the attribute `dropout` is the rate, not the layer."""
        for child in vars(self).values():
            if isinstance(child, flax.linen.Module) and child.parent is self:
                yield str(child.name), child

    def _images(self, x: Any) -> jax.Array:
        """The input, from ImageNet's mean and deviation to 0.5 and 0.5 if `transform_input`."""
        x = jnp.asarray(x)
        if not self.transform_input:
            return x
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        dtype = jnp.result_type(x.dtype, 1.0)
        return x * jnp.asarray(std / 0.5, dtype) + jnp.asarray((mean - 0.5) / 0.5, dtype)


class GoogLeNet(InceptionNetwork):
    """Nine Inception blocks.

    Mirrors `torchvision.models.GoogLeNet` on channels-last images; its `blocks` are left out.
    Training with `aux_logits` returns `GoogLeNetOutputs`, anything else the output alone.

    Attributes:
      num_classes: Outputs of the last layer and of the auxiliary heads.
      aux_logits: Whether there are two auxiliary heads.
      transform_input: Whether to turn images that are normalised by ImageNet's mean and deviation
        into what torchvision's weights were trained on.
      dropout: Probability of a zero in front of the last layer.
      dropout_aux: The same in the auxiliary heads.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 15.

    Raises:
      ValueError: If `transform_input` is set and `in_channels` is not 3, a dropout is outside 0 to
        1 or the images are too small.

    Source: Szegedy et al., 2014.

    Example:
      >>> model, x = GoogLeNet(num_classes=5), jnp.ones((1, 33, 33, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    dropout: float = dataclasses.field(default=0.2, kw_only=True)
    dropout_aux: float = dataclasses.field(default=0.7, kw_only=True)

    feature_names = ("conv1", "conv3", "inception3b", "inception4e", "inception5b")

    def setup(self) -> None:
        self.conv1 = BasicConv2d(self.in_channels, 64, 7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        channels = 192
        for block, widths in _WIDTHS.items():
            setattr(self, f"inception{block}", Inception(channels, *widths))
            channels = sum(widths[i] for i in (0, 2, 4, 5))
            if block == "3b":
                self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            if block == "4e":
                self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        if self.aux_logits:
            self.aux1 = InceptionAux(512, self.num_classes, self.dropout_aux)
            self.aux2 = InceptionAux(528, self.num_classes, self.dropout_aux)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.last_dropout = nn.Dropout(self.dropout, name="dropout")
        self.fc = nn.Linear(channels, self.num_classes, weight_init=_NORMAL)

    def __call__(self, x: Any, train: bool = False) -> jax.Array | GoogLeNetOutputs:
        heads = self.aux_logits and (train or self.is_initializing())
        aux = []
        x = self.maxpool1(self.conv1(self._images(x), train))
        x = self.maxpool2(self.conv3(self.conv2(x, train), train))
        x = self.maxpool3(self.inception3b(self.inception3a(x, train), train))
        x = self.inception4a(x, train)
        if heads:
            aux.append(self.aux1(x, train))
        for block in (self.inception4b, self.inception4c, self.inception4d):
            x = block(x, train)
        if heads:
            aux.append(self.aux2(x, train))
        x = self.maxpool4(self.inception4e(x, train))
        x = self.avgpool(self.inception5b(self.inception5a(x, train), train))
        logits = self.fc(self.last_dropout(x.reshape(x.shape[0], -1), train))
        return GoogLeNetOutputs(logits, *reversed(aux)) if train and heads else logits


VARIANTS = {"googlenet": GoogLeNet}
