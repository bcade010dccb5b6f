"""Activations where OpInfo does not look: at the kinks, far out, and with every argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from .case import SAME, Case
from .functions import _case

# The kinks of all functions and their neighbours in float32 (but for 0's, which XLA rounds to it),
# zeros of both signs, and numbers whose exponential overflows.
_KINKS = np.array([-6, -3, -1, -0.5, -0.0, 0, 0.25, 0.5, 1, 2, 3, 6], np.float32)
_FAR = [sign * x for x in (1e-30, 20, 88.8, 1e2, 1e3, 1e4) for sign in (-1, 1)]
_NEIGHBOURS = [np.nextafter(x, np.float32(side)) for x in _KINKS[_KINKS != 0] for side in (-9, 9)]
POINTS = np.array([*_KINKS, *_NEIGHBOURS, *_FAR], np.float64)


def _points(name: str, label: str = "kinks", **arguments: Any) -> Case:
    return _case(name, label, {"input": POINTS}, arguments, images=(), outputs=(SAME,), golden=True)


_PLAIN = (
    "celu",
    "elu",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
)

CASES_ACTIVATION = [
    *(_points(name) for name in _PLAIN),
    _points("celu", "alpha", alpha=2.0),
    _points("elu", "alpha", alpha=0.5),
    _points("elu", "alpha-negative", alpha=-2.0),
    _points("gelu", "tanh", approximate="tanh"),
    _points("hardshrink", "zero", lambd=0.0),
    _points("hardshrink", "wide", lambd=3.0),
    _points("hardtanh", "bounds", min_val=-0.5, max_val=3.0),
    _points("hardtanh", "point", min_val=0.5, max_val=0.5),
    _points("leaky_relu", "slope", negative_slope=0.25),
    _points("leaky_relu", "slope-negative", negative_slope=-0.5),
    _points("rrelu", "slopes", lower=0.25, upper=0.5),
    _points("softplus", "beta", beta=0.5, threshold=1.0),
    _points("softplus", "beta-negative", beta=-2.0, threshold=1.0),
    _points("softshrink", "zero", lambd=0.0),
    _points("softshrink", "wide", lambd=3.0),
    _points("threshold", "zero", threshold=0.0, value=-2.0),
    _points("threshold", "kink", threshold=0.5, value=7.0),
    *(_points(name, "1e4", dim=0) for name in ("softmax", "log_softmax", "softmin")),
    *(
        _case(name, f"dim{dim}", {"input": (3, 4, 6)}, {"dim": dim}, images=(), outputs=(SAME,))
        for name in ("softmax", "log_softmax", "softmin", "glu")
        for dim in (-1, 1)
    ),
    _case("prelu", "channels", {"input": (2, 3, 4, 5), "weight": (3,)}, {}, golden=True),
    _case("prelu", "one", {"input": (2, 3, 4), "weight": (1,)}, {}),
    _case(
        "prelu",
        "kink",
        {"input": POINTS[None], "weight": POINTS.shape},
        {},
        images=(),
        outputs=(SAME,),
    ),
]
