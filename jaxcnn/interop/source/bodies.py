"""What a class computes, in terms of its own inputs, children and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxcnn import nn
from jaxcnn.interop.program import Array, Either, Rng, Statement, Train, Var, map_leaves
from jaxcnn.interop.source.loops import with_growth, with_loops
from jaxcnn.interop.source.modules import Modules
from jaxcnn.interop.source.steps import Body, Constant, Local, Own, SizeOf, Step
from jaxcnn.interop.source.tree import Node, Size, called, holds, used
from jaxcnn.nn.container import train_argument


class Bodies:
    """Makes the methods of classes.

    Args:
      modules: The program's modules.
      constant: Keeps a constant array, and returns its number.
    """

    def __init__(self, modules: Modules, constant: Callable[[Any], Constant]) -> None:
        self.modules, self.tree, self.constant = modules, modules.tree, constant
        self.methods: dict[str, list[Body]] = {}
        self.method_of: dict[Node, int] = {}
        self.trains = _trained(modules)
        self.of_lists = _classes_of_lists(modules)
        # Inner calls first, which methods are numbered by.
        inner_first = reversed(list(self.tree.root.nodes()))
        for node in sorted(inner_first, key=lambda node: node.stop):
            if modules.kinds[node.module] == "class":
                body = self._body(node)
                known = self.methods.setdefault(node.module, [])
                if body not in known:
                    known.append(body)
                self.method_of[node] = known.index(body)

    def takes_train(self, name: str) -> bool:
        """Whether a module does something else in training."""
        return self.trains[name]

    def _train_argument(self, name: str, item: Statement | Node) -> str:
        if not self.takes_train(name):
            return ""
        layer = self.tree.program.layers.get(name)
        if layer is None:
            return "position"
        second = train_argument(getattr(nn, layer.kind)) == "second"
        return "position" if second and len(used(item)) == 1 else "name"

    def _body(self, node: Node) -> Body:
        takes_list = self.modules.class_name(node.module) in self.of_lists
        numbers: dict[Any, int] = {number: i for i, number in enumerate(node.inputs)}
        names = tuple(self._input_name(number) for number in node.inputs)
        if takes_list:
            numbers, names = {None: 0}, ("features",)
        steps = []
        for item in node.items:
            for number in item.outputs:
                numbers[number] = len(numbers)
            steps.append(self._step(node, item, numbers))
        if node is self.tree.root:
            leaf = lambda x: self._leaf(node.module, numbers, x)
            output = map_leaves(leaf, self.tree.program.output)
        else:
            results = tuple(Local(numbers[n]) for n in node.outputs)
            output = results[0] if len(results) == 1 else results
        body = Body(len(names), names, tuple(steps), output, takes_list)
        return with_growth(with_loops(body, self.modules, node))

    def _input_name(self, number: int) -> str:
        name = self.tree.states.get(number) or self.tree.modules.get(number) or ""
        return name.rpartition(".")[2]

    def _step(self, node: Node, item: Statement | Node, numbers: Mapping[Any, int]) -> Step:
        leaf = lambda x: self._leaf(node.module, numbers, x)
        outputs = tuple(numbers[n] for n in item.outputs)
        name = called(item)
        module, inside = None, None
        if name is not None:
            module, inside = self._callee(node.module, numbers, name)
        trains = "" if name is None else self._train_argument(name, item)
        if isinstance(item, Node):
            args: tuple[Any, ...] = tuple(leaf(Var(n)) for n in item.inputs)
            if self.modules.class_name(item.module) in self.of_lists:
                args = (list(args),)
            method, several = self.method_of.get(item, 0), len(outputs) > 1
            return Step(outputs, None, args, {}, module, inside, method, trains, several)
        if None in numbers and _joins(item) == list(node.inputs):
            args = (Local(0), *map_leaves(leaf, item.args[1:]))
        else:
            args = map_leaves(leaf, item.args)
        kwargs = map_leaves(leaf, dict(item.kwargs))
        return Step(outputs, item.target, args, kwargs, module, inside, 0, trains, item.several)

    def _callee(
        self, module: str, numbers: Mapping[Any, int], name: str
    ) -> tuple[Own | Local, str | None]:
        if holds(module, name):
            inside = name.removeprefix(f"{module}.") if module else name
            return Own(self.modules.access(module, name)), inside
        number = next(n for n, outside in self.tree.modules.items() if outside == name)
        return Local(numbers[number]), None

    def _leaf(self, module: str, numbers: Mapping[Any, int], x: Any) -> Any:
        if isinstance(x, Array):
            return self.constant(x.value)
        if isinstance(x, Size):
            of = self._leaf(module, numbers, x.of)
            return SizeOf(of, x.axis, x.factor, x.divisor, x.offset)
        if not isinstance(x, Var):
            return x
        if x.number in numbers:
            return Local(numbers[x.number])
        name = self.tree.within(x.number, module)
        assert name is not None, x
        if x.number in self.tree.modules:
            return Own(self.modules.access(module, name))
        buffer = name in self.tree.program.buffers
        return Own(self.modules.state_access(module, name), buffer)


def _trained(modules: Modules) -> dict[str, bool]:
    """Whether each module does something else in training; all of one class do, if one does."""
    tree = modules.tree
    trains: dict[str, bool] = {}
    classes: set[str] = set()
    for name, layer in tree.program.layers.items():
        trains[name] = train_argument(getattr(nn, layer.kind)) is not None

    def node_trains(node: Any) -> bool:
        return any(
            trains.get(name, False) if name is not None else _depends_on_training(item)
            for item in node.items
            for name in [called(item)]
        )

    changed = True
    while changed:
        before = dict(trains)
        for name, nodes in modules.calls.items():
            kind = modules.class_name(name)
            trains[name] = any(map(node_trains, nodes))
            if modules.kinds[name] == "class":
                classes |= {kind} if trains[name] else set()
                trains[name] = kind in classes
        changed = trains != before
    return trains


def _depends_on_training(item: Any) -> bool:
    found: list[bool] = []
    note = lambda x: found.append(isinstance(x, Train | Either | Rng))
    map_leaves(note, (item.args, dict(item.kwargs)))
    return any(found)


def _joins(item: Statement) -> list[int] | None:
    """Numbers of the values that a statement joins, if that is what it does."""
    plain = item.target == "jnp.concatenate" and isinstance(item.args[0], tuple | list)
    if not plain or not all(isinstance(x, Var) for x in item.args[0]):
        return None
    return [x.number for x in item.args[0]]


def _classes_of_lists(modules: Modules) -> set[str]:
    """Classes that join all they are given, which is not always as many."""
    counts: dict[str, set[int]] = {}
    others: set[str] = set()
    special = modules.tree.states.keys() | modules.tree.modules.keys()
    for name, nodes in modules.calls.items():
        kind = modules.class_name(name)
        for node in nodes:
            counts.setdefault(kind, set()).add(len(node.inputs))
            joins = [i for i in node.items if isinstance(i, Statement) and _joins(i)]
            whole = [i for i in joins if _joins(i) == list(node.inputs)]
            reads = [n for item in node.items for n in used(item) if n in node.inputs]
            alone = len(whole) == 1 and len(reads) == len(node.inputs)
            if name == "" or not alone or special.intersection(node.inputs):
                others.add(kind)
    return {kind for kind, found in counts.items() if len(found) > 1} - others
