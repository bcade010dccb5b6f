"""Which modules share one class."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from jaxcnn.interop.source.bodies import Bodies
from jaxcnn.interop.source.modules import Modules
from jaxcnn.interop.source.steps import Body


@dataclasses.dataclass(eq=False)
class Group:
    """Modules that are written as one class.

    Attributes:
      torch_name: Their class in PyTorch.
      members: Their names.
      methods: What they compute; none where they are not called, or Sequentials.
      children: Names of the children that one of them has, in order.
      optional: Those that not all have.
      residual: The members whose sum is there, if not all have it.
      is_sequential: Whether the class is a Sequential.
    """

    torch_name: str
    members: list[str]
    methods: list[Body]
    children: list[str]
    optional: set[str] = dataclasses.field(default_factory=set)
    residual: set[str] = dataclasses.field(default_factory=set)
    is_sequential: bool = False


def groups(modules: Modules, bodies: Bodies) -> list[Group]:
    """The classes of the file, with the modules of each."""
    of_classes: dict[Any, Group] = {}
    of_sequentials: dict[Any, Group] = {}
    counts = collections.Counter(
        modules.class_name(name) for name, kind in modules.kinds.items() if kind == "sequential"
    )
    for name, kind in modules.kinds.items():
        torch_name = modules.class_name(name)
        children = [_inside(name, child) for child in modules.children(name)]
        if kind == "class":
            methods = bodies.methods.get(name, [])
            shapes = tuple(body.shape() for body in methods)
            states = tuple(modules.homes.get(name, ()))
            lists = tuple(modules.kinds[child] for child in modules.children(name))
            key = (torch_name, shapes, states, tuple(children), lists, name == "")
            group = of_classes.setdefault(key, Group(torch_name, [], methods, children))
            group.members.append(name)
        elif kind == "sequential" and (name == "" or _is_class(modules, name, counts)):
            key = (torch_name, tuple(children), name == "")
            group = of_sequentials.setdefault(
                key, Group(torch_name, [], [], children, is_sequential=True)
            )
            group.members.append(name)
    return [*_merged(of_classes.values()), *_merged_sequentials(of_sequentials.values())]


def _is_class(modules: Modules, name: str, counts: collections.Counter[str]) -> bool:
    torch_name = modules.class_name(name)
    numbered = all(child.rpartition(".")[2].isdigit() for child in modules.children(name))
    several = torch_name != "Sequential" and counts[torch_name] > 1
    return several and numbered and bool(modules.calls[name])


def _inside(module: str, name: str) -> str:
    return name.removeprefix(f"{module}.") if module else name


def _merged(found: Iterable[Group]) -> list[Group]:
    """Groups that differ in optional children, or a sum, alone become one."""
    size = lambda group: sum(len(body.steps) for body in group.methods)
    kept: list[Group] = []
    for group in sorted(found, key=lambda group: (-len(group.children), -size(group))):
        for larger in kept:
            missing = _missing(larger, group)
            if missing is not None:
                larger.members += group.members
                larger.optional |= missing
                break
        else:
            kept.append(group)
    kept = [dataclasses.replace(group, methods=_with_optional(group)) for group in kept]
    joined: list[Group] = []
    for group in sorted(kept, key=lambda group: -size(group)):
        if not any(_join_without_sum(larger, group) for larger in joined):
            joined.append(group)
    return joined


def _join_without_sum(larger: Group, group: Group) -> bool:
    """Adds a group to one that does the same and then adds something to it.

    What is only done to the term before it is added, such as dropout, may be missing too.
    """
    alike = larger.torch_name == group.torch_name and not larger.residual
    alike = alike and "" not in (*larger.members, *group.members)
    more = [child for child in larger.children if child not in group.children]
    alike = alike and [c for c in larger.children if c not in more] == group.children
    if not alike or len(more) > 1 or not len(larger.methods) == len(group.methods) == 1:
        return False
    body = larger.methods[0]
    for term in (0, 1):
        found = body.without_sum(term)
        if found is None:
            continue
        smaller, place = found
        kept, steps = body.steps[place].args[term], list(body.steps)
        if more:
            before = smaller.place(more[0])
            without = smaller.without(more[0])
            if (
                before is None
                or without is None
                or before != place - 1
                or body.steps[before].outputs[0] != kept.number
            ):
                continue
            smaller, kept = without, body.steps[before].args[0]
            steps[before] = dataclasses.replace(steps[before], guarded=True)
        if smaller.shape() != group.methods[0].shape():
            continue
        steps[place] = dataclasses.replace(steps[place], residual=kept)
        larger.methods = [dataclasses.replace(body, steps=tuple(steps))]
        larger.residual = set(larger.members)
        larger.members += group.members
        larger.optional |= group.optional
        return True
    return False


def _missing(larger: Group, smaller: Group) -> set[str] | None:
    """The children that `smaller` lacks, if that is all the difference."""
    if larger.torch_name != smaller.torch_name or "" in (*larger.members, *smaller.members):
        return None
    missing = [child for child in larger.children if child not in smaller.children]
    if not missing or len(larger.methods) != 1 or len(smaller.methods) != 1:
        return None
    if [child for child in larger.children if child not in missing] != smaller.children:
        return None
    body: Body | None = larger.methods[0]
    for child in missing:
        body = None if body is None else body.without(child)
    same = body is not None and body.shape() == smaller.methods[0].shape()
    return set(missing) if same else None


def _with_optional(group: Group) -> list[Body]:
    return [
        dataclasses.replace(
            body,
            steps=tuple(
                dataclasses.replace(s, optional=s.name in group.optional) for s in body.steps
            ),
        )
        for body in group.methods
    ]


def _merged_sequentials(found: Iterable[Group]) -> list[Group]:
    """Sequentials of one class that differ in their last module become one."""
    kept: list[Group] = []
    for group in sorted(found, key=lambda group: -len(group.children)):
        for larger in kept:
            same = larger.torch_name == group.torch_name and "" not in larger.members
            if same and larger.children[:-1] == group.children and "" not in group.members:
                larger.members += group.members
                larger.optional = {larger.children[-1]}
                break
        else:
            kept.append(group)
    return kept
