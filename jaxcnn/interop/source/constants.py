"""Constant arrays: in words where they can be told, else packed into the file."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np

from jaxcnn._checks import check
from jaxcnn.interop.source.steps import Constant
from jaxcnn.interop.source.text import call, flat, lines, string, value

# Entries that are written out.
_FEW = 64
# Bytes of a packed array.
_MOST = 64 * 1024
_UNPACK = '''
def _unpacked(text: str, packed: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array that was packed into the file."""
    x = np.frombuffer(zlib.decompress(base64.b85decode(text)), packed)
    return x.astype(dtype).reshape(shape)

'''


@dataclasses.dataclass
class Constants:
    """The constant arrays of a file.

    Attributes:
      arrays: The arrays, each once.
      names: {number: name in the file} of those that do not stand where they are used.
    """

    arrays: list[np.ndarray] = dataclasses.field(default_factory=list)
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    _numbers: dict[Any, int] = dataclasses.field(default_factory=dict)

    def add(self, x: Any) -> Constant:
        """Keeps an array."""
        array = np.asarray(x)
        key = (array.dtype.str, array.shape, array.tobytes())
        number = self._numbers.setdefault(key, len(self.arrays))
        if number == len(self.arrays):
            self.arrays.append(array)
        return Constant(number)

    def text(self, constant: Constant, name: str = "", buffer: bool = False) -> str:
        """The array where it is used: in words, or by a name of the file.

        A large buffer starts from zeros: its values come with the state_dict.
        """
        array = self.arrays[constant.number]
        if buffer and len(_data(array)) > _MOST:
            return f'np.zeros({flat(value(array.shape))}, "{array.dtype}")'
        if array.ndim == 0:
            return flat(value(_entry(array[()])))
        words = _in_words(array)
        if words is not None and len(words) < 70:
            return words
        if constant.number not in self.names:
            name = name or {"i": "INDEX", "b": "MASK"}.get(array.dtype.kind, "CONSTANT")
            self.names[constant.number] = _free(name, set(self.names.values()))
        return self.names[constant.number]

    def definitions(self) -> tuple[list[str], bool]:
        """The lines that define the named arrays, and whether one of them is packed."""
        found: list[str] = []
        packed = False
        for number, name in self.names.items():
            array = self.arrays[number]
            words = _in_words(array)
            if words is not None and len(f"{name} = {words}") <= 100:
                found.append(f"{name} = {words}")
                continue
            packed = True
            found += _packed(name, array)
        return ([_UNPACK, *found] if packed else found), packed


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 2, name
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    return candidate


def _in_words(x: np.ndarray) -> str | None:
    """The array as a call of NumPy; None if it is too long."""
    usual = x.dtype in (np.float64, np.int64, np.bool_)
    dtype = "" if usual else f', "{x.dtype}"'
    shape = flat(value(x.shape if x.ndim != 1 else x.shape[0]))
    if x.size and (x == x.flat[0]).all():
        first = _entry(x.flat[0])
        if first in (0, 1) and x.dtype != np.bool_:
            dtype = "" if x.dtype == np.float64 else f', "{x.dtype}"'
            return f"np.{'ones' if first else 'zeros'}({shape}{dtype})"
        return f"np.full({shape}, {flat(value(first))}{dtype})"
    if x.dtype.kind == "i" and x.size > 3 and x.ndim == 1:
        steps = np.diff(x.astype(np.int64))
        if (steps == steps[0]).all() and steps[0] != 0:
            start, step = int(x[0]), int(steps[0])
            words = [str(start)] if (start, step) != (0, 1) else []
            words += [str(start + step * x.size), *([str(step)] if step != 1 else [])]
            words += [] if usual else [f'dtype="{x.dtype}"']
            return f"np.arange({', '.join(words)})"
    if x.size > _FEW or x.dtype.kind not in "iufb":
        return None
    entries = [_entry(entry) for entry in x.flat]
    return f"np.array({flat(value(_nested(entries, x.shape)))}{dtype})"


def _entry(x: Any) -> Any:
    """A number of Python; of a float the shortest that is the same in its dtype."""
    return float(str(x)) if np.asarray(x).dtype.kind == "f" else x.item()


def _nested(entries: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1:
        return entries
    size = len(entries) // shape[0] if shape[0] else 0
    return [_nested(entries[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def _packed(name: str, x: np.ndarray) -> list[str]:
    data = _data(x)
    rule = f"a constant array must pack into {_MOST} bytes"
    fix = "make it a buffer of the PyTorch module"
    check(len(data) <= _MOST, "to_source", rule, fix, shape=x.shape, bytes=len(data))
    rows = "\n    ".join(f'"{data[i : i + 90]}"' for i in range(0, len(data), 90))
    items = (rows, string(str(_small(x).dtype)), string(str(x.dtype)), value(x.shape))
    return lines(call("_unpacked", items), 0, f"{name} = ")


def _data(x: np.ndarray) -> str:
    return base64.b85encode(zlib.compress(np.ascontiguousarray(_small(x)).tobytes(), 9)).decode()


def _small(x: np.ndarray) -> np.ndarray:
    """Integers in as few bytes as they need."""
    if x.dtype.kind != "i" or not x.size:
        return x
    low, high = int(x.min()), int(x.max())
    kinds = ("uint8", "int16", "int32")
    fits = (kind for kind in kinds if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return x.astype(next(fits, x.dtype))
