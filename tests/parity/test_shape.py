"""Resizing and sampling against PyTorch where a parity case cannot say it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import functional as F

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch


def _both(x: np.ndarray, **arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of interpolate, PyTorch's layout: ours, theirs."""
    ours = F.interpolate(np.moveaxis(x, 1, -1), **arguments)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(x), **arguments)
    return np.moveaxis(ours, -1, 1), theirs.numpy()


@pytest.mark.parametrize("antialias", [False, True], ids=["plain", "antialias"])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_bytes(mode: str, antialias: bool) -> None:
    """PyTorch computes bytes with whole numbers, which can round to the next one."""
    x = np.random.RandomState(0).randint(0, 256, (1, 3, 17, 13)).astype(np.uint8)
    for size in ((9, 20), (30, 5)):
        ours, theirs = _both(x, size=size, mode=mode, antialias=antialias)
        assert ours.dtype == np.uint8
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.skipif(
    not hasattr(torch._C._nn, "_upsample_lanczos2d_aa"), reason="PyTorch has it from 2.13 on"
)
@pytest.mark.parametrize("size", [(3, 2), (12, 9), (3, 11)], ids=str)
def test_lanczos(size: tuple[int, int], x64: None) -> None:
    """Forward alone: its gradient is the transpose, as of the other two."""
    x = np.random.RandomState(0).standard_normal((2, 3, 7, 5))
    ours, theirs = _both(x, size=size, mode="lanczos", antialias=True)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "antialias"), [("bicubic", False), ("bicubic", True), ("bilinear", True)]
)
def test_factor_that_keeps_the_size(mode: str, antialias: bool, x64: None) -> None:
    """Antialiasing then ignores the factor and plain bicubic does not, axis by axis.

    PyTorch's gradients do the opposite of its outputs here; ours is the gradient of the output.
    """
    x = np.random.RandomState(0).standard_normal((1, 2, 7, 21))
    for shape in ((7, 21), (21, 7), (7, 7)):
        part = np.resize(x, (1, 2, *shape))
        ours, theirs = _both(part, scale_factor=1.1, mode=mode, antialias=antialias)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("factor", [0.3, 0.45, 1.1, 1.7, 2.05, 3.3])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_factor_or_rounded_size(mode: str, factor: float, x64: None) -> None:
    """Both readings of a factor that does not give whole pixels; they differ, as they should."""
    x = np.random.RandomState(0).standard_normal((1, 2, 10, 13))
    results = []
    for recompute in (False, True):
        ours, theirs = _both(x, scale_factor=factor, mode=mode, recompute_scale_factor=recompute)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        results.append(ours)
    assert np.abs(results[0] - results[1]).max() > 1e-3


def test_large_image_in_float32() -> None:
    """A thousand pixels in, the rounding of a position shows in the fourth digit."""
    x = np.random.RandomState(0).standard_normal((1, 1, 1201, 3)).astype(np.float32)
    for mode in ("bilinear", "bicubic"):
        for arguments in ({"size": (777, 3)}, {"size": (2500, 3)}, {"scale_factor": (1.3, 1)}):
            for antialias in (False, True):
                ours, theirs = _both(x, mode=mode, antialias=antialias, **arguments)
                np.testing.assert_allclose(ours, theirs, rtol=1.3e-6, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e10])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_places_that_are_no_numbers(mode: str, padding_mode: str, value: float, x64: None) -> None:
    """As in PyTorch's 2-D program; its 3-D one answers otherwise."""
    x = np.random.RandomState(0).standard_normal((1, 1, 3, 3))
    grid = np.zeros((1, 1, 1, 2))
    grid[..., 0] = value
    theirs = torch.nn.functional.grid_sample(
        torch.from_numpy(x), torch.from_numpy(grid), mode, padding_mode, False
    )
    ours = jax.jit(lambda x, g: F.grid_sample(x, g, mode, padding_mode))(
        x.reshape(1, 3, 3, 1), grid
    )
    np.testing.assert_allclose(np.ravel(ours), theirs.numpy().ravel(), rtol=1e-9)
