"""Every error of normalisation, dropout and drop_path, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jaxcnn import functional as F

X = np.ones((2, 8, 9, 4), np.float32)
INTEGERS = {"input": X.astype(np.int32)}
INTEGERS_MESSAGE = "input must be floating point, got dtype='int32'."
TWO, FOUR = np.ones(2), np.ones(4)
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

INSTANCE = [
    ("axes", {"input": FOUR}, "input must be (n, *spatial, c), got shape=(4,)."),
    ("one", {"running_mean": FOUR}, "running_mean and running_var must be given together, got"),
    ("weight", {"weight": TWO}, "weight must have one entry for each channel of the input (2, 8"),
    ("nchw", {"input": np.ones((2, 4, 8, 9)), "bias": FOUR}, f"got shape=(4,); {FIX}"),
    (
        "evaluation",
        {"use_input_stats": False},
        "evaluation needs running statistics, got running_mean=None, running_var=None; pass them "
        "or use_input_stats=True.",
    ),
    (
        "one-pixel",
        {"input": X[:, :1, :1]},
        "an image's statistics need more than one pixel, got shape=(2, 1, 1, 4).",
    ),
]
GROUP = [
    ("axes", {"input": FOUR}, "input must be (n, *spatial, c), got shape=(4,)."),
    ("zero", {"num_groups": 0}, "num_groups must be at least 1, got num_groups=0."),
    (
        "groups",
        {"num_groups": 3},
        "the channels must divide into num_groups, got shape=(2, 8, 9, 4), num_groups=3.",
    ),
    ("bias", {"bias": TWO}, "bias must have one entry for each channel of the input (2, 8, 9, 4)"),
    (
        "one-value",
        {"input": np.ones((1, 4)), "num_groups": 4},
        "a group must have more than one value, got shape=(1, 4).",
    ),
]
TRAILING = [
    (
        "empty",
        {"normalized_shape": ()},
        "normalized_shape must be at least one size, none negative, got normalized_shape=().",
    ),
    ("negative", {"normalized_shape": (-4,)}, "none negative, got normalized_shape=(-4,)."),
    (
        "input",
        {"normalized_shape": (8, 4)},
        "input must end in the axes normalized_shape=(8, 4), got shape=(2, 8, 9, 4).",
    ),
    ("weight", {"weight": TWO}, "weight must have normalized_shape=(4,), got shape=(2,)."),
]
LOCAL = [
    ("axes", {"input": X[0, 0]}, "input must be (n, *spatial, c) with at least one spatial axis,"),
    ("size", {"size": 0}, "size must be at least 1, got size=0."),
]
NORMALIZE = [
    ("dim", {"dim": 4}, "dim must be an axis of the 4-D array, or several distinct ones, got dim="),
    ("twice", {"dim": (0, -4)}, "or several distinct ones, got dim=(0, -4)."),
    ("out", {"out": TWO}, "out must be None, nothing is written in place, got out=array("),
]
P = [("p", {"p": 1.5}, "p must be between 0 and 1, got p=1.5.")]
KEY = [
    ("key", {"training": True}, "training needs a random key, got rng=None; pass rng=key."),
]

VALUE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    (F.instance_norm, {"input": X}, INSTANCE),
    (F.group_norm, {"input": X, "num_groups": 2}, GROUP),
    (F.layer_norm, {"input": X, "normalized_shape": 4}, TRAILING),
    (
        F.layer_norm,
        {"input": X, "normalized_shape": 4},
        [("bias", {"bias": TWO}, "bias must have")],
    ),
    (F.rms_norm, {"input": X, "normalized_shape": 4}, TRAILING),
    (F.local_response_norm, {"input": X, "size": 2}, LOCAL),
    (F.normalize, {"input": X}, NORMALIZE),
    (
        F.dropout1d,
        {"input": X[0]},
        [*P, *KEY, ("axes", {"input": X}, "input must be (n, l, c) or (l, c), got shape=(2, 8, ")],
    ),
    (
        F.dropout2d,
        {"input": X},
        [*P, *KEY, ("axes", {"input": X[0, 0]}, "input must be (n, h, w, c) or (n, l, c), got")],
    ),
    (
        F.dropout3d,
        {"input": X},
        [*P, *KEY, ("axes", {"input": X[0]}, "input must be (n, d, h, w, c) or (d, h, w, c), got")],
    ),
    (F.alpha_dropout, {"input": X}, P + KEY),
    (
        F.feature_alpha_dropout,
        {"input": X},
        [
            *P,
            *KEY,
            (
                "axes",
                {"input": FOUR, "training": True},
                "training input must be (n, *spatial, c), got shape=(4,).",
            ),
        ],
    ),
    (
        F.drop_path,
        {"input": X, "p": 0.5, "mode": "row"},
        [
            *P,
            *KEY,
            ("mode", {"mode": "rows"}, "mode must be one of ('batch', 'row'), got mode='rows'."),
            ("axes", {"input": np.float32(1)}, "input must be (n, *), got shape=()."),
        ],
    ),
]
TYPE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    *(
        (function, good, [("integers", INTEGERS, INTEGERS_MESSAGE)])
        for function, good in (
            (F.instance_norm, {}),
            (F.group_norm, {"num_groups": 2}),
            (F.layer_norm, {"normalized_shape": 4}),
            (F.rms_norm, {"normalized_shape": 4}),
            (F.local_response_norm, {"size": 2}),
            (F.normalize, {}),
            (F.dropout1d, {}),
            (F.dropout2d, {}),
            (F.dropout3d, {}),
            (F.alpha_dropout, {}),
            (F.feature_alpha_dropout, {}),
            (F.drop_path, {"p": 0.5, "mode": "row"}),
        )
    ),
    (
        F.group_norm,
        {"input": X},
        [("groups", {"num_groups": 2.0}, "num_groups must be an int, got num_groups=2.0.")],
    ),
    *(
        (
            function,
            {"input": X},
            [
                (
                    "shape",
                    {"normalized_shape": 4.0},
                    "normalized_shape must be an int or a sequence of ints, got normalized_shape",
                )
            ],
        )
        for function in (F.layer_norm, F.rms_norm)
    ),
    (
        F.local_response_norm,
        {"input": X},
        [("size", {"size": 2.5}, "size must be an int, got size=2.5.")],
    ),
    (
        F.normalize,
        {"input": X},
        [("dim", {"dim": 1.0}, "dim must be an int or a sequence of ints, got dim=1.0.")],
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
