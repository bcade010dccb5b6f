"""Activations: randomness, types, arguments. Their numbers: tests/parity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

KEY = jax.random.key(0)
FLOATING = (
    "celu",
    "elu",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "rrelu",
    "selu",
    "silu",
    "softplus",
    "softshrink",
)
ANY_NUMBER = ("relu", "relu6", "hardtanh")
PROMOTING = ("sigmoid", "softsign", "tanh", "tanhshrink")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [*FLOATING, *ANY_NUMBER, *PROMOTING, "glu", "softmax"])
def test_half_precision_is_rounded_once(name: str, dtype: str) -> None:
    """The result is float32's, rounded."""
    x = jnp.linspace(-5, 5, 64, dtype=jnp.float32).astype(dtype)
    function = getattr(F, name)
    y = function(x)
    assert y.dtype == dtype
    assert jnp.array_equal(y, function(x.astype(jnp.float32)).astype(dtype))


@pytest.mark.parametrize("name", FLOATING)
def test_integers_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: input must be floating point, got dtype='int32"):
        getattr(F, name)(jnp.arange(3))


@pytest.mark.parametrize("name", ANY_NUMBER)
def test_integers_stay_integers(name: str) -> None:
    y = getattr(F, name)(jnp.array([-7, 1, 9]))
    assert y.dtype == jnp.int32
    assert y.tolist() == {"relu": [0, 1, 9], "relu6": [0, 1, 6], "hardtanh": [-1, 1, 1]}[name]


def test_threshold_of_integers() -> None:
    """PyTorch cuts the value off; the threshold it does not."""
    y = F.threshold(jnp.array([-7, 1, 9]), 1.5, 4.75)
    assert y.dtype == jnp.int32
    assert y.tolist() == [4, 4, 9]


@pytest.mark.parametrize("name", PROMOTING)
def test_integers_become_float32(name: str) -> None:
    y = getattr(F, name)(jnp.array([0, 2]))
    assert y.dtype == jnp.float32
    assert jnp.array_equal(y, getattr(F, name)(jnp.array([0.0, 2.0])))


@pytest.mark.parametrize(("lower", "upper"), [(0.125, 1 / 3), (-0.5, 0.5), (0.25, 0.25)])
def test_rrelu_slopes_are_uniform(lower: float, upper: float) -> None:
    n = 40_000
    slopes = -np.asarray(F.rrelu(jnp.full(n, -1.0), lower, upper, training=True, rng=KEY))
    assert slopes.min() >= np.float32(lower)
    assert slopes.max() <= np.float32(upper)
    width = upper - lower
    assert abs(slopes.mean() - (lower + upper) / 2) < 4 * width / np.sqrt(12 * n) + 1e-6
    assert abs(slopes.var() - width**2 / 12) < 0.02 * width**2 + 1e-12


def test_rrelu_gradient_is_the_slope() -> None:
    x = jnp.array([-2.0, -1.0, 0.0, 0.0, 1.0])
    function = lambda x: F.rrelu(x, training=True, rng=KEY)
    slopes = jax.grad(lambda x: function(x).sum())(x)
    np.testing.assert_allclose(slopes[:2] * x[:2], function(x)[:2], rtol=1e-6)
    # At 0 the random slope, too, as in PyTorch.
    assert ((slopes[2:4] > 0.125) & (slopes[2:4] < 1 / 3)).all()
    assert slopes[4] == 1


def test_rrelu_is_repeatable() -> None:
    x = -jnp.ones(9)
    first, again, other = (
        F.rrelu(x, training=True, rng=jax.random.key(seed)) for seed in (0, 0, 1)
    )
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, F.softmin])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_softmax_without_dim(function: Callable[..., jax.Array], shape: tuple[int, ...]) -> None:
    """PyTorch's deprecated choice, where it is the last axis."""
    x = jax.random.normal(KEY, shape)
    assert jnp.array_equal(function(x), function(x, dim=-1))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax, F.softmin])
def test_softmax_dtype(function: Callable[..., jax.Array]) -> None:
    """The input is cast first: whole numbers are taken, and half precision is not rounded."""
    assert function(jnp.arange(3), 0, dtype=jnp.float32).dtype == jnp.float32
    x = jnp.array([1.0, 2.0], jnp.bfloat16)
    expected = function(x.astype(jnp.float32), 0)
    assert jnp.array_equal(function(x, 0, dtype=jnp.float32), expected)


def test_softmax_with_everything_ruled_out_is_nan() -> None:
    assert jnp.isnan(F.softmax(jnp.full(3, -jnp.inf), 0)).all()


def test_prelu_weight_of_infinite_input() -> None:
    """The weight's gradient must not be 0 * inf."""
    grad = jax.grad(lambda w: F.prelu(jnp.array([jnp.inf, -2.0]), w).sum())
    assert grad(jnp.array(0.25)) == -2


@pytest.mark.parametrize("name", ["elu", "celu", "selu"])
def test_second_derivative_of_exponentials(name: str) -> None:
    """Their gradient is written by hand."""
    scale = {"elu": 1.0, "celu": 1.0, "selu": 1.7580993408473766}[name]
    second = jax.grad(jax.grad(getattr(F, name)))
    np.testing.assert_allclose(second(-2.0), scale * np.exp(-2), rtol=1e-6)
    assert second(2.0) == 0


@pytest.mark.torch
@pytest.mark.parametrize("name", [*FLOATING, *ANY_NUMBER, *PROMOTING])
def test_infinity_and_nan(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    x = np.array([np.inf, -np.inf, np.nan], np.float32)
    theirs = getattr(torch.nn.functional, name)(torch.from_numpy(x)).numpy()
    ours: Any = getattr(F, name)(x)
    if name == "gelu":  # PyTorch has NaN at infinity, where the limit is infinity
        theirs[0] = np.inf
    np.testing.assert_array_equal(ours, theirs)
