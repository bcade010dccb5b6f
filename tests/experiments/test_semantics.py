"""The page of differences lists what the experiment measures."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.torch
def test_the_page_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """In names, reasons, examples and threads; its digits are those of the day it was written."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    semantics = importlib.import_module("semantics")
    page = (ROOT / "docs" / "semantics.md").read_text()
    topics = semantics.topics()
    assert re.findall("^## (.*)$", page, re.MULTILINE) == list(topics)
    differences = [each for topic in topics.values() for each in topic]
    assert re.findall("^### (.*)$", page, re.MULTILINE) == [each.name for each in differences]
    assert len(differences) == 41
    sections = re.split("^### .*$", page, flags=re.MULTILINE)[1:]
    for each, section in zip(differences, sections, strict=True):
        assert each.explanation[1:] in section, each.name
        assert "\n".join(each.example).replace("'", '"') in section, each.name
        assert f"({each.thread})" in section if each.thread else "Met in" not in section, each.name
