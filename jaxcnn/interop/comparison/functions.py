"""What may stand between two layers: activations, pooling, resizing, flattening."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn import functional as F

Function = Callable[[Any], Any]

GELU = ("gelu", "gelu(approximate='tanh')")
ACTIVATIONS: dict[str, Function] = {
    "relu": F.relu,
    GELU[0]: F.gelu,
    GELU[1]: functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "relu6": F.relu6,
    **{
        f"leaky_relu({slope})": functools.partial(F.leaky_relu, negative_slope=slope)
        for slope in (0.01, 0.1, 0.2, 0.3)
    },
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "hardtanh": F.hardtanh,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "elu": F.elu,
    "selu": F.selu,
    "mish": F.mish,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "softmax": functools.partial(F.softmax, dim=-1),
    "log_softmax": functools.partial(F.log_softmax, dim=-1),
}


_OF_ROWS = ("softmax", "log_softmax")
_SAMPLE, _CHUNK = 64, 4096


def activated(name: str, x: np.ndarray) -> np.ndarray:
    """An activation of `x`, in pieces of one size, so that it is compiled for that size alone."""
    if name in _OF_ROWS:
        return np.asarray(ACTIVATIONS[name](x))
    pieces = np.resize(x.ravel(), (-(-x.size // _CHUNK), _CHUNK))
    values = np.concatenate([np.asarray(ACTIVATIONS[name](piece)) for piece in pieces])
    return values[: x.size].reshape(x.shape)


def matching_activations(x: np.ndarray, wanted: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, values) of the activations of `x` whose first numbers are those of `wanted`."""
    if x.shape != wanted.shape or x.size == 0:
        return
    sample, target = (np.resize(values.ravel(), _SAMPLE) for values in (x, wanted))
    for name in ACTIVATIONS:
        near = name in _OF_ROWS or np.allclose(activated(name, sample), target, rtol=1e-4)
        if near:
            yield name, activated(name, x)


def _pool(name: str, axes: int, *args: Any, **options: Any) -> Function:
    return lambda x: getattr(F, f"{name}_pool{axes}d")(x, *args, **options)


def _resize(**options: Any) -> Function:
    return lambda x: F.interpolate(x, scale_factor=2, **options)


def resamplings(axes: int) -> dict[str, Function]:
    """Pooling and resizing over so many spatial axes, by what it would be called."""
    functions: dict[str, Function] = {}
    for kernel, stride, padding in ((2, 2, 0), (3, 2, 1), (3, 2, 0), (3, 1, 1), (2, 1, 0)):
        for ceil in (False, True):
            sizes = f"{kernel}, {stride}, {padding}, ceil_mode={ceil}"
            functions[f"max_pool({sizes})"] = _pool("max", axes, kernel, stride, padding, 1, ceil)
            for counted in (True, False) if padding or ceil else (True,):
                name = f"avg_pool({sizes}, count_include_pad={counted})"
                functions[name] = _pool("avg", axes, kernel, stride, padding, ceil, counted)
    spatial = tuple(range(1, axes + 1))
    functions["mean over all pixels"] = lambda x: jnp.mean(jnp.asarray(x), spatial)
    functions["maximum over all pixels"] = lambda x: jnp.max(jnp.asarray(x), spatial)
    functions["interpolate('nearest')"] = _resize(mode="nearest")
    linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    for align in (False, True):
        name = f"interpolate({linear!r}, align_corners={align})"
        functions[name] = _resize(mode=linear, align_corners=align)
    return functions


def flattened_otherwise(
    rows: np.ndarray, channels: Sequence[int]
) -> Iterator[tuple[str, np.ndarray]]:
    """(how, rows in another order) of rows that may be flattened images.

    Args:
      rows: `(n, features)`.
      channels: Numbers of channels that the images may have had.
    """
    n, features = rows.shape
    for c in dict.fromkeys(channels):
        if c < 2 or features % c or features == c:
            continue
        pixels = features // c
        heights = [h for h in range(1, pixels + 1) if pixels % h == 0]
        for h in sorted(heights, key=lambda h: abs(h - math.sqrt(pixels))):
            w = pixels // h
            yield "(h, w, c)", rows.reshape(n, c, h, w).transpose(0, 2, 3, 1).reshape(n, -1)
            yield "(c, h, w)", rows.reshape(n, h, w, c).transpose(0, 3, 1, 2).reshape(n, -1)
            yield "(w, h, c)", rows.reshape(n, c, h, w).transpose(0, 3, 2, 1).reshape(n, -1)
            yield "(c, w, h)", rows.reshape(n, c, h, w).transpose(0, 1, 3, 2).reshape(n, -1)
