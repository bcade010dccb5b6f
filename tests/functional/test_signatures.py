"""Activations, look-up and attention take PyTorch's arguments: names, order, defaults."""

from __future__ import annotations

import inspect
import re

import pytest

from jaxcnn import functional as F

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

PYTHON = (
    "celu",
    "elu",
    "embedding",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "mish",
    "multi_head_attention_forward",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
)
BUILT_IN = (
    "bilinear",
    "gelu",
    "hardshrink",
    "linear",
    "logsigmoid",
    "prelu",
    "scaled_dot_product_attention",
    "softplus",
    "softshrink",
)


def _parameters(function: object) -> list[tuple[str, object]]:
    """(name, default) of each argument but the random key, which is ours alone."""
    found = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(p.name, p.default) for p in found if p.name != "rng"]


@pytest.mark.parametrize("name", PYTHON)
def test_function(name: str) -> None:
    assert _parameters(getattr(F, name)) == _parameters(getattr(torch.nn.functional, name))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_function(name: str) -> None:
    """C functions have no signature, but their help begins with one."""
    text = re.search(r"\((.*?)\) ->", getattr(torch.nn.functional, name).__doc__, re.DOTALL)
    parts = [part.partition("=") for part in text[1].split(",")]
    theirs = [(n.strip(), d.strip().strip("'") or None) for n, _, d in parts]
    ours = [
        (n, None if d is inspect.Parameter.empty else d) for n, d in _parameters(getattr(F, name))
    ]
    assert [n for n, _ in ours] == [n for n, _ in theirs]
    for (_, ours_default), (_, theirs_default) in zip(ours, theirs, strict=True):
        shown = str(ours_default)
        assert theirs_default in (None, shown, shown.removesuffix(".0"))
