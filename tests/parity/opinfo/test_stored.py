"""The table against PyTorch's stored values: needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from ..case import TOLERANCES
from .stored import jax_stored, unpacked
from .table import ENTRIES

FOLDER = Path(__file__).parents[2] / "golden"
DATA: dict[str, Any] = json.loads((FOLDER / "opinfo.json").read_text())


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "opinfo.npz", allow_pickle=False) as file:
        return dict(file)


def test_every_entry_is_stored() -> None:
    without = set(DATA["nothing to store"])
    assert set(DATA["samples"]) | without == set(ENTRIES), "run make_golden.py"
    assert (FOLDER / "opinfo.npz").stat().st_size < 1_500_000


@pytest.mark.parametrize("id", DATA["samples"])
def test_equals_stored(id: str, x64: None, arrays: dict[str, np.ndarray]) -> None:
    rtol, atol = TOLERANCES["float64"]
    for i, data in enumerate(DATA["samples"][id]):
        key = f"{id}/{i}"
        with jax.default_matmul_precision("highest"):
            actual = jax_stored(ENTRIES[id], unpacked(data, arrays, key), key)
        stored = {k for k in arrays if k.startswith((f"{key}/output", f"{key}/grad"))}
        assert stored == actual.keys()
        for name, x in actual.items():
            expected = arrays[name]
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0) or 1.0
            np.testing.assert_allclose(x, expected, rtol, atol * scale, err_msg=name)
