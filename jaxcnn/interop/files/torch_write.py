"""Writes a state_dict as torch.save does: a zip of one pickle and one record a tensor."""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from jaxcnn.interop.files.checkpoint import TORCH_DTYPES
from jaxcnn.interop.files.rebuild import STORAGES
from jaxcnn.interop.files.safetensors import little_endian_bytes

_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
# Dtypes newer than PyTorch 2.0 have no class of storage; they are written as untyped bytes.
_KINDS = {dtype: kind for kind, dtype in STORAGES.items() if kind != "UntypedStorage"}
_ALIGNMENT = 64
_ROOT = "archive"


def can_write_torch(dtype: np.dtype) -> bool:
    """Whether PyTorch has this dtype."""
    return dtype.newbyteorder("=") in _NAMES


def write_torch(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays whose dtypes PyTorch has."""
    with zipfile.ZipFile(file, "w") as archive:
        _write(archive, file, "data.pkl", memoryview(_pickle(arrays)))
        _write(archive, file, "byteorder", memoryview(b"little"))
        for i, x in enumerate(arrays.values()):
            _write(archive, file, f"data/{i}", little_endian_bytes(x))
        _write(archive, file, "version", memoryview(b"3\n"))


def _write(archive: zipfile.ZipFile, file: BinaryIO, name: str, data: memoryview) -> None:
    entry = zipfile.ZipInfo(f"{_ROOT}/{name}")
    entry.file_size = data.nbytes  # decides whether it is zip64, whose field zipfile puts first
    wide = 20 if entry.file_size * 1.05 > zipfile.ZIP64_LIMIT else 0
    start = file.tell() + 30 + len(entry.filename) + wide + 4
    entry.extra = b"FB" + struct.pack("<H", -start % _ALIGNMENT)
    entry.extra += bytes(-start % _ALIGNMENT)
    with archive.open(entry, "w") as out:
        out.write(data)


def _pickle(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle, protocol 2, of `{name: tensor}`."""
    parts = [b"\x80\x02}("]
    for i, (name, x) in enumerate(arrays.items()):
        parts += [_string(name), _tensor(str(i), x)]
    return b"".join((*parts, b"u."))


def _tensor(key: str, x: np.ndarray) -> bytes:
    dtype = _NAMES[x.dtype.newbyteorder("=")]
    if typed := dtype in _KINDS:
        kind, numel = _global("torch", _KINDS[dtype]), x.size
    else:
        kind, numel = _global("torch.storage", "UntypedStorage"), x.nbytes
    strides = [math.prod(n or 1 for n in x.shape[i + 1 :]) for i in range(x.ndim)]
    storage = (b"(", _string("storage"), kind, _string(key), _string("cpu"), _int(numel), b"tQ")
    view = (_int(0), _ints(x.shape), _ints(strides), b"\x89")  # not requires_grad
    hooks = _global("collections", "OrderedDict") + b")R"
    rebuild = _global("torch._utils", f"_rebuild_tensor_v{2 if typed else 3}")
    named = b"" if typed else _global("torch", dtype)
    return b"".join((rebuild, b"(", *storage, *view, hooks, named, b"tR"))


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _string(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _ints(values: tuple[int, ...] | list[int]) -> bytes:
    return b"".join((b"(", *map(_int, values), b"t"))
