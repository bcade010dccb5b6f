"""The table against PyTorch's stored values: needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jaxcnn import optim

from .case import assert_close_l2, run_jax
from .cases import CASES, GOLDEN
from .stored import SGD, SGD_STEPS, sgd_problem, stored_inputs, stored_values, thin

FOLDER = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "parity.npz", allow_pickle=False) as file:
        return dict(file)


def test_provenance(golden: dict[str, np.ndarray]) -> None:
    provenance = json.loads((FOLDER / "parity.json").read_text())
    assert provenance["torch"].startswith("2.")
    assert provenance["cases"] == [*GOLDEN, *(f"sgd-{id}" for id in SGD)], "run make_golden.py"
    assert set(provenance["cases"]) == {key.partition("/")[0] for key in golden}
    assert (FOLDER / "parity.npz").stat().st_size < 1_000_000


@pytest.mark.parametrize("id", GOLDEN)
def test_inputs_are_those_of_the_file(id: str, golden: dict[str, np.ndarray]) -> None:
    for key, x in stored_inputs(CASES[id]).items():
        np.testing.assert_allclose(x, golden[key], rtol=1e-12, err_msg="run make_golden.py")


@pytest.mark.parametrize("id", GOLDEN)
def test_equals_golden(id: str, x64: None, golden: dict[str, np.ndarray]) -> None:
    """Operation by operation; the live tests run compiled, and so do models, to save time."""
    case = CASES[id]
    actual = stored_values(case, run_jax(case, "float64", jit=case.model))
    expected = {k: v for k, v in golden.items() if k.startswith((f"{id}/output", f"{id}/grad"))}
    assert actual.keys() == expected.keys()
    for key, x in actual.items():
        assert_close_l2(x, expected[key], 1e-9, key)


@pytest.mark.parametrize("id", [id for id in GOLDEN if CASES[id].model])
def test_logits_in_float32(id: str, golden: dict[str, np.ndarray]) -> None:
    case = CASES[id]
    logits = thin(run_jax(case, "float32", jit=True, gradients=False).outputs[0])
    assert_close_l2(logits, golden[f"{id}/output0"], 1e-5, id)


@pytest.mark.parametrize("id", SGD)
def test_sgd_equals_golden(id: str, x64: None, golden: dict[str, np.ndarray]) -> None:
    tx = optim.sgd(**SGD[id])
    params, gradients = sgd_problem(SGD_STEPS)
    state = tx.init(params)
    for i, step in enumerate(gradients):
        updates, state = jax.jit(tx.update)(step, state, params)
        params = optax.apply_updates(params, updates)
        for name, x in params.items():
            assert_close_l2(np.asarray(x), golden[f"sgd-{id}/{name}"][i], 1e-12, f"{name}, {i}")
    for name, buffer in optax.tree.get(state, "momentum_buffer", {}).items():
        assert_close_l2(np.asarray(buffer), golden[f"sgd-{id}/{name}:buffer"][-1], 1e-12, name)
