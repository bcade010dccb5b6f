"""Functions that change a tensor's shape, or the order of its axes, and not its values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from jaxcnn.interop.convert.calls import Size
from jaxcnn.interop.convert.errors import NoRuleError
from jaxcnn.interop.convert.lower import (
    Graph,
    Value,
    channels_last,
    identity,
    is_layout_change,
    lowers,
)
from jaxcnn.interop.convert.rules.reductions import dims_of, removed
from jaxcnn.interop.program import Batch

# Two batch sizes at which products of sizes are compared.
_PROBES = (2, 3)


@lowers("permute")
def _lower_permute(g: Graph, input: Value, *dims: Any) -> Value:
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return permuted(input, [d % input.ndim for d in dims])


@lowers("transpose", "swapaxes", "swapdims")
def _lower_transpose(g: Graph, input: Value, dim0: int, dim1: int) -> Value:
    del g
    dims = list(range(input.ndim))
    if input.ndim:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permuted(input, dims)


@lowers("t", "T", "mT", "adjoint")
def _lower_t(g: Graph, input: Value) -> Value:
    return _lower_transpose(g, input, -2, -1) if input.ndim > 1 else input


@lowers("movedim", "moveaxis")
def _lower_movedim(g: Graph, input: Value, source: Any, destination: Any) -> Value:
    del g
    sources, destinations = dims_of(input, source), dims_of(input, destination)
    dims = [d for d in range(input.ndim) if d not in sources]
    for place, d in sorted(zip(destinations, sources, strict=True)):
        dims.insert(place, d)
    return permuted(input, dims)


def permuted(x: Value, dims: Sequence[int]) -> Value:
    """The tensor with its axes in the order `dims`; the array stays as it is."""
    order = tuple(list(dims).index(axis) for axis in x.order)
    return dataclasses.replace(x, sizes=tuple(x.sizes[d] for d in dims), order=order)


@lowers("unsqueeze")
def _lower_unsqueeze(g: Graph, input: Value, dim: int) -> Value:
    return inserted(g, input, dim % (input.ndim + 1))


@lowers("squeeze")
def _lower_squeeze(g: Graph, input: Value, dim: Any = None) -> Value:
    left = list(g.out[0].sizes)
    dims = [d for d in dims_of(input, dim) if input.sizes[d] == 1]
    if len(left) == input.ndim:
        return input
    axes = tuple(sorted(input.axis(d) for d in dims))
    var = g.emit("jnp.squeeze", input, axis=axes)
    order = removed(input.order, dims)
    return dataclasses.replace(input, var=var, sizes=g.out[0].sizes, order=order)


def inserted(g: Graph, x: Value, dim: int) -> Value:
    """`x` with an axis of length 1 at `dim`."""
    sizes = (*x.sizes[:dim], 1, *x.sizes[dim:])
    older = [axis + (axis >= dim) for axis in x.order]
    place = _place(older, dim, x, sizes)
    order = (*older[:place], dim, *older[place:])
    var = g.emit("jnp.expand_dims", x, axis=place)
    return dataclasses.replace(x, var=var, sizes=sizes, order=order)


def _place(order: Sequence[int], dim: int, x: Value, sizes: Sequence[Size]) -> int:
    """Where the new axis stands in the array: so that the order is a usual one, if possible."""
    orders = [(*order[:i], dim, *order[i:]) for i in range(len(order) + 1)]
    for usual in _usual_orders(x, sizes):
        if usual in orders:
            return orders.index(usual)
    return order.index(dim - 1) + 1 if dim else 0


def _usual_orders(x: Value, sizes: Sequence[Size]) -> list[tuple[int, ...]]:
    """The two usual orders, first the one that the result of a reshape rather has."""
    ndim = len(sizes)
    was_image = x.ndim > 2 and x.order == channels_last(x.ndim)
    becomes_image = x.ndim <= 2 and ndim >= 4
    orders = [identity(ndim), channels_last(ndim)]
    return orders[::-1] if was_image or becomes_image else orders


@lowers("reshape", "view", "view_as", "reshape_as", "flatten", "unflatten", "ravel")
def _lower_reshape(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Value:
    del args, kwargs  # the result's sizes say everything
    if g.out[0].dtype != input.dtype:
        raise NoRuleError("as another dtype")
    return reshaped(g, input, g.out[0].sizes)


def reshaped(g: Graph, x: Value, sizes: tuple[Size, ...]) -> Value:
    """The tensor with other sizes, its axes moved only where several become one."""
    if sizes == x.sizes:
        return x
    groups = _groups(x.sizes, sizes)
    if groups is None:
        x = g.plain(x)
        return _reshape(g, x, sizes, identity(len(sizes)))
    blocks = _blocks(x, groups)
    order = _with_ones([axis for block in blocks for axis in block[1]], x, sizes)
    moved = [axis for block in blocks for axis in block[0]]
    is_image = x.ndim > 2 and x.order == channels_last(x.ndim)
    if is_image and sizes == (x.sizes[0], _product(x.sizes[1:])):
        var = g.emit("layout.flatten", x, 1)
        if is_layout_change(x, identity(x.ndim)):
            g.layout_changes.add(var.number)
        return dataclasses.replace(x, var=var, sizes=sizes, order=order)
    return _reshape(g, _with_big_axes(g, x, moved), sizes, order)


def _reshape(g: Graph, x: Value, sizes: tuple[Size, ...], order: tuple[int, ...]) -> Value:
    array_sizes = tuple(sizes[axis] for axis in order)
    if array_sizes == x.array_sizes:
        return dataclasses.replace(x, sizes=sizes, order=order)
    var = g.emit(".reshape", x, g.sizes(array_sizes))
    return dataclasses.replace(x, var=var, sizes=sizes, order=order)


def _with_big_axes(g: Graph, x: Value, wanted: Sequence[int]) -> Value:
    """`x` with its axes longer than 1 in the order `wanted`."""
    big = [axis for axis in x.order if axis in wanted]
    if big == list(wanted):
        return x
    ones = [axis for axis in range(x.ndim) if axis not in wanted]
    full = [*wanted]
    for axis in ones:
        full.insert(full.index(axis - 1) + 1 if axis - 1 in full else 0, axis)
    return g.ordered(x, full)


def _groups(
    before: Sequence[Size], after: Sequence[Size]
) -> list[tuple[list[int], list[int]]] | None:
    """Which axes longer than 1 become which, if whole axes part or join."""
    left = [axis for axis, size in enumerate(before) if size != 1]
    right = [axis for axis, size in enumerate(after) if size != 1]
    groups, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        olds, news = [left[i]], [right[j]]
        i, j = i + 1, j + 1
        while (old := _amount(before, olds)) != (new := _amount(after, news)):
            if old < new and i < len(left):
                olds.append(left[i])
                i += 1
            elif old > new and j < len(right):
                news.append(right[j])
                j += 1
            else:
                return None
        groups.append((olds, news))
    return groups if i == len(left) and j == len(right) else None


def _amount(sizes: Sequence[Size], axes: Sequence[int]) -> tuple[int, ...]:
    numbers = [[s.at(n) if isinstance(s, Batch) else s for s in sizes] for n in _PROBES]
    return tuple(math.prod(row[axis] for axis in axes) for row in numbers)


def _product(sizes: Sequence[Size]) -> Any:
    ints = [size for size in sizes if isinstance(size, int)]
    return math.prod(ints) if len(ints) == len(sizes) else None


def _blocks(
    x: Value, groups: Sequence[tuple[list[int], list[int]]]
) -> list[tuple[list[int], list[int]]]:
    """The groups in the array's order; one that lies apart stands where its last axis does."""
    return sorted(groups, key=lambda group: max(x.order.index(axis) for axis in group[0]))


def _with_ones(big: list[int], x: Value, sizes: tuple[Size, ...]) -> tuple[int, ...]:
    """The order of all axes of the result, given that of those longer than 1."""
    for usual in _usual_orders(x, sizes):
        if [axis for axis in usual if sizes[axis] != 1] == big:
            return usual
    order = list(big)
    for axis in range(len(sizes)):
        if axis not in order:
            order.insert(order.index(axis - 1) + 1 if axis - 1 in order else 0, axis)
    return tuple(order)


@lowers("expand_as")
def _lower_expand_as(g: Graph, input: Value, other: Value) -> Value:
    order, (x, like) = g.aligned((input, other))
    var = g.emit("tensor.expand_as", x, like)
    return dataclasses.replace(x, var=var, sizes=other.sizes, order=order)


@lowers("expand", "broadcast_to")
def _lower_expand(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Value:
    del args, kwargs
    sizes = g.out[0].sizes
    if sizes == input.sizes:
        return input
    order = input.order if len(sizes) == input.ndim else identity(len(sizes))
    x = input if len(sizes) == input.ndim else g.plain(input)
    var = g.emit("jnp.broadcast_to", x, tuple(sizes[axis] for axis in order))
    return dataclasses.replace(x, var=var, sizes=sizes, order=order)


@lowers("repeat", "tile")
def _lower_repeat(g: Graph, input: Value, *repeats: Any) -> Any:
    repeats = (
        repeats[0] if len(repeats) == 1 and not isinstance(repeats[0], int | Batch) else repeats
    )
    x = input
    if len(repeats) != x.ndim:
        return g.emit("jnp.tile", g.plain(x), tuple(repeats))
    return g.like(x, g.emit("jnp.tile", x, tuple(repeats[axis] for axis in x.order)))


@lowers("view_as_complex")
def _lower_view_as_complex(g: Graph, input: Value) -> Any:
    return g.emit("tensor.view_as_complex", g.plain(input))


@lowers("view_as_real")
def _lower_view_as_real(g: Graph, input: Value) -> Any:
    return g.emit("tensor.view_as_real", g.plain(input))
