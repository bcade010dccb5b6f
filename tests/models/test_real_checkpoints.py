"""Checkpoints that others trained in PyTorch, measured on real test images without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"

# Accuracies as PyTorch has them on these files; the data's README rounds 52.76 to 52.8.
CASES: dict[str, dict[str, Any]] = {
    "resnet20_cifar10_legacy.th": {
        "model": "resnet20",
        "dataset": "cifar10",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "percent": 91.73,
    },
    "lenet_fashion_mnist.pth": {
        "model": "lenet_relu",
        "dataset": "fashion_mnist",
        "mean": [0.5],
        "std": [0.5],
        "percent": 88.63,
    },
    "cifar10_quick_whole_module.pth": {
        "model": "cifar10_quick",
        "dataset": "cifar10",
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "percent": 52.76,
        "rename": {r"^model\.": "model1."},
    },
}
# In a process of its own, since other tests import torch.
PROGRAM = """
import json, sys
import jax, numpy as np
import jaxcnn

case, file, raw_dir = json.loads(sys.argv[1]), *sys.argv[2:]
test = jaxcnn.data.load(case["dataset"], "test", raw_dir=raw_dir)
images = ((test.images / 255 - case["mean"]) / case["std"]).astype(np.float32)
model = jaxcnn.models.create(case["model"])
like = jax.eval_shape(model.init, jax.random.key(0), images[:1])
state_dict = jaxcnn.read_state_dict(file)
variables = jaxcnn.to_variables(state_dict, like, rename=case.get("rename"))
apply = jax.jit(model.apply)
guesses = [apply(variables, batch).argmax(-1) for batch in np.split(images, 20)]
assert "torch" not in sys.modules
print(100 * np.mean(np.concatenate(guesses) == test.labels))
"""


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
@pytest.mark.shared_data
@pytest.mark.parametrize("file", CASES)
def test_accuracy(file: str) -> None:
    case = CASES[file]
    paths = [str(SHARED / "checkpoints" / file), str(SHARED / case["dataset"])]
    command = [sys.executable, "-c", PROGRAM, json.dumps(case), *paths]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) == pytest.approx(case["percent"], abs=0.02)
