"""The bridge to PyTorch: names, files and printed trees. Torch itself is never imported."""

from jaxcnn.interop.files import (
    Checkpoint,
    CheckpointError,
    Limits,
    read_checkpoint,
    read_state_dict,
    write_state_dict,
)
from jaxcnn.interop.state_dict import to_state_dict, to_variables
from jaxcnn.interop.summary import tied_names, torch_repr

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "Limits",
    "read_checkpoint",
    "read_state_dict",
    "tied_names",
    "to_state_dict",
    "to_variables",
    "torch_repr",
    "write_state_dict",
]
