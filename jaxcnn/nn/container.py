"""Containers. Mirrors the containers of torch.nn."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as nn
from flax.linen.module import SetupState

from jaxcnn._checks import check, check_type

LINEN_FIELDS = {"parent", "name"}


@dataclasses.dataclass(frozen=True)
class _Layers:
    """Named layers, hidden from linen, which would name them after the field that holds them."""

    items: tuple[tuple[str, nn.Module], ...]

    def __iter__(self) -> Iterator[tuple[str, nn.Module]]:
        return iter(self.items)


class Sequential(nn.Module):
    """Calls layers one after the other.

    Mirrors `torch.nn.Sequential`: children are named "0", "1", ..., or by the keys of a mapping.
    `train` goes to every layer that takes it. A layer that is used twice is one set of parameters,
    under its first name only (a PyTorch state_dict lists it under each). Inside a method marked
    `@nn.compact` a new layer belongs to the Sequential that it is given to.

    Args:
      *layers: The layers, or one mapping from names to layers.

    Raises:
      TypeError: If something is not a linen module.
      ValueError: If a name is taken by linen.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
      >>> variables = model.init(jax.random.key(0), jnp.ones((1, 8, 8, 3)))
      >>> variables["params"]["0"]["weight"].shape
      (8, 3, 3, 3)
    """

    layers: Any = ()

    def __init__(self, *args: Any, layers: _Layers | None = None, **linen: Any) -> None:
        if layers is None:
            one_mapping = len(args) == 1 and isinstance(args[0], Mapping)
            pairs = args[0].items() if one_mapping else ((str(i), a) for i, a in enumerate(args))
            layers = _Layers(_released(tuple(pairs)))
        set_linen_fields(self, linen)
        self.layers = layers
        self.__post_init__()

    def setup(self) -> None:
        for name, layer in self.layers:
            setattr(self, name, layer)

    def __call__(self, x: Any, train: bool = False) -> Any:
        for name, layer in self.layers:
            bound = getattr(self, name)
            x = bound(x, train=train) if _takes_train(type(layer)) else bound(x)
        return x

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Yields (name, bound layer) in order; a layer that stands here twice comes twice."""
        for name, _ in self.layers:
            yield name, getattr(self, name)


def set_linen_fields(module: nn.Module, fields: Mapping[str, Any]) -> None:
    """Sets the two fields that linen gives to every module, for an `__init__` of our own.

    Raises:
      TypeError: If there is a field other than `parent` and `name`.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(module) if f.name in LINEN_FIELDS}
    unknown = sorted(set(fields) - LINEN_FIELDS)
    rule = "keyword arguments must be linen's parent or name"
    check_type(not unknown, type(module).__name__, rule, unknown=unknown)
    for field, value in {**defaults, **fields}.items():
        setattr(module, field, value)


def _released(pairs: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, nn.Module], ...]:
    """The layers, free of the compact method that linen has tied them to on construction."""
    taken = {*dir(Sequential), *LINEN_FIELDS}
    for name, layer in pairs:
        check_type(
            isinstance(layer, nn.Module),
            "Sequential",
            f"layer {name!r} must be a linen module",
            layer=layer,
        )
        check(name not in taken, "Sequential", "a layer's name must not be linen's", name=name)
        parent = layer.parent
        if isinstance(parent, nn.Module) and parent._state.in_compact_method and _is_new(layer):
            parent._state.children.pop(layer.name, None)
            for field in ("parent", "name", "scope"):
                object.__setattr__(layer, field, None)
    return pairs


def _is_new(layer: nn.Module) -> bool:
    return layer._state.setup_called == SetupState.NEW


@functools.cache
def _takes_train(layer: type[nn.Module]) -> bool:
    return "train" in inspect.signature(layer.__call__).parameters
