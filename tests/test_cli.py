"""The `jaxcnn` command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxcnn
from jaxcnn import cli, models


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["jaxcnn", *arguments])
    cli.main()


def test_models(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "models")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in rows] == models.list_models()
    assert dict(rows)["resnet18"] == "11,689,512"


SUMMARY_END = """\
)
layer     type       output shape     parameters  multiply-adds
model1.0  Conv2d     (1, 32, 32, 32)       2,432      2,457,600
"""


def test_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "summary", "cifar10_quick")
    text = capsys.readouterr().out
    assert text.startswith("Tudui(\n  (model1): Sequential(\n    (0): Conv2d(3, 32, ")
    assert SUMMARY_END in text
    assert text.splitlines()[-1].split() == ["total", "145,578", "12,354,176"]


def test_summary_of_other_inputs_and_classes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "summary", "lenet", "--shape", "28", "28", "3", "--num-classes", "7")
    text = capsys.readouterr().out
    assert "Conv2d(3, 6," in text
    assert "11     Linear     (1, 7)" in text


def test_summary_of_a_model_with_a_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "summary", "spectformer_t", "--shape", "32", "64", "3")
    assert "(1, 2, 4, 256)" in capsys.readouterr().out


def checkpoint(path: Path, **others: Any) -> dict[str, Any]:
    """Writes the weights of a LeNet."""
    shapes = [(6, 1, 5, 5), (16, 6, 5, 5), (120, 256), (84, 120), (7, 84)]
    layers = zip(("conv1", "conv2", "fc1", "fc2", "fc3"), shapes, strict=True)
    arrays: dict[str, Any] = dict(others)
    for name, shape in layers:
        arrays[f"{name}.weight"] = np.full(shape, 0.5, np.float32)
        arrays[f"{name}.bias"] = np.ones(shape[0], np.float32)
    jaxcnn.write_state_dict(path, arrays)
    return arrays


def test_inspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lenet.pt"
    checkpoint(path)
    call(monkeypatch, "inspect", str(path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        f"{path}: torch-zip",
        "name          shape          dtype",
        "conv1.weight  (6, 1, 5, 5)   float32",
    ]
    assert lines[-2:] == [
        "10 arrays, 44,171 parameters, 176,684 bytes",
        "lenet_relu: 100.0% of names and shapes, num_classes=7",
    ]


@pytest.mark.torch
def test_inspect_a_wrapped_state_dict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    path = tmp_path / "last.pth"
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state_dict = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"model": state_dict, "ema": {"w\n": torch.ones(2)}, "epoch": 3}, path)
    call(monkeypatch, "inspect", str(path), "--key", "model")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: torch-zip, under the key model"
    assert "note: the prefix 'module.' of every name was left out" in lines
    assert lines[-2:] == [
        "7 arrays, 120 parameters, 520 bytes",
        "no model of jaxcnn.models has such names and shapes",
    ]
    call(monkeypatch, "inspect", str(path), "--key", "ema")
    assert "'w\\n'  (2,)   float32" in capsys.readouterr().out


def test_inspect_shows_what_to_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lenet.npz"
    arrays = checkpoint(path)
    jaxcnn.write_state_dict(path, {f"net.{name}": value for name, value in arrays.items()})
    call(monkeypatch, "inspect", str(path))
    assert capsys.readouterr().out.endswith(', num_classes=7, rename={r"^net\\.": r""}\n')


@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors", ".npz"])
def test_convert(
    ending: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, target = tmp_path / "lenet.npz", tmp_path / f"new{ending}"
    arrays = checkpoint(source, counter=np.array(3, np.int64))
    call(monkeypatch, "convert", str(source), str(target))
    lines = capsys.readouterr().out.splitlines()
    size = target.stat().st_size
    assert lines == [f"{source}: npz", f"{target}: 11 arrays, {size:,} bytes"]
    back = jaxcnn.read_state_dict(target)
    assert back.keys() == arrays.keys()
    for name, x in arrays.items():
        assert (back[name].dtype, back[name].tobytes()) == (x.dtype, x.tobytes())


def test_convert_replaces_only_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    source, target = tmp_path / "a.npz", tmp_path / "b.npz"
    checkpoint(source)
    target.write_bytes(b"mine")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "convert", str(source), str(target))
    assert capsys.readouterr().err == (
        f"error: convert: the target must not exist, got target={str(target)!r}; "
        "pass --force to replace it.\n"
    )
    assert target.read_bytes() == b"mine"
    call(monkeypatch, "convert", str(source), str(target), "--force")
    assert len(jaxcnn.read_state_dict(target)) == 10


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["inspect", "{}/none.pt"], "read_checkpoint: there must be a file, got path='{}/none.pt'"),
        (
            ["inspect", "{}/text.pt"],
            "read_checkpoint: the file must be a .pt, .safetensors or .npz with a state_dict",
        ),
        (["convert", "{}/a.npz", "{}/a.h5"], "write_state_dict: the ending must be one of "),
        (["inspect", "{}/a.npz", "--key", "ema"], "read_checkpoint: key "),
        (["summary", "lenet", "--shape", "0", "1", "1"], "summary: shape must be positive, got "),
    ],
    ids=["missing", "text", "ending", "key", "shape"],
)
def test_errors_are_one_line(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    checkpoint(tmp_path / "a.npz")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, *(argument.replace("{}", str(tmp_path)) for argument in arguments))
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"error: {error.replace('{}', str(tmp_path))}")
    assert output.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "text.pt"]


MODELS = """
import torch
from jaxcnn import nn

def net(n, form="none"):
    return n.Sequential(n.Linear(4, 6), n.GELU(form))

def theirs():
    torch.manual_seed(0)
    return net(torch.nn)

ours, wrong = net(nn), net(nn, "tanh")
"""


@pytest.mark.torch
def test_compare_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    (tmp_path / "compared_models.py").write_text(MODELS)
    np.save(tmp_path / "x.npy", np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    theirs, x = "compared_models.theirs", ["--input", "x.npy"]
    with pytest.raises(SystemExit, match="0"):
        call(monkeypatch, "compare", theirs, "compared_models:ours", "--shape", "2", "4")
    assert "no layer diverges; 3 compared" in capsys.readouterr().out
    outputs = ["--json", "wrong.json", "--html", "wrong.html"]
    with pytest.raises(SystemExit, match="1"):
        call(monkeypatch, "compare", theirs, "compared_models.wrong", *x, *outputs)
    text = " ".join(capsys.readouterr().out.split())
    assert "first layer that diverges: 1, GELU: output, of the layer alone; GELU form:" in text
    assert json.loads((tmp_path / "wrong.json").read_text())["cause"] == "GELU form"
    assert "GELU form" in (tmp_path / "wrong.html").read_text()


def test_compare_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = tmp_path / "a.npz", tmp_path / "b.pt"
    arrays = checkpoint(a)
    jaxcnn.write_state_dict(b, {**arrays, "fc3.bias": arrays["fc3.bias"] + 1})
    with pytest.raises(SystemExit, match="1"):
        call(monkeypatch, "compare", str(a), str(b))
    out = capsys.readouterr().out
    assert "first layer that diverges: fc3.bias" in out
    with pytest.raises(SystemExit, match="0"):
        call(monkeypatch, "compare", str(a), str(a))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["nothing.at.all", "lenet"],
            "reference must be a model, or both must be checkpoint files",
        ),
        (["lenet", "{}/a.npz"], "model must be a model, or both must be checkpoint files"),
        (["jaxcnn.nn.Conv2d", "lenet"], "reference must be made without arguments"),
        (["jaxcnn.nn", "lenet"], "reference must be a torch or linen module, not a checkpoint"),
        (["lenet", "lenet", "--shape", "2", "0"], "shape must be positive"),
    ],
    ids=["nothing", "file", "arguments", "module", "shape"],
)
def test_compare_errors_are_one_line(
    arguments: list[str],
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    checkpoint(tmp_path / "a.npz")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "compare", *(text.replace("{}", str(tmp_path)) for text in arguments))
    output = capsys.readouterr()
    assert output.err.startswith(f"error: compare: {error}")
    assert output.err.count("\n") == 1


def test_data(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call(monkeypatch, "data", "digits", "--split", "test")
    assert "images=(359, 8, 8, 1)" in capsys.readouterr().out


def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "summary", "lenett", "--shape", "28", "28", "1")
    error = capsys.readouterr().err
    close = "close names: ['lenet', 'alexnet', 'googlenet']"
    assert error == f"error: create: unknown model, got name='lenett'; {close}.\n"


def test_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAXCNN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown model"):
        call(monkeypatch, "summary", "lenett", "--shape", "28", "28", "1")
