"""Dropout and drop_path: what is drawn, of which numbers, in which shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

KEY = jax.random.key(0)
N = 20_000
# Function, shape, the axes that one draw covers. 3-D input of dropout2d is a batch of sequences.
WHOLE: dict[str, tuple[Callable[..., jax.Array], tuple[int, ...], tuple[int, ...]]] = {
    "dropout1d": (F.dropout1d, (200, 3, 100), (1,)),
    "dropout1d-unbatched": (F.dropout1d, (3, N), (0,)),
    "dropout2d": (F.dropout2d, (200, 3, 2, 100), (1, 2)),
    "dropout2d-sequences": (F.dropout2d, (200, 3, 100), (1,)),
    "dropout3d": (F.dropout3d, (200, 2, 2, 2, 100), (1, 2, 3)),
    "dropout3d-unbatched": (F.dropout3d, (2, 2, 2, N), (0, 1, 2)),
    "feature_alpha_dropout": (F.feature_alpha_dropout, (200, 3, 2, 100), (1, 2)),
    "feature_alpha_dropout-vectors": (F.feature_alpha_dropout, (200, 100), ()),
    "drop_path-row": (lambda x, p, **_: F.drop_path(x, p, "row", rng=KEY), (N, 2, 3), (1, 2)),
}


@pytest.mark.parametrize("p", [0.1, 0.7])
@pytest.mark.parametrize("id", WHOLE)
def test_whole_channels(id: str, p: float) -> None:
    """Nothing varies within a channel; between channels it does, with the right share."""
    function, shape, axes = WHOLE[id]
    y = np.asarray(function(jnp.ones(shape), p, training=True, rng=KEY))
    low, high = np.unique(y)
    assert np.array_equal(y.min(axes), y.max(axes))
    dropped = (y == low).mean(axes)
    deviation = np.sqrt(p * (1 - p) / dropped.size)
    assert abs(dropped.mean() - p) < 4 * deviation
    for axis in range(dropped.ndim):  # neither whole images nor one mask for all of them
        assert (dropped != np.take(dropped, [0], axis)).any()
    if not id.startswith("feature_alpha"):
        assert (low, high) == (0, np.float32(1 / (1 - p)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("function", "shape"),
    [(F.alpha_dropout, (400_000,)), (F.feature_alpha_dropout, (400_000, 1, 1))],
    ids=["entries", "channels"],
)
def test_alpha_dropout_keeps_mean_and_variance(
    function: Any, shape: tuple[int, ...], p: float, rng: np.random.RandomState
) -> None:
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    y = np.asarray(function(x, p, training=True, rng=KEY), np.float64)
    assert y.mean() == pytest.approx(0, abs=0.01)
    assert y.var() == pytest.approx(1, abs=0.02)


@pytest.mark.torch
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_alpha_dropout_has_torch_s_values(p: float) -> None:
    """A kept and a dropped entry, which is all that there is."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    torch.manual_seed(0)
    expected = torch.nn.functional.alpha_dropout(torch.full((1000,), 3.0), p, training=True)
    y = F.alpha_dropout(jnp.full(1000, 3.0), p, training=True, rng=KEY)
    np.testing.assert_allclose(np.unique(y), np.unique(expected.numpy()), rtol=1e-6)


def test_alpha_dropout_is_off_by_default() -> None:
    x = jnp.ones(3)
    assert F.alpha_dropout(x) is x
    assert F.feature_alpha_dropout(x) is x


def test_drop_path_drops_the_batch_as_one() -> None:
    keys = jax.random.split(KEY, 2000)
    y = jax.vmap(lambda key: F.drop_path(jnp.ones((4, 2)), 0.3, "batch", rng=key))(keys)
    assert bool(jnp.all(y == y[:, :1, :1]))
    assert float(jnp.mean(y == 0)) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 2000))
    assert float(y.max()) == np.float32(1 / 0.7)


def test_drop_path_unscaled() -> None:
    y = F.drop_path(jnp.ones((100, 2)), 0.5, "row", scale_by_keep=False, rng=KEY)
    assert sorted(set(y.ravel().tolist())) == [0, 1]


DETERMINISTIC: dict[str, Callable[..., jax.Array]] = {
    **{
        name: getattr(F, name)
        for name in (
            "dropout",
            "dropout1d",
            "dropout2d",
            "dropout3d",
            "alpha_dropout",
            "feature_alpha_dropout",
        )
    },
    "drop_path": lambda x, p, training: F.drop_path(x, p, "row", training),
}


def _input(id: str) -> jax.Array:
    return jnp.full((8, 2, 3) if id == "dropout1d" else (8, 2, 2, 3), 2.0)


@pytest.mark.parametrize("id", DETERMINISTIC)
def test_needs_no_key_without_chance(id: str) -> None:
    function, x = DETERMINISTIC[id], _input(id)
    assert jnp.array_equal(function(x, 0.5, training=False), x)
    assert jnp.array_equal(function(x, 0.0, training=True), x)
    assert jnp.array_equal(function(x, 1.0, training=True), jnp.zeros_like(x))
    half = x.astype(jnp.bfloat16)
    assert function(half, 1.0, training=True).dtype == jnp.bfloat16


@pytest.mark.parametrize("id", DETERMINISTIC)
def test_transforms(id: str) -> None:
    """Under jit the same draw; the gradient is the mask's factor; half precision stays."""
    function, x = DETERMINISTIC[id], _input(id)
    if id == "drop_path":
        call = lambda x, key: F.drop_path(x, 0.5, "row", rng=key)
    else:
        call = lambda x, key: function(x, 0.5, training=True, rng=key)
    y = call(x, KEY)
    np.testing.assert_allclose(jax.jit(call)(x, KEY), y, rtol=1e-6)
    slope = jax.grad(lambda x: call(x, KEY).sum())(x)
    assert len(np.unique(slope)) == 2
    np.testing.assert_array_equal(slope == 0, y == np.asarray(y).min())
    stacked = jax.vmap(call)(jnp.stack([x, x]), jax.random.split(KEY))
    assert stacked.shape == (2, *x.shape)
    assert call(x.astype(jnp.bfloat16), KEY).dtype == jnp.bfloat16
