"""The scripts, run as a user runs them, on small data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxcnn

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "experiments" / script), *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "JAXCNN_TRACEBACK"} | variables
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def only_folder(runs: Path) -> Path:
    (folder,) = runs.iterdir()
    return folder


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    """Forty images in CIFAR-10's binary format."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        records = rng.integers(0, 256, (40, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


def test_lenet_leaves_everything_and_resumes(tmp_path: Path) -> None:
    result = run("lenet.py", "--epochs", 1, "--runs", tmp_path)
    assert result.returncode == 0, result.stderr
    folder = only_folder(tmp_path)
    assert {file.name for file in folder.iterdir()} == {
        "checkpoints", "config.json", "confusion.png", "curves.png", "evaluation.npz",
        "metrics.jsonl", "model.safetensors", "predictions.png",
    }  # fmt: skip
    assert "test accuracy" in result.stdout
    assert str(folder / "predictions.png") in result.stdout
    assert json.loads((folder / "config.json").read_text())["lr"] == 0.01
    assert len(jaxcnn.read_state_dict(folder / "model.safetensors")) == 10

    result = run("lenet.py", "--epochs", 2, "--runs", tmp_path, "--resume", folder)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [90, 180]
    assert "epoch   2" in result.stdout
    assert "epoch   1" not in result.stdout


def test_cifar10_quick_seed_prints_what_its_original_prints(tmp_path: Path, cifar10: Path) -> None:
    arguments = ["--raw-dir", cifar10, "--runs", tmp_path / "runs", "--limit", 10, "--epochs", 2]
    result = run("cifar10_quick.py", "--recipe", "seed", *arguments)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("epoch:0, loss:2")
    assert lines[1].startswith("epoch:1, loss:2")
    rows = (only_folder(tmp_path / "runs") / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [10, 20]


def test_cifar10_quick_tutorial_prints_the_test_loss(tmp_path: Path, cifar10: Path) -> None:
    arguments = ["--raw-dir", cifar10, "--runs", tmp_path / "runs", "--epochs", 1, "--limit", 40]
    result = run("cifar10_quick.py", "--recipe", "tutorial", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("epoch 1: test loss sum 2.")


def test_edge_kernel_finds_the_kernel(tmp_path: Path) -> None:
    result = run("edge_kernel.py", "--runs", tmp_path)
    assert result.returncode == 0, result.stderr
    folder = only_folder(tmp_path)
    assert (folder / "edges.png").stat().st_size > 10_000
    kernels = jaxcnn.read_state_dict(folder / "model.safetensors")
    assert set(kernels) == {"synthetic.weight", "china.jpg.weight"}
    for kernel in kernels.values():
        np.testing.assert_allclose(kernel.ravel(), [1, -1], atol=1e-4)


@pytest.mark.torch
@pytest.mark.shared_data
def test_benchmark_runs_both_contestants(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    raw = ROOT.parent / "shared" / "data" / "cifar10"
    if not raw.exists():
        pytest.skip("needs ../shared/data")
    out = tmp_path / "figures.json"
    arguments = ["--raw-dir", raw, "--steps", 20, "--rounds", 1, "--out", out]
    result = run("bench/cifar10_quick_seed.py", *arguments)
    assert result.returncode == 0, result.stderr
    assert "jaxcnn / torch = " in result.stdout
    assert set(json.loads(out.read_text())["steps_per_second"]) == {"jaxcnn", "torch"}


@pytest.mark.parametrize("script", ["resnet_cifar10", "finetune", "spectformer", "imagenet"])
def test_smoke(script: str, tmp_path: Path) -> None:
    # Programs that compile in less time and run in more.
    flags = "--xla_backend_optimization_level=0"
    result = run(f"{script}.py", "--smoke", "--runs", tmp_path, XLA_FLAGS=flags)
    assert result.returncode == 0, result.stderr
    assert (only_folder(tmp_path) / "evaluation.npz").is_file()


@pytest.mark.torch
def test_semantics(tmp_path: Path) -> None:
    """Every difference is one for Flax and none for jaxcnn."""
    pytest.importorskip("torch")
    result = run("semantics.py", "--smoke", "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads((tmp_path / "semantics.json").read_text())
    assert len(rows) == 41
    for row in rows:
        assert row["jaxcnn"] < 1e-2, row  # of values around 1000, float32 rounding alone
        assert row["flax"] is None or row["flax"] > 20 * row["jaxcnn"], row
    assert (tmp_path / "semantics.png").stat().st_size > 10_000
