"""What parity cases cannot show: randomness, extreme numbers, legacy arguments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_share_and_scale(p: float) -> None:
    y = np.asarray(F.dropout(jnp.ones(20_000), p, rng=jax.random.key(0)))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - p))}
    deviation = np.sqrt(p * (1 - p) / y.size)
    assert abs(np.mean(y == 0) - p) < 4 * deviation


def test_dropout_is_repeatable() -> None:
    first, again, other = (F.dropout(jnp.ones(100), rng=jax.random.key(seed)) for seed in (0, 0, 1))
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)


def test_dropout_gradient_is_the_mask() -> None:
    mask = lambda x: F.dropout(x, 0.25, rng=jax.random.key(3))
    x = jnp.linspace(1.0, 2.0, 50)
    np.testing.assert_allclose(jax.grad(lambda x: mask(x).sum())(x), mask(x) / x, rtol=1e-6)


def test_batch_norm_far_from_zero(rng: np.random.RandomState) -> None:
    """E[x^2] - E[x]^2 in float32 is wrong by 1 here."""
    x = 1e3 + rng.standard_normal((8, 5, 5, 2))
    y, _, var = F.batch_norm(
        x.astype(np.float32), jnp.zeros(2), jnp.ones(2), training=True, momentum=1.0
    )
    expected = (x - x.mean((0, 1, 2))) / x.std((0, 1, 2))
    # The input itself is rounded to 6e-5 at 1e3.
    np.testing.assert_allclose(y, expected, atol=2e-4)
    np.testing.assert_allclose(var, x.var((0, 1, 2), ddof=1), rtol=1e-4)


def test_batch_norm_in_half_precision(rng: np.random.RandomState) -> None:
    """The statistics of 40,000 values would stall in bfloat16."""
    x = jnp.asarray(rng.standard_normal((4, 100, 100, 1)) + 4, jnp.bfloat16)
    y, mean, var = F.batch_norm(x, jnp.zeros(1), jnp.ones(1), training=True, momentum=1.0)
    wide = np.asarray(x, np.float64)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(var, wide.var((0, 1, 2), ddof=1), rtol=1e-4)


def test_cross_entropy_of_large_logits() -> None:
    logits = jnp.array([[1e4, 0.0, -1e4]])
    assert F.cross_entropy(logits, jnp.array([0])) == 0
    assert F.cross_entropy(logits, jnp.array([2])) == 2e4


def test_cross_entropy_with_everything_ignored_is_nan() -> None:
    """0 / 0, as in PyTorch."""
    logits, targets = jnp.ones((2, 3)), jnp.array([-100, -100])
    assert jnp.isnan(F.cross_entropy(logits, targets))
    assert F.cross_entropy(logits, targets, reduction="sum") == 0


@pytest.mark.parametrize(
    ("size_average", "reduce", "reduction"),
    [
        (True, True, "mean"),
        (None, True, "mean"),
        (True, None, "mean"),
        (False, None, "sum"),
        (False, True, "sum"),
        (True, False, "none"),
        (None, False, "none"),
    ],
)
def test_cross_entropy_legacy_arguments(
    size_average: bool | None, reduce: bool | None, reduction: str
) -> None:
    logits, targets = jnp.arange(6.0).reshape(2, 3) ** 2, jnp.array([0, 1])
    old = F.cross_entropy(logits, targets, size_average=size_average, reduce=reduce)
    new = F.cross_entropy(logits, targets, reduction=reduction)
    assert jnp.array_equal(old, new)


def test_max_pool_all_minus_infinity() -> None:
    y, indices = F.max_pool2d(jnp.full((1, 2, 2, 1), -jnp.inf), 2, 1, 1, return_indices=True)
    assert bool(jnp.all(y == -jnp.inf))
    assert indices[0, :, :, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_half_precision_keeps_its_type(name: str) -> None:
    x = jnp.ones((1, 4, 4, 1), jnp.bfloat16)
    assert getattr(F, name)(x, 2).dtype == jnp.bfloat16


def test_conv2d_promotes() -> None:
    x, w = jnp.ones((1, 3, 3, 1), jnp.bfloat16), jnp.ones((1, 1, 2, 2), jnp.float32)
    assert F.conv2d(x, w).dtype == jnp.float32


def test_max_pool_gradient_reaches_a_nan() -> None:
    x = jnp.array([1.0, jnp.nan, 2.0, 3.0]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: F.max_pool2d(x, 2).sum())(x)
    assert gradient.ravel().tolist() == [0, 1, 0, 0]


def test_max_pool_gradient_does_not_leak_into_padding() -> None:
    x = jnp.full((1, 3, 3, 1), -jnp.inf)
    gradient = jax.grad(lambda x: F.max_pool2d(x, 3, padding=1).sum())(x)
    assert gradient.ravel().tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_cross_entropy_takes_narrow_labels() -> None:
    logits = jnp.zeros((2, 200))
    losses = F.cross_entropy(logits, np.array([3, 127], np.int8), reduction="none")
    np.testing.assert_allclose(losses, np.log(200), rtol=1e-6)


def test_bilinear_rounds_bytes() -> None:
    x = jnp.array([100, 117, 133], jnp.uint8).reshape(1, 1, 3, 1)
    resized = F.interpolate(x, (1, 5), mode="bilinear").ravel()
    assert resized.tolist() == [100, 107, 117, 127, 133]


@pytest.mark.parametrize("name", ["dropout", "batch_norm", "cross_entropy"])
def test_integers_are_refused(name: str) -> None:
    x = jnp.ones((2, 3), jnp.int32)
    calls = {
        "dropout": lambda: F.dropout(x, rng=jax.random.key(0)),
        "batch_norm": lambda: F.batch_norm(x, None, None, training=True),
        "cross_entropy": lambda: F.cross_entropy(x, jnp.zeros(2, jnp.int32)),
    }
    with pytest.raises(TypeError, match=f"{name}: input must be floating point, got dtype='int32'"):
        calls[name]()
