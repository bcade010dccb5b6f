"""Samples whose values are stored in tests/golden, for a machine without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..stored import thin
from .entry import Entry
from .sample import Sample, jax_function, jax_inputs, samples, torch_values, with_gradients

# Numbers that the inputs of a stored sample may hold, and samples of one entry.
LARGEST, SAMPLES = 400, 5
Arrays = dict[str, np.ndarray]


def chosen(entry: Entry) -> list[Sample]:
    """Few small samples that together use every argument, each flag in each position."""
    small = [
        sample
        for sample in samples(entry, "float64")
        if not entry.skipped("float64", sample.args, sample.kwargs) and _storable(sample)
    ]
    picked: list[Sample] = []
    seen: set[Any] = set()
    while small and len(picked) < SAMPLES:
        best = max(small, key=lambda sample: len(_features(sample) - seen))
        if not _features(best) - seen:
            break
        seen |= _features(best)
        picked.append(_rounded(best))
        small.remove(best)
    return picked


def _storable(sample: Sample) -> bool:
    leaves = jax.tree.leaves((sample.args, sample.kwargs))
    plain = all(isinstance(x, bool | int | float | str) or hasattr(x, "ndim") for x in leaves)
    return plain and sum(t.numel() for t in sample.tensors) <= LARGEST


def _features(sample: Sample) -> set[Any]:
    """What a sample shows: the flags' values, which other arguments there are, the input's rank."""
    named = {**dict(enumerate(sample.args)), **sample.kwargs}
    return {
        (name, value if isinstance(value, bool | str | None) else type(value).__name__)
        for name, value in named.items()
    } | {("axes", np.ndim(sample.tensors[0]) if sample.tensors else 0)}


def _rounded(sample: Sample) -> Sample:
    """Inputs in steps of 1/1024, which a file holds in few bytes."""
    tensors = [
        ((t.detach() * 1024).round() / 1024).requires_grad_(t.requires_grad)
        if t.is_floating_point()
        else t
        for t in sample.tensors
    ]
    return Sample(*sample.rebuilt(tensors))


def packed(sample: Sample, id: str) -> tuple[Any, Arrays]:
    """(arguments as JSON, with "tensor" and its number for each array; the arrays)."""
    inputs = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in sample.arrays()]
    arguments = sample.rebuilt([{"tensor": i} for i in range(len(inputs))])
    return (
        {"arguments": arguments, "wanted": list(sample.wanted)},
        {f"{id}/input{i}": x for i, x in enumerate(inputs)},
    )


def unpacked(data: Mapping[str, Any], arrays: Mapping[str, np.ndarray], id: str) -> Sample:
    """The sample, floats in float64."""

    def array(leaf: Mapping[str, int]) -> np.ndarray:
        x = arrays[f"{id}/input{leaf['tensor']}"]
        return x.astype(np.float64) if x.dtype.kind == "f" else x

    is_tensor = lambda node: isinstance(node, dict) and node.keys() == {"tensor"}
    args, kwargs = jax.tree.map(
        lambda leaf: array(leaf) if is_tensor(leaf) else leaf, data["arguments"], is_leaf=is_tensor
    )
    return Sample(args, kwargs, data["wanted"])


def torch_stored(entry: Entry, sample: Sample, id: str) -> Arrays:
    """PyTorch's outputs and gradients, as the file holds them."""
    return _named(*torch_values(entry, sample), id)


def jax_stored(entry: Entry, sample: Sample, id: str) -> Arrays:
    """jaxcnn's, in float64."""
    inputs = jax_inputs(sample)
    if sample.wanted:
        return _named(*jax_function(entry, sample, with_gradients)(*inputs), id)
    return _named(jax_function(entry, sample)(*inputs), [], id)


def _named(outputs: Sequence[Any], gradients: Sequence[Any], id: str) -> Arrays:
    named = {f"{id}/output{i}": thin(np.asarray(y)) for i, y in enumerate(outputs)}
    return named | {f"{id}/grad{i}": thin(np.asarray(g)) for i, g in enumerate(gradients)}
