"""The table's functions, with the arguments that ports get wrong.

Sizes are odd and unequal on purpose: a transposed axis or padding on the wrong side must show.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn import functional as F
from jaxcnn import layout

from .case import IMAGE, IMAGES, SAME, Arrays, Case, Layout

Spec = tuple[int, ...] | np.ndarray


def make_inputs(id: str, specs: Mapping[str, Spec]) -> Arrays:
    """Arrays as given; shapes become normal numbers, different for each case.

    `RandomState`'s stream is frozen by NumPy, so that stored values stay valid.
    """
    rng = np.random.RandomState(zlib.crc32(id.encode()))
    made = {k: v if isinstance(v, np.ndarray) else rng.standard_normal(v) for k, v in specs.items()}
    return {k: np.abs(v) + 0.5 if k.endswith("running_var") else v for k, v in made.items()}


def _case(
    name: str,
    label: str,
    specs: Mapping[str, Spec],
    arguments: Mapping[str, Any],
    *,
    image: Layout = IMAGES,
    images: Sequence[str] = ("input",),
    outputs: Sequence[Layout] | None = None,
    constant: Sequence[str] = (),
    golden: bool = False,
) -> Case:
    """A function with the same name and the same arguments on both sides."""
    id = f"{name}-{label}"
    return Case(
        id,
        lambda: make_inputs(id, specs),
        lambda torch, **x: getattr(torch.nn.functional, name)(**x, **arguments),
        lambda **x: getattr(F, name)(**x, **arguments),
        dict.fromkeys([i for i in images if i in specs], image),
        (image,) if outputs is None else outputs,
        golden,
        constant=frozenset(constant),
    )


def _ties(*shape: int) -> np.ndarray:
    """Small whole numbers: most windows have several maxima."""
    return np.random.RandomState(2).randint(0, 3, shape).astype(np.float64)


def _conv(label: str, input: tuple[int, ...], weight: tuple[int, ...], **arguments: Any) -> Case:
    golden = arguments.pop("golden", False)
    specs: dict[str, Spec] = {"input": input, "weight": weight}
    if arguments.pop("bias", True):
        specs["bias"] = weight[:1]
    image = IMAGES if len(input) == 4 else IMAGE
    return _case("conv2d", label, specs, arguments, image=image, golden=golden)


CONV2D = [
    _conv("plain", (2, 3, 9, 8), (4, 3, 3, 3), golden=True),
    _conv("no-bias", (2, 3, 9, 8), (4, 3, 3, 3), bias=False),
    _conv("stride2-padding1", (2, 3, 8, 7), (4, 3, 3, 3), stride=2, padding=1, golden=True),
    _conv("unequal", (2, 4, 11, 9), (3, 4, 5, 2), stride=(3, 2), padding=(2, 1), golden=True),
    _conv("stride-over-kernel", (2, 4, 11, 10), (3, 4, 2, 2), stride=(3, 4), golden=True),
    _conv("stride-over-kernel-padded", (1, 3, 8, 9), (2, 3, 1, 2), stride=3, padding=1),
    _conv("dilation", (2, 3, 11, 12), (4, 3, 3, 3), dilation=(2, 3), padding=(2, 1), golden=True),
    _conv("dilation-stride", (2, 3, 12, 11), (4, 3, 3, 2), dilation=2, stride=(2, 3), padding=2),
    _conv("same-odd-total", (2, 3, 7, 6), (4, 3, 4, 2), padding="same", golden=True),
    _conv("same-dilation", (2, 3, 9, 8), (4, 3, 4, 3), padding="same", dilation=(3, 2)),
    _conv("valid", (2, 3, 6, 5), (4, 3, 3, 2), padding="valid"),
    _conv("1x1", (2, 5, 5, 4), (6, 5, 1, 1)),
    _conv("1x1-stride", (2, 5, 6, 7), (6, 5, 1, 1), stride=2),
    _conv("kernel-is-image", (3, 2, 5, 4), (7, 2, 5, 4)),
    _conv("kernel-over-image", (1, 2, 3, 3), (2, 2, 5, 5), padding=2),
    _conv("edge-kernel", (1, 1, 6, 8), (1, 1, 1, 2), bias=False),
    _conv("batch1", (1, 3, 9, 8), (4, 3, 5, 5), padding=2),
    _conv("one-channel", (2, 1, 9, 8), (6, 1, 5, 5), padding=2),
    # The program for CPUs pads the channels to fours.
    *(_conv(f"{c}-channels", (2, c, 6, 7), (5, c, 3, 3), padding=1) for c in (3, 5, 6, 8)),
    _conv("3-channels-dilation", (1, 3, 7, 8), (2, 3, 3, 3), dilation=2, padding=2),
    _conv("groups", (2, 6, 7, 8), (4, 3, 3, 3), groups=2, padding=1, golden=True),
    _conv("groups-stride", (1, 6, 8, 9), (9, 2, 3, 2), groups=3, stride=(2, 3)),
    _conv("depthwise", (2, 5, 7, 6), (5, 1, 3, 3), groups=5, padding=1),
    _conv("depthwise-multiplier", (2, 3, 7, 6), (6, 1, 3, 3), groups=3, dilation=2, padding=2),
    _conv("unbatched", (3, 9, 8), (4, 3, 3, 3), stride=2, padding=1),
    _conv("unbatched-groups", (4, 5, 6), (4, 2, 3, 3), groups=2),
]


def _max_pool(label: str, input: Spec, kernel: Any, stride: Any = None, **arguments: Any) -> Case:
    golden, constant = arguments.pop("golden", False), arguments.pop("constant", ())
    image = IMAGES if np.ndim(input) == 4 or len(input) == 4 else IMAGE
    arguments |= {"kernel_size": kernel, "stride": stride}
    return _case(
        "max_pool2d",
        label,
        {"input": input},
        arguments,
        image=image,
        outputs=(image, image) if arguments.get("return_indices") else None,
        constant=constant,
        golden=golden,
    )


_NAN = np.where(_ties(1, 2, 7, 8) == 2, np.nan, _ties(1, 2, 7, 8))

MAX_POOL2D = [
    _max_pool("2x2", (2, 3, 8, 6), 2, golden=True),
    _max_pool("odd", (2, 3, 9, 7), 2),
    _max_pool("overlap", (2, 3, 9, 8), 3, 2, padding=1, golden=True),
    _max_pool("unequal", (2, 3, 9, 11), (3, 2), (2, 3), padding=(1, 0)),
    _max_pool("stride-over-kernel", (1, 3, 9, 11), 2, (3, 4)),
    _max_pool("dilation", (2, 3, 11, 10), 3, (2, 1), padding=1, dilation=(2, 3), golden=True),
    _max_pool("ceil", (2, 3, 8, 9), 3, 2, ceil_mode=True, golden=True),
    _max_pool("ceil-padding", (2, 3, 8, 9), 3, 2, padding=1, ceil_mode=True),
    _max_pool("ceil-last-window-dropped", (1, 2, 5, 5), 3, 3, padding=1, ceil_mode=True),
    _max_pool("ceil-stride-over-kernel", (1, 2, 5, 6), 2, 5, ceil_mode=True),
    _max_pool("ceil-dilation", (1, 2, 10, 9), 2, 3, dilation=3, padding=1, ceil_mode=True),
    _max_pool("batch1-one-channel", (1, 1, 7, 5), 3, 1),
    _max_pool("global", (2, 3, 3, 2), (3, 2)),
    _max_pool("ties", _ties(2, 3, 9, 8), 3, 2, padding=1, golden=True),
    _max_pool("ties-dilation", _ties(2, 2, 9, 8), 3, 1, dilation=2),
    _max_pool("negative", -np.abs(_ties(1, 2, 5, 6)) - 1, 3, 2, padding=1),
    _max_pool("indices", (2, 3, 9, 7), 3, 2, padding=1, return_indices=True, golden=True),
    _max_pool("indices-ties", _ties(2, 3, 9, 7), 3, 2, padding=1, return_indices=True),
    _max_pool("indices-dilation", (2, 3, 9, 8), 2, 2, dilation=(3, 2), return_indices=True),
    _max_pool("indices-ceil", (2, 3, 8, 7), 3, 2, ceil_mode=True, return_indices=True),
    _max_pool("nan", _NAN, 3, 2, padding=1, return_indices=True, constant=("input",)),
    _max_pool("unbatched", (3, 9, 8), 2, return_indices=True),
]


def _avg_pool(label: str, input: Spec, kernel: Any, stride: Any = None, **arguments: Any) -> Case:
    golden = arguments.pop("golden", False)
    image = IMAGES if len(input) == 4 else IMAGE
    arguments |= {"kernel_size": kernel, "stride": stride}
    return _case("avg_pool2d", label, {"input": input}, arguments, image=image, golden=golden)


AVG_POOL2D = [
    _avg_pool("2x2", (2, 3, 8, 6), 2, golden=True),
    _avg_pool("odd", (2, 3, 9, 7), 2),
    _avg_pool("overlap", (2, 3, 9, 8), 3, 2, padding=1, golden=True),
    _avg_pool("not-pad", (2, 3, 9, 8), 3, 2, padding=1, count_include_pad=False, golden=True),
    _avg_pool("unequal", (2, 3, 9, 11), (3, 2), (2, 3), padding=(1, 0)),
    _avg_pool("stride-over-kernel", (1, 3, 9, 11), 2, (3, 4)),
    _avg_pool("ceil", (2, 3, 8, 9), 3, 2, ceil_mode=True, golden=True),
    _avg_pool("ceil-padding", (2, 3, 8, 9), 3, 2, padding=1, ceil_mode=True, golden=True),
    _avg_pool(
        "ceil-not-pad", (2, 3, 8, 9), 3, 2, padding=1, ceil_mode=True, count_include_pad=False
    ),
    _avg_pool("ceil-last-window-dropped", (1, 2, 5, 5), 3, 3, padding=1, ceil_mode=True),
    _avg_pool("ceil-stride-over-kernel", (1, 2, 5, 6), 2, 5, ceil_mode=True),
    _avg_pool("divisor", (2, 3, 9, 8), 3, 2, padding=1, divisor_override=5, golden=True),
    _avg_pool("divisor-negative", (1, 1, 5, 4), 2, divisor_override=-3, ceil_mode=True),
    _avg_pool("batch1-one-channel", (1, 1, 7, 5), 3, 1),
    _avg_pool("unbatched", (3, 9, 8), 2),
]


def _batch_norm(label: str, input: tuple[int, ...], **arguments: Any) -> Case:
    golden, channels = arguments.pop("golden", False), input[1:2]
    affine = arguments.pop("affine", ("weight", "bias"))
    tracked = arguments.pop("tracked", True)
    specs: dict[str, Spec] = {"input": input}
    specs |= dict.fromkeys(("running_mean", "running_var") if tracked else (), channels)
    specs |= dict.fromkeys(affine, channels)
    absent = {} if tracked else {"running_mean": None, "running_var": None}
    writes = tracked and arguments.get("training", False)
    id = f"batch_norm-{label}"

    def in_torch(torch: Any, **x: Any) -> Any:
        x = {k: v.clone() if k.startswith("running") else v for k, v in x.items()}
        y = torch.nn.functional.batch_norm(**x, **absent, **arguments)
        return (y, x["running_mean"], x["running_var"]) if writes else y

    return Case(
        id,
        lambda: make_inputs(id, specs),
        in_torch,
        lambda **x: F.batch_norm(**x, **absent, **arguments),
        {"input": IMAGES},
        (IMAGES, SAME, SAME) if writes else (IMAGES,),
        golden,
    )


BATCH_NORM = [
    _batch_norm("eval", (3, 5, 4, 3), golden=True),
    _batch_norm("eval-plain", (3, 5, 4, 3), affine=()),
    _batch_norm("eval-eps", (2, 3, 4, 5), eps=0.1),
    _batch_norm("eval-batch1", (1, 1, 1, 1)),
    _batch_norm("train", (3, 5, 4, 3), training=True, golden=True),
    _batch_norm("train-two-values", (2, 3, 1, 1), training=True, affine=(), eps=0.1),
    _batch_norm("train-momentum", (3, 4, 3, 5), training=True, momentum=0.7),
    _batch_norm("train-weight-only", (3, 4, 3, 5), training=True, affine=("weight",)),
    _batch_norm("train-untracked", (3, 4, 3, 5), training=True, tracked=False),
    _batch_norm("train-vectors", (7, 4), training=True),
    _batch_norm("train-1d", (3, 4, 6), training=True),
    _batch_norm("train-3d", (2, 3, 2, 3, 4), training=True),
]

_CLASSES = np.array([0, 4, 2, 2, 1, 3])
_PIXELS = np.random.RandomState(3).randint(0, 5, (2, 3, 4))
_SOME_IGNORED = np.where(_PIXELS == 2, -100, _PIXELS)
_CLASS_WEIGHT = np.array([0.5, 1.0, 2.0, 0.1, 3.0])


def _probabilities(*shape: int) -> np.ndarray:
    p = np.random.RandomState(4).uniform(0.1, 1, shape)
    return p / p.sum(1, keepdims=True)


def _cross_entropy(
    label: str, input: tuple[int, ...], target: np.ndarray, **arguments: Any
) -> Case:
    golden = arguments.pop("golden", False)
    specs: dict[str, Spec] = {"input": input, "target": target}
    if arguments.pop("weighted", False):
        specs["weight"] = _CLASS_WEIGHT
    soft = target.dtype.kind == "f"
    return _case(
        "cross_entropy",
        label,
        specs,
        arguments,
        image=IMAGES if len(input) > 1 else SAME,
        images=("input", "target") if soft else ("input",),
        outputs=(SAME,),
        constant=("weight",),  # PyTorch has no gradient for it
        golden=golden,
    )


CROSS_ENTROPY = [
    _cross_entropy("mean", (6, 5), _CLASSES, golden=True),
    _cross_entropy("sum", (6, 5), _CLASSES, reduction="sum"),
    _cross_entropy("none", (6, 5), _CLASSES, reduction="none"),
    _cross_entropy("weight", (6, 5), _CLASSES, weighted=True, golden=True),
    _cross_entropy("ignore-index", (6, 5), _CLASSES, ignore_index=2),
    _cross_entropy("smoothing", (6, 5), _CLASSES, label_smoothing=0.1, golden=True),
    _cross_entropy(
        "everything", (6, 5), _CLASSES, weighted=True, label_smoothing=0.3, ignore_index=2
    ),
    _cross_entropy(
        "everything-none",
        (6, 5),
        _CLASSES,
        weighted=True,
        label_smoothing=0.3,
        ignore_index=2,
        reduction="none",
    ),
    _cross_entropy("unbatched", (5,), np.array(3)),
    _cross_entropy("pixels", (2, 5, 3, 4), _PIXELS, golden=True),
    _cross_entropy("pixels-none", (2, 5, 3, 4), _PIXELS, weighted=True, reduction="none"),
    _cross_entropy("pixels-ignored", (2, 5, 3, 4), _SOME_IGNORED, label_smoothing=0.2),
    _cross_entropy("soft", (6, 5), _probabilities(6, 5), golden=True),
    _cross_entropy(
        "soft-everything", (6, 5), _probabilities(6, 5), weighted=True, label_smoothing=0.2
    ),
    _cross_entropy("soft-pixels", (2, 5, 3, 4), _probabilities(2, 5, 3, 4), weighted=True),
    _cross_entropy("soft-none", (2, 5, 3), _probabilities(2, 5, 3), reduction="none"),
]


def _interpolate(mode: str, input: tuple[int, ...], **arguments: Any) -> Case:
    golden = arguments.pop("golden", False)
    label = "-".join([mode, *(f"{k}={v}" for k, v in arguments.items())]).replace(" ", "")
    label += f"-{len(input) - 2}d"
    return _case("interpolate", label, {"input": input}, {"mode": mode, **arguments}, golden=golden)


_NEAREST = ("nearest", "nearest-exact")
_LINEAR = [("linear", (2, 3, 7)), ("bilinear", (2, 3, 7, 5))]

INTERPOLATE = [
    *(_interpolate(m, (2, 3, 7), size=11) for m in _NEAREST),
    *(_interpolate(m, (2, 3, 7, 5), size=(4, 9), golden=True) for m in _NEAREST),
    *(_interpolate(m, (2, 3, 7, 5), size=3) for m in _NEAREST),
    *(_interpolate(m, (1, 2, 3, 4, 5), size=(5, 3, 7)) for m in _NEAREST),
    *(_interpolate(m, (2, 3, 7, 5), scale_factor=(1.7, 0.6)) for m in _NEAREST),
    *(_interpolate(m, (2, 3, 7, 5), scale_factor=2) for m in _NEAREST),
    *(
        _interpolate(m, (2, 3, 7, 5), scale_factor=1.7, recompute_scale_factor=True)
        for m in _NEAREST
    ),
    *(
        _interpolate(mode, shape, align_corners=corners, **arguments)
        for mode, shape in _LINEAR
        for corners in (False, True)
        for arguments in (
            {"size": 11, "golden": True},
            {"size": 3},
            {"size": 1},
            {"scale_factor": 1.7},
            {"scale_factor": 0.6},
            {"scale_factor": 1.7, "recompute_scale_factor": True, "golden": True},
        )
    ),
    _interpolate("bilinear", (2, 3, 7, 5), size=(4, 13)),
    _interpolate("bilinear", (1, 1, 1, 1), size=(3, 2), align_corners=True),
    _interpolate("bilinear", (2, 3, 6, 5), scale_factor=(0.5, 2.5)),
    # Sizes that stay or double, at which PyTorch ignores the scale factor, or not.
    _interpolate("bilinear", (1, 2, 8, 8), scale_factor=1.1),
    _interpolate("linear", (1, 2, 8), scale_factor=1.1),
    *(_interpolate(m, (1, 2, 8, 8), scale_factor=(1.1, 2.05)) for m in _NEAREST),
]


def _pad(label: str, input: tuple[int, ...], pad: Sequence[int], **arguments: Any) -> Case:
    golden = arguments.pop("golden", False)
    return _case("pad", label, {"input": input}, {"pad": pad, **arguments}, golden=golden)


_MODES = ("reflect", "replicate", "circular")

PAD = [
    _pad("constant", (2, 3, 4, 5), (1, 2, 3, 0), golden=True),
    _pad("constant-value", (2, 3, 4, 5), (1, 0, 0, 2), value=-1.5),
    _pad("constant-cut", (2, 3, 4, 5), (-1, 2, 1, -2)),
    _pad("constant-channels", (2, 3, 4, 5), (1, 0, 2, 1, 3, 1)),
    _pad("constant-batch", (2, 3, 4, 5), (1, 0, 2, 1, 0, 1, 2, 3)),
    _pad("constant-1d", (2, 3, 5), (1, 2)),
    _pad("constant-3d", (1, 2, 3, 4, 5), (1, 2, 0, 1, 3, 2)),
    *(_pad(mode, (2, 3, 4, 5), (1, 3, 2, 0), mode=mode, golden=True) for mode in _MODES),
    *(_pad(f"{mode}-1d", (2, 3, 5), (4, 2), mode=mode) for mode in _MODES),
    *(_pad(f"{mode}-3d", (1, 2, 3, 4, 5), (1, 3, 2, 0, 1, 2), mode=mode) for mode in _MODES),
    _pad("circular-whole", (2, 3, 4, 5), (5, 0, 4, 4), mode="circular"),
    _pad("replicate-far", (1, 2, 3, 3), (7, 0, 0, 5), mode="replicate"),
]


def _flatten(label: str, input: tuple[int, ...], *, first: Any, last: Any) -> Case:
    """`first` and `last`: (start_dim, end_dim) in PyTorch's layout and in jaxcnn's."""
    id = f"flatten-{label}"
    together = Layout(1) if first[0] == 2 else SAME  # only the pixels became one axis
    return Case(
        id,
        lambda: make_inputs(id, {"input": input}),
        lambda torch, input: torch.flatten(input, *first),
        lambda input: layout.flatten(input, *last),
        {"input": IMAGES},
        (together,),
        golden=label == "features",
    )


FLATTEN = [
    _flatten("features", (2, 3, 4, 5), first=(1, -1), last=(1, -1)),
    _flatten("features-positive", (2, 3, 4, 5), first=(1, 3), last=(-3, 3)),
    _flatten("everything", (2, 3, 4, 5), first=(0, -1), last=(0, -1)),
    _flatten("pixels", (2, 3, 4, 5), first=(2, 3), last=(1, 2)),
    _flatten("1d", (2, 3, 4), first=(1, -1), last=(1, -1)),
    _flatten("3d", (2, 3, 2, 4, 3), first=(1, -1), last=(1, -1)),
    _flatten("vectors", (2, 3), first=(1, -1), last=(1, -1)),
    _flatten("vectors-everything", (2, 3), first=(0, -1), last=(0, -1)),
]

_AROUND_ZERO = np.array([[-2.0, -0.0, 0.0], [1e-30, 0.5, -1e-30], [100.0, -100.0, 3.0]])


def _plain(name: str, label: str, specs: Mapping[str, Spec], **arguments: Any) -> Case:
    return _case(name, label, specs, arguments, images=(), outputs=(SAME,), golden=label == "plain")


ELEMENTWISE_AND_LINEAR = [
    _plain("relu", "plain", {"input": _AROUND_ZERO}),
    _plain("relu", "inplace-argument", {"input": (2, 3)}),
    _plain("sigmoid", "plain", {"input": _AROUND_ZERO}),
    _plain("sigmoid", "scalar", {"input": ()}),
    _plain("dropout", "eval", {"input": (3, 4)}, p=0.3, training=False),
    _plain("dropout", "p0", {"input": (3, 4)}, p=0.0, training=True),
    _plain("dropout", "p1", {"input": (3, 4)}, p=1.0, training=True),
    _plain("linear", "plain", {"input": (3, 5), "weight": (4, 5), "bias": (4,)}),
    _plain("linear", "no-bias", {"input": (3, 5), "weight": (4, 5)}),
    # A single row runs as two on CPU.
    _plain("linear", "one-row", {"input": (1, 5), "weight": (4, 5), "bias": (4,)}),
    _plain("linear", "vector", {"input": (5,), "weight": (4, 5), "bias": (4,)}),
    _plain("linear", "axes", {"input": (2, 3, 4, 5), "weight": (6, 5), "bias": (6,)}),
    _plain("linear", "one-output", {"input": (3, 1), "weight": (1, 1), "bias": (1,)}),
    _plain("linear", "no-axis", {"input": (3, 5), "weight": (5,)}),
]

FUNCTIONS = [
    *CONV2D,
    *MAX_POOL2D,
    *AVG_POOL2D,
    *BATCH_NORM,
    *CROSS_ENTROPY,
    *INTERPOLATE,
    *PAD,
    *FLATTEN,
    *ELEMENTWISE_AND_LINEAR,
]
