"""Convolution, pooling and resizing."""

from __future__ import annotations

from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
from differences.common import HWIO, IMAGES, KERNEL, RNG, Difference, Values, first, initial, last

from jaxcnn import functional as F
from jaxcnn import layout, nn

_EVEN = IMAGES[:, :8, :8]
_FLAT = RNG.standard_normal((5, 9 * 9 * 6)).astype(np.float32)


def convolution() -> list[Difference]:
    """Padding, kernels, flattening, initialisation."""
    import torch
    import torch.nn.functional as TF

    weight = torch.from_numpy(KERNEL)
    across = torch.from_numpy(KERNEL.transpose(1, 0, 2, 3).copy())  # (in, out, h, w)

    def flax_conv(x: np.ndarray, *strides: Any) -> Values:
        module = flax.linen.Conv(8, (3, 3), *strides, use_bias=False)
        return module.apply({"params": {"kernel": HWIO}}, x)

    def flax_transpose() -> Values:
        module = flax.linen.ConvTranspose(8, (3, 3), (2, 2), use_bias=False, padding="VALID")
        kernel = across.numpy().transpose(2, 3, 0, 1)
        return module.apply({"params": {"kernel": kernel}}, IMAGES)

    image, row = jnp.ones((1, 3, 3, 64)), jnp.ones((1, 64))
    return [
        Difference(
            "Conv2d(3), padding",
            lambda: last(TF.conv2d(first(IMAGES), weight)),
            lambda: flax_conv(IMAGES),
            lambda: F.conv2d(IMAGES, KERNEL),
            "Flax pads by default ('SAME'), PyTorch does not.",
            ("torch.nn.Conv2d(6, 8, 3)", "flax.linen.Conv(8, (3, 3))"),
            "https://github.com/google/flax/issues/963",
        ),
        Difference(
            "Conv2d(3, stride=2, padding=1)",
            lambda: last(TF.conv2d(first(_EVEN), weight, stride=2, padding=1)),
            lambda: flax_conv(_EVEN, (2, 2)),
            lambda: F.conv2d(_EVEN, KERNEL, stride=2, padding=1),
            "'SAME' pads below and on the right alone, PyTorch all round.",
            (
                "torch.nn.Conv2d(6, 8, 3, stride=2, padding=1)",
                "flax.linen.Conv(8, (3, 3), strides=2)",
            ),
            "https://github.com/pytorch/pytorch/issues/3867",
        ),
        Difference(
            "ConvTranspose2d(3, stride=2)",
            lambda: last(TF.conv_transpose2d(first(IMAGES), across, stride=2)),
            flax_transpose,
            lambda: F.conv_transpose2d(IMAGES, across.numpy(), stride=2),
            "Flax does not flip the kernel (transpose_kernel=False).",
            (
                "torch.nn.ConvTranspose2d(6, 8, 3, stride=2)",
                "flax.linen.ConvTranspose(8, (3, 3), (2, 2), padding='VALID')",
            ),
            "https://github.com/jax-ml/jax/issues/11252",
        ),
        Difference(
            "Flatten, Linear",
            lambda: TF.linear(first(IMAGES).flatten(1), torch.from_numpy(_FLAT)).numpy(),
            lambda: IMAGES.reshape(4, -1) @ _FLAT.T,
            lambda: F.linear(layout.flatten(IMAGES, 1), _FLAT),
            "Channels come first in PyTorch's order, last in Flax's.",
            ("linear(x.flatten(1))", "dense(x.reshape(x.shape[0], -1))"),
            "https://github.com/gzuidhof/nn-transfer/issues/11",
        ),
        Difference(
            "Conv2d, standard deviation of a new weight",
            lambda: torch.nn.Conv2d(64, 256, 3).weight.std().item(),
            lambda: initial(flax.linen.Conv(256, (3, 3)), image, "kernel").std(),
            lambda: initial(nn.Conv2d(64, 256, 3), image, "weight").std(),
            "lecun_normal against kaiming_uniform(a=sqrt(5)), a third of its variance.",
            ("torch.nn.Conv2d(64, 256, 3)", "flax.linen.Conv(256, (3, 3))"),
            "https://github.com/pytorch/pytorch/issues/15314",
        ),
        Difference(
            "Linear, standard deviation of a new bias",
            lambda: torch.nn.Linear(64, 4096).bias.std().item(),
            lambda: initial(flax.linen.Dense(4096), row, "bias").std(),
            lambda: initial(nn.Linear(64, 4096), row, "bias").std(),
            "U(-1/sqrt(in), 1/sqrt(in)) in PyTorch, zeros in Flax.",
            ("torch.nn.Linear(64, 4096).bias", "flax.linen.Dense(4096)  # bias_init=zeros"),
            "https://github.com/pytorch/pytorch/issues/57109",
        ),
    ]


def pooling() -> list[Difference]:
    """Windows, and where gradients go."""
    import torch.nn.functional as TF

    ties = np.repeat(IMAGES[:, :1, :1], 4, axis=1)

    def torch_gradient() -> Values:
        x = first(ties).requires_grad_()
        TF.adaptive_max_pool2d(x, 1).sum().backward()
        return last(x.grad)

    def pool(x: np.ndarray) -> Values:
        return flax.linen.avg_pool(x, (2, 2), (2, 2))

    return [
        Difference(
            "max_pool2d(2), stride",
            lambda: last(TF.max_pool2d(first(IMAGES), 2)),
            lambda: flax.linen.max_pool(IMAGES, (2, 2)),
            lambda: F.max_pool2d(IMAGES, 2),
            "The stride is the window in PyTorch, 1 in Flax.",
            (
                "torch.nn.functional.max_pool2d(x, 2)",
                "flax.linen.max_pool(x, (2, 2))  # strides=(1, 1)",
            ),
            "https://github.com/google/flax/issues/2029",
        ),
        Difference(
            "avg_pool2d(2, ceil_mode=True)",
            lambda: last(TF.avg_pool2d(first(IMAGES), 2, ceil_mode=True)),
            lambda: pool(IMAGES),
            lambda: F.avg_pool2d(IMAGES, 2, ceil_mode=True),
            "Flax has no ceil_mode: the last row and column are left out.",
            (
                "torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True)",
                "flax.linen.avg_pool(x, (2, 2), (2, 2))",
            ),
        ),
        Difference(
            "avg_pool2d(3, padding=1, count_include_pad=False)",
            lambda: last(TF.avg_pool2d(first(IMAGES), 3, 1, 1, count_include_pad=False)),
            lambda: flax.linen.avg_pool(IMAGES, (3, 3), padding="SAME"),
            lambda: F.avg_pool2d(IMAGES, 3, 1, 1, count_include_pad=False),
            "Flax counts the padding unless count_include_pad=False is given there too.",
            (
                "torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)",
                "flax.linen.avg_pool(x, (3, 3), padding='SAME')",
            ),
            "https://github.com/google/flax/issues/2401",
        ),
        Difference(
            "adaptive_avg_pool2d, 9 to 4",
            lambda: last(TF.adaptive_avg_pool2d(first(IMAGES), 4)),
            lambda: pool(IMAGES),
            lambda: F.adaptive_avg_pool2d(IMAGES, 4),
            "PyTorch's windows overlap and differ in size; equal windows leave pixels out.",
            (
                "torch.nn.functional.adaptive_avg_pool2d(x, 4)",
                "flax.linen.avg_pool(x, (9 // 4, 9 // 4), (9 // 4, 9 // 4))",
            ),
            "https://github.com/patrick-kidger/equinox/issues/121",
        ),
        Difference(
            "gradient of a global maximum with ties",
            torch_gradient,
            lambda: jax.grad(lambda x: jnp.max(x, (1, 2)).sum())(jnp.asarray(ties)),
            lambda: jax.grad(lambda x: F.adaptive_max_pool2d(x, 1).sum())(jnp.asarray(ties)),
            "Pooling gives all to the first maximum, jnp.max an equal share to each.",
            ("torch.nn.functional.adaptive_max_pool2d(x, 1)", "x.max((1, 2))"),
            "https://github.com/tensorflow/tensorflow/issues/51682",
        ),
    ]


def resizing() -> list[Difference]:
    """Interpolate against jax.image.resize."""
    import torch.nn.functional as TF

    def case(
        mode: str, size: int, explanation: str, thread: str, align: bool | None = None
    ) -> Difference:
        corners = f", align_corners={align}" if align else ""
        return Difference(
            f"interpolate({mode!r}{corners}), 9 to {size}",
            lambda: last(TF.interpolate(first(IMAGES), (size, size), None, mode, align)),
            lambda: jax.image.resize(IMAGES, (4, size, size, 6), mode),
            lambda: F.interpolate(IMAGES, (size, size), mode=mode, align_corners=align),
            explanation,
            (
                f"torch.nn.functional.interpolate(x, {size}, mode={mode!r}{corners})",
                f"jax.image.resize(x, (n, {size}, {size}, c), {mode!r})",
            ),
            thread,
        )

    issues = "https://github.com/jax-ml/jax/issues"
    return [
        case(
            "nearest",
            4,
            "PyTorch rounds down, jax to the nearest centre ('nearest-exact').",
            "https://github.com/pytorch/pytorch/issues/34808",
        ),
        case(
            "bilinear",
            4,
            "jax smooths when it shrinks (antialias=True).",
            "https://github.com/sayakpaul/cmmd-pytorch/issues/4",
        ),
        case(
            "bicubic",
            18,
            "the cubic's a is -0.75 in PyTorch, -0.5 in jax.",
            f"{issues}/15768",
        ),
        case(
            "bilinear",
            18,
            "jax.image.resize has no align_corners.",
            f"{issues}/11206",
            align=True,
        ),
    ]
