"""Each layer and model of the table: state_dict keys and shapes, round trip, printed tree."""

from __future__ import annotations

import re
from typing import Any

import jax
import numpy as np
import pytest

import jaxcnn

from .cases import CASES, MODULES
from .layers import COUNTER

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch


def shown(module: Any) -> str:
    """`str(module)` as PyTorch before 2.13 prints it: without BatchNorm's usual bias."""
    settings = re.compile(r"(BatchNorm2d\(.*affine=True), bias=True|(affine=False), bias=\w+")
    return settings.sub(r"\1\2", str(module))


@pytest.mark.parametrize("id", MODULES)
def test_state_dict(id: str) -> None:
    build, make, shape = CASES[id].module
    theirs = build(torch.nn).state_dict()
    like = jax.eval_shape(make().init, jax.random.key(0), np.zeros(shape, np.float32))
    ours = jaxcnn.to_state_dict(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like))
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert ours[name].shape == tuple(tensor.shape), name
        assert ours[name].dtype == tensor.numpy().dtype, name


@pytest.mark.parametrize("id", MODULES)
def test_round_trip_is_bit_exact(id: str) -> None:
    """PyTorch's weights in, out again, and into PyTorch."""
    build, make, shape = CASES[id].module
    module = build(torch.nn)
    theirs = module.state_dict()
    for name in theirs:
        if name.endswith(COUNTER):
            theirs[name] = torch.tensor(2**31 - 1)
    like = jax.eval_shape(make().init, jax.random.key(0), np.zeros(shape, np.float32))
    variables = jaxcnn.to_variables(theirs, like)
    assert jax.tree.structure(variables) == jax.tree.structure(like)
    back = jaxcnn.to_state_dict(variables)
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert back[name].dtype == tensor.numpy().dtype
        assert back[name].tobytes() == tensor.numpy().tobytes(), name
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in back.items()})


@pytest.mark.parametrize("id", MODULES)
def test_torch_repr(id: str) -> None:
    build, make, shape = CASES[id].module
    assert jaxcnn.torch_repr(make(), shape) == shown(build(torch.nn))


def test_cifar10_quick_prints_as_the_tutorial() -> None:
    build, _, _ = CASES["cifar10_quick"].module
    assert jaxcnn.torch_repr(jaxcnn.models.cifar10_quick(), (1, 32, 32, 3)) == str(build(torch.nn))
