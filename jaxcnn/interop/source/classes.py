"""The classes of the file: their fields, children, parameters and methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.interop.program import Leaf, map_leaves
from jaxcnn.interop.source.bodies import Bodies
from jaxcnn.interop.source.constants import Constants
from jaxcnn.interop.source.fields import Field, fields_of
from jaxcnn.interop.source.groups import Group, groups
from jaxcnn.interop.source.modules import Modules, attribute
from jaxcnn.interop.source.steps import Body
from jaxcnn.interop.source.terms import Common, Instance, Make, layer_term, many, replaced


@dataclasses.dataclass(frozen=True)
class State:
    """A parameter or buffer of a class.

    Attributes:
      name: Its name in the class.
      leaf: What is known of it.
      shape: Its shape, with Holes.
      buffer: Whether it is a buffer.
      value: Its values, where it starts from given ones.
    """

    name: str
    leaf: Leaf
    shape: Any
    buffer: bool
    value: Any = None


@dataclasses.dataclass(eq=False)
class Class:
    """A class of the file.

    Attributes:
      name: Its name.
      group: The modules that it stands for.
      fields: What differs between them.
      children: {name: the call that makes it}.
      states: Its parameters and buffers.
      methods: What it computes; of a Sequential nothing.
      takes_train: Whether it is told about training.
    """

    name: str
    group: Group
    fields: list[Field] = dataclasses.field(default_factory=list)
    children: dict[str, Any] = dataclasses.field(default_factory=dict)
    states: list[State] = dataclasses.field(default_factory=list)
    methods: list[Body] = dataclasses.field(default_factory=list)
    takes_train: bool = False


class Classes:
    """Makes the classes of a program.

    Attributes:
      made: The classes, each after those that it uses; the model last.
    """

    def __init__(
        self, modules: Modules, bodies: Bodies, constants: Constants, taken: set[str]
    ) -> None:
        self.modules, self.bodies, self.constants = modules, bodies, constants
        self.made: list[Class] = []
        self._class_of: dict[str, Class] = {}
        self._terms: dict[str, Any] = {}
        self._started: set[str] = set()
        found = groups(modules, bodies)
        # The model has the name of its class, whatever else has it too.
        order = {name: i for i, name in enumerate(modules.kinds)}
        first = lambda group: min(order[member] for member in group.members)
        for group in sorted(found, key=first):
            made = Class(_class_name(group.torch_name, taken), group)
            taken.add(made.name)
            self._class_of.update(dict.fromkeys(group.members, made))
        self.root = self.term("")

    def resolved(self, term: Any) -> Any:
        """A term without Instances: what they stand for is known when all classes are."""
        if isinstance(term, Instance):
            return self.term(term.name)
        return term

    def term(self, name: str) -> Any:
        """The call that makes a module."""
        made = self._class_of.get(name)
        if made is not None:
            self._make(made)
            return self._terms.get(name, Instance(name))
        kind = self.modules.kinds[name]
        if kind == "layer":
            return layer_term(self.modules.tree.program.layers[name])
        container = {"sequential": "Sequential", "list": "ModuleList", "dict": "ModuleDict"}[kind]
        return many(container, *self._members(name))

    def _members(self, name: str) -> tuple[list[str], list[Any]]:
        """Names (none where they are numbers) and calls of the modules of a container."""
        children = {self._inside(name, child): child for child in self.modules.children(name)}
        if not all(child.isdigit() for child in children):
            return list(children), [self.term(child) for child in children.values()]
        identity = Make("Identity", {})
        places = range(1 + max(map(int, children), default=-1))
        terms = [self.term(children[str(i)]) if str(i) in children else identity for i in places]
        return [], terms

    def _make(self, made: Class) -> None:
        group = made.group
        if group.members[0] in self._started:
            return
        self._started.add(group.members[0])
        common = Common()
        for child in group.children:
            terms: list[Any] = [self._child(member, child) for member in group.members]
            present = [term for term in terms if term is not None]
            if child not in group.optional and len(present) < len(terms):
                # Modules whose sum is not there do not call it.
                usual = Make(present[0].kind, {}) if isinstance(present[0], Make) else present[0]
                terms = [usual if term is None else term for term in terms]
            if child in group.optional:
                made.children[child] = common.hole(terms, (child,))
            else:
                made.children[child] = common.child(terms, child)
        if group.residual:
            has = [member in group.residual for member in group.members]
            common.hole(has, ("residual",))
        made.states = self._states(group, common)
        made.methods = self._methods(group, common)
        taken = {attribute(name) for name in (*made.children, *(s.name for s in made.states))}
        made.fields, replacements = fields_of(common.differences, taken, group)
        made.children = {k: replaced(v, replacements) for k, v in made.children.items()}
        made.states = [
            dataclasses.replace(
                s, shape=replaced(s.shape, replacements), value=replaced(s.value, replacements)
            )
            for s in made.states
        ]
        made.methods = [_filled(body, replacements) for body in made.methods]
        made.takes_train = "" in group.members or self.bodies.trains.get(group.members[0], False)
        for i, member in enumerate(group.members):
            settings = {
                field.name: field.values[i]
                for field in made.fields
                if not field.has_default or field.values[i] != field.default
            }
            self._terms[member] = Make(made, settings)
        self.made.append(made)

    def _child(self, member: str, child: str) -> Any:
        name = f"{member}.{child}" if member else child
        return self.term(name) if name in self.modules.kinds else None

    def _inside(self, module: str, name: str) -> str:
        return name.removeprefix(f"{module}.") if module else name

    def _states(self, group: Group, common: Common) -> list[State]:
        names = list(self.modules.homes.get(group.members[0], ()))
        states = []
        for name in names:
            full = [self.modules.homes[member][name] for member in group.members]
            leaves = [self.modules.leaf(state) for state in full]
            hint = "num_heads" if any(word in name for word in _OF_HEADS) else "channels"
            shape = common.of([leaf.shape for leaf in leaves], (name, hint))
            buffer = full[0] in self.modules.tree.program.buffers
            given = [leaf.value for leaf in leaves]
            value = None
            if all(x is not None for x in given):
                value = common.of([self.constants.add(x) for x in given], (name,))
            states.append(State(name, _typical(leaves), shape, buffer, value))
        return states

    def _methods(self, group: Group, common: Common) -> list[Body]:
        """The methods with Holes for numbers that differ."""
        methods = []
        for i, body in enumerate(group.methods):
            every = [self.bodies.methods[member][i].numbers() for member in group.members]
            columns = list(zip(*every, strict=True))
            hints = _hints(body)
            filled = iter(
                [common.of(column, hint) for column, hint in zip(columns, hints, strict=True)]
            )
            methods.append(body.with_numbers(lambda _, filled=filled: next(filled)))
        return methods


def _filled(body: Body, fields: Mapping[str, Any]) -> Body:
    """The method with the fields' names in the Holes."""
    one = lambda x: replaced(x, fields)
    steps = tuple(
        dataclasses.replace(s, args=map_leaves(one, s.args), kwargs=map_leaves(one, dict(s.kwargs)))
        for s in body.steps
    )
    return dataclasses.replace(body, steps=steps, output=map_leaves(one, body.output))


def _typical(leaves: Sequence[Leaf]) -> Leaf:
    """One leaf for all: new values are drawn alike."""
    first = leaves[0]
    if first.value is not None:
        return first
    mean, std = (float(np.mean([getattr(x, part) for x in leaves])) for part in ("mean", "std"))
    return dataclasses.replace(first, mean=mean, std=std)


# Parameters with one row for each head of an attention.
_OF_HEADS = ("bias_table", "attention_bias", "relative_position", "logit_scale")
# What a number is called that differs between modules of one class.
_NAMES = {
    "jnp.asarray": "index",
    "jnp.zeros": "size",
    "jnp.ones": "size",
    "jnp.full": "size",
    "jnp.arange": "size",
    "jnp.tile": "repeats",
    "jnp.repeat": "repeats",
    "jnp.roll": "shift",
    "jnp.pad": "padding",
    "F.pad": "padding",
    ".reshape": "size",
    "jnp.broadcast_to": "size",
    "jnp.split": "split",
    "F.dropout": "dropout",
    "F.layer_norm": "features",
    "F.interpolate": "size",
    "operator.mul": "scale",
    "operator.truediv": "divisor",
    "operator.add": "offset",
    "operator.getitem": "index",
    "F.scaled_dot_product_attention": "scale",
}


def _hints(body: Body) -> list[tuple[str, ...]]:
    """For each number of a method, what it may be called."""
    hints: list[tuple[str, ...]] = []
    for step in body.steps:
        alone = Body(body.inputs, body.names, (step,), None)
        target = step.target if isinstance(step.target, str) else ""
        name = _NAMES.get(target, target.rpartition(".")[2] or "value")
        hints += [(name,)] * len(alone.numbers())
    return hints + [("value",)] * (len(body.numbers()) - len(hints))


def _class_name(torch_name: str, taken: set[str]) -> str:
    name = torch_name if torch_name.isidentifier() else "Model"
    number = 2
    while name in taken:
        name = f"{torch_name}{number}"
        number += 1
    return name
