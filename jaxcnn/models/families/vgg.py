"""VGG, with and without batch norm, as torchvision builds it."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.layout import flatten
from jaxcnn.models.families._blocks import FAN_OUT

_WIDTHS = (64, 128, 256, 512, 512)
_conv = partial(nn.Conv2d, weight_init=FAN_OUT, bias_init=init.zeros())
_linear = partial(nn.Linear, weight_init=init.normal(0.0, 0.01), bias_init=init.zeros())


class VGG(flax.linen.Module):
    """Five stages of 3x3 convolutions and three linear layers; `VARIANTS` has the published ones.

    Mirrors `torchvision.models.VGG` on channels-last images. `depths` and `batch_norm` stand for
    its `features`.

    Attributes:
      depths: Convolutions in each of the five stages.
      batch_norm: Whether a norm follows each convolution.
      num_classes: Outputs of the last layer.
      dropout: Probability of a zero after the first two linear layers.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 32.

    Raises:
      ValueError: If `depths` has not five entries of 1 or more, `dropout` is outside 0 to 1 or the
        images are too small.

    Source: Simonyan and Zisserman, 2014.

    Example:
      >>> import jax.numpy as jnp
      >>> model, x = VGG((1, 1, 2, 2, 2), num_classes=5), jnp.ones((1, 32, 32, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    depths: Sequence[int]
    batch_norm: bool = False
    num_classes: int = 1000
    dropout: float = 0.5
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        five = len(self.depths) == len(_WIDTHS) and min(self.depths) >= 1
        check(five, "VGG", "depths must have five entries of 1 or more", depths=self.depths)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last ReLU of each stage but the first, and the last pool."""
        layers = 3 if self.batch_norm else 2
        ends = list(itertools.accumulate(layers * depth + 1 for depth in self.depths))
        return (*(f"features.{end - 2}" for end in ends[1:]), f"features.{ends[-1] - 1}")

    def setup(self) -> None:
        layers, inputs = [], self.in_channels
        for width, depth in zip(_WIDTHS, self.depths, strict=True):
            for _ in range(depth):
                layers.append(_conv(inputs, width, kernel_size=3, padding=1))
                layers += [nn.BatchNorm2d(width)] * self.batch_norm
                layers.append(nn.ReLU(inplace=True))
                inputs = width
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            _linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(self.dropout),
            _linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(self.dropout),
            _linear(4096, self.num_classes),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.classifier(flatten(self.avgpool(self.features(x, train)), 1), train)


_DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
VARIANTS = {
    f"vgg{name}{suffix}": partial(VGG, depths, batch_norm)
    for name, depths in _DEPTHS.items()
    for suffix, batch_norm in (("", False), ("_bn", True))
}
