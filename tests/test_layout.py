"""Moving between channels-first and channels-last."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import layout


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)], ids=str)
def test_round_trip(shape: tuple[int, ...], rng: np.random.RandomState) -> None:
    x = rng.standard_normal(shape).astype(np.float32)
    last = layout.to_channels_last(x)
    assert last.shape == (shape[0], *shape[2:], shape[1])
    np.testing.assert_array_equal(last[..., 1], x[:, 1])
    np.testing.assert_array_equal(layout.to_channels_first(last), x)


@pytest.mark.parametrize("name", ["to_channels_last", "to_channels_first"])
def test_too_few_axes(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: x must be \(N, .*, got shape=\(3,\)\.$"):
        getattr(layout, name)(np.ones(3))


def test_flatten_takes_channels_first() -> None:
    """Red, green and blue come one after the other, as in PyTorch."""
    x = np.zeros((2, 2, 2, 3))
    x[..., 0], x[..., 1], x[..., 2] = 1, 2, 3
    assert layout.flatten(x, 1)[0].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_flatten_of_pixels_keeps_channels_last() -> None:
    x = np.arange(12).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(layout.flatten(x, 1, 2), x.reshape(1, 4, 3))


def test_flatten_of_a_scalar() -> None:
    assert layout.flatten(5.0).shape == (1,)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ((4, -1), r"start_dim must be an axis of the 4-D array, got start_dim=4\."),
        ((1, -5), r"end_dim must be an axis of the 4-D array, got end_dim=-5\."),
        ((2, 1), r"start_dim must not come after end_dim, got start_dim=2, end_dim=1\."),
    ],
    ids=str,
)
def test_flatten_errors(dims: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^flatten: {message}$"):
        layout.flatten(np.ones((1, 2, 2, 3)), *dims)


def test_flatten_refuses_all_of_three_axes() -> None:
    with pytest.raises(ValueError, match=r"flatten: all of a 3-D array .* got shape=\(2, 3, 4\)"):
        layout.flatten(jnp.ones((2, 3, 4)))
