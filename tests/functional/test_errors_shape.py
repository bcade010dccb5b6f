"""Every error of padding, resizing, shuffling and sampling, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import layout

X = np.ones((2, 8, 9, 4), np.float32)
GRID = np.zeros((2, 3, 3, 2), np.float32)
VOLUME, VOLUME_GRID = np.ones((2, 3, 4, 5, 1), np.float32), np.zeros((2, 1, 1, 1, 3), np.float32)
THETA = np.ones((2, 2, 3), np.float32)

Row = tuple[str, dict[str, Any], str]
Table = list[tuple[Callable[..., Any], dict[str, Any], list[Row]]]

PAD: list[Row] = [
    (
        "reflect-axes",
        {"mode": "reflect", "pad": (1,) * 8},
        "pad must be pairs for at most the 3 spatial axes of the input, got pad=(1, 1, 1, 1, 1, 1,",
    ),
    (
        "reflect",
        {"mode": "reflect", "pad": (9, 0)},
        "mode 'reflect' can pad an axis of 9 by at most 8, got pad=(9, 0).",
    ),
    (
        "reflect-empty",
        {"input": X[:, :, :0], "mode": "reflect", "pad": (1, 0)},
        "mode 'reflect' can pad an axis of 0 by at most 0, got pad=(1, 0).",
    ),
    (
        "circular",
        {"mode": "circular", "pad": (0, 10)},
        "mode 'circular' can pad an axis of 9 by at most 9, got pad=(0, 10).",
    ),
    (
        "circular-cut",
        {"mode": "circular", "pad": (-2, 8)},
        "mode 'circular' can pad an axis of 9 by at most 7, got pad=(-2, 8).",
    ),
    (
        "constant-cut",
        {"pad": (-5, -5)},
        "at least 0 of an axis of 9 must be left, got pad=(-5, -5).",
    ),
    (
        "replicate-cut",
        {"mode": "replicate", "pad": (-5, -4)},
        "at least 1 of an axis of 9 must be left, got pad=(-5, -4).",
    ),
    (
        "replicate-empty",
        {"input": X[:, :, :0], "mode": "replicate", "pad": (1, 1)},
        "mode 'replicate' has nothing to repeat in an empty axis, got pad=(1, 1).",
    ),
]
INTERPOLATE: list[Row] = [
    ("axes", {"mode": "trilinear"}, "mode 'trilinear' needs (3,) spatial axes in (n, *spatial, c)"),
    (
        "area-corners",
        {"mode": "area", "align_corners": True},
        "only linear and cubic modes take align_corners, got mode='area', align_corners=True.",
    ),
    (
        "antialias",
        {"antialias": True},
        "only the modes ('bilinear', 'bicubic', 'lanczos') take antialias, got mode='nearest', ",
    ),
    ("lanczos", {"mode": "lanczos"}, "mode 'lanczos' needs antialias, got antialias=False."),
    (
        "lanczos-corners",
        {"mode": "lanczos", "antialias": True, "align_corners": True},
        "mode 'lanczos' does not align corners, got align_corners=True.",
    ),
    (
        "empty",
        {"input": X[:, :0]},
        "the input must not be empty, got spatial=(0, 9).",
    ),
]
GRID_SAMPLE: list[Row] = [
    ("mode", {"mode": "linear"}, "mode must be one of ('bilinear', 'nearest', 'bicubic'), got mo"),
    ("padding", {"padding_mode": "zero"}, "padding_mode must be one of ('zeros', 'border', 'refl"),
    ("input", {"input": X[0]}, "input must be (n, h, w, c) or (n, d, h, w, c), got shape=(8, 9, "),
    ("grid-axes", {"grid": GRID[0]}, "grid must be (n, h, w, 2), got shape=(3, 3, 2)."),
    ("grid-last", {"grid": GRID[..., :1]}, "grid must be (n, h, w, 2), got shape=(2, 3, 3, 1)."),
    (
        "grid-3d",
        {"input": VOLUME, "grid": VOLUME_GRID[..., :2]},
        "grid must be (n, d, h, w, 3), got shape=(2, 1, 1, 1, 2).",
    ),
    (
        "batch",
        {"grid": GRID[:1]},
        "input and grid must have one batch size, got input=(2, 8, 9, 4), grid=(1, 3, 3, 2).",
    ),
    ("empty", {"input": X[:, :0]}, "the input must not be empty, got shape=(2, 0, 9, 4)."),
    (
        "bicubic",
        {"input": VOLUME, "grid": VOLUME_GRID, "mode": "bicubic"},
        "mode 'bicubic' needs (n, h, w, c), got shape=(2, 3, 4, 5, 1).",
    ),
]
AFFINE_GRID: list[Row] = [
    ("theta-axes", {"theta": THETA[0]}, "theta must be (n, 2, 3) or (n, 3, 4), got shape=(2, 3)."),
    ("theta", {"theta": THETA[:, :1]}, "theta must be (n, 2, 3) or (n, 3, 4), got shape=(2, 1, 3"),
    ("length", {"size": (2, 3, 3)}, "size must be a sequence of 4 ints, got size=(2, 3, 3)."),
    ("zero", {"size": (2, 0, 3, 1)}, "size must be at least 1, got size=(2, 0, 3, 1)."),
    (
        "batch",
        {"size": (1, 3, 3, 1)},
        "size must have theta's batch, got size=(1, 3, 3, 1), theta=(2, 2, 3).",
    ),
]
UNFLATTEN: list[Row] = [
    ("dim", {"dim": 2}, "dim must be an axis of the 2-D array, got dim=2."),
    ("negative", {"dim": -3}, "dim must be an axis of the 2-D array, got dim=-3."),
    ("scalar", {"x": 1.0, "dim": 0}, "dim must be an axis of the 0-D array, got dim=0."),
    ("none", {"sizes": ()}, "sizes must have an entry, got sizes=()."),
    ("two", {"sizes": (-1, -1)}, "sizes must be 0 or more, but for one -1, got sizes=(-1, -1)."),
    ("under", {"sizes": (-2, -3)}, "sizes must be 0 or more, but for one -1, got sizes=(-2, -3)."),
    ("product", {"sizes": (2, 4)}, "sizes must multiply to the axis, got sizes=(2, 4), axis=6."),
    ("rest", {"sizes": (-1, 4)}, "sizes must multiply to the axis, got sizes=(-1, 4), axis=6."),
    ("zero", {"sizes": (-1, 0)}, "sizes must multiply to the axis, got sizes=(-1, 0), axis=6."),
    (
        "three",
        {"x": np.ones(6), "dim": 0, "sizes": (1, 2, 3)},
        "all of a 3-D array has no one order, it may be (n, l, c) or (h, w, c), got "
        "sizes=(1, 2, 3); add a batch axis, or use jnp.reshape.",
    ),
]

VALUE_ERRORS: Table = [
    (F.pad, {"input": X, "pad": (1, 1)}, PAD),
    (F.interpolate, {"input": X, "size": 4}, INTERPOLATE),
    (
        F.pixel_shuffle,
        {"input": X, "upscale_factor": 2},
        [
            ("factor", {"upscale_factor": 0}, "upscale_factor must be at least 1, got upscale_fa"),
            ("axes", {"input": X[0, 0]}, "input must be (*, h, w, c), got shape=(9, 4)."),
            (
                "channels",
                {"upscale_factor": 3},
                "channels must be divisible by upscale_factor squared, got channels=4, upscale_fac",
            ),
        ],
    ),
    (
        F.pixel_unshuffle,
        {"input": X, "downscale_factor": 2},
        [
            ("factor", {"downscale_factor": 0}, "downscale_factor must be at least 1, got downsc"),
            ("axes", {"input": X[0, 0]}, "input must be (*, h, w, c), got shape=(9, 4)."),
            (
                "width",
                {},
                "height and width must be divisible by downscale_factor, got height=8, width=9, ",
            ),
            ("height", {"input": X[:, :7, :8]}, "height and width must be divisible by downscale"),
        ],
    ),
    (
        F.channel_shuffle,
        {"input": X, "groups": 3},
        [
            ("groups", {"groups": 0}, "groups must be at least 1, got groups=0."),
            ("axes", {"input": X[0, 0]}, "input must be (n, *spatial, c), got shape=(9, 4)."),
            ("channels", {}, "channels must be divisible by groups, got channels=4, groups=3."),
        ],
    ),
    (F.grid_sample, {"input": X, "grid": GRID}, GRID_SAMPLE),
    (F.affine_grid, {"theta": THETA, "size": (2, 3, 3, 1)}, AFFINE_GRID),
    (layout.unflatten, {"x": np.ones((2, 6)), "dim": 1, "sizes": (2, 3)}, UNFLATTEN),
]
TYPE_ERRORS: Table = [
    (
        F.interpolate,
        {"input": X, "size": 4},
        [
            (
                "bool",
                {"input": X > 0, "mode": "bilinear"},
                "input must be real numbers, got mode='bilinear', dtype='bool'.",
            ),
        ],
    ),
    (
        F.pixel_shuffle,
        {"input": X},
        [("factor", {"upscale_factor": 2.0}, "upscale_factor must be an int, got upscale_factor=")],
    ),
    (
        F.pixel_unshuffle,
        {"input": X},
        [("factor", {"downscale_factor": True}, "downscale_factor must be an int, got downscale_")],
    ),
    (
        F.channel_shuffle,
        {"input": X},
        [("groups", {"groups": None}, "groups must be an int, got groups=None.")],
    ),
    (
        F.grid_sample,
        {"input": X, "grid": GRID},
        [
            ("input", {"input": X.astype(int)}, "input must be floating point, got dtype='int"),
            ("grid", {"grid": GRID.astype(int)}, "grid must be floating point, got dtype='int"),
        ],
    ),
    (
        F.affine_grid,
        {"theta": THETA, "size": (2, 3, 3, 1)},
        [
            ("theta", {"theta": THETA.astype(int)}, "theta must be floating point, got dtype='int"),
            ("size", {"size": 4}, "size must be a sequence of 4 ints, got size=4."),
            ("sizes", {"size": (2, 3.0, 3, 1)}, "size must be a sequence of 4 ints, got size=(2,"),
        ],
    ),
    (
        layout.unflatten,
        {"x": np.ones((2, 6)), "dim": 1},
        [
            ("sizes", {"sizes": 6}, "sizes must be a sequence of ints, got sizes=6."),
            ("floats", {"sizes": (2.0, 3)}, "sizes must be a sequence of ints, got sizes=(2.0, 3)"),
        ],
    ),
]


def _rows(table: Table) -> list[Any]:
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
