"""The bridge to PyTorch: names, files, printed trees, and the conversion of modules.

PyTorch itself is imported by `from_torch`, `rule` and `compare` alone, when they need it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxcnn.interop.convert import ConversionError, from_torch, rule
from jaxcnn.interop.converted import Converted
from jaxcnn.interop.files import (
    Checkpoint,
    CheckpointError,
    Limits,
    read_checkpoint,
    read_state_dict,
    write_state_dict,
)
from jaxcnn.interop.layers import LayerRow, LayerTable, layer_table
from jaxcnn.interop.match import Match, matching_models
from jaxcnn.interop.source import to_source
from jaxcnn.interop.state_dict import LoadReport, to_state_dict, to_variables
from jaxcnn.interop.summary import tied_names, torch_repr

if TYPE_CHECKING:
    from jaxcnn.interop.comparison import Report, compare, compare_state_dicts

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "ConversionError",
    "Converted",
    "LayerRow",
    "LayerTable",
    "Limits",
    "LoadReport",
    "Match",
    "Report",
    "compare",
    "compare_state_dicts",
    "from_torch",
    "layer_table",
    "matching_models",
    "read_checkpoint",
    "read_state_dict",
    "rule",
    "tied_names",
    "to_source",
    "to_state_dict",
    "to_variables",
    "torch_repr",
    "write_state_dict",
]

_FROM_COMPARISON = ("Report", "compare", "compare_state_dicts")


def __getattr__(name: str) -> Any:
    if name not in _FROM_COMPARISON:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.comparison"), name)
