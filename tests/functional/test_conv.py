"""Convolutions beyond parity cases: programs, half precision, transformations, borders."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcnn import functional as F
from jaxcnn.functional.conv import convolve

# Arguments of conv_transpose{n}d by number of spatial axes: (input, weight, arguments).
TRANSPOSE = {
    "1d": ((2, 5, 3), (3, 2, 4), {"stride": 3, "padding": 1, "output_padding": 2}),
    "2d": ((2, 4, 3, 3), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2)}),
    "2d-groups": ((1, 4, 3, 6), (6, 2, 3, 3), {"groups": 3, "stride": 2, "padding": 1}),
    "2d-cut-inside": ((1, 4, 5, 2), (2, 3, 2, 2), {"stride": 2, "padding": (3, 2)}),
    "3d": ((1, 2, 3, 2, 2), (2, 2, 2, 3, 1), {"stride": (2, 1, 2), "padding": (0, 1, 0)}),
}


def conv_transpose(weight: tuple[int, ...]) -> Callable[..., jax.Array]:
    return getattr(F, f"conv_transpose{len(weight) - 2}d")


def numbers(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.RandomState(7)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv_transpose_is_the_gradient_of_conv(n: int, groups: int, x64: None) -> None:
    """The definition; the same weight, read the other way round."""
    conv, transpose = getattr(F, f"conv{n}d"), getattr(F, f"conv_transpose{n}d")
    size, kernel = (9, 8, 7)[:n], (3, 2, 3)[:n]
    x, w = numbers((2, *size, 2 * groups), (3 * groups, 2, *kernel))
    window = {"stride": 4, "padding": 1, "dilation": (2, 1, 1)[:n], "groups": groups}
    y, vjp = jax.vjp(lambda x: conv(x, w, **window), x)
    reached = [
        (o - 1) * 4 - 2 + d * (k - 1) + 1
        for o, d, k in zip(y.shape[1:-1], window["dilation"], kernel, strict=True)
    ]
    extra = tuple(s - r for s, r in zip(size, reached, strict=True))
    assert any(extra)
    ours = transpose(y, w, output_padding=extra, **window)
    np.testing.assert_allclose(ours, vjp(y)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("id", TRANSPOSE)
def test_conv_transpose_of_other_platforms(
    id: str, x64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program for CPUs equals the one that GPUs and TPUs run, in values and gradients."""
    shape, weight, arguments = TRANSPOSE[id]
    x, w, b = numbers(shape, weight, (weight[1] * arguments.get("groups", 1),))

    def all_of() -> Any:
        y, vjp = jax.vjp(lambda *x: conv_transpose(weight)(*x, **arguments), x, w, b)
        return y, *vjp(jnp.cos(y))

    ours = all_of()
    chosen = []

    def default(*operands: Any, default: Callable[..., Any], cpu: Any) -> Any:
        chosen.append(cpu)
        return default(*operands)

    with monkeypatch.context() as patch:
        patch.setattr(lax, "platform_dependent", default)
        convolve.clear_cache()
        theirs = all_of()
    convolve.clear_cache()
    for a, e in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-12, atol=1e-12)
    assert chosen


HALF = {
    "conv1d": ((2, 9, 4), (3, 4, 3), {}),
    "conv2d": ((2, 6, 5, 4), (3, 4, 3, 3), {"stride": 2}),
    "conv2d-groups": ((2, 6, 5, 4), (4, 2, 3, 3), {"groups": 2}),
    "conv3d": ((1, 4, 3, 4, 2), (3, 2, 2, 2, 3), {}),
    "conv_transpose2d": ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": 2}),
    "conv_transpose2d-groups": ((2, 4, 3, 4), (4, 3, 3, 2), {"stride": 2, "groups": 2}),
}


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
@pytest.mark.parametrize("id", HALF)
def test_half_precision_is_rounded_once(id: str, half: str) -> None:
    """After the bias has been added, on CPU; so are the gradients."""
    shape, weight, arguments = HALF[id]
    name = id.partition("-")[0]
    out = weight[1] * arguments.get("groups", 1) if "transpose" in name else weight[0]
    inputs = [jnp.asarray(a, half) for a in numbers(shape, weight, (out,))]
    function = lambda *inputs: getattr(F, name)(*inputs, **arguments)
    y, vjp = jax.vjp(function, *inputs)
    wide, wide_vjp = jax.vjp(function, *(a.astype(jnp.float32) for a in inputs))
    assert y.dtype == half
    assert jnp.array_equal(y, wide.astype(half))
    for a, e in zip(vjp(y), wide_vjp(y.astype(jnp.float32)), strict=True):
        assert a.dtype == half
        assert jnp.array_equal(a, e.astype(half))


def test_a_wider_bias_widens() -> None:
    x, w = jnp.ones((1, 4, 2), jnp.bfloat16), jnp.ones((3, 2, 2), jnp.bfloat16)
    assert F.conv1d(x, w, jnp.ones(3, jnp.float32)).dtype == jnp.float32


FOLDS = {
    "overlap": {"kernel_size": 2},
    "gaps": {"kernel_size": (1, 2), "stride": (2, 3)},
    "everything": {"kernel_size": (3, 2), "dilation": (2, 3), "padding": (1, 4), "stride": (2, 3)},
}


@pytest.mark.parametrize("id", FOLDS)
def test_fold_is_the_transpose_of_unfold(id: str, x64: None) -> None:
    (x,) = numbers((2, 9, 8, 3))
    unfold = lambda x: F.unfold(x, **FOLDS[id])
    fold = lambda y: F.fold(y, (9, 8), **FOLDS[id])
    y, vjp = jax.vjp(unfold, x)
    np.testing.assert_allclose(jax.jit(fold)(y), vjp(y)[0], rtol=1e-12)
    # Its own gradient, compiled, is unfold again.
    gradient = jax.jit(jax.grad(lambda y: jnp.sum(fold(y) ** 2 / 2)))(y)
    np.testing.assert_allclose(gradient, unfold(fold(y)), rtol=1e-12)


def test_fold_counts_the_blocks_of_a_pixel() -> None:
    counts = F.fold(F.unfold(jnp.ones((4, 3, 1)), 2), (4, 3), 2)[..., 0]
    assert counts.tolist() == [[1, 2, 1], [2, 4, 2], [2, 4, 2], [1, 2, 1]]


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "bfloat16", "float16"])
def test_unfold_keeps_the_type(dtype: str) -> None:
    x = jnp.arange(12).reshape(3, 4, 1).astype(dtype)
    columns = F.unfold(x, 2)
    assert columns.dtype == dtype
    assert columns[4].tolist() == [x[1, 1, 0], x[1, 2, 0], x[2, 1, 0], x[2, 2, 0]]


def test_fold_in_half_precision_adds_up_in_float32() -> None:
    """256 + 1 + ... + 1 stays 256 in bfloat16."""
    columns = jnp.ones((9, 9), jnp.bfloat16).at[4, 4].set(256)
    image = F.fold(columns, (1, 9), (1, 9), padding=(0, 4))
    assert image.dtype == jnp.bfloat16
    assert image[0, 4, 0] == 264


def _equations(function: Callable[..., Any], *args: Any) -> int:
    return len(jax.make_jaxpr(jax.grad(lambda *a: function(*a).sum()))(*args).eqns)


@pytest.mark.parametrize("size", [8, 32])
def test_no_loop_over_blocks(size: int) -> None:
    """The program has one length, whatever the image's size."""
    x = np.ones((1, size, size, 2), np.float32)
    assert _equations(lambda x: F.unfold(x, 3), x) == _equations(
        lambda x: F.unfold(x, 3), x[:, :5, :6]
    )
    fold = lambda y: F.fold(y, size, 2, stride=2)
    small = lambda y: F.fold(y, 4, 2, stride=2)
    y = np.ones((1, (size // 2) ** 2, 4), np.float32)
    assert _equations(fold, y) == _equations(small, y[:, :4])


DEFORM = {
    "plain": ((2, 6, 5, 4), (3, 4, 3, 2), {}),
    "groups": (
        (2, 9, 8, 6),
        (4, 3, 3, 2),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (2, 3)},
    ),
    "depthwise": ((1, 5, 6, 3), (3, 1, 2, 2), {"padding": 1}),
}


def _deform_inputs(id: str, offset_groups: int) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Input, offset, weight, bias and mask of one row."""
    shape, weight, arguments = DEFORM[id]
    like = jax.eval_shape(
        lambda x, w: F.conv2d(x, w, groups=shape[-1] // weight[1], **arguments),
        np.ones(shape),
        np.ones(weight),
    )
    per_place = offset_groups * weight[2] * weight[3]
    offset, mask = (*like.shape[:3], 2 * per_place), (*like.shape[:3], per_place)
    return numbers(shape, offset, weight, weight[:1], mask), arguments


@pytest.mark.parametrize("id", DEFORM)
def test_deform_conv2d_without_offset_is_conv2d(id: str, x64: None) -> None:
    (x, offset, w, b, mask), arguments = _deform_inputs(id, 1)
    plain = F.conv2d(x, w, b, groups=x.shape[-1] // w.shape[1], **arguments)
    zero, one = np.zeros_like(offset), np.ones_like(mask)
    for given in ({}, {"mask": one}):
        ours = F.deform_conv2d(x, zero, w, b, **arguments, **given)
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)


def test_deform_conv2d_moves_down_then_right() -> None:
    """The offset's pairs are (dy, dx): by whole pixels, the image shifts."""
    x = jnp.arange(20.0).reshape(1, 4, 5, 1)
    offset = jnp.broadcast_to(jnp.array([1.0, 2.0]), (1, 4, 5, 2))
    moved = F.deform_conv2d(x, offset, jnp.ones((1, 1, 1, 1)))[0, :, :, 0]
    expected = np.zeros((4, 5))
    expected[:3, :3] = x[0, 1:, 2:, 0]
    np.testing.assert_array_equal(moved, expected)


# A column of three pixels 1, 10, 100, looked at from row `position`: (value, slope).
BORDER = [
    (-1e10, 0, 0),
    (-2.5, 0, 0),
    (-1.25, 0, 0),
    (-1, 0, 1),  # zero up to here, but the slope to the next pixel is not
    (-0.75, 0.25, 1),
    (0, 1, 9),
    (0.5, 5.5, 9),
    (1, 10, 90),  # at a pixel the slope is the one after it
    (2, 100, -100),
    (2.75, 25, -100),
    (3, 0, 0),
    (3.5, 0, 0),
    (1e10, 0, 0),
]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("position", "value", "slope"), BORDER)
def test_deform_conv2d_at_the_border(position: float, value: float, slope: float, axis: int):
    """Corners outside count zero: no clamping, no renormalising."""
    x = jnp.array([1.0, 10.0, 100.0]).reshape(1, 3, 1, 1)
    direction = jnp.array([1.0, 0.0])
    if axis == 1:
        x, direction = x.swapaxes(1, 2), direction[::-1]

    def first(position: jax.Array) -> jax.Array:
        offset = jnp.zeros((1, 3, 3, 2)).at[0, 0, 0].set(position * direction)
        offset = offset[:, : x.shape[1], : x.shape[2]]
        return F.deform_conv2d(x, offset, jnp.ones((1, 1, 1, 1)))[0, 0, 0, 0]

    found = jax.jit(jax.value_and_grad(first))(float(position))
    np.testing.assert_allclose(found, (value, slope), rtol=1e-6)


def test_deform_conv2d_padding_is_outside() -> None:
    """Sampling in the padding gives zero, and its offsets reach the image again."""
    x = jnp.full((1, 2, 2, 1), 8.0)
    offset = jnp.zeros((1, 6, 6, 2)).at[0, 0, 0].set(jnp.array([2.0, 1.5]))
    y = F.deform_conv2d(x, offset, jnp.ones((1, 1, 1, 1)), padding=2)[0, :, :, 0]
    expected = np.pad(np.full((2, 2), 8.0), 2)
    expected[0, 0] = 4
    np.testing.assert_array_equal(y, expected)


def test_deform_conv2d_of_no_number_is_none() -> None:
    offset = jnp.full((1, 2, 2, 2), jnp.nan)
    assert jnp.all(jnp.isnan(F.deform_conv2d(jnp.ones((1, 2, 2, 1)), offset, jnp.ones((1,) * 4))))


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_deform_conv2d_in_half_precision(half: str) -> None:
    (x, offset, w, b, mask), arguments = _deform_inputs("groups", 3)
    inputs = [jnp.asarray(a, half) for a in (x, offset, w, b, mask)]
    function = lambda x, offset, w, b, mask: F.deform_conv2d(
        x, offset, w, b, **arguments, mask=mask
    )
    y, vjp = jax.vjp(function, *inputs)
    wide, wide_vjp = jax.vjp(function, *(a.astype(jnp.float32) for a in inputs))
    assert y.dtype == half
    gradients = zip(vjp(jnp.ones_like(y)), wide_vjp(jnp.ones_like(wide)), strict=True)
    for a, e in [(y, wide), *gradients]:
        assert a.dtype == half
        # Samples are rounded before they meet the weight.
        np.testing.assert_allclose(
            a.astype(jnp.float32), e, atol=1e-2 * float(jnp.abs(e).max()), rtol=0
        )


def test_deform_conv2d_positions_are_not_rounded() -> None:
    """bfloat16 has whole numbers up to 256 only, and steps of 2 after them."""
    x = jnp.tile(jnp.array([0.0, 1.0], jnp.bfloat16), 200).reshape(1, 400, 1, 1)
    offset = jnp.broadcast_to(jnp.array([0.25, 0.0], jnp.bfloat16), (1, 400, 1, 2))
    y = F.deform_conv2d(x, offset, jnp.ones((1, 1, 1, 1), jnp.bfloat16))[0, :-1, 0, 0]
    assert y.tolist() == [0.25, 0.75] * 199 + [0.25]


def test_deform_conv2d_gradient_stores_no_corners() -> None:
    """What the gradient keeps is the inputs and the samples that meet the weight, not four each."""
    (x, offset, w, b, mask), arguments = _deform_inputs("groups", 3)
    inputs = [jnp.asarray(a, jnp.float32) for a in (x, offset, w, b, mask)]
    _, vjp = jax.vjp(
        lambda x, o, w, b, m: F.deform_conv2d(x, o, w, b, **arguments, mask=m), *inputs
    )
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(vjp))
    samples = mask.size // 3 * x.shape[-1] * 4
    assert kept < 2 * samples + sum(a.nbytes for a in inputs)


VMAP = {
    "conv1d": [(5, 2), (3, 2, 2)],
    "conv3d": [(1, 3, 4, 3, 2), (3, 2, 2, 2, 3)],
    "conv_transpose2d": [(1, 4, 3, 4), (4, 3, 3, 2)],
    "deform_conv2d": [(1, 4, 5, 2), (1, 3, 3, 24), (3, 2, 2, 3)],
}


@pytest.mark.parametrize("name", VMAP)
def test_vmap(name: str, x64: None) -> None:
    """Values and gradients of stacked inputs are the stack of each one's."""
    function = getattr(F, name)
    stacks = numbers(*((3, *shape) for shape in VMAP[name]))

    def all_of(*inputs: jax.Array) -> Any:
        y, vjp = jax.vjp(function, *inputs)
        return y, *vjp(jnp.cos(y))

    mapped = jax.jit(jax.vmap(all_of))(*stacks)
    for i in range(3):
        for a, e in zip(mapped, all_of(*(stack[i] for stack in stacks)), strict=True):
            np.testing.assert_allclose(a[i], e, rtol=1e-12, atol=1e-12)


def test_vmap_of_fold(x64: None) -> None:
    (x,) = numbers((3, 2, 6, 5, 2))
    columns = jax.vmap(lambda x: F.unfold(x, 2, padding=1))(x)
    images = jax.vmap(lambda y: F.fold(y, (6, 5), 2, padding=1))(columns)
    for i in range(3):
        np.testing.assert_array_equal(columns[i], F.unfold(x[i], 2, padding=1))
        np.testing.assert_array_equal(images[i], F.fold(columns[i], (6, 5), 2, padding=1))


def test_no_images_are_no_error() -> None:
    assert F.conv_transpose2d(np.ones((0, 3, 4, 2)), np.ones((2, 3, 2, 2))).shape == (0, 4, 5, 3)
    assert F.unfold(np.ones((0, 3, 4, 2)), 2).shape == (0, 6, 8)
    assert F.fold(np.ones((0, 6, 8)), (3, 4), 2).shape == (0, 3, 4, 2)
    empty = F.deform_conv2d(np.ones((0, 3, 4, 2)), np.ones((0, 3, 4, 2)), np.ones((3, 2, 1, 1)))
    assert empty.shape == (0, 3, 4, 3)


def test_deform_conv2d_signature() -> None:
    """torchvision.ops.deform_conv2d's, which need not be installed."""
    assert [
        (p.name, p.default) for p in inspect.signature(F.deform_conv2d).parameters.values()
    ] == [
        ("input", inspect.Parameter.empty),
        ("offset", inspect.Parameter.empty),
        ("weight", inspect.Parameter.empty),
        ("bias", None),
        ("stride", (1, 1)),
        ("padding", (0, 0)),
        ("dilation", (1, 1)),
        ("mask", None),
    ]
