"""A method of a class as lines of Python: what is named, and what stands inside of a line."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from jaxcnn.interop.program import map_leaves
from jaxcnn.interop.source.expressions import (
    ATOM,
    CONDITION,
    Expression,
    Expressions,
    Names,
    access,
)
from jaxcnn.interop.source.steps import Body, Local, Own, SizeOf, Step, locals_in, step_locals
from jaxcnn.interop.source.text import WIDTH, Brackets, flat, lines

_INDENT = 8
# Calls inside of each other.
_DEEPEST = 4
# Names that say what a value is.
_SPECIAL = {"q", "k", "v", "identity", "shortcut", "skip", "features"}
_CALLED = {"downsample": "identity", "shortcut": "shortcut", "skip": "skip"}


class Method:
    """Writes one method.

    Args:
      body: What it computes.
      names: What the file imports.
      numbered: Whether values that live side by side are x1, x2, ...
      weighs: Whether the child of a name is a convolution or a linear layer; None if it is no
        single layer.
    """

    def __init__(
        self,
        body: Body,
        names: Names,
        weighs: Callable[[str], bool | None],
        taken: Iterable[str],
        numbered: bool = False,
    ) -> None:
        self.body, self.weighs, self.numbered = body, weighs, numbered
        self.taken = {"train", "self", *taken}
        self.lines: list[str] = []
        self.needs_numbers = False
        self.guarded: set[int] = set()
        self.pending: dict[int, Expression] = {}
        self.named: dict[int, str] = {}
        self.expressions = Expressions(names, self._local)
        self.left = collections.Counter(n for step in body.steps for n in step_locals(step))
        self.left.update(locals_in(body.output))
        self.uses = collections.Counter(self.left)
        self.in_sizes = _in_sizes(body)
        self.wishes = _wishes(body)
        for number in range(body.inputs):
            self.named[number] = self._free(self._input_names(number))
        self.arguments = [self.named[number] for number in range(body.inputs)]

    def write(self) -> list[str]:
        """The lines, without the one that starts the method."""
        for step in self.body.steps:
            self._step(step)
        result = self._fitting(None)
        text = result.text
        if isinstance(self.body.output, tuple) and isinstance(text, Brackets):
            text = ", ".join(map(flat, text.items))
        self.lines += lines(text, _INDENT, "return ")
        return self.lines

    def _step(self, step: Step) -> None:
        if step.each:
            self._loop(step)
        elif step.optional:
            self._optional(step)
        elif step.residual is not None:
            self._residual(step, step.residual.number)
        elif step.grows:
            self._grow(step)
        else:
            self._plain(step)

    def _plain(self, step: Step) -> None:
        if step.guarded:
            self._name_of(step_locals(step)[0])
        found = self._fitting(step)
        for number in step_locals(step):
            self.pending.pop(number, None)
        if len(step.outputs) == 1 and not step.several:
            (number,) = step.outputs
            once = self.uses[number] == 1 and number not in self.in_sizes
            if step.guarded:
                self.guarded.add(number)
            if once and not self._named_by_wish(number):
                self.pending[number] = found
                return
            if self.uses[number]:
                self._assign(number, found)
                return
        self._spend(found)
        if not any(self.uses[number] for number in step.outputs):
            self.lines += lines(found.text, _INDENT)
            return
        names = []
        for number in step.outputs:
            if self.uses[number]:
                self.named[number] = self._free(self.wishes.get(number, ()))
            names.append(self.named.get(number, "_"))
        self.lines += lines(found.text, _INDENT, f"{', '.join(names)} = ")

    def _named_by_wish(self, number: int) -> bool:
        return any(len(name) == 1 for name in self.wishes.get(number, ()))

    def _built(self, step: Step | None) -> Expression:
        if step is None:
            return self.expressions.argument(self.body.output)
        found = self.expressions.step(step)
        if step.module is None:
            return found
        weighs = self.weighs(step.name or "")
        return dataclasses.replace(
            found,
            weights=found.weights or bool(weighs),
            calls_module=found.calls_module or weighs is None,
        )

    def _fitting(self, step: Step | None) -> Expression:
        """A step, or what is returned, that can be read: operands get names until it can."""
        operands = locals_in(self.body.output) if step is None else step_locals(step)
        while True:
            found = self._built(step)
            waiting = [n for n in dict.fromkeys(operands) if n in self.pending]
            parts = [self.pending[n] for n in waiting]
            if not parts or self._is_readable(found, parts, step):
                return found
            hardest = max(waiting, key=lambda n: (_cost(self.pending[n]), -n))
            self._assign(hardest, self.pending.pop(hardest))

    def _is_readable(self, found: Expression, parts: list[Expression], step: Step | None) -> bool:
        if _INDENT + len(f"return {flat(found.text)}") > WIDTH or found.depth > _DEEPEST:
            return False
        if step is None:
            return True
        if found.strength < ATOM:  # an operator
            deep = [part for part in parts if part.depth > 1]
            of_module = len(deep) == 1 and deep[0].calls_module and deep[0].depth == 2
            return not deep or of_module or (len(found.reads) == 1 and found.depth <= 2)
        if any(part.calls_module for part in parts):
            return False
        if len(parts) > 1 and any(part.depth > 1 for part in parts):
            return False
        weighs = False if step.module is None else self.weighs(step.name or "")
        if weighs is None:
            return all(part.depth <= 1 for part in parts)
        return not (weighs and any(part.weights for part in parts))

    def _assign(self, number: int, found: Expression) -> None:
        self._spend(found)
        wishes = self.wishes.get(number, ())
        dying = [self.named[n] for n in found.reads if not self.left[n] and n in self.named]
        first = [name for name in ("x", *dying) if name in dying and name not in _SPECIAL]
        strong = [name for name in wishes if len(name) == 1]
        name = self._free([*strong, *first, *wishes])
        self.named[number] = name
        self.lines += lines(found.text, _INDENT, f"{name} = ")

    def _spend(self, found: Expression) -> None:
        for number in found.reads:
            self.left[number] -= 1

    def _name_of(self, number: int) -> str:
        """The name of a value, which gets one if it has none."""
        if number in self.pending:
            self._assign(number, self.pending.pop(number))
        return self.named[number]

    def _loop(self, step: Step) -> None:
        assert isinstance(step.module, Own)
        (number,), (first, *others) = step.outputs, step.args
        for other in locals_in(tuple(others)):
            self._name_of(other)
        name = self._name_of(first.number)
        self.left[first.number] -= 1
        if self.left[first.number]:
            new = self._free(self.wishes.get(number, ()))
            self.lines.append(f"{' ' * _INDENT}{new} = {name}")
            name = new
        loop = self._free([_one_of(str(step.module.access[-1]))])
        self.named[number] = name
        inside = dataclasses.replace(step, args=(Local(number), *others))
        found = self.expressions.module_call(loop, inside)
        self.left[number] += 1
        self._spend(found)
        self.lines.append(f"{' ' * _INDENT}for {loop} in self{access(step.module.access)}:")
        self.lines += lines(found.text, _INDENT + 4, f"{name} = ")

    def _optional(self, step: Step) -> None:
        assert isinstance(step.module, Own)
        (number,), (x,) = step.outputs, step.args
        old = self._name_of(x.number)
        found = self.expressions.step(step)
        self._spend(found)
        module = f"self{access(step.module.access)}"
        space = " " * _INDENT
        wishes = self.wishes.get(number, ())
        if not self.left[x.number] and not wishes:
            self.named[number] = old
            self.lines.append(f"{space}if {module} is not None:")
            self.lines.append(f"{space}    {old} = {flat(found.text)}")
            return
        new = self._free(wishes)
        self.named[number] = new
        self.lines.append(f"{space}{new} = {old} if {module} is None else {flat(found.text)}")

    def _residual(self, step: Step, kept: int) -> None:
        """A sum that not all modules of the class have."""
        (number,) = step.outputs
        waiting = [n for n in step_locals(step) if n in self.pending and n not in self.guarded]
        for other in waiting:
            self._name_of(other)
        inside = [n for n in step_locals(step) if n in self.guarded]
        found = self.expressions.step(step)
        for n in step_locals(step):
            self.pending.pop(n, None)
        name = self.named[kept]
        self._spend(found)
        returned = self.uses[number] == 1 and number in locals_in(self.body.output)
        if inside and not self.left[kept]:
            space = " " * _INDENT
            self.lines.append(f"{space}if self.residual:")
            self.lines += lines(found.text, _INDENT + 4, f"{name} = ")
            self.named[number] = name
            return
        text = f"{flat(found.text)} if self.residual else {name}"
        found = dataclasses.replace(found, text=text, strength=CONDITION)
        for n in found.reads:
            self.left[n] += 1
        if returned:
            self.pending[number] = found
        else:
            self._assign(number, found)

    def _grow(self, step: Step) -> None:
        """Calls on a list to which each result is added."""
        first = self.expressions.argument(step.args[0])
        for n in locals_in(step.args[0]):
            self.pending.pop(n, None)
        self._spend(first)
        name = self._free(["features"])
        self.named[step.outputs[0]] = name
        space = " " * _INDENT
        self.lines += lines(first.text, _INDENT, f"{name} = ")
        called = [str(module.access[-1]) for module in step.grows]
        after = ", train))" if step.train else "))"
        numbered = numbered_names(called)
        if numbered is not None:
            head, start = numbered
            place = f"{{i + {start}}}" if start else "{i}"
            self.lines.append(f"{space}for i in range({len(called)}):")
            layer = f'getattr(self, f"{head}{place}")'
        else:
            items = tuple(f"self{access(module.access)}" for module in step.grows)
            self.lines += lines(Brackets("(", items), _INDENT, "for layer in ", ":")
            layer = "layer"
        self.lines.append(f"{space}    {name}.append({layer}({name}{after}")

    def _local(self, number: int) -> Expression:
        if number in self.pending:
            return self.pending[number]
        return Expression(self.named[number], reads=(number,))

    def _input_names(self, number: int) -> list[str]:
        known = self.body.names[number]
        if known.isidentifier():
            return [known, f"{known}_"]
        if number == 0:
            return ["x"]
        joined = any(
            step.target == "jnp.concatenate" and number in step_locals(step)
            for step in self.body.steps
        )
        return ["skip"] if joined else []

    def _free(self, wishes: Iterable[str]) -> str:
        """A name that no value has that is needed later."""
        live = {name for n, name in self.named.items() if self.left[n]}
        live |= {self.named[n] for found in self.pending.values() for n in found.reads}
        live |= self.taken
        for name in (*wishes, "x", *(() if self.numbered else ("y", "z"))):
            if name.isidentifier() and name not in live:
                return name
        number = 1
        while f"x{number}" in live:
            number += 1
        self.needs_numbers = True
        return f"x{number}"


def _cost(found: Expression) -> int:
    """How hard an expression is to read inside of another one."""
    return 4 * found.depth + 16 * found.calls_module + len(flat(found.text)) // 10


def _in_sizes(body: Body) -> set[int]:
    """Values whose shape is asked for: they have names."""
    found: set[int] = set()

    def note(x: Any) -> None:
        if isinstance(x, SizeOf) and isinstance(x.of, Local):
            found.add(x.of.number)

    for step in body.steps:
        map_leaves(note, (step.args, dict(step.kwargs)))
    map_leaves(note, body.output)
    return found


def _wishes(body: Body) -> dict[int, tuple[str, ...]]:
    """Names that values rather have."""
    wishes: dict[int, tuple[str, ...]] = {}
    attends = any(
        step.target in ("operator.matmul", "F.scaled_dot_product_attention") for step in body.steps
    )
    added = {n for step in body.steps if step.target == "operator.add" for n in step_locals(step)}
    parts: dict[int, list[int]] = collections.defaultdict(list)
    for step in body.steps:
        if step.target == "operator.getitem" and isinstance(step.args[0], Local):
            parts[step.args[0].number].append(step.outputs[0])
        if step.several and len(step.outputs) == 3 and attends and step.target == "jnp.split":
            wishes |= {n: (name,) for n, name in zip(step.outputs, "qkv", strict=True)}
        if step.name is not None and len(step.outputs) == 1 and step.outputs[0] in added:
            name = step.name.rpartition(".")[2]
            wishes[step.outputs[0]] = (_CALLED[name],) if name in _CALLED else ()
    for numbers in parts.values():
        if len(numbers) == 3 and attends:
            wishes |= {n: (name,) for n, name in zip(numbers, "qkv", strict=True)}
    return wishes


def _one_of(name: str) -> str:
    """The name of one member of a list.

    Example:
      >>> _one_of("blocks"), _one_of("features")
      ('block', 'feature')
    """
    return name[:-1] if name.endswith("s") and len(name) > 3 else "layer"


def numbered_names(names: Sequence[str]) -> tuple[str, int] | None:
    """What names have in common that are numbered, and the first number.

    Example:
      >>> numbered_names(["layer1", "layer2", "layer3"])
      ('layer', 1)
    """
    found = [re.fullmatch(r"(.*?)(0|[1-9]\d*)", name) for name in names]
    if not found or found[0] is None:
        return None
    head, start = found[0][1], int(found[0][2])
    return (
        (head, start) if list(names) == [f"{head}{start + i}" for i in range(len(names))] else None
    )
