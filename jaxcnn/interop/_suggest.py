"""What would make a state_dict fit: the likely renames, and the layers to leave out."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

_MOST_RULES = 12
_SAMPLE = 64
_CANDIDATES = 16


def likely_renames(given: Shapes, wanted: Shapes) -> tuple[dict[str, str], Shapes]:
    r"""Regular expressions and replacements that give most names of `given` one of `wanted`.

    Rules come from pairs of names with equal shapes, as what differs between their components. The
    rule that fits most names goes first, then the shortest, then the one with the most similar
    words.

    Args:
      given: Shapes by name, of the state_dict.
      wanted: The same of the model.

    Returns:
      Rules in the order of their application, and `given` under its new names; no rules if they
      do not reach three quarters of the names.

    Example:
      >>> given = {"module.conv.weight": (4, 3, 1, 1), "module.norm.weight": (4,)}
      >>> likely_renames(given, {"conv.weight": (4, 3, 1, 1), "bn.weight": (4,)})[0]
      {'^module\\.': '', '^norm\\.': 'bn.'}
    """
    rules: dict[str, str] = {}
    names = given
    while len(rules) < _MOST_RULES:
        rule = _best_rule(names, wanted)
        if rule is None or rule[0] in rules:
            break
        rules |= [rule]
        names = _applied(rule, names) or names
    enough = fitting(names, wanted) >= 0.75 * min(len(given), len(wanted))
    return (rules, names) if enough else ({}, given)


def likely_skip(given: Shapes, wanted: Shapes) -> str | None:
    r"""A regular expression of the layers that differ in their number of outputs, if only such do.

    Example:
      >>> likely_skip({"fc.weight": (1000, 8), "fc.bias": (1000,)},
      ...             {"fc.weight": (10, 8), "fc.bias": (10,)})
      '^fc\\.'
    """
    wrong = {k: (given[k], v) for k, v in wanted.items() if k in given and given[k] != v}
    outputs_only = all(have[1:] == want[1:] for have, want in wrong.values())
    layers, heads = (
        sorted({name.rpartition(".")[0] for name in wrong if len(wanted[name]) >= axes})
        for axes in (1, 2)
    )
    if not outputs_only or layers != heads or not 1 <= len(layers) <= 3 or "" in layers:
        return None
    names = "|".join(map(re.escape, layers))
    return rf"^{names}\." if len(layers) == 1 else rf"^({names})\."


def fitting(given: Shapes, wanted: Shapes) -> int:
    """How many names have the same shape in both."""
    return sum(wanted.get(name) == shape for name, shape in given.items())


def as_code(rules: Mapping[str, str]) -> str:
    r"""How a program spells `rename`.

    Example:
      >>> print(as_code({r"^module\.": ""}))
      {r"^module\.": r""}
    """
    return "{" + ", ".join(f'r"{old}": r"{new}"' for old, new in rules.items()) + "}"


def _best_rule(given: Shapes, wanted: Shapes) -> tuple[str, str] | None:
    lost = [name for name, shape in given.items() if wanted.get(name) != shape]
    free: dict[tuple[int, ...], list[str]] = {}
    for name, shape in wanted.items():
        if given.get(name) != shape:
            free.setdefault(shape, []).append(name)
    counts = Counter(
        _rule(have.split("."), want.split("."))
        for have in lost[:: len(lost) // _SAMPLE + 1]
        for want in free.get(given[have], ())
        if have != want
    )
    best, most = None, (fitting(given, wanted), 0, 1.0)
    for rule, _ in counts.most_common(_CANDIDATES):
        renamed = _applied(rule, given)
        if renamed is None:
            continue
        likeness = difflib.SequenceMatcher(None, *rule).ratio()
        score = (fitting(renamed, wanted), -rule[0].count("."), likeness)
        if score > most:
            best, most = rule, score
    return best


def _rule(have: list[str], want: list[str]) -> tuple[str, str]:
    """The pattern and replacement of the components between what the names share."""
    shared = [a == b for a, b in zip(have, want, strict=False)]
    start = shared.index(False) if False in shared else len(shared)
    shared = [a == b for a, b in zip(have[start:][::-1], want[start:][::-1], strict=False)]
    end = shared.index(False) if False in shared else len(shared)
    if start and start + end == len(have):
        start -= 1  # something is put in: the component before it tells where
    old, new = have[start : len(have) - end], want[start : len(want) - end]
    before, after = "" if start == 0 else ".", "" if end == 0 else "."
    if not old:
        return "^", ".".join(new) + after
    pattern = re.escape(f"{before}{'.'.join(old)}{after}")
    replacement = f"{before}{'.'.join(new)}{after}" if new else before and after
    return f"{'' if before else '^'}{pattern}{'' if after else '$'}", replacement


def _applied(rule: tuple[str, str], given: Shapes) -> dict[str, tuple[int, ...]] | None:
    """The renamed ones, or None if two names became one."""
    pattern, replacement = rule[0], rule[1].replace("\\", r"\\")
    renamed = {re.sub(pattern, replacement, name): shape for name, shape in given.items()}
    return renamed if len(renamed) == len(given) else None
