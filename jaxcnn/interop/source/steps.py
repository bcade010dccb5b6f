"""Methods as data: their steps, in terms of arguments, children and parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxcnn.interop.program import map_leaves
from jaxcnn.interop.source.modules import Access


@dataclasses.dataclass(frozen=True)
class Local:
    """A value in a method, by its number: first the arguments, then what is computed."""

    number: int


@dataclasses.dataclass(frozen=True)
class Own:
    """A parameter, buffer or module, as it is reached from `self`."""

    access: Access
    buffer: bool = False


@dataclasses.dataclass(frozen=True)
class Constant:
    """A constant array, by its number in `Constants`."""

    number: int


@dataclasses.dataclass(frozen=True)
class SizeOf:
    """`of.shape[axis] * factor // divisor + offset`."""

    of: Local | Own
    axis: int
    factor: int = 1
    divisor: int = 1
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class Hole:
    """A field of the class, in the place of a value.

    Attributes:
      field: Its name.
      form: What is made of it, such as "4 * {}".
    """

    field: str
    form: str = "{}"


@dataclasses.dataclass(frozen=True)
class Step:
    """One statement of a method.

    Attributes:
      outputs: Numbers of the values that it makes.
      target: The function; None calls `module`.
      module: The module that is called, or the argument that is one.
      name: Name of that module inside of the class.
      method: Which of its methods; 0 is `__call__`.
      train: How it is told about training: by "position", by "name", or "" not at all.
      several: Whether it returns a sequence.
      each: The modules are those of a list, one after the other; `args[0]` goes through.
      grows: Modules that are called one after the other on a list, to which each result is added.
      optional: Without the module, the result is the argument.
      residual: A sum that only some of the class's modules have: what the others return.
      guarded: It is a part of such a sum.
    """

    outputs: tuple[int, ...]
    target: str | Callable[..., Any] | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    module: Own | Local | None = None
    name: str | None = None
    method: int = 0
    train: str = ""
    several: bool = False
    each: bool = False
    grows: tuple[Own, ...] = ()
    optional: bool = False
    residual: Local | None = None
    guarded: bool = False


@dataclasses.dataclass(frozen=True)
class Body:
    """A method.

    Attributes:
      inputs: Number of its arguments.
      takes_list: Whether its only argument is a list.
      names: What the arguments are called where that is known; "" elsewhere.
      steps: What it computes.
      output: What it returns.
    """

    inputs: int
    names: tuple[str, ...]
    steps: tuple[Step, ...]
    output: Any
    takes_list: bool = False

    def shape(self) -> Any:
        """What two methods share that differ in numbers alone."""
        steps = tuple(
            (
                s.outputs,
                s.target,
                *(_shape(part) for part in (s.args, dict(s.kwargs))),
                *(s.module, s.method, s.train, s.several, s.each, s.grows),
            )
            for s in self.steps
        )
        return self.inputs, self.takes_list, steps, _shape(self.output)

    def numbers(self) -> list[Any]:
        """The numbers, in order."""
        found: list[Any] = []
        self.with_numbers(lambda x: found.append(x) or x)
        return found

    def with_numbers(self, function: Callable[[Any], Any]) -> Body:
        """The method with `function(x)` in place of each number x, in order."""
        one = lambda x: function(x) if is_number(x) else x
        steps = tuple(
            dataclasses.replace(
                s, args=map_leaves(one, s.args), kwargs=map_leaves(one, dict(s.kwargs))
            )
            for s in self.steps
        )
        return dataclasses.replace(self, steps=steps, output=map_leaves(one, self.output))

    def without(self, name: str) -> Body | None:
        """The method without the call of a module; None if more than its result would be lost."""
        place = self.place(name)
        if place is None:
            return None
        step = self.steps[place]
        if len(step.outputs) != 1 or len(step.args) != 1 or step.kwargs or step.each:
            return None
        if not isinstance(step.args[0], Local):
            return None
        return self._without_step(place, step.args[0].number)

    def without_sum(self, term: int) -> tuple[Body, int] | None:
        """The method without the only sum that it has, and its place: a term is the result."""
        sums = [i for i, step in enumerate(self.steps) if step.target == "operator.add"]
        if len(sums) != 1:
            return None
        args = self.steps[sums[0]].args
        if not all(isinstance(x, Local) for x in args):
            return None
        return self._without_step(sums[0], args[term].number), sums[0]

    def _without_step(self, place: int, kept: int) -> Body:
        """The method without a step, with another value in the place of its result."""
        gone = self.steps[place].outputs[0]
        number = lambda n: kept if n == gone else n - (n > gone)
        steps = [renumbered(s, number) for i, s in enumerate(self.steps) if i != place]
        return dataclasses.replace(self, steps=tuple(steps), output=map_locals(number, self.output))

    def place(self, name: str) -> int | None:
        """Which step calls a module, if just one does."""
        places = [i for i, step in enumerate(self.steps) if step.name == name]
        return places[0] if len(places) == 1 else None


def is_number(x: Any) -> bool:
    """Whether a value may become a field."""
    return (isinstance(x, int | float) and not isinstance(x, bool)) or isinstance(x, Constant)


def locals_in(tree: Any) -> list[int]:
    """Numbers of the Locals in a step's arguments, in order."""
    found: list[int] = []
    map_locals(lambda n: found.append(n) or n, tree)
    return found


def map_locals(function: Callable[[int], int], tree: Any) -> Any:
    """`tree` with other numbers of its Locals."""

    def one(x: Any) -> Any:
        if isinstance(x, Local):
            return Local(function(x.number))
        if isinstance(x, SizeOf) and isinstance(x.of, Local):
            return dataclasses.replace(x, of=Local(function(x.of.number)))
        return x

    return map_leaves(one, tree)


def step_locals(step: Step) -> list[int]:
    """Numbers of the values that a step takes, in order."""
    own = [step.module.number] if isinstance(step.module, Local) else []
    return own + locals_in((step.args, dict(step.kwargs)))


def renumbered(step: Step, number: Callable[[int], int]) -> Step:
    """The step with other numbers of its values."""
    module = step.module
    return dataclasses.replace(
        step,
        outputs=tuple(map(number, step.outputs)),
        args=map_locals(number, step.args),
        kwargs=map_locals(number, dict(step.kwargs)),
        module=Local(number(module.number)) if isinstance(module, Local) else module,
        residual=None if step.residual is None else Local(number(step.residual.number)),
    )


def _shape(tree: Any) -> Any:
    """`tree` as something that can be compared, without its numbers."""
    if isinstance(tree, tuple | list):
        return type(tree).__name__, tuple(map(_shape, tree))
    if isinstance(tree, dict):
        return "dict", tuple((key, _shape(x)) for key, x in tree.items())
    if isinstance(tree, slice):
        return "slice", tuple(map(_shape, (tree.start, tree.stop, tree.step)))
    return "number" if is_number(tree) else tree
