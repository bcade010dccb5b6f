"""Activation layers: errors, randomness, printed form. Their numbers: tests/parity."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import nn

KEY = jax.random.key(0)
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

BUILD_ERRORS: list[tuple[type[Exception], str, dict[str, Any], str]] = [
    (
        ValueError,
        "Hardtanh",
        {"min_val": 1.0},
        "max_val must be greater than min_val, got min_val=1.0, max_val=1.0.",
    ),
    (
        ValueError,
        "Hardtanh",
        {"max_value": -2},
        "max_val must be greater than min_val, got min_val=-1.0, max_val=-2.",
    ),
    (
        ValueError,
        "RReLU",
        {"lower": 0.5},
        "lower must not be greater than upper, got lower=0.5, upper=0.3333333333333333.",
    ),
    (ValueError, "CELU", {"alpha": 0}, "alpha must not be zero, got alpha=0."),
    (ValueError, "Softshrink", {"lambd": -1}, "lambd must be at least 0, got lambd=-1."),
    (
        ValueError,
        "GELU",
        {"approximate": True},
        "approximate must be one of ('none', 'tanh'), got approximate=True.",
    ),
    (
        ValueError,
        "PReLU",
        {"num_parameters": 0},
        "num_parameters must be at least 1, got num_parameters=0.",
    ),
    (
        TypeError,
        "PReLU",
        {"num_parameters": 0.25},
        "num_parameters must be an int, got num_parameters=0.25.",
    ),
    (TypeError, "GLU", {"dim": None}, "dim must be an int, got dim=None."),
    *(
        (TypeError, name, {"dim": 1.0}, "dim must be an int or None, got dim=1.0.")
        for name in ("Softmax", "LogSoftmax", "Softmin")
    ),
]
CALL_ERRORS = [
    (nn.PReLU(3), (3,), "input must be (n, *, c) unless there is one parameter, got shape=(3,)."),
    (
        nn.PReLU(3),
        (2, 3, 8),
        f"input must have 3 channels on its last axis, got shape=(2, 3, 8); {FIX}",
    ),
    (nn.Softmax2d(), (2, 3), "input must be (n, h, w, c) or (h, w, c), got shape=(2, 3)."),
]


@pytest.mark.parametrize(("error", "name", "arguments", "message"), BUILD_ERRORS)
def test_error_on_construction(
    error: type[Exception], name: str, arguments: Any, message: str
) -> None:
    with pytest.raises(error, match=rf"^{name}: {re.escape(message)}$"):
        getattr(nn, name)(**arguments)


@pytest.mark.parametrize(("layer", "shape", "message"), CALL_ERRORS)
def test_error_on_call(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{type(layer).__name__}: {re.escape(message)}(\n|$)"):
        layer.init(KEY, jnp.ones(shape))


def test_rrelu_draws_while_training() -> None:
    layer, x = nn.RReLU(), -jnp.ones(1000)
    assert jnp.array_equal(layer.apply({}, x), layer.apply({}, x))
    first, other = (
        layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(i)}) for i in (0, 1)
    )
    assert not jnp.array_equal(first, other)
    assert ((first > -1 / 3) & (first < -1 / 8)).all()


def test_hardtanh_deprecated_arguments() -> None:
    layer = nn.Hardtanh(min_value=-0.5, max_value=0.25)
    assert layer.apply({}, jnp.array([-1.0, 1.0])).tolist() == [-0.5, 0.25]


def test_softmax2d_is_over_the_channels() -> None:
    y = nn.Softmax2d().apply({}, jax.random.normal(KEY, (2, 4, 5, 3)))
    assert jnp.allclose(y.sum(-1), 1)


def test_prelu_starts_from_its_field_and_keeps_dtypes() -> None:
    layer = nn.PReLU(3, 0.5, dtype=jnp.bfloat16)
    y, variables = layer.init_with_output(KEY, -jnp.ones((2, 3)))
    assert y.dtype == jnp.bfloat16
    assert y.tolist() == [[-0.5] * 3] * 2
    assert variables["params"]["weight"].dtype == jnp.float32


PRINTED = [
    *(
        (name, arguments)
        for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish")
        for arguments in ({}, {"inplace": True})
    ),
    *((name, {}) for name in ("Sigmoid", "Tanh", "Softsign", "Tanhshrink", "LogSigmoid")),
    ("Softmax2d", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.2, "inplace": True}),
    ("RReLU", {}),
    ("RReLU", {"lower": 0.1, "upper": 0.9, "inplace": True}),
    ("PReLU", {"num_parameters": 3}),
    ("ELU", {"alpha": 2, "inplace": True}),
    ("CELU", {"alpha": 0.5, "inplace": True}),
    ("CELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -2, "max_val": 2.5, "inplace": True}),
    ("Hardshrink", {"lambd": 0.25}),
    ("Softshrink", {}),
    ("Softplus", {"beta": 2, "threshold": 5.0}),
    ("Threshold", {"threshold": 0.1, "value": 20, "inplace": True}),
    ("GLU", {}),
    *((name, {"dim": dim}) for name in ("Softmax", "LogSoftmax", "Softmin") for dim in (None, 1)),
]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "arguments"), PRINTED)
def test_printed_as_torch_prints_it(name: str, arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    layer = getattr(nn, name)(**arguments)
    shown = f"{name}({getattr(layer, 'extra_repr', str)()})"
    assert shown == str(getattr(torch.nn, name)(**arguments))
