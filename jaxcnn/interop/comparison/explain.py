"""From errors to a verdict: which layers diverge, and the tested cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.interop.comparison.align import arrays_of
from jaxcnn.interop.comparison.between import Between, find_cause_between
from jaxcnn.interop.comparison.causes import Cause, Divergence, find_cause
from jaxcnn.interop.comparison.errors import OUTPUT, Pair, measured_pairs
from jaxcnn.interop.comparison.layers import Layer, in_torch_layout, rebuilt
from jaxcnn.interop.comparison.linen_model import LinenModel
from jaxcnn.interop.comparison.passes import Pass, arrays_by_name, computing_in, follow
from jaxcnn.interop.comparison.report import JUDGED, LayerReport
from jaxcnn.interop.comparison.statistics import find_statistics_cause
from jaxcnn.interop.comparison.values import error_between

FLOAT32_LIMIT, FLOAT64_LIMIT = 1e-5, 1e-9
# PyTorch computes these with constants that are rounded to float32.
_ROUNDED = {"Hardsigmoid": 1e-7, "Hardswish": 1e-7}
_ROUNDING = 10
_EXPLAINED = 20
_NEAREST = 4
_NARROW = ("bfloat16", "float16", "float32")


class Explainer:
    """Judges the pairs of both passes and looks for causes.

    Args:
      reference: The reference.
      model: The model.
      inputs: What both were given.
      single: The pass in float32.
      double: The pass in float64, where that is possible.
    """

    def __init__(
        self,
        reference: Any,
        model: LinenModel,
        inputs: Sequence[np.ndarray],
        single: Pass,
        double: Pass | None,
    ) -> None:
        self._reference, self._model, self._inputs = reference, model, inputs
        self._single, self._double = single, double
        self._explained = 0
        self._precise: dict[Any, Pair] | None = None
        self.notes: list[str] = []

    def layers(self) -> list[LayerReport]:
        """A report for each pair."""
        singles = measured_pairs(self._single)
        doubles = {p.name: p for p in measured_pairs(self._double)} if self._double else {}
        rounding = self._rounding()
        reports, before = [], []
        for single in singles:
            double = doubles.get(single.name)
            diverges = self._judged(single, double, rounding)
            cause = None
            if diverges and self._explained < _EXPLAINED:
                cause = self._cause(single, double, diverges, before, rounding)
                self._explained += 1
            shapes = [y.array.shape for y in single.ours.outputs or ()]
            reports.append(
                LayerReport(
                    single.name,
                    OUTPUT if single.name == OUTPUT else single.ours.key[0] or single.name,
                    single.theirs.class_name,
                    shapes[0] if shapes else (),
                    single.errors,
                    double.errors if double else {},
                    diverges,
                    cause,
                )
            )
            before.insert(0, double or single)
        return reports

    def _rounding(self) -> dict[tuple[str, str], float]:
        """How far the reference's float32 is from its float64, by layer and quantity."""
        if self._double is None:
            return {}
        itself = dataclasses.replace(
            self._single,
            followed=self._double.reference,
            free=self._double.reference,
            model_steps=self._double.reference_steps,
            alignment=dataclasses.replace(
                self._single.alignment,
                pairs=tuple(
                    (call, self._double.reference.by_key[call.key])
                    for call, _ in self._single.alignment.pairs
                ),
            ),
        )
        return {
            (pair.name, quantity): error.relative
            for pair in measured_pairs(itself)
            for quantity, error in pair.errors.items()
        }

    def _judged(
        self, single: Pair, double: Pair | None, rounding: Mapping[tuple[str, str], float]
    ) -> tuple[str, ...]:
        return tuple(
            quantity
            for quantity in JUDGED
            if self._exceeds(single, quantity, FLOAT32_LIMIT, rounding)
            or (double and self._exceeds(double, quantity, self._double_limit(double), {}))
        )

    def _exceeds(
        self, pair: Pair, quantity: str, limit: float, rounding: Mapping[tuple[str, str], float]
    ) -> bool:
        if quantity not in pair.errors:
            return False
        limit = max(limit, _ROUNDING * rounding.get((pair.name, quantity), 0.0))
        return not pair.errors[quantity].relative <= limit

    def _double_limit(self, pair: Pair) -> float:
        """Layers that compute in float32 whatever they are given are judged as such."""
        outputs = pair.ours.outputs or []
        if outputs and outputs[0].array.dtype == np.float32:
            self._note(f"{pair.name}: the model computes it in float32 where float64 is given")
            return FLOAT32_LIMIT
        return _ROUNDED.get(pair.theirs.class_name, FLOAT64_LIMIT)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _cause(
        self,
        single: Pair,
        double: Pair | None,
        diverges: Sequence[str],
        before: Sequence[Pair],
        rounding: Mapping[tuple[str, str], float],
    ) -> Cause | None:
        wide = double is not None and any(
            self._exceeds(double, quantity, self._double_limit(double), {}) for quantity in diverges
        )
        if double is not None and not wide:
            return self._matmul_precision(single, diverges, rounding)
        pair, found = (double, self._double) if double and self._double else (single, self._single)
        limit = FLOAT64_LIMIT if found.dtype == "float64" else FLOAT32_LIMIT
        with computing_in(found.dtype), jax.default_matmul_precision("highest"):
            if "input" in diverges:
                return self._between(pair, before, limit)
            if "own_output" in diverges:
                return self._of_layer(pair, found, before, limit)
            if "statistics" in diverges:
                return self._of_statistics(pair, found, limit)
        return None

    def _matmul_precision(
        self, single: Pair, diverges: Sequence[str], rounding: Mapping[tuple[str, str], float]
    ) -> Cause | None:
        """Float64 agrees: perhaps float32 is only used in part, as TF32 on a GPU."""
        if self._precise is None:
            with jax.default_matmul_precision("highest"):
                train = self._single.train
                trace = follow(self._model, self._inputs, "float32", train, self._single)
            again = dataclasses.replace(self._single, followed=trace)
            ours = trace.by_key
            pairs = tuple((a, ours[b.key]) for a, b in again.alignment.pairs if b.key in ours)
            alignment = dataclasses.replace(again.alignment, pairs=pairs)
            again = dataclasses.replace(again, alignment=alignment)
            self._precise = {pair.name: pair for pair in measured_pairs(again)}
        pair = self._precise.get(single.name)
        if pair is None or any(
            self._exceeds(pair, quantity, FLOAT32_LIMIT, rounding) for quantity in diverges
        ):
            return None
        text = "at jax.default_matmul_precision('highest') it agrees; in float64 too"
        return Cause("TF32", text, max(pair.errors[q].relative for q in diverges))

    def _between(self, pair: Pair, before: Sequence[Pair], limit: float) -> Cause | None:
        theirs, ours = (
            (pair.theirs.outputs, pair.ours.outputs)
            if pair.name == OUTPUT
            else (pair.theirs.inputs, pair.ours.inputs)
        )
        sources = [
            value.like(own.array.shape)
            for earlier in before[:_NEAREST]
            for value, own in zip(
                earlier.theirs.outputs or (), earlier.ours.outputs or (), strict=False
            )
        ]
        sources += [x.astype(pair.ours.inputs[0].array.dtype) for x in self._inputs if x.ndim > 1]
        for value, own in zip(theirs or (), ours or (), strict=False):
            expected = value.like(own.array.shape)
            error = error_between(own.array, expected).relative
            if error > limit:
                narrow = _narrow(own.array, expected)
                if narrow:
                    return narrow
                return find_cause_between(Between(expected, own.array, sources), error, limit)
        return None

    def _of_layer(
        self, pair: Pair, found: Pass, before: Sequence[Pair], limit: float
    ) -> Cause | None:
        if not pair.ours.outputs or not pair.theirs.outputs:
            return None
        actual = pair.ours.outputs[0].array
        expected = pair.theirs.outputs[0].like(actual.shape)
        layer, counterpart = self._layer(pair, found), self._counterpart(pair, found)
        inputs = _inputs(pair)
        narrow = _narrow(actual, expected, layer, inputs)
        if narrow or layer is None:
            return narrow
        channels = [
            y.array.shape[-1] for p in before for y in p.ours.outputs or () if y.array.ndim > 2
        ]
        divergence = Divergence(layer, counterpart, inputs, expected, actual, channels)
        limit = max(limit, _ROUNDED.get(pair.theirs.class_name, 0.0))
        return find_cause(divergence, pair.errors["own_output"].relative, limit)

    def _of_statistics(self, pair: Pair, found: Pass, limit: float) -> Cause | None:
        layer = self._layer(pair, found)
        if layer is None:
            return None
        after = arrays_of(found.followed.statistics, pair.ours.key[0])
        actual = in_torch_layout(pair.ours.layer, after)
        error = pair.errors["statistics"].relative
        counterpart = self._counterpart(pair, found)
        return find_statistics_cause(layer, counterpart, _inputs(pair), actual, error, limit)

    def _layer(self, pair: Pair, found: Pass) -> Layer | None:
        call = pair.theirs
        arrays = arrays_of(self._reference.arrays(), call.key[0])
        first = any(
            x.moves(o.array.shape) for x, o in zip(call.inputs, pair.ours.inputs, strict=False)
        )
        return _rebuilt(call, arrays, found, first)

    def _counterpart(self, pair: Pair, found: Pass) -> Layer | None:
        return _rebuilt(pair.ours, arrays_of(self._model.arrays(), pair.ours.key[0]), found, False)


def _rebuilt(call: Any, arrays: Any, found: Pass, channels_first: bool) -> Layer | None:
    named = arrays_by_name(in_torch_layout(call.layer, arrays), found.dtype)
    ndim = call.inputs[0].array.ndim if call.inputs else 0
    return rebuilt(call.layer, named, ndim, found.train, channels_first)


def _inputs(pair: Pair) -> list[np.ndarray]:
    """What both layers were given: the reference's, channels last."""
    return [
        value.like(own.array.shape)
        for value, own in zip(pair.theirs.inputs, pair.ours.inputs, strict=False)
    ]


def _narrow(
    actual: np.ndarray,
    expected: np.ndarray,
    layer: Layer | None = None,
    inputs: Sequence[np.ndarray] = (),
) -> Cause | None:
    """A value that a narrower dtype holds exactly, and that differs by its rounding alone."""
    for name in _NARROW:
        dtype = jnp.dtype(name)
        floating = jnp.issubdtype(actual.dtype, jnp.floating)
        if not floating or dtype.itemsize >= expected.dtype.itemsize:
            continue
        kept = np.array_equal(actual.astype(dtype).astype(np.float64), actual.astype(np.float64))
        error = error_between(actual, expected).relative
        if not kept or error > 16 * float(jnp.finfo(dtype).eps):
            continue
        text = f"the model's numbers are {name}, and its rounding explains the difference"
        if layer is None:
            return Cause("dtype", text, error)
        again = layer.cast(dtype)(*(x.astype(dtype) for x in inputs))
        left = error_between(again[0], actual).relative
        if left < error:
            return Cause("dtype", f"in {name} the reference's layer gives the same", left)
    return None
