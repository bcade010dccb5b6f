"""Writes parity.npz, parity.json and seeds.npz: PyTorch's float64 values, for runs without it.

Run from the repository: `python -m tests.golden.make_golden`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.optim.table import OPTIMIZERS, SCHEDULES, stored_run, torch_rates
from tests.parity.case import Arrays, run_torch
from tests.parity.cases import CASES, GOLDEN
from tests.parity.stored import MOST, stored_inputs, stored_values, thin
from tests.seeds import EXAMPLES

FOLDER = Path(__file__).parent


def main() -> None:
    """Writes the files."""
    import torch  # here, because pytest imports this file for its doctests

    arrays: Arrays = {}
    for id in GOLDEN:
        case = CASES[id]
        arrays |= stored_inputs(case) | stored_values(case, run_torch(case, "float64"))
    for id, row in OPTIMIZERS.items():
        arrays |= {f"optim-{id}/{name}": x for name, x in stored_run(row).items()}
    for id, row in SCHEDULES.items():
        arrays |= {f"schedule-{id}/{name}": x for name, x in torch_rates(row).items()}
    np.savez_compressed(FOLDER / "parity.npz", allow_pickle=False, **arrays)
    seeds = {
        f"{id}/{name}": thin(x)
        for id, example in EXAMPLES.items()
        for name, x in example.run_torch(torch).items()
    }
    np.savez_compressed(FOLDER / "seeds.npz", allow_pickle=False, **seeds)
    provenance = {
        "made by": "python -m tests.golden.make_golden",
        "torch": torch.__version__,
        "dtype": "float64",
        "inputs": "numpy.random.RandomState(crc32(case id)), see tests/parity/functions.py",
        "stored": f"of each array at most {MOST} entries, evenly spread",
        "cases": [
            *GOLDEN,
            *(f"optim-{id}" for id in OPTIMIZERS),
            *(f"schedule-{id}" for id in SCHEDULES),
        ],
    }
    (FOLDER / "parity.json").write_text(json.dumps(provenance, indent=2) + "\n")


if __name__ == "__main__":
    main()
