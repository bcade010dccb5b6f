"""Makes one program of recordings with several batch sizes, in evaluation and in training."""

from __future__ import annotations

import dataclasses
import fractions
from collections.abc import Sequence
from typing import Any

import torch

from jaxcnn.interop.convert.calls import Call, Constant, Recording, Ref, Shape, Size
from jaxcnn.interop.convert.errors import ConversionError
from jaxcnn.interop.program import Batch, Either, Train

# Their rules write the result's sizes, or whether an axis has length 1, into the program.
_SIZE_MATTERS = {
    *("reshape", "view", "view_as", "reshape_as", "flatten", "unflatten", "ravel", "squeeze"),
    *("expand", "broadcast_to"),
    *("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty"),
    *("zeros_like", "ones_like", "full_like", "empty_like", "copy_"),
}
# Of these the sizes along one axis, the argument at this place.
_PARTS = {"chunk": 2, "split": 2, "tensor_split": 2}


@dataclasses.dataclass(frozen=True)
class Aligned:
    """What all recordings have in common.

    Attributes:
      calls: The calls, with Batch for each number that grows with the batch and Train for each
        flag that is set in training alone.
      inputs: A Ref for each tensor of the inputs.
      output: What is returned.
      shapes: {number of a Ref: its shape}.
      values: {number of a Ref: its value}, where it is a constant.
    """

    calls: list[Call]
    inputs: list[Ref]
    output: Any
    shapes: dict[int, Shape]
    values: dict[int, torch.Tensor]

    def same_but_for_sizes(self, run: Recording) -> bool:
        """Whether a recording with images of another size does the same, with the same numbers."""
        if len(run.calls) != len(self.calls):
            return False
        return all(map(_same_program, self.calls, run.calls))


class _Differs(Exception):
    """Two recordings do not do the same."""


def align(evaluations: Sequence[tuple[int, Recording]], training: Recording | None) -> Aligned:
    """One program of three recordings in evaluation, and one of training with the first's batch.

    Args:
      evaluations: (batch size, recording), three of them.
      training: A recording in training mode, with the first batch size; None leaves it out.

    Raises:
      ConversionError: If a condition of the module depends on the batch size, or training runs
        another program than evaluation.
    """
    sizes, recordings = zip(*evaluations, strict=True)
    runs = [*recordings, *([] if training is None else [training])]
    merge = _Merge(sizes, training is not None)
    calls = []
    for place in range(max(len(run.calls) for run in runs)):
        at_place = [run.calls[place] if place < len(run.calls) else None for run in runs]
        calls.append(_aligned(merge, at_place))
    first = recordings[0]
    shapes = {
        number: Shape(merge([run.shapes[number].sizes for run in runs]), shape.dtype)
        for number, shape in first.shapes.items()
    }
    values = {
        number: value
        for number, value in first.values.items()
        if all(_equal(value, run.values.get(number)) for run in runs)
    }
    try:
        output = merge([run.output for run in runs])
    except _Differs:
        raise _another_graph("what it returns") from None
    return Aligned(calls, first.inputs, output, shapes, values)


def _aligned(merge: _Merge, calls: Sequence[Call | None]) -> Call:
    evaluated = calls[: len(merge.sizes)]
    first = next(call for call in calls if call is not None)
    names = {None if call is None else (call.name, call.layer) for call in evaluated}
    if len(names) > 1:
        raise ConversionError(
            "from_torch: what the module does must not depend on the batch size, got another call"
            f" at {first.line}."
        )
    if len({None if call is None else (call.name, call.layer) for call in calls}) > 1:
        raise _another_graph(first.line)
    present = [call for call in calls if call is not None]
    try:
        args, kwargs = merge([(call.args, call.kwargs) for call in present])
        merge([(call.out, _sizes(call)) for call in present])
    except _Differs as difference:
        raise ConversionError(
            f"from_torch: {first.name} must be called alike for every batch size and in training,"
            f" got {difference} at {first.line}; pass mode='eval' to leave training out."
        ) from None
    return dataclasses.replace(first, args=args, kwargs=kwargs)


def _another_graph(line: str) -> ConversionError:
    return ConversionError(
        "from_torch: training must run the same calls as evaluation, got a difference at "
        f"{line}; pass mode='eval' or mode='train' to keep that program for both."
    )


class _Merge:
    """Makes one value of those of all recordings."""

    def __init__(self, sizes: Sequence[int], has_training: bool) -> None:
        self.sizes = tuple(sizes)
        self.has_training = has_training

    def __call__(self, values: Sequence[Any]) -> Any:
        first = values[0]
        if any(type(value) is not type(first) for value in values):
            raise _Differs(" and ".join(sorted({type(value).__name__ for value in values})))
        if isinstance(first, list | tuple):
            if len({len(value) for value in values}) > 1:
                raise _Differs(f"sequences of {sorted({len(value) for value in values})}")
            return type(first)(self(members) for members in zip(*values, strict=True))
        if isinstance(first, dict):
            if any(value.keys() != first.keys() for value in values):
                raise _Differs("other names")
            return {key: self([value[key] for value in values]) for key in first}
        if isinstance(first, slice):
            parts = [(value.start, value.stop, value.step) for value in values]
            return slice(*self(parts))
        if isinstance(first, Constant):
            if not all(_equal(first.value, value.value) for value in values):
                raise _Differs("constants that differ")
            return first
        if isinstance(first, bool):
            return self._flag(values)
        if isinstance(first, int):
            return self._number(values)
        if isinstance(first, float) and self.has_training and len(set(values[:-1])) == 1:
            return first if values[-1] == first else Either(first, values[-1])
        if all(value is first or value == first for value in values):
            return first
        raise _Differs(" and ".join(str(value) for value in values))

    def _flag(self, values: Sequence[bool]) -> Any:
        if len(set(values)) == 1:
            return values[0]
        if self.has_training and not any(values[:-1]) and values[-1]:
            return Train()
        raise _Differs("flags that differ")

    def _number(self, values: Sequence[int]) -> Size:
        if len(set(values)) == 1:
            return values[0]
        (n1, n2, n3), (x1, x2, x3) = self.sizes, values[:3]
        slope = fractions.Fraction(x2 - x1, n2 - n1)
        offset = x1 - slope * n1
        batch = Batch(slope.numerator, slope.denominator, int(offset))
        right = [batch.at(n) == x for n, x in ((n1, x1), (n2, x2), (n3, x3))]
        if offset.denominator == 1 and all(right) and values[-1] in (x1, x3):
            return batch
        raise _Differs(f"{x1}, {x2} and {x3} for batches of {n1}, {n2} and {n3}")


def _same_program(call: Call, other: Call) -> bool:
    if (call.name, call.layer) != (other.name, other.layer):
        return False
    if call.name in {*_SIZE_MATTERS, *_PARTS} and not _same_sizes(call, other):
        return False
    return _same((call.args, call.kwargs), (other.args, other.kwargs))


def _same_sizes(call: Call, other: Call) -> bool:
    ours, theirs = _sizes(call), _sizes(other)
    if call.name in _PARTS:
        dims = call.args[_PARTS[call.name] :]
        dim = call.kwargs.get("dim", dims[0] if dims else 0)
        return [sizes[dim] for sizes in ours] == [sizes[dim] for sizes in theirs]
    return ours == theirs


def _sizes(call: Call) -> list[tuple[Any, ...]]:
    """The sizes of what a call returns."""
    return [shape.sizes for shape in call.shapes.values()]


def _same(a: Any, b: Any) -> bool:
    """Whether two arguments are one; a size that grows with the batch is that of two images."""
    if isinstance(a, Batch):
        return a.at(2) == b
    if isinstance(a, Train | Either):
        return True
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _equal(a.value, b.value)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, slice):
        return isinstance(b, slice) and _same((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    return a is b or a == b


def _equal(a: torch.Tensor, b: torch.Tensor | None) -> bool:
    return b is not None and a.dtype == b.dtype and torch.equal(a, b)
