"""The .npz format of numpy.savez, deflated or not; pickled objects are never read."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from jaxcnn.interop.files.archive import Archive
from jaxcnn.interop.files.checkpoint import Limits, Refused, require, require_size

# What numpy writes; evaluating the text as numpy does takes more than numbers.
_HEADER = re.compile(
    rb"\{'descr': '([^']{1,99})', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? *\} *\n"
)


def read_npz(
    archive: Archive, file_bytes: int, limits: Limits
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads the arrays of an .npz file; arrays of text are left out with a note."""
    require_size(sum(entry.size for entry in archive.entries.values()), file_bytes, limits)
    arrays, skipped = {}, []
    for entry in archive.entries.values():
        name = entry.name.removesuffix(".npy")
        with archive.open(entry.name) as reader:
            magic = reader.read(min(8, entry.size))
            wide = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(magic)
            rule = "an entry of an .npz must be an array"
            if wide is None or entry.size < 8 + wide:
                raise Refused(rule, name=name)
            length = int.from_bytes(reader.read(wide), "little")
            require(length <= min(10_000, entry.size - 8 - wide), rule, name=name)
            header = _HEADER.fullmatch(reader.read(length))
            require(header is not None, "arrays in an .npz must be of numbers", name=name)
            assert header is not None
            data = np.empty(entry.size - 8 - wide - length, np.uint8)
            reader.fill(data.data)
        array = _array(name, data, header)
        if array is None:
            skipped.append(name)
        else:
            arrays[name] = array
    note = f"entries that are no numbers were left out: {', '.join(skipped[:8])}"
    return arrays, [note] if skipped else []


def write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Like np.savez, whose own arguments cannot be keys."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, value, allow_pickle=False)


def _array(name: str, data: np.ndarray, header: re.Match[bytes]) -> np.ndarray | None:
    descr, fortran, sizes = header[1].decode("latin-1"), header[2] == b"True", header[3]
    numbers = [text.strip() for text in sizes.split(b",")]
    digits = [text for text in numbers if text]
    ok = all(text.isdigit() and len(text) < 20 for text in digits) and len(digits) <= 64
    require(ok, "the shape of an array must be of sizes", name=name)
    rule = "an .npz must hold no pickled objects (as with allow_pickle=False)"
    require("O" not in descr, rule, name=name, dtype=descr)
    plain = re.fullmatch(r"[<>|=]?[biufc]\d{1,2}", descr)
    if not plain:
        return None
    try:
        dtype = np.dtype(descr)
    except TypeError:
        raise Refused("the dtype must be known", name=name, dtype=descr) from None
    shape = [int(text) for text in digits]
    wide = math.prod(n for n in shape if n) * dtype.itemsize
    require(wide < 2**62, "sizes must not overflow", name=name, shape=shape)
    needs = math.prod(shape) * dtype.itemsize
    rule = "an array must have the bytes of its shape and dtype"
    require(needs == data.nbytes, rule, name=name, needs=needs, has=data.nbytes)
    array = data.view(dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)
