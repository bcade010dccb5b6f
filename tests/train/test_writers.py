"""Each epoch's metrics, as TensorBoard and Weights & Biases get them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jaxcnn.train.writers import TensorBoardWriter, WandbWriter

ROWS = [
    {"epoch": 1, "step": 90, "train_loss": 0.5, "seconds": 2.0, "note": "first"},
    {"epoch": 2, "step": 180, "train_loss": 0.25, "seconds": 1.0, "test_accuracy": 0.75},
]


def events(folder: Path) -> dict[tuple[int, str], float]:
    """The scalars of all event files: each record is a length, its checksum, an event, another."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content = file.read_bytes()
        while len(content) > 12:
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found[event.step, value.tag] = value.simple_value
            content = content[16 + length :]
    return found


def test_tensorboard_scalars_are_soon_on_the_disk(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs tensorboardX: pip install tensorboardX")
    with TensorBoardWriter(tmp_path / "events") as writer:
        writer(ROWS[0])
        first = {(90, "train_loss"): 0.5, (90, "seconds"): 2.0}
        end = time.monotonic() + 30
        while events(tmp_path / "events") != first:
            assert time.monotonic() < end, events(tmp_path / "events")
            time.sleep(0.05)
        writer(ROWS[1])
    assert events(tmp_path / "events") == first | {
        (180, "train_loss"): 0.25,
        (180, "seconds"): 1.0,
        (180, "test_accuracy"): 0.75,
    }


def test_wandb_rows_are_logged_at_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    run = SimpleNamespace(
        log=lambda values, step: calls.append((values, step)),
        finish=lambda: calls.append("finish"),
    )
    started: dict[str, Any] = {}
    fake = SimpleNamespace(init=lambda **settings: started.update(settings) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with WandbWriter("digits", config={"lr": 0.1}, mode="offline") as writer:
        writer(ROWS[1])
        assert len(calls) == 1
    assert started == {"project": "digits", "config": {"lr": 0.1}, "mode": "offline"}
    assert calls == [
        ({"epoch": 2, "train_loss": 0.25, "seconds": 1.0, "test_accuracy": 0.75}, 180),
        "finish",
    ]


@pytest.mark.parametrize(
    ("writer", "package"),
    [
        pytest.param(TensorBoardWriter, "tensorboardX", id="tensorboard"),
        pytest.param(WandbWriter, "wandb", id="wandb"),
    ],
)
def test_a_missing_package_is_named(
    writer: Any, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Absent:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if name == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])
    rule = f"^{writer.__name__}: {package} must be installed, .*; pip install {package}\\.$"
    with pytest.raises(ImportError, match=rule):
        writer(str(tmp_path))
