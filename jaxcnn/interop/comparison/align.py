"""Which layer of one model corresponds to which of the other: by name, else by order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.interop.comparison.trace import Arrays, Call, Key, Trace, ancestors
from jaxcnn.interop.comparison.values import kind

_ROOT: Key = ("", 0)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Pairs of calls, in the order of the reference.

    Attributes:
      pairs: (reference's call, model's call).
      only_reference: Names of the reference's innermost layers without a counterpart.
      only_model: The same of the model.
    """

    pairs: tuple[tuple[Call, Call], ...]
    only_reference: tuple[str, ...]
    only_model: tuple[str, ...]


def align(
    reference: Trace, model: Trace, reference_arrays: Arrays, model_arrays: Arrays
) -> Alignment:
    """Pairs the innermost calls that both models have.

    Calls of the same name are a pair; those that are left over are paired between their neighbours
    if they are of one kind and have parameters of the same sizes.
    """
    common = set(reference.by_key) & set(model.by_key) - {_ROOT}
    outer = [_outer(trace, common) for trace in (reference, model)]
    named = {key: key for key in common if not any(key in keys for keys in outer)}
    pairs = dict(named)
    rest = [
        _segments(trace, places, arrays)
        for trace, places, arrays in (
            (reference, {k: i for i, k in enumerate(_ordered(reference, named))}, reference_arrays),
            (model, {k: i for i, k in enumerate(_ordered(reference, named))}, model_arrays),
        )
    ]
    for a, b in _longest_common(*rest):
        pairs[a] = b
    by_key = model.by_key
    ordered = tuple(
        (call, by_key[pairs[call.key]]) for call in reference.calls if call.key in pairs
    )
    return Alignment(
        ordered,
        _left(reference, {call.key for call, _ in ordered}),
        _left(model, {call.key for _, call in ordered}),
    )


def _ordered(trace: Trace, named: Mapping[Key, Key]) -> list[Key]:
    return [call.key for call in trace.calls if call.key in named]


def _outer(trace: Trace, common: set[Key]) -> set[Key]:
    """Calls that another common call is part of."""
    return {
        trace.calls[i].key
        for position, call in enumerate(trace.calls)
        if call.key in common
        for i in ancestors(trace.calls, position)
    }


def _leaves(trace: Trace) -> list[int]:
    parents = {call.parent for call in trace.calls}
    return [i for i, call in enumerate(trace.calls) if i not in parents and call.key != _ROOT]


def _segments(
    trace: Trace, places: Mapping[Key, int], arrays: Arrays
) -> list[tuple[Key, tuple[Any, ...]]]:
    """(call, what must be equal in its counterpart) of innermost calls outside of all pairs."""
    rows: list[tuple[Key, tuple[Any, ...]]] = []
    seen, leaves = -1, set(_leaves(trace))
    for i, call in enumerate(trace.calls):
        if call.key in places:
            seen = places[call.key]
        elif i in leaves and not any(
            trace.calls[j].key in places for j in ancestors(trace.calls, i)
        ):
            rows.append((call.key, (seen, *_signature(call, arrays))))
    return rows


def _signature(call: Call, arrays: Arrays) -> tuple[Any, ...]:
    """Sizes of the parameters tell a layer in any layout; without any, its kind does."""
    sizes = sorted(x.size for name, x in arrays_of(arrays, call.key[0]).items() if _counts(name))
    return (kind(call.class_name) if not sizes else "", tuple(sizes))


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def arrays_of(arrays: Arrays, layer: str) -> dict[str, np.ndarray]:
    """A layer's arrays, by their names inside of it.

    Example:
      >>> arrays_of({"fc.bias": np.ones(2), "fc2.bias": np.ones(3)}, "fc")
      {'bias': array([1., 1.])}
    """
    prefix = f"{layer}." if layer else ""
    return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}


def _longest_common(
    a: Sequence[tuple[Key, tuple[Any, ...]]], b: Sequence[tuple[Key, tuple[Any, ...]]]
) -> list[tuple[Key, Key]]:
    """The longest common subsequence."""
    lengths = np.zeros((len(a) + 1, len(b) + 1), int)
    equal: Callable[[int, int], bool] = lambda i, j: a[i][1] == b[j][1]
    for i in reversed(range(len(a))):
        for j in reversed(range(len(b))):
            skipped = max(lengths[i + 1, j], lengths[i, j + 1])
            lengths[i, j] = lengths[i + 1, j + 1] + 1 if equal(i, j) else skipped
    i = j = 0
    pairs = []
    while i < len(a) and j < len(b):
        if equal(i, j):
            pairs.append((a[i][0], b[j][0]))
            i, j = i + 1, j + 1
        elif lengths[i + 1, j] >= lengths[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _left(trace: Trace, paired: set[Key]) -> tuple[str, ...]:
    names = [
        trace.calls[i].key[0]
        for i in _leaves(trace)
        if trace.calls[i].key not in paired
        and not any(trace.calls[j].key in paired for j in ancestors(trace.calls, i))
    ]
    return tuple(dict.fromkeys(names))
