"""The parameters of a model: list them, get one, replace one, count them, draw them anew.

Every function takes a model's variables, `{"params": ..., "batch_stats": ...}`, and changes
nothing: what would assign in PyTorch returns new variables here. Names are PyTorch's. A tree of
gradients has the same names: `get_parameter({"params": grads}, "fc.weight")`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type
from jaxcnn._modules import inspect_called, named_modules
from jaxcnn._names import dotted, named_leaves
from jaxcnn.init import Initializer

Variables = Mapping[str, Any]

_STATE = {"batch_stats", "buffers"}


def named_parameters(variables: Variables) -> dict[str, jax.Array]:
    """The parameters by their PyTorch names.

    Mirrors `torch.nn.Module.named_parameters`. A tree does not know in which order its layers were
    made: numbers come by value, other layers by the alphabet, a layer's biases last. Of a
    Sequential that is PyTorch's order.

    Args:
      variables: A model's variables, or their `jax.eval_shape`.

    Raises:
      ValueError: If `variables` hold no "params", or two parameters have the same name.

    Example:
      >>> variables = {"params": {"fc": {"bias": jnp.zeros(4), "weight": jnp.zeros((4, 3))}}}
      >>> for name, parameter in named_parameters(variables).items():
      ...     print(name, parameter.shape)
      fc.weight (4, 3)
      fc.bias (4,)
    """
    named = _named("named_parameters", variables)
    return {name: named[name] for name in sorted(named, key=_place)}


def get_parameter(variables: Variables, name: str) -> jax.Array:
    """The parameter with a PyTorch name. Mirrors `torch.nn.Module.get_parameter`.

    Args:
      variables: A model's variables, or gradients as `{"params": grads}`.
      name: For example "fc.weight".

    Raises:
      ValueError: If there is no such parameter; close names are given.

    Example:
      >>> get_parameter({"params": {"fc": {"bias": jnp.zeros(2)}}}, "fc.bias").tolist()
      [0.0, 0.0]
    """
    return _known("get_parameter", variables, name)


def with_parameter(variables: Variables, name: str, value: ArrayLike) -> dict[str, Any]:
    """The variables with one parameter replaced: PyTorch's `parameter.data = value`.

    Args:
      variables: A model's variables; returned anew, not changed.
      name: The parameter's PyTorch name, for example "fc.weight".
      value: An array of the parameter's shape and dtype.

    Raises:
      ValueError: If there is no such parameter, or `value` has another shape.
      TypeError: If `value` has another dtype.

    Example:
      >>> variables = {"params": {"fc": {"bias": jnp.zeros(2)}}}
      >>> with_parameter(variables, "fc.bias", jnp.ones(2))
      {'params': {'fc': {'bias': Array([1., 1.], dtype=float32)}}}
    """
    old = _known("with_parameter", variables, name)
    new = jnp.asarray(value)
    rule = f"value must have the shape of {name!r}, {old.shape}"
    check(new.shape == old.shape, "with_parameter", rule, shape=new.shape)
    rule = f"value must have the dtype of {name!r}, {old.dtype}"
    check_type(new.dtype == old.dtype, "with_parameter", rule, dtype=str(new.dtype))
    replace = lambda path, leaf: new if dotted(path) == name else leaf
    return {**variables, "params": jax.tree.map_with_path(replace, variables["params"])}


def count_parameters(variables: Variables) -> int:
    """How many numbers the parameters hold: PyTorch's `sum(p.numel() for p in parameters())`.

    Args:
      variables: A model's variables, or their `jax.eval_shape`.

    Raises:
      ValueError: If `variables` hold no "params".

    Example:
      >>> count_parameters({"params": {"weight": jnp.zeros((4, 3)), "bias": jnp.zeros(4)}})
      16
    """
    return sum(math.prod(leaf.shape) for leaf in _named("count_parameters", variables).values())


def reinitialize(
    variables: Variables, key: jax.Array, initializer: Initializer, pattern: str
) -> dict[str, Any]:
    """Draws every parameter whose PyTorch name matches `pattern` anew.

    Args:
      variables: A model's variables; returned anew, not changed.
      key: The random key; each parameter draws from its own part of it.
      initializer: For example `init.xavier_uniform()`.
      pattern: A regular expression, searched in the dotted name, such as `r"weight$"`.

    Raises:
      ValueError: If no parameter matches.

    Example:
      >>> from jaxcnn import init
      >>> variables = {"params": {"fc": {"weight": jnp.zeros((4, 3)), "bias": jnp.zeros(4)}}}
      >>> new = reinitialize(variables, jax.random.key(0), init.ones(), r"bias$")
      >>> new["params"]["fc"]["bias"].tolist()
      [1.0, 1.0, 1.0, 1.0]
    """
    names = list(_named("reinitialize", variables))
    matches = [name for name in names if re.search(pattern, name)]
    rule = f"no parameter among {names} matches"
    check(len(matches) > 0, "reinitialize", rule, pattern=pattern)
    return _redrawn(variables, key, lambda name: initializer if name in matches else None)


def reinitialize_layers(
    variables: Variables,
    key: jax.Array,
    initializers: Mapping[type[nn.Module], Mapping[str, Initializer]],
    model: nn.Module,
    *inputs: Any,
) -> dict[str, Any]:
    """Draws the parameters of layers anew, by the layers' types.

    The functional form of PyTorch's `model.apply(init_weights)`.

    Args:
      variables: The model's variables; returned anew, not changed.
      key: The random key; each parameter draws from its own part of it.
      initializers: By type, initialisers by parameter. The first type that a layer is an instance
        of decides. A parameter that a layer is built without, such as a bias, is passed over.
      model: The model that the variables belong to.
      *inputs: What the model takes; only shapes and dtypes count, and nothing is computed.

    Raises:
      ValueError: If the model has no layer of a type, or no layer of a type such a parameter.
      TypeError: If a type's initialisers are not a mapping.

    Example:
      >>> from jaxcnn import init, nn
      >>> model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), jnp.ones((1, 3))
      >>> variables = model.init(jax.random.key(0), x)
      >>> initializers = {nn.Linear: {"weight": init.xavier_normal(), "bias": init.zeros()}}
      >>> new = reinitialize_layers(variables, jax.random.key(1), initializers, model, x)
      >>> new["params"]["0"]["bias"].tolist()
      [0.0, 0.0, 0.0, 0.0]
    """
    named = _named("reinitialize_layers", variables)
    layers = inspect_called(model, _types, *inputs)
    chosen = {
        name: next((candidate for candidate in initializers if issubclass(layer, candidate)), None)
        for name, layer in layers.items()
    }
    for layer, by_parameter in initializers.items():
        members = {name for name, candidate in chosen.items() if candidate is layer}
        _check_rules(layer, by_parameter, {name: layers[name] for name in members}, named)

    def choose(name: str) -> Initializer | None:
        layer, _, parameter = name.rpartition(".")
        rules = chosen.get(layer)
        return None if rules is None else initializers[rules].get(parameter)

    return _redrawn(variables, key, choose)


def _types(bound: nn.Module) -> dict[str, type[nn.Module]]:
    return {".".join(module.path): type(module) for _, module in named_modules(bound)}


def _check_rules(
    layer: type[nn.Module],
    by_parameter: Mapping[str, Initializer],
    members: Mapping[str, type[nn.Module]],
    named: Mapping[str, Any],
) -> None:
    """Raises unless the model has such layers (`members`) and these such parameters."""
    where = "reinitialize_layers"
    check_type(
        isinstance(by_parameter, Mapping),
        where,
        f"initializers must map {layer.__name__} to initialisers by parameter",
        value=by_parameter,
    )
    rule = "the model must have a layer of each type that no earlier type takes"
    check(len(members) > 0, where, rule, type=layer.__name__)
    held = {name.rpartition(".")[2] for name in named if name.rpartition(".")[0] in members}
    # A layer built without a bias still has the field that says so.
    options = {field.name for member in members.values() for field in dataclasses.fields(member)}
    for parameter in by_parameter:
        rule = f"{layer.__name__} has the parameters {sorted(held)}"
        check(parameter in held | options, where, rule, parameter=parameter)


def _redrawn(
    variables: Variables, key: jax.Array, choose: Callable[[str], Initializer | None]
) -> dict[str, Any]:
    """The variables with those parameters drawn anew for whose name there is an initialiser."""
    paths_and_leaves, treedef = jax.tree.flatten_with_path(variables["params"])
    keys = jax.random.split(key, len(paths_and_leaves))
    leaves = []
    for (path, leaf), leaf_key in zip(paths_and_leaves, keys, strict=True):
        initializer = choose(dotted(path))
        leaves.append(
            leaf if initializer is None else initializer(leaf_key, leaf.shape, leaf.dtype)
        )
    return {**variables, "params": jax.tree.unflatten(treedef, leaves)}


def _named(where: str, variables: Variables) -> dict[str, Any]:
    # A model without parameters has no "params"; what has other keys is a tree of parameters.
    whole = "params" in variables or set(variables) <= _STATE
    rule = "variables must hold the parameters under 'params'"
    check(whole, where, rule, keys=sorted(variables))
    return named_leaves(where, {"params": variables.get("params", {})})


def _known(where: str, variables: Variables, name: str) -> Any:
    named = _named(where, variables)
    close = difflib.get_close_matches(name, named)
    fix = f"close names: {close}" if close else "named_parameters lists them"
    check(name in named, where, "there must be such a parameter", fix, name=name)
    return named[name]


def _place(name: str) -> tuple[tuple[bool, bool, bool, int, str], ...]:
    """Sorts names: a layer's parameters before its layers, biases last, numbers by value."""
    *layers, parameter = name.split(".")
    return (
        *((True, False, not n.isdigit(), int(n) if n.isdigit() else 0, n) for n in layers),
        (False, "bias" in parameter, True, 0, parameter),
    )
