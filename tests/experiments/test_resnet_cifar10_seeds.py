"""The comparison of accuracies: its PyTorch side, and both sides as a user runs them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "experiments" / "bench"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("resnet_cifar10_seeds")


@pytest.mark.torch
def test_crops_and_flips(script: Any) -> None:
    """Each image is a window of the padded one, as it is or mirrored; all of them occur."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    torch.manual_seed(0)
    image = np.random.RandomState(0).randint(0, 256, (3, 6, 5), np.uint8)
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    windows = {
        (window[:, :, ::-1] if mirrored else window).tobytes(): (top, left, mirrored)
        for top in range(3)
        for left in range(3)
        for mirrored in (False, True)
        for window in (np.ascontiguousarray(padded[:, top : top + 6, left : left + 5]),)
    }
    images = script.augmented(torch.tensor(image).expand(500, -1, -1, -1), padding=1).numpy()
    counts = dict.fromkeys(windows.values(), 0)
    for moved in images:
        counts[windows[moved.tobytes()]] += 1
    assert min(counts.values()) > 10  # of about 28


@pytest.mark.torch
def test_both_sides_train(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    records = np.random.default_rng(0).integers(0, 256, (100, 3073), np.uint8)
    records[:, 0] = np.arange(100) % 10
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    out = tmp_path / "accuracies.json"
    command = [sys.executable, str(BENCH / "resnet_cifar10_seeds.py"), "--raw-dir", str(tmp_path)]
    command += ["--seeds", "1", "--epochs", "2", "--warmup-epochs", "1", "--jobs", "2"]
    command += ["--out", str(out)]
    # Programs that compile in less time and run in more.
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr
    assert "points" in result.stdout
    found = json.loads(out.read_text())
    for values in found["accuracy"].values():
        # Ten classes, two images of each: multiples of a twentieth.
        assert values == [pytest.approx(round(20 * values[0]) / 20)]
    assert set(found["accuracy"]) == {"jaxcnn", "torch"}


def test_a_failing_run_ends_the_program(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="jaxcnn, seed 0: exit code 1"):
        script.run(script.Settings(raw_dir=tmp_path / "missing"), "jaxcnn", 0)
