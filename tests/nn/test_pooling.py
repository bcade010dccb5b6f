"""Pooling layers: errors, what they print, buffers, randomness; the functions' arguments."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn

KEY = jax.random.key(0)
NEGATIVE = "output_size must be at least 0, got output_size=-1."
KERNEL = "kernel_size must be at least 1, got kernel_size=0."
HALVES = np.full((1, 2, 2), 0.5, np.float32)


def _exactly(name: str, message: str) -> str:
    return rf"^{name}: {re.escape(message)}(\n|$)"


VALUE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    *(
        row
        for n in (1, 2, 3)
        for row in (
            (f"MaxPool{n}d", (0,), {}, KERNEL),
            (f"AvgPool{n}d", (2, 0), {}, "stride must be at least 1, got stride=0."),
            (
                f"AvgPool{n}d",
                (2, 2, 2),
                {},
                "padding must be at most half of kernel_size, got padding=2, kernel_size=2.",
            ),
            (f"LPPool{n}d", (0, 2), {}, "norm_type must not be zero, got norm_type=0."),
            (f"LPPool{n}d", (2, 0), {}, KERNEL),
            (f"MaxUnpool{n}d", (2, 0), {}, "stride must be at least 1, got stride=0."),
            (f"AdaptiveAvgPool{n}d", (-1,), {}, NEGATIVE),
            (f"AdaptiveMaxPool{n}d", (-1,), {}, NEGATIVE),
        )
    ),
    (
        "AvgPool3d",
        (2,),
        {"divisor_override": 0},
        "divisor_override must not be zero, got divisor_override=0.",
    ),
    *(
        row
        for n in (2, 3)
        for row in (
            (
                f"FractionalMaxPool{n}d",
                (2,),
                {},
                "output_size or output_ratio must be given, got output_size=None, "
                "output_ratio=None.",
            ),
            (
                f"FractionalMaxPool{n}d",
                (2, 3, 0.5),
                {},
                "only one of output_size and output_ratio may be given, got output_size=3, "
                "output_ratio=0.5.",
            ),
            (f"FractionalMaxPool{n}d", (0, 3), {}, KERNEL),
        )
    ),
]
TYPE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    (
        "MaxPool3d",
        (2.0,),
        {},
        "kernel_size must be an int or a sequence of 3 ints, got kernel_size=2.0.",
    ),
    ("LPPool1d", ("2", 2), {}, "norm_type must be a number, got norm_type='2'."),
    (
        "AdaptiveAvgPool2d",
        (None,),
        {},
        "output_size must be an int or a sequence of 2 ints or Nones, got output_size=None.",
    ),
    (
        "AdaptiveMaxPool1d",
        ((None,),),
        {},
        "output_size must be an int or a sequence of 1 ints, got output_size=(None,).",
    ),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), VALUE_ERRORS)
def test_value_error(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=_exactly(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), TYPE_ERRORS)
def test_type_error(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=_exactly(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize("n", [2, 3])
def test_fractional_draws_anew(n: int) -> None:
    """In evaluation too; the key decides."""
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, *(13,) * n, 4)), jnp.float32)
    layer = getattr(nn, f"FractionalMaxPool{n}d")(2, output_ratio=0.6)
    first, again, other = (
        layer.apply({}, x, rngs={"dropout": jax.random.key(seed)}) for seed in (0, 0, 1)
    )
    assert first.shape == (2, *(7,) * n, 4)
    assert jnp.array_equal(first, again)
    assert not jnp.array_equal(first, other)


def test_fractional_samples_are_a_buffer() -> None:
    x = jnp.arange(50.0).reshape(1, 5, 5, 2)
    layer = nn.FractionalMaxPool2d(2, 3, _random_samples=HALVES)
    y, variables = layer.init_with_output(KEY, x)
    assert {name: a.shape for name, a in jaxcnn.to_state_dict(variables).items()} == {
        "_random_samples": (1, 2, 2)
    }
    assert jnp.array_equal(y, F.fractional_max_pool2d(x, 2, 3, _random_samples=HALVES))
    other = {"buffers": {"_random_samples": 0 * HALVES}}
    assert not jnp.array_equal(layer.apply(other, x), y)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pool_and_unpool(n: int) -> None:
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, *(7, 6, 5)[:n], 3)), jnp.float32)
    pool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
    unpool = getattr(nn, f"MaxUnpool{n}d")(2)
    y, indices = pool.apply({}, x)
    back = unpool.apply({}, y, indices, x.shape[1:-1])
    assert back.shape == x.shape
    assert jnp.array_equal(jnp.where(back == 0, x, back), x)
    assert int((back != 0).sum()) == y.size


PRINTED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "max-int": ("MaxPool2d", (3, 2, 1)),
    "max-tuple": ("MaxPool3d", ((2, 1, 2), None, (1, 0, 1), 2, True, True)),
    "avg1d": ("AvgPool1d", (3,)),
    "avg1d-all": ("AvgPool1d", (3, (2,), 1)),
    "avg3d": ("AvgPool3d", ((2, 2, 3), 2, 1, True, False, 3)),
    "lp": ("LPPool1d", (2, 3)),
    "lp-tuple": ("LPPool2d", (1.5, (2, 3), (1, 2), True)),
    "unpool": ("MaxUnpool3d", (2, 1)),
    "unpool1d": ("MaxUnpool1d", (2,)),
    "adaptive": ("AdaptiveAvgPool2d", ((2, None),)),
    "adaptive-max": ("AdaptiveMaxPool1d", (3, True)),
    "fractional": ("FractionalMaxPool2d", (2, 3)),
}


@pytest.mark.torch
@pytest.mark.parametrize("id", PRINTED)
def test_printed(id: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    name, args = PRINTED[id]
    layer = getattr(nn, name)(*args)
    shown = f"{name}({layer.extra_repr()})" if hasattr(layer, "extra_repr") else f"{name}()"
    assert shown == str(getattr(torch.nn, name)(*args))
