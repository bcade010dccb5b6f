"""Both models run in one dtype."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn._checks import check
from jaxcnn.interop.comparison.align import Alignment, align
from jaxcnn.interop.comparison.linen_model import LinenModel
from jaxcnn.interop.comparison.trace import Arrays, Call, Key, Trace
from jaxcnn.interop.comparison.values import to_channels_first

ROOT: Key = ("", 0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `compare` was asked for."""

    train: bool
    backward: bool
    steps: int


@dataclasses.dataclass(frozen=True)
class Pass:
    """All that was measured in one dtype.

    Attributes:
      dtype: The dtype.
      train: Whether in training mode.
      reference: The reference's run.
      free: The model's own run.
      followed: The model's run in which every layer is given the reference's input.
      alignment: Which calls are counterparts; the models' own calls come last.
      reference_steps: The reference's arrays after the steps of SGD.
      model_steps: The model's.
    """

    dtype: str
    train: bool
    reference: Trace
    free: Trace
    followed: Trace
    alignment: Alignment
    reference_steps: Arrays
    model_steps: Arrays


@contextlib.contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Allows float64 where that is the dtype."""
    with jax.enable_x64(dtype == "float64"):
        yield


def run_pass(
    reference: Any, model: LinenModel, inputs: Sequence[np.ndarray], dtype: str, settings: Settings
) -> Pass:
    """Runs both models in one dtype.

    Raises:
      ValueError: If one of them does not take the inputs, or they have no layer in common.
    """
    with computing_in(dtype):
        theirs = _reference_run(reference, inputs, dtype, settings.train)
        free = model.run(inputs, dtype, settings.train)
        alignment, followed = _follow(reference, model, inputs, dtype, settings, theirs, free)
        theirs, free, followed, steps = _backwards(
            reference, model, inputs, dtype, settings, (theirs, free, followed), alignment
        )
    return Pass(dtype, settings.train, theirs, free, followed, alignment, *steps)


def follow(
    model: LinenModel, inputs: Sequence[np.ndarray], dtype: str, train: bool, found: Pass
) -> Trace:
    """Runs the model's layers on the reference's inputs once more."""
    with computing_in(dtype):
        return model.follow(inputs, dtype, train, _counterparts(found.alignment))


def variable_shapes(reference: Any, model: linen.Module, inputs: Sequence[np.ndarray]) -> Any:
    """The shapes of a model's variables, although one of its layers gives the next a wrong shape.

    Each layer is given what the reference's layer of the same name is given.
    """
    theirs = _reference_run(reference, inputs, "float32", False)
    calls = {call.key: call for call in theirs.calls if call.key != ROOT}
    try:
        return LinenModel(model, {}).shapes(inputs, calls)
    except Exception as error:
        raise _refused("model", inputs, error) from error


def _reference_run(reference: Any, inputs: Sequence[np.ndarray], dtype: str, train: bool) -> Trace:
    try:
        trace = reference.run(inputs, dtype, train)
    except Exception as error:
        raise _refused("reference", inputs, error) from error
    if trace.failure is not None:
        raise _refused("reference", inputs, trace.failure) from trace.failure
    return trace


def _refused(who: str, inputs: Sequence[np.ndarray], error: Exception) -> ValueError:
    shapes = [x.shape for x in inputs]
    text = " ".join(str(error).split())[:300]
    return ValueError(
        f"compare: the {who} must take the inputs (images channels last), got shapes={shapes}; "
        f"{type(error).__name__}: {text.rstrip('.')}."
    )


def _counterparts(alignment: Alignment) -> dict[Key, Call]:
    return {ours.key: theirs for theirs, ours in alignment.pairs if theirs.outputs is not None}


def _follow(
    reference: Any,
    model: LinenModel,
    inputs: Sequence[np.ndarray],
    dtype: str,
    settings: Settings,
    theirs: Trace,
    free: Trace,
) -> tuple[Alignment, Trace]:
    """A model that fails at one layer goes on behind it with the reference's output."""
    seen, arrays = free, (reference.arrays(), model.arrays())
    while True:
        alignment = _aligned(theirs, seen, *arrays)
        followed = model.follow(inputs, dtype, settings.train, _counterparts(alignment))
        if len(followed.calls) <= len(seen.calls):
            break
        seen = followed
    return _aligned(theirs, followed, *arrays), followed


def _aligned(theirs: Trace, ours: Trace, reference: Arrays, model: Arrays) -> Alignment:
    alignment = align(theirs, ours, reference, model)
    if alignment.pairs:
        return alignment
    roots = theirs.by_key[ROOT], ours.by_key[ROOT]
    single = min(len(theirs.calls), len(ours.calls)) == 1
    same = sorted(x.size for x in reference.values()) == sorted(x.size for x in model.values())
    names = [
        f"{type(call.layer).__name__} with {n} layers"
        for call, n in zip(roots, (len(theirs.calls) - 1, len(ours.calls) - 1), strict=True)
    ]
    rule = "the models must have layers in common, by name or by kind and size"
    check(single and same, "compare", rule, reference=names[0], model=names[1])
    return Alignment((roots,), (), ())


def _backwards(
    reference: Any,
    model: LinenModel,
    inputs: Sequence[np.ndarray],
    dtype: str,
    settings: Settings,
    traces: tuple[Trace, Trace, Trace],
    alignment: Alignment,
) -> tuple[Trace, Trace, Trace, tuple[Arrays, Arrays]]:
    """The traces with gradients, and the arrays after the steps, if they were asked for."""
    theirs, free, followed = traces
    cotangents = _cotangents(theirs.calls[0], free.calls[0])
    wanted = settings.backward or settings.steps
    if not wanted or cotangents is None or followed.failure is not None:
        return (*traces, ({}, {}))
    given, ours = cotangents
    steps: tuple[Arrays, Arrays] = ({}, {})
    if settings.steps:
        steps = (
            reference.train(inputs, dtype, settings.train, settings.steps, given),
            model.train(inputs, dtype, settings.train, settings.steps, ours),
        )
    if settings.backward:
        theirs = reference.run(inputs, dtype, settings.train, given)
        free = model.run(inputs, dtype, settings.train, ours)
        upstream = {
            mine.key: theirs.output_gradients[yours.key]
            for yours, mine in alignment.pairs
            if yours.key in theirs.output_gradients
        }
        pairs = _counterparts(alignment)
        followed = model.follow(inputs, dtype, settings.train, pairs, upstream)
    return theirs, free, followed, steps


def _cotangents(theirs: Call, ours: Call) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Fixed numbers to weigh the outputs by, in each model's layout; None if the shapes differ."""
    if ours.outputs is None or theirs.outputs is None:
        return None
    if len(ours.outputs) != len(theirs.outputs):
        return None
    rng = np.random.RandomState(0)
    given, own = [], []
    for yours, mine in zip(theirs.outputs, ours.outputs, strict=True):
        shape = mine.array.shape
        if yours.like(shape).shape != shape or not jnp.issubdtype(mine.array.dtype, jnp.floating):
            return None
        cotangent = rng.standard_normal(shape)
        own.append(cotangent)
        given.append(to_channels_first(cotangent) if yours.moves(shape) else cotangent)
    return given, own


def arrays_by_name(arrays: Mapping[str, np.ndarray], dtype: str) -> dict[str, np.ndarray]:
    """Floating arrays in `dtype`."""
    return {
        k: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x
        for k, x in arrays.items()
    }
