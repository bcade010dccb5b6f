"""Reading and writing state_dict files. Torch is never imported, and no pickle is ever run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxcnn._files import write_atomically
from jaxcnn.interop.files.archive import Archive
from jaxcnn.interop.files.checkpoint import Checkpoint, CheckpointError, Limits, Refused, require
from jaxcnn.interop.files.find import find_state_dict, strip_prefixes
from jaxcnn.interop.files.npz import read_npz, write_npz
from jaxcnn.interop.files.safetensors import CODES, read_safetensors, write_safetensors
from jaxcnn.interop.files.sniff import describe
from jaxcnn.interop.files.torch_read import (
    check_native,
    is_legacy,
    materialise,
    open_legacy,
    open_zip,
)
from jaxcnn.interop.files.torch_write import can_write_torch, write_torch

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Limits",
    "read_checkpoint",
    "read_state_dict",
    "write_state_dict",
]

_LIMITS = Limits()
_RULE = "the file must be a .pt, .safetensors or .npz with a state_dict"


def read_state_dict(
    path: str | os.PathLike[str], *, key: str | None = None, limits: Limits = _LIMITS
) -> dict[str, np.ndarray]:
    """Reads a state_dict from a file of PyTorch, a .safetensors or an .npz, told by content.

    It is `read_checkpoint(...).state_dict`.

    Example:
      >>> import tempfile
      >>> path = tempfile.mkdtemp() + "/model.pt"
      >>> write_state_dict(path, {"fc.bias": np.zeros(2, np.float32)})
      >>> read_state_dict(path)
      {'fc.bias': array([0., 0.], dtype=float32)}
    """
    return _read("read_state_dict", Path(path), key, limits).state_dict


def read_checkpoint(
    path: str | os.PathLike[str], *, key: str | None = None, limits: Limits = _LIMITS
) -> Checkpoint:
    """Reads a checkpoint file and says what it is.

    Pickles are interpreted as data: nothing that they name is imported or called. So whole modules
    (`torch.save(model)`) are read too, as the state_dict that they would give.

    The state_dict is looked for under the usual names ("state_dict", "model", "ema", ...). Names
    lose the prefixes of DataParallel ("module.") and torch.compile ("_orig_mod.") where all have
    them.

    Args:
      path: The file.
      key: Where the state_dict is, such as "ema" or "checkpoint.model"; "" for the top level, which
        then may hold more other entries than tensors. By default it is searched.
      limits: When to give up on a large or hostile file.

    Raises:
      FileNotFoundError: If there is no such file.
      CheckpointError: If the file is of another kind, damaged, beyond the limits, or holds no
        state_dict or several.

    Example:
      >>> import tempfile
      >>> path = tempfile.mkdtemp() + "/model.npz"
      >>> write_state_dict(path, {"module.weight": np.ones(2)})
      >>> checkpoint = read_checkpoint(path)
      >>> checkpoint.format, checkpoint.state_dict.keys()
      ('npz', dict_keys(['weight']))
      >>> checkpoint.notes
      ("the prefix 'module.' of every name was left out",)
    """
    return _read("read_checkpoint", Path(path), key, limits)


def write_state_dict(path: str | os.PathLike[str], state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes a state_dict as .pt (or .pth), .safetensors or .npz, by the ending of `path`.

    `torch.load(path, weights_only=True)` reads the .pt. The file appears under its name only when
    it is complete. Arrays are written one by one; the memory that they share is written for each.

    Args:
      path: The file; an existing one is replaced.
      state_dict: Arrays by PyTorch name, as from `to_state_dict`.

    Raises:
      CheckpointError: If the ending is another one, or the format cannot hold an array.

    Example:
      >>> import tempfile
      >>> write_state_dict(tempfile.mkdtemp() + "/model.safetensors", {"w": np.ones((2, 2))})
    """
    path = Path(path)
    arrays = {name: np.asarray(value) for name, value in state_dict.items()}
    try:
        rule = f"the ending must be one of {tuple(_WRITERS)}"
        require(path.suffix in _WRITERS, rule)
        can_hold, write = _WRITERS[path.suffix]
        for name, x in arrays.items():
            require(_is_text(name), "names must be text", name=name)
            rule = f"{path.suffix} cannot hold every dtype"
            other = "write .pt" if path.suffix not in (".pt", ".pth") else ""
            require(can_hold(x.dtype), rule, other, name=name, dtype=str(x.dtype))
            rule = f"a name in {path.suffix} must be another one"
            reserved = {".npz": name.endswith(".npy"), ".safetensors": name == "__metadata__"}
            require(not reserved.get(path.suffix, False), rule, "write .pt", name=name)
    except Refused as reason:
        raise reason.named("write_state_dict", path) from None
    write_atomically(path, lambda file: write(file, arrays))


_Writer = tuple[Callable[[np.dtype], bool], Callable[[BinaryIO, Mapping[str, np.ndarray]], None]]
_WRITERS: dict[str, _Writer] = {
    ".pt": (can_write_torch, write_torch),
    ".pth": (can_write_torch, write_torch),
    ".safetensors": (lambda dtype: dtype.newbyteorder("=") in CODES, write_safetensors),
    # NumPy writes other packages' dtypes as raw bytes and reads them as no numbers at all.
    ".npz": (lambda dtype: dtype.kind in "biufc" and dtype.isbuiltin != 2, write_npz),
}


def _is_text(name: object) -> bool:
    return isinstance(name, str) and not any("\ud800" <= c <= "\udfff" for c in name)


def _read(where: str, path: Path, key: str | None, limits: Limits) -> Checkpoint:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: there must be a file, got path={str(path)!r}.")
    try:
        with path.open("rb") as file:
            return _read_open(path, file, key, limits)
    except Refused as reason:
        raise reason.named(where, path) from None
    except MemoryError as error:
        reason = Refused("the arrays must fit into memory")
        raise reason.named(where, path) from error


def _read_open(path: Path, file: BinaryIO, key: str | None, limits: Limits) -> Checkpoint:
    size = os.fstat(file.fileno()).st_size
    head = file.read(512)
    if head.startswith(b"PK"):
        archive = Archive(path, file, size, limits)
        check_native(archive)
        pickles = [name for name in archive.entries if name.split("/")[1:] == ["data.pkl"]]
        if pickles:
            require(len(pickles) == 1, "a torch file must have one data.pkl", entries=pickles)
            root, read, swap = open_zip(archive, pickles[0], limits)
            return _from_pickle("torch-zip", path, size, key, limits, root, read, swap)
        is_npz = all(name.endswith(".npy") for name in archive.entries)
        require(is_npz, _RULE, "it is another kind of zip", entries=[*archive.entries][:5])
        return _flat("npz", path, key, *read_npz(archive, size, limits))
    if is_legacy(head):
        root, read = open_legacy(file, limits)
        return _from_pickle("torch-legacy", path, size, key, limits, root, read, False)
    # A header of 4 GiB is none; text has such a length as well.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return _flat("safetensors", path, key, read_safetensors(file, size, limits), [])
    raise Refused(_RULE, describe(head))


def _from_pickle(form, path, size, key, limits, root, read, swap) -> Checkpoint:
    key, tensors, notes = find_state_dict(root, key, limits)
    tensors, prefixes = strip_prefixes(tensors)
    arrays, shared = materialise(tensors, read, swap, size, limits)
    return Checkpoint(str(path), form, arrays, key, (*notes, *prefixes, *shared))


def _flat(
    form: str, path: Path, key: str | None, arrays: dict[str, np.ndarray], notes: list[str]
) -> Checkpoint:
    require(not key, f"key must be left out for .{form}, which holds no dicts", key=key)
    arrays, prefixes = strip_prefixes(arrays)
    return Checkpoint(str(path), form, arrays, "", (*notes, *prefixes))
