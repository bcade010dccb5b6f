"""The table against PyTorch's stored values: needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optax
import pytest

from tests.optim.table import GOLDEN_STEPS, OPTIMIZERS, SCHEDULES, join, rates, run

from .case import assert_close_l2, run_jax
from .cases import CASES, GOLDEN
from .stored import stored_inputs, stored_values, thin

FOLDER = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "parity.npz", allow_pickle=False) as file:
        return dict(file)


def test_provenance(golden: dict[str, np.ndarray]) -> None:
    provenance = json.loads((FOLDER / "parity.json").read_text())
    assert provenance["torch"].startswith("2.")
    expected = [
        *GOLDEN,
        *(f"optim-{id}" for id in OPTIMIZERS),
        *(f"schedule-{id}" for id in SCHEDULES),
    ]
    assert provenance["cases"] == expected, "run make_golden.py"
    assert set(provenance["cases"]) == {key.partition("/")[0] for key in golden}
    assert (FOLDER / "parity.npz").stat().st_size < 1_000_000


@pytest.mark.parametrize("id", GOLDEN)
def test_inputs_are_those_of_the_file(id: str, golden: dict[str, np.ndarray]) -> None:
    for key, x in stored_inputs(CASES[id]).items():
        np.testing.assert_allclose(x, golden[key], rtol=1e-12, err_msg="run make_golden.py")


# PyTorch's own float64 gradients round a constant or an eps to float32 here.
ROUNDED = {"hardsigmoid-kinks", "binary_cross_entropy-clamped", "cosine_embedding_loss-zero"}


@pytest.mark.parametrize("id", GOLDEN)
def test_equals_golden(id: str, x64: None, golden: dict[str, np.ndarray]) -> None:
    """Operation by operation; the live tests run compiled, and so do models, to save time."""
    case = CASES[id]
    actual = stored_values(case, run_jax(case, "float64", jit=case.model))
    expected = {k: v for k, v in golden.items() if k.startswith((f"{id}/output", f"{id}/grad"))}
    assert actual.keys() == expected.keys()
    for key, x in actual.items():
        assert_close_l2(x, expected[key], 1e-7 if id in ROUNDED else 1e-9, key)


@pytest.mark.parametrize("id", [id for id in GOLDEN if CASES[id].model])
def test_logits_in_float32(id: str, golden: dict[str, np.ndarray]) -> None:
    case = CASES[id]
    logits = thin(run_jax(case, "float32", jit=True, gradients=False).outputs[0])
    assert_close_l2(logits, golden[f"{id}/output0"], 1e-5, id)


def of(golden: dict[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    """The entries of a case, without its name."""
    return {k.removeprefix(f"{case}/"): x for k, x in golden.items() if k.startswith(f"{case}/")}


@pytest.mark.parametrize("id", OPTIMIZERS)
def test_optimizer_equals_golden(id: str, x64: None, golden: dict[str, np.ndarray]) -> None:
    expected = of(golden, f"optim-{id}")
    params, state = run(OPTIMIZERS[id].jax(), GOLDEN_STEPS, "float64")
    rows = zip(*params.values(), strict=True)
    assert_close_l2(np.stack([join(row) for row in rows]), expected.pop("parameters"), 1e-12, id)
    expected.pop("step", None)
    for key, buffer in expected.items():
        found = optax.tree.get(state, key)
        last = found.values() if isinstance(found, dict) else [found] * len(params)
        assert_close_l2(join(x[-1] for x in last), buffer, 1e-12, key)


@pytest.mark.parametrize("id", SCHEDULES)
def test_schedule_equals_golden(id: str, x64: None, golden: dict[str, np.ndarray]) -> None:
    expected, actual = of(golden, f"schedule-{id}"), rates(SCHEDULES[id])
    assert actual.keys() == expected.keys()
    for name, rate in expected.items():
        np.testing.assert_allclose(actual[name], rate, rtol=1e-11, atol=1e-15, err_msg=name)
