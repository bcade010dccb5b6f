"""Windows over the spatial axes: output sizes, shifted slices, the pixels of each window."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# Taps along one axis up to which a loop over them is unrolled: longer ones fill the memory with
# shifted copies (24 times the input for the gradient of 13x13 windows) and take long to compile.
UNROLLED = 8


@dataclasses.dataclass(frozen=True)
class Window:
    """A window that slides over the spatial axes of a channels-last array (N, *spatial, C).

    Attributes:
      kernel: Taps of the window along each spatial axis.
      stride: Steps between windows, in pixels.
      dilation: Steps between the taps of one window, in pixels.
      pads: (low, high) padding of each spatial axis, in pixels.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]

    def output_sizes(self, spatial: tuple[int, ...]) -> tuple[int, ...]:
        """How many windows fit along each axis: floor((in + pads - d*(k-1) - 1) / s) + 1."""
        return tuple(
            (size + low + high - d * (k - 1) - 1) // s + 1
            for size, k, s, d, (low, high) in zip(
                spatial, self.kernel, self.stride, self.dilation, self.pads, strict=True
            )
        )

    def along(self, axis: int) -> Window:
        """The window that this one is along one spatial axis; windows are their product."""

        def only(values: tuple[Any, ...], neutral: Any) -> tuple[Any, ...]:
            return tuple(v if i == axis else neutral for i, v in enumerate(values))

        return Window(
            only(self.kernel, 1),
            only(self.stride, 1),
            only(self.dilation, 1),
            only(self.pads, (0, 0)),
        )

    def positions(self, spatial: tuple[int, ...]) -> list[np.ndarray]:
        """For each axis the pixels of each window, (windows, taps); -1 in the padding."""
        found = []
        for i, count in enumerate(self.output_sizes(spatial)):
            starts = np.arange(count) * self.stride[i] - self.pads[i][0]
            pixels = starts[:, None] + np.arange(self.kernel[i]) * self.dilation[i]
            found.append(np.where((pixels >= 0) & (pixels < spatial[i]), pixels, -1))
        return found

    def pad(self, x: jax.Array, value: float) -> jax.Array:
        """Pads the spatial axes of `x` with `value`."""
        return jnp.pad(x, ((0, 0), *self.pads, (0, 0)), constant_values=value)

    def reduce(
        self, x: jax.Array, initial: float, operation: Callable[[jax.Array, jax.Array], jax.Array]
    ) -> jax.Array:
        """Combines the pixels of each window; padding counts as `initial`."""
        return lax.reduce_window(
            x,
            np.asarray(initial, x.dtype),  # concrete: JAX must see that it is neutral
            operation,
            (1, *self.kernel, 1),
            (1, *self.stride, 1),
            ((0, 0), *self.pads, (0, 0)),
            window_dilation=(1, *self.dilation, 1),
        )

    def taps(self, padded: jax.Array) -> Iterator[tuple[tuple[int, ...], jax.Array]]:
        """Yields each tap's position in the kernel and the pixels it meets, row by row.

        Args:
          padded: An array that `pad` has padded.

        Yields:
          The index into the kernel and an array (N, *output_sizes, C).
        """
        sizes = self.unpadded().output_sizes(padded.shape[1:-1])
        phases = self.phases(padded)
        for tap in itertools.product(*map(range, self.kernel)):
            pixels = [i * d for i, d in zip(tap, self.dilation, strict=True)]
            phase = tuple(p % s for p, s in zip(pixels, self.stride, strict=True))
            starts = [p // s for p, s in zip(pixels, self.stride, strict=True)]
            stops = [start + size for start, size in zip(starts, sizes, strict=True)]
            image = phases[phase]
            yield tap, lax.slice(image, (0, *starts, 0), (image.shape[0], *stops, image.shape[-1]))

    def unpadded(self) -> Window:
        """The window on an array that is padded already."""
        return dataclasses.replace(self, pads=((0, 0),) * len(self.pads))

    def phases(self, padded: jax.Array) -> dict[tuple[int, ...], jax.Array]:
        """Every stride-th pixel: {the first one along each axis, under the stride: pixels}.

        The axes are split, not sliced with steps: the gradient then lays the phases beside each
        other instead of adding up images with gaps.
        """
        if set(self.stride) == {1}:
            return {(0,) * len(self.stride): padded}
        sizes = self.unpadded().output_sizes(padded.shape[1:-1])
        reaches = [
            d * (k - 1) // s
            for d, k, s in zip(self.dilation, self.kernel, self.stride, strict=True)
        ]
        blocks = [size + reach for size, reach in zip(sizes, reaches, strict=True)]
        ends = [
            (0, b * s - size, 0)
            for b, s, size in zip(blocks, self.stride, padded.shape[1:-1], strict=True)
        ]
        whole = lax.pad(padded, jnp.zeros((), padded.dtype), [(0, 0, 0), *ends, (0, 0, 0)])
        split = itertools.chain.from_iterable(zip(blocks, self.stride, strict=True))
        n, c = padded.shape[0], padded.shape[-1]
        found = {(): whole.reshape(n, *split, c)}
        for axis, stride in enumerate(self.stride):
            # The axes before have lost their phase already.
            found = {
                (*start, phase): lax.squeeze(pixels, (2 + axis,))
                for start, image in found.items()
                for phase, pixels in enumerate(lax.split(image, (1,) * stride, 2 + axis))
            }
        return found


def first_maximum(x: jax.Array, window: Window, axis: int) -> tuple[jax.Array, jax.Array]:
    """The maximum along one spatial axis and the tap that holds it.

    That is the first one on ties, the last NaN if there is any, never padding. Doing one axis after
    the other, last axis first, finds the maximum of the whole window by the same rule.

    Args:
      x: (N, *spatial, C).
      window: Only what it says of `axis` counts.
      axis: The spatial axis, from 0.

    Returns:
      The maximum and the number of its tap.
    """
    window = window.along(axis)
    inside = window.positions(x.shape[1:-1])[axis] >= 0
    shape = tuple(-1 if i == axis + 1 else 1 for i in range(x.ndim))
    which: Any = np.argmax(inside, 1).astype(np.uint8).reshape(shape)
    best: Any = -np.inf
    for tap, value in window.taps(window.pad(x, -jnp.inf)):
        better = (value > best) | jnp.isnan(value)
        best, which = jnp.where(better, value, best), jnp.where(better, tap[axis], which)
    return best, which


def pick(x: jax.Array, which: jax.Array, window: Window, axis: int) -> jax.Array:
    """What `x` holds at the taps that `first_maximum` has found; linear in `x`."""
    window = window.along(axis)
    taps = window.taps(window.pad(x, 0))
    return sum(
        (jnp.where(which == tap[axis], value, 0) for tap, value in taps),
        start=jnp.zeros((), x.dtype),
    )


def spread(x: jax.Array, axis: int, positions: np.ndarray | jax.Array) -> jax.Array:
    """Lays the pixels of each window along one axis out beside each other.

    Args:
      x: (N, *spatial, C).
      axis: The axis of `x`.
      positions: The pixels of each window, (windows, taps), or (N, windows, taps, C) where every
        image and channel has windows of its own.

    Returns:
      `x` with (windows, taps) in place of `axis`; arbitrary where the position is negative.
    """
    if positions.ndim == 2:
        if np.array_equal(positions.ravel(), np.arange(positions.size)):  # windows side by side
            x = lax.slice_in_dim(x, 0, positions.size, axis=axis)
            return x.reshape(*x.shape[:axis], *positions.shape, *x.shape[axis + 1 :])
        return jnp.take(x, jnp.asarray(positions), axis, mode="clip")
    n, windows, taps, c = positions.shape
    shape = (n, *(windows * taps if i == axis else 1 for i in range(1, x.ndim - 1)), c)
    pixels = jnp.take_along_axis(x, jnp.reshape(positions, shape), axis, mode="clip")
    return pixels.reshape(*pixels.shape[:axis], windows, taps, *pixels.shape[axis + 1 :])
