"""Dropout layers and DropPath: their rng, their mode, their printed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn

KEY = jax.random.key(0)
# Layer, input's shape, axes that one draw covers.
LAYERS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "Dropout1d": (nn.Dropout1d(), (20, 3, 30), (1,)),
    "Dropout2d": (nn.Dropout2d(), (20, 3, 2, 30), (1, 2)),
    "Dropout3d": (nn.Dropout3d(), (20, 3, 2, 2, 30), (1, 2, 3)),
    "AlphaDropout": (nn.AlphaDropout(), (20, 30), ()),
    "FeatureAlphaDropout": (nn.FeatureAlphaDropout(), (20, 3, 2, 30), (1, 2)),
    "DropPath": (nn.DropPath(0.5), (600, 3, 2), (1, 2)),
}


def _train(layer: Any, x: jax.Array, key: jax.Array = KEY) -> np.ndarray:
    return np.asarray(layer.apply({}, x, train=True, rngs={"dropout": key}))


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    layer, shape, axes = LAYERS[name]
    x = jnp.ones(shape)
    assert layer.apply({}, x) is x
    first, other = _train(layer, x), _train(layer, x, jax.random.key(1))
    assert np.array_equal(first.min(axes), first.max(axes))
    assert not np.array_equal(first, other)
    assert len(np.unique(first)) == 2
    assert 0.4 < float(np.mean(first == first.min())) < 0.6


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_no_key_without_chance(name: str, p: float) -> None:
    x = jnp.ones(LAYERS[name][1])
    assert jnp.array_equal(getattr(nn, name)(p).apply({}, x, train=True), x * (1 - p))


def test_drop_path_modes() -> None:
    """Field by field what the function gets."""
    x = jnp.ones((50, 2))
    batch = [_train(nn.DropPath(0.5, False, "batch"), x, jax.random.key(i)) for i in range(20)]
    assert {tuple(np.unique(y)) for y in batch} == {(0,), (1,)}
    assert set(np.unique(_train(nn.DropPath(0.5), x))) == {0, 2}
    y = F.drop_path(x, 0.5, "row", scale_by_keep=False, rng=KEY)
    assert set(np.unique(y)) == set(np.unique(_train(nn.DropPath(0.5, False), x)))


def test_two_layers_draw_apart() -> None:
    model = nn.Sequential(nn.DropPath(0.5), nn.DropPath(0.5))
    assert 0.2 < float(np.mean(_train(model, jnp.ones((2000, 1))) != 0)) < 0.3


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "DropPath"])
def test_printed(name: str) -> None:
    assert getattr(nn, name)(0.2, inplace=True).extra_repr() == "p=0.2, inplace=True"


def test_drop_path_prints_no_settings() -> None:
    """As in the published print of SpectFormer, which holds layers of one stage to be equal."""
    assert jaxcnn.torch_repr(nn.DropPath(0.1), (1, 2)) == "DropPath()"


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "DropPath"])
def test_probability_out_of_range(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: p must be between 0 and 1, got p=-0\.1\.$"):
        getattr(nn, name)(-0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop_prob": 2}, r"^DropPath: drop_prob must be between 0 and 1, got drop_prob=2\.$"),
        (
            {"mode": "image"},
            r"^DropPath: mode must be one of \('batch', 'row'\), got mode='image'\.$",
        ),
    ],
    ids=["drop_prob", "mode"],
)
def test_drop_path_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nn.DropPath(**arguments)
