"""What parity cases cannot show of padding, resizing, shuffling and sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for parameter in jax.tree.leaves(equation.params):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def _largest(function: Any, *arguments: Any) -> int:
    """Entries of the largest array that a program holds, constants included."""
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    return max(math.prod(v.aval.shape) for e in _equations(jaxpr) for v in (*e.invars, *e.outvars))


@pytest.mark.parametrize(
    ("mode", "size", "antialias"),
    [
        ("nearest", 6000, False),
        ("bilinear", 6000, False),
        ("bicubic", 6000, False),
        ("area", 4500, False),
        ("bilinear", 4500, True),
        ("bicubic", 4500, True),
        ("bicubic", 6000, True),
        ("bilinear", 64, True),
    ],
)
def test_interpolate_builds_no_dense_matrix(mode: str, size: int, antialias: bool) -> None:
    """Forward and gradient of a line over 4096 pixels hold lines, nothing of (out x in)."""
    x = jnp.ones((1, 5000, 1, 2))
    resize = lambda x: F.interpolate(x, (size, 1), mode=mode, antialias=antialias)
    gradient = lambda x: jax.grad(lambda x: jnp.sum(resize(x) ** 2))(x)
    assert _largest(gradient, x) <= 20 * max(size, 5000)  # two channels; up to 11 taps a pixel


def test_area_keeps_infinity_to_its_pixels() -> None:
    x = jnp.array([1.0, 2.0, 3.0, jnp.inf, 5.0]).reshape(1, 5, 1)
    assert F.interpolate(x, 3, mode="area").ravel().tolist() == [1.5, jnp.inf, jnp.inf]
    assert F.interpolate(x, 4, mode="area").ravel().tolist() == [1.5, 2.5, jnp.inf, jnp.inf]


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_interpolate_sums_half_precision_gradients_widely(mode: str) -> None:
    """256 + 1 = 256 in bfloat16."""
    resize = lambda x: F.interpolate(x, 32, mode=mode).astype(jnp.float32)
    x = jnp.ones((1, 1, 1, 1), jnp.bfloat16)
    y, vjp = jax.vjp(resize, x)
    assert F.interpolate(x, 32, mode=mode).dtype == jnp.bfloat16
    assert float(vjp(jnp.ones_like(y))[0].ravel()[0]) == 1024


def test_interpolate_keeps_integers_in_range() -> None:
    """A bicubic step overshoots; bytes do not wrap around."""
    x = jnp.array([0, 0, 255, 255], jnp.uint8).reshape(1, 4, 1, 1)
    y = F.interpolate(x, (8, 1), mode="bicubic").ravel()
    assert y.dtype == jnp.uint8
    assert y.tolist() == sorted(y.tolist())
    assert y[0] == 0
    assert y[-1] == 255


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_nearest_copies_any_type(mode: str) -> None:
    x = jnp.array([2**30 + 1, -(2**30) - 1]).reshape(1, 2, 1)
    assert F.interpolate(x, 4, mode=mode).ravel().tolist() == [x[0, 0, 0]] * 2 + [x[0, 1, 0]] * 2


@pytest.mark.parametrize("antialias", [False, True])
def test_interpolate_forward_mode_and_second_order(antialias: bool) -> None:
    """Resizing is linear: it is its own tangent, and so is the gradient of its square."""
    resize = jax.vmap(lambda x: F.interpolate(x, (2, 3), mode="bicubic", antialias=antialias))
    x, v = np.random.RandomState(0).standard_normal((2, 2, 1, 4, 2, 2)).astype(np.float32)
    slope = jax.grad(lambda x: jnp.sum(resize(x) ** 2))
    for linear in (resize, slope):
        _, tangent = jax.jit(lambda x, v, f=linear: jax.jvp(f, (x,), (v,)))(x, v)
        np.testing.assert_allclose(tangent, linear(v), atol=1e-5)


def test_circular_padding_continues_from_what_is_left() -> None:
    x = jnp.arange(5).reshape(1, 5, 1)
    assert F.pad(x, (2, -1), "circular").ravel().tolist() == [2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_padding_repeats_before_it_cuts(mode: str) -> None:
    x = jnp.arange(5).reshape(1, 5, 1)
    expected = {"reflect": [4, 3, 2, 1], "replicate": [0, 0, 0, 0]}[mode]
    assert F.pad(x, (4, -5), mode).ravel().tolist() == expected


def test_pad_reads_missing_batch_axes() -> None:
    """The same three axes: one pair means lines, two an image; four axes keep their batch."""
    x = jnp.ones((4, 5, 3))
    assert F.pad(x, (1, 1)).shape == (4, 7, 3)
    assert F.pad(x, (1, 1, 2, 2)).shape == (8, 7, 3)
    assert F.pad(x, (1, 1, 2, 2), "replicate").shape == (8, 7, 3)
    assert F.pad(x, (1, 1, 2, 2, 3, 3)).shape == (8, 7, 9)
    assert F.pad(x[None], (1, 1, 2, 2, 3, 3)).shape == (1, 8, 7, 9)
    assert F.pad(x[None], (1, 1, 2, 2, 3, 3), "replicate").shape == (7, 8, 7, 3)
    assert F.pad(x[0], (1, 1)).shape == (5, 5)
    assert F.pad(x[0], (1, 1), "replicate").shape == (7, 3)
    assert F.pad(x[0, 0], (1, 1)).shape == (5,)


def test_pixel_shuffle_round_trip() -> None:
    x = jnp.arange(2 * 3 * 4 * 18.0).reshape(2, 3, 4, 18)
    y = F.pixel_shuffle(x, 3)
    assert y.shape == (2, 9, 12, 2)
    assert y[0, :3, :3, 1].ravel().tolist() == x[0, 0, 0, 9:].tolist()
    assert jnp.array_equal(F.pixel_unshuffle(y, 3), x)


def test_channel_shuffle_is_undone_by_the_other_factor() -> None:
    x = jnp.arange(2 * 3 * 12).reshape(2, 3, 12)
    assert jnp.array_equal(F.channel_shuffle(F.channel_shuffle(x, 3), 4), x)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("spatial", [(4, 6), (3, 4, 5)], ids=["2d", "3d"])
def test_identity_grid_returns_the_image(spatial: tuple[int, ...], corners: bool) -> None:
    """x runs along the width: a transposed grid would show on unequal sides."""
    n = len(spatial)
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, *spatial, 3)), jnp.float32)
    theta = jnp.broadcast_to(jnp.eye(n, n + 1), (2, n, n + 1))
    grid = F.affine_grid(theta, x.shape, corners)
    y = F.grid_sample(x, grid, align_corners=corners, padding_mode="border")
    np.testing.assert_allclose(y, x, atol=1e-5)


def test_affine_grid_moves_along_the_width() -> None:
    x = jnp.arange(4.0).reshape(1, 1, 4, 1)
    theta = jnp.array([[[1.0, 0, 0.5], [0, 1, 0]]])  # a quarter of the width: one pixel
    assert F.grid_sample(x, F.affine_grid(theta, x.shape)).ravel().tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["border", "reflection"])
def test_grid_sample_of_nan_is_the_first_pixel(mode: str, padding_mode: str) -> None:
    """A broken place must not spoil the gradient of the image."""
    x, grid = jnp.arange(4.0).reshape(1, 2, 2, 1), jnp.full((1, 1, 1, 2), jnp.nan)
    sample = lambda x: F.grid_sample(x, grid, mode, padding_mode).sum()
    assert float(sample(x)) == 0
    assert bool(jnp.all(jnp.isfinite(jax.grad(sample)(x))))


def test_grid_sample_keeps_the_input_s_type() -> None:
    x, grid = jnp.ones((1, 2, 2, 1), jnp.bfloat16), jnp.zeros((1, 1, 1, 2))
    assert F.grid_sample(x, grid).dtype == jnp.bfloat16
    assert F.affine_grid(jnp.ones((1, 2, 3), jnp.bfloat16), (1, 2, 2, 1)).dtype == jnp.bfloat16
