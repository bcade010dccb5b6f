"""The `jaxcnn` command."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import jax
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


NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.bn = torch.nn.BatchNorm2d(2)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()

class makers:
    net = Net
    number = int
"""


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module that defines a PyTorch net, as the working directory."""
    monkeypatch.delenv("JAXCNN_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_nets", raising=False)
    (tmp_path / "my_nets.py").write_text(NET)
    return tmp_path


@pytest.mark.torch
def test_convert_model(
    net: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    start = {"conv.weight": np.full((2, 1, 3, 3), 0.5, np.float32)}
    options = ["--out", "net.py", "--weights", "net.safetensors", "--shape", "1", "5", "5", "1"]
    call(monkeypatch, "convert-model", "my_nets:Net", *options)
    lines = capsys.readouterr().out.splitlines()
    size = (net / "net.safetensors").stat().st_size
    count = len((net / "net.py").read_text().splitlines())
    assert lines == [f"net.safetensors: 7 arrays, {size:,} bytes", f"net.py: {count} lines"]
    state_dict = jaxcnn.read_state_dict("net.safetensors")
    model = importlib.import_module("net").Net()
    monkeypatch.delitem(sys.modules, "net")
    x = np.ones((2, 5, 5, 1), np.float32)
    like = jax.eval_shape(model.init, jax.random.key(0), x)
    y = model.apply(jaxcnn.to_variables(state_dict, like), x)
    theirs = sys.modules["my_nets"].Net().eval()
    theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state_dict.items()})
    expected = theirs(torch.ones(2, 1, 5, 5)).detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    # Another start, and names inside of the module.
    jaxcnn.write_state_dict("start.npz", {**state_dict, **start})
    options += ["--checkpoint", "start.npz", "--force"]
    call(monkeypatch, "convert-model", "my_nets:makers.net", *options)
    again = jaxcnn.read_state_dict("net.safetensors")
    np.testing.assert_array_equal(again["conv.weight"], start["conv.weight"])


@pytest.mark.torch
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["my_nets:Net", "--out", "a.txt"], "out must end in .py, as weights have a file of their"),
        (["my_nets:Net", "--out", "my_nets.py"], "the new files must not exist, got path='my_nets"),
        (["my_nets", "--out", "a.py"], "the model must be torchvision:NAME, timm:NAME or package"),
        (["no_nets:Net", "--out", "a.py"], "no_nets must be importable, got No module named 'no_"),
        (["my_nets:Nut", "--out", "a.py"], "my_nets must have a callable, got name='Nut'."),
        (["my_nets:makers.number", "--out", "a.py"], "makers.number must make a torch.nn.Module"),
        (["my_nets:Net", "--out", "a.py", "--shape", "0", "1"], "shape must be positive, got sha"),
        (["my_nets:Net", "--out", "a.py", "--shape", "1", "1"], "shape must be that of images, "),
        (["my_nets:Net", "--out", "a.py", "--pretrained"], "published weights are those of torch"),
        (["my_nets:Net", "--out", "a.py", "--checkpoint", "b.npz"], "the checkpoint must fit the"),
    ],
    ids=[
        "ending",
        "exists",
        "form",
        "module",
        "name",
        "kind",
        "zero",
        "shape",
        "published",
        "file",
    ],
)
def test_convert_model_errors(
    arguments: list[str],
    error: str,
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    jaxcnn.write_state_dict("b.npz", {"weight": np.ones(2)})
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "convert-model", *arguments)
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: convert-model: {error}")
    assert shown.count("\n") == 1
    assert not (net / "a.py").exists()


@pytest.mark.parametrize("package", ["torch", "torchvision", "timm"])
def test_convert_model_needs_packages(
    package: str,
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    find = importlib.util.find_spec
    there = lambda name, *args: None if name == package else find(name, *args)
    monkeypatch.setattr("importlib.util.find_spec", there)
    if package != "torch":
        pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, "convert-model", f"{package}:resnet18", "--out", "a.py")
    rule = f"{package} must be installed, got found=None; pip install {package}."
    assert capsys.readouterr().err == f"error: convert-model: {rule}\n"
