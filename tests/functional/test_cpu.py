"""The programs for XLA:CPU against the plain ones, gradients included."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxcnn.functional import _cpu
from jaxcnn.functional._cpu import dense
from jaxcnn.functional._windows import Window

# (input, kernel, stride, dilation, pads), each for two spatial axes.
SHAPES = {
    "odd": ((7, 9), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1))),
    "stride": ((8, 7), (3, 2), (2, 2), (1, 1), ((1, 1), (0, 1))),
    "stride-over-kernel": ((9, 11), (2, 2), (3, 4), (1, 1), ((0, 0), (1, 0))),
    "dilation": ((9, 8), (3, 2), (1, 2), (2, 3), ((2, 2), (1, 1))),
    "one-window": ((5, 4), (5, 4), (1, 1), (1, 1), ((0, 0), (0, 0))),
    "1x1": ((4, 5), (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0))),
    "edge": ((3, 6), (1, 2), (1, 1), (1, 1), ((0, 0), (0, 0))),
}
# batch, in, out, groups: few and more channels, groups joined and not, depthwise, two each
CHANNELS = [(1, 1, 2, 1), (2, 3, 4, 1), (1, 5, 3, 1), (2, 4, 6, 2), (2, 3, 3, 3), (1, 3, 6, 3)]


def window_of(name: str) -> tuple[tuple[int, ...], Window]:
    size, kernel, stride, dilation, pads = SHAPES[name]
    return size, Window(kernel, stride, dilation, pads)


def derivatives(
    function: Callable[..., jax.Array], *inputs: np.ndarray, second: bool = False
) -> list[np.ndarray]:
    """Value, tangent, gradients and, if wanted, the gradients of the squared gradients."""
    tangents = tuple(np.cos(x) for x in inputs)
    every = tuple(range(len(inputs)))

    def all_of(*x: jax.Array) -> Any:
        grads = jax.grad(lambda *x: jnp.sum(jnp.sin(function(*x))), every)
        squared = lambda *x: sum(jnp.sum(g**2) for g in grads(*x))
        more = jax.grad(squared, every)(*x) if second else ()
        return *jax.jvp(function, x, tangents), *grads(*x), *more

    return [np.asarray(value) for value in jax.jit(all_of)(*inputs)]


def assert_same(fast: list[np.ndarray], plain: list[np.ndarray]) -> None:
    for a, e in zip(fast, plain, strict=True):
        assert a.dtype == e.dtype == np.float64
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9 * max(np.abs(e).max(), 1))


def plain_conv(window: Window, groups: int = 1) -> Callable[..., jax.Array]:
    axes = "DHW"[-len(window.kernel) :]
    return lambda x, weight: lax.conv_general_dilated(
        x,
        weight,
        window.stride,
        window.pads,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{axes}C", f"OI{axes}", f"N{axes}C"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("batch", "channels", "out", "groups"), CHANNELS)
def test_conv(
    shape: str,
    batch: int,
    channels: int,
    out: int,
    groups: int,
    x64: None,
    rng: np.random.RandomState,
) -> None:
    size, window = window_of(shape)
    x = rng.standard_normal((batch, *size, channels))
    weight = rng.standard_normal((out, channels // groups, *window.kernel))
    fast = lambda x, weight: _cpu.conv(x, weight, window, groups)
    plain = plain_conv(window, groups)
    second = shape == "stride"  # enough: it takes long to compile
    assert_same(
        derivatives(fast, x, weight, second=second), derivatives(plain, x, weight, second=second)
    )


@pytest.mark.parametrize("channels", [3, 20], ids=["few", "many"])
def test_conv_of_many_images(
    channels: int, x64: None, rng: np.random.RandomState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of the kernel takes a few images at a time, here two of six."""
    size, window = window_of("stride")
    x = rng.standard_normal((6, *size, channels))
    weight = rng.standard_normal((2, channels, *window.kernel))
    taps = 6 if channels == 3 else 2  # unfolded along both axes, or the last
    monkeypatch.setattr(dense, "_CHUNK", 2 * 4 * 4 * taps * channels)
    fast = lambda x, weight: _cpu.conv(x, weight, window)
    assert "scan" in str(jax.make_jaxpr(jax.grad(lambda w: fast(x, w).sum()))(weight))
    assert_same(derivatives(fast, x, weight), derivatives(plain_conv(window), x, weight))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("axes", [1, 3])
def test_conv_over_other_axes(
    axes: int, groups: int, x64: None, rng: np.random.RandomState
) -> None:
    window = Window((3,) * axes, (2,) * axes, (1,) * axes, ((1, 0),) * axes)
    x = rng.standard_normal((2, *(7, 5, 6)[:axes], 4))
    weight = rng.standard_normal((4, 4 // groups, *window.kernel))
    fast = lambda x, weight: _cpu.conv(x, weight, window, groups)
    assert_same(derivatives(fast, x, weight), derivatives(plain_conv(window, groups), x, weight))


@pytest.mark.parametrize("groups", [1, 16])
def test_conv_under_vmap(groups: int, rng: np.random.RandomState) -> None:
    """Of images and of kernels, in the step's own dtype."""
    _, window = window_of("odd")
    x = rng.standard_normal((3, 2, 7, 9, 16)).astype(np.float32)
    weight = rng.standard_normal((3, 16, 16 // groups, 3, 3)).astype(np.float32)
    grad = lambda f: jax.vmap(jax.grad(lambda x, w: jnp.sum(jnp.sin(f(x, w))), (0, 1)))
    fast = grad(lambda x, w: _cpu.conv(x, w, window, groups))(x, weight)
    plain = grad(plain_conv(window, groups))(x, weight)
    for a, e in zip(fast, plain, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_sliding_sum(shape: str, x64: None, rng: np.random.RandomState) -> None:
    size, window = window_of(shape)
    x = rng.standard_normal((2, *size, 3))
    plain = lambda x: plain_conv(window, 3)(x, jnp.ones((3, 1, *window.kernel)))
    assert_same(derivatives(lambda x: _cpu.sliding_sum(x, window), x), derivatives(plain, x))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (2, 3)])
def test_max_pool(
    shape: str, batch: int, channels: int, x64: None, rng: np.random.RandomState
) -> None:
    """Against the maximum over patches: select-and-scatter has no gradient with dilation."""
    size, window = window_of(shape)
    x = rng.standard_normal((batch, *size, channels))

    def plain(x: jax.Array) -> jax.Array:
        taps = [tap for _, tap in window.taps(window.pad(x, -jnp.inf))]
        return jnp.max(jnp.stack(taps), 0)

    fast = lambda x: _cpu.max_pool(x, window)
    assert_same(derivatives(fast, x), derivatives(plain, x))


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "dilation"])
def test_max_pool_ties(shape: str, x64: None, rng: np.random.RandomState) -> None:
    """The whole gradient goes to the first maximum, as the plain program has it."""
    size, window = window_of(shape)
    x = rng.randint(0, 3, (2, *size, 3)).astype(np.float64)
    plain = lambda x: window.reduce(x, -jnp.inf, lax.max)
    fast = lambda x: _cpu.max_pool(x, window)
    weight = rng.standard_normal(jax.eval_shape(plain, x).shape)
    grad = lambda f: jax.jit(jax.grad(lambda x: jnp.sum(f(x) * weight)))(x)
    np.testing.assert_allclose(grad(fast), grad(plain), rtol=1e-12)


@pytest.mark.parametrize("features", [(3, 4), (1, 1)])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_linear(
    rows: int, features: tuple[int, int], x64: None, rng: np.random.RandomState
) -> None:
    x = rng.standard_normal((rows, features[0]))
    weight = rng.standard_normal(features[::-1])
    plain = lambda x, weight: x @ weight.T
    assert_same(derivatives(_cpu.linear, x, weight), derivatives(plain, x, weight))


def test_empty_batch() -> None:
    """No images are no error: the last batch of an epoch may be filtered to nothing."""
    _, window = window_of("odd")
    assert _cpu.conv(jnp.ones((0, 7, 9, 3)), jnp.ones((4, 3, 3, 3)), window).shape == (0, 7, 9, 4)
    kernel = jnp.ones((3, 1, 3, 3))
    assert _cpu.conv(jnp.ones((0, 7, 9, 3)), kernel, window, groups=3).shape == (0, 7, 9, 3)
    assert _cpu.max_pool(jnp.ones((0, 7, 9, 3)), window).shape == (0, 7, 9, 3)
    assert _cpu.linear(jnp.ones((0, 3)), jnp.ones((4, 3))).shape == (0, 4)


@pytest.mark.parametrize("groups", [1, 6])
def test_a_loop_over_images_is_divided_among_devices(
    groups: int, x64: None, rng: np.random.RandomState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of `jit`'s devices makes the turns that its part of the batch needs, and no more."""
    monkeypatch.setattr(dense, "_CHUNK", 400)
    window, devices = Window((3, 3), (1, 1), (1, 1), ((1, 1), (1, 1))), 4
    x = rng.standard_normal((16, 5, 5, 6))
    weight = rng.standard_normal((6, 6 // groups, 3, 3))
    conv = lambda x, weight: _cpu.conv(x, weight, window, groups)
    gradient = jax.grad(lambda weight, x: jnp.sum(jnp.sin(conv(x, weight))))
    turns = lambda text: re.findall(r'known_trip_count":{"n":"(\d+)"', text)
    alone = turns(jax.jit(gradient).lower(weight, x[: 16 // devices]).compile().as_text())
    assert alone

    mesh = Mesh(np.asarray(jax.devices()[:devices]), ("devices",), (AxisType.Auto,))
    with jax.set_mesh(mesh):
        put = jax.device_put(x, NamedSharding(mesh, PartitionSpec("devices")))
        compiled = jax.jit(gradient).lower(weight, put).compile()
        assert turns(compiled.as_text()) == alone
        assert compiled.as_text().count(" all-reduce(") == 1
        np.testing.assert_allclose(compiled(weight, put), jax.jit(gradient)(weight, x), rtol=1e-12)
        assert_same(
            derivatives(conv, x, weight), derivatives(plain_conv(window, groups), x, weight)
        )
