"""The calls of a program as the tree of module calls that they came from."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from jaxcnn.interop.converted import Converted
from jaxcnn.interop.program import Batch, Program, Statement, Var, map_leaves, variables_in

Scope = tuple[tuple[str, int], ...]


@dataclasses.dataclass(frozen=True)
class Size:
    """A size that grows with the batch: `of.shape[axis] * factor // divisor + offset`."""

    of: Var
    axis: int
    factor: int = 1
    divisor: int = 1
    offset: int = 0


@dataclasses.dataclass(eq=False)
class Node:
    """One call of a module.

    Attributes:
      module: Its name.
      items: What it computes: statements, and calls of the modules inside.
      start: The place of its first statement in the program.
      stop: The place after its last one.
      inputs: Numbers of the values that come from outside.
      outputs: Numbers of the values that are used outside.
    """

    module: str
    items: list[Statement | Node] = dataclasses.field(default_factory=list)
    start: int = 0
    stop: int = 0
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    def nodes(self) -> Iterator[Node]:
        """This call and all inside, in order."""
        yield self
        for item in self.items:
            if isinstance(item, Node):
                yield from item.nodes()


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """The calls of a program.

    Attributes:
      program: The program, with numbers of their own for what is not computed.
      root: The call of the whole.
      states: {number of a value: parameter or buffer that it is}.
      modules: {number of a value: module that it stands for}, where a module is called outside of
        the one that holds it.
    """

    program: Program
    root: Node
    states: Mapping[int, str]
    modules: Mapping[int, str]

    def within(self, number: int, module: str) -> str | None:
        """The parameter, buffer or module that a value is, if `module` holds it."""
        name = self.states.get(number) or self.modules.get(number)
        return name if name is not None and holds(module, name) else None


def holds(module: str, name: str) -> bool:
    """Whether `name` is inside of the module.

    Example:
      >>> holds("", "conv1"), holds("layer1", "layer1.0.conv1"), holds("layer1", "layer10.conv1")
      (True, True, False)
    """
    return module == "" or name.startswith(f"{module}.")


def called(item: Statement | Node) -> str | None:
    """The module or layer that is called."""
    return item.module if isinstance(item, Node) else item.layer


def call_tree(program: Program) -> Tree:
    """The tree of a program's calls."""
    shapes, stateful = _shapes(program)
    program, reads = _without_reads(_with_layers_outermost(program))
    program = _with_sizes(program, shapes)
    program = _with_own_layers(program, stateful)
    root = _nested(program)
    tree = Tree(program, root, reads, _called_outside(root))
    uses = _uses(program)
    for node in reversed(list(root.nodes())):
        _connect(tree, node, uses)
    root.inputs = tuple(range(len(program.inputs)))
    root.outputs = tuple(variables_in(program.output))
    return tree


def _shapes(program: Program) -> tuple[dict[int, list[tuple[int, ...]]], frozenset[str]]:
    """The shapes of all values for two batch sizes, and the layers that have a state."""
    numbers = [n for s in program.statements for n in s.outputs]
    every = dataclasses.replace(program, output=tuple(map(Var, numbers)))
    found: list[dict[int, tuple[int, ...]]] = []
    variables: Any = {}
    for n in batch_sizes(program):
        inputs = example_inputs(program, n)
        out, variables = jax.eval_shape(
            Converted(every).init_with_output, jax.random.key(0), *inputs
        )
        shapes = {
            number: tuple(x.shape)
            for number, x in zip(numbers, out, strict=True)
            if hasattr(x, "shape")
        }
        found.append({**{i: x.shape for i, x in enumerate(inputs)}, **shapes})
    first, second = found
    stateful = frozenset(name for tree in variables.values() for name in tree)
    return {number: [shape, second[number]] for number, shape in first.items()}, stateful


def batch_sizes(program: Program) -> tuple[int, int]:
    """Two sizes that the program takes."""
    n = program.inputs[0].shape[0]
    return (n, 2 * n) if n > 1 else (2, 3)


def example_inputs(program: Program, n: int) -> list[jax.ShapeDtypeStruct]:
    """Inputs with `n` rows where the example's first has its own number."""
    rows = program.inputs[0].shape[0]
    return [x.update(shape=(n, *x.shape[1:])) if x.shape[0] == rows else x for x in program.inputs]


def _without_reads(program: Program) -> tuple[Program, dict[int, str]]:
    """One number for each parameter and buffer that is read, and no statement that reads it."""
    first: dict[str, int] = {}
    same: dict[int, int] = {}
    for statement in program.statements:
        if statement.state is not None:
            number = statement.outputs[0]
            same[number] = first.setdefault(statement.state, number)
    renamed = lambda x: Var(same.get(x.number, x.number)) if isinstance(x, Var) else x
    statements = tuple(
        dataclasses.replace(
            s, args=map_leaves(renamed, s.args), kwargs=map_leaves(renamed, dict(s.kwargs))
        )
        for s in program.statements
        if s.state is None
    )
    output = map_leaves(renamed, program.output)
    reads = {number: name for name, number in first.items()}
    return dataclasses.replace(program, statements=statements, output=output), reads


def _with_sizes(program: Program, shapes: Mapping[int, list[tuple[int, ...]]]) -> Program:
    """Sizes that grow with the batch as those of a value at hand."""
    sizes = batch_sizes(program)
    made = {n: place for place, s in enumerate(program.statements) for n in s.outputs}
    around: dict[Scope, dict[int, None]] = collections.defaultdict(dict)
    for s in program.statements:
        around[s.scope].update(dict.fromkeys(used(s)))
    statements = []
    for place, statement in enumerate(program.statements):
        # First its own arguments, then what else the module has by now, then the input.
        others = [n for n in around[statement.scope] if made.get(n, -1) < place]
        near = [*used(statement), *others, 0]
        size = _sizes(near, shapes, sizes)
        statements.append(
            dataclasses.replace(
                statement,
                args=map_leaves(size, statement.args),
                kwargs=map_leaves(size, dict(statement.kwargs)),
            )
        )
    returned = _sizes([*variables_in(program.output), 0], shapes, sizes)
    output = map_leaves(returned, program.output)
    return dataclasses.replace(program, statements=tuple(statements), output=output)


def _sizes(
    near: list[int], shapes: Mapping[int, list[tuple[int, ...]]], batches: tuple[int, int]
) -> Callable[[Any], Any]:
    """Makes a Size of a Batch, of a value near by if one has it."""

    def size(x: Any) -> Any:
        if not isinstance(x, Batch):
            return x
        found = _sizes_of(near, shapes, [x.at(n) for n in batches])
        return found or Size(Var(0), 0, x.factor, x.divisor, x.offset)

    return size


def _sizes_of(
    near: list[int], shapes: Mapping[int, list[tuple[int, ...]]], wanted: list[int]
) -> Size | None:
    """`wanted` as the size of a value near by, or a multiple or part of one."""
    axes = [
        (number, axis, pair)
        for number in dict.fromkeys(near)
        if number in shapes and len(shapes[number][0]) == len(shapes[number][1])
        for axis, pair in enumerate(zip(*shapes[number], strict=True))
        if pair[0] != pair[1]
    ]
    for number, axis, pair in axes:
        if list(pair) == wanted:
            return Size(Var(number), axis)
    for number, axis, (a, b) in axes:
        common = math.gcd(a, wanted[0])
        factor, divisor = wanted[0] // common, a // common
        if b * factor == wanted[1] * divisor:
            return Size(Var(number), axis, factor, divisor)
    return None


def _with_layers_outermost(program: Program) -> Program:
    """What a layer does after its own call (timm's BatchNormAct2d), done by its caller."""

    def outer(s: Statement) -> Statement:
        scope = tuple(call for call in s.scope if call[0] not in program.layers)
        return dataclasses.replace(s, scope=scope)

    return dataclasses.replace(program, statements=tuple(map(outer, program.statements)))


def _with_own_layers(program: Program, stateful: frozenset[str]) -> Program:
    """Layers without a state of other modules, or of layers: each caller has its own."""
    layers, names = dict(program.layers), dict(program.module_names)
    statements = []
    for s in program.statements:
        module = s.scope[-1][0] if s.scope else ""
        inside = s.layer is not None and holds(module, s.layer)
        inside = inside and not any(holds(layer, s.layer or "") for layer in program.layers)
        if s.layer is not None and not inside and s.layer not in stateful:
            name = f"{module}.{s.layer.rpartition('.')[2]}"
            while layers.get(name, layers[s.layer]) != layers[s.layer]:
                name += "_"
            layers[name], names[name] = layers[s.layer], names[s.layer]
            s = dataclasses.replace(s, layer=name)
        statements.append(s)
    called = {s.layer for s in statements}
    layers = {name: layer for name, layer in layers.items() if name in called}
    return dataclasses.replace(
        program, statements=tuple(statements), layers=layers, module_names=names
    )


def _nested(program: Program) -> Node:
    root = Node("", stop=len(program.statements))
    stack: list[tuple[tuple[str, int], Node]] = []
    for place, statement in enumerate(program.statements):
        scope = tuple(call for call in statement.scope if call[0] != "")
        shared = 0
        while shared < min(len(scope), len(stack)) and scope[shared] == stack[shared][0]:
            shared += 1
        del stack[shared:]
        for call in scope[shared:]:
            node = Node(call[0], start=place)
            (stack[-1][1] if stack else root).items.append(node)
            stack.append((call, node))
        (stack[-1][1] if stack else root).items.append(statement)
        for _, node in stack:
            node.stop = place + 1
    return root


def _uses(program: Program) -> dict[int, list[int]]:
    """{number of a value: places of the statements that use it}; the end is a place too."""
    uses: dict[int, list[int]] = collections.defaultdict(list)
    for place, statement in enumerate(program.statements):
        for number in used(statement):
            uses[number].append(place)
    for number in variables_in(program.output):
        uses[number].append(len(program.statements))
    return uses


def used(item: Statement | Node) -> list[int]:
    """Numbers of the values that a statement or a call takes, in order."""
    if isinstance(item, Node):
        return list(item.inputs)
    found: list[int] = []

    def note(x: Any) -> None:
        if isinstance(x, Var):
            found.append(x.number)
        elif isinstance(x, Size):
            found.append(x.of.number)

    map_leaves(note, (item.args, dict(item.kwargs)))
    return found


def _connect(tree: Tree, node: Node, uses: Mapping[int, list[int]]) -> None:
    made = {n for item in node.items for n in item.outputs}
    needed: dict[int, None] = {}
    numbers = {name: number for number, name in tree.modules.items()}
    for item in node.items:
        name = called(item)
        if name is not None and not holds(node.module, name):
            needed[numbers[name]] = None
        for number in used(item):
            if number not in made and tree.within(number, node.module) is None:
                needed[number] = None
    # What is computed first, then parameters, then modules.
    kind = lambda n: 2 if n in tree.modules else int(n in tree.states)
    node.inputs = tuple(sorted(needed, key=kind))
    node.outputs = tuple(
        n
        for item in node.items
        for n in item.outputs
        if any(place >= node.stop for place in uses[n])
    )


def _called_outside(root: Node) -> dict[int, str]:
    """A number for each module that is called outside of the one that holds it."""
    names = {
        called(item): None
        for node in root.nodes()
        for item in node.items
        if called(item) is not None and not holds(node.module, str(called(item)))
    }
    return {-1 - i: name for i, name in enumerate(names) if name is not None}
