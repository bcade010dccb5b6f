"""Inception v3, as torchvision builds it."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn
from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn.models.families.googlenet import BasicConv2d, InceptionNetwork

_NORMAL = init.trunc_normal(std=0.1)


class InceptionOutputs(NamedTuple):
    """What Inception v3 returns while training: the output and that of the auxiliary head."""

    logits: jax.Array
    aux_logits: jax.Array


def _conv(
    inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: Any = 0
) -> BasicConv2d:
    return BasicConv2d(inputs, outputs, kernel, stride, padding, weight_init=_NORMAL)


class _Row(NamedTuple):
    """A convolution of a block: its name, what it reads, and its settings.

    It reads the block's input, "x", the pooled input, "pool", or another convolution.
    """

    name: str
    source: str
    channels: int
    kernel: int | tuple[int, int]
    stride: int = 1


class _Block(flax.linen.Module):
    """Convolutions as a table says; returns side by side what no convolution reads."""

    in_channels: int

    def _rows(self) -> tuple[_Row, ...]:
        raise NotImplementedError

    def _pool(self, x: Any) -> jax.Array:
        return F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)

    def setup(self) -> None:
        channels = {"x": self.in_channels, "pool": self.in_channels}
        for name, source, outputs, kernel, stride in self._rows():
            height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
            padding = (height // 2, width // 2) if stride == 1 else 0
            setattr(self, name, _conv(channels[source], outputs, kernel, stride, padding))
            channels[name] = outputs

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        maps = {"x": x, "pool": self._pool(x)}
        for row in self._rows():
            maps[row.name] = getattr(self, row.name)(maps[row.source], train)
        read = {"x", *(row.source for row in self._rows())}
        pool = maps.pop("pool")
        last = [value for name, value in maps.items() if name not in read]
        return jnp.concatenate(last if "pool" in read else [*last, pool], -1)


class InceptionA(_Block):
    """A block at stride 8."""

    pool_features: int

    def _rows(self) -> tuple[_Row, ...]:
        return (
            _Row("branch1x1", "x", 64, 1),
            _Row("branch5x5_1", "x", 48, 1),
            _Row("branch5x5_2", "branch5x5_1", 64, 5),
            _Row("branch3x3dbl_1", "x", 64, 1),
            _Row("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
            _Row("branch3x3dbl_3", "branch3x3dbl_2", 96, 3),
            _Row("branch_pool", "pool", self.pool_features, 1),
        )


class InceptionB(_Block):
    """From stride 8 to 16."""

    def _pool(self, x: Any) -> jax.Array:
        return F.max_pool2d(x, kernel_size=3, stride=2)

    def _rows(self) -> tuple[_Row, ...]:
        return (
            _Row("branch3x3", "x", 384, 3, 2),
            _Row("branch3x3dbl_1", "x", 64, 1),
            _Row("branch3x3dbl_2", "branch3x3dbl_1", 96, 3),
            _Row("branch3x3dbl_3", "branch3x3dbl_2", 96, 3, 2),
        )


class InceptionC(_Block):
    """A block at stride 16."""

    channels_7x7: int

    def _rows(self) -> tuple[_Row, ...]:
        width = self.channels_7x7
        return (
            _Row("branch1x1", "x", 192, 1),
            _Row("branch7x7_1", "x", width, 1),
            _Row("branch7x7_2", "branch7x7_1", width, (1, 7)),
            _Row("branch7x7_3", "branch7x7_2", 192, (7, 1)),
            _Row("branch7x7dbl_1", "x", width, 1),
            _Row("branch7x7dbl_2", "branch7x7dbl_1", width, (7, 1)),
            _Row("branch7x7dbl_3", "branch7x7dbl_2", width, (1, 7)),
            _Row("branch7x7dbl_4", "branch7x7dbl_3", width, (7, 1)),
            _Row("branch7x7dbl_5", "branch7x7dbl_4", 192, (1, 7)),
            _Row("branch_pool", "pool", 192, 1),
        )


class InceptionD(InceptionB):
    """From stride 16 to 32."""

    def _rows(self) -> tuple[_Row, ...]:
        return (
            _Row("branch3x3_1", "x", 192, 1),
            _Row("branch3x3_2", "branch3x3_1", 320, 3, 2),
            _Row("branch7x7x3_1", "x", 192, 1),
            _Row("branch7x7x3_2", "branch7x7x3_1", 192, (1, 7)),
            _Row("branch7x7x3_3", "branch7x7x3_2", 192, (7, 1)),
            _Row("branch7x7x3_4", "branch7x7x3_3", 192, 3, 2),
        )


class InceptionE(_Block):
    """A block at stride 32."""

    def _rows(self) -> tuple[_Row, ...]:
        return (
            _Row("branch1x1", "x", 320, 1),
            _Row("branch3x3_1", "x", 384, 1),
            _Row("branch3x3_2a", "branch3x3_1", 384, (1, 3)),
            _Row("branch3x3_2b", "branch3x3_1", 384, (3, 1)),
            _Row("branch3x3dbl_1", "x", 448, 1),
            _Row("branch3x3dbl_2", "branch3x3dbl_1", 384, 3),
            _Row("branch3x3dbl_3a", "branch3x3dbl_2", 384, (1, 3)),
            _Row("branch3x3dbl_3b", "branch3x3dbl_2", 384, (3, 1)),
            _Row("branch_pool", "pool", 192, 1),
        )


class InceptionAux(flax.linen.Module):
    """A classifier on a map in the middle of the network, which helps to train it."""

    in_channels: int
    num_classes: int

    def setup(self) -> None:
        self.conv0 = _conv(self.in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, self.num_classes, weight_init=init.trunc_normal(std=0.001))

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.conv0(F.avg_pool2d(x, kernel_size=5, stride=3), train)
        x = F.adaptive_avg_pool2d(self.conv1(x, train), 1)
        return self.fc(x.reshape(x.shape[0], -1))


class Inception3(InceptionNetwork):
    """Inception v3, for images of 299x299 pixels.

    Mirrors `torchvision.models.Inception3` on channels-last images; its `inception_blocks` are left
    out. Training with `aux_logits` returns `InceptionOutputs`, anything else the output alone.

    Attributes:
      num_classes: Outputs of the last layer and of the auxiliary head.
      aux_logits: Whether there is an auxiliary head.
      transform_input: Whether to turn images that are normalised by ImageNet's mean and deviation
        into what torchvision's weights were trained on.
      dropout: Probability of a zero in front of the last layer.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 75; at least 299 while
      training with `aux_logits`.

    Raises:
      ValueError: If `transform_input` is set and `in_channels` is not 3, `dropout` is outside 0 to
        1 or the images are too small.

    Source: Szegedy et al., 2015.

    Example:
      >>> model, x = Inception3(num_classes=5), jnp.ones((1, 75, 75, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    feature_names = ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c")

    def setup(self) -> None:
        self.Conv2d_1a_3x3 = _conv(self.in_channels, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _conv(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = _conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _conv(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = InceptionA(192, pool_features=32)
        self.Mixed_5c = InceptionA(256, pool_features=64)
        self.Mixed_5d = InceptionA(288, pool_features=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, channels_7x7=128)
        self.Mixed_6c = InceptionC(768, channels_7x7=160)
        self.Mixed_6d = InceptionC(768, channels_7x7=160)
        self.Mixed_6e = InceptionC(768, channels_7x7=192)
        if self.aux_logits:
            self.AuxLogits = InceptionAux(768, self.num_classes)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.last_dropout = nn.Dropout(self.dropout, name="dropout")
        self.fc = nn.Linear(2048, self.num_classes, weight_init=_NORMAL)

    def __call__(self, x: Any, train: bool = False) -> jax.Array | InceptionOutputs:
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(self._images(x), train), train)
        x = self.maxpool1(self.Conv2d_2b_3x3(x, train))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x, train), train))
        for block in (self.Mixed_5b, self.Mixed_5c, self.Mixed_5d):
            x = block(x, train)
        for name in "abcde":
            x = getattr(self, f"Mixed_6{name}")(x, train)
        aux = None
        if self.aux_logits and train:
            aux = self.AuxLogits(x, train)
        elif self.aux_logits and self.is_initializing():
            # Of a size that the head takes: evaluation takes smaller images.
            self.AuxLogits(jnp.zeros((1, 17, 17, 768), x.dtype))
        for block in (self.Mixed_7a, self.Mixed_7b, self.Mixed_7c):
            x = block(x, train)
        x = self.avgpool(x)
        logits = self.fc(self.last_dropout(x, train).reshape(x.shape[0], -1))
        return logits if aux is None else InceptionOutputs(logits, aux)


VARIANTS = {"inception_v3": Inception3}
