"""AlexNet, as torchvision builds it."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn
from jaxcnn.layout import flatten


class AlexNet(flax.linen.Module):
    """Five convolutions and three linear layers: the one-column AlexNet.

    Mirrors `torchvision.models.AlexNet` on channels-last images.

    Attributes:
      num_classes: Outputs of the last layer.
      dropout: Probability of a zero in front of the first two linear layers.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 63.

    Raises:
      ValueError: If `dropout` is outside 0 to 1 or the images are too small.

    Source: Krizhevsky, 2014.

    Example:
      >>> import jax.numpy as jnp
      >>> model, x = AlexNet(num_classes=5), jnp.ones((1, 65, 65, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    num_classes: int = 1000
    dropout: float = 0.5
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    # The first convolution has stride 4: there is no map at stride 2.
    feature_names = ("features.1", "features.4", "features.11", "features.12")

    def setup(self) -> None:
        self.features = nn.Sequential(
            nn.Conv2d(self.in_channels, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(self.dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(self.dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, self.num_classes),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1), train)


VARIANTS = {"alexnet": AlexNet}
