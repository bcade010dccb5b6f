"""Reading back what a run folder holds, whole or not."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxcnn.train.checkpoint import Row
from jaxcnn.train.report.histograms import LayerHistograms
from jaxcnn.train.report.saved_evaluation import SavedEvaluation

T = TypeVar("T")
PICTURES = {"kernels.png": "First-layer kernels", "features.png": "Feature maps"}
_BROKEN = (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass
class RunRecord:
    """What could be read of a run.

    Attributes:
      name: The folder's name.
      settings: config.json.
      history: The rows of metrics.jsonl.
      evaluation: evaluation.npz.
      histograms: histograms.npz.
      pictures: The PNG files that `write_inspection` wrote, by title.
      problems: A sentence for each file that could not be read.
    """

    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[Row] = dataclasses.field(default_factory=list)
    evaluation: SavedEvaluation | None = None
    histograms: LayerHistograms | None = None
    pictures: dict[str, bytes] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    def values(self, metric: str) -> tuple[list[float], list[float]]:
        """Epochs and values of a metric, of the rows that have it as a number."""
        rows = [row for row in self.history if is_number(row.get(metric))]
        return [row["epoch"] for row in rows], [row[metric] for row in rows]


def is_number(value: Any) -> bool:
    """Whether a value from a JSON file is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_run_folder(where: str, path: str | os.PathLike[str]) -> Path:
    """The path, if it is a run folder.

    Raises:
      FileNotFoundError: If it has no config.json.
    """
    path = Path(path)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"{where}: run must be a run folder with a config.json, got run={str(path)!r}."
        )
    return path


def read_run(path: str | os.PathLike[str]) -> RunRecord:
    """Reads a run folder; what is missing or broken becomes a problem of the record.

    Raises:
      FileNotFoundError: If it is no run folder.

    Example:
      >>> import tempfile
      >>> from jaxcnn.train import RunFolder
      >>> run = RunFolder(tempfile.mkdtemp() + "/lenet", {"lr": 0.1})
      >>> run.write_metrics([{"epoch": 1, "train_loss": 0.5}])
      >>> record = read_run(run.path)
      >>> record.settings, record.values("train_loss"), record.problems[0]
      ({'lr': 0.1}, ([1], [0.5]), 'evaluation.npz is missing: the run has not finished.')
    """
    path = check_run_folder("read_run", path)
    run = RunRecord(path.resolve().name)
    run.settings = _read(run, path / "config.json", _settings) or {}
    if (path / "metrics.jsonl").exists():
        run.history = _history(run, path / "metrics.jsonl")
    else:
        run.problems.append("metrics.jsonl is missing: no epoch has finished.")
    if (path / "evaluation.npz").exists():
        run.evaluation = _read(run, path / "evaluation.npz", SavedEvaluation.read)
    else:
        run.problems.append("evaluation.npz is missing: the run has not finished.")
    if (path / "histograms.npz").exists():
        run.histograms = _read(run, path / "histograms.npz", LayerHistograms.read)
    for file, title in PICTURES.items():
        if (path / file).exists():
            picture = _read(run, path / file, _picture)
            run.pictures |= {} if picture is None else {title: picture}
    return run


def _read(run: RunRecord, file: Path, read: Callable[[Path], T]) -> T | None:
    try:
        return read(file)
    except _BROKEN as error:
        run.problems.append(f"{file.name} cannot be read: {type(error).__name__}: {error}")
        return None


def _settings(file: Path) -> dict[str, Any]:
    settings = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(settings, dict):
        raise TypeError(f"it must hold an object, not {type(settings).__name__}")
    return settings


def _history(run: RunRecord, file: Path) -> list[Row]:
    """The rows that are whole: a program that was killed may leave half a line."""
    lines = (_read(run, file, Path.read_bytes) or b"").splitlines()
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and is_number(row.get("epoch")) and math.isfinite(row["epoch"]):
            rows.append(row)
        else:
            run.problems.append(f"metrics.jsonl: line {number} is no row with an epoch.")
    return rows


def _picture(file: Path) -> bytes:
    from PIL import Image, UnidentifiedImageError

    content = file.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.load()
    except UnidentifiedImageError as error:
        raise ValueError("it is no PNG picture") from error
    return content
