"""One page about one or several runs, without a script and without another file."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn._checks import check
from jaxcnn._files import write_atomically
from jaxcnn.train.report import figures
from jaxcnn.train.report.read import RunRecord, check_run_folder, read_run
from jaxcnn.train.report.saved_evaluation import SavedEvaluation

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# The plots have no background: inverted they suit a dark page, and turning the hues back by half a
# circle leaves a blue line blue.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem;
  background: #fff; color: #1a1a1a; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #8884;
  vertical-align: top; max-width: 20rem; }
tbody th { white-space: nowrap; }
td { font-variant-numeric: tabular-nums; min-width: 6rem; }
tr.differs { background: #e69f0033; font-weight: 600; }
ul.runs { list-style: none; padding: 0; }
ul.runs li { overflow-wrap: anywhere; }
.line { display: inline-block; width: 2.5rem; border-top: .25rem; vertical-align: middle;
  margin-right: .5rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr));
  gap: 1rem; align-items: start; }
.plots.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; }
figure { margin: 0; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
.plots img { width: 100%; }
.scroll img { min-width: 26rem; max-width: 45rem; width: 100%; }
.mistakes img { width: 100%; image-rendering: pixelated; }
.problem { border-left: .25rem solid #d55e00; padding-left: .75rem; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  body { background: #121212; color: #e8e8e8; }
  img.plot, .line { filter: invert(1) hue-rotate(180deg); }
}
"""
_NONE = "—"
_METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def write_html_report(
    runs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str] = "report.html"
) -> Path:
    """Writes one HTML page that shows and compares runs.

    It has the settings, those that differ marked, the curves of all runs, final and best results,
    and of each run the confusion matrix, the worst mistakes and, if the run has them, histograms
    (`LayerHistograms.write`), kernels and feature maps (`write_inspection`). A file that is missing
    or broken becomes a line on the page.

    Args:
      runs: Run folders.
      out: The page.

    Returns:
      The path of the page.

    Raises:
      FileNotFoundError: If one of them is no run folder.
      ValueError: If there are none.

    Example:
      >>> import tempfile
      >>> from jaxcnn.train import RunFolder
      >>> run = RunFolder(tempfile.mkdtemp() + "/lenet", {"lr": 0.1})
      >>> run.write_metrics([{"epoch": 1, "train_loss": 0.5}])
      >>> write_html_report([run.path], run.path / "report.html").name
      'report.html'
    """
    where, out = "write_html_report", Path(out)
    check(len(runs) > 0, where, "there must be at least one run folder", runs=list(runs))
    folders = [check_run_folder(where, run) for run in runs]
    page = b"<!DOCTYPE html>\n" + _page([read_run(folder) for folder in folders])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, lambda file: file.write(page))
    return out


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A new element at the end of `parent`; all that comes from files is escaped when written."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, named)
    element.text = text
    return element


def _page(runs: Sequence[RunRecord]) -> bytes:
    page = ET.Element("html", lang="en")
    head = _add(page, "head")
    _add(head, "meta", charset="utf-8")
    _add(head, "meta", http_equiv="Content-Security-Policy", content=_POLICY)
    _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} training runs"
    _add(head, "title", title)
    _add(head, "style", _STYLE)
    main = _add(_add(page, "body"), "main")
    _add(main, "h1", title)
    if len(runs) > 1:
        _legend(main, runs)
    _curves(main, runs)
    _results(main, runs)
    _settings(main, runs)
    for number, run in enumerate(runs, start=1):
        section = _add(main, "section", id=f"run{number}")
        _add(section, "h2", f"{number}: {run.name}" if len(runs) > 1 else "The model")
        _run(section, run)
    # References stand for what UTF-8 cannot hold: half a surrogate pair from a JSON file.
    return ET.tostring(page, encoding="utf-8", method="html")


def _legend(main: ET.Element, runs: Sequence[RunRecord]) -> None:
    items = _add(main, "ul", class_="runs")
    for index, run in enumerate(runs):
        color, dash = figures.line_style(index)
        item = _add(items, "li")
        _add(item, "span", class_="line", style=f"border-top-style: {dash}; border-color: {color}")
        _add(item, "a", f"{index + 1}: {run.name}", href=f"#run{index + 1}")


def _curves(main: ET.Element, runs: Sequence[RunRecord]) -> None:
    _add(main, "h2", "Curves")
    plots = _add(main, "div", class_="plots")
    for metric in [*_METRICS, "images_per_second"]:
        values = {index: run.values(metric) for index, run in enumerate(runs)}
        lines = {index: line for index, line in values.items() if line[0]}
        if lines:
            name = metric.replace("_", " ")
            picture = figures.svg(figures.compared_curves(name, lines))
            _plot(plots, picture, f"{name} of each epoch")


def _results(main: ET.Element, runs: Sequence[RunRecord]) -> None:
    _add(main, "h2", "Results")
    rows: list[tuple[str, list[str]]] = [("epochs", [_epochs(run) for run in runs])]
    for metric in _METRICS:
        name = metric.replace("_", " ")
        rows.append((name, [_final(run, metric) for run in runs]))
        if metric.startswith("test"):
            rows.append((f"best {name}", [_best(run, metric) for run in runs]))
    speeds = [_over_epochs(run, "images_per_second", statistics.median) for run in runs]
    rows.append(("images/s, median", [_shown(speed, ",.0f") for speed in speeds]))
    for name, metric in (("training", "seconds"), ("compilation", "compile_seconds")):
        times = [_over_epochs(run, metric, sum) for run in runs]
        rows.append((f"{name}, s", [_shown(seconds, ",.1f") for seconds in times]))
    _table(main, runs, rows)


def _epochs(run: RunRecord) -> str:
    return f"{run.history[-1]['epoch']:,}" if run.history else _NONE


def _final(run: RunRecord, metric: str) -> str:
    _, values = run.values(metric)
    return _shown(values[-1] if values else math.nan, _format(metric))


def _best(run: RunRecord, metric: str) -> str:
    """The lowest loss or highest accuracy, and the first epoch that had it."""
    found = [(v, e) for e, v in zip(*run.values(metric), strict=True) if math.isfinite(v)]
    if not found:
        return _NONE
    best = (min if metric.endswith("loss") else max)(value for value, _ in found)
    epoch = next(epoch for value, epoch in found if value == best)
    return f"{_shown(best, _format(metric))} (epoch {epoch})"


def _over_epochs(run: RunRecord, metric: str, reduce: Callable[[list[float]], float]) -> float:
    _, values = run.values(metric)
    return reduce(values) if values else math.nan


def _format(metric: str) -> str:
    return ".4f" if metric.endswith("loss") else ".2%"


def _shown(value: float, form: str) -> str:
    return _NONE if math.isnan(value) else format(value, form)


def _settings(main: ET.Element, runs: Sequence[RunRecord]) -> None:
    _add(main, "h2", "Settings")
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    texts = [[_text(run.settings.get(name, _NONE)) for run in runs] for name in names]
    differing = {name for name, row in zip(names, texts, strict=True) if len(set(row)) > 1}
    if differing:
        _add(main, "p", "≠ marks settings that differ.")
    _table(main, runs, list(zip(names, texts, strict=True)), differing)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(
    main: ET.Element,
    runs: Sequence[RunRecord],
    rows: Sequence[tuple[str, Sequence[str]]],
    differing: set[str] | frozenset[str] = frozenset(),
) -> None:
    """A row for each name, a column for each run."""
    table = _add(_add(main, "div", class_="scroll", tabindex="0"), "table")
    if len(runs) > 1:
        head = _add(_add(table, "thead"), "tr")
        for text in ("run", *map(str, range(1, len(runs) + 1))):
            _add(head, "th", text, scope="col")
    body = _add(table, "tbody")
    for name, cells in rows:
        differs = name in differing
        row = _add(body, "tr", **({"class": "differs"} if differs else {}))
        _add(row, "th", f"≠ {name}" if differs else name, scope="row")
        for cell in cells:
            _add(row, "td", cell)


def _run(section: ET.Element, run: RunRecord) -> None:
    for problem in run.problems:
        _add(section, "p", problem, class_="problem")
    if run.evaluation is not None:
        _evaluation(section, run.evaluation)
    if run.histograms is not None:
        _add(section, "h3", "Activations and gradients of one step")
        plots = _add(section, "div", class_="plots wide")
        for name, layers in vars(run.histograms).items():
            picture = figures.svg(figures.histograms(name, layers))
            _plot(plots, picture, f"histograms of {name} in each layer")
    for name, picture in run.pictures.items():
        _add(section, "h3", name)
        _add(section, "img", src=_uri(picture, "png"), alt=name)


def _evaluation(section: ET.Element, saved: SavedEvaluation) -> None:
    result = saved.result
    _add(section, "h3", "Confusion matrix")
    picture = figures.svg(figures.confusion(result, saved.class_names, saved.title))
    _plot(_add(section, "div", class_="scroll", tabindex="0"), picture, "confusion matrix")
    _add(section, "h3", "Worst mistakes")
    wrong = int(np.sum(result.predictions != result.labels))
    text = f"{wrong:,} of {len(result.labels):,} images are classified wrongly"
    shown = f"; these {len(saved.mistakes)} have the highest loss." if wrong else "."
    _add(section, "p", text + shown)
    grid = _add(section, "div", class_="mistakes")
    for row, image in zip(saved.mistakes, saved.mistake_images, strict=True):
        true, predicted = (
            saved.class_names[classes[row]] for classes in (result.labels, result.predictions)
        )
        figure = _add(grid, "figure")
        _add(figure, "img", src=_uri(_png(image), "png"), alt=f"test image {row}")
        caption = _add(figure, "figcaption", f"{true}, taken for ")
        _add(
            caption, "strong", predicted
        ).tail = f" with {result.confidences[row]:.1%} confidence; loss {result.losses[row]:.2f}"


def _plot(parent: ET.Element, picture: bytes, text: str) -> None:
    _add(parent, "img", class_="plot", src=_uri(picture, "svg+xml"), alt=text)


def _uri(picture: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _png(image: np.ndarray) -> bytes:
    """An image of bytes as a PNG file; of two or more than four channels the first."""
    from PIL import Image

    file = io.BytesIO()
    channels = image.shape[-1]
    Image.fromarray(image if channels in (3, 4) else image[..., 0]).save(file, "PNG")
    return file.getvalue()
