"""Writes a state_dict as torch.save does: a zip of one pickle and one record a tensor."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from jaxcnn.interop._checkpoint import TORCH_DTYPES
from jaxcnn.interop._safetensors import little_endian_bytes

_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
# Dtypes older than PyTorch 2.3 have a class of storage; the others are untyped bytes.
_STORAGES = {
    **{"float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage"},
    **{"int64": "LongStorage", "int32": "IntStorage", "int16": "ShortStorage"},
    **{"int8": "CharStorage", "uint8": "ByteStorage", "bool": "BoolStorage"},
    **{"bfloat16": "BFloat16Storage", "complex64": "ComplexFloatStorage"},
    "complex128": "ComplexDoubleStorage",
}
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
    kind, numel = _STORAGES.get(dtype), x.size
    if kind is None:
        kind, numel = "UntypedStorage", x.nbytes
    strides, step = [], 1
    for n in reversed(x.shape):
        strides.append(step)
        step *= max(n, 1)
    version = 3 if kind == "UntypedStorage" else 2
    return b"".join(
        (
            *(f"ctorch._utils\n_rebuild_tensor_v{version}\n((".encode(), _string("storage")),
            *(
                _global("torch.storage" if version == 3 else "torch", kind),
                _string(key),
                _string("cpu"),
                _int(numel),
                b"tQK\x00",
            ),
            *(_ints(x.shape), _ints(strides[::-1]), b"\x89", _global("collections", "OrderedDict")),
            *(b")R", _global("torch", dtype) if version == 3 else b"", b"tR"),
        )
    )


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def _ints(values: tuple[int, ...] | list[int]) -> bytes:
    return b"".join((b"(", *map(_int, values), b"t"))
