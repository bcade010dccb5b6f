"""Padding, resizing, shuffling and sampling, with what OpInfo lacks and values to store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn import functional as F
from jaxcnn import layout

from .case import IMAGE, IMAGES, SAME, Case, Layout
from .functions import Spec, make_inputs


def _case(
    name: str,
    label: str,
    specs: Mapping[str, Spec],
    image: Layout = IMAGES,
    *,
    output: Layout | None = None,
    golden: bool = False,
    **arguments: Any,
) -> Case:
    """A function with the same name and arguments on both sides; the input is an image."""
    id = f"{name}-{label}"
    return Case(
        id,
        lambda: make_inputs(id, specs),
        lambda torch, **x: getattr(torch.nn.functional, name)(**x, **arguments),
        lambda **x: getattr(F, name)(**x, **arguments),
        {"input": image},
        (image if output is None else output,),
        golden,
    )


# Where the batch is missing, the channels are not the second axis.
PAD = [
    _case("pad", "unbatched", {"input": (3, 4, 5)}, IMAGE, pad=(1, 2, 3, 0)),
    _case("pad", "unbatched-channels", {"input": (3, 4, 5)}, IMAGE, pad=(1, 2, 3, 0, -1, 1)),
    _case("pad", "cut-batch", {"input": (2, 3, 4, 5)}, pad=(0, 1, -1, 0, 2, -1, -1, 0)),
    *(
        _case("pad", f"{mode}-{label}", {"input": shape}, image, pad=pad, mode=mode, golden=golden)
        for mode in ("reflect", "replicate", "circular")
        for label, shape, image, pad, golden in (
            ("unbatched-1d", (3, 5), IMAGE, (2, 3), False),
            ("unbatched-2d", (3, 4, 5), IMAGE, (1, 2, 3, 0), False),
            ("unbatched-3d", (2, 3, 4, 5), IMAGE, (1, 2, 3, 0, 2, 1), False),
            ("cut", (2, 3, 6, 7), IMAGES, (2, -3, -1, 3), True),
            ("cut-both", (2, 3, 6, 7), IMAGES, (-2, -3, 0, -4), False),
        )
    ),
]

SMALL = (2, 3, 7, 5)


def _resize(mode: str, label: str, shape: tuple[int, ...] = SMALL, **arguments: Any) -> Case:
    return _case("interpolate", f"{mode}-{label}", {"input": shape}, mode=mode, **arguments)


INTERPOLATE = [
    *(
        _resize(
            mode,
            f"antialias-{label}{'-corners' * corners}",
            size=size,
            antialias=True,
            align_corners=corners,
            golden=golden and not corners,
        )
        for mode in ("bilinear", "bicubic")
        for label, size, golden in (
            ("down", (3, 2), True),
            ("up", (12, 9), False),
            ("mixed", (3, 11), False),
            ("strong", (1, 1), False),
            ("same-height", (7, 2), False),
        )
        for corners in (False, True)
    ),
    *(
        _resize(mode, f"antialias-{label}", antialias=True, **arguments)
        for mode in ("bilinear", "bicubic")
        for label, arguments in (
            ("factor", {"scale_factor": (0.6, 1.7)}),
            ("recomputed", {"scale_factor": 0.45, "recompute_scale_factor": True}),
        )
    ),
    *(
        _resize("bicubic", f"{label}{'-corners' * corners}", align_corners=corners, **arguments)
        for corners in (False, True)
        for label, arguments in (
            ("size", {"size": (4, 11), "golden": True}),
            ("one-pixel", {"size": 1}),
            ("factor", {"scale_factor": (1.7, 0.6)}),
            ("recomputed", {"scale_factor": 1.7, "recompute_scale_factor": True}),
        )
    ),
    _resize("bicubic", "tiny", (1, 2, 1, 2), size=(3, 7)),
    _resize("trilinear", "size", (1, 2, 3, 4, 5), size=(5, 3, 7), golden=True),
    _resize("trilinear", "corners", (1, 2, 3, 4, 5), size=(5, 3, 7), align_corners=True),
    _resize("area", "size", size=(3, 8), golden=True),
    _resize("area", "factor", scale_factor=0.45),
    _resize("area", "1d", (2, 3, 7), size=3),
    _resize("area", "3d", (1, 2, 3, 4, 5), size=(2, 6, 3)),
]

SHUFFLE = [
    _case(
        name,
        label,
        {"input": shape},
        Layout(len(shape) - 3),
        golden=label == "batch",
        **{factor: 2},
    )
    for name, factor, pixels in (
        ("pixel_shuffle", "upscale_factor", (12, 3, 2)),
        ("pixel_unshuffle", "downscale_factor", (3, 4, 6)),
    )
    for label, shape in (("batch", (2, *pixels)), ("one", pixels), ("lead", (2, 1, 3, *pixels)))
] + [
    _case("channel_shuffle", "1d", {"input": (2, 6, 4)}, groups=2),
    _case("channel_shuffle", "2d", {"input": (2, 6, 3, 4)}, groups=3, golden=True),
    _case("channel_shuffle", "3d", {"input": (1, 4, 2, 3, 2)}, groups=2),
]

# In eighths, and images of 4 pixels a side: edges, corner centres and pixel centres are all met
# exactly, in every rounding.
_PLACES = np.random.RandomState(3).randint(-14, 15, (1, 6, 5, 2)) / 8.0
_PLACES_3D = np.random.RandomState(4).randint(-14, 15, (1, 4, 3, 3, 3)) / 8.0

GRID_SAMPLE = [
    _case(
        "grid_sample",
        f"{mode}-{padding}{'-corners' * corners}{'-3d' * (len(shape) == 5)}",
        {"input": shape, "grid": places},
        mode=mode,
        padding_mode=padding,
        align_corners=corners,
        golden=not corners and len(shape) == 4,
    )
    for shape, places, modes in (
        ((1, 2, 4, 4), _PLACES, ("bilinear", "nearest", "bicubic")),
        ((1, 2, 4, 2, 4), _PLACES_3D, ("bilinear", "nearest")),
    )
    for mode in modes
    for padding in ("zeros", "border", "reflection")
    for corners in (False, True)
]


def _affine(label: str, sizes: tuple[int, ...], corners: bool | None, golden: bool = False) -> Case:
    """`sizes`: (n, *spatial, c), jaxcnn's."""
    id, n = f"affine_grid-{label}", len(sizes) - 2
    theirs = (sizes[0], sizes[-1], *sizes[1:-1])
    return Case(
        id,
        lambda: make_inputs(id, {"theta": (sizes[0], n, n + 1)}),
        lambda torch, theta: torch.nn.functional.affine_grid(theta, theirs, corners),
        lambda theta: F.affine_grid(theta, sizes, corners),
        {},
        (SAME,),
        golden,
    )


AFFINE_GRID = [
    _affine("2d", (2, 3, 5, 4), False, golden=True),
    _affine("2d-corners", (2, 3, 5, 4), True, golden=True),
    _affine("2d-one-pixel", (1, 1, 4, 2), False),
    _affine("2d-one-pixel-corners", (1, 1, 4, 2), True),
    _affine("3d", (2, 2, 3, 5, 4), False, golden=True),
    _affine("3d-corners", (2, 2, 3, 5, 4), True),
]


def _unflatten(
    label: str, shape: tuple[int, ...], dim: tuple[int, int], sizes: tuple[int, ...], **layouts: Any
) -> Case:
    """`dim`: in PyTorch's layout and in jaxcnn's."""
    id = f"unflatten-{label}"
    return Case(
        id,
        lambda: make_inputs(id, {"input": shape}),
        lambda torch, input: torch.unflatten(input, dim[0], sizes),
        lambda input: layout.unflatten(input, dim[1], sizes),
        {"input": layouts.get("input", SAME)},
        (layouts.get("output", IMAGES),),
        golden=label == "features",
    )


UNFLATTEN = [
    _unflatten("features", (2, 60), (1, 1), (3, 4, 5)),
    _unflatten("features-inferred", (2, 60), (-1, -1), (3, -1, 5)),
    _unflatten("features-1d", (2, 12), (1, 1), (3, 4)),
    _unflatten("features-3d", (2, 48), (1, 1), (3, 2, 4, 2)),
    _unflatten("features-one", (2, 6), (1, 1), (6,), output=SAME),
    _unflatten("everything", (120,), (0, 0), (2, 3, 4, 5)),
    _unflatten("vectors-everything", (6,), (0, 0), (2, 3), output=SAME),
    _unflatten("batch", (6, 5), (0, 0), (2, 3), output=SAME),
    _unflatten("pixels", (2, 3, 20), (2, 1), (4, 5), input=IMAGES),
    _unflatten("rows", (2, 3, 4, 5), (2, 1), (2, 2), input=IMAGES),
]

CASES_SHAPE = [
    *PAD,
    *INTERPOLATE,
    *SHUFFLE,
    *GRID_SAMPLE,
    *AFFINE_GRID,
    *UNFLATTEN,
]
