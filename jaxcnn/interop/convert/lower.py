"""Turns recorded calls of PyTorch into statements of JAX, with the layout of each array.

A tensor of PyTorch lies here as an array whose axes may stand in another order, `Value.order`:
images lie channels-last and stay so through every call that does not look at the order. A
permutation costs nothing; only a call that needs a certain order moves axes.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from jaxcnn.interop.convert.align import Aligned
from jaxcnn.interop.convert.calls import Call, Constant, Ref, Shape, Size, State
from jaxcnn.interop.convert.errors import ConversionError, NoRuleError
from jaxcnn.interop.convert.own_rules import OWN_RULES
from jaxcnn.interop.program import Array, Batch, Statement, Var, map_leaves


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of PyTorch, as an array.

    Attributes:
      var: The array in the program.
      sizes: The tensor's sizes, in PyTorch's order of axes.
      order: For each axis of the array, which axis of the tensor it is.
      dtype: The tensor's dtype.
    """

    var: Var
    sizes: tuple[Size, ...]
    order: tuple[int, ...]
    dtype: torch.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def array_sizes(self) -> tuple[Size, ...]:
        """The array's sizes, in its own order of axes."""
        return tuple(self.sizes[axis] for axis in self.order)

    def axis(self, dim: int) -> int:
        """Which axis of the array the tensor's axis `dim` is."""
        return self.order.index(dim % max(self.ndim, 1))


def identity(ndim: int) -> tuple[int, ...]:
    """The order of PyTorch itself."""
    return tuple(range(ndim))


def channels_last(ndim: int) -> tuple[int, ...]:
    """(n, c, *spatial) as (n, *spatial, c).

    Example:
      >>> channels_last(4), channels_last(2)
      ((0, 2, 3, 1), (0, 1))
    """
    return (0, *range(2, ndim), 1) if ndim > 2 else identity(ndim)


Rule = Callable[..., Any]
Scope = tuple[tuple[str, int], ...]
Order = tuple[int, ...]
_RULES: dict[str, Rule] = {}


def lowers(*names: str) -> Callable[[Rule], Rule]:
    """Registers how the torch functions and methods of these names are written in JAX.

    The rule takes the Graph and the call's arguments, tensors as Values, and returns a Value or
    several, or, where the order of axes is PyTorch's, what `Graph.emit` returns.
    """

    def register(function: Rule) -> Rule:
        for name in names:
            _RULES[name] = function
        return function

    return register


class Graph:
    """The program as it grows."""

    def __init__(self, aligned: Aligned, inputs: int, state: Mapping[str, torch.Tensor]) -> None:
        self.statements: list[Statement] = []
        self.values: dict[int, Any] = {}  # by the Ref's number
        self.shapes = aligned.shapes
        self.constants = aligned.values
        self.state = state
        self.reads: dict[tuple[str, Scope], Value] = {}
        self.layout_changes: set[int] = set()  # numbers of what they return
        self.scope: Scope = ()
        self.out: list[Shape] = []
        self._next = inputs
        self._moved: dict[tuple[int, Order, Order, Scope], Value] = {}

    def emit(self, target: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Var:
        """Adds a call whose arguments may be Values."""
        return self._add(target=target, args=args, kwargs=kwargs)

    def emit_several(self, count: int, target: Any, *args: Any, **kwargs: Any) -> list[Var]:
        """Adds a call that returns a sequence of `count` arrays."""
        outputs = tuple(range(self._next, self._next + count))
        self._next += count
        self._append(Statement(outputs, target, args, kwargs, several=True))
        return [Var(number) for number in outputs]

    def emit_layer(self, name: str, *args: Any, count: int | None = None, **kwargs: Any) -> Any:
        """Adds a call of a layer."""
        outputs = tuple(range(self._next, self._next + (count or 1)))
        self._next += len(outputs)
        several = count is not None
        self._append(Statement(outputs, None, args, kwargs, layer=name, several=several))
        return [Var(number) for number in outputs] if several else Var(outputs[0])

    def read(self, name: str) -> Value:
        """A parameter or buffer."""
        key = (name, self.scope)
        if key not in self.reads:
            x = self.state[name]
            var = self._add(state=name)
            self.reads[key] = Value(var, tuple(x.shape), identity(x.ndim), x.dtype)
        return self.reads[key]

    def constant(self, x: torch.Tensor) -> Value:
        """A constant."""
        var = self._add(target="jnp.asarray", args=(Array(x.numpy()),))
        return Value(var, tuple(x.shape), identity(x.ndim), x.dtype)

    def like(self, x: Value, var: Var) -> Value:
        """The result `var` with the order of `x`, which has as many axes."""
        return dataclasses.replace(x, var=var)

    def ordered(self, x: Value, order: Sequence[int]) -> Value:
        """`x` with its array's axes in another order."""
        order = tuple(order)
        if x.order == order:
            return x
        # Found by the modules inside too, and by no other: they would return it beside their own.
        scopes = (self.scope[:depth] for depth in range(len(self.scope) + 1))
        keys = [(x.var.number, x.order, order, scope) for scope in scopes]
        for key in keys:
            if key in self._moved:
                return self._moved[key]
        moved = dataclasses.replace(x, var=self._move(x, order), order=order)
        if is_layout_change(x, order):
            self.layout_changes.add(moved.var.number)
        self._moved[keys[-1]] = moved
        return moved

    def plain(self, x: Value) -> Value:
        """`x` with PyTorch's order of axes."""
        return self.ordered(x, identity(x.ndim))

    def image(self, x: Value) -> Value:
        """`x` with the channels last."""
        return self.ordered(x, channels_last(x.ndim))

    def aligned(self, operands: Sequence[Any], ndim: int | None = None) -> tuple[Any, list[Any]]:
        """Operands that broadcast, with one order: (that order, the operands).

        Numbers stay as they are.
        """
        values = [x for x in operands if isinstance(x, Value)]
        ndim = max((x.ndim for x in values), default=0) if ndim is None else ndim
        whole = [x.order for x in values if x.ndim == ndim and _is_wide(x)]
        whole += [x.order for x in values if x.ndim == ndim]
        moved = [order for order in whole if order != identity(ndim)]
        order = (moved or whole or [identity(ndim)])[0]
        return order, [self._broadcast(x, order) if isinstance(x, Value) else x for x in operands]

    def sizes(self, sizes: Iterable[Size]) -> tuple[Any, ...]:
        """Sizes as arguments of a reshape: the only one that grows with the batch is -1."""
        sizes = tuple(sizes)
        grows = [isinstance(size, Batch) for size in sizes]
        whole = sum(grows) == 1 and 0 not in sizes
        return tuple(-1 if whole and grow else s for s, grow in zip(sizes, grows, strict=True))

    def _broadcast(self, x: Value, order: tuple[int, ...]) -> Value:
        ndim = len(order)
        if x.ndim == 0 or x.order == order:
            return x
        if x.ndim == ndim:
            return self.ordered(x, order)
        x, missing = self.plain(x), ndim - x.ndim
        sizes = (1,) * missing + x.sizes
        wanted = [sizes[axis] for axis in order]
        big = [axis for axis in order if sizes[axis] != 1]
        while wanted and wanted[0] == 1:
            wanted.pop(0)
        if big == sorted(big):
            if tuple(wanted) == x.sizes:
                return x
            return dataclasses.replace(x, var=self.emit(".reshape", x, self.sizes(wanted)))
        longer = dataclasses.replace(
            x,
            var=self.emit(".reshape", x, self.sizes(sizes)),
            sizes=sizes,
            order=identity(ndim),
        )
        return self.ordered(longer, order)

    def _move(self, x: Value, order: tuple[int, ...]) -> Var:
        if order == identity(x.ndim) and x.order == channels_last(x.ndim):
            return self.emit("layout.to_channels_first", x)
        if x.order == identity(x.ndim) and order == channels_last(x.ndim):
            return self.emit("layout.to_channels_last", x)
        return self.emit(".transpose", x, tuple(x.order.index(axis) for axis in order))

    def _add(self, **parts: Any) -> Var:
        number = self._next
        self._next += 1
        self._append(Statement((number,), **parts))
        return Var(number)

    def _append(self, statement: Statement) -> None:
        bare = lambda x: x.var if isinstance(x, Value) else x
        args, kwargs = map_leaves(bare, statement.args), map_leaves(bare, dict(statement.kwargs))
        for x in (args, kwargs):
            map_leaves(_check_argument, x)
        self.statements.append(
            dataclasses.replace(statement, args=args, kwargs=kwargs, scope=self.scope)
        )


def lower(graph: Graph, call: Call) -> None:
    """Adds what one call of PyTorch computes.

    Raises:
      NoRuleError: If there is no rule for it.
    """
    function, name = call.function, call.name
    graph.scope = call.scope
    args, kwargs = (_resolve(graph, x) for x in (call.args, call.kwargs))
    graph.out = [graph.shapes[number] for number in _numbers(call.out)]
    own = _own_rule(function)
    if own is not None:
        result = _plain_call(graph, own, args, kwargs)
    else:
        key = "layer" if call.layer is not None else normal_name(name)
        if key not in _RULES:
            raise NoRuleError
        extra = {"layer": call.layer, "module": function} if key == "layer" else {}
        try:
            bound = inspect.signature(_RULES[key]).bind(graph, *args, **kwargs, **extra)
        except TypeError as error:
            raise NoRuleError(f"with {error}") from None
        result = _RULES[key](*bound.args, **bound.kwargs)
    _assign(graph, call.out, result)


def normal_name(name: str) -> str:
    """The name under which a function's rule stands: in-place and operator forms share one.

    Example:
      >>> normal_name("relu_"), normal_name("__iadd__"), normal_name("__rsub__")
      ('relu', 'add', 'rsub')
    """
    if name.startswith("__"):
        name = name.strip("_")
        name = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div"}.get(name, name)
        return {"truediv": "div", "rtruediv": "rdiv", "invert": "bitwise_not"}.get(name, name)
    return name.rstrip("_") if name != "_" else name


def resolved_output(graph: Graph, output: Any) -> Any:
    """What the module returns, images channels-last."""

    def final(x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        if x.ndim >= 4 and x.order != channels_last(x.ndim):
            return graph.image(x).var
        return (x if x.order == channels_last(x.ndim) else graph.plain(x)).var

    graph.scope = ()
    return map_leaves(final, _resolve(graph, output))


def _resolve(graph: Graph, tree: Any) -> Any:
    def one(x: Any) -> Any:
        if isinstance(x, Ref):
            if x.number in graph.constants:
                return graph.constant(graph.constants[x.number])
            return graph.values[x.number]
        if isinstance(x, State):
            return graph.read(x.name)
        return graph.constant(x.value) if isinstance(x, Constant) else x

    return map_leaves(one, tree)


def _assign(graph: Graph, out: Any, result: Any) -> None:
    numbers = _numbers(out)
    results = list(result) if isinstance(result, list | tuple) else [result]
    for number, x in zip(numbers, results, strict=True):
        shape = graph.shapes[number]
        if isinstance(x, Var):
            x = Value(x, shape.sizes, identity(len(shape.sizes)), shape.dtype)
        assert len(x.order) == len(shape.sizes), (out, x, shape)
        graph.values[number] = dataclasses.replace(x, sizes=shape.sizes, dtype=shape.dtype)


def _plain_call(graph: Graph, function: Any, args: Any, kwargs: Any) -> Any:
    plain = lambda x: graph.plain(x) if isinstance(x, Value) else x
    args, kwargs = map_leaves(plain, args), map_leaves(plain, kwargs)
    if len(graph.out) == 1:
        return graph.emit(function, *args, **kwargs)
    return graph.emit_several(len(graph.out), function, *args, **kwargs)


def _own_rule(function: Any) -> Any:
    try:
        return OWN_RULES.get(function)
    except TypeError:  # not hashable
        return None


def _numbers(tree: Any) -> list[int]:
    found: list[int] = []
    map_leaves(lambda x: found.append(x.number) if isinstance(x, Ref) else None, tree)
    return found


def _is_wide(x: Value) -> bool:
    return sum(size != 1 for size in x.sizes[1:]) > 1


def is_layout_change(x: Value, order: tuple[int, ...]) -> bool:
    """Whether an image's data moves between channels first and last."""
    before, after = ([axis for axis in o if x.sizes[axis] != 1] for o in (x.order, order))
    usual = {identity(x.ndim), channels_last(x.ndim)}
    return x.ndim >= 4 and {x.order, order} == usual and before != after


def _check_argument(x: Any) -> None:
    if isinstance(x, torch.Tensor | torch.dtype | torch.device | Ref | State):
        raise ConversionError(f"from_torch: a rule must not pass on {x!r}.")
