"""Embedding and Bilinear: state over several steps, frozen and given tables, errors."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn

KEY = jax.random.key(0)
TABLE = np.random.RandomState(0).standard_normal((6, 4)).astype(np.float32) * 2
STEPS = np.random.RandomState(1).randint(0, 6, (5, 2, 4))

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "padding": {"padding_idx": 2},
    "padding-negative": {"padding_idx": -1, "scale_grad_by_freq": True},
    "frequency": {"scale_grad_by_freq": True},
    "max-norm": {"max_norm": 1.5},
    "max-norm-1": {"max_norm": 2.0, "norm_type": 1.0, "padding_idx": 0},
    "everything": {"padding_idx": 3, "max_norm": 1.0, "scale_grad_by_freq": True, "sparse": False},
}


@pytest.mark.torch
@pytest.mark.parametrize("id", OPTIONS)
def test_training_steps(id: str) -> None:
    """Five steps of gradient descent; rows that PyTorch shortens in place are shortened here."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = torch.nn.Embedding(6, 4, **OPTIONS[id], _weight=torch.from_numpy(TABLE.copy()))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3)
    layer = nn.Embedding(6, 4, **OPTIONS[id])
    like = jax.eval_shape(layer.init, KEY, STEPS[0])
    params = jaxcnn.to_variables({"weight": TABLE}, like)["params"]

    @jax.jit
    def step(params: Any, x: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            y, new = layer.apply({"params": params}, x, mutable=["params"])
            return jnp.sum(jnp.sin(y)), new["params"]

        grads, params = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.3 * g, params, grads)

    for x in STEPS:
        optimizer.zero_grad()
        torch.sin(theirs(torch.from_numpy(x))).sum().backward()
        optimizer.step()
        params = step(params, x)
        expected = theirs.weight.detach().numpy()
        np.testing.assert_allclose(params["weight"], expected, 1.3e-6, 1e-5)


def test_init_is_normal_with_zero_padding() -> None:
    weight = nn.Embedding(500, 80, padding_idx=-2).init(KEY, jnp.array(0))["params"]["weight"]
    assert not weight[498].any()
    rest = np.delete(np.asarray(weight), 498, 0)
    assert abs(rest.mean()) < 4 / np.sqrt(rest.size)
    assert abs(rest.var() - 1) < 4 * np.sqrt(2 / rest.size)


def test_init_shortens_nothing() -> None:
    """`init` looks up numbers that are not data."""
    x = jnp.arange(6)
    plain, short = (nn.Embedding(6, 4, max_norm=m).init(KEY, x) for m in (None, 0.1))
    assert jnp.array_equal(plain["params"]["weight"], short["params"]["weight"])


def test_given_table() -> None:
    """Hashed and compared as jit and linen need it."""
    layer = nn.Embedding(6, 4, _weight=TABLE)
    variables = jax.jit(layer.init)(KEY, jnp.arange(6))
    assert jnp.array_equal(jax.jit(layer.apply)(variables, jnp.arange(6)), TABLE)
    assert layer == layer.clone()
    assert layer != nn.Embedding(6, 4, _weight=TABLE)
    model = nn.Sequential(layer)
    assert jnp.array_equal(model.init(KEY, jnp.arange(2))["params"]["0"]["weight"], TABLE)


@pytest.mark.parametrize("freeze", [True, False])
def test_from_pretrained(freeze: bool) -> None:
    layer = nn.Embedding.from_pretrained(TABLE, freeze, padding_idx=1)
    variables = layer.init(KEY, jnp.arange(2))
    assert jnp.array_equal(variables["params"]["weight"], TABLE)
    grads = jax.grad(lambda v: layer.apply(v, jnp.arange(2)).sum())(variables)
    rows = grads["params"]["weight"].sum(1)
    assert rows.tolist() == [0.0 if freeze else 4.0, 0, 0, 0, 0, 0]


def test_dtypes() -> None:
    layer = nn.Embedding(6, 4, dtype=jnp.bfloat16)
    y, variables = layer.init_with_output(KEY, jnp.arange(2))
    assert (y.dtype, variables["params"]["weight"].dtype) == (jnp.bfloat16, jnp.float32)
    layer = nn.Bilinear(3, 4, 5, param_dtype=jnp.bfloat16)
    y, variables = layer.init_with_output(KEY, *(jnp.ones((2, n), jnp.bfloat16) for n in (3, 4)))
    assert {y.dtype, variables["params"]["weight"].dtype} == {jnp.dtype("bfloat16")}


def test_bilinear_init() -> None:
    params = nn.Bilinear(16, 50, 40).init(KEY, jnp.ones(16), jnp.ones(50))["params"]
    for x in params.values():
        assert 0.23 < jnp.abs(x).max() <= 0.25


ERRORS: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any], str]] = [
    (
        ValueError,
        "Embedding",
        (-1, 2),
        {},
        "num_embeddings must be at least 0, got num_embeddings=-1.",
    ),
    (TypeError, "Embedding", (3, 2.0), {}, "embedding_dim must be an int, got embedding_dim=2.0."),
    (
        ValueError,
        "Embedding",
        (3, 2, 3),
        {},
        "padding_idx must be one of the 3 rows, got padding_idx=3.",
    ),
    (TypeError, "Embedding", (3, 2, True), {}, "padding_idx must be an int, got padding_idx=True."),
    (
        ValueError,
        "Embedding",
        (3, 2),
        {"_weight": np.ones((2, 3))},
        "_weight must be (3, 2), got shape=(2, 3).",
    ),
    (ValueError, "Bilinear", (0, 1, 1), {}, "in1_features must be at least 1, got in1_features=0."),
    (
        ValueError,
        "Bilinear",
        (1, -1, 1),
        {},
        "in2_features must be at least 0, got in2_features=-1.",
    ),
    (TypeError, "Bilinear", (1, 1, 0.5), {}, "out_features must be an int, got out_features=0.5."),
]
CALL_ERRORS = [
    ((3,), (2, 4), "x1 and x2 must have the same leading axes, got x1=(3,), x2=(2, 4)."),
    ((2, 4), (2, 4), "x1 must have 3 entries on its last axis, got shape=(2, 4)."),
    ((2, 3), (), "x2 must have 4 entries on its last axis, got shape=()."),
]


@pytest.mark.parametrize(("error", "name", "args", "kwargs", "message"), ERRORS)
def test_error_on_construction(
    error: type[Exception], name: str, args: Any, kwargs: Any, message: str
) -> None:
    with pytest.raises(error, match=rf"^{name}: {re.escape(message)}$"):
        getattr(nn, name)(*args, **kwargs)


def test_pretrained_table_must_be_a_matrix() -> None:
    message = r"^Embedding: embeddings must be a matrix, got shape=\(3,\)\.$"
    with pytest.raises(ValueError, match=message):
        nn.Embedding.from_pretrained(np.ones(3))


@pytest.mark.parametrize(("first", "second", "message"), CALL_ERRORS)
def test_error_on_call(first: tuple[int, ...], second: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^Bilinear: {re.escape(message)}(\n|$)"):
        nn.Bilinear(3, 4, 5).init(KEY, jnp.ones(first), jnp.ones(second))
