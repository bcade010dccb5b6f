"""Pooling beyond the parity cases: round trips, randomness, edges, compilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

POOLS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "max": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max-long": lambda x: F.max_pool2d(x, 9, 1, 4),
    "max-dilated": lambda x: F.max_pool2d(x, 2, 1, 1, 3),
    "avg": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "lp": lambda x: F.lp_pool2d(x, 2, 3, 2),
    "adaptive-avg": lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
    "adaptive-max": lambda x: F.adaptive_max_pool2d(x, (3, 5)),
    "fractional": lambda x: F.fractional_max_pool2d(x, 2, (4, 5), rng=jax.random.key(0)),
    "unpool": lambda x: round_trip(x),
}


def round_trip(x: jax.Array) -> jax.Array:
    y, indices = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(y, indices, 2, output_size=x.shape[-3:-1])


@pytest.fixture
def x(rng: np.random.RandomState) -> jax.Array:
    return jnp.asarray(rng.standard_normal((2, 9, 10, 3)), jnp.float32)


@pytest.mark.parametrize("name", POOLS)
def test_forward_mode_agrees_with_reverse_mode(
    name: str, x64: None, rng: np.random.RandomState
) -> None:
    pool, x, dx = jax.jit(POOLS[name]), *rng.standard_normal((2, 2, 9, 10, 3))
    y, dy = jax.jit(lambda x, dx: jax.jvp(pool, (x,), (dx,)))(x, dx)
    v = rng.standard_normal(y.shape)
    (gradient,) = jax.jit(lambda x, v: jax.vjp(pool, x)[1](v))(x, v)
    np.testing.assert_allclose(np.vdot(dy, v), np.vdot(gradient, dx), rtol=1e-9)
    step = 1e-6
    near = (pool(x + step * dx) - pool(x - step * dx)) / (2 * step)
    np.testing.assert_allclose(dy, near, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in POOLS if name != "fractional"])
def test_vmap_of_gradients(name: str, x: jax.Array) -> None:
    """Of single images, as it adds a batch axis of its own."""
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(POOLS[name](x)))))
    stacked = jax.vmap(gradient)(x)
    for image, expected in zip(x, stacked, strict=True):
        np.testing.assert_allclose(gradient(image), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", POOLS)
def test_half_precision_keeps_its_type(name: str, x: jax.Array) -> None:
    assert POOLS[name](x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert POOLS[name](x.astype(jnp.float16)).dtype == jnp.float16


@pytest.mark.parametrize("name", [name for name in POOLS if name != "fractional"])
def test_empty_batch(name: str, x: jax.Array) -> None:
    y = jax.eval_shape(POOLS[name], x)
    assert POOLS[name](x[:0]).shape == (0, *y.shape[1:])
    assert jax.grad(lambda x: POOLS[name](x).sum())(x[:0]).shape == (0, 9, 10, 3)


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_adaptive_empty_output(name: str, x: jax.Array) -> None:
    assert getattr(F, name)(x, (0, 4)).shape == (2, 0, 4, 3)


def test_half_precision_averages_widely() -> None:
    """A running sum in bfloat16 would stop at 256."""
    x = jnp.ones((1, 40, 40, 1), jnp.bfloat16)
    for y in (F.avg_pool2d(x, 40), F.adaptive_avg_pool2d(x, 1), F.adaptive_avg_pool2d(x, 3)):
        assert set(np.asarray(y, np.float32).ravel().tolist()) == {1.0}


def test_sizes_of_one_entry(x: jax.Array) -> None:
    """PyTorch takes them for every axis, and an empty stride for none."""
    expected = F.avg_pool2d(x, 3, 3, 1)
    assert jnp.array_equal(F.avg_pool2d(x, (3,), (), (1,)), expected)


@pytest.mark.parametrize("kernel", [3, 9])
def test_gradient_goes_to_the_position_of_the_index(kernel: int) -> None:
    """Also of the last NaN of several."""
    x = jnp.zeros(12).at[jnp.array([1, 2])].set(jnp.nan).reshape(1, 12, 1)
    pool = lambda x: F.max_pool1d(x, kernel, kernel, return_indices=True)
    indices = pool(x)[1].ravel()
    gradient = jax.grad(lambda x: pool(x)[0].sum())(x).ravel()
    assert indices[0] == 2
    assert jnp.array_equal(gradient, jnp.zeros(12).at[indices].add(1))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpool_puts_back_what_pool_took(n: int, rng: np.random.RandomState) -> None:
    x = jnp.asarray(rng.standard_normal((2, *(7, 8, 5)[:n], 3)), jnp.float32)
    pool, unpool = getattr(F, f"max_pool{n}d"), getattr(F, f"max_unpool{n}d")

    @jax.jit
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, indices = pool(x, 2, return_indices=True)
        return y, unpool(y, indices, 2, output_size=x.shape)

    y, back = both(x)
    kept = back != 0
    assert int(kept.sum()) == y.size
    assert jnp.array_equal(jnp.where(kept, x, 0), back)
    gradient = jax.jit(jax.grad(lambda x: (both(x)[1] * x).sum()))(x)
    np.testing.assert_allclose(gradient, 2 * back, rtol=1e-6)


def test_unpool_of_a_shared_position() -> None:
    """One maximum stays; each gets the whole gradient, as in PyTorch."""
    y, indices = jnp.array([5.0, 5.0, 2.0]).reshape(1, 3, 1), jnp.array([2, 2, 4]).reshape(1, 3, 1)
    unpool = jax.jit(lambda y: F.max_unpool1d(y, indices, 2))
    assert unpool(y).ravel().tolist() == [0, 0, 5, 0, 2, 0]
    weight = jnp.arange(6.0).reshape(1, 6, 1)
    assert jax.grad(lambda y: (unpool(y) * weight).sum())(y).ravel().tolist() == [2, 2, 4]


def test_unpool_drops_positions_outside() -> None:
    y, indices = jnp.array([5.0, 3.0]).reshape(1, 2, 1), jnp.array([1, 4]).reshape(1, 2, 1)
    assert F.max_unpool1d(y, indices, 2).ravel().tolist() == [0, 5, 0, 0]
    gradient = jax.grad(lambda y: F.max_unpool1d(y, indices, 2).sum())(y)
    assert gradient.ravel().tolist() == [1, 0]


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_windows(n: int) -> None:
    """Steps of floor or ceil of (in - kernel)/(out - 1); each channel its own; all to the end."""
    size, kernel, out = 12, 2, 7
    x = jnp.broadcast_to(
        jnp.arange(float(size**n)).reshape(1, *(size,) * n, 1), (3, *(size,) * n, 4)
    )
    pool = getattr(F, f"fractional_max_pool{n}d")
    _, indices = pool(x, kernel, out, return_indices=True, rng=jax.random.key(1))
    columns = np.asarray(indices[(slice(None), *(0,) * (n - 1))]) % size  # (3, out, 4)
    assert set(np.diff(columns, axis=1).ravel()) == {1, 2}
    assert (columns[:, 0] == kernel - 1).all()
    assert (columns[:, -1] == size - 1).all()
    assert len({tuple(row) for row in columns.transpose(0, 2, 1).reshape(-1, out)}) > 1


def test_fractional_is_repeatable(x: jax.Array) -> None:
    first, again, other = (
        F.fractional_max_pool2d(x, 2, output_ratio=0.6, rng=jax.random.key(seed))
        for seed in (0, 0, 1)
    )
    assert first.shape == (2, 5, 6, 3)
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)


def test_long_windows_compile_to_few_steps() -> None:
    """As many steps for 2000 taps as for 20: no loop over them is unrolled."""

    def steps(kernel: int) -> int:
        x = jax.ShapeDtypeStruct((1, 2000, 1), jnp.float32)
        gradient = jax.grad(lambda x: F.max_pool1d(x, kernel, return_indices=True)[0].sum())
        return str(jax.make_jaxpr(gradient)(x)).count("\n")

    assert steps(2000) == steps(20)


@pytest.mark.torch
@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "overlap"])
def test_pool_and_unpool_equal_torch(overlap: bool, dtype: str, rng: np.random.RandomState) -> None:
    """Value and gradient, compiled as one program."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    window: tuple[Any, ...] = (3, 2, 1) if overlap else (2, 2, 0)
    x, v = rng.standard_normal((2, 2, 3, 9, 11)).astype(dtype)

    @jax.jit
    def ours(x: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array]:
        def function(x: jax.Array) -> jax.Array:
            y, indices = F.max_pool2d(x, *window, return_indices=True)
            return F.max_unpool2d(jnp.tanh(y), indices, *window, output_size=x.shape)

        y, vjp = jax.vjp(function, x)
        return y, vjp(v)[0]

    tensor = torch.tensor(x, requires_grad=True)
    y, indices = torch.nn.functional.max_pool2d(tensor, *window, return_indices=True)
    y = torch.nn.functional.max_unpool2d(torch.tanh(y), indices, *window, output_size=(9, 11))
    (gradient,) = torch.autograd.grad(y, tensor, torch.tensor(v))
    last = lambda x: np.moveaxis(np.asarray(x), 1, -1)
    rtol = 1e-9 if dtype == "float64" else 1.3e-6
    for a, e in zip(ours(last(x), last(v)), (y.detach(), gradient), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, last(e), rtol, rtol)


@pytest.mark.torch
def test_unpool_of_a_shared_position_equals_torch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    values = torch.tensor([[[5.0, 5.0, 2.0]]], requires_grad=True)
    indices, v = torch.tensor([[[2, 2, 4]]]), torch.arange(6.0).reshape(1, 1, 6)
    theirs = torch.nn.functional.max_unpool1d(values, indices, 2)
    (expected,) = torch.autograd.grad(theirs, values, v)
    unpool = lambda y: F.max_unpool1d(y, np.asarray(indices).reshape(1, 3, 1), 2)
    y, vjp = jax.vjp(unpool, jnp.asarray([5.0, 5.0, 2.0]).reshape(1, 3, 1))
    assert y.ravel().tolist() == theirs.ravel().tolist()
    assert vjp(jnp.arange(6.0).reshape(1, 6, 1))[0].ravel().tolist() == expected.ravel().tolist()
