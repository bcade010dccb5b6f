"""What a run leaves: the saved answers, the pictures, and reading a folder that is not whole."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jaxcnn import train
from jaxcnn.train.report import figures
from jaxcnn.train.report.read import read_run
from jaxcnn.train.report.saved_evaluation import SavedEvaluation
from tests.train.reports import DIGITS, ROWS, answers, finished


def test_saved_answers_come_back(tmp_path: Path) -> None:
    saved = answers()
    saved.write(tmp_path / "evaluation.npz")
    read = SavedEvaluation.read(tmp_path / "evaluation.npz")
    assert read.class_names == DIGITS.class_names
    assert read.title == "digits test"
    np.testing.assert_array_equal(read.first_images, DIGITS.images[:16])
    np.testing.assert_array_equal(read.mistake_images, saved.mistake_images)
    for field in dataclasses.fields(train.Evaluation):
        np.testing.assert_array_equal(
            getattr(read.result, field.name), getattr(saved.result, field.name)
        )


def test_mistakes_are_the_wrong_answers_with_the_highest_loss_first() -> None:
    saved = answers()
    assert saved.mistakes.tolist() == [27, 24, 21, 18, 15, 12, 9, 6, 3, 0]
    np.testing.assert_array_equal(saved.mistake_images, DIGITS.images[saved.mistakes])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"losses": np.zeros(29)},
            r"losses must be one for each image, got shape=\(29,\)",
            id="count",
        ),
        pytest.param(
            {"predictions": np.full(30, 10)},
            r"predictions must have class names, got outside=\[10, 10, 10\]",
            id="class",
        ),
        pytest.param(
            {"labels": np.full(30, -1)},
            r"labels must have class names, got outside=\[-1",
            id="label",
        ),
        pytest.param(
            {"mistakes": np.array([30])},
            r"mistakes must be rows of the answers, got outside=\[30\]",
            id="row",
        ),
        pytest.param(
            {"mistakes": np.array([1])},
            r"mistakes must have an image each, got mistakes=1, images=10",
            id="images",
        ),
        pytest.param(
            {"first_images": np.zeros((1, 8, 8))},
            r"first_images must be uint8 of the shape \(n, h, w, c\), got shape=\(1, 8, 8\)",
            id="shape",
        ),
    ],
)
def test_answers_that_do_not_fit_each_other(changes: dict[str, Any], message: str) -> None:
    saved = answers()
    names = {field.name for field in dataclasses.fields(train.Evaluation)}
    answered = {name: value for name, value in changes.items() if name in names}
    others = {name: value for name, value in changes.items() if name not in names}
    result = dataclasses.replace(saved.result, **answered)
    with pytest.raises(ValueError, match=f"^SavedEvaluation: {message}"):
        dataclasses.replace(saved, result=result, **others)


def test_a_thousand_classes_fit_on_a_picture(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(1000))
    saved = answers(names)
    path = tmp_path / "confusion.png"
    train.save_figure(figures.confusion(saved.result, names, "many"), path)
    with Image.open(path) as picture:
        assert max(picture.size) < 1500


@pytest.mark.parametrize("draw", ["confusion", "predictions"])
def test_names_are_no_formulas(draw: str) -> None:
    saved = answers(("$x^", "$\\frac$", *DIGITS.class_names[2:]))
    figure = (
        figures.predictions(saved)
        if draw == "predictions"
        else figures.confusion(saved.result, saved.class_names, "a $^ b")
    )
    assert figures.svg(figure).startswith(b"<?xml")


def test_a_mosaic_has_a_line_between_its_tiles() -> None:
    tiles = np.arange(3)[:, None, None] * np.ones((3, 2, 2))
    gap = np.nan
    np.testing.assert_array_equal(
        figures.mosaic(tiles, 2),
        [
            [0, 0, gap, 1, 1],
            [0, 0, gap, 1, 1],
            [gap, gap, gap, gap, gap],
            [2, 2, gap, gap, gap],
            [2, 2, gap, gap, gap],
        ],
    )


def test_a_whole_run_has_no_problems(tmp_path: Path) -> None:
    run = read_run(finished(tmp_path / "lenet", seed=3))
    assert run.name == "lenet"
    assert run.settings == {"lr": 0.1, "seed": 3}
    assert run.history == ROWS
    assert run.evaluation is not None
    assert run.problems == []


class Payload:
    """Its pickle, read carelessly, would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_broken_files_are_problems_and_run_nothing(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    (path / "config.json").write_text("[1, 2]")
    whole = (path / "metrics.jsonl").read_text()
    (path / "metrics.jsonl").write_text(whole + '{"epoch": "4"}\n{"epoch": NaN}\n{"epoch": 4, "tr')
    np.savez(path / "evaluation.npz", losses=np.array([Payload(tmp_path / "made")], object))
    content = (finished(tmp_path / "other") / "evaluation.npz").read_bytes()
    (path / "histograms.npz").write_bytes(content[: len(content) // 2])
    (path / "kernels.png").write_bytes(b"GIF89a")
    run = read_run(path)
    assert run.settings == {}
    assert run.history == ROWS
    assert (run.evaluation, run.histograms, run.pictures) == (None, None, {})
    starts = [
        "config.json cannot be read: TypeError: it must hold an object, not list",
        "metrics.jsonl: line 4 is no row with an epoch.",
        "metrics.jsonl: line 5 is no row with an epoch.",
        "metrics.jsonl: line 6 is no row with an epoch.",
        "evaluation.npz cannot be read: ValueError: Object arrays cannot be loaded",
        "histograms.npz cannot be read: BadZipFile: ",
        "kernels.png cannot be read: ValueError: it is no PNG picture",
    ]
    assert len(run.problems) == len(starts)
    for problem, start in zip(run.problems, starts, strict=True):
        assert problem.startswith(start)
    assert not (tmp_path / "made").exists()


def test_values_are_numbers_only(tmp_path: Path) -> None:
    path = finished(tmp_path / "run")
    rows = [{"epoch": 1, "x": True}, {"epoch": 2, "x": 1}, {"epoch": 3, "x": "2"}, {"epoch": 4}]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_run(path).values("x") == ([2], [1])
