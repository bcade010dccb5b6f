"""Embedding: gradients by frequency, norms, indices that are none. Plain ones: tests/parity."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

WEIGHT = np.random.RandomState(0).standard_normal((6, 4)).astype(np.float32) * 3
INDICES = np.array([[3, 0, 3, 1], [5, 3, 0, 0]])


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, np.inf])
@pytest.mark.parametrize("max_norm", [0.5, 4.0, 100.0])
def test_max_norm(max_norm: float, norm_type: float) -> None:
    """Output, gradient and the weight that PyTorch leaves behind."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    arguments = {"max_norm": max_norm, "norm_type": norm_type}
    weight = torch.tensor(WEIGHT, requires_grad=True)
    y = torch.nn.functional.embedding(torch.from_numpy(INDICES), weight, **arguments)
    v = np.random.RandomState(1).standard_normal(y.shape).astype(np.float32)
    (grad,) = torch.autograd.grad(y, weight, torch.from_numpy(v))
    ours, vjp = jax.vjp(lambda w: F.embedding(INDICES, w, **arguments), WEIGHT)
    np.testing.assert_allclose(ours, y.detach().numpy(), 1.3e-6, 1e-5)
    np.testing.assert_allclose(vjp(v)[0], grad.numpy(), 1.3e-6, 1e-5)
    after = F.embedding_renorm(WEIGHT, INDICES, max_norm, norm_type)
    np.testing.assert_allclose(after, weight.detach().numpy(), 1.3e-6, 1e-5)
    assert jnp.array_equal(after[jnp.array([2, 4])], WEIGHT[[2, 4]])


def test_frequency_under_vmap() -> None:
    """Each call of the function counts its own indices."""
    grad = jax.grad(lambda w, i: F.embedding(i, w, scale_grad_by_freq=True).sum())
    together = jax.jit(jax.vmap(grad, (None, 0)))(jnp.asarray(WEIGHT), INDICES)
    apart = jnp.stack([grad(jnp.asarray(WEIGHT), row) for row in INDICES])
    assert jnp.array_equal(together, apart)
    assert set(np.unique(together)) == {0, 1}


@pytest.mark.parametrize("index", [-1, 6, 100])
def test_unknown_index_is_nan(index: int) -> None:
    """Values are unknown under jit, so what PyTorch refuses shows in the output."""
    for arguments in ({}, {"padding_idx": 0}, {"max_norm": 1.0}, {"scale_grad_by_freq": True}):
        y = F.embedding(jnp.array([index, 2]), WEIGHT, **arguments)
        assert jnp.isnan(y[0]).all()
        assert jnp.isfinite(y[1]).all()


def test_renorm_leaves_unknown_indices_alone() -> None:
    assert jnp.array_equal(F.embedding_renorm(WEIGHT, np.array([-1, 6]), 0.1), WEIGHT)


def test_nan_stops_at_the_padding() -> None:
    weight, v = jnp.asarray(WEIGHT), jnp.full((2, 4, 4), jnp.nan)
    _, vjp = jax.vjp(lambda w: F.embedding(INDICES, w, padding_idx=3), weight)
    (grad,) = vjp(v)
    assert jnp.array_equal(grad[3], jnp.zeros(4))
    assert jnp.isnan(grad[0]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: str) -> None:
    y = F.embedding(INDICES, jnp.asarray(WEIGHT, dtype), 3, 1.0, scale_grad_by_freq=True)
    assert y.dtype == dtype
