"""SqueezeNet 1.0 and 1.1, as torchvision builds them."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check

# The first convolution's channels and kernel; then squeezed channels of each Fire module, which
# expands them to eight times as many (1.0 and 1.1 alike), and "pool".
_LAYERS = {
    "1_0": (96, 7, ("pool", 16, 16, 32, "pool", 32, 48, 48, 64, "pool", 64)),
    "1_1": (64, 3, ("pool", 16, 16, "pool", 32, 32, "pool", 48, 48, 64, 64)),
}
_conv = partial(nn.Conv2d, weight_init=init.kaiming_uniform(), bias_init=init.zeros())


class Fire(flax.linen.Module):
    """A 1x1 convolution to few channels, then a 1x1 and a 3x3 convolution side by side."""

    inplanes: int
    squeeze_planes: int
    expand1x1_planes: int
    expand3x3_planes: int

    def setup(self) -> None:
        self.squeeze = _conv(self.inplanes, self.squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = _conv(self.squeeze_planes, self.expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = _conv(self.squeeze_planes, self.expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def __call__(self, x: Any) -> jax.Array:
        x = self.squeeze_activation(self.squeeze(x))
        pixels = self.expand1x1_activation(self.expand1x1(x))
        return jnp.concatenate([pixels, self.expand3x3_activation(self.expand3x3(x))], -1)


class SqueezeNet(flax.linen.Module):
    """Fire modules between pools, and a convolution for the classes.

    Mirrors `torchvision.models.SqueezeNet` on channels-last images.

    Attributes:
      version: "1_0", or "1_1", which needs 2.4 times fewer operations.
      num_classes: Outputs.
      dropout: Probability of a zero in front of the last convolution.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`, `h` and `w` at least 21 ("1_0") or 17 ("1_1").

    Raises:
      ValueError: If `version` is unknown, `dropout` is outside 0 to 1 or the images are too small.

    Source: Iandola et al., 2016.

    Example:
      >>> model, x = SqueezeNet("1_1", num_classes=5), jnp.ones((1, 33, 33, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 5)
    """

    version: str = "1_0"
    num_classes: int = 1000
    dropout: float = 0.5
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    def __post_init__(self) -> None:
        rule = f"version must be one of {list(_LAYERS)}"
        check(self.version in _LAYERS, "SqueezeNet", rule, version=self.version)
        super().__post_init__()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What comes before each pool, and the last Fire module."""
        layers = (*_LAYERS[self.version][2], "pool")
        # The layers stand behind the first convolution and its ReLU.
        return tuple(f"features.{i + 1}" for i, layer in enumerate(layers) if layer == "pool")

    def setup(self) -> None:
        channels, kernel_size, rest = _LAYERS[self.version]
        layers = [
            _conv(self.in_channels, channels, kernel_size, stride=2),
            nn.ReLU(inplace=True),
        ]
        for layer in rest:
            if isinstance(layer, str):
                layers.append(nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True))
            else:
                layers.append(Fire(channels, layer, 4 * layer, 4 * layer))
                channels = 8 * layer
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(self.dropout),
            _conv(channels, self.num_classes, kernel_size=1, weight_init=init.normal(0.0, 0.01)),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.classifier(self.features(x), train)
        return y.reshape(y.shape[0], -1)


VARIANTS = {
    "squeezenet1_0": partial(SqueezeNet, "1_0"),
    "squeezenet1_1": partial(SqueezeNet, "1_1"),
}
