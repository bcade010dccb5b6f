"""Parameters that training leaves alone, chosen by their PyTorch names."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.linen as nn
import jax

from jaxcnn._checks import check
from jaxcnn._names import dotted, named_leaves


def check_frozen(where: str, pattern: str, params: Any) -> None:
    """Raises unless `pattern` matches some parameters and leaves some to train.

    Example:
      >>> check_frozen("make_train_step", "^conv", {"fc": {"bias": 0}})
      Traceback (most recent call last):
      ValueError: make_train_step: frozen must match a parameter, got frozen='^conv'; the first \
names are ['fc.bias'].
    """
    names = list(named_leaves(where, {"params": params}))
    frozen = [name for name in names if re.search(pattern, name)]
    fix = f"the first names are {names[:5]}"
    check(len(frozen) > 0, where, "frozen must match a parameter", fix, frozen=pattern)
    rule = "frozen must leave a parameter to train"
    check(len(frozen) < len(names), where, rule, frozen=pattern)


def map_frozen(pattern: str | None, function: Callable[[Any], Any], params: Any) -> Any:
    """Calls `function` on each parameter whose dotted name matches; the others stay.

    Example:
      >>> map_frozen("^conv", abs, {"conv1": {"weight": -1}, "fc": {"weight": -2}})
      {'conv1': {'weight': 1}, 'fc': {'weight': -2}}
    """
    if pattern is None:
        return params
    return jax.tree.map_with_path(
        lambda path, leaf: function(leaf) if re.search(pattern, dotted(path)) else leaf, params
    )


def frozen_layers(pattern: str, variables: Mapping[str, Any]) -> set[str]:
    r"""Dotted names of the layers all of whose parameters and statistics match.

    Example:
      >>> variables = {"params": {"bn1": {"weight": 0}, "fc": {"weight": 0, "bias": 0}},
      ...              "batch_stats": {"bn1": {"running_mean": 0}}}
      >>> frozen_layers(r"^bn1\.|bias$", variables)
      {'bn1'}
    """
    matches: dict[str, bool] = {}
    for name in named_leaves("frozen_layers", variables):
        parts = name.split(".")
        for end in range(len(parts)):
            layer = ".".join(parts[:end])
            matches[layer] = matches.get(layer, True) and bool(re.search(pattern, name))
    return {layer for layer, frozen in matches.items() if frozen}


@contextlib.contextmanager
def in_evaluation(pattern: str | None, variables: Mapping[str, Any]) -> Iterator[None]:
    """Calls `frozen_layers`, and what they hold, as in evaluation, whatever `train` says.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> model, x = nn.Sequential(nn.Dropout(1.0), nn.Linear(1, 1)), jnp.ones((1, 1))
      >>> variables = model.init(jax.random.key(0), x)
      >>> with in_evaluation("^1", variables):
      ...     y = model.apply(variables, x, train=True)
      >>> bool(y == model.apply(variables, x))
      True
    """
    if pattern is None:
        yield
        return
    layers = frozen_layers(pattern, variables)

    def evaluate(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if context.method_name == "__call__" and ".".join(module.path) in layers:
            signature = inspect.signature(type(module).__call__)
            if "train" in signature.parameters:
                call = signature.bind(module, *args, **kwargs)
                call.arguments["train"] = False
                args, kwargs = call.args[1:], call.kwargs
        return next_fun(*args, **kwargs)

    with nn.intercept_methods(evaluate):
        yield
