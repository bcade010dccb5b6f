"""LeNet as Dive into Deep Learning builds it."""

from __future__ import annotations

import jaxcnn.nn as nn
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
