"""What each module of the program is written as."""

from __future__ import annotations

import collections
import dataclasses
import keyword
import re
from collections.abc import Mapping
from typing import Literal

import flax.linen as linen

from jaxcnn.interop.program import Leaf, Statement, Var
from jaxcnn.interop.source.tree import Node, Tree, called, used

Kind = Literal["layer", "sequential", "list", "dict", "class"]
# Attributes that linen's modules have, or that stand for something else in the written file.
_TAKEN = {*dir(linen.Module), "name", "parent", "scope", "train"}


@dataclasses.dataclass(frozen=True)
class Index:
    """`[index]` of a list, or `["key"]` of a dictionary."""

    index: int | str


# How a child or parameter is reached: attributes and indices, after `self`.
Access = tuple["str | Index", ...]


class Modules:
    """The modules of a program that its source has.

    Attributes:
      tree: The program's calls.
      calls: {module: its calls}.
      kinds: {module: what it is written as}.
      homes: {class: {name inside of it: parameter or buffer}}, for each module that is a class.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.calls: dict[str, list[Node]] = collections.defaultdict(list)
        for node in tree.root.nodes():
            self.calls[node.module].append(node)
        self._children: dict[str, list[str]] = collections.defaultdict(list)
        self._order = {name: i for i, name in enumerate(tree.program.module_names)}
        live = self._live()
        for name in tree.program.module_names:
            if name in live and name:
                self._children[self.parent(name)].append(name)
        self.kinds: dict[str, Kind] = {}
        for name in tree.program.module_names:
            if name in live:
                self.kinds[name] = self._kind(name)
        self.homes: dict[str, dict[str, str]] = collections.defaultdict(dict)
        for state in (*tree.program.params, *tree.program.buffers):
            home = self.home(state)
            self.homes[home][state.removeprefix(f"{home}.") if home else state] = state

    def children(self, name: str) -> list[str]:
        """Modules directly inside, those that the program uses."""
        return self._children[name]

    def parent(self, name: str) -> str:
        """The module that holds it: a layer's own parts belong to the layer's caller."""
        parent = name.rpartition(".")[0]
        return self.parent(parent) if parent in self.tree.program.layers else parent

    def class_name(self, name: str) -> str:
        """The module's class in PyTorch."""
        return self.tree.program.module_names[name]

    def home(self, state: str) -> str:
        """The class that holds a parameter or buffer."""
        name = state.rpartition(".")[0]
        while self.kinds.get(name) != "class":
            name = name.rpartition(".")[0]
        return name

    def leaf(self, state: str) -> Leaf:
        """What is known of a parameter or buffer."""
        program = self.tree.program
        return program.params[state] if state in program.params else program.buffers[state]

    def access(self, module: str, name: str) -> Access:
        """How `module` reaches the module `name` inside of it."""
        parent = self.parent(name)
        part = name.removeprefix(f"{parent}.") if parent else name
        step: str | Index = attribute(part)
        if self.kinds[parent] == "dict":
            step = Index(part)
        elif self.kinds[parent] in ("list", "sequential") and part.isdigit():
            step = Index(int(part))
        return (step,) if parent == module else (*self.access(module, parent), step)

    def state_access(self, module: str, state: str) -> Access:
        """How `module` reaches a parameter or buffer inside of it."""
        home = self.home(state)
        inside = state.removeprefix(f"{home}.") if home else state
        way = () if home == module else self.access(module, home)
        return (*way, attribute(inside))

    def _live(self) -> set[str]:
        """Modules that are called, or whose parameters are read, and those around them."""
        tree = self.tree
        lists = ("ParameterList", "ParameterDict")
        numbers = {n for node in tree.root.nodes() for item in node.items for n in used(item)}
        names = {name for node in tree.root.nodes() for name in map(called, node.items) if name}
        owners = {name.rpartition(".")[0] for n, name in tree.states.items() if n in numbers}
        names |= {name for name in owners if tree.program.module_names.get(name) not in lists}
        live = {""}
        for name in names:
            while name:
                live.add(name)
                name = name.rpartition(".")[0]
        return live

    def _kind(self, name: str) -> Kind:
        if name in self.tree.program.layers:
            return "layer"
        kind = self.class_name(name)
        digits = all(child.rpartition(".")[2].isdigit() for child in self._every_child(name))
        digits = digits and len(self.children(name)) > 0
        if self.calls[name]:
            chains = all(self._is_chain(node) for node in self.calls[name])
            parts = [child.rpartition(".")[2] for child in self.children(name)]
            plain = digits or kind == "Sequential" or _numbered_after_dash(parts)
            return "sequential" if chains and plain else "class"
        if name == "" or self._owns_state(name):
            return "class"
        if kind == "ModuleDict":
            return "dict"
        if kind == "Sequential":
            return "sequential"
        return "list" if digits else "class"

    def _every_child(self, name: str) -> list[str]:
        prefix = f"{name}." if name else ""
        return [
            child
            for child in self.tree.program.module_names
            if child != name and child.startswith(prefix) and "." not in child[len(prefix) :]
        ]

    def _owns_state(self, name: str) -> bool:
        program = self.tree.program
        return any(s.rpartition(".")[0] == name for s in (*program.params, *program.buffers))

    def _is_chain(self, node: Node) -> bool:
        """Whether the call runs children in order, each on the result of the one before."""
        tree = self.tree
        special = tree.states.keys() | tree.modules.keys()
        if len(node.inputs) != 1 or node.inputs[0] in special or self._owns_state(node.module):
            return False
        current, last = node.inputs, -1
        for item in node.items:
            name = called(item)
            if name is None or name not in self.children(node.module):
                return False
            if self._order[name] <= last or not _is_simple(item, current[0]):
                return False
            current, last = item.outputs, self._order[name]
        names = [called(item) for item in self.calls[node.module][0].items]
        same = names == [called(item) for item in node.items]
        return same and node.outputs == current


def _is_simple(item: Statement | Node, x: int) -> bool:
    """Whether a module is called with `x` alone, and returns one value."""
    if len(item.outputs) != 1:
        return False
    if isinstance(item, Node):
        return item.inputs == (x,)
    return item.args == (Var(x),) and not item.kwargs and not item.several


def attribute(name: str) -> str:
    """The attribute for a child or parameter: its name, if Python and linen let it be one.

    Example:
      >>> attribute("conv1"), attribute("conv-1"), attribute("0"), attribute("init")
      ('conv1', 'conv_1', 'layer0', 'init_')
    """
    name = re.sub(r"\W", "_", name)
    name = f"layer{name}" if name[:1].isdigit() else name
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def states_of(modules: Modules, name: str) -> Mapping[str, str]:
    """{name inside of the module: parameter or buffer} of a class."""
    return modules.homes.get(name, {})


def _numbered_after_dash(names: list[str]) -> bool:
    """Whether names are no Python names but numbers after one word: block1-0, block1-1, ...

    Example:
      >>> _numbered_after_dash(["block-0", "block-1"]), _numbered_after_dash(["conv1", "conv2"])
      (True, False)
    """
    heads = {re.sub(r"\d+$", "", name) for name in names}
    return len(heads) == 1 and not min(heads).isidentifier()
