"""Pickles as data: an interpreter of their opcodes that never imports, looks up or calls a thing.

`pickle.Unpickler` runs whatever function a pickle names. Here a name stays a name, a call becomes
data if it is one of a table of known ones, and any other object an `Inert` that keeps what the
pickle says of it.
"""

from __future__ import annotations

import dataclasses
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from jaxcnn.interop.files.checkpoint import Limits, Refused, require

_PUSH = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_IGNORE = frozenset(["PROTO", "FRAME"])
_NEW: dict[str, Callable[[], Any]] = {
    **{"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False},
    **{"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set},
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_GET = frozenset(["GET", "BINGET", "LONG_BINGET"])
_PUT = frozenset(["PUT", "BINPUT", "LONG_BINPUT"])


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """A class or function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Inert:
    """An object of any class, as the pickle describes it.

    Attributes:
      cls: What was called to make it.
      args: The arguments of that call.
      state: What `__setstate__` would have got, mostly the `__dict__`.
      items: What was set by key, for a class derived from dict.
    """

    __slots__ = ("args", "cls", "items", "state")

    def __init__(self, cls: Any, args: Any = ()) -> None:
        self.cls, self.args = cls, args
        self.state: Any = None
        self.items: dict[Any, Any] | None = None

    def build(self, state: Any) -> None:
        """Takes what BUILD gives."""
        self.state = state


def as_key(value: Any) -> Any:
    """`value` if it hashes in constant time, else a stand-in: nested tuples take exponential."""
    plain = isinstance(value, str | bytes | bool | float | Name | None)
    return value if plain or (type(value) is int and abs(value) < 2**63) else Inert("key", value)


class Interpreter:
    """Turns pickles into data.

    Args:
      calls: What to make of a call, by the name of the called; it gets the arguments.
      persistent: What to make of a persistent id.
      limits: Of these, `opcodes` and `metadata_bytes` count over all calls of `load`.
    """

    def __init__(
        self,
        calls: Mapping[Name, Callable[..., Any]],
        persistent: Callable[[Any], Any],
        limits: Limits,
    ) -> None:
        self._calls, self._persistent, self._limits = calls, persistent, limits
        self._opcodes_left = limits.opcodes
        self._copies_left = 4 * limits.metadata_bytes

    def load(self, file: BinaryIO | Bounded) -> Any:
        """Reads one pickle, up to its STOP."""
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        operations = pickletools.genops(file)  # pyright: ignore[reportArgumentType]
        try:
            for opcode, arg, _ in operations:
                self._opcodes_left -= 1
                require(
                    self._opcodes_left >= 0,
                    f"the pickles must have at most {self._limits.opcodes} opcodes",
                    "raise limits.opcodes",
                )
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, arg)
        except (IndexError, KeyError):
            raise Refused("the pickle must only use values that it has made") from None
        except (ValueError, OverflowError, Warning) as error:  # pickletools' own
            raise Refused("the pickle must be whole and well-formed", str(error)) from None
        raise Refused("the pickle must end with STOP")

    def _step(self, name: str, arg: Any) -> None:
        stack = self._stack
        if name in _PUSH:
            stack.append(arg)
        elif name in _PUT:
            self._memo[arg] = stack[-1]
        elif name in _GET:
            stack.append(self._memo[arg])
        elif name in _NEW:
            stack.append(_NEW[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(self._top(_TUPLES[name]))]
        elif name not in _IGNORE:
            operation = getattr(self, f"_{name.lower()}", None)
            if operation is None:
                raise Refused("the pickle must not use extensions or buffers", opcode=name)
            operation(arg)

    def _top(self, n: int) -> list[Any]:
        if len(self._stack) < n:
            raise IndexError
        return self._stack[-n:]

    def _to_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marked.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _pop_mark(self, _: Any) -> None:
        self._to_mark()

    def _dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _tuple(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(tuple(items))

    def _list(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(items)

    def _dict(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set(items)

    def _frozenset(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append(set(map(as_key, items)))

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        else:
            require(isinstance(target, Inert), "the pickle must append to lists only")

    def _additems(self, _: Any) -> None:
        items = self._to_mark()
        target = self._stack[-1]
        require(isinstance(target, set), "the pickle must add to sets only")
        target.update(map(as_key, items))

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _setitems(self, _: Any) -> None:
        self._set(self._to_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, Inert):
            target.items = {} if target.items is None else target.items
            target = target.items
        require(isinstance(target, dict), "the pickle must set items of dicts only")
        require(len(items) % 2 == 0, "the pickle must set keys with their values")
        target.update(zip(map(as_key, items[::2]), items[1::2], strict=True))

    def _global(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self._stack.append(Name(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        rule = "the pickle must name classes by strings"
        require(isinstance(name, str) and isinstance(module, str), rule)
        self._stack.append(Name(module, name))

    def _reduce(self, _: Any) -> None:
        args, called = self._stack.pop(), self._stack.pop()
        self._stack.append(self._call(called, args))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        keywords, args, called = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._stack.append(Inert(called, (args, keywords)))

    def _obj(self, _: Any) -> None:
        called, *args = self._to_mark()
        self._stack.append(self._call(called, tuple(args)))

    def _inst(self, arg: str) -> None:
        args = self._to_mark()
        module, _, name = arg.partition(" ")
        self._stack.append(self._call(Name(module, name), tuple(args)))

    def _call(self, called: Any, args: Any) -> Any:
        known = self._calls.get(called) if isinstance(called, Name) else None
        if known is None or not isinstance(args, tuple):
            return Inert(called, args)
        self._spend(args)
        return known(*args)

    def _spend(self, args: tuple[Any, ...]) -> None:
        # A call that copies its argument, made again and again, would grow without bound.
        self._copies_left -= sum(map(_bytes, args))
        rule = f"calls in the pickle must copy at most {4 * self._limits.metadata_bytes} bytes"
        require(self._copies_left >= 0, rule, "raise limits.metadata_bytes")

    def _build(self, _: Any) -> None:
        state = self._stack.pop()
        # On known data it only sets attributes, such as the `_metadata` of a state_dict.
        if isinstance(self._stack[-1], Inert):
            self._spend(state if isinstance(state, tuple) else ())
            self._stack[-1].build(state)

    def _binpersid(self, _: Any) -> None:
        self._stack.append(self._persistent(self._stack.pop()))

    def _persid(self, arg: str) -> None:
        self._stack.append(self._persistent(arg))


class Bounded:
    """The part of a file that a pickle may take, whatever lengths it states."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._left, self._limit = file, limit, limit

    def read(self, n: int) -> bytes:
        """Reads up to `n` bytes; all that the limit allows is tried, one more is refused."""
        return self._taken(self._file.read(min(n, self._left + 1)))

    def readline(self) -> bytes:
        """Reads up to the next newline."""
        return self._taken(self._file.readline(self._left + 1))

    def _taken(self, data: bytes) -> bytes:
        self._left -= len(data)
        rule = f"the pickles must have at most {self._limit} bytes"
        require(self._left >= 0, rule, "raise limits.metadata_bytes")
        return data


def _bytes(value: Any) -> int:
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    return 64 * len(value) if isinstance(value, list | tuple | dict | set) else 0
