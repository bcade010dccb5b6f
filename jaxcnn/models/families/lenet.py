"""LeNet, as Dive into Deep Learning builds it and as it is mostly built today."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen
import jax

import jaxcnn.functional as F
import jaxcnn.nn as nn
from jaxcnn import layout
from jaxcnn._checks import check

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
_POOLS = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}


def lenet(
    num_classes: int = 10, in_channels: int = 1, activation: str = "sigmoid", pool: str = "avg"
) -> nn.Sequential:
    """Two convolutions and three linear layers for 28x28 images; 61,706 parameters.

    Mirrors the `torch.nn.Sequential` of d2l's chapter on LeNet; the keys are "0.weight" to
    "11.bias".

    Args:
      num_classes: Outputs of the last layer.
      in_channels: Channels of the input.
      activation: "sigmoid" (d2l's) or "relu".
      pool: "avg" (d2l's) or "max".

    Shape:
      `(n, 28, 28, in_channels)` -> `(n, num_classes)`.

    Raises:
      ValueError: If `activation` or `pool` is unknown.

    Source: LeCun et al., 1998; Zhang et al., Dive into Deep Learning, section 7.6.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = lenet()
      >>> variables = model.init(jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> model.apply(variables, jnp.ones((2, 28, 28, 1))).shape
      (2, 10)
    """
    for name, value, known in (("activation", activation, _ACTIVATIONS), ("pool", pool, _POOLS)):
        check(value in known, "lenet", f"{name} must be one of {list(known)}", **{name: value})
    act, shrink = _ACTIVATIONS[activation], _POOLS[pool]
    return nn.Sequential(
        nn.Conv2d(in_channels, 6, kernel_size=5, padding=2),
        act(),
        shrink(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        act(),
        shrink(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        act(),
        nn.Linear(120, 84),
        act(),
        nn.Linear(84, num_classes),
    )


class LeNet(flax.linen.Module):
    """Two convolutions and three linear layers with ReLU and max pooling; 44,426 parameters.

    The form of many PyTorch programs: unlike `lenet`, no padding, and named layers, with the keys
    "conv1.weight" to "fc3.bias".

    Attributes:
      num_classes: Outputs of the last layer.
      in_channels: Channels of the input.

    Shape:
      `(n, 28, 28, in_channels)` -> `(n, num_classes)`.

    Source: LeCun et al., 1998.

    Example:
      >>> import jax.numpy as jnp
      >>> model, x = LeNet(), jnp.ones((2, 28, 28, 1))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (2, 10)
    """

    num_classes: int = 10
    in_channels: int = dataclasses.field(default=1, kw_only=True)

    feature_names = ("conv1", "conv2")

    def setup(self) -> None:
        self.conv1 = nn.Conv2d(self.in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, self.num_classes)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        for conv in (self.conv1, self.conv2):
            x = F.max_pool2d(F.relu(conv(x)), 2)
        x = F.relu(self.fc1(layout.flatten(x, 1)))
        return self.fc3(F.relu(self.fc2(x)))


VARIANTS = {"lenet": lenet, "lenet_relu": LeNet}
