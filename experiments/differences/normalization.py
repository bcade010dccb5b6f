"""Norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen
import jax
import numpy as np
from differences.common import IMAGES, ROWS, Difference, Values, first, last, output

from jaxcnn import functional as F
from jaxcnn import nn

_SMALL = IMAGES * np.float32(0.01)
_FAR = (IMAGES * 0.1 + 1000).astype(np.float32)
_SHIFTED = IMAGES + np.float32(1.5)


_Sides = tuple[Callable[[], Values], Callable[[], Values], Callable[[], Values]]


def normalization() -> list[Difference]:
    """BatchNorm's statistics, and every norm's eps."""
    return [*_batch_norm(), *_eps()]


def _statistic(name: str, momentum: float | None = 0.1, steps: int = 1) -> _Sides:
    """A running statistic after steps in PyTorch, in plain Flax and in jaxcnn."""

    def in_torch() -> Values:
        import torch

        module = torch.nn.BatchNorm2d(6, momentum=momentum)
        for i in range(steps):
            module(first(_SHIFTED * (i + 1)))
        return getattr(module, name).numpy()

    def in_linen(module: Any, name: str, **options: Any) -> Values:
        variables: Any = module.init(jax.random.key(0), _SHIFTED)
        for i in range(steps):
            x = _SHIFTED * np.float32(i + 1)
            _, new = module.apply(variables, x, **options, mutable=["batch_stats"])
            variables = {**variables, **new}
        return variables["batch_stats"][name]

    plain = flax.linen.BatchNorm(use_running_average=False)
    ours = nn.BatchNorm2d(6, momentum=momentum)
    return (
        in_torch,
        lambda: in_linen(plain, name.removeprefix("running_")),
        lambda: in_linen(ours, name, train=True),
    )


def _batch_norm() -> list[Difference]:
    import torch

    return [
        Difference(
            "BatchNorm2d, running mean after a step",
            *_statistic("running_mean"),
            "momentum 0.1 weighs the new value, Flax's 0.99 the old one.",
            ("torch.nn.BatchNorm2d(6)", "flax.linen.BatchNorm(use_running_average=False)"),
            "https://github.com/lukemelas/EfficientNet-PyTorch/issues/3",
        ),
        Difference(
            "BatchNorm2d, running variance after a step",
            *_statistic("running_var"),
            "PyTorch stores the unbiased variance, Flax the biased one.",
            ("torch.nn.BatchNorm2d(6)", "flax.linen.BatchNorm(use_running_average=False)"),
            "https://github.com/pytorch/pytorch/issues/60528",
        ),
        Difference(
            "BatchNorm2d(momentum=None), running mean after 3 steps",
            *_statistic("running_mean", None, 3),
            "None is the mean over all batches so far; Flax has no such setting.",
            (
                "torch.nn.BatchNorm2d(6, momentum=None)",
                "flax.linen.BatchNorm(use_running_average=False)",
            ),
        ),
        Difference(
            "BatchNorm2d, values around 1000",
            lambda: last(torch.nn.BatchNorm2d(6)(first(_FAR))),
            lambda: output(flax.linen.BatchNorm(use_running_average=False), _FAR),
            lambda: F.batch_norm(_FAR, None, None, training=True),
            "E[x^2] - E[x]^2 (use_fast_variance=True) loses all digits.",
            ("torch.nn.BatchNorm2d(6)(x + 1000)", "flax.linen.BatchNorm(...)(x + 1000)"),
            "https://github.com/google/flax/issues/1491",
        ),
    ]


def _eps() -> list[Difference]:
    import torch

    rows, images = ROWS * np.float32(0.01), _SMALL
    return [
        Difference(
            "LayerNorm, small values",
            lambda: torch.nn.LayerNorm(8)(torch.from_numpy(rows)).detach().numpy(),
            lambda: output(flax.linen.LayerNorm(), rows),
            lambda: F.layer_norm(rows, (8,)),
            "eps is 1e-5 in PyTorch, 1e-6 in Flax.",
            ("torch.nn.LayerNorm(8)", "flax.linen.LayerNorm()  # epsilon=1e-6"),
            "https://github.com/google/flax/issues/2195",
        ),
        Difference(
            "GroupNorm(2), small values",
            lambda: last(torch.nn.GroupNorm(2, 6)(first(images))),
            lambda: output(flax.linen.GroupNorm(2), images),
            lambda: F.group_norm(images, 2),
            "eps is 1e-5 in PyTorch, 1e-6 in Flax.",
            ("torch.nn.GroupNorm(2, 6)", "flax.linen.GroupNorm(2)  # epsilon=1e-6"),
            "https://github.com/MegEngine/MegDiffusion/issues/5",
        ),
        Difference(
            "InstanceNorm2d, small values",
            lambda: last(torch.nn.InstanceNorm2d(6)(first(images))),
            lambda: output(flax.linen.InstanceNorm(), images),
            lambda: F.instance_norm(images),
            "eps is 1e-5 in PyTorch, 1e-6 in Flax.",
            ("torch.nn.InstanceNorm2d(6)", "flax.linen.InstanceNorm()  # epsilon=1e-6"),
        ),
        Difference(
            "RMSNorm, small values",
            lambda: torch.nn.RMSNorm(8)(torch.from_numpy(rows * 0.1)).detach().numpy(),
            lambda: output(flax.linen.RMSNorm(), rows * np.float32(0.1)),
            lambda: F.rms_norm(rows * np.float32(0.1), (8,)),
            "eps is the machine epsilon, 1.2e-7, in PyTorch, 1e-6 in Flax.",
            ("torch.nn.RMSNorm(8)", "flax.linen.RMSNorm()  # epsilon=1e-6"),
            "https://github.com/pytorch/pytorch/issues/155527",
        ),
    ]
