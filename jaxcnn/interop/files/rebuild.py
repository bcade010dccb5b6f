"""The calls that checkpoint pickles make, as data: tensors, parameters, storages, NumPy arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxcnn.interop.files.checkpoint import TORCH_DTYPES, Refused, require
from jaxcnn.interop.files.unpickle import Inert, Name, as_key

STORAGES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16"},
    **{"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16"},
    **{"CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool"},
    **{"BFloat16Storage": "bfloat16", "UntypedStorage": "uint8"},
    **{"ComplexDoubleStorage": "complex128", "ComplexFloatStorage": "complex64"},
}
# Quantised storages: their bytes have to be skipped in legacy files.
_QUANTISED = {"QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4}
_QUANTISED |= {"QUInt4x2Storage": 1, "QUInt2x4Storage": 1}
_MOST = 2**62


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A block of bytes that the file holds elsewhere.

    Attributes:
      key: Its name in the file.
      dtype: PyTorch's name of the dtype; the type of storage where NumPy has no such dtype.
      itemsize: Bytes of an element.
      numel: Number of elements.
      start, stop: The elements that are seen; all but for views in legacy files.
      device: Where it was, such as "cpu".
    """

    key: str
    dtype: str
    itemsize: int
    numel: int
    start: int
    stop: int
    device: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor whose bytes have not been read; size, offset and stride count elements."""

    storage: Storage
    dtype: str
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    conj: bool = False
    neg: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of a dense copy."""
        return math.prod(self.size) * TORCH_DTYPES[self.dtype].itemsize

    @property
    def unsupported(self) -> str:
        """Why NumPy cannot hold it, or nothing."""
        if self.storage.device == "meta":
            return "a tensor on the meta device"
        return "" if self.dtype in TORCH_DTYPES else f"a tensor of dtype {self.dtype}"

    def check(self, name: str) -> None:
        """Raises Refused unless the tensor lies inside its storage."""
        end, start = self.storage.stop - self.storage.start, self.offset
        itemsize = TORCH_DTYPES[self.dtype].itemsize
        wide = math.prod(n for n in self.size if n) * itemsize
        require(wide < _MOST, "sizes of a tensor must not overflow", name=name, size=self.size)
        if 0 not in self.size:
            steps = zip(self.size, self.stride, strict=True)
            last = start + sum((n - 1) * step for n, step in steps)
            require(
                (last + 1) * itemsize <= end * self.storage.itemsize,
                "a storage must be as long as its tensor needs",
                name=name,
                needs=(last + 1) * itemsize,
                has=end * self.storage.itemsize,
            )


class Unsupported(Inert):
    """A tensor of a kind that NumPy has not; `unsupported` says which."""

    __slots__ = ("unsupported",)

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.unsupported = kind


class NumpyDtype(Inert):
    """`numpy.dtype(...)` with the byte order that comes after."""

    __slots__ = ("order",)

    def __init__(self, text: str) -> None:
        super().__init__("numpy.dtype", (text,))
        self.order = "|"

    def build(self, state: Any) -> None:
        """Takes the byte order from `(version, order, ...)`."""
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def value(self) -> np.dtype | None:
        """The dtype, if it is a plain number or bool."""
        kind, size = self.args[0][:1], self.args[0][1:]
        if kind not in "biufc" or not size.isdecimal() or len(size) > 2:
            return None
        try:
            return np.dtype(f"{self.order}{kind}{size}")
        except TypeError:
            return None


class NumpyArray(Inert):
    """An array of NumPy; `array` is None until its bytes come, or if it is of no numbers."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray | None = None) -> None:
        super().__init__("numpy.ndarray")
        self.array = array

    def build(self, state: Any) -> None:
        """Takes `(version, shape, dtype, is_fortran, bytes)`."""
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            self.array = _array(data, dtype, shape, "F" if fortran else "C")


def is_array(value: Any) -> bool:
    """Whether `value` stands for a tensor or an array of numbers, supported or not."""
    has_array = isinstance(value, NumpyArray) and value.array is not None
    return has_array or isinstance(value, Tensor | Unsupported)


def storage(pid: Any) -> Any:
    """What a persistent id of PyTorch stands for: a Storage, or the class of a module."""
    match pid:
        case ("module", called, *_):
            return called
        case ("storage", Name(name=kind), str() as key, str() as device, int() as numel, *rest):
            pass
        case _:
            raise Refused("a persistent id in the pickle must name a storage")
    dtype = STORAGES.get(kind, kind)
    known = dtype in TORCH_DTYPES or kind in _QUANTISED
    require(known, "the type of a storage must be known", type=kind, key=key)
    require(0 <= numel < _MOST, "a storage must have a size", key=key, numel=numel)
    itemsize = TORCH_DTYPES[dtype].itemsize if dtype in TORCH_DTYPES else _QUANTISED[kind]
    start, stop = 0, numel
    if rest and rest[0] is not None:
        match rest[0]:
            case (str(), int() as start, int() as length) if 0 <= start <= start + length <= numel:
                stop = start + length
            case _:
                raise Refused("a view of a storage must lie inside it", key=key)
    return Storage(key, dtype, itemsize, numel, start, stop, device)


def _tensor_of(dtype: str, args: Sequence[Any], metadata: Any = None) -> Tensor:
    match args:
        case (Storage() as held, int() as offset, tuple() | list() as size, stride, *_) if (
            isinstance(stride, tuple | list) and len(size) == len(stride) <= 64
        ):
            numbers = (offset, *size, *stride)
            # PyTorch has no negative strides.
            ok = all(isinstance(n, int) and 0 <= n < _MOST for n in numbers)
            require(ok, "sizes, strides and offset of a tensor must be in [0, 2**62)")
            flags = metadata if isinstance(metadata, dict) else {}
            conj, neg = (flags.get(flag) is True for flag in ("conj", "neg"))
            return Tensor(held, dtype or held.dtype, offset, tuple(size), tuple(stride), conj, neg)
    raise Refused("a tensor in the pickle must have a storage, an offset, sizes and strides")


def _tensor(*args: Any) -> Tensor:
    return _tensor_of("", args, args[6] if len(args) > 6 else None)


def _tensor_v3(*args: Any) -> Tensor:
    match args:
        case (_, _, _, _, _, _, Name(name=dtype), *metadata):
            return _tensor_of(dtype, args, *metadata[:1])
    raise Refused("a tensor in the pickle must name its dtype")


def _first(*args: Any) -> Any:
    return args[0] if args else None


def _from_type(*args: Any) -> Any:
    """A tensor of a derived class: (function, class, arguments of the function, state)."""
    known = len(args) == 4 and isinstance(args[0], Name) and isinstance(args[2], tuple)
    rebuild = CALLS.get(args[0]) if known else None
    if rebuild is None or rebuild is _from_type:
        return Inert("torch._tensor._rebuild_from_type_v2", args)
    return rebuild(*args[2])


def _mapping(*args: Any) -> dict[Any, Any]:
    pairs = args[0] if args and isinstance(args[0], list) else []
    pairs = [pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return {as_key(key): value for key, value in pairs}


def _set(*args: Any) -> set[Any]:
    return set(map(as_key, args[0])) if args and isinstance(args[0], list | tuple) else set()


def _encode(*args: Any) -> Any:
    try:
        return args[0].encode("latin-1")
    except (IndexError, AttributeError, UnicodeEncodeError):
        return Inert("_codecs.encode", args)


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray | None:
    kind = dtype.value() if isinstance(dtype, NumpyDtype) else None
    data = _encode(data) if isinstance(data, str) else data  # as Python 2 wrote it
    if kind is None or not isinstance(data, bytes | bytearray):
        return None
    ok = isinstance(shape, tuple) and len(shape) <= 64
    ok = ok and all(isinstance(n, int) and 0 <= n < _MOST for n in shape)
    ok = ok and math.prod(shape) * kind.itemsize == len(data) and order in ("C", "F")
    require(ok, "an array in the pickle must have the bytes of its shape", bytes=len(data))
    try:
        flat = np.frombuffer(data, kind) if data else np.empty(0, kind)
        return flat.reshape(shape, order=order)
    except ValueError:  # a zero beside sizes whose product overflows
        return None


def _frombuffer(*args: Any) -> NumpyArray:
    data, dtype, shape, order = args if len(args) == 4 else (None,) * 4
    return NumpyArray(_array(data, dtype, shape, order))


def _scalar(*args: Any) -> Any:
    dtype, data = args if len(args) == 2 else (None, None)
    array = _array(data, dtype, (), "C")
    return Inert("numpy scalar", args) if array is None else array.item()


def _numpy_dtype(*args: Any) -> Any:
    named = args and isinstance(args[0], str)
    return NumpyDtype(args[0]) if named else Inert("numpy.dtype", args)


def _unsupported(kind: str) -> Callable[..., Unsupported]:
    return lambda *args: Unsupported(kind)


def _table() -> dict[Name, Callable[..., Any]]:
    """The known calls by name; each takes what the pickle gives and runs nothing of it."""
    utils = {
        **{"_rebuild_tensor": _tensor, "_rebuild_tensor_v2": _tensor},
        **{"_rebuild_tensor_v3": _tensor_v3},
        **{"_rebuild_parameter": _first, "_rebuild_parameter_with_state": _first},
        **{"_rebuild_device_tensor_from_cpu_tensor": _first},
        **{"_rebuild_device_tensor_from_numpy": _first},
        "_rebuild_qtensor": _unsupported("a quantised tensor"),
        "_rebuild_sparse_tensor": _unsupported("a sparse tensor"),
        "_rebuild_meta_tensor_no_storage": _unsupported("a tensor on the meta device"),
        "_rebuild_nested_tensor": _unsupported("a nested tensor"),
        "_rebuild_wrapper_subclass": _unsupported("a tensor without bytes"),
    }
    calls = {
        **{("torch._utils", name): call for name, call in utils.items()},
        **{("torch._tensor", f"_rebuild_from_type{v}"): _from_type for v in ("", "_v2")},
        ("torch.nested._internal.nested_tensor", "_rebuild_njt"): _unsupported("a nested tensor"),
        ("torch", "Size"): lambda *args: tuple(args[0]) if _is_sequence(args) else (),
        ("torch.nn.parameter", "Parameter"): _first,
        ("collections", "OrderedDict"): _mapping,
        ("collections", "defaultdict"): lambda *args: {},
        ("_codecs", "encode"): _encode,
        ("numpy", "dtype"): _numpy_dtype,
    }
    for module in ("builtins", "__builtin__"):
        calls |= {(module, "set"): _set, (module, "frozenset"): _set}
        # Protocol 2 has no other way to write b"".
        calls[module, "bytes"] = lambda *args: Inert("bytes", args) if args else b""
    for module in ("numpy.core", "numpy._core"):
        calls |= {
            (f"{module}.multiarray", "_reconstruct"): lambda *args: NumpyArray(),
            (f"{module}.multiarray", "scalar"): _scalar,
            (f"{module}.numeric", "_frombuffer"): _frombuffer,
        }
    for module in ("copyreg", "copy_reg"):
        calls[module, "_reconstructor"] = lambda *args: Inert(_first(*args), args)
    return {Name(*name): call for name, call in calls.items()}


def _is_sequence(args: tuple[Any, ...]) -> bool:
    return len(args) > 0 and isinstance(args[0], list | tuple)


CALLS = _table()
