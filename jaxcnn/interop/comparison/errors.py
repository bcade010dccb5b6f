"""Errors of every pair of layers, from the runs in one dtype."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.interop.comparison.align import arrays_of
from jaxcnn.interop.comparison.layers import in_torch_layout
from jaxcnn.interop.comparison.passes import ROOT, Pass
from jaxcnn.interop.comparison.trace import Arrays, Call
from jaxcnn.interop.comparison.values import Error, Value, error_between, worst

OUTPUT = "(output)"
_STATISTICS = ("running_mean", "running_var")
# Gradients that are zero in theory are rounding noise: this share of the largest is their scale.
_FLOOR = 1e-6


@dataclasses.dataclass(frozen=True)
class Pair:
    """A pair of calls with their errors.

    Attributes:
      name: The reference's name, "(output)" for what the model returns.
      theirs: The reference's call.
      free: The model's call in its own run; None if it did not come so far.
      ours: The model's call on the reference's input.
      errors: By quantity, see `LayerReport`.
    """

    name: str
    theirs: Call
    free: Call | None
    ours: Call
    errors: Mapping[str, Error]


def measured_pairs(found: Pass) -> list[Pair]:
    """Every pair, in the reference's order, and last what the models return."""
    free = found.free.by_key
    rows = [
        _pair(found, theirs, ours, free.get(ours.key)) for theirs, ours in found.alignment.pairs
    ]
    root = found.followed.by_key[ROOT]
    if any(pair.theirs.key == ROOT for pair in rows) or root.outputs is None:
        return rows
    theirs, alone = found.reference.by_key[ROOT], free.get(ROOT)
    errors = {"input": _errors(theirs.outputs, root.outputs)}
    if alone is not None and alone.outputs is not None:
        errors["output"] = _errors(theirs.outputs, alone.outputs)
    kept = {name: error for name, error in errors.items() if error is not None}
    return [*rows, Pair(OUTPUT, theirs, alone, root, kept)]


def _pair(found: Pass, theirs: Call, ours: Call, free: Call | None) -> Pair:
    errors: dict[str, Error | None] = {"input": _errors(theirs.inputs, ours.inputs)}
    if ours.outputs is not None:
        errors["own_output"] = _errors(theirs.outputs, ours.outputs)
    if free is not None and free.outputs is not None:
        errors["output"] = _errors(theirs.outputs, free.outputs)
    if theirs.key[1] == 0:
        errors |= _array_errors(found, theirs, ours)
    name = theirs.key[0] + (f" (call {theirs.key[1] + 1})" if theirs.key[1] else "")
    kept = {quantity: error for quantity, error in errors.items() if error is not None}
    return Pair(name or theirs.class_name, theirs, free, ours, kept)


def _errors(theirs: Sequence[Value] | None, ours: Sequence[Value]) -> Error | None:
    pairs = zip(theirs or (), ours, strict=False)
    return worst([error_between(o.like(o.array.shape), t.like(o.array.shape)) for t, o in pairs])


def _array_errors(found: Pass, theirs: Call, ours: Call) -> dict[str, Error | None]:
    def arrays(reference: Arrays, model: Arrays) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(shared_arrays(theirs, ours, reference, model).values())

    names = shared_arrays(theirs, ours, found.reference.statistics, found.followed.statistics)
    statistics = [error_between(o, t) for k, (t, o) in names.items() if k in _STATISTICS]
    norms = [float(np.linalg.norm(g)) for g in found.reference.gradients.values()]
    floor = _FLOOR * max(norms, default=0.0)
    gradients = arrays(found.reference.gradients, found.followed.gradients)
    own = [_joint_error(gradients, floor)] if gradients else []
    own += _input_gradient_errors(found, theirs, ours)
    accumulated = arrays(found.reference.gradients, found.free.gradients)
    steps = arrays(found.reference_steps, found.model_steps)
    return {
        "statistics": worst(statistics) if found.train else None,
        "own_gradient": worst(own),
        "gradient": _joint_error(accumulated, floor) if accumulated else None,
        "parameters": _joint_error(steps, 0.0) if steps else None,
    }


def shared_arrays(
    theirs: Call, ours: Call, reference: Arrays, model: Arrays
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(reference's, model's) arrays of a pair of layers, by PyTorch's names, in its layout."""
    a = in_torch_layout(theirs.layer, arrays_of(reference, theirs.key[0]))
    b = in_torch_layout(ours.layer, arrays_of(model, ours.key[0]))
    return {
        name: (value, b[name])
        for name, value in a.items()
        if name in b and not name.endswith("num_batches_tracked")
    }


def _joint_error(pairs: Sequence[tuple[np.ndarray, np.ndarray]], floor: float) -> Error:
    """Of all arrays of a layer as one: a bias whose gradient is zero has none of its own."""
    if any(a.shape != b.shape for a, b in pairs):
        return error_between(np.zeros(1), np.zeros(2))
    a, b = (np.concatenate([np.ravel(x) for x in arrays]) for arrays in zip(*pairs, strict=True))
    return error_between(b, a, floor)


def _input_gradient_errors(found: Pass, theirs: Call, ours: Call) -> list[Error]:
    given: Any = found.reference.input_gradients.get(theirs.key, [])
    own = found.followed.input_gradients.get(ours.key, [])
    norms = [
        float(np.linalg.norm(g)) for gs in found.reference.input_gradients.values() for g in gs
    ]
    floor = _FLOOR * max(norms, default=0.0)
    return [
        error_between(
            Value(o, mine.channels_first).like(o.shape),
            Value(g, yours.channels_first).like(o.shape),
            floor,
        )
        for g, o, yours, mine in zip(given, own, theirs.inputs, ours.inputs, strict=False)
        if o.ndim
    ]
