"""Checkpoint files byte by byte: what a hostile or damaged file needs and torch.save cannot do."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

PROTOCOL = b"\x80\x02"
MAGIC = PROTOCOL + b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
FLOATS = np.arange(6, dtype=np.float32)


def name(module: str, attribute: str) -> bytes:
    """A class or function, by name."""
    return f"c{module}\n{attribute}\n".encode()


def value(x: Any) -> bytes:
    """Opcodes of plain data; bytes are opcodes already."""
    match x:
        case bytes():
            return x
        case None | bool():
            return {None: b"N", True: b"\x88", False: b"\x89"}[x]
        case int():
            data = x.to_bytes(x.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        case str():
            return b"X" + struct.pack("<I", len(x.encode())) + x.encode()
        case tuple():
            return b"(" + b"".join(map(value, x)) + b"t"
        case list():
            return b"](" + b"".join(map(value, x)) + b"e"
        case dict():
            return b"}(" + b"".join(value(k) + value(v) for k, v in x.items()) + b"u"
    raise TypeError(type(x))


def call(function: bytes, *args: Any) -> bytes:
    """A call, as __reduce__ writes it."""
    return function + value(args) + b"R"


def storage(key: Any = "0", kind: str = "FloatStorage", numel: Any = 6, *view: Any) -> bytes:
    """A persistent id."""
    return value(("storage", name("torch", kind), key, "cpu", numel, *view)) + b"Q"


def tensor(
    size: Any = (2, 3), stride: Any = (3, 1), offset: Any = 0, held: bytes | None = None
) -> bytes:
    """A tensor, by default of `FLOATS`."""
    held = storage() if held is None else held
    return call(name("torch._utils", "_rebuild_tensor_v2"), held, offset, size, stride, False, {})


def module(
    cls: str, parameters: Any = b"}", buffers: Any = b"}", modules: Any = b"}", **state: Any
) -> bytes:
    """A pickled torch.nn.Module."""
    parts = {"_parameters": parameters, "_buffers": buffers, "_modules": modules}
    return name("__main__", cls) + b")\x81" + value(parts | state) + b"b"


def archive(entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for entry, data in entries.items():
            out.writestr(zipfile.ZipInfo(entry), data, method)
    return file.getvalue()


def torch_zip(root: Any, storages: Mapping[str, bytes] | None = None, **entries: bytes) -> bytes:
    """A file of torch.save that holds `root`."""
    storages = {"0": FLOATS.tobytes()} if storages is None else storages
    records = {f"archive/data/{key}": data for key, data in storages.items()}
    more = {f"archive/{entry}": data for entry, data in entries.items()}
    pickle = {"archive/data.pkl": PROTOCOL + value(root) + b"."}
    return archive(pickle | more | records | {"archive/version": b"3\n"})


def legacy(root: Any, storages: Mapping[str, bytes] | None = None, itemsize: int = 4) -> bytes:
    """A file of torch.save from before PyTorch 1.6."""
    storages = {"0": FLOATS.tobytes()} if storages is None else storages
    pickles = (1001, {"little_endian": True}, root, list(storages))
    parts = [PROTOCOL + value(each) + b"." for each in pickles]
    data = [struct.pack("<q", len(x) // itemsize) + x for x in storages.values()]
    return MAGIC + b"".join(parts + data)


def safetensors(header: Any, data: bytes = FLOATS.tobytes()) -> bytes:
    """A .safetensors; the header is text or what JSON can say."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (2, 3), start: Any = 0, stop: Any = 24) -> dict:
    """An array in the header of a .safetensors, by default `FLOATS`."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def npy(header: str = HEADER) -> bytes:
    """An array of NumPy, by default `FLOATS`."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + FLOATS.tobytes()


def patched(content: bytes, old: bytes, new: bytes, which: int = 0) -> bytes:
    """`content` with the occurrence `which` of `old` overwritten."""
    assert len(old) == len(new)
    at = -1
    for _ in range(which + 1):
        at = content.index(old, at + 1)
    return content[:at] + new + content[at + len(new) :]
