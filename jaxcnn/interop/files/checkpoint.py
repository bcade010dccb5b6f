"""What every reader of checkpoint files shares: the limits, the result and the errors."""

from __future__ import annotations

import dataclasses
import os
from typing import BinaryIO

import ml_dtypes
import numpy as np

# PyTorch's dtypes by name; the others (quantised, complex32, sub-byte) have no equal in NumPy.
TORCH_DTYPES = {
    **{
        name: np.dtype(name)
        for name in (
            *("float64", "float32", "float16", "complex64", "complex128", "bool"),
            *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        )
    },
    **{
        name: np.dtype(getattr(ml_dtypes, name))
        for name in (
            *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"),
            "float8_e8m0fnu",
        )
    },
}


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much of a file a reader takes on before it gives up with a CheckpointError.

    Attributes:
      tensor_bytes: Bytes of all arrays together, each counted in full where they share memory.
      expansion: How many times the bytes of the file these may be (expanded tensors, deflated
        entries). Arrays of up to 64 MiB together are always taken.
      metadata_bytes: Bytes of a pickle, of a zip directory, or of the header of a .safetensors.
      opcodes: Instructions of all pickles in the file together.
      tensors: Arrays, and entries of a zip file.
      depth: Modules inside modules, and wrappers inside wrappers.

    Example:
      >>> Limits(tensor_bytes=2**30).expansion
      64
    """

    tensor_bytes: int = 2**36
    expansion: int = 64
    metadata_bytes: int = 2**25
    opcodes: int = 2_000_000
    tensors: int = 100_000
    depth: int = 64


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A state_dict and how the file held it.

    Attributes:
      path: The file.
      format: "torch-zip", "torch-legacy" (before PyTorch 1.6), "safetensors" or "npz".
      state_dict: Arrays by PyTorch name, in the order of the file. Arrays that share memory in the
        file share it here.
      key: The wrapper that held the state_dict, such as "model" or "checkpoint.ema"; "" for none.
      notes: What else there is to know, a sentence each: names without their prefix, entries left
        out, names that share memory, a module in place of a state_dict.
    """

    path: str
    format: str
    state_dict: dict[str, np.ndarray]
    key: str = ""
    notes: tuple[str, ...] = ()


class CheckpointError(ValueError):
    """A file that cannot be read or written as a state_dict; the message names it and says why."""


class Refused(Exception):
    """The reason of a CheckpointError, before the function and the file are known."""

    def __init__(self, rule: str, fix: str = "", /, **got: object) -> None:
        super().__init__(rule)
        self.rule, self.fix, self.got = rule, fix, got

    def named(self, where: str, path: str | os.PathLike[str]) -> CheckpointError:
        """The error that the caller of `where` sees."""
        got = ", ".join(f"{name}={_short(value)}" for name, value in self.got.items())
        return CheckpointError(
            f"{where}: {self.rule}, got path={os.fspath(path)!r}{f', {got}' if got else ''}"
            f"{f'; {self.fix}' if self.fix else ''}."
        )


def require(ok: bool, rule: str, fix: str = "", /, **got: object) -> None:
    """Raises Refused unless `ok`."""
    if not ok:
        raise Refused(rule, fix, **got)


def require_size(sizes: int, file_bytes: int, limits: Limits) -> None:
    """Raises Refused if arrays of `sizes` bytes are more than a file of `file_bytes` may hold."""
    require(
        sizes <= limits.tensor_bytes,
        f"all arrays together must have at most {limits.tensor_bytes} bytes",
        "raise limits.tensor_bytes",
        bytes=sizes,
    )
    most = max(limits.expansion * file_bytes, 2**26)
    rule = f"the arrays of this file must have at most {most} bytes together"
    require(sizes <= most, rule, "raise limits.expansion", bytes=sizes)


def fill(file: BinaryIO, out: memoryview) -> bool:
    """Reads straight into `out`; returns whether the file had so many bytes."""
    done = 0
    while done < len(out):
        n = file.readinto(out[done:])  # pyright: ignore[reportAttributeAccessIssue]
        if not n:
            return False
        done += n
    return True


def _short(value: object) -> str:
    """repr, cut: what comes from a file can be of any length."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
