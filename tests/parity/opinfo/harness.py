"""Measures the difference between PyTorch and jaxcnn on OpInfo's samples."""

from __future__ import annotations

import dataclasses
import functools
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..case import TOLERANCES
from .entry import CHECKS, Entry
from .sample import (
    Sample,
    jax_function,
    jax_inputs,
    op_info,
    samples,
    to_numpy,
    torch_values,
    two_rows,
    with_gradients,
)

HALF = ("float16", "bfloat16")


@dataclasses.dataclass
class Measured:
    """What one check found.

    Attributes:
      samples: Samples that ran.
      largest: Largest error: of outputs |a - e| / max(1, |e|), of gradients |a - e| / max|e|.
      failures: One line for each sample that failed.
      skipped: How many samples were left out, by reason.
    """

    samples: int = 0
    largest: float = 0.0
    failures: list[str] = dataclasses.field(default_factory=list)
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, other: Measured) -> None:
        self.samples += other.samples
        self.largest = max(self.largest, other.largest)
        self.failures += other.failures
        for reason, count in other.skipped.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + count


Report = dict[str, Measured]


def run(entry: Entry, *, checks: Sequence[str] = CHECKS, at: Sequence[int] | None = None) -> Report:
    """Measures an entry.

    Args:
      entry: The row of the table.
      checks: What to measure.
      at: Numbers of the samples; all if None.
    """
    report = {check: Measured() for check in checks}
    with jax.default_matmul_precision("highest"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Explicitly requested dtype int64")
        for i, sample in _numbered(samples(entry, "float32"), at):
            _measure_float32(entry, i, sample, report)
        with jax.enable_x64(True):
            if "float64" in checks:
                for i, sample in _numbered(samples(entry, "float64"), at):
                    _measure_float64(entry, i, sample, report)
        if "errors" in checks:
            _measure_errors(entry, report["errors"])
    return report


def _numbered(all: list[Sample], at: Sequence[int] | None) -> Iterator[tuple[int, Sample]]:
    return ((i, all[i]) for i in (range(len(all)) if at is None else at) if i < len(all))


def _measure_float32(entry: Entry, i: int, sample: Sample, report: Report) -> None:
    outputs, grads = torch_values(entry, sample)
    inputs = jax_inputs(sample)
    compiled = functools.cache(lambda: _compiled(entry, sample, inputs, bool(grads)))
    measure = functools.partial(_measure, entry, i, sample, report)
    measure(
        "forward",
        lambda: _outputs_error(entry, jax_function(entry, sample)(*inputs), outputs, "float32"),
    )
    measure("jit", lambda: _outputs_error(entry, compiled()[0], outputs, "float32"))
    if grads:
        measure("gradient", lambda: _gradients_error(entry, compiled()[1], grads, "float32"))
        measure("vmap", lambda: _vmap_error(entry, sample, *inputs))
    for dtype in HALF:
        measure(dtype, lambda dtype=dtype: _half_error(entry, sample, dtype))


def _measure_float64(entry: Entry, i: int, sample: Sample, report: Report) -> None:
    outputs, grads = torch_values(entry, sample)

    def error() -> float:
        actual = _compiled(entry, sample, jax_inputs(sample), bool(grads))
        return max(
            _outputs_error(entry, actual[0], outputs, "float64"),
            _gradients_error(entry, actual[1], grads, "float64"),
        )

    _measure(entry, i, sample, report, "float64", error)


def _compiled(entry: Entry, sample: Sample, inputs: Any, gradients: bool) -> tuple[Any, Any]:
    """jaxcnn's outputs and gradients under jit."""
    if gradients:
        return jax_function(entry, sample, with_gradients)(*inputs)
    return jax_function(entry, sample, jax.jit)(*inputs), []


def _measure(
    entry: Entry, i: int, sample: Sample, report: Report, check: str, error: Callable[[], float]
) -> None:
    """Runs one check of one sample; what goes wrong becomes a line of the report."""
    if check not in report:
        return
    measured = report[check]
    reason = entry.skipped(check, sample.args, sample.kwargs)
    if reason is not None:
        measured.skipped[reason] = measured.skipped.get(reason, 0) + 1
        return
    measured.samples += 1
    try:
        measured.largest = max(measured.largest, error())
    except Exception as problem:  # every sample gets its turn
        lines = f"{type(problem).__name__}: {problem}".strip().splitlines()
        text = " ".join(line.strip() for line in lines if line.strip())[:500]
        measured.failures.append(f"{entry.id}[{i}] {check}: {text}; {_described(sample)}")


def _described(sample: Sample) -> str:
    shown = [f"{str(t.dtype)[6:]}{list(t.shape)}" for t in sample.tensors]
    return repr(sample.rebuilt([_Shown(s) for s in shown]))[:300]


class _Shown(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _half_error(entry: Entry, sample: Sample, dtype: str) -> float:
    """Against PyTorch's float32 on the rounded inputs, which no half precision blurs."""
    import torch

    half = getattr(torch, dtype)
    rounded = [t.detach().to(half).float() if t.is_floating_point() else t for t in sample.tensors]
    outputs, _ = torch_values(entry, Sample(*sample.rebuilt(rounded)))
    wanted, others = jax_inputs(sample, dtype)
    actual = jax_function(entry, sample)(wanted, others)
    expected = [
        to_numpy(torch.tensor(y).to(half).float()) if y.dtype.kind == "f" else y for y in outputs
    ]
    return _outputs_error(entry, actual, expected, dtype)


def _vmap_error(
    entry: Entry, sample: Sample, wanted: Sequence[Any], others: Sequence[Any]
) -> float:
    """Two rows, the second half as large, against one after the other."""
    rows = [wanted, [x * 0.5 for x in wanted]]
    stacked = [jnp.stack(pair) for pair in zip(*rows, strict=True)]
    actual = jax_function(entry, sample, two_rows)(stacked, others)
    single = jax_function(entry, sample)
    return max(
        _outputs_error(
            entry,
            [y[i] for y in actual],
            [np.asarray(y) for y in single(row, others)],
            "float32",
        )
        for i, row in enumerate(rows)
    )


def _outputs_error(
    entry: Entry, actual: Sequence[Any], expected: Sequence[np.ndarray], dtype: str
) -> float:
    """The largest error; AssertionError over the tolerance."""
    assert len(actual) == len(expected), f"{len(actual)} outputs, PyTorch has {len(expected)}"
    return max(
        (
            _error(entry, np.asarray(a), e, dtype, 1.0)
            for a, e in zip(actual, expected, strict=True)
        ),
        default=0.0,
    )


def _gradients_error(
    entry: Entry, actual: Sequence[Any], expected: Sequence[np.ndarray], dtype: str
) -> float:
    """The same of gradients, scaled by the largest entry."""
    errors = [0.0]
    for a, e in zip(actual, expected, strict=True):
        finite = np.abs(e[np.isfinite(e)])
        scale = float(finite.max(initial=0.0)) or 1.0
        errors.append(_error(entry, np.asarray(a), e, dtype, scale))
    return max(errors)


def _error(entry: Entry, a: np.ndarray, e: np.ndarray, dtype: str, scale: float) -> float:
    rtol, atol = entry.tolerances.get(dtype, TOLERANCES[dtype])
    assert a.shape == e.shape, f"shape {a.shape}, PyTorch has {e.shape}"
    if e.dtype.kind == "f":
        wanted = dtype if dtype in (*HALF, "float64") else "float32"
        assert jnp.issubdtype(a.dtype, jnp.floating), f"dtype {a.dtype}"
        assert e.dtype.itemsize > 4 or a.dtype == wanted, f"dtype {a.dtype}, not {wanted}"
    a, e = a.astype(np.float64) / scale, e.astype(np.float64) / scale
    np.testing.assert_allclose(a, e, rtol, atol)
    difference = np.abs(a - e)[np.isfinite(e)] / np.maximum(1, np.abs(e[np.isfinite(e)]))
    return float(difference.max(initial=0.0))


def _measure_errors(entry: Entry, measured: Measured) -> None:
    """Wrong input must raise ValueError or TypeError in jaxcnn's form."""
    op = op_info(entry.name, entry.variant)
    if op.error_inputs_func is None:
        return
    for i, error in enumerate(op.error_inputs("cpu")):
        raw = error.sample_input
        sample = Sample((raw.input, *raw.args), raw.kwargs)
        single = {"errors": measured}
        _measure(entry, i, sample, single, "errors", lambda sample=sample: _refused(entry, sample))


def _refused(entry: Entry, sample: Sample) -> float:
    args, kwargs = sample.rebuilt([jnp.asarray(a) for a in sample.arrays()])
    try:
        entry.call(*args, **kwargs)
    except (ValueError, TypeError) as refused:
        error = str(refused)
    else:
        raise AssertionError("wrong input was accepted")
    assert re.fullmatch(r"\w+: .+, got .+\.", error, re.DOTALL), f"not in jaxcnn's form: {error}"
    return 0.0
