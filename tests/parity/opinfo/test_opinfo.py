"""The table against PyTorch, live: a fixed slice of the samples, or all with `--full`."""

from __future__ import annotations

import random

import pytest

from .harness import run
from .sample import samples
from .table import ENTRIES

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytest.importorskip("expecttest", reason="PyTorch's operator tests need expecttest")
pytest.importorskip("hypothesis", reason="PyTorch's operator tests need hypothesis")
pytestmark = pytest.mark.torch

SLICE = 2


@pytest.mark.parametrize("id", ENTRIES)
def test_equals_torch(id: str, request: pytest.FixtureRequest) -> None:
    entry = ENTRIES[id]
    at = None
    if not request.config.getoption("full"):
        count = len(samples(entry, "float32"))
        at = sorted(random.Random(id).sample(range(count), min(SLICE, count)))
    report = run(entry, at=at)
    failures = [line for measured in report.values() for line in measured.failures]
    assert not failures, "\n".join(failures[:20])
