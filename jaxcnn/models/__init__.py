"""Models with their origin's names and state_dict keys.

`create(name, **overrides)` builds any of them; each is also a function of this package.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from jaxcnn.models.cifar10_quick import cifar10_quick
from jaxcnn.models.lenet import lenet

__all__ = ["cifar10_quick", "create", "lenet", "list_models"]

_MODELS: dict[str, Callable[..., nn.Module]] = {"cifar10_quick": cifar10_quick, "lenet": lenet}


def list_models() -> list[str]:
    """The names that `create` knows.

    Example:
      >>> list_models()
      ['cifar10_quick', 'lenet']
    """
    return sorted(_MODELS)


def create(name: str, **overrides: Any) -> nn.Module:
    """Builds the model called `name`.

    Args:
      name: One of `list_models()`.
      **overrides: Arguments of the model's own function, such as `num_classes`.

    Raises:
      ValueError: If there is no such model.

    Example:
      >>> model = create("lenet", num_classes=5)
    """
    if name not in _MODELS:
        close = difflib.get_close_matches(name, _MODELS) or list_models()
        raise ValueError(f"create: unknown model, got name={name!r}; close names: {close}.")
    return _MODELS[name](**overrides)
