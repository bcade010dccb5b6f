"""Pairs of equal models, and faults to plant in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import functional as F
from jaxcnn import nn

IMAGES = np.random.RandomState(0).standard_normal((4, 8, 8, 4)).astype(np.float32)


def randomized(module: Any) -> Any:
    """A PyTorch module with parameters and statistics that are nowhere 0 or 1."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith(("running_var", "weight")) and value.ndim == 1:
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point():
                value.normal_(0.0, 0.3)
    return module


def torch_net() -> Any:
    """A network with a layer of every kind that faults are planted in."""
    import torch

    t = torch.nn
    return randomized(
        t.Sequential(
            t.Conv2d(4, 8, 3, stride=2, padding=1),
            t.BatchNorm2d(8),
            t.LeakyReLU(0.2),
            t.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            t.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2),
            t.GroupNorm(4, 8),
            t.GELU(),
            t.AvgPool2d(3, 2, 1),
            t.MaxPool2d(3, 2, ceil_mode=True),
            t.Flatten(),
            t.Linear(32, 6),
            t.LayerNorm(6),
        )
    )


def layers() -> list[Any]:
    """jaxcnn's side of the same."""
    return [
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2),
        nn.GroupNorm(4, 8),
        nn.GELU(),
        nn.AvgPool2d(3, 2, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(32, 6),
        nn.LayerNorm(6),
    ]


def with_layer(place: int, layer: Any) -> Any:
    """The same with another layer at one place."""
    changed = layers()
    changed[place] = layer
    return nn.Sequential(*changed)


class Same(linen.Module):
    """Pads like XLA's SAME."""

    def __call__(self, x: Any) -> jax.Array:
        weight = self.param("weight", linen.initializers.zeros, (8, 4, 3, 3))
        bias = self.param("bias", linen.initializers.zeros, (8,))
        y = jax.lax.conv_general_dilated(
            x, weight, (2, 2), "SAME", dimension_numbers=("NHWC", "OIHW", "NHWC")
        )
        return y + bias

    __call__ = linen.compact(__call__)


class HardCoded(linen.Module):
    """A norm whose settings nobody can read."""

    def __call__(self, x: Any) -> jax.Array:
        weight = self.param("weight", linen.initializers.ones, (6,))
        bias = self.param("bias", linen.initializers.zeros, (6,))
        return F.layer_norm(x, (6,), weight, bias, eps=1e-6)

    __call__ = linen.compact(__call__)


class BiasedBatchNorm(nn.BatchNorm2d):
    """Stores the variance that it normalises with."""

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = super().__call__(x, train)
        if train and not self.is_initializing():
            n = x.size // x.shape[-1]
            var = self.get_variable("batch_stats", "running_var")
            excess = self.momentum * jnp.var(x, (0, 1, 2), ddof=1) / n
            self.put_variable("batch_stats", "running_var", var - excess)
        return y


class AlwaysTraining(nn.BatchNorm2d):
    """Never uses its running statistics."""

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        del train
        weight = self.param("weight", linen.initializers.ones, (8,))
        bias = self.param("bias", linen.initializers.zeros, (8,))
        for name in ("running_mean", "running_var"):
            self.variable("batch_stats", name, jnp.zeros, (8,))
        self.variable("batch_stats", "num_batches_tracked", jnp.zeros, (), int)
        return F.batch_norm(x, None, None, weight, bias, training=True)

    __call__ = linen.compact(__call__)


class ChannelsLastFlatten(linen.Module):
    """Flattens in the order of memory."""

    def __call__(self, x: Any) -> jax.Array:
        return x.reshape(x.shape[0], -1)


class FastLinear(nn.Linear):
    """Rounds as a GPU's TF32 does, unless the precision is the highest."""

    def __call__(self, x: Any) -> jax.Array:
        if x.dtype == jnp.float32 and jax.config.jax_default_matmul_precision != "highest":
            x = jax.lax.reduce_precision(x, 8, 10)
        return super().__call__(x)


# What is planted: the place, the layer there and the cause that must be named.
FAULTS: dict[str, tuple[int, Callable[[], Any], str]] = {
    "padding": (0, Same, "padding"),
    "eps": (1, lambda: nn.BatchNorm2d(8, eps=1e-3), "eps"),
    "slope": (2, lambda: nn.LeakyReLU(0.01), "slope"),
    "align_corners": (
        3,
        lambda: nn.Upsample(None, 2, "bilinear", align_corners=True),
        "align_corners",
    ),
    "dilation": (4, lambda: nn.Conv2d(8, 8, 3, 1, 2, 1, 2), "dilation"),
    "groups": (5, lambda: nn.GroupNorm(2, 8), "groups"),
    "gelu": (6, lambda: nn.GELU("tanh"), "GELU form"),
    "count_include_pad": (
        7,
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        "count_include_pad",
    ),
    "ceil_mode": (8, lambda: nn.MaxPool2d(3, 2), "ceil_mode"),
    "flatten": (9, ChannelsLastFlatten, "flatten order"),
    "dtype": (10, lambda: nn.Linear(32, 6, dtype=jnp.bfloat16), "dtype"),
    "hidden eps": (11, HardCoded, "eps"),
    "stride": (0, lambda: nn.Conv2d(4, 8, 3, 1, 1), "stride"),
    "train/eval": (1, lambda: AlwaysTraining(8), "train/eval"),
    "left out": (2, lambda: nn.Identity(), "activation"),
    "mode": (3, lambda: nn.Upsample(None, 2), "interpolation mode"),
    "explicit padding": (4, lambda: nn.Conv2d(8, 8, 3, 1, 1, 2, 2), "padding"),
    "eps of groups": (5, lambda: nn.GroupNorm(4, 8, eps=1e-6), "eps"),
    "other activation": (6, lambda: nn.SiLU(), "activation"),
    "pooled padding": (7, lambda: nn.AvgPool2d(3, 2, 0), "padding"),
    "TF32": (10, lambda: FastLinear(32, 6), "TF32"),
    "two": (11, lambda: nn.LayerNorm(6, eps=1e-3, bias=False), "eps and bias"),
}


def faulty(names: Iterable[str]) -> Any:
    """The model with these faults."""
    changed = layers()
    for name in names:
        place, make, _ = FAULTS[name]
        changed[place] = make()
    return nn.Sequential(*changed)


STATISTICS_FAULTS: dict[str, Callable[[], Any]] = {
    "momentum": lambda: nn.BatchNorm2d(8, momentum=0.9),
    "biased variance": lambda: BiasedBatchNorm(8),
}
