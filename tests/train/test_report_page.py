"""The page about runs: whole, safe, and right about its numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn import cli
from jaxcnn.train.report import LayerHistograms, commands, write_html_report
from jaxcnn.train.report.histograms import Histograms
from tests.train.reports import ROWS, Page, answers, finished

EVIL = "</style></title><script>pwned = 1</script><img src=x onerror='pwned = 1'>\"&"


def cells(page: Page, name: str) -> list[str]:
    """The cells of a table's row."""
    start = page.texts.index(name) + 1
    return page.texts[start : start + 2]


def histograms() -> LayerHistograms:
    rows = Histograms(
        ("conv1", "fc$"),
        np.array([[1, 2], [0, 0]]),
        np.array([[-1.0, 2.0], [np.nan, np.nan]]),
        np.array([0.25, 0.0]),
        np.array([0.0, 1.0]),
    )
    return LayerHistograms(rows, rows)


def test_a_page_has_everything_inside_it(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    histograms().write(run)
    Image.new("RGB", (40, 30)).save(run / "kernels.png")
    page = Page(write_html_report([run], tmp_path / "sub" / "report.html"))
    images = page.images()
    curves = [f"{part} {quantity} of each epoch" for quantity in ("loss", "accuracy")
              for part in ("train", "test")]  # fmt: skip
    assert list(images) == [
        *curves, "images per second of each epoch", "confusion matrix",
        *(f"test image {row}" for row in (27, 24, 21, 18, 15, 12, 9, 6, 3, 0)),
        "histograms of activations in each layer", "histograms of gradients in each layer",
        "First-layer kernels",
    ]  # fmt: skip
    assert images["First-layer kernels"].size == (40, 30)
    np.testing.assert_array_equal(
        np.asarray(images["test image 27"]), answers().mistake_images[0, ..., 0]
    )
    assert page.elements("script") == page.elements("link") == []
    assert not any("http" in str(value) for _, tag in page.tags for value in tag.values() if value
                   and value != "Content-Security-Policy")  # fmt: skip
    assert "≠" not in page.text


def test_two_runs_are_compared(tmp_path: Path) -> None:
    runs = [finished(tmp_path / name, lr=lr, seed=0) for name, lr in (("a", 0.1), ("b", 0.2))]
    (runs[1] / "metrics.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    page = Page(write_html_report(runs, tmp_path / "report.html"))
    assert cells(page, "≠ lr") == ["0.1", "0.2"]
    assert cells(page, "seed") == ["0", "0"]
    assert cells(page, "epochs") == ["3", "1"]
    assert cells(page, "test loss") == ["0.7500", "0.5000"]
    assert cells(page, "best test loss") == ["0.2500 (epoch 2)", "0.5000 (epoch 1)"]
    assert cells(page, "best test accuracy") == ["90.00% (epoch 2)", "70.00% (epoch 1)"]
    assert cells(page, "images/s, median") == ["700", "700"]
    assert cells(page, "training, s") == ["6.0", "2.0"]
    assert cells(page, "compilation, s") == ["3.5", "3.5"]
    assert "10 of 30 images are classified wrongly; these 10 have the highest loss." in page.text
    assert [link["href"] for link in page.elements("a")] == ["#run1", "#run2"]
    assert [section["id"] for section in page.elements("section")] == ["run1", "run2"]


def test_what_files_say_is_escaped(tmp_path: Path) -> None:
    run = finished(tmp_path / EVIL.replace("/", "|"), **{EVIL: EVIL, "other": [EVIL], "\ud800": 1})
    answers((EVIL, *"123456789")).write(run / "evaluation.npz")
    (run / "histograms.npz").write_bytes(EVIL.encode())
    page = Page(write_html_report([run, run], tmp_path / "report.html"))
    assert page.elements("script") == []
    assert all("onerror" not in attributes for attributes in page.elements("img"))
    assert all(str(attributes["src"]).startswith("data:") for attributes in page.elements("img"))
    assert page.text.count(EVIL) > 3
    assert page.images()["confusion matrix"].tag.endswith("svg")


def test_a_run_that_has_hardly_begun(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{")
    page = Page(write_html_report([run], tmp_path / "report.html"))
    assert "config.json cannot be read: JSONDecodeError" in page.text
    assert "metrics.jsonl is missing: no epoch has finished." in page.text
    assert "evaluation.npz is missing: the run has not finished." in page.text
    assert cells(page, "best test loss")[0] == "—"
    assert page.images() == {}


def test_a_diverged_run(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    rows = [{**ROWS[0], "test_loss": float(value)} for value in ("inf", "nan")]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page = Page(write_html_report([run, run], tmp_path / "report.html"))
    assert cells(page, "best test loss") == ["—", "—"]
    assert "test loss of each epoch" in page.images()


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        pytest.param((), r"there must be at least one run folder, got runs=\[\]", id="none"),
        pytest.param(
            ("nothing",),
            r"run must be a run folder with a config\.json, got run='nothing'",
            id="no run",
        ),
    ],
)
def test_what_is_no_run_leaves_no_page(runs: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=f"^write_html_report: {message}"):
        write_html_report(runs, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_command_prints_where_the_page_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    commands.report((finished(tmp_path / "run"),), out)
    assert capsys.readouterr().out == f"{out}\n"
    assert out.exists()


def test_the_command_ends_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    with pytest.raises(SystemExit, match=r"^2$"), cli.one_line_errors():
        commands.report((tmp_path,), tmp_path / "report.html")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: write_html_report: run must be a run folder")
