"""Layers of padding, resizing, shuffling and reshaping."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import nn

Shape = tuple[int, ...]

# (class, arguments, shape of PyTorch's input, axis of its channels)
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], Shape, int]] = [
    *(
        (f"{kind}{n}d", (padding, *value), {}, shape, channel)
        for kind, value in (
            ("ConstantPad", (-1.5,)),
            ("ZeroPad", ()),
            ("ReflectionPad", ()),
            ("ReplicationPad", ()),
            ("CircularPad", ()),
        )
        for n, padding, shape, channel in (
            (1, (2, 1), (2, 3, 4), 1),
            (1, 1, (3, 4), 0),
            (2, (1, 2, 0, 3), (2, 3, 4, 5), 1),
            (2, 2, (3, 4, 5), 0),
            (3, (1, 2, 0, 3, 2, 1), (1, 2, 3, 4, 5), 1),
            (3, 1, (2, 3, 4, 5), 0),
        )
    ),
    ("ZeroPad2d", ((-1, 2, 1, -2),), {}, (2, 3, 4, 5), 1),
    ("Upsample", (7,), {}, (2, 3, 4), 1),
    ("Upsample", (None, 2), {"mode": "nearest"}, (2, 3, 4, 5), 1),
    ("Upsample", (None, (1.7, 0.6)), {"mode": "bicubic"}, (2, 3, 4, 5), 1),
    ("Upsample", ((3, 9), None, "bilinear", True), {}, (2, 3, 4, 5), 1),
    (
        "Upsample",
        (),
        {"scale_factor": 1.7, "mode": "trilinear", "recompute_scale_factor": True},
        (1, 2, 3, 4, 5),
        1,
    ),
    ("UpsamplingNearest2d", (), {"scale_factor": 2}, (2, 3, 4, 5), 1),
    ("UpsamplingNearest2d", ((3, 7),), {}, (2, 3, 4, 5), 1),
    ("UpsamplingBilinear2d", (), {"scale_factor": (1.5, 2)}, (2, 3, 4, 5), 1),
    ("UpsamplingBilinear2d", (6,), {}, (2, 3, 4, 5), 1),
    ("PixelShuffle", (2,), {}, (2, 12, 3, 4), 1),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6), 1),
    ("ChannelShuffle", (3,), {}, (2, 6, 4, 5), 1),
    ("Unflatten", (1, (3, 4, 5)), {}, (2, 60), 1),
]


def _id(row: tuple[Any, ...]) -> str:
    return f"{row[0]}-{row[1]}{row[2] or ''}-{len(row[3])}axes"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "args", "kwargs", "shape", "channel"), LAYERS, ids=map(_id, LAYERS)
)
def test_equals_torch(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], shape: Shape, channel: int
) -> None:
    """Output, printed form, and nothing learned."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(nn, name)(*args, **kwargs)
    assert ours.extra_repr() == theirs.extra_repr()
    x = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
    y, variables = ours.init_with_output(jax.random.key(0), np.moveaxis(x, channel, -1))
    assert not variables
    expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.moveaxis(y, -1, channel), expected, rtol=1.3e-6, atol=1e-5)


def test_unflatten_undoes_flatten() -> None:
    x = jnp.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    model = nn.Sequential(nn.Flatten(), nn.Unflatten(1, (5, 3, 4)))
    assert jnp.array_equal(model.apply({}, x), x)
    pixels = nn.Sequential(nn.Flatten(1, 2), nn.Unflatten(1, (3, 4)))
    assert jnp.array_equal(pixels.apply({}, x), x)


VALUE_ERRORS: list[tuple[str, tuple[Any, ...], str]] = [
    (
        "ReflectionPad1d",
        ((1, 2, 3),),
        "padding must be an int or a sequence of 2 ints, got padding=(1, 2, 3).",
    ),
    (
        "ConstantPad2d",
        ((1, 2), 0.0),
        "padding must be an int or a sequence of 4 ints, got padding=(1, 2).",
    ),
    (
        "Upsample",
        (),
        "exactly one of size and scale_factor must be given, got size=None, scale_factor=None.",
    ),
    (
        "Upsample",
        (2, 2),
        "exactly one of size and scale_factor must be given, got size=2, scale_factor=2.",
    ),
    (
        "Upsample",
        (2, None, "cubic"),
        "mode must be one of ('nearest', 'nearest-exact', 'linear', 'bilinear', 'trilinear', "
        "'bicubic', 'area', 'lanczos'), got mode='cubic'.",
    ),
    (
        "UpsamplingNearest2d",
        (),
        "exactly one of size and scale_factor must be given, got size=None, scale_factor=None.",
    ),
    (
        "UpsamplingBilinear2d",
        (2, 2),
        "exactly one of size and scale_factor must be given, got size=2, scale_factor=2.",
    ),
    ("PixelShuffle", (0,), "upscale_factor must be at least 1, got upscale_factor=0."),
    ("PixelUnshuffle", (0,), "downscale_factor must be at least 1, got downscale_factor=0."),
    ("ChannelShuffle", (0,), "groups must be at least 1, got groups=0."),
    ("Unflatten", (1, ()), "unflattened_size must have an entry, got unflattened_size=()."),
    (
        "Unflatten",
        (1, (-1, -1)),
        "unflattened_size must be 0 or more, but for one -1, got unflattened_size=(-1, -1).",
    ),
]
TYPE_ERRORS: list[tuple[str, tuple[Any, ...], str]] = [
    (
        "CircularPad3d",
        (1.5,),
        "padding must be an int or a sequence of 6 ints, got padding=1.5.",
    ),
    ("PixelShuffle", (2.0,), "upscale_factor must be an int, got upscale_factor=2.0."),
    ("PixelUnshuffle", ("2",), "downscale_factor must be an int, got downscale_factor='2'."),
    ("ChannelShuffle", (None,), "groups must be an int, got groups=None."),
    ("Unflatten", ("1", (2, 3)), "dim must be an int, got dim='1'."),
    (
        "Unflatten",
        (1, 6),
        "unflattened_size must be a sequence of ints, got unflattened_size=6.",
    ),
]


@pytest.mark.parametrize(("name", "args", "message"), VALUE_ERRORS)
def test_value_errors_on_construction(name: str, args: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {re.escape(message)}$"):
        getattr(nn, name)(*args)


@pytest.mark.parametrize(("name", "args", "message"), TYPE_ERRORS)
def test_type_errors_on_construction(name: str, args: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: {re.escape(message)}$"):
        getattr(nn, name)(*args)


@pytest.mark.parametrize(
    ("name", "args", "x", "message"),
    [
        (
            "ZeroPad1d",
            (1,),
            jnp.ones((1, 2, 3, 4)),
            "input must be (n, w, c) or (w, c), got shape=(1, 2, 3, 4).",
        ),
        (
            "ReflectionPad2d",
            (1,),
            jnp.ones((2, 3)),
            "input must be (n, h, w, c) or (h, w, c), got shape=(2, 3).",
        ),
        (
            "ReflectionPad2d",
            (3,),
            jnp.ones((4, 3, 1)),
            "mode 'reflect' can pad an axis of 3 by at most 2, got pad=(3, 3).",
        ),
    ],
)
def test_errors_on_call(name: str, args: Any, x: jax.Array, message: str) -> None:
    """JAX may add a note about tracebacks."""
    with pytest.raises(ValueError, match=rf"^{name}: {re.escape(message)}(\n|$)"):
        getattr(nn, name)(*args).apply({}, x)
