"""Normalisation with arguments that PyTorch's own samples lack."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxcnn import functional as F

from .case import IMAGES, SAME, Arrays, Case
from .functions import make_inputs

_AFFINE = ("weight", "bias")


def _channels(
    name: str,
    label: str,
    input: tuple[int, ...],
    *given: str,
    golden: bool = False,
    **arguments: Any,
) -> Case:
    """A function of channels-last images, and the per-channel arrays that are `given` to it."""
    id = f"{name}-{label}"
    writes = "running_mean" in given and arguments.get("use_input_stats", True)

    def in_torch(torch: Any, **x: Any) -> Any:
        x = {k: v.clone() if k.startswith("running") else v for k, v in x.items()}
        y = getattr(torch.nn.functional, name)(**x, **arguments)
        return (y, x["running_mean"], x["running_var"]) if writes else y

    return Case(
        id,
        lambda: make_inputs(id, {"input": input, **dict.fromkeys(given, input[1:2])}),
        in_torch,
        lambda **x: getattr(F, name)(**x, **arguments),
        {"input": IMAGES},
        (IMAGES, SAME, SAME) if writes else (IMAGES,),
        golden,
    )


def _as_given(
    name: str, label: str, inputs: Arrays, golden: bool = False, **arguments: Any
) -> Case:
    """A function whose axes count in the array as given."""
    return Case(
        f"{name}-{label}",
        lambda: inputs,
        lambda torch, **x: getattr(torch.nn.functional, name)(**x, **arguments),
        lambda **x: getattr(F, name)(**x, **arguments),
        outputs=(SAME,),
        golden=golden,
    )


def _trailing(name: str, label: str, axes: int, *given: str, **arguments: Any) -> Case:
    input = (3, 4, 2, 5)
    shape = input[-axes:]
    specs = {"input": input, **dict.fromkeys(given, shape)}
    inputs = make_inputs(f"{name}-{label}", specs)
    return _as_given(name, label, inputs, normalized_shape=shape, **arguments)


_STATISTICS = ("running_mean", "running_var")
# Whole numbers: ties, zeros and whole vectors of zeros.
_TIES = np.random.RandomState(2).randint(-1, 2, (3, 4, 5)).astype(np.float64)
_TIES[1, :, 2] = 0


def _normalize(label: str, golden: bool = False, **arguments: Any) -> Case:
    return _as_given("normalize", label, {"input": _TIES}, golden, **arguments)


NORMALIZATION = [
    _channels(
        "instance_norm",
        "evaluation",
        (2, 3, 4, 5),
        *_STATISTICS,
        *_AFFINE,
        use_input_stats=False,
        eps=0.1,
        golden=True,
    ),
    _channels("instance_norm", "statistics", (2, 3, 4, 5), *_STATISTICS, "weight", momentum=0.3),
    _channels("instance_norm", "3d", (2, 3, 2, 3, 4), *_AFFINE),
    _channels("group_norm", "images", (2, 6, 4, 5), *_AFFINE, num_groups=3, golden=True),
    _channels("group_norm", "weight-only", (2, 6, 4, 5), "weight", num_groups=1),
    _channels("group_norm", "each-channel", (2, 6, 2, 3, 4), *_AFFINE, num_groups=6),
    _channels("local_response_norm", "odd", (2, 7, 4, 5), size=3, alpha=0.7, golden=True),
    _channels("local_response_norm", "even", (2, 7, 4, 5), size=4, alpha=0.7, beta=1.5, k=2.0),
    _channels("local_response_norm", "wide", (2, 3, 2, 4, 5), size=9, alpha=0.7),
    _trailing("layer_norm", "weight-only", 1, "weight", golden=True),
    _trailing("layer_norm", "three-axes", 3, *_AFFINE, eps=0.1),
    _trailing("rms_norm", "two-axes", 2, "weight", golden=True),
    _trailing("rms_norm", "eps", 1, eps=0.1),
    *(
        _normalize(f"p{p}", p=p, golden=p == 2.0)
        for p in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, -1.0, math.inf, -math.inf)
    ),
    _normalize("axes", dim=(0, 2), golden=True),
    _normalize("all-axes", dim=()),
    _normalize("eps", dim=-1, eps=1.5, golden=True),
]
