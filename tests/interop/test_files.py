"""state_dict files: round trips, formats by content, damage, nothing left behind."""

from __future__ import annotations

import os
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.interop import Checkpoint, CheckpointError, read_checkpoint
from tests.interop.torch_bytes import (
    FLOATS,
    legacy,
    module,
    name,
    storage,
    tensor,
    torch_zip,
    value,
)

ENDINGS = [".npz", ".safetensors", ".pt"]
ARRAYS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.array([np.nan, -0.0, 1e-45], np.float32),
    "bn.num_batches_tracked": np.array(2**40, np.int64),
    "double": np.array([1 / 3]),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j], np.complex64),
    "uint32": np.array([2**32 - 1], np.uint32),
}
FORMATS = {".npz": "npz", ".safetensors": "safetensors", ".pt": "torch-zip"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, ARRAYS)
    back = jaxcnn.read_state_dict(str(path))
    assert back.keys() == ARRAYS.keys()
    for key, x in ARRAYS.items():
        assert (back[key].dtype, back[key].shape) == (x.dtype, x.shape)
        assert back[key].tobytes() == x.tobytes(), key
    assert list(back) == list(ARRAYS)
    assert all(x.flags.writeable for x in back.values())
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_dtypes_of_other_packages(dtype: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    x = np.asarray(jnp.array([1.5, -2.0], dtype))
    jaxcnn.write_state_dict(path, {"w": x})
    back = jaxcnn.read_state_dict(path)["w"]
    assert back.dtype == x.dtype
    assert back.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_arrays(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, {})
    assert read_checkpoint(path) == Checkpoint(str(path), FORMATS[ending], {})


@pytest.mark.parametrize("ending", ENDINGS)
def test_other_byte_order_is_written_as_this_machine_reads_it(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, {"w": np.arange(3, dtype=">i4")})
    back = jaxcnn.read_state_dict(path)["w"]
    assert (back.dtype, back.tolist()) == (np.int32, [0, 1, 2])


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module." * 2])
@pytest.mark.parametrize("ending", ENDINGS)
def test_prefixes(ending: str, prefix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, {f"{prefix}{name}": x for name, x in ARRAYS.items()})
    checkpoint = read_checkpoint(path)
    assert checkpoint.state_dict.keys() == ARRAYS.keys()
    assert len(checkpoint.notes) == prefix.count(".")
    assert checkpoint.notes[0].startswith(f"the prefix '{prefix.split('.')[0]}.' of every name")


def test_a_prefix_of_some_names_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    jaxcnn.write_state_dict(path, {"module.w": np.ones(1), "n_averaged": np.ones(1)})
    checkpoint = read_checkpoint(path)
    assert checkpoint.state_dict.keys() == {"module.w", "n_averaged"}
    assert checkpoint.notes == ()


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_key_of_a_format_without_dicts(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, ARRAYS)
    with pytest.raises(CheckpointError, match=r"key must be left out for \..*, got .*key='model'"):
        jaxcnn.read_state_dict(path, key="model")


SMALL = {"w": tensor(), "b": tensor((3,), (2,), 1)}
WRAPPED = {
    "top": ({**SMALL, "epoch": 1}, None, "", 1),
    "usual": ({"epoch": 1, "state_dict": SMALL}, None, "state_dict", 0),
    "nested": ({"checkpoint": {"model": SMALL, "step": 1}}, None, "checkpoint.model", 0),
    "beside-tensors": ({"model": SMALL, "mean": tensor(), "std": tensor()}, None, "model", 0),
    "same-object": ({"model": value(SMALL) + b"q\x07", "ema": b"h\x07"}, None, "model", 0),
    "others": ({"model": SMALL, "head": SMALL}, None, "model", 1),
    "key": ({"model": SMALL, "ema": SMALL}, "ema", "ema", 0),
    "key-then-search": ({"model": SMALL, "ema": {"state_dict": SMALL}}, "ema", "ema.state_dict", 0),
    "dotted-key": ({"a": {"b.c": SMALL}}, "a.b.c", "a.b.c", 0),
    "key-to-few": ({"a": {**SMALL, "x": 1, "y": 2, "z": 3}}, "a", "a", 1),
    "top-by-key": ({**SMALL, "x": 1, "y": 2, "z": 3}, "", "", 1),
    "module": ({"net": module("A", SMALL)}, None, "net", 1),
    "attribute": (name("m", "Run") + b")\x81" + value({"model": SMALL}) + b"b", None, "model", 0),
    "derived-dict": (name("m", "Dict") + b")\x81" + value(SMALL)[1:], None, "", 0),
}


@pytest.mark.parametrize("make", [torch_zip, legacy])
@pytest.mark.parametrize("case", WRAPPED)
def test_wrappers(case: str, make: Any, tmp_path: Path) -> None:
    root, key, found_at, notes = WRAPPED[case]
    path = tmp_path / "model.pt"
    path.write_bytes(make(root))
    checkpoint = read_checkpoint(path, key=key)
    assert list(checkpoint.state_dict) == ["w", "b"]
    assert checkpoint.state_dict["b"].tolist() == [1, 3, 5]
    assert checkpoint.key == found_at
    assert len([note for note in checkpoint.notes if "share memory" not in note]) == notes


def test_module_state(tmp_path: Path) -> None:
    """Names, order and what is left out as in torch.nn.Module.state_dict."""
    hidden = name("builtins", "set") + value((["temporary"],)) + b"R"
    inner = module("B", {"weight": tensor(), "bias": None}, {"mean": tensor(), "none": None})
    buffers = {"kept": tensor(), "temporary": tensor()}
    root = module(
        "A", {"w": tensor()}, buffers, {"0": inner, "1": None}, _non_persistent_buffers_set=hidden
    )
    path = tmp_path / "model.pt"
    path.write_bytes(torch_zip(root))
    assert list(jaxcnn.read_state_dict(path)) == ["w", "kept", "0.weight", "0.mean"]


def test_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_zip(SMALL, {"0": FLOATS.astype(">f4").tobytes()}, byteorder=b"big"))
    back = jaxcnn.read_state_dict(path)
    assert back["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back["b"].tolist() == [1, 3, 5]


def test_legacy_view_of_a_storage(tmp_path: Path) -> None:
    view = storage("0", "FloatStorage", 6, ("1", 2, 4))
    path = tmp_path / "model.pt"
    path.write_bytes(legacy({"w": tensor((2,), (2,), 1, view)}))
    assert jaxcnn.read_state_dict(path)["w"].tolist() == [3, 5]


def test_python_2(tmp_path: Path) -> None:
    """Strings are bytes there, and an OrderedDict is a call with pairs."""
    key = b"U\x09fc.weight"
    pairs = b"](](" + key + tensor() + b"ee"
    path = tmp_path / "model.pt"
    path.write_bytes(legacy(name("collections", "OrderedDict") + pairs + b"\x85R"))
    assert jaxcnn.read_state_dict(path)["fc.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """The optimizer's tensors are often twice the model's; here they are not even there."""
    root = {"model": SMALL, "optimizer": {"momentum": tensor(held=storage("9"))}}
    path = tmp_path / "model.pt"
    path.write_bytes(torch_zip(root))
    assert list(jaxcnn.read_state_dict(path)) == ["w", "b"]


def test_records_are_aligned(tmp_path: Path) -> None:
    """torch.load(mmap=True) looks into them."""
    path = tmp_path / "model.pt"
    jaxcnn.write_state_dict(path, ARRAYS)
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            file.seek(entry.header_offset + 26)
            start = file.tell() + 4 + sum(struct.unpack("<2H", file.read(4)))
            assert start % 64 == 0, entry.filename


@pytest.mark.parametrize("make", [*ENDINGS, "legacy"])
def test_memory(make: str, tmp_path: Path) -> None:
    """Arrays are read into place and written one by one."""
    arrays = {str(i): np.full(2**20, i, np.float32) for i in range(8)}
    path = tmp_path / ("model.pt" if make == "legacy" else f"model{make}")
    tracemalloc.start()
    if make == "legacy":
        held = {key: x.tobytes() for key, x in arrays.items()}
        root = {k: tensor((2**20,), (1,), 0, storage(k, "FloatStorage", 2**20)) for k in arrays}
        path.write_bytes(legacy(root, held))
        del held
    else:
        jaxcnn.write_state_dict(path, arrays)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    back = jaxcnn.read_state_dict(path)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert 2**25 <= peak < 1.2 * 2**25
    assert all((back[key] == x).all() for key, x in arrays.items())


def test_stored_and_deflated_npz(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    arrays = {"a": np.arange(1000.0), "f": np.asfortranarray(np.arange(6).reshape(2, 3))}
    for save in (np.savez, np.savez_compressed):
        save(path, **arrays, text=np.array(["a"]))
        checkpoint = read_checkpoint(path)
        assert checkpoint.notes == ("entries that are no numbers were left out: text",)
        for key, x in arrays.items():
            np.testing.assert_array_equal(checkpoint.state_dict[key], x)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_file_is_replaced(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    for number in (1.0, 2.0):
        jaxcnn.write_state_dict(path, {"w": np.array([number])})
    assert jaxcnn.read_state_dict(path)["w"].tolist() == [2.0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_content_decides_not_the_ending(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, ARRAYS)
    other = path.rename(tmp_path / f"model{ENDINGS[ENDINGS.index(ending) - 1]}")
    assert jaxcnn.read_state_dict(other).keys() == ARRAYS.keys()
    assert jaxcnn.read_state_dict(other.rename(tmp_path / "model.bin")).keys() == ARRAYS.keys()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
def test_truncated(ending: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, ARRAYS)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(CheckpointError, match=rf"^read_state_dict: .* got path='.*{path.name}'"):
        jaxcnn.read_state_dict(path)


@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_flipped_byte(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, {"w": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the CRC of an entry must .*; the file is damaged"):
        jaxcnn.read_state_dict(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    """An array of objects runs code when it is read."""
    path = tmp_path / "model.npz"
    np.savez(path, w=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError, match="allow_pickle=False"):
        jaxcnn.read_state_dict(path)


def test_missing_file(tmp_path: Path) -> None:
    message = r"^read_state_dict: there must be a file, got path='.*none\.npz'\.$"
    for path in (tmp_path / "none.npz", tmp_path / "folder" / "none.npz"):
        with pytest.raises(FileNotFoundError, match=message):
            jaxcnn.read_state_dict(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^read_state_dict: there must be a file, got path="
    ):
        jaxcnn.read_state_dict(tmp_path)


@pytest.mark.parametrize("name", ["model.h5", "model", "model.npz.bak"])
def test_unknown_ending(name: str, tmp_path: Path) -> None:
    message = rf"^write_state_dict: the ending must be one of \(.*\), got path='.*{name}'\.$"
    with pytest.raises(CheckpointError, match=message):
        jaxcnn.write_state_dict(tmp_path / name, ARRAYS)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_write_leaves_the_old_file(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, {"w": np.ones(2)})

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        jaxcnn.write_state_dict(path, {"w": np.zeros(2)})
    assert os.listdir(tmp_path) == [path.name]
    assert jaxcnn.read_state_dict(path)["w"].tolist() == [1, 1]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    """A temporary file is private; the finished one is as any other."""
    path, other = tmp_path / "model.npz", tmp_path / "other"
    jaxcnn.write_state_dict(path, ARRAYS)
    other.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


@pytest.mark.parametrize(
    ("file", "arrays", "message"),
    [
        # NumPy would write raw bytes and read them as no numbers at all.
        ("m.npz", {"w": np.ones(2, jnp.bfloat16)}, r"\.npz cannot hold.*dtype='bfloat16'; write"),
        ("m.npz", {"w": np.array([{}], object)}, r"\.npz cannot hold every dtype.*dtype='object'"),
        ("m.npz", {"w.npy": np.ones(2)}, r"a name in \.npz must be another.*name='w.npy'; write"),
        ("m.safetensors", {"w": np.ones(2, complex)}, r"\.safetensors cannot hold.*complex128"),
        ("m.safetensors", {"__metadata__": np.ones(2)}, r"a name in \.safetensors must be anoth"),
        ("m.pt", {"w": np.array(["a"])}, r"\.pt cannot hold every dtype, got path=.*'w'.*<U1'\.$"),
        ("m.pt", {1: np.ones(2)}, r"names must be text, got path=.*name=1\.$"),
        ("m.pt", {"\ud800": np.ones(2)}, r"names must be text, got path="),
    ],
)
def test_what_a_format_cannot_hold(file: str, arrays: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^write_state_dict: {message}"):
        jaxcnn.write_state_dict(tmp_path / file, arrays)
    assert os.listdir(tmp_path) == []


def test_a_key_named_file(tmp_path: Path) -> None:
    """numpy.savez has an argument of that name."""
    path = tmp_path / "model.npz"
    jaxcnn.write_state_dict(path, {"file": np.ones(1), "allow_pickle": np.zeros(1)})
    assert jaxcnn.read_state_dict(path).keys() == {"file", "allow_pickle"}
