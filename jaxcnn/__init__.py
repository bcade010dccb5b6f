"""PyTorch's CNN layers, models and training semantics as a pure-functional JAX/Flax library.

Parts are imported when they are first used: `import jaxcnn` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxcnn import (
        data,
        functional,
        init,
        interop,
        layout,
        models,
        nn,
        optim,
        parameters,
        train,
    )
    from jaxcnn.interop import (
        compare,
        from_torch,
        read_state_dict,
        tied_names,
        to_state_dict,
        to_variables,
        torch_repr,
        write_state_dict,
    )

__version__ = "0.1.0"

__all__ = [
    "compare",
    "data",
    "from_torch",
    "functional",
    "init",
    "interop",
    "layout",
    "models",
    "nn",
    "optim",
    "parameters",
    "read_state_dict",
    "tied_names",
    "to_state_dict",
    "to_variables",
    "torch_repr",
    "train",
    "write_state_dict",
]

_FROM_INTEROP = {
    "compare",
    "from_torch",
    "read_state_dict",
    "tied_names",
    "to_state_dict",
    "to_variables",
    "torch_repr",
    "write_state_dict",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _FROM_INTEROP:
        return importlib.import_module(f"{__name__}.{name}")
    value = getattr(importlib.import_module(f"{__name__}.interop"), name)
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
