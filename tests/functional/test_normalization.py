"""Normalisation where PyTorch's samples do not look: large means, half precision, lone values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

SHAPE = (4, 6, 5, 8)
# Axes of the array (n, h, w, c), or of (n, h, w, groups, c/groups), that are averaged over.
NORMS: dict[str, tuple[Callable[[jax.Array], jax.Array], tuple[int, ...]]] = {
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), (0, 1, 2)),
    "instance_norm": (F.instance_norm, (1, 2)),
    "group_norm": (lambda x: F.group_norm(x, 2), (1, 2, 4)),
    "layer_norm": (lambda x: F.layer_norm(x, SHAPE[1:]), (1, 2, 3)),
}


def _in_float64(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    grouped = x.reshape(*SHAPE[:3], 2, 4) if 4 in axes else x
    centred = grouped - grouped.mean(axes, keepdims=True)
    return (centred / np.sqrt(grouped.var(axes, keepdims=True) + 1e-5)).reshape(x.shape)


@pytest.mark.parametrize("name", NORMS)
def test_far_from_zero(name: str, rng: np.random.RandomState) -> None:
    """E[x^2] - E[x]^2 in float32 is wrong by 1 here."""
    function, axes = NORMS[name]
    x = (1e3 + rng.standard_normal(SHAPE)).astype(np.float32)
    # At 1e3 float32 holds the mean itself to 6e-5.
    np.testing.assert_allclose(
        function(x), _in_float64(x.astype(np.float64), axes), rtol=0, atol=5e-4
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NORMS)
def test_half_precision_rounds_once(name: str, dtype: str, rng: np.random.RandomState) -> None:
    function, axes = NORMS[name]
    x = jnp.asarray(rng.standard_normal(SHAPE) + 3, dtype)
    y, expected = function(x), _in_float64(np.asarray(x, np.float64), axes)
    assert y.dtype == dtype
    step = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, rtol=0.6 * step, atol=1e-5)


def test_mixed_dtypes(rng: np.random.RandomState) -> None:
    """Parameters and statistics in float32 lose nothing to a bfloat16 input."""
    x = jnp.asarray(rng.standard_normal((64, 3)), jnp.bfloat16)
    weight, bias = jnp.float32(rng.standard_normal((2, 3)))
    y, mean, var = F.batch_norm(x, jnp.zeros(3), jnp.ones(3), weight, bias, training=True)
    assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    wide, _, _ = F.batch_norm(
        x.astype(jnp.float32), jnp.zeros(3), jnp.ones(3), weight, bias, training=True
    )
    assert jnp.array_equal(y, wide.astype(jnp.bfloat16))


def test_half_precision_statistics_move_in_float32() -> None:
    old = jnp.full(1, 1000.0, jnp.bfloat16)
    x = jnp.array([[1064.0], [1064.0]])
    _, mean, _ = F.batch_norm(x, old, old, training=True, momentum=0.5)
    assert mean.dtype == jnp.bfloat16
    assert mean.tolist() == [1032]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (F.batch_norm, (0,)),
        *((f, s) for f in (F.batch_norm, F.instance_norm) for s in ((0, 3), (0, 4, 3), (2, 0, 3))),
    ],
)
def test_empty_batch_leaves_statistics(function: Any, shape: tuple[int, ...]) -> None:
    mean, var = jnp.arange(float(shape[-1])), jnp.full(shape[-1:], 2.0)
    flag = {"training": True} if function is F.batch_norm else {}
    normalize = lambda weight: function(jnp.ones(shape), mean, var, weight, **flag)
    y, new_mean, new_var = normalize(None)
    assert y.shape == shape
    assert jnp.array_equal(new_mean, mean)
    assert jnp.array_equal(new_var, var)
    slope = jax.grad(lambda weight: normalize(weight)[0].sum())(jnp.ones(shape[-1:]))
    assert jnp.array_equal(slope, jnp.zeros(shape[-1:]))


LONE: dict[str, tuple[Callable[[jax.Array], jax.Array], np.ndarray]] = {
    "batch_norm": (
        lambda x: F.batch_norm(x, None, None, training=True),
        np.array([[-8.5], [-1.7]]),
    ),
    "group_norm": (lambda x: F.group_norm(x, 1), np.array([[-8.5, -1.7]])),
    "layer_norm-one": (lambda x: F.layer_norm(x, 1), np.array([-4.3])),
    "layer_norm-two": (lambda x: F.layer_norm(x, 2), np.array([[-8.0, 3.6]])),
    "rms_norm": (lambda x: F.rms_norm(x, 1), np.array([396.5])),
    "normalize": (lambda x: F.normalize(x, 0.5, 0), np.array([[-0.9, -0.2, 5.0]])),
}


@pytest.mark.parametrize("id", LONE)
def test_gradient_of_lone_values(id: str) -> None:
    """One or two values normalise to a constant, but for eps: the slope is zero, but for eps."""
    function, x = LONE[id]
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(3 * function(x))))(jnp.float32(x))
    with jax.enable_x64(True):
        expected = jax.grad(lambda x: jnp.sum(jnp.sin(3 * function(x))))(jnp.float64(x))
    assert np.abs(expected).max() < 2e-6
    np.testing.assert_allclose(slope, expected, rtol=0, atol=4e-6)


def test_rms_norm_s_own_eps() -> None:
    """Half precision takes float32's, as PyTorch does."""
    x = jnp.array([1e-2, 1e-2])
    for dtype in ("float32", "bfloat16", "float16"):
        y = F.rms_norm(x.astype(dtype), 2)
        assert y.tolist() == pytest.approx([1, 1], abs=4e-3), dtype
    tiny = F.rms_norm(jnp.full(2, 1e-10), 2)
    assert tiny.tolist() == pytest.approx([1e-10 / math.sqrt(2**-23)] * 2, rel=1e-6)


def test_normalize_clamps_at_eps() -> None:
    first = jax.grad(lambda x: F.normalize(x, 1.0, 0, eps=2.0)[0])
    assert first(jnp.array([1.0, 0.5])).tolist() == [0.5, 0]  # under eps the divisor is a constant
    assert first(jnp.array([1.0, 1.0])).tolist() == [0.25, -0.25]  # at eps it is the norm
    assert F.normalize(jnp.zeros((1, 2))).tolist() == [[0, 0]]
    slope = jax.grad(lambda x: F.normalize(x).sum())(jnp.zeros((1, 2)))
    assert slope.tolist() == [[pytest.approx(1e12)] * 2]


def test_normalize_takes_several_axes() -> None:
    x = jnp.array([[[1.0, 2.0], [2.0, 4.0]]])
    assert F.normalize(x, dim=(1, 2)).tolist() == (x / 5).tolist()
    assert F.normalize(x, dim=()).tolist() == (x / 5).tolist()
