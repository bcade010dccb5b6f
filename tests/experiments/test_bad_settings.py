"""Whatever is wrong with settings or data: one clear line, exit code 2, nothing compiled."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tyro
from PIL import Image

from jaxcnn.cli import one_line_errors
from jaxcnn.interop import write_state_dict

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """What is compiled while the test runs."""
    compiled: list[str] = []

    def note(event: str, seconds: float, **about: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield compiled
    jax.monitoring.unregister_event_duration_listener(note)


def run(name: str, *arguments: object) -> None:
    """Runs an experiment as its script does."""
    spec = importlib.util.spec_from_file_location(f"experiment_{name}", EXPERIMENTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    with one_line_errors():
        module.main(tyro.cli(module.Settings, args=[*map(str, arguments)]))


def folder(path: Path, classes: tuple[str, ...] = ("cat", "dog"), images: int = 3) -> Path:
    rng = np.random.RandomState(0)
    for name in classes:
        (path / name).mkdir(parents=True)
        for i in range(images):
            pixels = rng.randint(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i}.png")
    return path


def one_class(path: Path) -> Path:
    return folder(path, ("cat",))


def empty_image(path: Path) -> Path:
    (folder(path) / "cat" / "1.png").write_bytes(b"")
    return path


def half_an_image(path: Path) -> Path:
    file = folder(path) / "dog" / "2.png"
    file.write_bytes(file.read_bytes()[:500])
    return path


def check_one_line(capsys: pytest.CaptureFixture[str], message: str) -> None:
    errors = capsys.readouterr().err.strip()
    assert errors.startswith("error: ")
    assert re.search(message, errors), errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("--lr", -1, r"Settings: lr must not be negative, got lr=-1\.0"),
        ("--epochs", 0, r"Settings: epochs must be at least 1, got epochs=0"),
        ("--batch-size", 0, r"batch_size must be at least 1, got batch_size=0"),
        ("--momentum", -0.5, r"momentum must not be negative, got momentum=-0\.5"),
        ("--label-smoothing", 1.5, r"label_smoothing must be from 0 to 1"),
        ("--clip-norm", 0, r"clip_norm must be positive, got clip_norm=0\.0"),
        ("--ema", 2, r"ema must be from 0 to 1, got ema=2\.0"),
        ("--accumulate", 0, r"accumulate must be at least 1, got accumulate=0"),
        ("--rand-augment", 31, r"rand_augment must be at most 30, got rand_augment=31"),
        ("--warmup-epochs", 200, r"warmup_epochs must be fewer than epochs, got warmup_epochs=200"),
        ("--frozen", "(", r"frozen must be a regular expression .*, got frozen='\('"),
        ("--seed", -1, r"seed must be at least 0, got seed=-1"),
        ("--keep-best", "speed", r"keep_best must be one of .*, got keep_best='speed'"),
        ("--checkpoint-every", 0, r"checkpoint_every must be at least 1"),
        ("--validation", 2, r"validation must leave every class an image in both splits"),
    ],
)
def test_a_bad_number(
    setting: str,
    value: object,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compilations: list[str],
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    records = np.random.RandomState(0).randint(0, 256, (40, 3073), np.uint8)
    records[:, 0] = np.arange(40) % 10
    (raw / "test_batch.bin").write_bytes(records.tobytes())
    given = ("--raw-dir", raw, "--runs", tmp_path / "runs", "--train-split", "test")
    validation = () if setting == "--validation" else ("--validation", 0.25)
    with pytest.raises(SystemExit, match=r"^2$"):
        run("resnet_cifar10", *given, *validation, setting, value)
    check_one_line(capsys, message)
    assert not compilations
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("lenet", ("--lr", -1), r"sgd: lr must not be negative, got lr=-1"),
        ("lenet", ("--epochs", 0), r"lenet: epochs must be at least 1, got epochs=0"),
        ("lenet", ("--batch-size", 0), r"got batch_size=0"),
        ("lenet", ("--resume", "nothing"), r"got resume='nothing'"),
        ("lenet", ("--dataset", "mnist", "--raw-dir", "nothing"), r"nothing"),
        ("cifar10_quick", ("--raw-dir", "nothing"), r"nothing"),
        ("edge_kernel", ("--photo", "cat.jpg"), r"cat\.jpg"),
    ],
)
def test_a_bad_setting_of_the_older_experiments(
    name: str,
    arguments: tuple[object, ...],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compilations: list[str],
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run(name, *arguments, "--runs", tmp_path / "runs")
    check_one_line(capsys, message)
    assert not compilations
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("choice", ["--schedule", "--optimizer", "--precision", "--strategy"])
def test_an_unknown_choice(choice: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run("resnet_cifar10", choice, "nonsense")
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, r"there is no such folder, got path="),
        (one_class, r"there must be at least two classes, .* classes=\('cat',\)"),
        (empty_image, r"cat.1\.png"),
        (half_an_image, r"dog.2\.png"),
    ],
    ids=["no folder", "one class", "zero bytes", "half an image"],
)
def test_a_bad_folder(
    make: Callable[[Path], Path],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    compilations: list[str],
) -> None:
    path = make(tmp_path / "images")
    sizes = ("--size", 32, "--resize", 32, "--validation", 0.34)
    with pytest.raises(SystemExit, match=r"^2$"):
        run("finetune", "--folder", path, "--checkpoint", "weights.pt", *sizes)
    check_one_line(capsys, message)
    assert not compilations


def test_a_checkpoint_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_state_dict(tmp_path / "lenet.pt", {"conv1.bias": np.zeros(6, np.float32)})
    sizes = ("--size", 32, "--resize", 32, "--validation", 0.34, "--model", "resnet20")
    given = ("--folder", folder(tmp_path / "images"), "--checkpoint", tmp_path / "lenet.pt")
    with pytest.raises(SystemExit, match=r"^2$"):
        run("finetune", *given, *sizes)
    assert "to_variables: the state_dict must fit" in capsys.readouterr().err


def test_settings_that_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run("finetune", "--checkpoint", "weights.pt")
    check_one_line(capsys, "either folder or dataset must be given, got folder=None, dataset=None")
    with pytest.raises(SystemExit, match=r"^2$"):
        run("spectformer", "--dataset", "digits", "--variant", "spectformer_t", "--token-label")
    check_one_line(capsys, "token_label is for the hierarchical variants")
