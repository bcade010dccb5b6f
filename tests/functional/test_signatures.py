"""Functions take PyTorch's arguments: names, order, defaults."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

import pytest

from jaxcnn import functional as F

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

# From torchvision and torch itself; their own tests hold their arguments.
ELSEWHERE = {"deform_conv2d", "drop_path", "embedding_renorm"}
NAMES = [name for name in F.__all__ if name not in ELSEWHERE]
# Ours alone: randomness and devices are explicit.
ADDED = {"rng", "axis_name"}


def ours(name: str) -> list[tuple[str, Any]]:
    """(name, default) of each argument."""
    parameters = inspect.signature(getattr(F, name)).parameters.values()
    return [(p.name, p.default) for p in parameters if p.name not in ADDED]


@pytest.mark.parametrize("name", NAMES)
def test_equals_torch(name: str) -> None:
    # Where PyTorch hides the arguments behind a switch for `return_indices`, what it calls.
    theirs = getattr(torch.nn.functional, f"_{name}", getattr(torch.nn.functional, name))
    if not inspect.isbuiltin(theirs):
        expected = [(p.name, p.default) for p in inspect.signature(theirs).parameters.values()]
        assert ours(name) == expected
        return
    # C functions have no signature, but their help begins with one; some leave defaults out.
    text = re.search(r"\((.*?)\)( ->|\n)", theirs.__doc__, re.DOTALL)
    parts = [[side.strip() for side in part.split("=")] for part in text[1].split(",")]
    assert [row[0] for row in ours(name)] == [part[0] for part in parts]
    for (_, default), (_, *shown) in zip(ours(name), parts, strict=True):
        assert not shown or ast.literal_eval(shown[0]) == default
