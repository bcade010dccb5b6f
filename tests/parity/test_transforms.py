"""Second derivatives, jvp, vmap and scan of the functions with programs of their own on CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

from .case import TOLERANCES

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

Shape = tuple[int, ...]

CONV = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 2), {}),
    "stride": ((2, 4, 7, 8), (3, 4, 2, 2), {"stride": (3, 2), "padding": 1}),
    "dilation": ((1, 5, 7, 6), (2, 5, 2, 3), {"dilation": (3, 2), "padding": 2}),
    "groups": ((2, 4, 5, 6), (6, 2, 3, 3), {"groups": 2}),
    "1x1": ((1, 1, 4, 3), (2, 1, 1, 1), {}),
}
POOL = {
    "plain": ((2, 3, 6, 5), {"kernel_size": 2}),
    "overlap": ((2, 3, 7, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),
    "dilation": ((1, 2, 8, 7), {"kernel_size": 2, "stride": 1, "dilation": (3, 2)}),
    "ceil": ((1, 1, 6, 5), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
}


class Pair:
    """One function of PyTorch and jaxcnn with its inputs, in both layouts, float64.

    Attributes:
      ours, theirs: The function, each in its own layout.
      x, v: Inputs and directions in PyTorch's layout, images first.
    """

    def __init__(self, name: str, shapes: list[Shape], arguments: dict[str, Any]) -> None:
        rng = np.random.RandomState(5)
        self.x = [rng.standard_normal(shape) for shape in shapes]
        self.v = [rng.standard_normal(shape) for shape in shapes]
        self.ours: Callable[..., jax.Array] = lambda *x: getattr(F, name)(*x, **arguments)
        self.theirs: Callable[..., Any] = lambda *x: getattr(torch.nn.functional, name)(
            *x, **arguments
        )

    def last(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        return (np.moveaxis(arrays[0], 1, -1), *arrays[1:])

    def tensors(self, arrays: list[np.ndarray]) -> tuple[Any, ...]:
        return tuple(torch.tensor(a, requires_grad=True) for a in arrays)


PAIRS = {
    f"conv2d-{k}": lambda a=a, b=b, c=c: Pair("conv2d", [a, b], c) for k, (a, b, c) in CONV.items()
}
PAIRS |= {
    f"max_pool2d-{k}": lambda a=a, c=c: Pair("max_pool2d", [a], c) for k, (a, c) in POOL.items()
}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, x64: None) -> Pair:
    return PAIRS[request.param]()


def assert_close(actual: Any, expected: Any, image: bool) -> None:
    actual = np.asarray(actual)
    assert actual.dtype == np.float64
    expected = expected.detach().numpy()
    if image:
        expected = np.moveaxis(expected, 1, -1)
    rtol, atol = TOLERANCES["float64"]
    np.testing.assert_allclose(actual, expected, rtol, atol)


def test_second_derivative(pair: Pair) -> None:
    """The gradient along a direction, differentiated again; the sine makes it depend on x."""

    def slope(x: tuple[jax.Array, ...], v: tuple[jax.Array, ...]) -> jax.Array:
        grads = jax.grad(lambda x: jnp.sum(jnp.sin(pair.ours(*x))))(x)
        return sum(jnp.sum(g * d) for g, d in zip(grads, v, strict=True))

    ours = jax.jit(jax.grad(slope))(pair.last(pair.x), pair.last(pair.v))
    x = pair.tensors(pair.x)
    grads = torch.autograd.grad(torch.sin(pair.theirs(*x)).sum(), x, create_graph=True)
    total = sum((g * torch.tensor(d)).sum() for g, d in zip(grads, pair.v, strict=True))
    for i, (a, e) in enumerate(zip(ours, torch.autograd.grad(total, x), strict=True)):
        assert_close(a, e, image=i == 0)


def test_jvp(pair: Pair) -> None:
    ours = jax.jit(lambda x, v: jax.jvp(pair.ours, x, v))(pair.last(pair.x), pair.last(pair.v))
    theirs = torch.autograd.functional.jvp(pair.theirs, pair.tensors(pair.x), pair.tensors(pair.v))
    for a, e in zip(ours, theirs, strict=True):
        assert_close(a, e, image=True)


def _value_and_grads(pair: Pair) -> Callable[..., Any]:
    def function(*x: jax.Array) -> Any:
        y, vjp = jax.vjp(pair.ours, *x)
        return y, *vjp(jnp.cos(y))

    return function


def _assert_stacked(pair: Pair, ours: Any, xs: list[list[np.ndarray]]) -> None:
    for i, arrays in enumerate(xs):
        x = pair.tensors(arrays)
        y = pair.theirs(*x)
        grads = torch.autograd.grad(y, x, torch.cos(y.detach()))
        for j, (a, e) in enumerate(zip(ours, (y, *grads), strict=True)):
            assert_close(a[i], e, image=j < 2)


def _three(pair: Pair) -> tuple[list[list[np.ndarray]], tuple[np.ndarray, ...]]:
    xs = [[a * s for a in pair.x] for s in (1.0, -0.5, 2.0)]
    return xs, tuple(np.stack(part) for part in zip(*map(pair.last, xs), strict=True))


def test_vmap(pair: Pair) -> None:
    xs, stacked = _three(pair)
    _assert_stacked(pair, jax.jit(jax.vmap(_value_and_grads(pair)))(*stacked), xs)


def test_vmap_over_images_alone(pair: Pair) -> None:
    """The axis of the vmap meets a weight that does not have it."""
    images = np.stack([s * pair.last(pair.x)[0] for s in (1.0, -0.5)])
    rest = pair.x[1:]
    ours = jax.jit(jax.vmap(lambda image: pair.ours(image, *rest)))(images)
    for a, scale in zip(ours, (1.0, -0.5), strict=True):
        assert_close(a, pair.theirs(*pair.tensors([scale * pair.x[0], *rest])), image=True)


def test_inside_scan(pair: Pair) -> None:
    xs, stacked = _three(pair)
    step = lambda carry, x: (carry, _value_and_grads(pair)(*x))
    _, ours = jax.jit(lambda xs: jax.lax.scan(step, None, xs))(stacked)
    _assert_stacked(pair, ours, xs)


def test_gradient_through_scan() -> None:
    """The weight is shared by all steps: its gradient is their sum."""
    with jax.enable_x64(True):
        rng = np.random.RandomState(6)
        x, w = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((3, 3, 3, 3)) / 5

        def chain(w: jax.Array, x: jax.Array) -> jax.Array:
            step = lambda x, _: (jnp.tanh(F.conv2d(x, w, padding=1)), None)
            return jnp.sum(jax.lax.scan(step, x, length=4)[0])

        ours = jax.jit(jax.grad(chain, (0, 1)))(w, np.moveaxis(x, 1, -1))
        tensors = torch.tensor(w, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = tensors[1]
        for _ in range(4):
            y = torch.tanh(torch.nn.functional.conv2d(y, tensors[0], padding=1))
        theirs = torch.autograd.grad(y.sum(), tensors)
        assert_close(ours[0], theirs[0], image=False)
        assert_close(ours[1], theirs[1], image=True)
