"""What a model looks like, in PyTorch's own words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def torch_repr(model: nn.Module, input_shape: Sequence[int]) -> str:
    """The tree of modules as `print(torch_module)` shows it.

    A list of modules named with a dot ("layer1.0", "layer1.1", ...) shows as a ModuleList.

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
    lines: list[str] = []

    def trace(bound: nn.Module, x: jax.Array) -> None:
        bound(x)
        lines.append(_module(bound))

    sample = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    jax.eval_shape(nn.init(trace, model), jax.random.key(0), sample)
    return lines[0]


def _module(module: nn.Module) -> str:
    settings = getattr(module, "extra_repr", str)()
    return _tree(type(module).__name__, settings, _nested(_children(module)))


def _children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    named_children = getattr(module, "named_children", None)
    if named_children is not None:
        return list(named_children())
    children = module._state.children.items()
    return [(name, child) for name, child in children if isinstance(child, nn.Module)]


def _nested(children: Iterable[tuple[str, nn.Module]]) -> list[tuple[str, str]]:
    """(name, text) of each child, with "layer.0", "layer.1", ... gathered under "layer"."""
    texts: list[tuple[str, str]] = []
    for head, group in itertools.groupby(children, key=lambda child: child[0].partition(".")[0]):
        members = [(name.partition(".")[2], _module(child)) for name, child in group]
        is_list = members[0][0] != ""
        text = _tree("ModuleList", "", _collapsed(members)) if is_list else members[0][1]
        texts.append((head, text))
    return texts


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
