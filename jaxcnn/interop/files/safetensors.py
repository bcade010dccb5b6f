"""The .safetensors format: a JSON header, then the arrays, read and written one by one.

The library of that name maps the file and copies out of it, and builds it in memory to write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from jaxcnn.interop.files.checkpoint import (
    TORCH_DTYPES,
    Limits,
    Refused,
    fill,
    require,
    require_size,
)

_DTYPES = {
    code: TORCH_DTYPES[name]
    for code, name in (
        *(("F64", "float64"), ("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16")),
        *(("I64", "int64"), ("I32", "int32"), ("I16", "int16"), ("I8", "int8")),
        *(("U64", "uint64"), ("U32", "uint32"), ("U16", "uint16"), ("U8", "uint8")),
        *(("F8_E4M3", "float8_e4m3fn"), ("F8_E5M2", "float8_e5m2"), ("C64", "complex64")),
        *(("F8_E8M0", "float8_e8m0fnu"), ("BOOL", "bool")),
        *(("F8_E4M3FNUZ", "float8_e4m3fnuz"), ("F8_E5M2FNUZ", "float8_e5m2fnuz")),
    )
}
CODES = {dtype: code for code, dtype in _DTYPES.items()}
_METADATA = "__metadata__"


def read_safetensors(file: BinaryIO, size: int, limits: Limits) -> dict[str, np.ndarray]:
    """Reads a .safetensors file of `size` bytes."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    require(8 + length <= size, "the header of a .safetensors must end in the file", bytes=length)
    rule = f"the header of a .safetensors must have at most {limits.metadata_bytes} bytes"
    require(length <= limits.metadata_bytes, rule, "raise limits.metadata_bytes", bytes=length)
    header = _parse(file.read(length))
    header.pop(_METADATA, None)
    rule = f"a .safetensors must have at most {limits.tensors} tensors"
    require(len(header) <= limits.tensors, rule, "raise limits.tensors", tensors=len(header))
    places = {name: _place(name, entry) for name, entry in header.items()}
    at, arrays = 0, {}
    for name, (dtype, shape, start, stop) in sorted(places.items(), key=lambda item: item[1][2:]):
        rule = "the arrays of a .safetensors must lie one after another"
        require(start == at, rule, name=name, start=start)
        require(8 + length + stop <= size, "the file must not end inside an array", name=name)
        arrays[name] = np.empty(stop - start, np.uint8), dtype, shape
        at = stop
    rule = "the arrays must fill a .safetensors"
    require(8 + length + at == size, rule, bytes=size, arrays_end=8 + length + at)
    require_size(at, size, limits)
    for name, (data, _, _) in arrays.items():
        require(fill(file, data.data), "the file must not end inside an array", name=name)
    finished = {
        name: data.view(dtype).reshape(shape) for name, (data, dtype, shape) in arrays.items()
    }
    return {name: finished[name] for name in header}


def write_safetensors(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays of dtypes in `CODES`; the widest come first, so that all are aligned."""
    order = sorted(arrays, key=lambda name: -arrays[name].dtype.itemsize)
    at, starts = 0, {}
    for name in order:
        starts[name] = at
        at += arrays[name].nbytes
    header = {
        name: {
            "dtype": CODES[x.dtype.newbyteorder("=")],
            "shape": x.shape,
            "data_offsets": [starts[name], starts[name] + x.nbytes],
        }
        for name, x in arrays.items()
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        file.write(little_endian_bytes(arrays[name]))


def little_endian_bytes(x: np.ndarray) -> memoryview:
    """The bytes of `x` in C order; a copy only where they do not lie so."""
    x = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    return x.reshape(-1).view(np.uint8).data


def _parse(text: bytes) -> dict[str, Any]:
    rule = "the header of a .safetensors must be a JSON object"
    try:
        header = json.loads(text.decode(), object_pairs_hook=_distinct, parse_int=_int)
    except (ValueError, RecursionError) as error:
        raise Refused(rule, str(error)[:200]) from None
    require(isinstance(header, dict), rule)
    return header


def _int(digits: str) -> int:
    return int(digits) if len(digits) <= 20 else -1


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    require(len(entries) == len(pairs), "keys in the header of a .safetensors must differ")
    return entries


def _place(name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    rule = "an entry in the header must have dtype, shape and data_offsets"
    match entry:
        case {"dtype": str() as code, "shape": list() as shape, "data_offsets": [start, stop]}:
            require(code in _DTYPES, "the dtype must be known", name=name, dtype=code)
            numbers = (*shape, start, stop)
            whole = all(type(n) is int and 0 <= n < 2**62 for n in numbers) and len(shape) <= 64
            require(whole, rule, name=name)
            dtype = _DTYPES[code]
            wide = math.prod(n for n in shape if n) * dtype.itemsize
            require(wide < 2**62, "sizes must not overflow", name=name, shape=shape)
            rule = "an array must have the bytes of its shape and dtype"
            nbytes = math.prod(shape) * dtype.itemsize
            require(stop - start == nbytes, rule, name=name, needs=nbytes, has=stop - start)
            return dtype, tuple(shape), start, stop
    raise Refused(rule, name=name)
