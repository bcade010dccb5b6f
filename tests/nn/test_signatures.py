"""Constructors take PyTorch's arguments: names, order, defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from jaxcnn import nn

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

# linen's own, the dtype fields that stand in for torch's device and dtype, the name that stands in
# for SyncBatchNorm's process group, and the initialisers that stand in for filling in place.
LINEN = {
    *("parent", "name", "dtype", "param_dtype", "axis_name"),
    *("weight_init", "bias_init"),
}
LAYERS = [
    name
    for name in nn.__all__
    if name not in ("Sequential", "Identity") and hasattr(torch.nn, name)
]
PLACEMENT = {"device", "dtype"}


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
