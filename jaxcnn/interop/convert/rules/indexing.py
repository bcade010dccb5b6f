"""Reading and writing parts of a tensor."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.convert.rules.reductions import removed
from jaxcnn.interop.convert.rules.shapes import inserted

_WHOLE = slice(None)


@lowers("getitem", "__getitem__")
def _lower_getitem(g: Graph, input: Value, index: Any) -> Any:
    index = index if isinstance(index, tuple) else (index,)
    if isinstance(index[0] if len(index) == 1 else None, list):
        index = (tuple(index[0]),)
    if any(isinstance(x, Value | list | tuple | bool) for x in index):
        return _advanced(g, input, index)
    index = _without_ellipsis(index, input.ndim)
    parts = [x for x in index if x is not None]
    x = _basic(g, input, parts)
    dim = 0
    for part in index:
        if part is None:
            x = inserted(g, x, dim)
        dim += part is None or isinstance(part, slice)
    return x


@lowers("setitem", "__setitem__")
def _lower_setitem(g: Graph, input: Value, index: Any, value: Any) -> Value:
    index = index if isinstance(index, tuple) else (index,)
    x = g.plain(input)
    value = g.plain(value) if isinstance(value, Value) else value
    plain = tuple(g.plain(i) if isinstance(i, Value) else i for i in index)
    return g.like(x, g.emit("tensor.with_item", x, plain, value))


def _without_ellipsis(index: tuple[Any, ...], ndim: int) -> tuple[Any, ...]:
    used = sum(x is not None and x is not Ellipsis for x in index)
    if Ellipsis in index:
        place = index.index(Ellipsis)
        return (*index[:place], *(_WHOLE,) * (ndim - used), *index[place + 1 :])
    return (*index, *(_WHOLE,) * (ndim - used))


def _basic(g: Graph, x: Value, parts: list[Any]) -> Value:
    """Of slices and numbers, one for each axis."""
    if all(part == _WHOLE for part in parts):
        return x
    index = [parts[axis] for axis in x.order]
    while index[-1] == _WHOLE:
        index.pop()
    var = g.emit("operator.getitem", x, tuple(index))
    dims = [dim for dim, part in enumerate(parts) if not isinstance(part, slice)]
    sizes = tuple(
        _slice_size(size, part)
        for size, part in zip(x.sizes, parts, strict=True)
        if isinstance(part, slice)
    )
    return dataclasses.replace(x, var=var, sizes=sizes, order=removed(x.order, dims))


def _slice_size(size: Any, part: slice) -> Any:
    if part == _WHOLE or not isinstance(size, int):
        return size
    whole = all(isinstance(x, int | None) for x in (part.start, part.stop, part.step))
    return len(range(*part.indices(size))) if whole else size


def _advanced(g: Graph, x: Value, index: tuple[Any, ...]) -> Any:
    plain = tuple(g.plain(i) if isinstance(i, Value) else i for i in index)
    (only, *more) = plain
    return g.emit("operator.getitem", g.plain(x), plain if more else only)
