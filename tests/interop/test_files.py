"""state_dict files: round trips, formats by content, damage, nothing left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.interop import CheckpointError

ENDINGS = [".npz", ".safetensors"]
ARRAYS = {
    "0.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "0.bias": np.array([np.nan, -0.0, 1e-45], np.float32),
    "bn.num_batches_tracked": np.array(2**40, np.int64),
    "double": np.array([1 / 3]),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    jaxcnn.write_state_dict(path, ARRAYS)
    back = jaxcnn.read_state_dict(str(path))
    assert back.keys() == ARRAYS.keys()
    for name, x in ARRAYS.items():
        assert (back[name].dtype, back[name].shape) == (x.dtype, x.shape)
        assert back[name].tobytes() == x.tobytes(), name
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_file_is_replaced(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{ending}"
    for value in (1.0, 2.0):
        jaxcnn.write_state_dict(path, {"w": np.array([value])})
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
    with pytest.raises(
        CheckpointError, match=rf"must be a whole \.npz .* got path='.*{path.name}'"
    ):
        jaxcnn.read_state_dict(path)


def test_flipped_byte_in_npz(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    jaxcnn.write_state_dict(path, {"w": np.arange(1000.0)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"must be a whole \.npz or \.safetensors, got path="):
        jaxcnn.read_state_dict(path)


@pytest.mark.parametrize(
    "content",
    [b"hello", b"PK\x03\x04garbage", b"\x00" * 100, b"\xff" * 100, b"\x80\x02}q\x00."],
    ids=["text", "zip-magic", "zeros", "ones", "pickle"],
)
def test_garbage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"^read_state_dict: the file must be a whole \.npz or"
    ):
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


def test_writes_jax_arrays_and_bfloat16(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    jaxcnn.write_state_dict(path, {"w": np.asarray(jnp.array([1.5, -2.0], jnp.bfloat16))})
    back = jaxcnn.read_state_dict(path)["w"]
    assert back.dtype == jnp.bfloat16
    assert back.tolist() == [1.5, -2.0]


def test_npz_cannot_hold_bfloat16(tmp_path: Path) -> None:
    """NumPy would write raw bytes and read them as no numbers at all."""
    message = (
        r"^write_state_dict: \.npz holds .*, got 'w' of dtype bfloat16; write \.safetensors\.$"
    )
    with pytest.raises(CheckpointError, match=message):
        jaxcnn.write_state_dict(tmp_path / "m.npz", {"w": np.ones(2, jnp.bfloat16)})
    assert os.listdir(tmp_path) == []


def test_a_key_named_file(tmp_path: Path) -> None:
    """numpy.savez has an argument of that name."""
    path = tmp_path / "model.npz"
    jaxcnn.write_state_dict(path, {"file": np.ones(1), "allow_pickle": np.zeros(1)})
    assert jaxcnn.read_state_dict(path).keys() == {"file", "allow_pickle"}
