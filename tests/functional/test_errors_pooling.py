"""Every error of the pooling functions, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import functional as F

X = {n: np.ones((2, *(8, 9, 10)[:n], 3), np.float32) for n in (1, 2, 3)}
INDICES = np.zeros(X[2].shape, np.int32)
SAMPLES = np.full((2, 3, 2), 0.5, np.float32)
WINDOW = [
    ("kernel", {"kernel_size": 0}, "kernel_size must be at least 1, got kernel_size=0."),
    ("stride", {"stride": 0}, "stride must be at least 1, got stride=0."),
    ("window", {"kernel_size": 11}, "the window must fit into the padded input, got size=8, "),
]
PADDED = [
    ("padding", {"padding": 2}, "padding must be at most half of kernel_size, got padding=2, "),
    ("padding-negative", {"padding": -1}, "padding must be at least 0, got padding=-1."),
]
ADAPTIVE = [
    ("negative", {"output_size": -1}, "output_size must be at least 0, got output_size=-1."),
    ("length", {"output_size": (1,) * 4}, "output_size must be an int or a sequence of "),
]
EMPTY = "no axis of the input but the batch may be empty, got shape="


def _inputs(n: int) -> list[Any]:
    kind, axes = {1: ("sequences", "l"), 2: ("images", "h, w"), 3: ("volumes", "d, h, w")}[n]
    rule = f"input must be {kind} (n, {axes}, c), or ({axes}, c), got shape="
    return [
        ("axes", {"input": np.ones(3)}, rule),
        ("empty-axis", {"input": X[n][:, :0]}, EMPTY),
        ("no-channels", {"input": X[n][..., :0]}, EMPTY),
    ]


FRACTIONAL = [
    ("kernel", {"kernel_size": 0}, "kernel_size must be at least 1, got kernel_size=0."),
    ("neither", {"output_size": None}, "output_size or output_ratio must be given, got output_"),
    ("size", {"output_size": -1}, "output_size must be at least 0, got output_size=-1."),
    (
        "ratio",
        {"output_size": None, "output_ratio": 1.0},
        "output_ratio must be a number between 0 and 1, or 2 of them, got output_ratio=1.0.",
    ),
    (
        "ratios",
        {"output_size": None, "output_ratio": (0.5,)},
        "output_ratio must be a number between 0 and 1, or 2 of them, got output_ratio=(0.5,).",
    ),
    (
        "fit",
        {"output_size": 8},
        "output_size + kernel_size - 1 must be at most the input's size, got size=8, kernel_size=2",
    ),
    ("key", {"_random_samples": None}, "the windows need a random key, got rng=None; pass rng=key"),
    (
        "samples",
        {"_random_samples": SAMPLES[:1]},
        "_random_samples must be (2, 3, 2), or have more rows, got shape=(1, 3, 2).",
    ),
]
UNPOOL = [
    ("kernel", {"kernel_size": 0}, "kernel_size must be at least 1, got kernel_size=0."),
    ("stride", {"stride": 0}, "stride must be at least 1, got stride=0."),
    ("padding", {"padding": -1}, "padding must be at least 0, got padding=-1."),
    ("shape", {"indices": INDICES[:1]}, "indices must have the input's shape (2, 8, 9, 3), got sh"),
    ("length", {"output_size": (16, 18, 3)}, "output_size must be 2 ints, or 4 with batch and cha"),
    ("far", {"output_size": (14, 18)}, "output_size must be less than one stride from (16, 18), "),
    ("negative", {"padding": 9}, "the output's size must not be negative, got output_size=(-2, 0)"),
]
NORM = [("zero", {"norm_type": 0}, "norm_type must not be zero, got norm_type=0.")]
VALUE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    *(
        row
        for n, x in X.items()
        for row in (
            (getattr(F, f"max_pool{n}d"), {"input": x, "kernel_size": 3}, WINDOW + PADDED),
            (getattr(F, f"max_pool{n}d"), {"input": x, "kernel_size": 3}, _inputs(n)),
            (getattr(F, f"avg_pool{n}d"), {"input": x, "kernel_size": 3}, WINDOW + PADDED),
            (getattr(F, f"avg_pool{n}d"), {"input": x, "kernel_size": 3}, _inputs(n)),
            (
                getattr(F, f"lp_pool{n}d"),
                {"input": x, "norm_type": 2, "kernel_size": 3},
                WINDOW + NORM + _inputs(n),
            ),
            (
                getattr(F, f"adaptive_avg_pool{n}d"),
                {"input": x, "output_size": 2},
                ADAPTIVE + _inputs(n),
            ),
            (
                getattr(F, f"adaptive_max_pool{n}d"),
                {"input": x, "output_size": 2},
                ADAPTIVE + _inputs(n),
            ),
        )
    ),
    (
        F.fractional_max_pool2d,
        {"input": X[2], "kernel_size": 2, "output_size": 3, "_random_samples": SAMPLES},
        FRACTIONAL + _inputs(2),
    ),
    (
        F.fractional_max_pool3d,
        {"input": X[3], "kernel_size": 2, "output_size": 3, "rng": jax.random.key(0)},
        [
            ("samples", {"_random_samples": SAMPLES}, "_random_samples must be (2, 3, 3), or"),
            *_inputs(3),
        ],
    ),
    (F.max_unpool2d, {"input": X[2], "indices": INDICES, "kernel_size": 2}, UNPOOL),
    *(
        (
            getattr(F, f"max_unpool{n}d"),
            {"input": np.ones(3), "indices": np.zeros(3, int), "kernel_size": 2},
            [_inputs(n)[0]],
        )
        for n in (1, 2, 3)
    ),
]
TYPE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Any]]] = [
    (
        F.max_pool1d,
        {"input": X[1], "kernel_size": 3},
        [
            ("kernel", {"kernel_size": 2.0}, "kernel_size must be an int or a sequence of 1 ints"),
            ("integers", {"input": X[1].astype(int)}, "input must be floating point, got dtype="),
        ],
    ),
    (
        F.avg_pool3d,
        {"input": X[3], "kernel_size": 3},
        [
            ("divisor", {"divisor_override": 0.5}, "divisor_override must be an int or None, got"),
            ("integers", {"input": X[3].astype(int)}, "input must be floating point, got dtype="),
        ],
    ),
    (
        F.lp_pool2d,
        {"input": X[2], "norm_type": 2, "kernel_size": 3},
        [
            ("word", {"norm_type": "2"}, "norm_type must be a number, got norm_type='2'."),
            ("bool", {"norm_type": True}, "norm_type must be a number, got norm_type=True."),
        ],
    ),
    (
        F.adaptive_avg_pool1d,
        {"input": X[1]},
        [
            (
                "none",
                {"output_size": None},
                "output_size must be an int or a sequence of 1 ints, got",
            )
        ],
    ),
    (
        F.adaptive_max_pool2d,
        {"input": X[2]},
        [
            (
                "none",
                {"output_size": None},
                "output_size must be an int or a sequence of 2 ints or",
            ),
            ("float", {"output_size": (2.0, 1)}, "output_size must be an int or a sequence of 2"),
        ],
    ),
    (
        F.max_unpool2d,
        {"input": X[2], "indices": INDICES, "kernel_size": 2},
        [
            ("indices", {"indices": X[2]}, "indices must be integers, got dtype='float32'."),
            ("size", {"output_size": 16}, "output_size must be 2 ints, or 4 with batch and chan"),
            ("input", {"input": INDICES}, "input must be floating point, got dtype='int32'."),
        ],
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
    with pytest.raises(error, match=f"^{function.__name__}: {re.escape(message)}") as info:
        function(**arguments)
    assert str(info.value).endswith(".")


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(VALUE_ERRORS))
def test_value_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(ValueError, function, arguments, message)


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(TYPE_ERRORS))
def test_type_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(TypeError, function, arguments, message)
