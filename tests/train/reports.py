"""Run folders and pages for the tests of reports."""

from __future__ import annotations

import base64
import dataclasses
import html.parser
import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxcnn import data, train
from jaxcnn.train.report.saved_evaluation import SavedEvaluation

DIGITS = data.load("digits", "test").take(30).resize(28)
ROWS: list[dict[str, Any]] = [
    {
        "epoch": epoch,
        "step": 90 * epoch,
        "train_loss": 1 / epoch,
        "train_accuracy": 0.8,
        "seconds": 2.0,
        "images_per_second": 700.0,
        "compile_seconds": 3.5 if epoch == 1 else 0.0,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    for epoch, test_loss, test_accuracy in ((1, 0.5, 0.7), (2, 0.25, 0.9), (3, 0.75, 0.8))
]


def answers(classes: tuple[str, ...] = DIGITS.class_names) -> SavedEvaluation:
    """Every third answer is wrong, with a loss that grows with the row."""
    labels = DIGITS.labels
    wrong = np.arange(30) % 3 == 0
    result = train.Evaluation(
        losses=np.linspace(1, 4, 30, dtype=np.float32),
        predictions=np.where(wrong, (labels + 1) % 10, labels),
        confidences=np.full(30, 0.75, np.float32),
        labels=labels,
        batch_size=16,
    )
    return SavedEvaluation.of(dataclasses.replace(DIGITS, class_names=classes), result)


def finished(path: Path, **settings: Any) -> Path:
    """A run folder with settings, metrics and answers."""
    run = train.RunFolder(path, {"lr": 0.1, **settings})
    run.write_metrics(ROWS)
    answers().write(path / "evaluation.npz")
    return path


class Page(html.parser.HTMLParser):
    """A page's elements and text; fails if an element is not closed where it was opened."""

    _VOID = ("br", "img", "meta")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open and data.strip():
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def elements(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def images(self) -> dict[str, Any]:
        """Each image by its alternative text, decoded: nothing comes from elsewhere."""
        found: dict[str, Any] = {}
        for attributes in self.elements("img"):
            kind, _, encoded = str(attributes["src"]).partition(";base64,")
            content = base64.b64decode(encoded, validate=True)
            if kind == "data:image/svg+xml":
                picture: Any = ET.fromstring(content)
            else:
                assert kind == "data:image/png"
                picture = Image.open(io.BytesIO(content))
                picture.load()
            assert attributes["alt"]
            found[str(attributes["alt"])] = picture
        return found
