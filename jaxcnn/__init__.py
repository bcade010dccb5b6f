"""PyTorch's CNN layers, models and training semantics as a pure-functional JAX/Flax library."""

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
    read_state_dict,
    tied_names,
    to_state_dict,
    to_variables,
    torch_repr,
    write_state_dict,
)

__version__ = "0.1.0"

__all__ = [
    "data",
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
