"""Convolution layers and Fold: errors, output sizes, dtypes, what fields become."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn import nn

KEY = jax.random.key(0)
FIX = "; it looks channels-first: use jaxcnn.layout.to_channels_last."
CONVS = ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")

VALUE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("Conv1d", (3, 4, (3, 3)), {}, "kernel_size must be an int or a sequence of 1 ints, got "),
    ("Conv3d", (3, 4, (3, 3)), {}, "kernel_size must be an int or a sequence of 3 ints, got "),
    ("Conv1d", (3, 4, 3, 2, "same"), {}, "padding='same' needs stride 1, got stride=(2,)."),
    ("Conv3d", (3, 4, 3), {"padding_mode": "edge"}, "padding_mode must be one of ('zeros', 'ref"),
    ("ConvTranspose1d", (0, 4, 3), {}, "in_channels must be at least 1, got in_channels=0."),
    ("ConvTranspose2d", (3, 4, 3), {"groups": 2}, "in_channels must be divisible by groups, got "),
    ("ConvTranspose2d", (4, 3, 3), {"groups": 2}, "out_channels must be divisible by groups, got"),
    ("ConvTranspose3d", (3, 4, 3, 0), {}, "stride must be at least 1, got stride=0."),
    ("ConvTranspose2d", (3, 4, 3, 1, -1), {}, "padding must be at least 0, got padding=-1."),
    ("ConvTranspose2d", (3, 4, 3), {"dilation": 0}, "dilation must be at least 1, got dilation=0."),
    (
        "ConvTranspose2d",
        (3, 4, 3, 2, 0, 2),
        {},
        "output_padding must be smaller than stride or dilation, got output_padding=2, stride=(2, ",
    ),
    (
        "ConvTranspose2d",
        (3, 4, 3),
        {"padding_mode": "reflect"},
        "padding_mode must be 'zeros', got padding_mode='reflect'.",
    ),
    ("Unfold", (0,), {}, "kernel_size must be at least 1, got kernel_size=0."),
    ("Unfold", (2, 1, -1), {}, "padding must be at least 0, got padding=-1."),
    ("Fold", ((4, 0), 2), {}, "output_size must be at least 1, got output_size=(4, 0)."),
    ("Fold", (4, 2, 0), {}, "dilation must be at least 1, got dilation=0."),
    ("DeformConv2d", (3, 4, 3), {"groups": 2}, "in_channels must be divisible by groups, got in_"),
    ("DeformConv2d", (3, 4, 0), {}, "kernel_size must be at least 1, got kernel_size=0."),
]
TYPE_ERRORS: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("Conv1d", (3.0, 4, 3), {}, "in_channels must be an int, got in_channels=3.0."),
    ("ConvTranspose1d", (3, 4, 3, 1, "same"), {}, "padding must be in pixels, not a word, got pad"),
    ("ConvTranspose2d", (3, 4, 3, 2, 0, 0.5), {}, "output_padding must be an int or a sequence of"),
    (
        "Unfold",
        (2.0,),
        {},
        "kernel_size must be an int or a sequence of 2 ints, got kernel_size=2.",
    ),
    ("Fold", (None, 2), {}, "output_size must be an int or a sequence of 2 ints, got output_size="),
    ("DeformConv2d", (3, 4, 3, 1, "same"), {}, "padding must be in pixels, not a word, got paddin"),
]
CALL_ERRORS: list[tuple[str, tuple[Any, ...], tuple[int, ...], str]] = [
    ("Conv1d", (3, 4, 3), (2, 3, 8), f"got shape=(2, 3, 8){FIX}"),
    ("Conv1d", (3, 4, 3), (8,), "input must be (n, l, c) or (l, c), got shape=(8,)."),
    ("Conv3d", (3, 4, 3), (5, 5, 3), "input must be (n, d, h, w, c) or (d, h, w, c), got "),
    ("ConvTranspose1d", (3, 4, 3), (2, 2, 8, 3), "input must be (n, l, c) or (l, c), got shape="),
    ("ConvTranspose2d", (3, 4, 3), (3, 8, 9), f"got shape=(3, 8, 9){FIX}"),
    ("DeformConv2d", (3, 4, 3), (8, 9, 3), "input must be (n, h, w, c), got shape=(8, 9, 3)."),
    ("DeformConv2d", (3, 4, 3), (2, 3, 8, 9), f"got shape=(2, 3, 8, 9){FIX}"),
]


def _begins(name: str, message: str) -> str:
    return rf"^{name}: {re.escape(message)}"


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), VALUE_ERRORS)
def test_value_errors_on_construction(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=_begins(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("name", "args", "kwargs", "message"), TYPE_ERRORS)
def test_type_errors_on_construction(name: str, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(TypeError, match=_begins(name, message)):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("name", "args", "shape", "message"), CALL_ERRORS)
def test_errors_on_call(name: str, args: Any, shape: tuple[int, ...], message: str) -> None:
    """Seen before a parameter is made."""
    extra = (np.ones((1, 1, 1, 18)),) if name == "DeformConv2d" else ()
    with pytest.raises(ValueError, match=rf"^{name}: .*{re.escape(message)}"):
        getattr(nn, name)(*args).init(KEY, np.ones(shape), *extra)


OUTPUT_SIZES = [
    (
        (9, 11),
        "output_size must be from (9, 9) to (10, 10) for this input, got output_size=(9, 11)",
    ),
    ((8, 9), "output_size must be from (9, 9) to (10, 10) for this input, got output_size=(8, 9)"),
    ((9,), "output_size must be 2 sizes, or a channels-last shape with 4 axes, got output_size=(9"),
    ((1, 9, 9), "output_size must be 2 sizes, or a channels-last shape with 4 axes, got output_si"),
]


@pytest.mark.parametrize(("output_size", "message"), OUTPUT_SIZES)
def test_output_size_out_of_reach(output_size: tuple[int, ...], message: str) -> None:
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    with pytest.raises(ValueError, match=_begins("ConvTranspose2d", message)):
        layer.init(KEY, np.ones((1, 4, 4, 2)), output_size)


def test_output_size_is_ints() -> None:
    message = "output_size must be a sequence of ints, got output_size=9.0."
    with pytest.raises(TypeError, match=_begins("ConvTranspose2d", message)):
        nn.ConvTranspose2d(2, 3, 3).init(KEY, np.ones((1, 4, 4, 2)), 9.0)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_output_size_may_be_a_shape(batch: tuple[int, ...]) -> None:
    """That of what a strided convolution began with, in PyTorch's usual way to invert it."""
    x = np.ones((*batch, 10, 9, 3), np.float32)
    down, _ = nn.Conv2d(3, 4, 3, stride=2, padding=1).init_with_output(KEY, x)
    up = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1)
    y, _ = up.init_with_output(KEY, down, output_size=x.shape)
    assert y.shape == x.shape


@pytest.mark.parametrize("name", CONVS)
def test_sizes_become_tuples(name: str) -> None:
    """As PyTorch's do; a list does not keep a layer from being hashed."""
    n = int(name[-2])
    layer = getattr(nn, name)(2, 3, [3] * n, [2] * n, [1] * n, dilation=[2] * n)
    same = getattr(nn, name)(2, 3, 3, 2, 1, dilation=2)
    assert layer == same
    assert hash(layer) == hash(same)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((3,) * n, (2,) * n, (1,) * n)
    x = jnp.ones((1, *(5,) * n, 2))
    assert jax.jit(lambda: layer.init_with_output(KEY, x)[0])().shape[-1] == 3


def test_fold_layers_keep_ints_and_can_be_hashed() -> None:
    assert nn.Unfold(3).extra_repr() == "kernel_size=3, dilation=1, padding=0, stride=1"
    assert hash(nn.Unfold([3, 2])) == hash(nn.Unfold((3, 2)))
    assert hash(nn.Fold([4, 4], [3, 2], stride=[1, 1])) != 0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular", dtype=jnp.bfloat16), (1, 4, 3)),
        (nn.ConvTranspose2d(3, 4, 3, dtype=jnp.bfloat16), (1, 4, 4, 3)),
    ],
    ids=["conv", "transpose"],
)
def test_dtype_is_the_computation_s(layer: Any, shape: tuple[int, ...]) -> None:
    y, variables = layer.init_with_output(KEY, jnp.ones(shape))
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", CONVS)
def test_param_dtype(name: str) -> None:
    n = int(name[-2])
    layer = getattr(nn, name)(3, 4, 2, param_dtype=jnp.bfloat16)
    variables = layer.init(KEY, jnp.ones((1, *(3,) * n, 3)))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables["params"])} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("transposed", [False, True])
def test_default_initialisation(transposed: bool) -> None:
    """U(-b, b), b = 1/sqrt(fan_in); PyTorch's fan_in is of the weight's second axis in both."""
    name, channels = ("ConvTranspose2d", (32, 64)) if transposed else ("Conv2d", (64, 32))
    layer = getattr(nn, name)(*channels, (3, 5), groups=4)
    params = layer.init(KEY, jnp.ones((1, 6, 6, channels[0])))["params"]
    assert params["weight"].shape[1] == 16
    bound = 1 / np.sqrt(16 * 3 * 5)
    for leaf in params.values():
        assert float(jnp.abs(leaf).max()) <= bound
    assert float(jnp.abs(params["weight"]).max()) > 0.99 * bound
    np.testing.assert_allclose(jnp.std(params["weight"]), bound / np.sqrt(3), rtol=0.02)
    assert float(jnp.abs(params["bias"]).max()) > 0.7 * bound


def test_deform_conv2d_layer() -> None:
    """Calls the function with its fields; offset and mask keep their precision."""
    layer = nn.DeformConv2d(
        4, 6, (3, 2), (2, 1), [1, 0], dilation=2, groups=2, bias=False, dtype=jnp.bfloat16
    )
    assert hash(layer) == hash(layer.copy())
    rng = np.random.RandomState(0)
    x = rng.standard_normal((2, 6, 7, 4)).astype(np.float32)
    offset = rng.standard_normal((2, 2, 5, 12)).astype(np.float32)
    mask = rng.standard_normal((2, 2, 5, 6)).astype(np.float32)
    y, variables = layer.init_with_output(KEY, x, offset, mask)
    weight = variables["params"]["weight"]
    assert weight.shape == (6, 2, 3, 2)
    assert set(variables["params"]) == {"weight"}
    half = (jnp.asarray(a, jnp.bfloat16) for a in (x, weight))
    x, weight = half
    expected = F.deform_conv2d(x, offset, weight, None, (2, 1), (1, 0), (2, 2), mask)
    assert y.dtype == jnp.bfloat16
    assert jnp.array_equal(y, expected)


def test_deform_conv2d_layer_prints_as_torchvision_s() -> None:
    layer = nn.DeformConv2d(4, 6, 3, 2, 1, 2, 2, False)
    assert layer.extra_repr() == (
        "4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(2, 2), groups=2, "
        "bias=False"
    )
    assert nn.DeformConv2d(4, 6, 3).extra_repr() == "4, 6, kernel_size=(3, 3), stride=(1, 1)"
