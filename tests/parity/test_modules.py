"""Every class of jaxcnn.nn against torch.nn's, live: PyTorch's own module tests."""

from __future__ import annotations

import random

import pytest

from jaxcnn import nn

from .modules import EXTRA, Pair, module_infos, rows

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytest.importorskip("expecttest", reason="PyTorch's module tests need expecttest")
pytest.importorskip("hypothesis", reason="PyTorch's module tests need hypothesis")
pytestmark = pytest.mark.torch

# Compared elsewhere: containers in tests/nn, classes that torch.nn lacks in tests/nn and seeds.
CONTAINERS = {"ModuleDict", "ModuleList", "Sequential"}
NAMES = [name for name in nn.__all__ if hasattr(torch.nn, name) and name not in CONTAINERS]
SLICE = 3


@pytest.mark.parametrize("name", NAMES)
def test_equals_torch(name: str, request: pytest.FixtureRequest, x64: None) -> None:
    """Constructor, state_dict, printed form, outputs, gradients, running statistics."""
    assert name in EXTRA or name in module_infos()
    found = rows(name)
    if not request.config.getoption("full"):
        found = random.Random(name).sample(found, min(SLICE, len(found)))
    for row in found:
        Pair(name, *row).check()
