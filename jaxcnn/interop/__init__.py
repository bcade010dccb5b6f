"""The bridge to PyTorch: names, files and printed trees. Torch itself is never imported."""

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
from jaxcnn.interop.state_dict import LoadReport, to_state_dict, to_variables
from jaxcnn.interop.summary import tied_names, torch_repr

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "LayerRow",
    "LayerTable",
    "Limits",
    "LoadReport",
    "Match",
    "layer_table",
    "matching_models",
    "read_checkpoint",
    "read_state_dict",
    "tied_names",
    "to_state_dict",
    "to_variables",
    "torch_repr",
    "write_state_dict",
]
