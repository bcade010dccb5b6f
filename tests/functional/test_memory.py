"""How much memory compiled functions hold at their peak."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest

from jaxcnn import functional as F


def peak(function: Callable[[jax.Array], jax.Array], shape: tuple[int, ...]) -> float:
    """Bytes of arguments, results and temporaries of value and gradient, in inputs' sizes."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    both = jax.value_and_grad(lambda x: jnp.sum(function(x) ** 2))
    found = jax.jit(both).lower(x).compile().memory_analysis()
    held = found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
    return held / (x.size * x.dtype.itemsize)


@pytest.mark.parametrize(
    ("function", "shape", "limit"),
    [
        (lambda x: F.max_pool2d(x, 3, 2), (32, 112, 112, 64), 4),
        (lambda x: F.max_pool2d(x, 3, 2, padding=1), (32, 112, 112, 64), 5.5),
        (lambda x: F.max_pool2d(x, 3, 2, return_indices=True)[0], (32, 112, 112, 64), 4),
        (lambda x: F.avg_pool2d(x, 3, 2), (32, 112, 112, 64), 6),
        (lambda x: F.max_pool2d(x, 112), (32, 112, 112, 64), 2.5),
        (lambda x: F.max_pool1d(x, 2000), (32, 2000, 128), 2.5),
        (lambda x: F.adaptive_avg_pool2d(x, 1), (32, 56, 56, 64), 2.5),
        (lambda x: F.adaptive_avg_pool2d(x, 7), (32, 60, 60, 64), 6),
        (lambda x: F.adaptive_max_pool2d(x, 7), (32, 60, 60, 64), 6),
    ],
    ids=[
        "max3x3",
        "max3x3-padded",
        "max3x3-indices",
        "avg3x3",
        "max-global",
        "max1d-global",
        "adaptive-avg-global",
        "adaptive-avg",
        "adaptive-max",
    ],
)
def test_peak(
    function: Callable[[jax.Array], jax.Array], shape: tuple[int, ...], limit: float
) -> None:
    """Nothing runs: the compiled program says what it would hold."""
    assert peak(function, shape) < limit
