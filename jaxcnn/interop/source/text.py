"""Python text, broken into lines as ruff breaks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

WIDTH = 100


@dataclasses.dataclass(frozen=True)
class Brackets:
    """Items in brackets, such as a call.

    Attributes:
      start: What comes before them, "nn.Linear(".
      items: The items.
      end: What comes after them.
    """

    start: str
    items: tuple[Text, ...]
    end: str = ")"


@dataclasses.dataclass(frozen=True)
class Loop:
    """Several equal items, `*(item for _ in range(3))`."""

    item: Text
    over: str


Text = str | Brackets | Loop


def call(function: str, items: Sequence[Text]) -> Brackets:
    """A call.

    Example:
      >>> flat(call("nn.Linear", ["64", "bias=False"]))
      'nn.Linear(64, bias=False)'
    """
    return Brackets(f"{function}(", tuple(items))


def prefixed(prefix: str, text: Text) -> Text:
    """`text` after something, such as "bias="."""
    if isinstance(text, Brackets):
        return dataclasses.replace(text, start=prefix + text.start)
    return prefix + flat(text)


def flat(text: Text) -> str:
    """The text in one line."""
    if isinstance(text, str):
        return text
    if isinstance(text, Loop):
        return f"*({flat(text.item)} {text.over})"
    comma = "," if text.start.endswith("(") and _is_single_tuple(text) else ""
    return f"{text.start}{', '.join(map(flat, text.items))}{comma}{text.end}"


def lines(text: Text, indent: int, before: str = "", after: str = "") -> list[str]:
    """The text in lines of at most 100 characters.

    Example:
      >>> lines(call("f", ["a", "b"]), 4, "x = ")
      ['    x = f(a, b)']
    """
    space = " " * indent
    line = f"{space}{before}{flat(text)}{after}"
    if len(line) <= WIDTH or isinstance(text, str):
        return [line]
    if isinstance(text, Loop):
        inside = [*lines(text.item, indent + 4), f"{space}    {text.over}"]
        return [f"{space}{before}*(", *inside, f"{space}){after}"]
    one = f"{space}    {', '.join(map(flat, text.items))}"
    inside = [one]
    if len(one) > WIDTH or _is_single_tuple(text) or text.start.endswith("{"):
        inside = [line for item in text.items for line in lines(item, indent + 4, "", ",")]
    return [f"{space}{before}{text.start}", *inside, f"{space}{text.end}{after}"]


def value(x: Any) -> Text:
    """A plain value.

    Example:
      >>> flat(value((1, 2.5, ("a", None)))), flat(value(float("inf"))), flat(value(int))
      ('(1, 2.5, ("a", None))', 'float("inf")', 'int')
    """
    if isinstance(x, tuple):
        return Brackets("(", tuple(map(value, x)))
    if isinstance(x, list):
        return Brackets("[", tuple(map(value, x)), "]")
    if isinstance(x, dict):
        items = tuple(prefixed(f"{flat(value(key))}: ", value(y)) for key, y in x.items())
        return Brackets("{", items, "}")
    if isinstance(x, str):
        return string(x)
    if isinstance(x, float) and (x != x or x in (float("inf"), -float("inf"))):
        return f'float("{x}")'
    if x is Ellipsis:
        return "..."
    return x.__name__ if isinstance(x, type) else repr(x)


def string(x: str) -> str:
    """A string in double quotes.

    Example:
      >>> string("a")
      '"a"'
    """
    text = repr(x)
    return text if '"' in x else f'"{text[1:-1]}"'.replace("\\'", "'")


def _is_single_tuple(text: Brackets) -> bool:
    return text.start.rpartition("=")[2] in ("(", " (") and len(text.items) == 1
