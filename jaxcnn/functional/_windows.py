"""Sliding windows over the spatial axes: output sizes and shifted slices."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


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
        spatial = padded.shape[1:-1]
        sizes = dataclasses.replace(self, pads=((0, 0),) * len(spatial)).output_sizes(spatial)
        for tap in itertools.product(*map(range, self.kernel)):
            starts = [i * d for i, d in zip(tap, self.dilation, strict=True)]
            stops = [
                a + (n - 1) * s + 1 for a, n, s in zip(starts, sizes, self.stride, strict=True)
            ]
            yield (
                tap,
                lax.slice(
                    padded,
                    (0, *starts, 0),
                    (padded.shape[0], *stops, padded.shape[-1]),
                    (1, *self.stride, 1),
                ),
            )
