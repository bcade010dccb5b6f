"""The spectral gate and the boxes of token labelling."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import init
from jaxcnn.models.families import _spectral

from .spectformers import KEY, normal


@pytest.mark.parametrize("grid", [(8, 8), (6, 4), (5, 7), (1, 2)])
def test_spectral_gate_is_numpys_transforms(grid: tuple[int, int], x64: None) -> None:
    h, w = grid
    x, weight = normal(0, 2, h, w, 3), normal(1, h, w // 2 + 1, 3, 2)
    spectrum = np.fft.rfft2(x, axes=(1, 2), norm="ortho") * (weight[..., 0] + 1j * weight[..., 1])
    expected = np.fft.irfft2(spectrum, (h, w), axes=(1, 2), norm="ortho")
    np.testing.assert_allclose(_spectral.spectral_gate(x, weight), expected, 1e-12, 1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("grid", [(8, 8), (5, 7)])
def test_spectral_gate_is_pytorchs(grid: tuple[int, int], x64: None) -> None:
    torch = pytest.importorskip("torch")
    h, w = grid
    x, weight, g = normal(0, 2, h, w, 3), normal(1, h, w // 2 + 1, 3, 2), normal(2, 2, h, w, 3)
    y, vjp = jax.vjp(_spectral.spectral_gate, x, weight)
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, weight)]
    spectrum = torch.fft.rfft2(theirs[0], dim=(1, 2), norm="ortho")
    spectrum = spectrum * torch.view_as_complex(theirs[1])
    expected = torch.fft.irfft2(spectrum, s=grid, dim=(1, 2), norm="ortho")
    expected.backward(torch.tensor(g))
    ours = (y, *vjp(jnp.asarray(g)))
    for a, b in zip(ours, (expected.detach(), *(t.grad for t in theirs)), strict=True):
        np.testing.assert_allclose(a, b.numpy(), 1e-11, 1e-11)


def test_four_imaginary_parts_do_nothing(x64: None) -> None:
    x, weight, g = normal(0, 2, 8, 6, 3), normal(1, 8, 4, 3, 2), normal(2, 2, 8, 6, 3)
    bins = np.ix_([0, 4], [0, 3])
    imaginary = np.zeros_like(weight)
    imaginary[..., 1][bins] = 1
    y, vjp = jax.vjp(lambda w: _spectral.spectral_gate(x, w), jnp.asarray(weight))
    changed = _spectral.spectral_gate(x, weight + imaginary)
    np.testing.assert_allclose(changed, y, 0, 1e-14)
    gradient = np.abs(vjp(jnp.asarray(g))[0])
    assert gradient[imaginary == 1].max() < 1e-14
    assert gradient[imaginary == 0].min() > 1e-6


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_spectral_gate_is_computed_in_float32(dtype: str) -> None:
    x, weight = jnp.asarray(normal(0, 1, 8, 8, 2), dtype), jnp.asarray(normal(1, 8, 5, 2, 2), dtype)
    y = _spectral.spectral_gate(x, weight)
    assert y.dtype == jnp.float32
    wide = _spectral.spectral_gate(x.astype(jnp.float32), weight.astype(jnp.float32))
    assert jnp.array_equal(y, wide)


def with_dirac(gate: Any, x: jax.Array) -> Any:
    """A gate of the variant whose convolutions hand their input on."""
    params = gate.init(KEY, x)["params"]
    for name in ("conv_input", "conv_output"):
        params[name]["weight"] = init.dirac()(KEY, params[name]["weight"].shape)
    return {"params": params | {"complex_weight": jnp.asarray(normal(3, 8, 5, gate.dim, 2))}}


def test_the_seeds_first_stage_contains_the_published_gate() -> None:
    """With Dirac convolutions and no bias."""
    x = jnp.asarray(normal(0, 2, 8, 8, 64), jnp.float32)
    gate = _spectral.SpectralGatingNetwork(64, (8, 8), "mean")
    variables = with_dirac(gate, x)
    expected = _spectral.spectral_gate(x, variables["params"]["complex_weight"])
    assert jnp.array_equal(gate.apply(variables, x), expected)


@pytest.mark.parametrize("fold", ["mean", "first"])
def test_fold(fold: str) -> None:
    x = jnp.asarray(normal(0, 2, 8, 8, 8), jnp.float32)
    gate = _spectral.SpectralGatingNetwork(8, (8, 8), fold, base_dim=4)
    variables = with_dirac(gate, x)
    gated = _spectral.spectral_gate(x, variables["params"]["complex_weight"])
    first, second = gated[..., :4], gated[..., 4:]
    y = gate.apply(variables, x)
    # A Dirac kernel from 4 to 8 channels leaves the last 4 empty.
    expected = (first + second) / 2 if fold == "mean" else first
    np.testing.assert_allclose(y[..., :4], expected, 1e-6, 1e-6)
    assert not y[..., 4:].any()


def test_boxes() -> None:
    """Side 7 * sqrt(u) rounded down, half of it on either side of any pixel, cut at the edge."""
    keys = jax.random.split(KEY, 20_000)
    boxes = np.asarray(jax.vmap(lambda key: _spectral.draw_box(key, (7, 14)))(keys))
    low, high = boxes[:, :2], boxes[:, 2:]
    assert low.min() == 0
    assert high.max(0).tolist() == [7, 14]
    assert (low <= high).all()
    # u < (2/7)^2 makes the half of the first side 0, u < (4/7)^2 at most 1, u < (6/7)^2 at most 2.
    heights = high[:, 0] - low[:, 0]
    assert abs(np.mean(heights == 0) - (2 / 7) ** 2) < 0.01
    # Of half 3, the centres 3 and 4 leave all six rows.
    assert abs(np.mean(heights == 6) - (1 - (6 / 7) ** 2) * 2 / 7) < 0.01
    # Both sides have the same u: 14 * sqrt(u) < 2 where 7 * sqrt(u) < 1.
    assert abs(np.mean(high[:, 1] == low[:, 1]) - 1 / 49) < 0.01
    centres = (low + high)[heights == 2] / 2
    assert set(centres[:, 0]) == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        ((4, 4, 2), (4, 3, 2, 2), r"x must be \(n, h, w, c\), got shape=\(4, 4, 2\)"),
        ((1, 4, 4, 2), (4, 4, 2, 2), r"complex_weight must be .* = \(4, 3, 2, 2\), got shape="),
    ],
)
def test_spectral_gate_errors(x: Any, weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^spectral_gate: {message}"):
        _spectral.spectral_gate(jnp.zeros(x), jnp.zeros(weight))
