"""Layers: errors, dtypes, dropout, BatchNorm's state."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import nn

KEY = jax.random.key(0)
NCHW = jnp.ones((2, 3, 8, 9))
FIX = "; it looks channels-first: use jaxcnn.layout.to_channels_last."

BUILD_VALUE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    (
        "Conv2d",
        (3, 4, 3),
        {"groups": 2},
        "in_channels must be divisible by groups, got in_channels=3, groups=2.",
    ),
    (
        "Conv2d",
        (4, 3, 3),
        {"groups": 2},
        "out_channels must be divisible by groups, got out_channels=3, groups=2.",
    ),
    ("Conv2d", (0, 4, 3), {}, "in_channels must be at least 1, got in_channels=0."),
    ("Conv2d", (3, -1, 3), {}, "out_channels must be at least 1, got out_channels=-1."),
    ("Conv2d", (3, 4, 3), {"groups": 0}, "groups must be at least 1, got groups=0."),
    ("Conv2d", (3, 4, (3, 0)), {}, "kernel_size must be at least 1, got kernel_size=(3, 0)."),
    ("Conv2d", (3, 4, 3, 0), {}, "stride must be at least 1, got stride=0."),
    ("Conv2d", (3, 4, 3), {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
    ("Conv2d", (3, 4, 3), {"padding": -1}, "padding must be at least 0, got padding=-1."),
    (
        "Conv2d",
        (3, 4, 3),
        {"padding": "full"},
        "padding as a word must be one of ('valid', 'same'), got padding='full'.",
    ),
    (
        "Conv2d",
        (3, 4, 3, 2),
        {"padding": "same"},
        "padding='same' needs stride 1, got stride=(2, 2).",
    ),
    (
        "Conv2d",
        (3, 4, 3),
        {"padding_mode": "constant"},
        "padding_mode must be one of ('zeros', 'reflect', 'replicate', 'circular'), got "
        "padding_mode='constant'.",
    ),
    ("BatchNorm2d", (0,), {}, "num_features must be at least 1, got num_features=0."),
    ("Linear", (-1, 2), {}, "in_features must be at least 0, got in_features=-1."),
    ("Linear", (2, -1), {}, "out_features must be at least 0, got out_features=-1."),
    ("Dropout", (1.1,), {}, "p must be between 0 and 1, got p=1.1."),
    ("MaxPool2d", (0,), {}, "kernel_size must be at least 1, got kernel_size=0."),
    (
        "MaxPool2d",
        (2, 2, 2),
        {},
        "padding must be at most half of kernel_size, got padding=2, kernel_size=2.",
    ),
    ("MaxPool2d", (2,), {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
    ("AvgPool2d", (2, 0), {}, "stride must be at least 1, got stride=0."),
    (
        "AvgPool2d",
        (3, 1, (1, 2)),
        {},
        "padding must be at most half of kernel_size, got padding=(1, 2), kernel_size=3.",
    ),
    (
        "AvgPool2d",
        (2,),
        {"divisor_override": 0},
        "divisor_override must not be zero, got divisor_override=0.",
    ),
]
BUILD_TYPE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("Conv2d", (3.0, 4, 3), {}, "in_channels must be an int, got in_channels=3.0."),
    (
        "Conv2d",
        (3, 4, 1.5),
        {},
        "kernel_size must be an int or a sequence of 2 ints, got kernel_size=1.5.",
    ),
    ("BatchNorm2d", ("3",), {}, "num_features must be an int, got num_features='3'."),
    ("Linear", (2, None), {}, "out_features must be an int, got out_features=None."),
    (
        "MaxPool2d",
        (2.0,),
        {},
        "kernel_size must be an int or a sequence of 2 ints, got kernel_size=2.0.",
    ),
    (
        "AvgPool2d",
        (2,),
        {"divisor_override": 0.5},
        "divisor_override must be an int or None, got divisor_override=0.5.",
    ),
]
CALL_ERRORS = [
    (
        "Conv2d",
        (3, 4, 3),
        NCHW,
        f"input must have 3 channels on its last axis, got shape=(2, 3, 8, 9){FIX}",
    ),
    (
        "Conv2d",
        (3, 4, 3),
        NCHW[0],
        f"input must have 3 channels on its last axis, got shape=(3, 8, 9){FIX}",
    ),
    (
        "Conv2d",
        (3, 4, 3),
        jnp.ones((8, 3)),
        "input must be (n, h, w, c) or (h, w, c), got shape=(8, 3).",
    ),
    (
        "BatchNorm2d",
        (3,),
        NCHW,
        f"input must have 3 channels on its last axis, got shape=(2, 3, 8, 9){FIX}",
    ),
    ("BatchNorm2d", (3,), jnp.ones((2, 8, 3)), "input must be (n, h, w, c), got shape=(2, 8, 3)."),
    (
        "Linear",
        (3, 4),
        jnp.ones((2, 4)),
        "input must have 3 entries on its last axis, got shape=(2, 4).",
    ),
    ("Linear", (3, 4), jnp.ones(()), "input must have 3 entries on its last axis, got shape=()."),
]


def _exactly(name: str, message: str) -> str:
    return rf"^{name}: {re.escape(message)}(\n|$)"  # JAX may add a note about tracebacks


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), BUILD_VALUE_ERRORS)
def test_value_errors_on_construction(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=_exactly(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), BUILD_TYPE_ERRORS)
def test_type_errors_on_construction(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=_exactly(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("name", "args", "x", "message"), CALL_ERRORS)
def test_errors_on_call(name: str, args: Any, x: jax.Array, message: str) -> None:
    """Seen before a parameter is made."""
    with pytest.raises(ValueError, match=_exactly(name, message)):
        getattr(nn, name)(*args).init(KEY, x)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect", dtype=jnp.bfloat16), (1, 4, 4, 3)),
        (nn.Linear(3, 4, dtype=jnp.bfloat16), (1, 3)),
        (nn.BatchNorm2d(3, dtype=jnp.bfloat16), (1, 4, 4, 3)),
    ],
    ids=["conv", "linear", "batch-norm"],
)
def test_dtype_is_the_computation_s(layer: Any, shape: tuple[int, ...]) -> None:
    y, variables = layer.init_with_output(KEY, jnp.ones(shape))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("Conv2d", (3, 4, 3), (1, 4, 4, 3)),
        ("Linear", (3, 4), (1, 3)),
        ("BatchNorm2d", (3,), (1, 4, 4, 3)),
    ],
)
def test_param_dtype(name: str, args: Any, shape: tuple[int, ...]) -> None:
    layer = getattr(nn, name)(*args, param_dtype=jnp.bfloat16)
    variables = layer.init(KEY, jnp.ones(shape))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype("bfloat16")}


def test_dropout_layer() -> None:
    layer, x = nn.Dropout(0.5), jnp.ones((50, 50))
    assert jnp.array_equal(layer.apply({}, x), x)
    first, other = (
        layer.apply({}, x, train=True, rngs={"dropout": jax.random.key(i)}) for i in (0, 1)
    )
    assert not jnp.array_equal(first, other)
    assert 0.4 < float(jnp.mean(first == 0)) < 0.6


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_needs_no_key_without_chance(p: float) -> None:
    assert nn.Dropout(p).apply({}, jnp.ones(3), train=True).tolist() == [1 - p] * 3


def test_two_dropouts_draw_apart() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    y = model.apply({}, jnp.ones(2000), train=True, rngs={"dropout": KEY})
    assert 0.2 < float(jnp.mean(y != 0)) < 0.3


def test_batch_norm_init_counts_nothing() -> None:
    """`init` with train=True runs a batch that is not data."""
    x = jnp.full((2, 4, 4, 3), 5.0) + jnp.arange(3)
    stats = nn.BatchNorm2d(3).init(KEY, x, train=True)["batch_stats"]
    assert int(stats["num_batches_tracked"]) == 0
    assert stats["running_mean"].tolist() == [0, 0, 0]


def test_batch_norm_evaluation_writes_nothing() -> None:
    layer, x = nn.BatchNorm2d(3), jnp.ones((2, 4, 4, 3))
    variables = layer.init(KEY, x)
    _, new = layer.apply(variables, x, mutable=["batch_stats"])
    assert jax.tree.map(np.array_equal, new["batch_stats"], variables["batch_stats"]) == {
        "running_mean": True,
        "running_var": True,
        "num_batches_tracked": True,
    }


def test_batch_norm_running_variance_is_unbiased() -> None:
    x = jnp.array([0.0, 2.0]).reshape(2, 1, 1, 1)
    layer = nn.BatchNorm2d(1, momentum=1.0)
    _, new = layer.apply(layer.init(KEY, x), x, train=True, mutable=["batch_stats"])
    assert new["batch_stats"]["running_var"].tolist() == [2.0]


def test_max_pool_layer_returns_indices() -> None:
    y, indices = nn.MaxPool2d(2, return_indices=True).apply(
        {}, jnp.arange(16.0).reshape(1, 4, 4, 1)
    )
    assert y.ravel().tolist() == [5, 7, 13, 15] == indices.ravel().tolist()


def test_identity() -> None:
    x = jnp.arange(3.0)
    assert nn.Identity(1, a=2).apply({}, x) is x
