"""The CIFAR-10 "quick" network, as a well-known PyTorch tutorial builds it."""

from __future__ import annotations

from typing import Any

import flax.linen
import jax

import jaxcnn.nn as nn


class Tudui(flax.linen.Module):
    """Three 5x5 convolutions with max pooling and two linear layers, no activations.

    The class carries the name of its PyTorch original, so that both print the same tree; build it
    with `cifar10_quick`.

    Attributes:
      num_classes: Outputs of the last layer.
      in_channels: Channels of the input.

    Shape:
      `(n, 32, 32, in_channels)` -> `(n, num_classes)`.
    """

    num_classes: int = 10
    in_channels: int = 3

    feature_names = ("model1.0", "model1.2", "model1.4", "model1.5")

    def setup(self) -> None:
        self.model1 = nn.Sequential(
            nn.Conv2d(self.in_channels, 32, 5, stride=1, padding=2),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 5, stride=1, padding=2),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, stride=1, padding=2),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(1024, 64),
            nn.Linear(64, self.num_classes),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.model1(x, train=train)


def cifar10_quick(num_classes: int = 10, in_channels: int = 3) -> Tudui:
    """The quick CIFAR-10 network for 32x32 images; 145,578 parameters.

    The keys are "model1.0.weight" to "model1.8.bias".

    Example:
      >>> import jax.numpy as jnp
      >>> model = cifar10_quick()
      >>> variables = model.init(jax.random.key(0), jnp.ones((1, 32, 32, 3)))
      >>> model.apply(variables, jnp.ones((2, 32, 32, 3))).shape
      (2, 10)
    """
    return Tudui(num_classes, in_channels)


VARIANTS = {"cifar10_quick": cifar10_quick}
