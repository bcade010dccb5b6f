"""Constructor calls as text."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from jaxcnn import nn
from jaxcnn.interop.source.classes import Classes
from jaxcnn.interop.source.expressions import Names
from jaxcnn.interop.source.methods import numbered_names
from jaxcnn.interop.source.steps import Constant, Hole
from jaxcnn.interop.source.terms import Make, Many
from jaxcnn.interop.source.text import Brackets, Loop, Text, call, flat, prefixed, string, value


class Calls:
    """Writes the calls that make modules.

    Args:
      names: What the file imports.
      classes: The classes of the file.
    """

    def __init__(self, names: Names, classes: Classes) -> None:
        self.names, self.classes = names, classes

    def term(self, term: Any, field: str) -> Text:
        """The text of a constructor call."""
        term = self.classes.resolved(term)
        if isinstance(term, Hole):
            return term.form.format(f"{field}{term.field}")
        if isinstance(term, Many):
            return self._container(term, field)
        assert isinstance(term, Make)
        settings = {name: self.value(x, field) for name, x in term.settings.items()}
        if isinstance(term.kind, str):
            self.names.imports.add("nn")
            required = _required(term.kind)
            return call(f"nn.{term.kind}", _arguments(settings, required))
        required = [f.name for f in term.kind.fields if not f.has_default]
        return call(term.kind.name, _arguments(settings, required if len(required) < 5 else []))

    def value(self, x: Any, field: str) -> Text:
        """The text of a setting."""
        x = self.classes.resolved(x)
        if isinstance(x, Make | Many | Hole):
            return self.term(x, field)
        if isinstance(x, Constant):
            text = self.names.constants.text(x)
            if text.startswith("np."):
                self.names.imports.add("np")
            return text
        if isinstance(x, tuple):
            return Brackets("(", tuple(self.value(y, field) for y in x))
        return value(x)

    def _container(self, term: Many, field: str) -> Text:
        self.names.imports.add("nn")
        if term.names:
            return call(f"nn.{term.kind}", [self.mapping(term, field)])
        items = self.items(term, field)
        if term.kind != "ModuleList":
            return call(f"nn.{term.kind}", items)
        if len(items) == 1 and isinstance(items[0], Loop):
            return call("nn.ModuleList", [f"{flat(items[0].item)} {items[0].over}"])
        return call("nn.ModuleList", [Brackets("[", tuple(items), "]")])

    def mapping(self, term: Many, field: str) -> Text:
        """The modules of a container by name; equal ones with numbered names in a loop."""
        items: list[Text] = []
        left = [(name, run.module) for name, run in zip(term.names, term.runs, strict=True)]
        while left:
            (name, module), text = left[0], self.term(left[0][1], field)
            same = lambda pair, module=module: pair[1] == module
            equal = [n for n, _ in itertools.takewhile(same, left)]
            numbered = numbered_names(equal)
            if numbered is None or len(equal) < 3:
                items.append(prefixed(f"{string(name)}: ", text))
                left.pop(0)
                continue
            head, start = numbered
            over = f"{start}, {start + len(equal)}" if start else str(len(equal))
            text = f'f"{head}{{i}}": {flat(text)} for i in range({over})'
            del left[: len(equal)]
            if not items and not left:
                return f"{{{text}}}"
            items.append(f"**{{{text}}}")
        return Brackets("{", tuple(items), "}")

    def items(self, term: Many, field: str) -> list[Text]:
        """The modules of a container that has no names."""
        items: list[Text] = []
        for run in term.runs:
            text = self.term(run.module, field)
            count = run.count
            if isinstance(count, int) and (count == 1 or (count == 2 and len(flat(text)) < 30)):
                items += [text] * count
            else:
                times = flat(self.value(count, field))
                items.append(Loop(text, f"for _ in range({times})"))
        return items


def _arguments(settings: dict[str, Text], required: list[str]) -> list[Text]:
    """Required arguments by position, the others by name."""
    first = [name for name in required if name in settings]
    rest = [name for name in settings if name not in first]
    return [*(settings[n] for n in first), *(prefixed(f"{n}=", settings[n]) for n in rest)]


def _required(kind: str) -> list[str]:
    fields = dataclasses.fields(getattr(nn, kind))
    missing = dataclasses.MISSING
    return [
        f.name for f in fields if f.init and f.default is missing and f.default_factory is missing
    ]


def progression(children: dict[str, Any]) -> tuple[int, str, int, dict[str, int]] | None:
    """The children at the start that one loop makes.

    Returns:
      How many, what their names have in common, the first number, and by how much settings grow.
    """
    names = list(children)
    for count in range(len(names), 3, -1):
        numbered = numbered_names(names[:count])
        terms = [children[name] for name in names[:count]]
        if numbered is None or not all(isinstance(term, Make) for term in terms):
            continue
        change = _growth(terms)
        if change is not None:
            return count, *numbered, change
    return None


def _growth(terms: list[Make]) -> dict[str, int] | None:
    """By how much each setting grows from one call to the next; None if other things change."""
    first = terms[0]
    if any((t.kind, list(t.settings)) != (first.kind, list(first.settings)) for t in terms):
        return None
    change: dict[str, int] = {}
    for name in first.settings:
        values = [term.settings[name] for term in terms]
        if all(value == values[0] for value in values):
            continue
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return None
        steps = {b - a for a, b in itertools.pairwise(values)}
        if len(steps) > 1 or min(steps) < 1:
            return None
        change[name] = steps.pop()
    return change
