"""Files of torch.save as torch.load reads them, bit for bit, and ours as torch.load reads them."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxcnn
from jaxcnn.interop import CheckpointError, read_checkpoint
from jaxcnn.interop.files.checkpoint import TORCH_DTYPES

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "checkpoints"
FORMATS = pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
BASE = torch.arange(24.0).reshape(2, 3, 4)


class Net(torch.nn.Module):
    """Parameters, buffers of both kinds, absent ones, tied and nested modules, an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.bn = torch.nn.BatchNorm2d(4)
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
        self.again = self.blocks[0]
        self.act = torch.nn.ReLU()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.tied = self.scale
        self.register_parameter("none", None)
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("temporary", torch.arange(4), persistent=False)
        self.register_buffer("absent", None)
        self.threshold = torch.ones(5)


def contents(x: Any) -> bytes:
    flat = x.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if x.numel() else b""


def assert_same(arrays: dict[str, np.ndarray], tensors: dict[str, Any]) -> None:
    assert list(arrays) == list(tensors)
    for name, x in tensors.items():
        assert str(arrays[name].dtype) == str(x.dtype).removeprefix("torch."), name
        assert arrays[name].shape == tuple(x.shape), name
        assert arrays[name].tobytes() == contents(x), name


def save(obj: Any, path: Path, new: bool) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(obj, path, _use_new_zipfile_serialization=new)
    return path


@FORMATS
@pytest.mark.parametrize("dtype", TORCH_DTYPES)
def test_dtypes(dtype: str, new: bool, tmp_path: Path) -> None:
    bits = torch.arange(48, dtype=torch.uint8) % (2 if dtype == "bool" else 251)
    state_dict = {"w": bits.view(getattr(torch, dtype))}
    path = save(state_dict, tmp_path / "m.pt", new)
    assert_same(jaxcnn.read_state_dict(path), state_dict)


@FORMATS
@pytest.mark.parametrize(
    "x",
    [
        pytest.param(BASE.T if BASE.ndim == 2 else BASE.permute(2, 0, 1), id="transposed"),
        pytest.param(BASE[:, 1:, ::2], id="strided"),
        pytest.param(BASE[1, 2, 3], id="zero-dimensional"),
        pytest.param(BASE[:0], id="empty"),
        pytest.param(torch.zeros(0), id="empty-storage"),
        pytest.param(BASE[0].expand(5, 3, 4), id="expanded"),
        pytest.param(BASE.to(memory_format=torch.contiguous_format)[None], id="one-index"),
        pytest.param(torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), id="nhwc"),
        pytest.param(torch.view_as_complex(BASE.reshape(3, 4, 2)).conj(), id="conj"),
        pytest.param(torch.view_as_complex(BASE.reshape(3, 4, 2)).conj().imag, id="neg"),
        pytest.param(torch.nn.Parameter(BASE), id="parameter"),
    ],
)
def test_layouts(x: Any, new: bool, tmp_path: Path) -> None:
    path = save({"x": x, "y": torch.ones(1)}, tmp_path / "m.pt", new)
    assert_same(jaxcnn.read_state_dict(path), {"x": x, "y": torch.ones(1)})


@FORMATS
def test_shared_storage(new: bool, tmp_path: Path) -> None:
    state_dict = {"all": BASE, "other": torch.ones(2), "part": BASE[1], "same": BASE}
    checkpoint = read_checkpoint(save(state_dict, tmp_path / "m.pt", new))
    assert_same(checkpoint.state_dict, state_dict)
    assert checkpoint.notes == ("tensors that share memory: all, part, same",)
    arrays = checkpoint.state_dict
    arrays["all"][1] = 7
    assert (arrays["part"] == 7).all()
    assert np.shares_memory(arrays["same"], arrays["all"])


@FORMATS
def test_whole_module(new: bool, tmp_path: Path) -> None:
    net = Net()
    path = save(net, tmp_path / "m.pt", new)
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint.state_dict, net.state_dict())
    assert checkpoint.notes[0] == f"the file holds a whole pickled module, {__name__}.Net"
    assert_same(jaxcnn.read_state_dict(save({"net": net, "epoch": 1}, path, new)), net.state_dict())
    assert_same(
        jaxcnn.read_state_dict(save(torch.nn.DataParallel(net), path, new)), net.state_dict()
    )


def test_graph_module(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    traced = torch.fx.symbolic_trace(model)
    path = save(traced, tmp_path / "m.pt", True)
    assert_same(jaxcnn.read_state_dict(path), traced.state_dict())


@FORMATS
@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "net", "ema"])
def test_wrappers_beside_an_optimizer(wrapper: str, new: bool, tmp_path: Path) -> None:
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net.bn(net.conv(torch.ones(1, 3, 5, 5))).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    checkpoint = {
        "epoch": 3,
        "rng": torch.get_rng_state(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        wrapper: net.state_dict(),
        "loss": np.float64(0.5),
        "history": np.arange(4.0),
    }
    found = read_checkpoint(save(checkpoint, tmp_path / "m.pt", new))
    assert (found.key, found.format) == (wrapper, "torch-zip" if new else "torch-legacy")
    assert_same(found.state_dict, net.state_dict())
    assert_same(jaxcnn.read_state_dict(found.path, key=wrapper), net.state_dict())
    for key in ("optimizer", "scheduler"):
        with pytest.raises(CheckpointError, match="the file must hold a state_dict"):
            jaxcnn.read_state_dict(found.path, key=key)
    with pytest.raises(CheckpointError, match=r"key must name an entry .*key='no'; there are"):
        jaxcnn.read_state_dict(found.path, key="no")


@FORMATS
def test_optimizer_alone(new: bool, tmp_path: Path) -> None:
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), momentum=0.9)
    net.conv(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    path = save(optimizer.state_dict(), tmp_path / "m.pt", new)
    with pytest.raises(CheckpointError, match="holds='the state of an optimizer'"):
        jaxcnn.read_state_dict(path)


@FORMATS
def test_numpy_arrays(new: bool, tmp_path: Path) -> None:
    arrays = {
        "matrix": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "half": np.ones(2, np.float16),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 2)),
    }
    back = read_checkpoint(save(arrays | {"names": np.array(["a"])}, tmp_path / "m.pt", new))
    assert back.notes == ("entries that are no tensors were left out: 'names'",)
    assert back.state_dict.keys() == arrays.keys()
    for name, x in arrays.items():
        assert back.state_dict[name].dtype == x.dtype.newbyteorder("="), name
        np.testing.assert_array_equal(back.state_dict[name], x)


@FORMATS
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "a quantised tensor"),
        (lambda x: x.to_sparse(), "a sparse tensor"),
        (lambda x: x.to("meta"), "a tensor on the meta device"),
        (lambda x: x.to(torch.complex32), "a tensor of dtype complex32"),
    ],
    ids=["quantised", "sparse", "meta", "complex32"],
)
def test_unsupported(make: Any, kind: str, new: bool, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = make(torch.ones(2))
    path = save({"x": x}, tmp_path / "m.pt", new)
    with pytest.raises(CheckpointError, match=f"must be dense.*name='x', holds='{kind}'"):
        jaxcnn.read_state_dict(path)


class Tagged(torch.Tensor):
    """A derived class, which torch.save writes with its own state."""


@FORMATS
def test_derived_tensor(new: bool, tmp_path: Path) -> None:
    x = BASE.as_subclass(Tagged)
    x.tag = "hello"
    path = save({"x": x, "p": torch.nn.Parameter(torch.ones(2))}, tmp_path / "m.pt", new)
    assert jaxcnn.read_state_dict(path)["x"].tolist() == BASE.tolist()


def test_torchscript_and_export(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(CheckpointError, match="a TorchScript archive holds programs"):
        jaxcnn.read_state_dict(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
        torch.export.save(program, tmp_path / "m.pt2")
    with pytest.raises(CheckpointError, match=r"a torch\.export archive holds programs"):
        jaxcnn.read_state_dict(tmp_path / "m.pt2")


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_loads_ours(mmap: bool, tmp_path: Path) -> None:
    bits = np.arange(64, dtype=np.uint8) % 2
    arrays = {name: bits.view(dtype).reshape(2, -1) for name, dtype in TORCH_DTYPES.items()}
    arrays |= {"scalar": np.array(2**40), "empty": np.zeros((0, 3)), "transposed": bits[::2]}
    arrays |= {"\u00e9.weight": np.arange(6.0).reshape(2, 3).T, "big": np.arange(3, dtype=">i4")}
    path = tmp_path / "m.pth"
    jaxcnn.write_state_dict(path, arrays)
    tensors = torch.load(path, weights_only=True, mmap=mmap)
    native = {name: x.astype(x.dtype.newbyteorder("=")) for name, x in arrays.items()}
    assert_same(native, tensors)
    assert_same(jaxcnn.read_state_dict(path), tensors)


def test_module_loads_ours(tmp_path: Path) -> None:
    net, other = Net(), Net()
    torch.nn.init.normal_(other.conv.weight)
    path = save(other.state_dict(), tmp_path / "a.pt", True)
    jaxcnn.write_state_dict(tmp_path / "b.pt", jaxcnn.read_state_dict(path))
    net.load_state_dict(torch.load(tmp_path / "b.pt", weights_only=True), strict=True)
    assert torch.equal(net.conv.weight, other.conv.weight)


def test_libraries_read_our_safetensors(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    names = [name for name in TORCH_DTYPES if name != "complex128" and "fnuz" not in name]
    bits = np.arange(64, dtype=np.uint8) % 2
    arrays = {name: bits.view(TORCH_DTYPES[name]).reshape(2, -1) for name in names}
    arrays |= {"scalar": np.array(2**40), "empty": np.zeros((0, 3)), "strided": bits[::2]}
    ours, theirs = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    jaxcnn.write_state_dict(ours, arrays)
    tensors = {name: library.load_file(ours)[name] for name in arrays}
    assert_same(arrays, tensors)
    library.save_file(tensors, theirs, metadata={"format": "pt"})
    back = jaxcnn.read_state_dict(theirs)
    assert_same({name: back[name] for name in arrays}, tensors)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize(
    ("file", "form", "key", "note"),
    [
        ("resnet20_cifar10_legacy.th", "torch-legacy", "state_dict", "the prefix 'module.'"),
        ("lenet_fashion_mnist.pth", "torch-zip", "", ""),
        ("cifar10_quick_whole_module.pth", "torch-zip", "", "module, __main__.Tudui"),
    ],
)
def test_files_of_others(file: str, form: str, key: str, note: str) -> None:
    checkpoint = read_checkpoint(SHARED / file)
    assert (checkpoint.format, checkpoint.key) == (form, key)
    assert note in " ".join(checkpoint.notes)
    if "whole" in file:  # torch needs the class itself
        assert checkpoint.state_dict["model.0.weight"].shape == (32, 3, 5, 5)
        assert len(checkpoint.state_dict) == 10
        return
    loaded = torch.load(SHARED / file, weights_only=False, map_location="cpu")
    tensors = loaded[key] if key else loaded
    named = OrderedDict((k.removeprefix("module."), v) for k, v in tensors.items())
    assert_same(checkpoint.state_dict, named)
