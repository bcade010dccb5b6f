"""Constructor calls as data, and what several of them have in common."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxcnn import nn
from jaxcnn.interop.program import Layer
from jaxcnn.interop.source.steps import Hole


@dataclasses.dataclass(frozen=True)
class Make:
    """A call of a class: a layer of `jaxcnn.nn`, or one that the file defines.

    Attributes:
      kind: The class; for one of the file its ClassKey.
      settings: The arguments by name, without those at their defaults.
    """

    kind: Any
    settings: Mapping[str, Any]

    def __hash__(self) -> int:
        return hash((self.kind, tuple(self.settings.items())))


@dataclasses.dataclass(frozen=True)
class Run:
    """Equal modules, one after the other.

    Attributes:
      module: The first of them.
      count: How many there are.
    """

    module: Any
    count: Any


@dataclasses.dataclass(frozen=True)
class Many:
    """A container.

    Attributes:
      kind: "nn.Sequential", "nn.ModuleList" or "nn.ModuleDict"; for a class of the file that is a
        Sequential, its key.
      names: Names of the modules; empty where they are numbered.
      runs: The modules.
    """

    kind: Any
    names: tuple[str, ...]
    runs: tuple[Run, ...]


@dataclasses.dataclass(frozen=True)
class Instance:
    """A module that is written as a class of the file, by its name in the program."""

    name: str


def many(kind: Any, names: Sequence[str], modules: Sequence[Any]) -> Many:
    """A container, with runs of equal modules as one."""
    if names:
        return Many(kind, tuple(names), tuple(Run(module, 1) for module in modules))
    groups = [list(group) for _, group in itertools.groupby(modules)]
    return Many(kind, (), tuple(Run(group[0], len(group)) for group in groups))


# An int stands for as many equal ones.
_UNIFORM = {
    *("kernel_size", "stride", "padding", "dilation", "output_size", "normalized_shape"),
    *("output_padding", "scale_factor", "upscale_factor"),
}


def layer_term(layer: Layer) -> Make:
    """The call of a layer, as one would write it."""
    order = [f.name for f in dataclasses.fields(getattr(nn, layer.kind))]
    settings: dict[str, Any] = {}
    for name in sorted(layer.settings, key=order.index):
        value = layer.settings[name]
        alike = name in _UNIFORM and isinstance(value, tuple) and len(set(value)) == 1
        if alike and (name != "normalized_shape" or len(value) == 1):
            value = value[0]
        is_kernel = "Pool" in layer.kind and name == "stride"
        usual = value == default(layer.kind, name)
        usual |= is_kernel and value == settings.get("kernel_size")
        usual |= name in ("kdim", "vdim") and value == settings.get("embed_dim")
        if not usual:
            settings[name] = value
    return Make(layer.kind, settings)


def default(kind: str, setting: str) -> Any:
    """The default of a layer's setting; a tuple of equal entries is one of them."""
    field = {f.name: f for f in dataclasses.fields(getattr(nn, kind))}[setting]
    value = field.default
    if setting in _UNIFORM and isinstance(value, tuple) and len(set(value)) == 1:
        return value[0]
    return value


@dataclasses.dataclass
class Difference:
    """A place where the calls differ.

    Attributes:
      hole: What stands there.
      where: Names of the module and of the setting.
      values: What each call has there.
    """

    hole: Hole
    where: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def is_module(self) -> bool:
        """Whether modules stand there."""
        return any(is_module(value) for value in self.values)


def is_module(value: Any) -> bool:
    """Whether a value is a module, and no setting."""
    return isinstance(value, Make | Many | Instance)


class Common:
    """Finds what several calls have in common."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self._names = map("hole{}".format, itertools.count())

    def of(self, values: Sequence[Any], where: tuple[str, ...]) -> Any:
        """The values as one, with a Hole where they differ."""
        found, first = values, values[0]
        if all(type(x) is type(first) and x == first for x in found):
            return first
        if all(isinstance(x, Make) and x.kind == first.kind for x in found):
            return self._calls(found, where)
        if all(isinstance(x, Many) and _same_many(x, first) for x in found):
            return self._containers(found, where)
        if all(isinstance(x, tuple) and len(x) == len(first) for x in found):
            parts = zip(*found, strict=True)
            return tuple(self.of(part, where) for part in parts)
        return self.hole(found, where)

    def hole(self, values: Sequence[Any], where: tuple[str, ...]) -> Hole:
        """A Hole for values that differ."""
        hole = Hole(next(self._names))
        self.differences.append(Difference(hole, where, tuple(values)))
        return hole

    def child(self, values: Sequence[Any], name: str) -> Any:
        """The calls that make a child; one field if other modules than settings differ."""
        before = len(self.differences)
        term = self.of(values, (name,))
        found = self.differences[before:]
        if any(difference.is_module for difference in found):
            del self.differences[before:]
            return self.hole(values, (name,))
        return term

    def _calls(self, calls: Sequence[Make], where: tuple[str, ...]) -> Make:
        names = list(dict.fromkeys(name for call in calls for name in call.settings))
        kind = calls[0].kind
        settings = {}
        for name in names:
            values = [
                call.settings[name] if name in call.settings else self._default(kind, name)
                for call in calls
            ]
            settings[name] = self.of(values, (*where, name))
        if isinstance(kind, str):
            order = [f.name for f in dataclasses.fields(getattr(nn, kind))]
            settings = dict(sorted(settings.items(), key=lambda x: order.index(x[0])))
        return Make(kind, settings)

    def _default(self, kind: Any, name: str) -> Any:
        if isinstance(kind, str):
            return default(kind, name)
        return next(field.default for field in kind.fields if field.name == name)

    def _containers(self, containers: Sequence[Many], where: tuple[str, ...]) -> Many:
        first = containers[0]
        runs = []
        for i in range(len(first.runs)):
            part = [x.runs[i] for x in containers]
            name = first.names[i] if first.names else str(i)
            count = self.of([r.count for r in part], (*where, "depth"))
            runs.append(Run(self.of([r.module for r in part], (*where, name)), count))
        return Many(first.kind, first.names, tuple(runs))


def _same_many(a: Many, b: Any) -> bool:
    if not isinstance(b, Many) or (a.kind, a.names, len(a.runs)) != (b.kind, b.names, len(b.runs)):
        return False
    # Where one has a single module, several are no loop that both could be.
    return all((x.count == 1) == (y.count == 1) for x, y in zip(a.runs, b.runs, strict=True))


def walk(term: Any) -> Iterator[Any]:
    """The term and all that it is made of."""
    yield term
    if isinstance(term, Make):
        for value in term.settings.values():
            yield from walk(value)
    elif isinstance(term, Many):
        for run in term.runs:
            yield from walk(run.module)
            yield run.count
    elif isinstance(term, tuple | list):
        for value in term:
            yield from walk(value)


def replaced(term: Any, fields: Mapping[str, Any]) -> Any:
    """The term with other values in the place of its Holes, by their names."""
    if isinstance(term, Hole):
        return fields.get(term.field, term)
    if isinstance(term, Make):
        return Make(term.kind, {k: replaced(v, fields) for k, v in term.settings.items()})
    if isinstance(term, Many):
        runs = tuple(Run(replaced(r.module, fields), replaced(r.count, fields)) for r in term.runs)
        return Many(term.kind, term.names, runs)
    if isinstance(term, tuple):
        return tuple(replaced(x, fields) for x in term)
    return term
