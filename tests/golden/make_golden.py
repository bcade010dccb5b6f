"""Writes parity.npz and parity.json: PyTorch's values in float64, for runs without PyTorch.

Run from the repository: `python -m tests.golden.make_golden`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.parity.case import Arrays, run_torch
from tests.parity.cases import CASES, GOLDEN
from tests.parity.stored import (
    MOST,
    SGD,
    SGD_STEPS,
    sgd_problem,
    stored_inputs,
    stored_values,
    torch_sgd,
)

FOLDER = Path(__file__).parent


def main() -> None:
    """Writes both files."""
    import torch  # here, because pytest imports this file for its doctests

    arrays: Arrays = {}
    for id in GOLDEN:
        case = CASES[id]
        arrays |= stored_inputs(case) | stored_values(case, run_torch(case, "float64"))
    for id, settings in SGD.items():
        history = torch_sgd(*sgd_problem(SGD_STEPS), settings)
        arrays |= {f"sgd-{id}/{name}": rows for name, rows in history.items()}
    np.savez_compressed(FOLDER / "parity.npz", allow_pickle=False, **arrays)
    provenance = {
        "made by": "python -m tests.golden.make_golden",
        "torch": torch.__version__,
        "dtype": "float64",
        "inputs": "numpy.random.RandomState(crc32(case id)), see tests/parity/functions.py",
        "stored": f"of each array at most {MOST} entries, evenly spread",
        "cases": [*GOLDEN, *(f"sgd-{id}" for id in SGD)],
    }
    (FOLDER / "parity.json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
