"""The table's pooling functions: what PyTorch's operator tests lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn import functional as F

from .case import Case, Layout
from .functions import make_inputs


def _ties(*shape: int) -> np.ndarray:
    """Small whole numbers: most windows have several maxima."""
    return np.random.RandomState(2).randint(0, 3, shape).astype(np.float64)


def _nans(*shape: int) -> np.ndarray:
    x = _ties(*shape)
    x[np.random.RandomState(3).uniform(size=shape) < 0.1] = np.nan
    return x


def _pool(
    name: str,
    label: str,
    input: tuple[int, ...] | np.ndarray,
    *args: Any,
    golden: bool = False,
    constant: bool = False,
    **kwargs: Any,
) -> Case:
    """A pooling with the same arguments on both sides."""
    id, indices = f"{name}-{label}", kwargs.get("return_indices", False)
    return Case(
        id,
        lambda: make_inputs(id, {"input": input}),
        lambda torch, input: getattr(torch.nn.functional, name)(input, *args, **kwargs),
        lambda input: getattr(F, name)(input, *args, **kwargs),
        {"input": Layout(1)},
        (Layout(1),) * (2 if indices else 1),
        golden,
        constant=frozenset(["input"] if constant else []),
    )


def _positive(*shape: int) -> np.ndarray:
    return np.random.RandomState(4).uniform(0.1, 2, shape)


def _holes(*shape: int) -> np.ndarray:
    """Whole windows of zeros, where the root's slope is infinite."""
    x = _positive(*shape)
    x[:, :, :4] = 0
    return x


LP = [
    _pool("lp_pool1d", "2", (2, 3, 11), 2, 3, golden=True),
    _pool("lp_pool1d", "stride-ceil", (2, 3, 11), 2, 3, 2, True),
    _pool("lp_pool2d", "1", _positive(2, 3, 7, 8), 1, 2),
    _pool("lp_pool2d", "2", (2, 3, 7, 8), 2, (3, 2), (2, 1), golden=True),
    _pool("lp_pool2d", "3", _positive(2, 3, 7, 8), 3, 2),
    _pool("lp_pool2d", "1.5-ceil", _positive(2, 3, 7, 8), 1.5, 3, 2, True, golden=True),
    _pool("lp_pool2d", "negative", _positive(2, 3, 7, 8), -1, 2),
    _pool("lp_pool2d", "zeros", _holes(2, 3, 7, 8), 2, 2),
    _pool("lp_pool2d", "odd-of-negative-sum", (2, 3, 7, 8), 3, 2, constant=True),
    _pool("lp_pool2d", "infinity", (2, 3, 7, 8), float("inf"), 3, 2, golden=True),
    _pool("lp_pool2d", "minus-infinity", (2, 3, 7, 8), -float("inf"), 3, 2),
    _pool("lp_pool2d", "infinity-ties", _ties(2, 3, 7, 8) - 1, float("inf"), 3, 2, True),
    _pool("lp_pool3d", "2", (2, 3, 5, 6, 7), 2.0, 2),
    _pool("lp_pool3d", "infinity", (2, 3, 5, 6, 7), float("inf"), 2, golden=True),
    _pool("lp_pool3d", "stride", (1, 2, 5, 6, 7), 2.0, (3, 2, 1), (1, 2, 3), True),
]
# Over eight taps along an axis another program finds the maximum.
LONG = [
    _pool("max_pool1d", "global", (2, 3, 40), 40, return_indices=True),
    _pool("max_pool1d", "long", (2, 3, 40), 9, 2, 4, return_indices=True, golden=True),
    _pool("max_pool1d", "long-dilation", (2, 3, 60), 10, 3, 5, 3, True, return_indices=True),
    _pool("max_pool1d", "long-ties", _ties(2, 3, 40), 12, 5, return_indices=True),
    _pool("max_pool2d", "long", (2, 3, 15, 14), 13, 1, 6, return_indices=True),
    _pool("max_pool2d", "long-ties", _ties(2, 3, 15, 14), (9, 2), (1, 2), 1, return_indices=True),
    _pool("max_pool2d", "long-minus-infinity", np.full((1, 1, 10, 10), -np.inf), 9, 1, 4),
    _pool("max_pool2d", "long-nan", _nans(2, 3, 15, 14), 9, 2, return_indices=True, constant=True),
    _pool("max_pool3d", "long", (1, 2, 4, 10, 9), (2, 9, 9), 1, (1, 4, 0), return_indices=True),
]
EDGES = [
    _pool("max_pool1d", "nan", _nans(2, 3, 30), 3, 2, 1, return_indices=True, constant=True),
    _pool("max_pool3d", "ties", _ties(2, 2, 5, 6, 7), 3, 2, 1, return_indices=True, golden=True),
    _pool("max_pool3d", "nan", _nans(2, 2, 5, 6, 7), 2, return_indices=True, constant=True),
    _pool(
        "adaptive_max_pool2d", "ties", _ties(2, 3, 7, 9), (3, 4), return_indices=True, golden=True
    ),
    _pool("adaptive_max_pool2d", "larger", _ties(2, 3, 5, 4), (7, 9), return_indices=True),
    _pool("adaptive_max_pool2d", "global", (2, 3, 5, 4), 1, return_indices=True),
    _pool(
        "adaptive_max_pool2d", "nan", _nans(2, 3, 7, 9), (3, 4), return_indices=True, constant=True
    ),
    _pool("adaptive_max_pool3d", "ties", _ties(2, 2, 5, 6, 7), (2, 3, 5), return_indices=True),
    _pool("adaptive_avg_pool2d", "larger", (2, 3, 5, 4), (7, 9), golden=True),
    _pool("adaptive_avg_pool2d", "divisible", (2, 3, 6, 9), (2, 3)),
    _pool("adaptive_avg_pool3d", "mixed", (2, 3, 6, 7, 4), (3, 3, None)),
]


def _fractional(n: int, label: str, input: Any, *args: Any, **kwargs: Any) -> Case:
    name = f"fractional_max_pool{n}d"
    id = f"{name}-{label}"
    golden, constant = kwargs.pop("golden", False), kwargs.pop("constant", False)
    shape = np.shape(input) if isinstance(input, np.ndarray) else input
    samples = np.random.RandomState(5).uniform(0, 1, (*shape[:2], n))
    kwargs["return_indices"] = True
    return Case(
        id,
        lambda: make_inputs(id, {"input": input, "_random_samples": samples}),
        lambda torch, **x: getattr(torch.nn.functional, name)(x.pop("input"), *args, **kwargs, **x),
        lambda **x: getattr(F, name)(x.pop("input"), *args, **kwargs, **x),
        {"input": Layout(1)},
        (Layout(1), Layout(1)),
        golden,
        constant=frozenset(["_random_samples", "input"] if constant else ["_random_samples"]),
    )


FRACTIONAL = [
    _fractional(2, "size", (2, 3, 9, 11), 2, (5, 7), golden=True),
    _fractional(2, "ratio", (2, 3, 9, 11), (3, 2), None, (0.5, 0.7)),
    _fractional(2, "one-window", (2, 3, 9, 11), 3, (1, 4)),
    _fractional(2, "all-windows", (2, 3, 9, 11), 2, (8, 10)),
    _fractional(2, "ties", _ties(2, 3, 9, 11), 3, (5, 7)),
    _fractional(2, "nan", _nans(2, 3, 9, 11), 3, (5, 7), constant=True),
    _fractional(3, "size", (2, 3, 7, 8, 9), 2, (3, 4, 5), golden=True),
    _fractional(3, "ties", _ties(2, 3, 7, 8, 9), (2, 3, 2), (3, 4, 5)),
]


def _unpool(n: int, label: str, shape: tuple[int, ...], *args: Any, golden: bool = False) -> Case:
    """Pooling with indices, then unpooling, then a product: the gradient goes through both."""
    pool, unpool, id = f"max_pool{n}d", f"max_unpool{n}d", f"max_unpool{n}d-{label}"

    def in_torch(torch: Any, input: Any) -> Any:
        functions = torch.nn.functional
        y, indices = getattr(functions, pool)(input, *args, return_indices=True)
        return getattr(functions, unpool)(y, indices, *args, output_size=shape) * input

    def in_jax(input: Any) -> Any:
        y, indices = getattr(F, pool)(input, *args, return_indices=True)
        return getattr(F, unpool)(y, indices, *args, output_size=input.shape) * input

    inputs: Mapping[str, Any] = {"input": shape}
    return Case(
        id, lambda: make_inputs(id, inputs), in_torch, in_jax, {"input": Layout(1)}, golden=golden
    )


UNPOOL = [
    _unpool(1, "plain", (2, 3, 9), 2, golden=True),
    _unpool(2, "plain", (2, 3, 9, 8), 2, golden=True),
    _unpool(2, "overlap", (2, 3, 9, 7), 3, 2, 1),
    _unpool(2, "unequal", (2, 3, 9, 8), (3, 2), (2, 3)),
    _unpool(3, "plain", (2, 3, 5, 7, 6), 2, golden=True),
    _unpool(3, "overlap", (1, 2, 5, 7, 5), 3, 2, 1),
]

POOLING = [*LP, *LONG, *EDGES, *FRACTIONAL, *UNPOOL]
