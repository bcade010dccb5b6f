"""Maximum pooling over randomly placed windows. Mirrors torch.nn.functional's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check
from jaxcnn.functional._maxima import argmax, at
from jaxcnn.functional._pooling import IntOrInts, on_batch, sizes


@overload
def fractional_max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: Literal[False] = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array: ...
@overload
def fractional_max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    *,
    return_indices: Literal[True],
    _random_samples: ArrayLike | None = None,
    rng: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]: ...
@overload
def fractional_max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def fractional_max_pool2d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over windows that are placed at random.

    Mirrors `torch.nn.functional.fractional_max_pool2d` on channels-last input; the random key is
    explicit. The windows of an axis are `kernel_size` pixels long and about
    `(in - kernel_size) / (out - 1)` pixels apart; each image and channel has its own.

    Args:
      input: Images `(n, h, w, c)`, or one image without the batch axis.
      kernel_size: Window height and width in pixels; an int means both.
      output_size: Height and width of the output in pixels; an int means both.
      output_ratio: Instead of `output_size`, the output's size as a share of the input's; one
        number or one for each axis.
      return_indices: Whether to return also where each maximum was.
      _random_samples: Numbers in 0..1, `(n, c, 2)`, that place the windows: as in PyTorch the
        last axis holds width, height.
      rng: The random key; needed without `_random_samples`.

    Returns:
      `(n, h_out, w_out, c)`; with `return_indices` also an int32 array of the same shape holding
      the flat position `row*w + column` of the maximum (the first one on ties).

    Raises:
      ValueError: If a size does not fit, or the output's size or the key is missing.
      TypeError: If a size is not an integer.

    Source: Graham, Fractional Max-Pooling, 2014 (pseudorandom overlapping regions).

    Example:
      >>> x = jnp.arange(25.0).reshape(1, 5, 5, 1)
      >>> y = fractional_max_pool2d(x, 2, 3, _random_samples=jnp.full((1, 1, 2), 0.5))
      >>> y[0, :, :, 0].tolist()
      [[6.0, 8.0, 9.0], [16.0, 18.0, 19.0], [21.0, 23.0, 24.0]]
    """
    wanted = kernel_size, output_size, output_ratio
    return _fractional_max_pool(2, input, wanted, return_indices, _random_samples, rng)


@overload
def fractional_max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: Literal[False] = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array: ...
@overload
def fractional_max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    *,
    return_indices: Literal[True],
    _random_samples: ArrayLike | None = None,
    rng: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]: ...
@overload
def fractional_max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array | tuple[jax.Array, jax.Array]: ...
def fractional_max_pool3d(
    input: ArrayLike,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: ArrayLike | None = None,
    *,
    rng: jax.Array | None = None,
) -> jax.Array | tuple[jax.Array, jax.Array]:
    """Takes the maximum over windows that are placed at random.

    Mirrors `torch.nn.functional.fractional_max_pool3d` on channels-last input; see
    `fractional_max_pool2d`. As in PyTorch, `_random_samples (n, c, 3)` holds depth, height, width
    (not the order of the 2-D function).

    Returns:
      `(n, d_out, h_out, w_out, c)` from `(n, d, h, w, c)`; with `return_indices` also the flat
      position `(plane*h + row)*w + column` of each maximum.

    Raises:
      ValueError: If a size does not fit, or the output's size or the key is missing.
      TypeError: If a size is not an integer.

    Source: Graham, Fractional Max-Pooling, 2014 (pseudorandom overlapping regions).

    Example:
      >>> x = jnp.ones((1, 6, 8, 10, 3))
      >>> fractional_max_pool3d(x, 2, output_ratio=0.5, rng=jax.random.key(0)).shape
      (1, 3, 4, 5, 3)
    """
    wanted = kernel_size, output_size, output_ratio
    return _fractional_max_pool(3, input, wanted, return_indices, _random_samples, rng)


def check_fractions(
    where: str,
    n: int,
    kernel_size: IntOrInts,
    output_size: IntOrInts | None,
    output_ratio: float | Sequence[float] | None,
) -> tuple[tuple[int, ...], tuple[int, ...] | None, tuple[float, ...]]:
    """Checks and spells out (kernel, output size if given, output ratio) along `n` axes.

    Raises:
      ValueError: If a size or ratio is out of range, or neither is given.
      TypeError: If a size is not an integer.

    Example:
      >>> check_fractions("fractional_max_pool2d", 2, 3, None, 0.5)
      ((3, 3), None, (0.5, 0.5))
    """
    kernel = sizes(kernel_size, n, where, "kernel_size", 1)
    rule = "output_size or output_ratio must be given"
    given = output_size is not None or output_ratio is not None
    check(given, where, rule, output_size=output_size, output_ratio=output_ratio)
    if output_size is not None:
        return kernel, sizes(output_size, n, where, "output_size", 0), ()
    ratios: Any = output_ratio if isinstance(output_ratio, Sequence) else (output_ratio,) * n
    rule = f"output_ratio must be a number between 0 and 1, or {n} of them"
    ok = len(ratios) == n and all(isinstance(r, int | float) and 0 < r < 1 for r in ratios)
    check(ok, where, rule, output_ratio=output_ratio)
    return kernel, None, tuple(ratios)


def _fractional_max_pool(
    n: int,
    input: ArrayLike,
    wanted: tuple[Any, Any, Any],
    return_indices: bool,
    samples: ArrayLike | None,
    rng: jax.Array | None,
) -> Any:
    where = f"fractional_max_pool{n}d"

    def pool(x: jax.Array) -> jax.Array | tuple[jax.Array, jax.Array]:
        kernel, output, ratios = check_fractions(where, n, *wanted)
        spatial = x.shape[1:-1]
        if output is None:
            output = tuple(int(size * r) for size, r in zip(spatial, ratios, strict=True))
        for size, k, out in zip(spatial, kernel, output, strict=True):
            rule = "output_size + kernel_size - 1 must be at most the input's size"
            check(out + k - 1 <= size, where, rule, size=size, kernel_size=k, output_size=out)
        places = _samples(where, x, samples, rng)
        # PyTorch's order: width, height in 2-D, but depth, height, width in 3-D.
        along = places[..., ::-1] if n == 2 else places
        positions = []
        for i, (size, k, out) in enumerate(zip(spatial, kernel, output, strict=True)):
            starts = _starts(along[..., i], size, k, out)
            positions.append(starts[:, :, None] + np.arange(k)[:, None])
        indices = argmax(x, positions)
        y = at(x, indices)
        return (y, indices) if return_indices else y

    return on_batch(where, input, n, pool)


def _samples(
    where: str, x: jax.Array, samples: ArrayLike | None, rng: jax.Array | None
) -> jax.Array:
    """Numbers in 0..1, (N, C, axes), in at least float32."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    shape = (x.shape[0], x.shape[-1], x.ndim - 2)
    if samples is None:
        if rng is None:
            text = "the windows need a random key, got rng=None; pass rng=key or _random_samples"
            raise ValueError(f"{where}: {text}.")
        return jax.random.uniform(rng, shape, wide)
    given = jnp.asarray(samples, wide)
    rule = f"_random_samples must be {shape}, or have more rows"
    fits = given.shape[1:] == shape[1:] and len(given) >= len(x)
    check(fits, where, rule, shape=given.shape)
    return given[: len(x)]


def _starts(sample: jax.Array, size: int, kernel: int, out: int) -> jax.Array:
    """Where each window starts, (N, out, C); the last one ends with the input."""
    alpha = np.asarray(size - kernel, sample.dtype) / np.asarray(max(out - 1, 1), sample.dtype)
    place = sample[:, None, :]
    i = np.arange(out)[:, None]
    starts = ((i + place) * alpha).astype(jnp.int32) - (place * alpha).astype(jnp.int32)
    return jnp.where(i == out - 1, size - kernel, starts)
