"""A model's modules, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import flax.linen as nn
import jax

T = TypeVar("T")


def inspect_called(model: nn.Module, visit: Callable[[nn.Module], T], *inputs: Any) -> T:
    """What `visit` returns of the model, bound and called on `inputs`; nothing is computed.

    Args:
      model: Any linen module.
      visit: Called once; the modules it sees are of no use later.
      *inputs: What the model takes; only shapes and dtypes count.
    """
    results: list[T] = []

    def call(bound: nn.Module, *args: Any) -> None:
        bound(*args)
        results.append(visit(bound))

    jax.eval_shape(nn.init(call, model), jax.random.key(0), *inputs)
    return results[0]


def named_children(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, module) of each child of a bound module, as PyTorch's `_modules` holds them.

    A module that stands under two names comes under both.
    """
    own = getattr(module, "named_children", None)
    if own is not None:
        return list(own())
    # In this order: those of `setup` are attributes, those of a compact method only children.
    candidates = {**vars(module), **module._state.children}
    return [
        (name, child)
        for name, child in candidates.items()
        if isinstance(child, nn.Module) and child.scope is not None
    ]


def named_modules(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """(dotted name, module) of a bound module and all modules in it, parents first.

    Mirrors `torch.nn.Module.named_modules(remove_duplicate=False)`.
    """
    yield name, module
    for child_name, child in named_children(module):
        yield from named_modules(child, f"{name}.{child_name}" if name else child_name)
