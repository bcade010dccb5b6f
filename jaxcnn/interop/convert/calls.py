"""What a recording of a PyTorch module is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from jaxcnn.interop.program import Batch

Size = int | Batch


@dataclasses.dataclass(frozen=True)
class Ref:
    """A tensor that the module computed, by its number, or was given (see `Recording.inputs`)."""

    number: int


@dataclasses.dataclass(frozen=True)
class State:
    """A parameter or buffer, by its first name."""

    name: str


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that depends on neither inputs nor state."""

    value: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Shape:
    """What is known of a computed tensor beside its values: sizes in PyTorch's order, and dtype."""

    sizes: tuple[Size, ...]
    dtype: torch.dtype


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a torch function or of a layer.

    Attributes:
      function: The torch function; of a layer the module itself.
      layer: The layer's name in the module; None for a function.
      args: What it was called with; Ref, State and Constant stand for tensors.
      kwargs: The same by name.
      out: What it returned, with a Ref for each tensor.
      shapes: {number of a returned Ref: its shape}.
      scope: Names of the modules that were running, outermost first, each with the number of
        its call.
      line: Where in the model's source it was called, "file:line: text".
      constant: Whether no input and no state went in.
    """

    function: Any
    layer: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    shapes: dict[int, Shape]
    scope: tuple[tuple[str, int], ...]
    line: str
    constant: bool

    @property
    def name(self) -> str:
        """The layer's class, or the torch function's name."""
        if self.layer is not None:
            return type(self.function).__name__
        return function_name(self.function)


@dataclasses.dataclass
class Recording:
    """What a module computed of its inputs.

    Attributes:
      calls: The calls, in order.
      inputs: A Ref for each tensor of the inputs.
      output: What the module returned, with a Ref, State or Constant for each tensor.
      shapes: {number of a Ref: its shape}, inputs included.
      values: {number of a Ref that only constants went into: its value}.
    """

    calls: list[Call]
    inputs: list[Ref]
    output: Any
    shapes: dict[int, Shape]
    values: dict[int, torch.Tensor]


def function_name(function: Any) -> str:
    """The name of a torch function or method; of a property, the property's.

    Example:
      >>> function_name(torch.Tensor.mean), function_name(torch.Tensor.T.__get__)
      ('mean', 'T')
    """
    name = getattr(function, "__name__", type(function).__name__)
    return function.__self__.__name__ if name in ("__get__", "__set__") else name


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """`tree` with `function(x)` in place of each tensor x in its lists, tuples, dicts and slices.

    Named tuples become tuples, and mappings dicts.
    """
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, torch.Size):
        return tuple(tree)
    if isinstance(tree, tuple):
        return tuple(map_tensors(function, x) for x in tree)
    if isinstance(tree, list):
        return [map_tensors(function, x) for x in tree]
    if isinstance(tree, slice):
        return slice(*(map_tensors(function, x) for x in (tree.start, tree.stop, tree.step)))
    if hasattr(tree, "items") and hasattr(tree, "keys"):
        return {key: map_tensors(function, x) for key, x in tree.items()}
    return tree


def refs_in(tree: Any) -> list[Ref]:
    """The Refs in a tree of lists, tuples and dicts, in order."""
    if isinstance(tree, Ref):
        return [tree]
    if isinstance(tree, dict):
        return [ref for x in tree.values() for ref in refs_in(x)]
    return [ref for x in tree for ref in refs_in(x)] if isinstance(tree, list | tuple) else []
