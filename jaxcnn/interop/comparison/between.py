"""Why a layer is given another input although the layers before it agree.

What stands between two layers is code that no hook sees: functional activations, pooling,
reshaping. Known programs are tried on what earlier layers gave, until one gives the reference's
input and one the model's.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxcnn.interop.comparison.causes import Attempt, Cause, first_that_explains
from jaxcnn.interop.comparison.functions import (
    ACTIVATIONS,
    GELU,
    activated,
    flattened_otherwise,
    matching_activations,
    resamplings,
)
from jaxcnn.interop.comparison.values import error_between


@dataclasses.dataclass(frozen=True)
class Between:
    """An input that differs.

    Attributes:
      expected: What the reference's layer was given, channels last.
      actual: What the model's layer was given.
      sources: What earlier layers gave, and the model's inputs; the nearest first.
    """

    expected: np.ndarray
    actual: np.ndarray
    sources: Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Program:
    """One activation, resampling and flattening, "" for none."""

    activation: str = ""
    resampling: str = ""
    order: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in dataclasses.astuple(self) if part) or "nothing"


def find_cause_between(found: Between, own_error: float, limit: float) -> Cause | None:
    """The tested cause of a difference between layers; None if no known program explains it."""
    actual, expected = found.actual, found.expected
    cause = first_that_explains(_of_expected(found), actual, own_error, limit)
    if cause is None:
        cause = first_that_explains(_of_actual(found), expected, own_error, limit)
    return cause or _by_programs(found, limit)


def _channels(found: Between) -> list[int]:
    return [source.shape[-1] for source in found.sources if source.ndim > 2]


def _of_expected(found: Between) -> Iterator[Attempt]:
    """What makes the reference's input the model's."""
    x = found.expected
    for name, values in matching_activations(x, found.actual):
        text = f"the model has another {name} before this layer"
        yield Attempt("activation", text, lambda values=values: [values])
    if x.ndim == 2:
        for how, rows in flattened_otherwise(x, _channels(found)):
            text = f"the model flattens as {how}, the reference otherwise"
            yield Attempt("flatten order", text, lambda rows=rows: [rows])
    if x.ndim > 3:
        text = "the model swaps height and width before this layer"
        yield Attempt("layout", text, lambda: [np.swapaxes(x, 1, 2)])
    yield Attempt("layout", "the model's channels are in reverse", lambda: [x[..., ::-1]])


def _of_actual(found: Between) -> Iterator[Attempt]:
    """What makes the model's input the reference's."""
    for name, values in matching_activations(found.actual, found.expected):
        text = f"the model leaves {name} out before this layer"
        yield Attempt("activation", text, lambda values=values: [values])


def _by_programs(found: Between, limit: float) -> Cause | None:
    for source in found.sources:
        theirs = _first_program(source, found.expected, limit)
        if theirs is None:
            continue
        ours = _first_program(source, found.actual, limit)
        if ours is not None and theirs != ours:
            text = f"the reference has {theirs} before this layer, the model {ours}"
            return Cause(_difference(theirs, ours), text, 0.0)
    return None


def _first_program(source: np.ndarray, wanted: np.ndarray, limit: float) -> _Program | None:
    fitting = _fitting_resamplings(source, wanted)
    for activation in ("", *ACTIVATIONS) if fitting else ():
        x = activated(activation, source) if activation else source
        for name, resampling in fitting.items():
            for order, y in _orders(np.asarray(resampling(x)), wanted.shape):
                if error_between(y, wanted).relative <= limit:
                    return _Program(activation, name, order)
    return None


def _fitting_resamplings(source: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Those that give as many numbers as are wanted."""
    resampled: dict[str, Any] = {"": lambda x: x}
    if 3 <= source.ndim <= 5:
        resampled |= resamplings(source.ndim - 2)
    fitting = {}
    for name, resampling in resampled.items():
        with contextlib.suppress(Exception):  # it does not fit the shape
            if jax.eval_shape(resampling, source).size == wanted.size:
                fitting[name] = resampling
    return fitting


def _orders(y: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    if y.shape == shape:
        yield "", y
    elif len(shape) == 2 and y.ndim > 2 and y.shape[0] == shape[0]:
        yield "flatten (c, h, w)", np.moveaxis(y, -1, 1).reshape(shape)
        yield "flatten (h, w, c)", y.reshape(shape)


def _difference(theirs: _Program, ours: _Program) -> str:
    """What the programs' difference is called."""
    if theirs.activation != ours.activation:
        pair = {theirs.activation, ours.activation}
        if pair == set(GELU):
            return "GELU form"
        leaky = all(name.startswith("leaky_relu") for name in pair)
        return "slope" if leaky else "activation"
    if theirs.order != ours.order:
        return "flatten order"
    for option in ("ceil_mode", "count_include_pad", "align_corners"):
        values = [
            program.resampling.partition(f"{option}=")[2].partition(",")[0].rstrip(")")
            for program in (theirs, ours)
        ]
        if all(values) and values[0] != values[1]:
            return option
    return "pooling"
