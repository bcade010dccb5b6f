"""Resampling of one axis: which input pixels make each output pixel, and how much of each.

Positions are computed by NumPy, in the precision and the order of operations that PyTorch uses:
they decide between neighbours, so a rounding error would show as another pixel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Scale:
    """The sizes of one axis before and after, and where its samples are taken.

    Attributes:
      n_in: Input pixels.
      n_out: Output pixels.
      factor: The scale factor that sets the step between samples; None: the sizes set it.
      align_corners: Whether the corner pixels' centres keep their place.
    """

    n_in: int
    n_out: int
    factor: float | None = None
    align_corners: bool = False

    def step(self, precision: np.dtype) -> np.floating:
        """Input pixels between two samples."""
        if self.align_corners:
            return precision.type((self.n_in - 1) / (self.n_out - 1) if self.n_out > 1 else 0.0)
        return precision.type(self.n_in / self.n_out if self.factor is None else 1.0 / self.factor)

    def positions(self, precision: np.dtype) -> np.ndarray:
        """Each sample's place, in input pixels from the first one's centre."""
        step, out = self.step(precision), np.arange(self.n_out)
        if self.align_corners:
            return out.astype(precision) * step
        # PyTorch's processors multiply and subtract at once: float32 is rounded once, at the end.
        return ((out + 0.5) * np.float64(step) - 0.5).astype(precision)


@dataclasses.dataclass(frozen=True)
class Taps:
    """The input pixels of each output pixel.

    Attributes:
      pixels: `(n_out, taps)`; -1 where an output pixel has fewer than the others.
      weights: `(n_out, taps)`.
    """

    pixels: np.ndarray
    weights: np.ndarray


def resample(x: jax.Array, axis: int, taps: Taps) -> jax.Array:
    """Replaces each pixel of an axis by the weighted sum of its taps.

    Tap by tap, so that nothing larger than input and output is ever held.
    """
    shape = [1] * x.ndim
    shape[axis] = -1
    full = bool(np.all(taps.pixels >= 0))

    def add(total: jax.Array, tap: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        pixels, weights = tap
        met = jnp.take(x, pixels, axis, mode="clip")
        if not full:  # an infinite pixel beyond the last tap would make 0 * inf = nan
            met = jnp.where(pixels.reshape(shape) >= 0, met, 0)
        return total + met * weights.reshape(shape), None

    sizes = list(x.shape)
    sizes[axis] = len(taps.pixels)
    steps = (jnp.asarray(taps.pixels.T, jnp.int32), jnp.asarray(taps.weights.T, x.dtype))
    # All modes but strong antialiasing have few taps, and become one fused loop over the output.
    return jax.lax.scan(add, jnp.zeros(sizes, x.dtype), steps, unroll=16)[0]


def nearest(scale: Scale, images: bool) -> np.ndarray:
    """Input pixel of each output pixel; PyTorch computes it in float32 whatever the input."""
    out = np.arange(scale.n_out)
    # PyTorch's 2-D program, and only that one, ignores the scale factor where it seems clear.
    if images and scale.n_out == scale.n_in:
        return out
    if images and scale.n_out == 2 * scale.n_in:
        return out // 2
    positions = out.astype(np.float32) * scale.step(np.dtype(np.float32))
    return np.minimum(np.floor(positions).astype(np.int64), scale.n_in - 1)


def nearest_exact(scale: Scale, lines: bool) -> np.ndarray:
    """The same for the pixel whose centre is nearest."""
    precision, half = np.dtype(np.float32), np.float32(0.5)
    if lines:  # PyTorch's 1-D program rounds at other places, which decides between equals
        positions = scale.positions(precision) + half
    else:
        positions = (np.arange(scale.n_out, dtype=np.float32) + half) * scale.step(precision)
    return np.minimum(np.floor(positions).astype(np.int64), scale.n_in - 1)


def linear(scale: Scale, precision: np.dtype) -> Taps:
    """The two neighbours, weighted by nearness."""
    low, t = _split(np.maximum(scale.positions(precision), 0), scale.n_in)
    high = np.minimum(low + 1, scale.n_in - 1)
    return Taps(np.stack([low, high], -1), np.stack([1 - t, t], -1))


def cubic(scale: Scale, precision: np.dtype) -> Taps:
    """Four neighbours, weighted by Keys' cubic with a = -0.75; the edge pixels repeat."""
    low, t = _split(scale.positions(precision), scale.n_in)
    offsets = np.arange(-1, 3)
    pixels = (low[:, None] + offsets).clip(0, scale.n_in - 1)
    return Taps(pixels, cubic_kernel(t[:, None] - offsets.astype(precision), -0.75))


def _split(positions: np.ndarray, n_in: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixel at or before each position, and how far after it the position is."""
    low = np.minimum(np.floor(positions).astype(np.int64), n_in - 1)
    return low, (positions - low.astype(positions.dtype)).clip(0, 1)


def area(scale: Scale, precision: np.dtype) -> Taps:
    """The pixels that an output pixel covers, all alike."""
    i = np.arange(scale.n_out)
    starts, ends = i * scale.n_in // scale.n_out, -(-(i + 1) * scale.n_in // scale.n_out)
    counts = ends - starts
    pixels = _run(starts, counts, int(counts.max()))
    weights = np.broadcast_to(1 / counts[:, None], pixels.shape)
    return Taps(pixels, weights.astype(precision))


def antialiased(
    scale: Scale, precision: np.dtype, kernel: Callable[[np.ndarray], np.ndarray], radius: int
) -> Taps:
    """The pixels under `kernel`, which is stretched where the image shrinks.

    Args:
      scale: The sizes.
      precision: In which PyTorch computes.
      kernel: The weight at a distance, not normalised.
      radius: Half of the kernel's width when it is not stretched, in pixels.
    """
    step, half = scale.step(precision), precision.type(0.5)
    stretch = max(step, precision.type(1))
    support = precision.type(radius) * stretch
    most = min(math.ceil(support) * 2 + 1, scale.n_in)
    centres = (np.arange(scale.n_out).astype(precision) + half) * step
    starts = np.maximum((centres - support + half).astype(np.int64), 0)
    ends = np.minimum((centres + support + half).astype(np.int64), scale.n_in)
    pixels = _run(starts, (ends - starts).clip(0, most), most)
    distances = (pixels.astype(precision) - centres[:, None] + half) / stretch
    weights = np.where(pixels >= 0, kernel(distances), 0)
    return Taps(pixels, weights / weights.sum(-1, keepdims=True))


def _run(starts: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """Rows of `counts` pixels from `starts` on, filled up with -1 to `most`."""
    offsets = np.arange(most)
    return np.where(offsets < counts[:, None], starts[:, None] + offsets, -1)


def triangle_kernel(x: np.ndarray) -> np.ndarray:
    """Linear interpolation's."""
    return np.maximum(1 - np.abs(x), 0)


def cubic_kernel(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic, "Cubic convolution interpolation for digital image processing", 1981."""
    x = np.abs(x)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def lanczos_kernel(x: np.ndarray) -> np.ndarray:
    """sinc(x), windowed to three pixels on each side."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
