"""What a converted module computes: a list of calls of JAX functions and of layers."""

from __future__ import annotations

import dataclasses
import importlib
import operator
from collections.abc import Callable, Mapping
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Var:
    """A value of the program, by its number."""

    number: int


@dataclasses.dataclass(frozen=True)
class Batch:
    """A size that grows with the batch: `n * factor // divisor + offset` for n images."""

    factor: int = 1
    divisor: int = 1
    offset: int = 0

    def at(self, n: int) -> int:
        """The size for n images."""
        return n * self.factor // self.divisor + self.offset


@dataclasses.dataclass(frozen=True)
class Train:
    """True while training, False in evaluation."""


@dataclasses.dataclass(frozen=True)
class Either:
    """A setting that has another value while training."""

    evaluation: Any
    training: Any


@dataclasses.dataclass(frozen=True)
class Rng:
    """A random key of the `dropout` stream, or None in evaluation."""


@dataclasses.dataclass(frozen=True, eq=False)
class Array:
    """A constant array."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Statement:
    """One call.

    Attributes:
      outputs: Numbers of what it returns; several where it returns a sequence.
      target: A function, as "jnp.mean", "F.relu" or ".reshape" (a method of the first argument);
        or a callable.
      args: What it is called with: Var, Batch, Train, Rng and Array, alone or in tuples, lists,
        dicts and slices, beside plain values.
      kwargs: The same by name.
      layer: Name of the layer that is called instead of `target`.
      state: Name of the parameter or buffer that is read instead.
      scope: The modules of the PyTorch model that it was called in, outermost first, with the
        number of their call.
    """

    outputs: tuple[int, ...]
    target: str | Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    layer: str | None = None
    state: str | None = None
    several: bool = False
    scope: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of `jaxcnn.nn`: its class by name, and the fields not at their defaults."""

    kind: str
    settings: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A parameter or buffer.

    Attributes:
      shape: Its shape.
      dtype: Its dtype, by name.
      mean: Mean of its values, where new ones are drawn.
      std: Their standard deviation.
      value: All of its values, where they are whole numbers.
    """

    shape: tuple[int, ...]
    dtype: str
    mean: float = 0.0
    std: float = 0.0
    value: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """What a converted module computes.

    Attributes:
      name: Class of the PyTorch module.
      statements: What is computed, in order.
      layers: {name: layer}, in the order of the PyTorch module.
      params: {name: leaf} of the parameters that no layer holds.
      buffers: {name: leaf} of the buffers that no layer holds.
      output: What is returned, with a Var for each array.
      inputs: The arrays that it took in the example, channels-last where they are images.
      fixed_size: Whether sizes other than the batch are written into the program.
      tied: {further name: first name} of parameters and buffers with several names.
      module_names: {name: class} of the PyTorch module's modules.
      layout_changes: How many arrays are moved between the layouts of the two frameworks.
    """

    name: str
    statements: tuple[Statement, ...]
    layers: Mapping[str, Layer]
    params: Mapping[str, Leaf]
    buffers: Mapping[str, Leaf]
    output: Any
    inputs: tuple[jax.ShapeDtypeStruct, ...]
    fixed_size: bool
    tied: Mapping[str, str]
    module_names: Mapping[str, str]
    layout_changes: int

    @property
    def has_images(self) -> bool:
        """Whether an input has channels, which stand last."""
        return any(x.ndim > 2 for x in self.inputs)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.statements)} calls, {len(self.layers)} layers>"


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """`tree` with `function(x)` in place of each x in its tuples, lists, dicts and slices."""
    if isinstance(tree, tuple):
        return tuple(map_leaves(function, x) for x in tree)
    if isinstance(tree, list):
        return [map_leaves(function, x) for x in tree]
    if isinstance(tree, dict):
        return {key: map_leaves(function, x) for key, x in tree.items()}
    if isinstance(tree, slice):
        return slice(*(map_leaves(function, x) for x in (tree.start, tree.stop, tree.step)))
    return function(tree)


def variables_in(tree: Any) -> list[int]:
    """Numbers of the Vars in `tree`, in order."""
    found: list[int] = []
    map_leaves(lambda x: found.append(x.number) if isinstance(x, Var) else None, tree)
    return found


_MODULES = {
    "jnp": "jax.numpy",
    "jax": "jax",
    "F": "jaxcnn.functional",
    "layout": "jaxcnn.layout",
    "tensor": "jaxcnn.interop.tensor",
}


def resolve(target: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that a statement calls.

    Example:
      >>> import jax.numpy as jnp
      >>> resolve("F.relu").__name__, resolve(".reshape")(jnp.ones(4), (2, 2)).shape
      ('relu', (2, 2))
    """
    if not isinstance(target, str):
        return target
    if target.startswith("."):
        return lambda x, *args, **kwargs: getattr(x, target[1:])(*args, **kwargs)
    if target.startswith("operator."):
        return getattr(operator, target.removeprefix("operator."))
    head, _, rest = target.partition(".")
    return operator.attrgetter(rest)(importlib.import_module(_MODULES[head]))
