"""The file of a program."""

from __future__ import annotations

import builtins
import dataclasses
from typing import Any

import numpy as np

from jaxcnn.interop.program import Leaf, Program
from jaxcnn.interop.source.bodies import Bodies
from jaxcnn.interop.source.calls import Calls, progression
from jaxcnn.interop.source.classes import Class, Classes, State
from jaxcnn.interop.source.constants import Constants
from jaxcnn.interop.source.expressions import Names
from jaxcnn.interop.source.fields import Field
from jaxcnn.interop.source.header import IMPORTS, docstring, import_lines
from jaxcnn.interop.source.methods import Method
from jaxcnn.interop.source.modules import Modules, attribute
from jaxcnn.interop.source.steps import Body, Hole, Local
from jaxcnn.interop.source.terms import Make, Many, Run, many
from jaxcnn.interop.source.text import Brackets, Text, call, flat, lines, string
from jaxcnn.interop.source.tree import Tree

# Layers that a new line starts with.
_WEIGHING = ("Conv", "Linear", "MultiheadAttention")


class File:
    """Writes the file of a program.

    Args:
      program: The program, as it was given to `to_source`.
      tree: Its calls.
      output_shapes: The shapes of what it returns for the example.
    """

    def __init__(self, program: Program, tree: Tree, output_shapes: Any) -> None:
        self.program = program
        self.output_shapes = output_shapes
        self.constants = Constants()
        self.modules = Modules(tree)
        taken = {*IMPORTS, "init", "layout", "nn", "tensor", "Any", "zlib", "base64"}
        taken |= set(dir(builtins))
        self.bodies = Bodies(self.modules, self.constants.add)
        self.classes = Classes(self.modules, self.bodies, self.constants, taken)
        self.names = Names(self.constants, taken=taken)
        self.calls = Calls(self.names, self.classes)

    def write(self) -> str:
        """The text."""
        blocks = [self._class(made) for made in self.classes.made]
        if not isinstance(self.classes.root, Make) or isinstance(self.classes.root.kind, str):
            blocks.append(self._function())
        constants, packed = self.constants.definitions()
        head = [
            docstring(self.program, self.output_shapes),
            "from __future__ import annotations",
            import_lines(self.names, packed),
        ]
        if constants:
            head.append("\n".join(constants))
        return "\n\n".join(head) + "\n\n\n" + "\n\n\n".join(blocks) + "\n"

    def _class(self, made: Class) -> str:
        if made.group.is_sequential:
            return self._sequential(made)
        self.names.imports.add("linen")
        rows = [f"class {made.name}(linen.Module):", f'    """{self._about(made)}"""']
        if made.fields:
            rows += ["", *(self._field_line(field) for field in made.fields)]
        setup = self._setup(made)
        if setup:
            rows += ["", "    def setup(self) -> None:", *setup]
        for i, body in enumerate(made.methods):
            rows += ["", *self._method(made, body, i)]
        return "\n".join(rows)

    def _about(self, made: Class) -> str:
        """The docstring of a class: where the model has it."""
        if "" in made.group.members:
            layout = ", on channels-last input" if self.program.has_images else ""
            return f"PyTorch's `{made.group.torch_name}`{layout}."
        members = sorted(made.group.members, key=list(self.modules.kinds).index)
        first = ", ".join(members[:3])
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        text = f"PyTorch's `{made.group.torch_name}`: {first}{more}."
        return text if len(text) <= 88 else f"PyTorch's `{made.group.torch_name}`."

    def _field_line(self, field: Field) -> str:
        return f"    {self._field_text(field)}"

    def _field_text(self, field: Field) -> str:
        kind = _type_of(field)
        if "linen" in kind:
            self.names.imports.add("linen")
        if kind == "Any":
            self.names.imports.add("Any")
        default = f" = {flat(self.calls.value(field.default, ''))}" if field.has_default else ""
        return f"{field.name}: {kind}{default}"

    def _setup(self, made: Class) -> list[str]:
        rows: list[str] = []
        left = list(made.children)
        while left:
            run = progression({name: made.children[name] for name in left})
            if run is not None:
                count, head, first, change = run
                rows += self._setup_loop(count, head, made.children[left[0]], first, change)
                del left[:count]
                continue
            child = left.pop(0)
            term, name = made.children[child], attribute(child)
            if isinstance(term, Hole):
                if term.field != name or name != child:
                    rows.append(
                        f"        self.{name} = self.{term.field}.clone(name={string(child)})"
                    )
                continue
            text = self.calls.term(term, "self.")
            if name != child:
                assert isinstance(text, Brackets)
                text = dataclasses.replace(text, items=(*text.items, f"name={string(child)}"))
            rows += lines(text, 8, f"self.{name} = ")
        for state in made.states:
            rows += self._state(state)
        return rows

    def _setup_loop(
        self, count: int, head: str, term: Make, start: int, change: dict[str, int]
    ) -> list[str]:
        """Children with numbered names that are equal, or whose settings grow evenly."""
        settings = dict(term.settings)
        for name, step in change.items():
            times = "i" if step == 1 else f"{step} * i"
            settings[name] = Hole("", f"{settings[name]} + {times}")
        place = f"{{i + {start}}}" if start else "{i}"
        layer = self.calls.term(Make(term.kind, settings), "self.")
        text = call("setattr", ("self", f'f"{head}{place}"', layer))
        return [f"        for i in range({count}):", *lines(text, 12)]

    def _state(self, state: State) -> list[str]:
        before = f"self.{attribute(state.name)} = "
        name = string(state.name)
        if state.value is not None:
            self.names.imports.add("jnp")
            array = self._array(state)
            if state.buffer:
                items = (string("batch_stats"), name, "jnp.asarray", array)
                return lines(call("self.variable", items), 8, before)
            return lines(call("self.param", (name, f"lambda _: jnp.asarray({array})")), 8, before)
        self.names.imports.add("init")
        items = (name, _initialiser(state.leaf), self.calls.value(state.shape, "self."))
        dtype = () if state.leaf.dtype == "float32" else (string(state.leaf.dtype),)
        return lines(call("self.param", (*items, *dtype)), 8, before)

    def _array(self, state: State) -> str:
        if isinstance(state.value, Hole):
            return f"self.{state.value.field}"
        text = self.constants.text(state.value, attribute(state.name).upper(), state.buffer)
        if text.startswith("np."):
            self.names.imports.add("np")
        return text

    def _method(self, made: Class, body: Body, number: int) -> list[str]:
        weighs = lambda name: self._weighs(made, name)
        taken = {*self.names.taken, made.name}
        method = Method(body, self.names, weighs, taken)
        inside = method.write()
        if method.needs_numbers:
            method = Method(body, self.names, weighs, taken, numbered=True)
            inside = method.write()
        self.names.imports.add("jax")
        arguments = [
            "self",
            *(f"{name}: {self._argument_type(body, i)}" for i, name in enumerate(method.arguments)),
        ]
        if made.takes_train:
            arguments.append("train: bool = False")
        name = "__call__" if number == 0 else f"call{number + 1}"
        result = self._result_type(body.output)
        return [*lines(call(f"def {name}", arguments), 4, "", f" -> {result}:"), *inside]

    def _argument_type(self, body: Body, number: int) -> str:
        if body.takes_list:
            return "list[jax.Array]"
        modules = {s.module.number for s in body.steps if isinstance(s.module, Local)}
        return "linen.Module" if number in modules else "jax.Array"

    def _result_type(self, output: Any) -> str:
        if isinstance(output, Local):
            return "jax.Array"
        plain = lambda xs: all(isinstance(x, Local) for x in xs)
        if isinstance(output, tuple | list) and plain(output):
            return "tuple[jax.Array, ...]" if isinstance(output, tuple) else "list[jax.Array]"
        if isinstance(output, dict) and plain(output.values()):
            return "dict[str, jax.Array]"
        self.names.imports.add("Any")
        return "Any"

    def _weighs(self, made: Class, name: str) -> bool | None:
        """Whether a child is a convolution or a linear layer; None if it is no single layer."""
        for member in made.group.members:
            child = f"{member}.{name}" if member else name
            layer = self.modules.tree.program.layers.get(child)
            if layer is not None:
                return layer.kind.startswith(_WEIGHING)
        return None

    def _sequential(self, made: Class) -> str:
        self.names.imports |= {"nn", "Any"}
        rows = [f"class {made.name}(nn.Sequential):", f'    """{self._about(made)}"""', ""]
        arguments = ["self", *map(self._field_text, made.fields), "**kwargs: Any"]
        rows += lines(call("def __init__", arguments), 4, "", " -> None:")
        children = {name: self.calls.term(term, "") for name, term in made.children.items()}
        last = list(children)[-1]
        if made.group.optional:
            first = tuple(text for name, text in children.items() if name != last)
            rows += lines(Brackets("[", first, "]"), 8, "layers = ")
            rows += [f"        if {flat(children[last])} is not None:"]
            rows += [f"            layers.append({flat(children[last])})"]
            rows += ["        super().__init__(*layers, **kwargs)"]
        else:
            items: tuple[Text, ...] = tuple(self.calls.items(self._root_runs(made), ""))
            if not all(name.isdigit() for name in children):
                names = tuple(made.children)
                mapping = Many("Sequential", names, tuple(Run(made.children[n], 1) for n in names))
                items = (self.calls.mapping(mapping, ""),)
            rows += lines(call("super().__init__", (*items, "**kwargs")), 8)
        return "\n".join(rows)

    def _root_runs(self, made: Class) -> Many:
        """The children of a Sequential, with runs of equal ones as one."""
        found = made.children
        places = range(1 + max(map(int, found))) if all(n.isdigit() for n in found) else ()
        identity = Make("Identity", {})
        return many("Sequential", (), [found.get(str(i), identity) for i in places])

    def _function(self) -> str:
        """For a model that is a single layer."""
        self.names.imports.add("linen")
        name = self.program.name
        text = self.calls.term(self.classes.root, "")
        rows = [f"def {name}() -> linen.Module:", f'    """PyTorch\'s `{name}`."""']
        return "\n".join([*rows, *lines(text, 4, "return ")])


def _type_of(field: Field) -> str:
    """The annotation of a field."""
    if field.is_module:
        return "linen.Module | None" if None in field.values else "linen.Module"
    kinds = sorted({_kind_of(x) for x in field.values})
    if kinds == ["float", "int"]:
        return "float"
    kinds.sort(key=lambda kind: (kind == "None", kind))
    return "Any" if "Any" in kinds else " | ".join(kinds)


def _kind_of(x: Any) -> str:
    if isinstance(x, tuple):
        inside = sorted({_kind_of(y) for y in x})
        return f"tuple[{inside[0]}, ...]" if len(inside) == 1 else "tuple[Any, ...]"
    if x is None or isinstance(x, bool | int | float | str):
        return "None" if x is None else type(x).__name__
    return "Any"


def _initialiser(leaf: Leaf) -> str:
    """New values with the moments of those that the PyTorch module had."""
    mean, std = (float(f"{x:.2g}") for x in (leaf.mean, leaf.std))
    if std == 0:
        mean = float(str(np.float32(leaf.mean)))
        named = {0.0: "init.zeros()", 1.0: "init.ones()"}
        return named.get(mean, f"init.constant({mean!r})")
    if abs(mean) < std / 5:
        return f"init.normal(std={std!r})"
    return f"init.normal({mean!r}, {std!r})"
