"""The benchmarks: each runs on a small case, and the page says what the figures say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "experiments" / "bench"
FIGURES = ROOT / "docs" / "performance"


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
        ("layers.py", "conv 3x3 depthwise stride 2", ("jaxcnn", "flax")),
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


def test_input(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    run("input.py", "--contestants", "jaxcnn-augment", "--rounds", 1, "--out", out)
    assert figures(out, "input")["jaxcnn-augment"]["seconds"] > 0


def test_startup(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    run("startup.py", "--rounds", 1, "--out", out)
    for times in figures(out, "startup").values():
        assert 0 < times["second"] < times["first"]


def test_the_page_is_made_of_the_committed_figures(tmp_path: Path) -> None:
    folder = tmp_path / "performance"
    folder.mkdir()
    for path in FIGURES.glob("*.json"):
        (folder / path.name).write_text(path.read_text())
    run("report.py", tmp_path)
    page = (tmp_path / "performance.md").read_text()
    assert page == (ROOT / "docs" / "performance.md").read_text()
    assert (folder / "train.png").stat().st_size > 10_000
