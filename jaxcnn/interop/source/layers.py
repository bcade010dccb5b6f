"""Layers that `from_torch` took apart, put together again.

A PyTorch layer whose weights the model hands to a function, as `F.linear(x, self.fc.weight)`, and
a class of the model that only calls such a function, are one layer of `jaxcnn.nn` in the source.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxcnn.interop.program import Layer, Leaf, Program, Statement, Var, variables_in

# Makes the settings of the layer from the call's arguments and the shape of its weight.
Settings = Callable[[Statement, "Leaf | None"], "dict[str, Any] | None"]


def with_layers(program: Program) -> Program:
    """The program with one statement for each call that is a layer's.

    Example:
      >>> weight = Statement((1,), state="fc.weight")
      >>> call = Statement((2,), "F.linear", (Var(0), Var(1)))
      >>> names = {"": "Net", "fc": "Linear"}
      >>> leaf = Leaf((3, 4), "float32")
      >>> import jax
      >>> inputs = (jax.ShapeDtypeStruct((1, 4), "float32"),)
      >>> net = Program("Net", (weight, call), {}, {"fc.weight": leaf}, {}, Var(2), inputs, False,
      ...               {}, names, 0)
      >>> with_layers(net).layers["fc"]
      Layer(kind='Linear', settings={'in_features': 4, 'out_features': 3, 'bias': False})
    """
    return _with_stateless(_with_weights(program))


def _with_weights(program: Program) -> Program:
    """Functions that read the whole state of one module."""
    reads = {s.outputs[0]: s.state for s in program.statements if s.state is not None}
    found: dict[str, list[tuple[int, Layer]]] = {}
    spoiled: set[str] = set()
    for place, statement in enumerate(program.statements):
        names = [reads[number] for number in _used(statement) if number in reads]
        owners = {name.rpartition(".")[0] for name in names}
        layer = _layer_of(program, statement, reads, owners)
        if layer is None:
            spoiled |= owners
        else:
            found.setdefault(owners.pop(), []).append((place, layer))
    spoiled |= {reads[n].rpartition(".")[0] for n in variables_in(program.output) if n in reads}
    found = {
        owner: places
        for owner, places in found.items()
        if owner not in spoiled and all(layer == places[0][1] for _, layer in places)
    }
    found = {owner: places for owner, places in found.items() if _alone(program, owner, places)}
    return _replaced(program, found, reads)


def _layer_of(
    program: Program, statement: Statement, reads: Mapping[int, str], owners: set[str]
) -> Layer | None:
    if not isinstance(statement.target, str) or statement.target not in _WITH_WEIGHTS:
        return None
    kind, settings, arguments = _WITH_WEIGHTS[statement.target]
    owner = next(iter(owners), None)
    if len(owners) != 1 or not owner or statement.kwargs:
        return None
    state = {n for n in (*program.params, *program.buffers) if n.startswith(f"{owner}.")}
    read = {
        arguments[i]: reads[x.number]
        for i, x in enumerate(statement.args)
        if i in arguments and isinstance(x, Var) and x.number in reads
    }
    if read != {name.rpartition(".")[2]: name for name in state} or len(state) == 0:
        return None
    if any(name in program.tied.values() for name in state):
        return None
    values = settings(statement, program.params.get(f"{owner}.weight"))
    if values is None:
        return None
    if f"{owner}.bias" not in state:
        values["bias"] = False
    return Layer(kind, values)


def _alone(program: Program, owner: str, places: list[tuple[int, Layer]]) -> bool:
    """Whether the module, where it is called, does nothing else than its function."""
    inside = [
        place
        for place, s in enumerate(program.statements)
        if any(name == owner for name, _ in s.scope) and s.state is None
    ]
    if not inside:
        return True
    calls = [program.statements[place].scope for place in inside]
    return inside == [place for place, _ in places] and len(set(calls)) == len(calls)


def _replaced(
    program: Program, found: Mapping[str, list[tuple[int, Layer]]], reads: Mapping[int, str]
) -> Program:
    if not found:
        return program
    owner_at = {place: owner for owner, places in found.items() for place, _ in places}
    statements = []
    for place, statement in enumerate(program.statements):
        if statement.state is not None and statement.state.rpartition(".")[0] in found:
            continue
        if place in owner_at:
            owner = owner_at[place]
            scope = statement.scope
            if scope and scope[-1][0] == owner:
                scope = scope[:-1]
            statement = Statement(
                statement.outputs, args=statement.args[:1], layer=owner, scope=scope
            )
        statements.append(statement)
    kept = lambda state: {n: x for n, x in state.items() if n.rpartition(".")[0] not in found}
    return dataclasses.replace(
        program,
        statements=tuple(statements),
        layers={**program.layers, **{owner: places[0][1] for owner, places in found.items()}},
        params=kept(program.params),
        buffers=kept(program.buffers),
    )


def _with_stateless(program: Program) -> Program:
    """Modules of PyTorch without state that are one call of a function."""
    calls: dict[tuple[str, int], list[int]] = {}
    for place, statement in enumerate(program.statements):
        for call in statement.scope:
            calls.setdefault(call, []).append(place)
    layers: dict[str, list[Layer | None]] = {}
    for (name, _), places in calls.items():
        first = program.statements[places[0]]
        kind = program.module_names.get(name)
        settings = _STATELESS.get((kind or "", str(first.target)))
        whole = len(places) == 1 and first.scope[-1][0] == name and name != ""
        values = settings(first) if settings is not None and whole else None
        layers.setdefault(name, []).append(None if values is None else Layer(kind or "", values))
    same = {name: of[0] for name, of in layers.items() if of.count(of[0]) == len(of)}
    found = {name: layer for name, layer in same.items() if layer is not None}
    if not found:
        return program
    statements = [
        Statement(s.outputs, args=s.args[:1], layer=s.scope[-1][0], scope=s.scope[:-1])
        if s.scope and s.scope[-1][0] in found
        else s
        for s in program.statements
    ]
    return dataclasses.replace(
        program, statements=tuple(statements), layers={**program.layers, **found}
    )


def _used(statement: Statement) -> list[int]:
    return variables_in((statement.args, dict(statement.kwargs)))


def _argument(statement: Statement, i: int, default: Any) -> Any:
    return statement.args[i] if len(statement.args) > i else default


def _linear(statement: Statement, weight: Leaf | None) -> dict[str, Any] | None:
    if weight is None or len(weight.shape) != 2:
        return None
    return {"in_features": weight.shape[1], "out_features": weight.shape[0]}


def _layer_norm(statement: Statement, weight: Leaf | None) -> dict[str, Any] | None:
    if weight is None or not math.prod(weight.shape):
        return None
    eps = _argument(statement, 4, 1e-5)
    return {"normalized_shape": statement.args[1], **({"eps": eps} if eps != 1e-5 else {})}


def _start_dim(statement: Statement) -> dict[str, Any] | None:
    return {} if statement.args[1:] == (1,) and not statement.kwargs else None


def _dim(statement: Statement) -> dict[str, Any] | None:
    plain = len(statement.args) == 2 and isinstance(statement.args[1], int)
    return {"dim": statement.args[1]} if plain and not statement.kwargs else None


# Function: (layer, its settings, which argument is which part of its state).
_WITH_WEIGHTS: dict[str, tuple[str, Settings, dict[int, str]]] = {
    "F.linear": ("Linear", _linear, {1: "weight", 2: "bias"}),
    "F.layer_norm": ("LayerNorm", _layer_norm, {2: "weight", 3: "bias"}),
}
_STATELESS: dict[tuple[str, str], Callable[[Statement], dict[str, Any] | None]] = {
    ("Flatten", "layout.flatten"): _start_dim,
    ("Softmax", "F.softmax"): _dim,
    ("LogSoftmax", "F.log_softmax"): _dim,
    ("GLU", "F.glu"): _dim,
}
