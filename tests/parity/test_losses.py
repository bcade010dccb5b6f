"""Losses and distances against PyTorch: signatures, printed forms, state_dicts."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

LAYERS = [
    name for name in nn.__all__ if name.endswith(("Loss", "PairwiseDistance", "CosineSimilarity"))
]
WEIGHT = np.array([0.5, 1.0, 2.0], np.float32)


@pytest.mark.parametrize("name", LAYERS)
def test_call_signature(name: str) -> None:
    """The arrays have PyTorch's names too."""
    ours = list(inspect.signature(getattr(nn, name).__call__).parameters)
    assert ours == list(inspect.signature(getattr(torch.nn, name).forward).parameters)


@pytest.mark.parametrize("name", LAYERS)
def test_prints_as_torch(name: str) -> None:
    """Nothing between the brackets; a distance that is a module shows as a child."""
    theirs = str(getattr(torch.nn, name)())
    if name != "TripletMarginWithDistanceLoss":
        assert theirs == f"{name}()"
        assert not hasattr(getattr(nn, name), "extra_repr")
        return

    class Two(nn.TripletMarginWithDistanceLoss):
        """Takes one input, as `torch_repr` gives it."""

        def __call__(self, x: Any) -> Any:
            return super().__call__(x, x, x)

    shown = jaxcnn.torch_repr(Two(), (2, 3))
    assert shown == theirs.replace(name, "Two")


@pytest.mark.parametrize(
    ("name", "buffers"),
    [
        ("BCELoss", ("weight",)),
        ("BCEWithLogitsLoss", ("weight",)),
        ("BCEWithLogitsLoss", ("pos_weight",)),
        ("BCEWithLogitsLoss", ("weight", "pos_weight")),
        ("CrossEntropyLoss", ("weight",)),
        ("MultiLabelSoftMarginLoss", ("weight",)),
        ("MultiMarginLoss", ("weight",)),
        ("NLLLoss", ("weight",)),
    ],
)
def test_state_dict(name: str, buffers: tuple[str, ...]) -> None:
    theirs = getattr(torch.nn, name)(**{b: torch.tensor(WEIGHT) for b in buffers}).state_dict()
    y = jnp.array([0, 2]) if name in ("CrossEntropyLoss", "MultiMarginLoss", "NLLLoss") else None
    x = jnp.full((2, 3), 0.5)
    layer = getattr(nn, name)(**dict.fromkeys(buffers, WEIGHT))
    variables = layer.init(jax.random.key(0), x, x if y is None else y)
    ours = jaxcnn.to_state_dict(variables)
    assert set(ours) == set(theirs)
    for key, tensor in theirs.items():
        np.testing.assert_array_equal(ours[key], tensor.numpy())
        assert ours[key].dtype == tensor.numpy().dtype
    assert jax.tree.structure(jaxcnn.to_variables(theirs, variables)) == jax.tree.structure(
        variables
    )


@pytest.mark.parametrize("shape", [(4, 3), (4, 1, 2), (1, 3, 2)], ids=str)
def test_variance_shapes(shape: tuple[int, ...], x64: None) -> None:
    rng = np.random.RandomState(0)
    arrays = [*rng.standard_normal((2, 4, 3, 2)), rng.uniform(0.5, 2, shape)]
    theirs = torch.nn.functional.gaussian_nll_loss(*map(torch.tensor, arrays), reduction="none")
    ours = F.gaussian_nll_loss(*arrays, reduction="none")
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7)
