"""Constructors and functions take PyTorch's arguments: names, order, defaults."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from jaxcnn import functional as F
from jaxcnn import nn

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

# linen's own, the dtype fields that stand in for torch's device and dtype, and the name that stands
# in for SyncBatchNorm's process group.
LINEN = {"parent", "name", "dtype", "param_dtype", "axis_name"}
LAYERS = [
    name
    for name in nn.__all__
    if name not in ("Sequential", "Identity") and hasattr(torch.nn, name)
]
PLACEMENT = {"device", "dtype"}
DROPOUTS = ["dropout", "dropout1d", "dropout2d", "dropout3d"]
DROPOUTS += ["alpha_dropout", "feature_alpha_dropout"]
NORMS = ["batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm"]
NORMS += ["local_response_norm", "normalize"]
# Ours alone: randomness and devices are explicit.
ADDED = {**{name: {"rng"} for name in DROPOUTS}, "batch_norm": {"axis_name"}}


def parameters(function: Callable[..., Any], without: set[str]) -> list[tuple[str, Any, bool]]:
    """(name, default, keyword only) of each argument."""
    return [
        (p.name, p.default, p.kind == p.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
        if p.name not in without and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    theirs = parameters(getattr(torch.nn, name), PLACEMENT)
    if name == "PReLU":  # linen's modules have a method `init`
        theirs = [("init_value" if row[0] == "init" else row[0], *row[1:]) for row in theirs]
    assert parameters(getattr(nn, name), LINEN) == theirs


@pytest.mark.parametrize("name", ["relu", *NORMS, *DROPOUTS, "cross_entropy", "interpolate", "pad"])
def test_function(name: str) -> None:
    theirs = parameters(getattr(torch.nn.functional, name), set())
    assert parameters(getattr(F, name), ADDED.get(name, set())) == theirs


@pytest.mark.parametrize("name", ["conv2d", "avg_pool2d", "linear"])
def test_builtin_function(name: str) -> None:
    """C functions have no signature, but their help begins with one."""
    arguments = re.search(r"\((.*?)\) ->", getattr(torch.nn.functional, name).__doc__)[1]
    theirs = [part.strip().partition("=")[0] for part in arguments.split(",")]
    assert [name for name, _, _ in parameters(getattr(F, name), set())] == theirs


def test_max_pool2d() -> None:
    """The public one of PyTorch hides its arguments; this is what it calls."""
    theirs = parameters(torch.nn.functional._max_pool2d, set())
    assert parameters(F.max_pool2d, set()) == theirs
