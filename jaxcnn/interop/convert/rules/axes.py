"""Functions that join, part or reorder along an axis."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from jaxcnn.interop.convert.errors import NoRuleError
from jaxcnn.interop.convert.lower import Graph, Value, lowers
from jaxcnn.interop.convert.rules.reductions import removed
from jaxcnn.interop.convert.rules.shapes import inserted
from jaxcnn.interop.program import Batch


@lowers("cat", "concat", "concatenate")
def _lower_cat(
    g: Graph, tensors: Sequence[Value], dim: int = 0, *, axis: int | None = None
) -> Value:
    # PyTorch leaves out empty vectors, whatever the shape of the others.
    tensors = [x for x in tensors if x.sizes != (0,)] or list(tensors)
    dim = dim if axis is None else axis
    _, joined = g.aligned(tensors)
    var = g.emit("jnp.concatenate", joined, axis=joined[0].axis(dim))
    return g.like(joined[0], var)


@lowers("stack")
def _lower_stack(g: Graph, tensors: Sequence[Value], dim: int = 0) -> Value:
    longer = [inserted(g, x, dim % (x.ndim + 1)) for x in tensors]
    return _lower_cat(g, longer, dim % (tensors[0].ndim + 1))


@lowers("split", "split_with_sizes", "chunk", "tensor_split")
def _lower_split(g: Graph, x: Value, where: Any = None, dim: int = 0, **kwargs: Any) -> list[Value]:
    del kwargs  # the parts' sizes say everything
    sizes = [shape.sizes[dim % x.ndim] for shape in g.out]
    if len(sizes) == 1:
        return [x]
    where = len(sizes)
    if len(set(sizes)) > 1:
        *first, _ = sizes
        if len(first) > 1 and any(isinstance(size, Batch) for size in first):
            raise NoRuleError("into three or more parts, one of which grows with the batch")
        where = list(itertools.accumulate(first))
    parts = g.emit_several(len(sizes), "jnp.split", x, where, axis=x.axis(dim))
    return [g.like(x, part) for part in parts]


@lowers("unbind")
def _lower_unbind(g: Graph, input: Value, dim: int = 0) -> list[Value]:
    dim = dim % input.ndim
    order = removed(input.order, (dim,))
    axis = input.axis(dim)
    parts = []
    for i in range(len(g.out)):
        index = (slice(None),) * axis + (i,)
        var = g.emit("operator.getitem", input, index if axis else i)
        parts.append(dataclasses.replace(input, var=var, order=order))
    return parts


@lowers("flip")
def _lower_flip(g: Graph, input: Value, *dims: Any) -> Value:
    return g.like(input, g.emit("jnp.flip", input, axis=tuple(input.axis(d) for d in _flat(dims))))


@lowers("roll")
def _lower_roll(g: Graph, input: Value, shifts: Any, dims: Any = None) -> Value:
    if dims is None or dims == ():
        x = g.plain(input)
        return g.like(x, g.emit("jnp.roll", x, shifts))
    axes = tuple(input.axis(d) for d in _flat((dims,)))
    return g.like(input, g.emit("jnp.roll", input, _flat((shifts,)), axis=axes))


@lowers("repeat_interleave")
def _lower_repeat_interleave(
    g: Graph, input: Value, repeats: Any, dim: int | None = None, *, output_size: Any = None
) -> Value:
    del output_size
    if isinstance(repeats, Value):
        raise NoRuleError("with a tensor of repeats")
    x = g.plain(input) if dim is None else input
    axis = None if dim is None else x.axis(dim)
    if dim is None:
        var = g.emit("jnp.repeat", x, repeats)
        return dataclasses.replace(x, var=var, order=(0,))
    return g.like(x, g.emit("jnp.repeat", x, repeats, axis=axis))


@lowers("index_select")
def _lower_index_select(g: Graph, input: Value, dim: int, index: Value) -> Value:
    return g.like(input, g.emit("jnp.take", input, index, axis=input.axis(dim)))


@lowers("gather")
def _lower_gather(
    g: Graph, input: Value, dim: int, index: Value, *, sparse_grad: bool = False
) -> Value:
    del sparse_grad
    x = g.plain(input)
    return g.like(x, g.emit("tensor.gather", x, dim % x.ndim, g.plain(index)))


@lowers("scatter")
def _lower_scatter(
    g: Graph,
    input: Value,
    dim: int,
    index: Value,
    src: Any = None,
    *,
    value: Any = None,
) -> Value:
    x, source = g.plain(input), value if src is None else src
    source = g.plain(source) if isinstance(source, Value) else source
    return g.like(x, g.emit("tensor.scatter", x, dim % x.ndim, g.plain(index), source))


@lowers("scatter_add")
def _lower_scatter_add(g: Graph, input: Value, dim: int, index: Value, src: Value) -> Value:
    x, dim = g.plain(input), dim % input.ndim
    return g.like(x, g.emit("tensor.scatter", x, dim, g.plain(index), g.plain(src), add=True))


@lowers("topk")
def _lower_topk(
    g: Graph, input: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> list[Value]:
    del sorted  # they are, always
    options = {} if largest else {"largest": False}
    both = g.emit_several(2, "tensor.topk", input, k, input.axis(dim), **options)
    return [g.like(input, var) for var in both]


@lowers("narrow")
def _lower_narrow(g: Graph, input: Value, dim: int, start: int, length: int) -> Value:
    index = (slice(None),) * input.axis(dim) + (slice(start, start + length),)
    return g.like(input, g.emit("operator.getitem", input, index))


@lowers("select")
def _lower_select(g: Graph, input: Value, dim: int, index: int) -> Value:
    dim = dim % input.ndim
    where = (slice(None),) * input.axis(dim) + (index,)
    var = g.emit("operator.getitem", input, where)
    return dataclasses.replace(input, var=var, order=removed(input.order, (dim,)))


@lowers("meshgrid")
def _lower_meshgrid(g: Graph, *tensors: Any, indexing: str = "ij") -> Any:
    vectors = [g.plain(x) for x in _flat(tensors)]
    return g.emit_several(len(vectors), "jnp.meshgrid", *vectors, indexing=indexing)


@lowers("unfold")
def _lower_unfold(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Any:
    """Two functions of one name: F.unfold of images, and Tensor.unfold along an axis."""
    if len(g.out[0].sizes) == input.ndim + 1:
        x = g.plain(input)
        dim, size, step = (*args, *kwargs.values())
        return g.emit("tensor.unfold", x, dim % x.ndim, size, step)
    x = g.image(input)
    columns = g.emit("F.unfold", x, *args, **kwargs)
    return dataclasses.replace(x, var=columns, order=(0, 2, 1))


def _flat(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """(1, 2) of `f(1, 2)` and of `f((1, 2))`."""
    return tuple(y for x in arguments for y in (x if isinstance(x, list | tuple) else (x,)))
