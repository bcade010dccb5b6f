"""Which layers of `torch.nn` have one of `jaxcnn.nn` in their place, and with what settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

import jaxcnn.nn as nn

# Their settings name an axis, or there is nothing to do: what they call is converted instead.
_AS_FUNCTIONS = {
    *("Flatten", "Unflatten", "Softmax", "LogSoftmax", "Softmin", "GLU", "CosineSimilarity"),
    *("Softmax2d", "PairwiseDistance", "Identity", "Sequential", "ModuleList", "ModuleDict"),
}
# Stochastic depth of timm and torchvision.
_DROP_PATH = {"DropPath", "StochasticDepth"}
_NO_SETTINGS = {"parent", "name", "dtype", "param_dtype", "inplace", "process_group", "axis_name"}


def is_layer(module: torch.nn.Module) -> bool:
    """Whether one layer of `jaxcnn.nn` does what `module` does."""
    return layer_class(module) is not None


def is_norm_with_activation(module: torch.nn.Module) -> bool:
    """Whether `module` is timm's BatchNorm2d that is followed by its `drop` and `act`."""
    follows = hasattr(module, "act") and hasattr(module, "drop")
    return follows and type(module).__name__ == "BatchNormAct2d"


def layer_class(module: torch.nn.Module) -> type | None:
    """The layer of `jaxcnn.nn` that does what `module` does, if there is one."""
    kind = type(module)
    if kind.__name__ in _DROP_PATH and kind.__module__.partition(".")[0] in ("timm", "torchvision"):
        return nn.DropPath
    # A weight that is computed (weight_norm, spectral_norm, pruning) is part of the program.
    hooks = module._forward_pre_hooks or module._forward_hooks
    if hooks or hasattr(module, "parametrizations"):
        return None
    bases = (base for base in kind.__mro__ if base.__module__.startswith("torch.nn.modules."))
    base = next(bases, torch.nn.Module)
    if kind.forward is not base.forward or base.__name__ in _AS_FUNCTIONS:
        return None
    if base.__module__ == "torch.nn.modules.loss":
        return None
    return getattr(nn, base.__name__, None)


def layer_settings(module: torch.nn.Module) -> dict[str, Any]:
    """The fields of `layer_class(module)` that are not at their defaults."""
    kind = layer_class(module)
    if kind is None and is_norm_with_activation(module):
        kind = nn.BatchNorm2d
    assert kind is not None
    settings: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name in _NO_SETTINGS or field.name.endswith("_init") or not field.init:
            continue
        value = _setting(module, field.name)
        if value is not dataclasses.MISSING and value != field.default:
            settings[field.name] = value
    dtypes = {x.dtype for x in module.parameters(recurse=False)}
    if dtypes and dtypes != {torch.float32}:
        settings["param_dtype"] = str(dtypes.pop()).removeprefix("torch.")
    return settings


def _setting(module: torch.nn.Module, name: str) -> Any:
    if name == "bias" and isinstance(module, torch.nn.MultiheadAttention):
        return module.in_proj_bias is not None
    if name == "bias":
        affine = getattr(module, "affine", getattr(module, "elementwise_affine", True))
        return module.bias is not None if affine else dataclasses.MISSING
    if name == "add_bias_kv":
        return module.bias_k is not None
    if name == "drop_prob":
        return float(getattr(module, name, getattr(module, "p", 0.0)) or 0.0)
    value = getattr(module, name, dataclasses.MISSING)
    if isinstance(value, torch.Tensor):
        return dataclasses.MISSING
    return tuple(value) if isinstance(value, list) else value
