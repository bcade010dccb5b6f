"""Convolutions beyond PyTorch's own samples: transposed, grouped, deformable; fold; padding modes.

torchvision is not needed: `deform_conv2d_reference` is its operation, out of PyTorch's grid_sample.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxcnn import functional as F
from jaxcnn import nn

from .case import IMAGE, IMAGES, Arrays, Case, Layout
from .functions import make_inputs
from .layers import dotted, variables_from


def _case(
    name: str, label: str, shapes: dict[str, tuple[int, ...]], layout: Layout = IMAGES, **given: Any
) -> Case:
    """A function with the same name and the same arguments on both sides."""
    id, golden = f"{name}-{label}", given.pop("golden", False)
    return Case(
        id,
        lambda: make_inputs(id, shapes),
        lambda torch, **x: getattr(torch.nn.functional, name)(**x, **given),
        lambda **x: getattr(F, name)(**x, **given),
        {"input": layout},
        (layout,),
        golden,
    )


def _conv(n: int, label: str, weight: tuple[int, ...], **given: Any) -> Case:
    """`conv{n}d` on an input whose spatial axes are unequal."""
    groups = given.get("groups", 1)
    shapes = {"input": (2, weight[1] * groups, *(9, 8, 7)[:n]), "weight": weight}
    return _case(f"conv{n}d", label, shapes | {"bias": weight[:1]}, **given)


def _transpose(
    n: int, label: str, input: tuple[int, ...], weight: tuple[int, ...], **given: Any
) -> Case:
    shapes = {"input": input, "weight": weight}
    if given.pop("bias", True):
        shapes["bias"] = (weight[1] * given.get("groups", 1),)
    layout = IMAGE if len(input) == n + 1 else IMAGES
    return _case(f"conv_transpose{n}d", label, shapes, layout, **given)


CONV = [
    _conv(1, "same-even", (4, 3, 4), padding="same", golden=True),
    _conv(1, "groups-stride-dilation", (6, 2, 3), groups=2, stride=2, dilation=3, padding=2),
    _conv(3, "unequal", (4, 3, 3, 2, 1), stride=(2, 1, 3), padding=(2, 0, 1), dilation=(1, 3, 2)),
    _conv(3, "groups", (4, 2, 3, 2, 3), groups=2, padding=1, golden=True),
    _conv(3, "same-even", (2, 3, 2, 4, 3), padding="same", dilation=(1, 1, 2)),
]
CONV_TRANSPOSE = [
    _transpose(1, "plain", (2, 3, 5), (3, 4, 3), golden=True),
    _transpose(
        1,
        "groups-dilation-output-padding",
        (2, 6, 5),
        (6, 2, 3),
        groups=3,
        stride=3,
        padding=2,
        dilation=2,
        output_padding=2,
        golden=True,
    ),
    _transpose(2, "plain", (2, 3, 5, 4), (3, 4, 3, 2), golden=True),
    _transpose(2, "stride", (2, 3, 5, 4), (3, 2, 4, 3), stride=(2, 3), padding=1, golden=True),
    _transpose(2, "stride-over-kernel", (1, 2, 3, 4), (2, 3, 2, 1), stride=(4, 3)),
    _transpose(2, "padding-over-kernel", (2, 3, 6, 5), (3, 2, 2, 2), padding=(2, 1)),
    _transpose(2, "cut-inside", (1, 2, 5, 6), (2, 3, 3, 3), stride=2, padding=(4, 3)),
    _transpose(
        2,
        "output-padding-under-dilation",
        (2, 3, 4, 3),
        (3, 2, 3, 2),
        stride=(2, 1),
        dilation=(1, 3),
        output_padding=(1, 2),
    ),
    _transpose(
        2,
        "groups-dilation-output-padding",
        (2, 6, 4, 5),
        (6, 3, 3, 2),
        groups=2,
        stride=(3, 2),
        padding=(1, 2),
        dilation=(2, 3),
        output_padding=(2, 1),
        golden=True,
    ),
    _transpose(2, "depthwise", (2, 4, 4, 3), (4, 1, 3, 3), groups=4, stride=2, padding=1),
    _transpose(2, "depthwise-multiplier", (1, 3, 4, 3), (3, 2, 2, 3), groups=3, stride=2),
    _transpose(2, "unbatched-groups", (4, 3, 5), (4, 2, 3, 3), groups=2, stride=2, bias=False),
    _transpose(
        3,
        "groups-dilation-output-padding",
        (1, 4, 3, 2, 4),
        (4, 2, 2, 3, 2),
        groups=2,
        stride=(2, 3, 1),
        padding=(1, 2, 0),
        dilation=(1, 2, 2),
        output_padding=(1, 0, 1),
        golden=True,
    ),
]


def _blocks(size: tuple[int, int], window: dict[str, Any]) -> int:
    """How many blocks fit; written differently from jaxcnn's."""
    count = 1
    for axis in (0, 1):
        k, s, p, d = (
            value if isinstance(value := window.get(name, usual), int) else value[axis]
            for name, usual in (("kernel_size", 0), ("stride", 1), ("padding", 0), ("dilation", 1))
        )
        count *= len(range(-p, size[axis] + p - d * (k - 1), s))
    return count


def _fold(label: str, channels: int, size: tuple[int, int], **window: Any) -> Case:
    kernel, batched = window["kernel_size"], window.pop("batched", True)
    taps = kernel**2 if isinstance(kernel, int) else kernel[0] * kernel[1]
    columns = (channels * taps, _blocks(size, window))
    shapes = {"input": (2, *columns) if batched else columns}
    return _case("fold", label, shapes, IMAGES if batched else IMAGE, output_size=size, **window)


FOLD = [
    _fold("plain", 3, (5, 6), kernel_size=2, golden=True),
    _fold("no-overlap", 2, (6, 9), kernel_size=(2, 3), stride=(2, 3)),
    _fold("gaps", 2, (9, 8), kernel_size=2, stride=(4, 3)),
    _fold("padding", 2, (4, 5), kernel_size=(3, 2), padding=(2, 1), golden=True),
    _fold("dilation", 2, (8, 9), kernel_size=(2, 3), dilation=(3, 2)),
    _fold(
        "everything",
        3,
        (9, 8),
        kernel_size=(3, 2),
        dilation=(2, 3),
        padding=(1, 4),
        stride=(2, 3),
        golden=True,
    ),
    _fold("last-pixels-in-no-block", 1, (7, 8), kernel_size=2, stride=3),
    _fold("one-block", 2, (3, 2), kernel_size=(3, 2)),
    _fold("unbatched", 3, (5, 6), kernel_size=(2, 3), stride=(1, 2), batched=False),
    _case(
        "unfold",
        "everything",
        {"input": (2, 3, 9, 8)},
        kernel_size=(3, 2),
        dilation=(2, 3),
        padding=(1, 4),
        stride=(2, 3),
        golden=True,
    ),
]


def deform_conv2d_reference(
    torch: Any,
    input: Any,
    offset: Any,
    weight: Any,
    bias: Any = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    mask: Any = None,
) -> Any:
    """torchvision.ops.deform_conv2d, in float64, from torch's grid_sample."""
    dtype, (n, channels, *size) = input.dtype, input.shape
    out, each, *kernel = weight.shape
    taps = kernel[0] * kernel[1]
    groups, offset_groups = channels // each, offset.shape[1] // (2 * taps)
    places = offset.shape[2:]
    # (n, offset group, kh, kw, (dy, dx), h_out, w_out)
    shift = offset.double().reshape(n, offset_groups, *kernel, 2, *places)
    grid = []
    for axis in (0, 1):
        place = torch.arange(places[axis]) * stride[axis] - padding[axis]
        tap = torch.arange(kernel[axis]) * dilation[axis]
        where = shift[..., axis, :, :]
        where = where + place.reshape((-1, 1) if axis == 0 else (1, -1))
        where = where + tap.reshape((-1, 1, 1, 1) if axis == 0 else (-1, 1, 1))
        grid.insert(0, where * 2 / (size[axis] - 1) - 1)
    grid = torch.stack(grid, -1).reshape(n * offset_groups, taps * places[0], places[1], 2)
    images = input.double().reshape(n * offset_groups, channels // offset_groups, *size)
    samples = torch.nn.functional.grid_sample(
        images, grid, padding_mode="zeros", align_corners=True
    ).reshape(n, offset_groups, channels // offset_groups, taps, *places)
    if mask is not None:
        samples = samples * mask.double().reshape(n, offset_groups, 1, taps, *places)
    y = torch.einsum(
        "ngckhw,gock->ngohw",
        samples.reshape(n, groups, each, taps, *places),
        weight.double().reshape(groups, out // groups, each, taps),
    ).reshape(n, out, *places)
    return (y if bias is None else y + bias.double()[:, None, None]).to(dtype)


def _deform(
    label: str,
    input: tuple[int, ...],
    weight: tuple[int, ...],
    places: tuple[int, int],
    *,
    offset_groups: int = 1,
    mask: bool = True,
    bias: bool = True,
    golden: bool = False,
    **given: Any,
) -> Case:
    id, per_place = f"deform_conv2d-{label}", offset_groups * weight[2] * weight[3]
    shapes = {"input": input, "weight": weight, "offset": (input[0], 2 * per_place, *places)}
    shapes |= {"mask": (input[0], per_place, *places)} if mask else {}
    shapes |= {"bias": weight[:1]} if bias else {}

    def inputs() -> Arrays:
        arrays = make_inputs(id, shapes)
        return arrays | {"offset": 2 * arrays["offset"]}  # some far outside

    return Case(
        id,
        inputs,
        lambda torch, **x: deform_conv2d_reference(torch, **x, **given),
        lambda **x: F.deform_conv2d(**x, **given),
        dict.fromkeys(("input", "offset", "mask"), IMAGES),
        golden=golden,
    )


DEFORM_CONV2D = [
    _deform("version-1", (2, 3, 6, 5), (4, 3, 3, 3), (4, 3), mask=False, golden=True),
    _deform("version-2", (2, 3, 6, 5), (4, 3, 3, 3), (4, 3), golden=True),
    _deform("no-bias", (1, 2, 5, 6), (3, 2, 2, 2), (4, 5), bias=False),
    _deform(
        "everything",
        (2, 6, 9, 8),
        (4, 3, 3, 2),
        (4, 5),
        offset_groups=3,
        stride=(2, 2),
        padding=(1, 2),
        dilation=(2, 3),
        golden=True,
    ),
    _deform(
        "unequal-stride",
        (1, 4, 7, 9),
        (2, 4, 3, 2),
        (3, 5),
        offset_groups=2,
        stride=(3, 2),
        padding=(2, 1),
    ),
    _deform("depthwise", (1, 4, 5, 6), (8, 1, 2, 3), (4, 4), offset_groups=4),
    _deform("offset-group-in-a-group", (1, 4, 5, 6), (2, 4, 2, 1), (4, 6), offset_groups=4),
]


def _layer(
    id: str,
    build: Callable[[Any], Any],
    input: tuple[int, ...],
    *,
    output_size: tuple[int, ...] | None = None,
    layout: Layout = IMAGES,
    golden: bool = False,
) -> Case:
    """A layer with the same constructor on both sides; `output_size` holds spatial sizes."""
    shape = layout.last(np.empty(input)).shape
    given = {} if output_size is None else {"output_size": output_size}

    @functools.cache
    def like() -> Any:
        sample = jax.ShapeDtypeStruct(shape, np.float32)
        return jax.eval_shape(build(nn).init, jax.random.key(0), sample)

    def inputs() -> Arrays:
        state = {dotted(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(like())}
        return make_inputs(id, {"input": input, **state})

    def in_torch(torch: Any, input: Any, **state: Any) -> Any:
        return torch.func.functional_call(build(torch.nn), state, (input,), given)

    def in_jax(input: jax.Array, **state: Any) -> Any:
        return build(nn).apply(variables_from(like(), state), input, **given)

    return Case(
        id,
        inputs,
        in_torch,
        in_jax,
        {"input": layout},
        (layout,),
        golden,
        module=(build, lambda: build(nn), shape),
    )


_MODES = ("zeros", "reflect", "replicate", "circular")
LAYERS = [
    *(
        _layer(
            f"Conv1d-{mode}",
            lambda nn, mode=mode: nn.Conv1d(3, 4, 4, 2, padding=3, padding_mode=mode),
            (2, 3, 7),
            golden=mode == "circular",
        )
        for mode in _MODES
    ),
    *(
        _layer(
            f"Conv1d-same-{mode}",
            lambda nn, mode=mode: nn.Conv1d(3, 4, 4, 1, "same", 3, padding_mode=mode),
            (2, 3, 8),
        )
        for mode in _MODES
    ),
    *(
        _layer(
            f"Conv3d-{mode}",
            lambda nn, mode=mode: nn.Conv3d(
                4, 2, (3, 2, 1), (1, 2, 1), (2, 1, 3), groups=2, padding_mode=mode
            ),
            (1, 4, 3, 4, 5),
        )
        for mode in _MODES
    ),
    *(
        _layer(
            f"Conv3d-same-{mode}",
            lambda nn, mode=mode: nn.Conv3d(2, 3, (2, 3, 4), 1, "same", padding_mode=mode),
            (1, 2, 3, 4, 5),
        )
        for mode in _MODES
    ),
    _layer("Conv1d-valid", lambda nn: nn.Conv1d(3, 4, 3, padding="valid", bias=False), (2, 3, 7)),
    _layer("Conv1d-unbatched", lambda nn: nn.Conv1d(3, 4, 3), (3, 7), layout=IMAGE),
    _layer(
        "Conv3d-unbatched",
        lambda nn: nn.Conv3d(2, 3, 2, padding=1, padding_mode="reflect", dilation=(1, 2, 1)),
        (2, 3, 4, 3),
        layout=IMAGE,
    ),
    _layer("ConvTranspose1d", lambda nn: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2), (2, 4, 5)),
    _layer(
        "ConvTranspose2d",
        lambda nn: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, False, 2),
        (2, 4, 3, 4),
        golden=True,
    ),
    _layer("ConvTranspose3d", lambda nn: nn.ConvTranspose3d(2, 3, 2, 2), (1, 2, 2, 3, 2)),
    _layer(
        "ConvTranspose1d-output-size",
        lambda nn: nn.ConvTranspose1d(2, 3, 3, stride=4),
        (1, 2, 5),
        output_size=(21,),
    ),
    _layer(
        "ConvTranspose2d-output-size",
        lambda nn: nn.ConvTranspose2d(2, 3, 3, stride=(2, 3), padding=1, dilation=(1, 2)),
        (1, 2, 4, 5),
        output_size=(8, 17),
    ),
    _layer(
        "ConvTranspose2d-output-size-over-output-padding",
        lambda nn: nn.ConvTranspose2d(2, 3, 3, stride=3, output_padding=1),
        (1, 2, 2, 3),
        output_size=(6, 11),
    ),
    _layer(
        "ConvTranspose3d-output-size-unbatched",
        lambda nn: nn.ConvTranspose3d(2, 3, 2, stride=(1, 2, 3)),
        (2, 3, 2, 2),
        output_size=(4, 5, 7),
        layout=IMAGE,
    ),
    _layer(
        "Unfold",
        lambda nn: nn.Unfold((3, 2), dilation=(1, 2), padding=(0, 1), stride=2),
        (2, 3, 7, 6),
    ),
    _layer("Fold", lambda nn: nn.Fold((5, 6), 2, padding=1, stride=(1, 2)), (2, 12, 24)),
]

CASES_CONV = [*CONV, *CONV_TRANSPOSE, *FOLD, *DEFORM_CONV2D, *LAYERS]
