"""Every case against PyTorch, live: outputs and gradients, float32 and float64."""

from __future__ import annotations

import zlib

import jax
import numpy as np
import pytest

from jaxcnn import functional as F

from .case import assert_values, run_jax, run_torch
from .cases import CASES

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("id", CASES)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")  # PyTorch's
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior:UserWarning")  # too
def test_equals_torch(id: str, request: pytest.FixtureRequest) -> None:
    """Compiled; the stored values are compared with an uncompiled run.

    Float64 sees more; in float32, where OpInfo's samples run too, a fixed third unless `--full`.
    """
    case = CASES[id]
    dtypes = ["float64"]
    if request.config.getoption("full") or zlib.crc32(id.encode()) % 3 == 0:
        dtypes.append("float32")
    for dtype in dtypes:
        with jax.enable_x64(dtype == "float64"):
            assert_values(case, run_jax(case, dtype, jit=True), run_torch(case, dtype), dtype)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
@pytest.mark.parametrize("axes", [1, 2])
def test_nearest_positions(mode: str, axes: int) -> None:
    """Forward only: PyTorch's own 1-D gradient rounds ties at other places than its output."""
    factors = [{"scale_factor": factor} for factor in (1.1, 2.0, 2.05, 0.7)]
    for n in (1, 2, 3, 8):
        x = np.broadcast_to(np.arange(n, dtype=np.float32), (1, 1, *(n,) * axes))
        for arguments in [*factors, *({"size": size} for size in (1, 3, 16, 41, 47))]:
            if n * arguments.get("scale_factor", 1) < 1:
                continue
            theirs = torch.nn.functional.interpolate(
                torch.from_numpy(x.copy()), mode=mode, **arguments
            ).numpy()
            ours = F.interpolate(np.moveaxis(x, 1, -1), mode=mode, **arguments)
            message = f"n={n}, {arguments}"
            np.testing.assert_array_equal(np.moveaxis(ours, -1, 1), theirs, err_msg=message)
