"""Gradient clipping against PyTorch, live, and its arguments."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import checkify

from jaxcnn import optim

GRADS = {
    "weight": np.array([[3.0, -4.0], [0.0, 1.0]]),
    "bias": np.array([0.5, -2.0]),
    "zero": np.zeros(3),
}
NONFINITE = {"inf": math.inf, "nan": math.nan}


def clip(tx: optax.GradientTransformation, grads: Any) -> Any:
    return jax.jit(lambda g: tx.update(g, tx.init(g))[0])(grads)


def torch_clip(function: Callable[..., Any], grads: Any, dtype: str, **settings: Any) -> Any:
    import torch

    parameters = {}
    for name, x in grads.items():
        x = torch.tensor(x, dtype=getattr(torch, dtype))
        parameters[name] = torch.nn.Parameter(torch.zeros_like(x))
        parameters[name].grad = x
    function(parameters.values(), **settings)
    return {name: p.grad.double().numpy() for name, p in parameters.items()}


@pytest.mark.torch
@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, 0.5, math.inf, -math.inf, 0], ids=str)
@pytest.mark.parametrize("max_norm", [0.0, 0.7, math.inf])
def test_norm_equals_torch(max_norm: float, norm_type: float, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    settings = {"max_norm": max_norm, "norm_type": norm_type}
    grads = jax.tree.map(lambda g: jnp.asarray(g, dtype), GRADS)
    actual = clip(optim.clip_grad_norm(**settings), grads)
    expected = torch_clip(torch.nn.utils.clip_grad_norm_, GRADS, dtype, **settings)
    for name, e in expected.items():
        assert actual[name].dtype == dtype
        np.testing.assert_allclose(actual[name], e, rtol=1e-12 if dtype == "float64" else 1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("value", NONFINITE.values(), ids=NONFINITE)
def test_nonfinite_equals_torch(value: float) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    grads = {**GRADS, "bias": np.array([value, 1.0])}
    for tx, function, setting in (
        (optim.clip_grad_norm(1.0), torch.nn.utils.clip_grad_norm_, {"max_norm": 1.0}),
        (optim.clip_grad_value(0.5), torch.nn.utils.clip_grad_value_, {"clip_value": 0.5}),
    ):
        expected = torch_clip(function, grads, "float32", **setting)
        jax.tree.map(np.testing.assert_array_equal, clip(tx, grads), expected)


@pytest.mark.torch
@pytest.mark.parametrize("clip_value", [0.0, 0.7, 3.5, math.inf])
def test_value_equals_torch(clip_value: float, dtype: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    grads = jax.tree.map(lambda g: jnp.asarray(g, dtype), GRADS)
    actual = clip(optim.clip_grad_value(clip_value), grads)
    function = torch.nn.utils.clip_grad_value_
    expected = torch_clip(function, GRADS, dtype, clip_value=clip_value)
    for name, e in expected.items():
        assert actual[name].dtype == dtype
        np.testing.assert_array_equal(actual[name], e)


@pytest.mark.parametrize("tx", [optim.clip_grad_norm(1.0), optim.clip_grad_value(1.0)])
def test_keeps_the_type(tx: optax.GradientTransformation) -> None:
    grads = {"a": jnp.ones(3, jnp.bfloat16) * 2, "b": jnp.ones(2) * 2}
    clipped = clip(tx, grads)
    assert {k: g.dtype for k, g in clipped.items()} == {k: g.dtype for k, g in grads.items()}


def test_values_without_torch() -> None:
    """The factor has 1e-6 in it, which a plain norm has not."""
    grads = {"a": jnp.array([3e-6, 0.0]), "b": jnp.array([4e-6])}
    clipped = clip(optim.clip_grad_norm(5e-6), grads)
    np.testing.assert_allclose(clipped["a"][0], 3e-6 * 5 / 6, rtol=1e-5)
    untouched = clip(optim.clip_grad_norm(1.0), grads)
    jax.tree.map(np.testing.assert_array_equal, untouched, grads)
    assert clip(optim.clip_grad_norm(1.0), {}) == {}


def test_before_an_optimiser() -> None:
    tx = optax.chain(optim.clip_grad_value(0.5), optim.sgd(1.0))
    assert clip(tx, jnp.array([2.0, -0.25])).tolist() == [-0.5, 0.25]


class TestNonfinite:
    """`error_if_nonfinite`: PyTorch raises where it stands; a compiled function cannot."""

    message = r"clip_grad_norm: the norm of the gradients must be finite, got norm=inf\."
    bad = jnp.array([math.inf, 1.0])

    def step(self, grads: jax.Array) -> jax.Array:
        return optim.clip_grad_norm(1.0, error_if_nonfinite=True).update(grads, optax.EmptyState())[
            0
        ]

    def test_outside_jit(self) -> None:
        with pytest.raises(ValueError, match=self.message):
            self.step(self.bad)
        np.testing.assert_allclose(self.step(jnp.array([3.0, 4.0])), [0.6, 0.8], rtol=1e-6)

    def test_checkified(self) -> None:
        error, _ = jax.jit(checkify.checkify(self.step))(self.bad)
        with pytest.raises(ValueError, match=self.message):
            error.throw()
        error, clipped = jax.jit(checkify.checkify(self.step))(jnp.array([3.0, 4.0]))
        error.throw()
        np.testing.assert_allclose(clipped, [0.6, 0.8], rtol=1e-6)

    def test_plain_jit_says_what_to_do(self) -> None:
        with pytest.raises(ValueError, match="checkify"):
            jax.jit(self.step)(self.bad)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["clip_grad_norm", "clip_grad_value"])
def test_signature(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs, ours = (
        [
            (p.name, p.default)
            for p in inspect.signature(function).parameters.values()
            if p.name not in ("parameters", "foreach")
        ]
        for function in (getattr(torch.nn.utils, f"{name}_"), getattr(optim, name))
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        (
            "clip_grad_norm",
            {"max_norm": -1},
            ValueError,
            "max_norm must not be negative, got max_norm=-1",
        ),
        (
            "clip_grad_norm",
            {"max_norm": None},
            TypeError,
            "max_norm must be a number, got max_norm=None",
        ),
        (
            "clip_grad_norm",
            {"max_norm": 1, "norm_type": "inf"},
            TypeError,
            "norm_type must be a number, got norm_type='inf'",
        ),
        (
            "clip_grad_value",
            {"clip_value": -1},
            ValueError,
            "clip_value must not be negative, got clip_value=-1",
        ),
        (
            "clip_grad_value",
            {"clip_value": None},
            TypeError,
            "clip_value must be a number, got clip_value=None",
        ),
    ],
)
def test_errors(name: str, settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'{name}: {message}.')}$"):
        getattr(optim, name)(**settings)
