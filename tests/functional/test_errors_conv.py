"""Every error of the convolutions and of fold, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jaxcnn import functional as F

X = np.ones((2, 8, 9, 3), np.float32)
W = np.ones((3, 4, 3, 3), np.float32)
L, D = np.ones((2, 8, 3), np.float32), np.ones((1, 4, 5, 6, 2), np.float32)
DEFORM_W, OFFSET = np.ones((4, 3, 3, 3), np.float32), np.ones((2, 6, 7, 18), np.float32)
COLUMNS = np.ones((2, 12, 8), np.float32)
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

Row = tuple[str, dict[str, Any], str]
TRANSPOSE: list[Row] = [
    ("weight-axes", {"weight": W[0]}, "weight must have 4 axes (in, out/groups, *kernel), got sh"),
    ("input-axes", {"input": X[0, 0]}, "input must have 4 axes (n, *spatial, c), or 3 without"),
    ("nchw", {"input": np.ones((2, 3, 8, 9))}, f"got shape=(2, 3, 8, 9); {FIX}"),
    ("channels", {"input": X[..., :2]}, "input must have 3 channels on its last axis, got shape="),
    ("groups", {"groups": 2}, "in_channels must be divisible by groups, got in_channels=3, groups"),
    ("groups-zero", {"groups": 0}, "groups must be at least 1, got groups=0."),
    ("stride", {"stride": (1, 0)}, "stride must be at least 1, got stride=(1, 0)."),
    ("dilation", {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
    ("padding", {"padding": -1}, "padding must be at least 0, got padding=-1."),
    ("output-padding", {"output_padding": -1}, "output_padding must be at least 0, got output_pad"),
    (
        "output-padding-large",
        {"output_padding": (0, 2), "stride": 2},
        "output_padding must be smaller than stride or dilation, got output_padding=(0, 2), stride",
    ),
    ("bias", {"bias": np.ones(3)}, "bias must be (4,), got shape=(3,)."),
    ("bias-groups", {"bias": np.ones(4), "groups": 3}, "bias must be (12,), got shape=(4,)."),
    ("empty-output", {"padding": 5}, "input and output must not be empty, got spatial=(8, 9), out"),
    ("empty-input", {"input": X[:, :0]}, "input and output must not be empty, got spatial=(0, 9)"),
]
WINDOW: list[Row] = [
    ("kernel", {"kernel_size": 0}, "kernel_size must be at least 1, got kernel_size=0."),
    ("kernel-length", {"kernel_size": (2,)}, "kernel_size must be an int or a sequence of 2 ints,"),
    ("stride", {"stride": 0}, "stride must be at least 1, got stride=0."),
    ("padding", {"padding": (0, -1)}, "padding must be at least 0, got padding=(0, -1)."),
    ("dilation", {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
]
UNFOLD: list[Row] = [
    ("axes", {"input": X[0, 0]}, "input must be images (n, h, w, c), or (h, w, c), got shape=(9,"),
    ("empty", {"input": X[:, :0]}, "input must be images (n, h, w, c), or (h, w, c), got shape=(2"),
    (
        "large",
        {"kernel_size": 3, "dilation": (4, 1)},
        "a block of (3, 3) with dilation (4, 1) must fit into the image, got size=(8, 9), padding=",
    ),
]
FOLD: list[Row] = [
    ("axes", {"input": X}, "input must be columns (n, blocks, features), or (blocks, features), g"),
    ("size", {"output_size": 0}, "output_size must be at least 1, got output_size=0."),
    ("large", {"output_size": 1}, "a block of (2, 2) with dilation (1, 1) must fit into the image"),
    (
        "features",
        {"input": COLUMNS[..., :7]},
        "input must have 12 blocks of a multiple of 4 features, got shape=(2, 12, 7).",
    ),
    (
        "blocks",
        {"input": COLUMNS[:, :11]},
        "input must have 12 blocks of a multiple of 4 features, got shape=(2, 11, 8).",
    ),
    ("channels-first", {"input": np.ones((2, 8, 12))}, f"got shape=(2, 8, 12); {FIX}"),
]
DEFORM: list[Row] = [
    ("weight-axes", {"weight": W[0]}, "weight must have 4 axes (out, in/groups, kh, kw), got shap"),
    ("input-axes", {"input": X[0]}, "input must be (n, h, w, c), got shape=(8, 9, 3)."),
    (
        "channels",
        {"input": X[..., :2]},
        "input must have a multiple of 3 channels on its last axis, got shape=(2, 8, 9, 2).",
    ),
    ("nchw", {"input": np.ones((2, 3, 9, 8))}, f"got shape=(2, 3, 9, 8); {FIX}"),
    (
        "groups",
        {"input": np.ones((2, 8, 9, 9))},
        "out_channels must be divisible by groups, got out_channels=4, groups=3.",
    ),
    ("stride", {"stride": 0}, "stride must be at least 1, got stride=0."),
    ("padding", {"padding": -1}, "padding must be at least 0, got padding=-1."),
    ("dilation", {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
    ("large", {"dilation": 5}, "the kernel (3, 3) with dilation (5, 5) must fit into the padded"),
    ("bias", {"bias": np.ones(3)}, "bias must be (4,), got shape=(3,)."),
    ("offset", {"offset": OFFSET[..., :17]}, "offset must be (2, 6, 7, 18), got shape=(2, 6, 7, 1"),
    ("offset-axes", {"offset": OFFSET[0]}, "offset must be (2, 6, 7, 18), got shape=(6, 7, 18)."),
    ("offset-places", {"padding": 1}, "offset must be (2, 8, 9, 18), got shape=(2, 6, 7, 18)."),
    ("offset-nchw", {"offset": np.ones((2, 18, 6, 7))}, f"got shape=(2, 18, 6, 7); {FIX}"),
    (
        "offset-groups",
        {"offset": np.ones((2, 6, 7, 36))},
        "in_channels must be divisible by the groups of the offset, got in_channels=3, offset_gro",
    ),
    ("mask", {"mask": OFFSET}, "mask must be (2, 6, 7, 9), got shape=(2, 6, 7, 18)."),
    ("mask-nchw", {"mask": np.ones((2, 9, 6, 7))}, f"got shape=(2, 9, 6, 7); {FIX}"),
]
INTS = "must be an int or a sequence of"

VALUE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Row]]] = [
    (
        F.conv1d,
        {"input": L, "weight": np.ones((4, 3, 3))},
        [
            ("weight", {"weight": W}, "weight must have 3 axes (out, in/groups, *kernel), got"),
            ("ncl", {"input": np.ones((2, 3, 8))}, f"got shape=(2, 3, 8); {FIX}"),
            ("stride", {"stride": (1, 2)}, f"stride {INTS} 1 ints, got stride=(1, 2)."),
            ("large", {"dilation": 4}, "the kernel (3,) with dilation (4,) must fit into the"),
        ],
    ),
    (
        F.conv3d,
        {"input": D, "weight": np.ones((4, 2, 3, 3, 3))},
        [
            ("input", {"input": X[0]}, "input must have 5 axes (n, *spatial, c), or 4 without the"),
            ("ncdhw", {"input": np.ones((1, 2, 4, 5, 6))}, f"got shape=(1, 2, 4, 5, 6); {FIX}"),
            ("padding", {"padding": (1, 2)}, f"padding {INTS} 3 ints, got padding=(1, 2)."),
        ],
    ),
    (F.conv_transpose2d, {"input": X, "weight": W}, TRANSPOSE),
    (
        F.conv_transpose1d,
        {"input": L, "weight": np.ones((3, 4, 3))},
        [("ncl", {"input": np.ones((2, 3, 8))}, f"got shape=(2, 3, 8); {FIX}")],
    ),
    (
        F.conv_transpose3d,
        {"input": D, "weight": np.ones((2, 4, 3, 3, 3))},
        [("stride", {"stride": (1, 2)}, f"stride {INTS} 3 ints, got stride=(1, 2).")],
    ),
    (F.unfold, {"input": X, "kernel_size": 2}, WINDOW + UNFOLD),
    (F.fold, {"input": COLUMNS, "output_size": (4, 5), "kernel_size": 2}, WINDOW + FOLD),
    (F.deform_conv2d, {"input": X, "offset": OFFSET, "weight": DEFORM_W}, DEFORM),
]
TYPE_ERRORS: list[tuple[Callable[..., Any], dict[str, Any], list[Row]]] = [
    (
        F.conv_transpose2d,
        {"input": X, "weight": W},
        [
            ("stride", {"stride": 1.5}, f"stride {INTS} 2 ints, got stride=1.5."),
            ("padding", {"padding": "same"}, f"padding {INTS} 2 ints, got padding='same'."),
            ("output-padding", {"output_padding": None}, f"output_padding {INTS} 2 ints, got out"),
            ("dilation", {"dilation": (1, 1.0)}, f"dilation {INTS} 2 ints, got dilation=(1, 1.0)"),
            ("groups", {"groups": 1.0}, "groups must be an int, got groups=1.0."),
        ],
    ),
    (
        F.unfold,
        {"input": X},
        [("kernel", {"kernel_size": 2.0}, f"kernel_size {INTS} 2 ints, got kernel_size=2.0.")],
    ),
    (
        F.fold,
        {"input": COLUMNS, "kernel_size": 2},
        [("size", {"output_size": "4"}, f"output_size {INTS} 2 ints, got output_size='4'.")],
    ),
    (
        F.deform_conv2d,
        {"input": X, "offset": OFFSET, "weight": DEFORM_W},
        [
            ("padding", {"padding": "same"}, f"padding {INTS} 2 ints, got padding='same'."),
            ("integers", {"input": X.astype(int)}, "input must be floating point, got dtype='int"),
        ],
    ),
]


def _rows(table: list[tuple[Callable[..., Any], dict[str, Any], list[Row]]]) -> list[Any]:
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
