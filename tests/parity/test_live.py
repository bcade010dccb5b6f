"""Every case against PyTorch, live: outputs and gradients, float32 and float64."""

from __future__ import annotations

import numpy as np
import pytest

from .case import TOLERANCES, assert_values, run_jax, run_torch
from .cases import CASES, GOLDEN

pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("id", CASES)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's
def test_equals_torch(id: str, dtype: str) -> None:
    """Compiled; the stored values are compared with an uncompiled run."""
    case = CASES[id]
    assert_values(case, run_jax(case, dtype, jit=True), run_torch(case, dtype), dtype)


# Not held in bfloat16: PyTorch rounds after each of many layers, XLA fuses and rounds once.
_CHAINS = ("lenet", "cifar10", "Sequential", "BatchNorm2d-train")
# Scaled by the largest entry: one side rounds before it adds the bias, interpolates or averages,
# the other after, so small sums of large terms differ.
_ROUNDED_TWICE = ("conv2d", "Conv2d", "interpolate-linear", "batch_norm-train")


@pytest.mark.parametrize("id", [id for id in GOLDEN if not id.startswith(_CHAINS)])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_bfloat16(id: str) -> None:
    """Outputs alone, as a check that half precision runs and accumulates widely."""
    case = CASES[id]
    expected = run_torch(case, "bfloat16", gradients=False)
    actual = run_jax(case, "bfloat16", jit=True, gradients=False)
    if not id.startswith(_ROUNDED_TWICE):
        assert_values(case, actual, expected, "bfloat16")
        return
    for a, e in zip(actual.outputs, expected.outputs, strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=TOLERANCES["bfloat16"][0] * np.abs(e).max())
