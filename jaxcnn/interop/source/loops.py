"""Runs of calls of a method that one loop stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jaxcnn.interop.source.modules import Index, Modules
from jaxcnn.interop.source.steps import (
    Body,
    Local,
    Own,
    Step,
    locals_in,
    map_locals,
    renumbered,
    step_locals,
)
from jaxcnn.interop.source.tree import Node


def with_loops(body: Body, modules: Modules, node: Node) -> Body:
    """One step for each run of calls of all modules of a list, each on the last one's result."""
    steps: list[Step] = []
    remaining = list(body.steps)
    uses = [n for step in body.steps for n in step_locals(step)] + locals_in(body.output)
    while remaining:
        run = _run(remaining, uses)
        first = remaining[0]
        if len(run) > 1 and len(run) == _length(modules, node, first.name or ""):
            assert isinstance(first.module, Own)
            whole = Own(first.module.access[:-1])
            name = (first.name or "").rpartition(".")[0]
            first = dataclasses.replace(
                first, outputs=run[-1].outputs, module=whole, name=name, each=True
            )
            remaining = remaining[len(run) - 1 :]
        steps.append(first)
        remaining.pop(0)
    return _without_gaps(dataclasses.replace(body, steps=tuple(steps)))


def _without_gaps(body: Body) -> Body:
    """The same, so that lists of other lengths give the same body."""
    made = [*range(body.inputs), *(n for step in body.steps for n in step.outputs)]
    number = {n: i for i, n in enumerate(made)}
    return dataclasses.replace(
        body,
        steps=tuple(renumbered(step, number.__getitem__) for step in body.steps),
        output=map_locals(number.__getitem__, body.output),
    )


def _run(steps: Sequence[Step], uses: Sequence[int]) -> list[Step]:
    """The calls at the start that go through a list from its first module."""
    run: list[Step] = []
    for i, step in enumerate(steps):
        module = step.module
        whole = isinstance(module, Own) and module.access[-1:] == (Index(i),)
        if not whole or len(step.outputs) != 1 or step.several or step.kwargs or not step.args:
            break
        if not isinstance(step.args[0], Local):
            break
        if run:
            last = run[-1]
            (x,) = last.outputs
            same = step.module.access[:-1] == last.module.access[:-1]  # type: ignore[union-attr]
            same = same and (step.train, step.method) == (last.train, last.method)
            if not same or step.args != (Local(x), *last.args[1:]) or uses.count(x) != 1:
                break
        run.append(step)
    return run


def _length(modules: Modules, node: Node, first: str) -> int:
    """How many modules the list has that starts with a module."""
    prefix = f"{node.module}." if node.module else ""
    return len(modules.children(modules.parent(prefix + first)))


def with_growth(body: Body) -> Body:
    """One step for each run of calls on a list that grows by their results."""
    steps: list[Step] = []
    remaining = list(body.steps)
    while remaining:
        run = _growing(remaining)
        whole = [*run[-1].args[0], Local(run[-1].outputs[0])] if run else []
        after = remaining[len(run) :]
        place = next((i for i, step in enumerate(after) if step.args[:1] == (whole,)), None)
        outs = {n for step in run for n in step.outputs}
        rest = [s for i, s in enumerate(after) if i != place]
        free = not outs.intersection(n for step in rest for n in step_locals(step))
        if len(run) > 2 and place is not None and free and not outs & set(locals_in(body.output)):
            modules = tuple(step.module for step in run if isinstance(step.module, Own))
            last = run[-1].outputs
            steps.append(dataclasses.replace(run[0], outputs=last, grows=modules, name=None))
            joined = after[place]
            joined = dataclasses.replace(joined, args=(Local(last[0]), *joined.args[1:]))
            remaining = [*after[:place], joined, *after[place + 1 :]]
            continue
        steps.append(remaining.pop(0))
    return _without_gaps(dataclasses.replace(body, steps=tuple(steps)))


def _growing(steps: Sequence[Step]) -> list[Step]:
    """The calls at the start, each on the list of the one before and its result."""
    run: list[Step] = []
    for step in steps:
        plain = isinstance(step.module, Own) and len(step.outputs) == len(step.args) == 1
        if not plain or not isinstance(step.args[0], list):
            break
        if run and step.args[0] != [*run[-1].args[0], Local(run[-1].outputs[0])]:
            break
        run.append(step)
    return run
