"""Writes PyTorch's values, for runs without it: parity, opinfo, seeds, and models' keys.

Run from the repository, with torchvision installed: `python -m tests.golden.make_golden`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.models import torchvision_twins
from tests.optim.table import OPTIMIZERS, SCHEDULES, stored_run, torch_rates
from tests.parity.case import Arrays, run_torch
from tests.parity.cases import CASES, GOLDEN
from tests.parity.opinfo.stored import chosen, packed, torch_stored
from tests.parity.opinfo.table import ENTRIES
from tests.parity.stored import MOST, stored_inputs, stored_values, thin
from tests.seeds import EXAMPLES

FOLDER = Path(__file__).parent


def main() -> None:
    """Writes the files."""
    write_parity()
    write_opinfo()
    write_seeds()
    write_models()


def write_parity() -> None:
    """parity.npz and parity.json: the table's golden cases, optimisers and schedules."""
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


def write_opinfo() -> None:
    """opinfo.npz and opinfo.json: few samples of each of PyTorch's operator tests."""
    import torch

    arrays: Arrays = {}
    stored: dict[str, Any] = {}
    for id, entry in ENTRIES.items():
        for i, sample in enumerate(chosen(entry)):
            data, inputs = packed(sample, f"{id}/{i}")
            stored.setdefault(id, []).append(data)
            arrays |= inputs | torch_stored(entry, sample, f"{id}/{i}")
    np.savez_compressed(FOLDER / "opinfo.npz", allow_pickle=False, **arrays)
    provenance = {
        "made by": "python -m tests.golden.make_golden",
        "torch": torch.__version__,
        "dtype": "float64",
        "inputs": "OpInfo's samples after torch.manual_seed(0), in steps of 1/1024",
        "stored": f"of each output and gradient at most {MOST} entries, evenly spread",
        "nothing to store": [id for id in ENTRIES if id not in stored],
        "samples": stored,
    }
    (FOLDER / "opinfo.json").write_text(json.dumps(provenance) + "\n")


def write_seeds() -> None:
    """seeds.npz: the examples of the founding pages."""
    import torch

    arrays = {
        f"{id}/{name}": thin(x)
        for id, example in EXAMPLES.items()
        for name, x in example.run_torch(torch).items()
    }
    np.savez_compressed(FOLDER / "seeds.npz", allow_pickle=False, **arrays)


def write_models() -> None:
    """models.json: torchvision's parameter counts, and a checksum over the keys and shapes."""
    torchvision = torchvision_twins.load()
    models = {}
    for name in torchvision_twins.NAMES:
        model = torchvision_twins.build(torchvision, name)
        shapes = [(key, tuple(x.shape)) for key, x in model.state_dict().items()]
        models[name] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "keys and shapes": torchvision_twins.digest(shapes),
        }
    provenance = {
        "made by": "python -m tests.golden.make_golden",
        "torchvision": torchvision.__version__,
        "keys and shapes": "SHA-256 of the sorted lines 'key shape', its first 16 digits",
        "models": models,
    }
    (FOLDER / "models.json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()
