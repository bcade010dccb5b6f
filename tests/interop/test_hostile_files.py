"""Hostile and damaged files: each ends in its own error, and nothing in them runs."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxcnn
from jaxcnn.interop import CheckpointError, Limits
from tests.interop.torch_bytes import (
    FLOATS,
    HEADER,
    archive,
    call,
    entry,
    legacy,
    module,
    name,
    npy,
    patched,
    safetensors,
    storage,
    tensor,
    torch_zip,
    value,
)

GOOD = {"w": tensor()}
ZIP = torch_zip(GOOD)
LEGACY = legacy(GOOD)
SAFE = safetensors({"w": entry()})
NPZ = archive({"w.npy": npy()})
BOMB = archive({"w.npy": npy() + bytes(2**27)}, zipfile.ZIP_DEFLATED)
UTILS = "torch._utils"
QUANTISED = call(name(UTILS, "_rebuild_qtensor"), storage(kind="QInt8Storage"), 0, (6,), (1,))
SPARSE = call(name(UTILS, "_rebuild_sparse_tensor"), name("torch", "sparse_coo"), ())
META = call(name(UTILS, "_rebuild_meta_tensor_no_storage"), name("torch", "float32"), (), (), False)
NESTED = call(name(UTILS, "_rebuild_nested_tensor"), 1, 2, 3, 4)
HALF_COMPLEX = call(
    *(name(UTILS, "_rebuild_tensor_v3"), storage(kind="UntypedStorage", numel=24)),
    *(0, (6,), (1,), False, {}, name("torch", "complex32")),
)
ENTRY = b'{"dtype":"F32","shape":[6],"data_offsets":[0,24]}'
SHARED = module("B", {str(i): None for i in range(50)})
SHARING = {"0": SHARED + b"q\x09"} | dict.fromkeys("123456789", b"h\x09")
DEEP = b")q\x00" + b"\x85" * 100_000


def doubled(levels: int) -> bytes:
    """A tuple of 2**levels entries in a few bytes: "billion laughs"."""
    return b")" + b"q\x00h\x00\x86" * levels


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as out:
        out.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


def encrypted() -> bytes:
    """Flag 1 in the header of the first entry and in the directory."""
    content = patched(ZIP, b"PK\x03\x04\x14\x00\x00", b"PK\x03\x04\x14\x00\x01")
    return patched(content, b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def twice() -> bytes:
    content = archive({"archive/data.pkl": b"", "archive/data.pkm": b""})
    return content.replace(b"data.pkm", b"data.pkl")


def overlapping() -> bytes:
    """Every entry of the directory at the offset of the first."""
    content = bytearray(archive({"a.npy": npy(), "b.npy": npy()}))
    second = content.rindex(b"PK\x01\x02")
    content[second + 42 : second + 46] = bytes(4)
    return bytes(content)


def directory_field(offset: int, form: str, number: int) -> bytes:
    """`ZIP` with one number of the first entry of the directory overwritten."""
    content, at = bytearray(ZIP), ZIP.index(b"PK\x01\x02")
    struct.pack_into(form, content, at + offset, number)
    return bytes(content)


def many_names() -> dict[str, Any]:
    return {f"w{i}": tensor((10_000,), (0,)) for i in range(2000)}


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"with a state_dict, got path='.*'; it is empty\.$"),
    "zeros": (bytes(1000), "it is all zeros"),
    "text": (b"hello\n" * 100, "it is text"),
    "html": (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "gzip": (gzip.compress(ZIP), "it is gzip; unpack it first"),
    "tar": (tar(), "it is tar"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "it is HDF5"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "it is a PNG image"),
    "npy": (npy(), "it is one array of NumPy; save a dict"),
    "pickle": (pickle.dumps({"w": 1}), "it is a bare pickle"),
    "noise": (bytes(range(128, 256)), "its kind is unknown"),
    "zip-magic": (b"PK\x03\x04garbage", "a zip file must end with its directory.*cut off"),
    "other-zip": (archive({"word/document.xml": b""}), "it is another kind of zip"),
    "torchscript": (
        archive({"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/m.py": b""}),
        r"a TorchScript archive holds programs.*entry='m/constants\.pkl'; load it with torch\.jit",
    ),
    "torch-export": (
        archive({"m/archive_format": b"pt2", "m/data.pkl": b""}),
        r"a torch\.export archive holds programs",
    ),
    "zip-truncated": (ZIP[:-30], "a zip file must end with its directory"),
    "zip-crc": (patched(ZIP, FLOATS.tobytes(), bytes(24)), r"CRC.*entry='archive/data/0'; the"),
    "zip-pickle-crc": (patched(ZIP, b"X\x01\x00\x00\x00w", b"X\x01\x00\x00\x00v"), "the CRC of an"),
    "zip-deflated": (
        archive({"a/data.pkl": b"\x80\x02" + value(GOOD) + b"."}, zipfile.ZIP_DEFLATED),
        "entries of a torch file must be stored, not compressed, got path=.*entry='a/data.pkl'",
    ),
    "zip-encrypted": (encrypted(), "an entry must not be encrypted"),
    "zip-method": (
        archive({"w.npy": npy()}, zipfile.ZIP_BZIP2),
        "must be stored or deflated, got path=.*method=12",
    ),
    "zip-twice": (twice(), r"zip entries must (differ|not overlap).*entry='archive/data\.pkl'"),
    "zip-two-pickles": (archive({"a/data.pkl": b"", "b/data.pkl": b""}), "must have one data.pkl"),
    "zip-overlap": (overlapping(), r"zip entries must not overlap"),
    "zip-local-name": (patched(ZIP, b"data.pkl", b"data.pkm"), "must be as in the directory"),
    "zip-local-crc": (
        patched(ZIP, ZIP[14:18], b"\0\0\0\0"),
        r"the header of an entry must be as in the directory.*entry='archive/data\.pkl'",
    ),
    "zip-size": (directory_field(24, "<L", 10), "a stored entry must have one size"),
    "zip-huge-size": (directory_field(20, "<L", 2**32 - 2), "zip entries must not overlap"),
    "zip-offset": (directory_field(42, "<L", 2**31), "zip entries must not overlap"),
    "zip-extra": (directory_field(30, "<H", 2**16 - 1), "directory must be well-formed"),
    "zip-count": (ZIP[:-14] + b"\xff\xff\xff\xff" + ZIP[-10:], "directory"),
    "zip-directory-at": (ZIP[:-6] + b"\xff\xff\xff\x00" + ZIP[-2:], "must lie where the file says"),
    "zip-name": (
        patched(archive({"\u00e9.npy": npy()}), b"\xc3\xa9.npy", b"\xc3\xff.npy", 1),
        "names of zip entries must be text",
    ),
    "missing-record": (torch_zip(GOOD, {}), "every storage must be in the file.*data/0"),
    "short-record": (torch_zip(GOOD, {"0": bytes(20)}), "needs=24, has=20"),
    "byteorder": (torch_zip(GOOD, byteorder=b"middle"), "byte order must be .* got .*b'middle'"),
    "short-storage": (torch_zip({"w": tensor((7,), (1,))}), "name='w', needs=28, has=24"),
    "offset": (torch_zip({"w": tensor((6,), (1,), 1)}), "as long as its tensor needs.*needs=28"),
    "negative-stride": (torch_zip({"w": tensor((6,), (-1,))}), r"must be in \[0, 2\*\*62\)"),
    "negative-size": (torch_zip({"w": tensor((-6,), (1,))}), r"must be in \[0, 2\*\*62\)"),
    "negative-offset": (torch_zip({"w": tensor((1,), (1,), -1)}), r"must be in \[0, 2\*\*62\)"),
    "giant-offset": (torch_zip({"w": tensor((1,), (1,), 2**61)}), "as long as its tensor needs"),
    "giant-integer": (torch_zip({"w": tensor((1,), (1,), 2**1000)}), r"in \[0, 2\*\*62\)"),
    "overflowing-size": (torch_zip({"w": tensor((2**40,) * 2, (0, 0))}), "sizes .* not overflow"),
    "empty-overflow": (torch_zip({"w": tensor((0, *[2**40] * 2), (0, 0, 0))}), "not overflow"),
    "overflowing-stride": (torch_zip({"w": tensor((2,), (2**61,))}), "as its tensor needs"),
    "stride-0-giant": (torch_zip({"w": tensor((2**40,), (0,))}), "at most 68719476736 bytes"),
    "stride-0-many": (torch_zip(many_names()), r"arrays of this file must .*limits\.expansion"),
    "ranks": (torch_zip({"w": tensor((1,), (1, 1))}), "must have a storage, an offset, sizes and"),
    "rank-65": (torch_zip({"w": tensor((1,) * 65, (1,) * 65)}), "must have a storage, an offset"),
    "no-storage": (torch_zip({"w": tensor(held=value(1))}), "must have a storage, an offset"),
    "float-size": (torch_zip({"w": tensor((b"G" + bytes(8),), (1,))}), r"in \[0, 2\*\*62\)"),
    "storage-type": (
        torch_zip({"w": tensor(held=storage(kind="EvilStorage"))}),
        "type of a storage must be known, got path=.*type='EvilStorage'",
    ),
    "storage-size": (torch_zip({"w": tensor(held=storage(numel=-1))}), "must have a size"),
    "two-sizes": (
        legacy({"w": tensor(), "v": tensor((3,), (1,), 0, storage(numel=3))}),
        "a storage must have one type and size",
    ),
    "persistent-id": (torch_zip({"w": value(("tensor", 1)) + b"Q"}), "must name a storage"),
    "persistent-text": (torch_zip(b"Pabc\n"), "must name a storage"),
    "quantised": (torch_zip({"w": QUANTISED}), "must be dense.*holds='a quantised tensor'"),
    "quint8": (
        torch_zip({"w": tensor((6,), (1,), 0, storage(kind="QUInt8Storage"))}),
        "must be dense.*holds='a tensor of dtype QUInt8Storage'",
    ),
    "sparse": (torch_zip({"w": SPARSE}), "must be dense.*holds='a sparse tensor'"),
    "meta": (torch_zip({"w": META}), "must be dense.*holds='a tensor on the meta device'"),
    "nested": (torch_zip({"w": NESTED}), "must be dense.*holds='a nested tensor'"),
    "complex32": (torch_zip({"w": HALF_COMPLEX}), "holds='a tensor of dtype complex32'"),
    "no-stop": (archive({"a/data.pkl": b"\x80\x02}"}), "must be whole and well-formed"),
    "no-opcode": (torch_zip(b"\xff"), "must be whole and well-formed.*opcode b'.xff' unknown"),
    "giant-string": (torch_zip(b"\x8d" + b"\xff" * 7 + b"\x7f"), "must be whole and well-formed"),
    "empty-stack": (torch_zip(b"00000"), "must only use values that it has made"),
    "no-mark": (torch_zip(b"t"), "must only use values that it has made"),
    "no-memo": (torch_zip(b"h\x07"), "must only use values that it has made"),
    "append-to-none": (torch_zip(b"NNa"), "must append to lists only"),
    "add-to-list": (torch_zip(b"](N\x90"), "must add to sets only"),
    "items-of-list": (torch_zip(b"]NNs"), "must set items of dicts only"),
    "odd-items": (torch_zip(b"}(Nu"), "must set keys with their values"),
    "extension": (torch_zip(b"\x82\x01"), "extensions or buffers, got path=.*opcode='EXT1'"),
    "name-of-int": (torch_zip(b"K\x01K\x01\x93"), "must name classes by strings"),
    "deep-tuple": (torch_zip(DEEP), "must hold a state_dict.*holds='tuple'"),
    "laughs": (torch_zip(doubled(1000)), "must hold a state_dict.*holds='tuple'"),
    "laughs-as-key": (torch_zip({doubled(1000): 1}), "must hold a state_dict.*holds='dict'"),
    "laughs-as-class": (torch_zip(call(doubled(1000))), "an object of unnamed class"),
    "many-copies": (
        torch_zip(
            b"(X\x00\x00\x00\x01"
            + b"a" * 2**24
            + b"q\x00"
            + (name("_codecs", "encode") + b"h\x00\x85R") * 20
            + b"t"
        ),
        "calls in the pickle must copy at most",
    ),
    "modules-in-a-circle": (
        torch_zip(module("A", modules={"a": b"h\x05"}).replace(b"\x81", b"\x81q\x05", 1)),
        "modules must nest at most 64 deep",
    ),
    "module-names": (torch_zip(module("A", {1: tensor()})), "names in a module must be strings"),
    "one-tensor": (torch_zip(tensor()), "must hold a state_dict.*holds='one tensor'"),
    "optimizer": (torch_zip({"state": {}, "param_groups": []}), "holds='the state of an optim"),
    "no-tensors": (torch_zip({"epoch": 1}), "must hold a state_dict.*holds='dict'; there are 'epo"),
    "ambiguous": (
        torch_zip({"model": GOOD, "ema": GOOD}),
        r"must hold one state_dict.*candidates=\['model', 'ema'\]; choose one, such as key='model'",
    ),
    "unusual": (
        torch_zip({"generator": GOOD, "critic": GOOD}),
        r"must be under a usual name.*candidates=\['generator', 'critic'\]; choose one",
    ),
    "legacy-version": (patched(LEGACY, b"\x8a\x02\xe9\x03.", b"\x8a\x02\xe8\x03."), "version 1001"),
    "legacy-no-pickles": (LEGACY[:20], "must be whole and well-formed"),
    "legacy-truncated": (LEGACY[:-1], "must not end inside a storage, got path=.*key='0'"),
    "legacy-numel": (patched(LEGACY, b"\x06" + bytes(7), b"\x05" + bytes(7)), "size that its ten"),
    "legacy-unknown-key": (legacy(GOOD, {"0": FLOATS.tobytes(), "1": b""}), "those of the tensors"),
    "legacy-missing-key": (legacy(GOOD, {}), "every storage must be in the file"),
    "legacy-view": (
        legacy({"w": tensor(held=storage("0", "FloatStorage", 6, ("1", 3, 4)))}),
        "a view of a storage must lie inside it",
    ),
    "safe-truncated": (SAFE[:-1], "must not end inside an array, got path=.*name='w'"),
    "safe-longer": (SAFE + b"\0", "must fill a .safetensors"),
    "safe-header-end": (SAFE[:20], "header of a .safetensors must end in the file"),
    "safe-no-json": (safetensors(b'{"w":'), "must be a JSON object.*Expecting value"),
    "safe-no-text": (safetensors(b'{"\xff":1}'), "must be a JSON object.*utf-8"),
    "safe-deep": (safetensors(b'{"w":' + b"[" * 100_000 + b"}"), "must be a JSON object"),
    "safe-twice": (
        safetensors(b'{"w":%s,"w":%s}' % (ENTRY, ENTRY)),
        "keys in the header .* must differ",
    ),
    "safe-entry": (safetensors({"w": [1]}), "must have dtype, shape and data_offsets"),
    "safe-dtype": (safetensors({"w": entry("F4")}), "dtype must be known.*dtype='F4'"),
    "safe-size": (safetensors({"w": entry(shape=[7])}), "name='w', needs=28, has=24"),
    "safe-float": (safetensors({"w": entry(shape=[6.0])}), "must have dtype, shape and"),
    "safe-negative": (safetensors({"w": entry(start=-24, stop=0)}), "must have dtype, shape and"),
    "safe-gap": (safetensors({"w": entry("U8", [20], 4, 24)}), "must lie one after another"),
    "safe-overlap": (
        safetensors({"v": entry("U8", [20], 0, 20), "w": entry("U8", [20], 4, 24)}),
        "must lie one after another.*name='w', start=4",
    ),
    "safe-overflow": (safetensors({"w": entry(shape=[2**61, 4, 0])}), "sizes must not overflow"),
    "npz-truncated": (NPZ[:-1], "a zip file must end with its directory"),
    "npz-crc": (patched(NPZ, FLOATS.tobytes(), bytes(24)), "the CRC of an entry.*entry='w.npy'"),
    "npz-bomb": (BOMB, r"at most 67108864 bytes together.*bytes=1342.*; raise limits\.expansion"),
    "npz-objects": (
        archive({"w.npy": npy(HEADER.replace("<f4", "|O"))}),
        r"no pickled objects \(as with allow_pickle=False\).*dtype='\|O'",
    ),
    "npz-size": (
        archive({"w.npy": npy(HEADER.replace("(2, 3)", "(7,)"))}),
        "name='w', needs=28, has=24",
    ),
    "npz-overflow": (
        archive({"w.npy": npy(HEADER.replace("(2, 3)", f"(0, {2**61})"))}),
        "sizes must not overflow",
    ),
    "npz-program": (
        archive({"w.npy": npy("__import__('os').system('true')")}),
        "arrays in an .npz must be of numbers",
    ),
    "npz-no-array": (archive({"w.npy": b"hello"}), "an entry of an .npz must be an array"),
    "npz-version": (archive({"w.npy": b"\x93NUMPY\x09\x00"}), "an entry of an .npz must be an arr"),
}


@pytest.mark.parametrize("case", FILES)
def test_hostile(case: str, tmp_path: Path) -> None:
    content, message = FILES[case]
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.compile(message, re.DOTALL)) as caught:
        jaxcnn.read_state_dict(path)
    assert str(caught.value).startswith("read_state_dict: ")
    assert f"got path={str(path)!r}" in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("content", [ZIP, LEGACY, SAFE, NPZ], ids=["zip", "legacy", "safe", "npz"])
def test_truncated_anywhere(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert jaxcnn.read_state_dict(path)["w"].tolist() == FLOATS.reshape(2, 3).tolist()
    for keep in range(len(content)):
        path.write_bytes(content[:keep])
        with pytest.raises(CheckpointError, match=r"^read_state_dict: .* got path="):
            jaxcnn.read_state_dict(path)


class Evil:
    """What a hostile pickle does when it is loaded."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


def evil(marker: Path) -> dict[str, Any]:
    import builtins
    import os
    import subprocess

    command = f"touch {marker}"
    return {
        "system": Evil(os.system, command),
        "popen": Evil(subprocess.Popen, ["touch", str(marker)]),
        "eval": Evil(builtins.eval, f"open({str(marker)!r}, 'w')"),
        "exec": Evil(builtins.exec, f"open({str(marker)!r}, 'w')"),
        "getattr": Evil(builtins.getattr, Evil(builtins.__import__, "os"), "system"),
        "path": Evil(Path.touch, marker),
    }


@pytest.mark.parametrize("case", evil(Path()))
def test_nothing_runs(case: str, tmp_path: Path) -> None:
    """Beside a state_dict a call stays data; what the calls do is seen with pickle itself."""
    marker = tmp_path / "marker"
    body = pickle.dumps(evil(marker)[case], 2)[2:-1]
    path = tmp_path / "model.pt"
    for make in (torch_zip, legacy):
        path.write_bytes(make({"state_dict": GOOD, "extra": body}))
        assert jaxcnn.read_state_dict(path).keys() == {"w"}
        path.write_bytes(make({"w": tensor(), "extra": body}))
        assert jaxcnn.read_state_dict(path).keys() == {"w"}
        path.write_bytes(make(body, {}))
        with pytest.raises(CheckpointError, match=r"must hold a state_dict.*holds='an obj"):
            jaxcnn.read_state_dict(path)
        assert not marker.exists()


def test_the_calls_would_have_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(evil(marker)["system"], 2))
    assert marker.exists()


@pytest.mark.parametrize(
    ("limits", "content", "message"),
    [
        (dict(opcodes=10), ZIP, r"at most 10 opcodes.*raise limits\.opcodes"),
        (dict(metadata_bytes=500), torch_zip({"w": tensor(), "x": "a" * 500}), "an entry of meta"),
        (dict(metadata_bytes=150), ZIP, "a zip directory must have at most 150 bytes"),
        (dict(metadata_bytes=100), LEGACY, "the pickles must have at most 100 bytes"),
        (dict(metadata_bytes=10), SAFE, "the header of a .safetensors must have at most 10 bytes"),
        (dict(tensors=1), ZIP, "a zip directory must have at most 1 entries"),
        (dict(tensors=0), LEGACY, "a state_dict must have at most 0 tensors"),
        (dict(tensors=0), SAFE, "a .safetensors must have at most 0 tensors"),
        (dict(tensor_bytes=23), ZIP, "at most 23 bytes.*bytes=24; raise limits.tensor_bytes"),
        (dict(tensor_bytes=23), LEGACY, "all arrays together must have at most 23 bytes"),
        (dict(tensor_bytes=23), SAFE, "all arrays together must have at most 23 bytes"),
        (dict(tensor_bytes=23), NPZ, "all arrays together must have at most 23 bytes"),
        (
            dict(depth=2),
            torch_zip(module("A", modules={"b": module("B", modules={"c": module("C")})})),
            "modules must nest at most 2 deep",
        ),
        (
            dict(opcodes=300),
            torch_zip(module("A", modules=SHARING)),
            "modules must have at most 300 entries",
        ),
    ],
)
def test_limits(limits: dict[str, int], content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    jaxcnn.read_state_dict(path)
    with pytest.raises(CheckpointError, match=message):
        jaxcnn.read_state_dict(path, limits=Limits(**limits))


def test_a_huge_memo_index_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(torch_zip({"w": tensor() + b"r\xff\xff\xff\xff"}))
    np.testing.assert_array_equal(jaxcnn.read_state_dict(path)["w"].ravel(), FLOATS)
