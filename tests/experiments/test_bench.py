"""The benchmarks: each runs on a small case, and the page says what the figures say."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "experiments" / "bench"


def run(script: str, *arguments: object) -> None:
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


def figures(path: Path, name: str) -> dict[str, Any]:
    report = json.loads(path.read_text())
    assert report["machine"]["cores"] > 0
    return report[name]


@pytest.mark.parametrize(
    ("script", "case", "contestants"),
    [
        ("train.py", "lenet", ("jaxcnn", "jaxcnn-step", "flax")),
        ("layers.py", "conv 3x3 depthwise stride 2", ("jaxcnn", "jaxcnn-call", "flax")),
    ],
)
def test_contest(script: str, case: str, contestants: tuple[str, ...], tmp_path: Path) -> None:
    option = "--models" if script == "train.py" else "--cases"
    few = ("--rounds", 2, "--seconds", 0.01)
    out = tmp_path / "figures.json"
    run(script, option, case, "--contestants", *contestants, *few, "--out", out)
    found = figures(out, script.removesuffix(".py"))[case]
    assert set(found) == set(contestants)
    for result in found.values():
        assert len(result["rounds"]) == 2
        assert min(result["rounds"]) <= result["seconds"] <= max(result["rounds"])
        assert 2**24 < result["peak_bytes"] < 2**34
        assert result["first_seconds"] > result["seconds"] > 0


def test_gpu_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run where there is no GPU, too; sizes go with the figures."""
    # Programs that compile in less time and run in more.
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    out = tmp_path / "figures.json"
    few = ("--rounds", 1, "--seconds", 0.01, "--precisions", "bfloat16", "--contestants", "jaxcnn")
    run("train.py", "--gpu", "--models", "lenet", *few, "--out", out)
    found = figures(out, "train")
    assert list(found) == ["lenet bfloat16"]
    assert found["lenet bfloat16"]["jaxcnn"]["first_seconds"] > 0.1
    assert figures(out, "sizes") == {"lenet bfloat16": {"batch": 256, "multiply_adds": 416520}}


def test_a_call_may_leave_the_wait_to_its_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU still has queued counts; a round's wait is one, whatever its calls."""
    monkeypatch.syspath_prepend(BENCH)
    contest = importlib.import_module("contest")
    calls, waits = [], []
    program = lambda: calls.append(0)
    program.wait = lambda: (waits.append(len(calls)), time.sleep(0.1))
    assert contest._time(program, 4) >= 0.1 / 4
    assert waits == [4]


def test_input(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    run("input.py", "--contestants", "jaxcnn-augment", "--rounds", 1, "--out", out)
    assert figures(out, "input")["jaxcnn-augment"]["seconds"] > 0


def test_startup(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    run("startup.py", "--models", "lenet", "--rounds", 1, "--out", out)
    for times in figures(out, "startup").values():
        assert 0 < times["second"] < times["first"]


def test_the_page_says_what_the_figures_say(tmp_path: Path) -> None:
    """On made-up figures: jaxcnn takes half of PyTorch's time and a quarter of Flax's."""
    machine = {"processor": "a processor", "cores": 2, "jax": "1.0"}
    rest = {"peak_bytes": 300, "first_seconds": 1.0, "rounds": [1.0]}
    names = {"jaxcnn": 0.5, "jaxcnn-step": 0.5, "jaxcnn-call": 0.75, "flax": 2}
    names |= {"torch-eager": 9.0, "torch-compile": 1.0}
    found = {name: {"seconds": seconds, **rest} for name, seconds in names.items()}
    start = {"first": 8.0, "second": 2.0, "rounds": []}
    results = {"train": {"lenet": found}, "layers": {"conv": found}, "startup": {"lenet": start}}
    (tmp_path / "performance").mkdir()
    for name, result in results.items():
        report = {"machine": machine, name: result}
        (tmp_path / "performance" / f"{name}.json").write_text(json.dumps(report))
    found_gpu = {name: {"seconds": seconds, **rest} for name, seconds in names.items()}
    gpu = {
        "machine": {"device": "NVIDIA H200", "jax": "1.0", "torch": "2.0"},
        "train": {"lenet bfloat16": found_gpu},
        "sizes": {"lenet bfloat16": {"batch": 100, "multiply_adds": 10**10}},
        "note": "A note.",
    }
    (tmp_path / "performance" / "train_gpu.json").write_text(json.dumps(gpu))
    run("report.py", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert "| lenet | 2.00 | 1.00 (compile) | 0.50 | **2.00** | **4.00** | 1.00 | 1.00 |" in page
    assert "| conv | 500.0 | 750.0 | 1000.0 | 2000.0 | **2.00** | **4.00** |" in page
    assert "| lenet | 8.0 | 2.0 | **0.25** |" in page
    assert "a processor, 2 cores, jax 1.0" in page
    # 6 * 10^10 operations for each of 200 images a second, of 989 * 10^12.
    row = "| lenet bfloat16 | 200 | 100 (compile) | 11 | **2.00** | **18.00** | 1.2% |"
    assert row in page
    assert "NVIDIA H200, jax 1.0, torch 2.0." in page
    assert page.endswith("A note.\n")
    assert (tmp_path / "performance" / "train.png").stat().st_size > 10_000
