"""What a model looks like, in PyTorch's own words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn._modules import inspect_called, named_children, named_modules
from jaxcnn.nn import ModuleList


def torch_repr(model: nn.Module, input_shape: Sequence[int]) -> str:
    """The tree of modules as `print(torch_module)` shows it.

    Modules named with a dot show as a ModuleList ("layer1.0", "layer1.1", ...) or a ModuleDict
    ("branch.left", "branch.right"). A module that stands under two names shows under both.

    Args:
      model: Any linen module; jaxcnn's layers also show their settings.
      input_shape: Shape of an input, such as (1, 32, 32, 3). Nothing is computed.

    Example:
      >>> from jaxcnn import nn
      >>> print(torch_repr(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (1, 8, 8, 3)))
      Sequential(
        (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
        (1): ReLU()
      )
    """
    return inspect_called(model, _module, jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32))


def tied_names(model: nn.Module, *inputs: Any) -> dict[str, str]:
    """The further names of modules that a model uses under several names.

    PyTorch's state_dict lists such a module under each name, a variables tree under one.
    `to_state_dict` and `to_variables` take the result as `tied`.

    Args:
      model: Any linen module.
      *inputs: What it takes; only shapes and dtypes count, and nothing is computed.

    Returns:
      {further name: name in the variables}, with the modules inside the tied ones.

    Example:
      >>> from jaxcnn import nn
      >>> layer = nn.Linear(3, 3)
      >>> tied_names(nn.Sequential(layer, nn.Sigmoid(), layer), jnp.ones((1, 3)))
      {'2': '0'}
    """

    def further_names(bound: nn.Module) -> dict[str, str]:
        names = {name: ".".join(module.path) for name, module in named_modules(bound)}
        return {name: own for name, own in names.items() if name != own}

    return inspect_called(model, further_names, *inputs)


def _module(module: nn.Module) -> str:
    settings = getattr(module, "extra_repr", str)()
    rows = _rows(named_children(module))
    is_list = isinstance(module, ModuleList)
    return _tree(type(module).__name__, settings, _collapsed(rows) if is_list else rows)


def _rows(children: Iterable[tuple[str, nn.Module]]) -> list[tuple[str, str]]:
    """(name, text) of each child, with "layer.0", "layer.1", ... gathered under "layer"."""
    rows: list[tuple[str, str]] = []
    for head, group in itertools.groupby(children, key=lambda child: child[0].partition(".")[0]):
        members = [(name.partition(".")[2], child) for name, child in group]
        rows.append((head, _gathered(members) if members[0][0] else _module(members[0][1])))
    return rows


def _gathered(members: list[tuple[str, nn.Module]]) -> str:
    rows = _rows(members)
    if all(name.isdigit() for name, _ in rows):
        return _tree("ModuleList", "", _collapsed(rows))
    return _tree("ModuleDict", "", rows)


def _collapsed(members: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """A ModuleList shows a run of equal members once, as "(1-2): 2 x Block"."""
    rows: list[tuple[str, str]] = []
    for text, run in itertools.groupby(members, key=lambda member: member[1]):
        names = [name for name, _ in run]
        one = len(names) == 1
        rows.append(
            (names[0], text) if one else (f"{names[0]}-{names[-1]}", f"{len(names)} x {text}")
        )
    return rows


def _tree(name: str, settings: Any, children: list[tuple[str, str]]) -> str:
    if not children:
        return f"{name}({settings})"
    rows = [settings] * bool(settings)
    rows += [f"({child}): {text}" for child, text in children]
    body = "\n".join(rows).replace("\n", "\n  ")
    return f"{name}(\n  {body}\n)"
