"""Page 000, the building blocks of a vision model."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import functional as F
from jaxcnn import layout

from .example import Code, Function, Layer, first, last, numbers


def moved_taps_torch(torch: Any) -> Any:
    """Every tap one row lower is the plain convolution of the image moved up."""
    x, weight = torch.tensor(numbers("x", (1, 2, 6, 6))), torch.tensor(numbers("w", (3, 2, 3, 3)))
    moved = torch.cat([x[:, :, 1:], torch.zeros_like(x[:, :, :1])], 2)
    conv2d = torch.nn.functional.conv2d
    return {"moved": conv2d(moved, weight), "still": conv2d(x, weight)}


def moved_taps() -> Any:
    x, weight = last(numbers("x", (1, 2, 6, 6))), jnp.asarray(numbers("w", (3, 2, 3, 3)))
    still = jnp.zeros((1, 4, 4, 2 * 3 * 3))
    down = still.at[..., ::2].set(1.0)  # (dy, dx) for each of the nine taps
    return {
        "moved": first(F.deform_conv2d(x, down, weight)),
        "still": first(F.deform_conv2d(x, still, weight)),
    }


def slopes_torch(torch: Any) -> Any:
    slopes = {}
    for name in ("relu", "relu6", "sigmoid"):
        x = torch.tensor([-2.0, 0.0, 0.5, 6.0, 7.0], dtype=torch.float64, requires_grad=True)
        slopes[name] = torch.autograd.grad(getattr(torch.nn.functional, name)(x).sum(), x)[0]
    return slopes


def slopes() -> Any:
    x = jnp.array([-2.0, 0.0, 0.5, 6.0, 7.0])
    slope = lambda function: jax.vmap(jax.grad(function))(x)
    return {name: slope(getattr(F, name)) for name in ("relu", "relu6", "sigmoid")}


EXAMPLES = {
    "conv2d-arguments": Layer(
        "the constructor of Conv2d with each of its arguments",
        lambda nn: nn.Conv2d(
            in_channels=4,
            out_channels=6,
            kernel_size=3,
            stride=2,
            padding=1,
            dilation=2,
            groups=2,
            bias=True,
            padding_mode="zeros",
        ),
        (2, 4, 9, 9),
        {"output": (2, 6, 4, 4), "weight": (6, 2, 3, 3), "bias": (6,)},
    ),
    "conv2d-transposed": Layer(
        "a transposed convolution makes the image larger",
        lambda nn: nn.ConvTranspose2d(3, 2, kernel_size=4, stride=2, padding=1),
        (1, 3, 5, 5),
        {"output": (1, 2, 10, 10), "weight": (3, 2, 4, 4)},
    ),
    "conv2d-dilated": Layer(
        "a dilated kernel of 3 sees 5 pixels",
        lambda nn: nn.Conv2d(2, 3, kernel_size=3, padding=2, dilation=2),
        (1, 2, 7, 7),
        {"output": (1, 3, 7, 7), "weight": (3, 2, 3, 3)},
    ),
    "conv2d-grouped": Layer(
        "two groups: each output sees half of the channels",
        lambda nn: nn.Conv2d(4, 8, kernel_size=3, groups=2),
        (1, 4, 5, 5),
        {"output": (1, 8, 3, 3), "weight": (8, 2, 3, 3)},
    ),
    "conv2d-depthwise": Layer(
        "as many groups as channels: depthwise, as in MobileNet",
        lambda nn: nn.Conv2d(4, 4, kernel_size=3, padding=1, groups=4),
        (1, 4, 5, 5),
        {"output": (1, 4, 5, 5), "weight": (4, 1, 3, 3)},
    ),
    "conv2d-deformable": Code(
        "a convolution whose taps are moved",
        moved_taps_torch,
        moved_taps,
        {"moved": (1, 3, 4, 4), "still": (1, 3, 4, 4)},
    ),
    "max-pool-2x2": Layer(
        "the largest of each 2 x 2 window; the stride is the window's size",
        lambda nn: nn.MaxPool2d(2),
        (1, 3, 6, 6),
        {"output": (1, 3, 3, 3)},
    ),
    "max-pool-arguments": Layer(
        "the constructor of MaxPool2d with each of its arguments",
        lambda nn: nn.MaxPool2d(
            kernel_size=3, stride=2, padding=1, dilation=2, return_indices=False, ceil_mode=True
        ),
        (1, 3, 8, 8),
        {"output": (1, 3, 4, 4)},
    ),
    "max-pool-floor": Layer(
        "without ceil_mode the last window is left out",
        lambda nn: nn.MaxPool2d(2),
        (1, 1, 5, 5),
        {"output": (1, 1, 2, 2)},
    ),
    "max-pool-ceil": Layer(
        "with ceil_mode it is kept",
        lambda nn: nn.MaxPool2d(2, ceil_mode=True),
        (1, 1, 5, 5),
        {"output": (1, 1, 3, 3)},
    ),
    "max-pool-indices": Function(
        "return_indices gives the places of the largest",
        lambda F, x: F.max_pool2d(x, 2, return_indices=True),
        [(1, 2, 4, 4)],
        {"output0": (1, 2, 2, 2), "output1": (1, 2, 2, 2)},
    ),
    "relu": Layer(
        "max(0, x)", lambda nn: nn.ReLU(inplace=True), (2, 3, 4, 4), {"output": (2, 3, 4, 4)}
    ),
    "relu6": Layer(
        "min(6, max(0, x))",
        lambda nn: nn.ReLU6(inplace=True),
        (2, 3, 4, 4),
        {"output": (2, 3, 4, 4)},
        scale=10.0,
    ),
    "sigmoid": Function(
        "the sigmoid of four numbers", lambda F, x: F.sigmoid(x), [(4,)], {"output": (4,)}
    ),
    "slopes": Code(
        "slopes of the activations; the sigmoid's is at most 1/4",
        slopes_torch,
        slopes,
        {"relu": (5,), "relu6": (5,), "sigmoid": (5,)},
    ),
    "dropout-evaluation": Layer(
        "dropout does nothing in evaluation",
        lambda nn: nn.Dropout(p=0.5, inplace=False),
        (2, 8),
        {"output": (2, 8)},
    ),
    "linear": Layer(
        "a linear layer multiplies with an (out, in) matrix",
        lambda nn: nn.Linear(in_features=6, out_features=4, bias=True),
        (3, 6),
        {"output": (3, 4), "weight": (4, 6), "bias": (4,)},
    ),
    "linear-no-bias": Layer(
        "a linear layer without bias",
        lambda nn: nn.Linear(6, 4, bias=False),
        (3, 6),
        {"output": (3, 4), "weight": (4, 6)},
    ),
    "flatten": Code(
        "torch.flatten(x, 1) makes (batch, channel * height * width)",
        lambda torch: {"output": torch.flatten(torch.tensor(numbers("x", (2, 3, 4, 5))), 1)},
        lambda: {"output": layout.flatten(last(numbers("x", (2, 3, 4, 5))), 1)},
        {"output": (2, 60)},
    ),
    "flatten-linear": Layer(
        "the classifier at the end of a network",
        lambda nn: nn.Sequential(nn.Flatten(), nn.Linear(60, 7)),
        (2, 3, 4, 5),
        {"output": (2, 7), "1.weight": (7, 60)},
    ),
    "batch-norm": Layer(
        "batch normalisation of a convolution's output, in training",
        lambda nn: nn.BatchNorm2d(4),
        (3, 4, 5, 5),
        {"output": (3, 4, 5, 5), "weight": (4,), "running_mean": (4,)},
        train=True,
    ),
    "conv-norm-relu": Layer(
        "batch normalisation stands between convolution and activation",
        lambda nn: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        (3, 3, 5, 5),
        {"output": (3, 4, 5, 5)},
        train=True,
    ),
}
