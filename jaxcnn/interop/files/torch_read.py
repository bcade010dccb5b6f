"""PyTorch's files: the zip of torch.save, and the pickles in a row of PyTorch before 1.6."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np

from jaxcnn.interop.files.archive import Archive
from jaxcnn.interop.files.checkpoint import (
    TORCH_DTYPES,
    Limits,
    Refused,
    fill,
    require,
    require_size,
)
from jaxcnn.interop.files.rebuild import CALLS, NumpyArray, Storage, Tensor, storage
from jaxcnn.interop.files.unpickle import Bounded, Interpreter

_THREADS = 4
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
# Other archives of PyTorch, by an entry that only they have.
_FOREIGN = {
    "constants.pkl": ("TorchScript", "torch.jit.load"),
    "archive_format": ("torch.export", "torch.export.load"),
    "models/model.json": ("torch.export", "torch.export.load"),
    "serialized_exported_program.json": ("torch.export", "torch.export.load"),
    ".data/extern_modules": ("torch.package", "torch.package.PackageImporter"),
}

ReadStorage = Callable[[list[Storage]], dict[str, np.ndarray]]


def check_native(archive: Archive) -> None:
    """Raises Refused if the zip file is another kind of PyTorch's archives."""
    for name in archive.entries:
        for ending, (kind, function) in _FOREIGN.items():
            if name == ending or name.endswith(f"/{ending}"):
                fix = f"load it with {function} and torch.save its state_dict()"
                raise Refused(f"a {kind} archive holds programs, no state_dict", fix, entry=name)


def open_zip(archive: Archive, pickle: str, limits: Limits) -> tuple[Any, ReadStorage, bool]:
    """Opens a zip file of torch.save whose pickle is the entry `pickle`.

    Returns:
      What the pickle holds, with unread tensors; how to read storages; whether they are
      big-endian.
    """
    prefix = pickle.removesuffix("data.pkl")

    def read(storages: list[Storage]) -> dict[str, np.ndarray]:
        names = [f"{prefix}data/{each.key}" for each in storages]
        # Checksums take as long as reading; both leave other threads running.
        with ThreadPoolExecutor(_THREADS) as pool:
            records = pool.map(lambda name: _read_record(archive, name), names)
            return {each.key: record for each, record in zip(storages, records, strict=True)}

    root = Interpreter(CALLS, storage, limits).load(io.BytesIO(_metadata(archive, pickle)))
    order = b"little"
    if f"{prefix}byteorder" in archive.entries:
        order = _metadata(archive, f"{prefix}byteorder")
    rule = "the byte order must be little or big"
    require(order in (b"little", b"big"), rule, byteorder=order)
    return root, read, order == b"big"


def is_legacy(head: bytes) -> bool:
    """Whether a file that starts with `head` is PyTorch's older format."""
    return head[:1] == b"\x80" and _MAGIC.to_bytes(10, "little") in head[:32]


def open_legacy(file: BinaryIO, limits: Limits) -> tuple[Any, ReadStorage]:
    """Opens a file of torch.save from before PyTorch 1.6; returns as `open_zip`."""
    seen: dict[str, Storage] = {}

    def see(pid: Any) -> Any:
        value = storage(pid)
        if isinstance(value, Storage):
            first = seen.setdefault(value.key, value)
            same = (first.dtype, first.numel) == (value.dtype, value.numel)
            require(same, "a storage must have one type and size", key=value.key)
        return value

    file.seek(0)
    bounded = Bounded(file, limits.metadata_bytes)
    interpreter = Interpreter(CALLS, see, limits)
    magic, version, _, root, keys = (interpreter.load(bounded) for _ in range(5))
    rule = f"the file must have PyTorch's magic number and version {_VERSION}"
    require((magic, version) == (_MAGIC, _VERSION), rule)
    known = isinstance(keys, list) and all(isinstance(k, str) and k in seen for k in keys)
    require(known and len({*keys}) == len(keys), "the storages must be those of the tensors")
    start = file.tell()

    def read(storages: list[Storage]) -> dict[str, np.ndarray]:
        wanted = {each.key for each in storages}
        require(wanted <= {*keys}, "every storage must be in the file")
        arrays, at, end = {}, start, file.seek(0, os.SEEK_END)
        for key in keys:
            file.seek(at)
            (numel,) = struct.unpack("<q", file.read(8).ljust(8, b"\xff"))
            nbytes, at = seen[key].numel * seen[key].itemsize, at + 8
            require(at + nbytes <= end, "the file must not end inside a storage", key=key)
            same = numel == seen[key].numel
            require(same, "a storage must have the size that its tensors state", key=key)
            if key in wanted:
                arrays[key] = np.empty(nbytes, np.uint8)
                whole = fill(file, arrays[key].data)
                require(whole, "the file must not end inside a storage", key=key)
            at += nbytes
        return arrays

    return root, read


def materialise(
    tensors: Mapping[str, Any], read: ReadStorage, swap: bool, file_bytes: int, limits: Limits
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Reads the storages of `tensors`, each once, and makes arrays that look into them.

    Args:
      tensors: What `find_state_dict` found.
      read: Of `open_zip` or `open_legacy`.
      swap: Whether the bytes are big-endian.
      file_bytes: Bytes of the file.
      limits: `tensors`, `tensor_bytes` and `expansion` are checked before anything is read.

    Returns:
      The arrays, and notes.
    """
    rule = f"a state_dict must have at most {limits.tensors} tensors"
    require(len(tensors) <= limits.tensors, rule, "raise limits.tensors", tensors=len(tensors))
    require_size(sum(_check(name, x) for name, x in tensors.items()), file_bytes, limits)
    held: dict[str, Storage] = {}
    users: dict[str, list[str]] = {}
    for name, x in tensors.items():
        if isinstance(x, Tensor):
            held[x.storage.key] = x.storage
            users.setdefault(x.storage.key, []).append(name)
    storages = read(list(held.values()))
    arrays = {
        name: _view(name, x, storages[x.storage.key], swap) if isinstance(x, Tensor) else _own(x)
        for name, x in tensors.items()
    }
    shared = [names[:8] for names in users.values() if len(names) > 1]
    note = f"tensors that share memory: {'; '.join(map(', '.join, shared[:8]))}"
    return arrays, [note] if shared else []


def _check(name: str, x: Any) -> int:
    """Bytes of the array of `x`; raises Refused if there cannot be one."""
    if isinstance(x, NumpyArray):
        return 0 if x.array is None else x.array.nbytes
    rule, fix = "every tensor must be dense, in a dtype of NumPy", "convert it in PyTorch"
    require(not x.unsupported, rule, fix, name=name, holds=x.unsupported)
    x.check(name)
    return x.nbytes


def _metadata(archive: Archive, name: str) -> bytes:
    _require_stored(archive, name)
    return archive.read(name)


def _require_stored(archive: Archive, name: str) -> None:
    stored = archive.entries[name].method == 0
    require(stored, "entries of a torch file must be stored, not compressed", entry=name)


def _read_record(archive: Archive, name: str) -> np.ndarray:
    require(name in archive.entries, "every storage must be in the file", entry=name)
    _require_stored(archive, name)
    with archive.open(name) as reader:
        data = np.empty(archive.entries[name].size, np.uint8)
        reader.fill(data.data)
    return data


def _view(name: str, x: Tensor, data: np.ndarray, swap: bool) -> np.ndarray:
    dtype, itemsize = TORCH_DTYPES[x.dtype], x.storage.itemsize
    has = x.storage.numel * itemsize
    rule = "a storage must be as long as its tensor needs"
    require(has <= data.nbytes, rule, name=name, needs=has, has=data.nbytes)
    if 0 in x.size:
        return np.empty(x.size, dtype)
    # Where there is one index only, the stride says nothing and may be of any size.
    steps = zip(x.size, x.stride, strict=True)
    strides = [step * dtype.itemsize if n > 1 else dtype.itemsize for n, step in steps]
    offset = x.storage.start * itemsize + x.offset * dtype.itemsize
    array = np.ndarray(x.size, dtype, data.data, offset, strides)
    array = array.byteswap() if swap else array
    if x.conj or x.neg:
        rule = "only complex tensors may be conjugated lazily, and only floats negated"
        require(dtype.kind == "c" or (dtype.kind == "f" and not x.conj), rule, name=name)
    array = np.conj(array) if x.conj else array
    return np.negative(array) if x.neg else array


def _own(x: NumpyArray) -> np.ndarray:
    """A writable copy in this machine's byte order."""
    assert x.array is not None
    return x.array.astype(x.array.dtype.newbyteorder("="), order="K")
