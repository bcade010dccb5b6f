"""Every error of the functional layer, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

X = np.ones((2, 8, 9, 3), np.float32)
W = np.ones((4, 3, 3, 3), np.float32)
LOGITS, TARGET = np.ones((6, 5), np.float32), np.zeros(6, np.int32)
THREE = np.ones(3, np.float32)
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

CONV = [
    (
        "weight-axes",
        {"weight": W[0]},
        "weight must have 4 axes (out, in/groups, *kernel), got shape=",
    ),
    ("input-axes", {"input": X[0, 0]}, "input must have 4 axes (n, *spatial, c), or 3 without"),
    ("nchw", {"input": np.ones((2, 3, 8, 9))}, f"got shape=(2, 3, 8, 9); {FIX}"),
    ("chw", {"input": np.ones((3, 8, 9))}, f"got shape=(3, 8, 9); {FIX}"),
    ("channels", {"input": X[..., :2]}, "input must have 3 channels on its last axis, got shape="),
    ("groups-zero", {"groups": 0}, "groups must be at least 1, got groups=0."),
    ("groups", {"groups": 3}, "out_channels must be divisible by groups, got out_channels=4, "),
    ("stride", {"stride": 0}, "stride must be at least 1, got stride=0."),
    ("stride-length", {"stride": (1, 2, 3)}, "stride must be an int or a sequence of 2 ints, got"),
    ("dilation", {"dilation": (1, 0)}, "dilation must be at least 1, got dilation=(1, 0)."),
    ("padding", {"padding": -1}, "padding must be at least 0, got padding=-1."),
    (
        "padding-word",
        {"padding": "SAME"},
        "padding as a word must be one of ('valid', 'same'), got",
    ),
    ("same", {"padding": "same", "stride": 2}, "padding='same' needs stride 1, got stride=(2, 2)."),
    ("kernel", {"dilation": 5}, "the kernel (3, 3) with dilation (5, 5) must fit into the padded"),
    ("bias", {"bias": THREE}, "bias must be (4,), got shape=(3,)."),
]
POOL = [
    (
        "input-axes",
        {"input": X[0, 0]},
        "input must be images (n, h, w, c), or (h, w, c), got shape=",
    ),
    ("kernel", {"kernel_size": 0}, "kernel_size must be at least 1, got kernel_size=0."),
    ("stride", {"stride": (2, 0)}, "stride must be at least 1, got stride=(2, 0)."),
    ("padding", {"padding": 2}, "padding must be at most half of kernel_size, got padding=2, "),
    ("padding-negative", {"padding": -1}, "padding must be at least 0, got padding=-1."),
    ("window", {"kernel_size": 10}, "the window must fit into the padded input, got size=8, "),
]
BATCH_NORM = [
    ("axes", {"input": np.ones(3)}, "input must be (n, *spatial, c), got shape=(3,)."),
    ("one", {"running_var": None}, "running_mean and running_var must be given together, got"),
    ("nchw", {"input": np.ones((2, 3, 8, 9))}, f"got shape=(3,); {FIX}"),
    ("weight", {"weight": np.ones(2)}, "weight must have one entry for each channel of the input"),
    (
        "evaluation",
        {"running_mean": None, "running_var": None},
        "evaluation needs running statistics, got running_mean=None, running_var=None; pass them",
    ),
    (
        "one-value",
        {"input": np.ones((1, 1, 1, 3)), "training": True},
        "training needs more than one value per channel, got shape=(1, 1, 1, 3).",
    ),
]
CROSS_ENTROPY = [
    ("axes", {"input": np.float32(1), "target": 0}, "input must be (n, *spatial, classes), got"),
    (
        "reduction",
        {"reduction": "avg"},
        "must be one of ('none', 'mean', 'sum'), got reduction='avg'",
    ),
    ("smoothing", {"label_smoothing": 1.1}, "label_smoothing must be in 0..1, got label_smoothing"),
    ("target", {"target": TARGET[:4]}, "target must be (6,) indices or (6, 5) probabilities, got"),
    ("nchw", {"input": np.ones((2, 5, 3, 4)), "target": np.zeros((2, 3, 4), int)}, FIX),
    ("weight", {"weight": THREE}, "weight must be (5,), got shape=(3,)."),
]
INTERPOLATE = [
    (
        "mode",
        {"mode": "cubic"},
        "mode must be one of ('nearest', 'nearest-exact', 'linear', 'bilin",
    ),
    ("axes", {"mode": "linear"}, "mode 'linear' needs (1,) spatial axes in (n, *spatial, c), got"),
    (
        "corners",
        {"align_corners": False},
        "only linear and cubic modes take align_corners, got mode=",
    ),
    (
        "neither",
        {"size": None},
        "exactly one of size and scale_factor must be given, got size=None",
    ),
    ("both", {"scale_factor": 2}, "exactly one of size and scale_factor must be given, got size=4"),
    (
        "recompute",
        {"recompute_scale_factor": True},
        "recompute_scale_factor needs scale_factor, got",
    ),
    ("size", {"size": 0}, "size must be at least 1, got size=0."),
    ("size-length", {"size": (1, 2, 3)}, "size must be an int or a sequence of 2 ints, got size="),
    (
        "factor",
        {"size": None, "scale_factor": -1},
        "scale_factor must be a positive number or 2 of",
    ),
    (
        "factors",
        {"size": None, "scale_factor": (1, 2, 3)},
        "scale_factor must be a positive number",
    ),
    (
        "empty",
        {"size": None, "scale_factor": 0.01},
        "the output must not be empty, got scale_factor",
    ),
]
PAD = [
    (
        "mode",
        {"mode": "edge"},
        "mode must be one of ('constant', 'reflect', 'replicate', 'circular')",
    ),
    ("odd", {"pad": (1,)}, "pad must be pairs for at most the 4 axes of the input, got pad=(1,)."),
    ("axes", {"pad": (1,) * 10}, "pad must be pairs for at most the 4 axes of the input, got pad="),
    ("value", {"mode": "reflect", "value": 1.0}, "only mode 'constant' takes a value, got mode="),
]
LINEAR = [
    ("weight", {"weight": np.ones((2, 2, 2))}, "weight must be (out_features, in_features) or"),
    ("input", {"input": np.ones((2, 4))}, "input must have 3 entries on its last axis, got shape="),
    (
        "scalar",
        {"input": np.float32(1)},
        "input must have 3 entries on its last axis, got shape=().",
    ),
    ("bias", {"bias": np.ones(2)}, "bias must be (4,), got shape=(2,)."),
]
DROPOUT = [
    ("p", {"p": 1.5}, "p must be between 0 and 1, got p=1.5."),
    ("key", {}, "training needs a random key, got rng=None; pass rng=key."),
]

STATISTICS = {"running_mean": THREE, "running_var": THREE}
VALUE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    (F.conv2d, {"input": X, "weight": W}, CONV),
    (F.max_pool2d, {"input": X, "kernel_size": 3}, POOL),
    (
        F.max_pool2d,
        {"input": X, "kernel_size": 3},
        [
            ("dilation", {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
            ("dilated", {"dilation": 5}, "the window must fit into the padded input, got size=8, "),
        ],
    ),
    (F.avg_pool2d, {"input": X, "kernel_size": 3}, POOL),
    (
        F.avg_pool2d,
        {"input": X, "kernel_size": 3},
        [
            ("divisor", {"divisor_override": 0}, "divisor_override must not be zero, got divisor_"),
        ],
    ),
    (F.batch_norm, {"input": X, **STATISTICS}, BATCH_NORM),
    (F.cross_entropy, {"input": LOGITS, "target": TARGET}, CROSS_ENTROPY),
    (F.interpolate, {"input": X, "size": 4}, INTERPOLATE),
    (F.pad, {"input": X, "pad": (1, 1)}, PAD),
    (F.linear, {"input": X, "weight": np.ones((4, 3))}, LINEAR),
    (F.dropout, {"input": X}, DROPOUT),
]
CLASSES = [
    ("float-indices", {"target": TARGET * 1.0}, "class indices must be integers, probabilities "),
    ("int-probabilities", {"target": LOGITS.astype(int)}, "class indices must be integers, "),
]
TYPE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    (F.cross_entropy, {"input": LOGITS, "target": TARGET}, CLASSES),
    (
        F.conv2d,
        {"input": X, "weight": W},
        [
            (
                "stride",
                {"stride": 1.5},
                "stride must be an int or a sequence of 2 ints, got stride=1.5.",
            ),
            (
                "padding",
                {"padding": (1, 0.5)},
                "padding must be an int or a sequence of 2 ints, got",
            ),
            (
                "dilation",
                {"dilation": None},
                "dilation must be an int or a sequence of 2 ints, got",
            ),
            ("groups", {"groups": True}, "groups must be an int, got groups=True."),
        ],
    ),
    (
        F.max_pool2d,
        {"input": X, "kernel_size": 3},
        [
            (
                "kernel",
                {"kernel_size": "3"},
                "kernel_size must be an int or a sequence of 2 ints, got",
            ),
            ("integers", {"input": X.astype(int)}, "input must be floating point, got dtype='int"),
        ],
    ),
    (
        F.avg_pool2d,
        {"input": X, "kernel_size": 3},
        [
            (
                "divisor",
                {"divisor_override": 2.5},
                "divisor_override must be an int or None, got divisor",
            ),
            ("integers", {"input": X.astype(int)}, "input must be floating point, got dtype='int"),
        ],
    ),
    (
        F.interpolate,
        {"input": X},
        [
            ("size", {"size": 2.0}, "size must be an int or a sequence of 2 ints, got size=2.0."),
        ],
    ),
    (
        F.pad,
        {"input": X},
        [("pad", {"pad": (1.0, 1)}, "pad must be a sequence of ints, got pad=(1.0, 1).")],
    ),
]


def _rows(table: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]]) -> list[Any]:
    return [
        pytest.param(function, {**good, **bad}, message, id=f"{function.__name__}-{id}")
        for function, good, rows in table
        for id, bad, message in rows
    ]


def _check(error: type[Exception], function: Any, arguments: Any, message: str) -> None:
    """The whole form: the function's name, the rule, the value, a full stop."""
    with pytest.raises(error, match=f"^{function.__name__}: .*{re.escape(message)}") as info:
        function(**arguments)
    assert str(info.value).endswith(".")


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(VALUE_ERRORS))
def test_value_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(ValueError, function, arguments, message)


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(TYPE_ERRORS))
def test_type_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(TypeError, function, arguments, message)


def test_unknown_class_index_is_nan() -> None:
    """Values are unknown under jit, so what PyTorch refuses shows in the loss."""
    assert jnp.isnan(F.cross_entropy(LOGITS, TARGET.copy() + 5))
    assert jnp.isnan(F.cross_entropy(LOGITS, TARGET.copy() - 1))
