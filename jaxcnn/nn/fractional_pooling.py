"""Maximum pooling over randomly placed windows. Mirrors torch.nn's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn.functional.fractional_pooling import check_fractions


class _FractionalMaxPool(nn.Module):
    kernel_size: int | Sequence[int]
    output_size: int | Sequence[int] | None = None
    output_ratio: float | Sequence[float] | None = None
    return_indices: bool = False
    _random_samples: ArrayLike | None = None

    def __post_init__(self) -> None:
        where, size, ratio = type(self).__name__, self.output_size, self.output_ratio
        check_fractions(where, self._axes, self.kernel_size, size, ratio)
        rule = "only one of output_size and output_ratio may be given"
        one = size is None or ratio is None
        check(one, where, rule, output_size=size, output_ratio=ratio)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any) -> jax.Array | tuple[jax.Array, jax.Array]:
        samples, rng = None, None
        if self._random_samples is None:
            rng = self.make_rng("dropout")
        else:
            given = lambda: jnp.asarray(self._random_samples)
            samples = self.variable("buffers", "_random_samples", given).value
        return self._pool(
            x,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            samples,
            rng=rng,
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """Takes the maximum over windows that are placed at random.

    Mirrors `torch.nn.FractionalMaxPool2d` on channels-last input. The key comes from the `dropout`
    rng, in evaluation too, as PyTorch has it: `model.apply(variables, x, rngs={"dropout": key})`.

    Attributes:
      kernel_size: Window height and width in pixels; an int means both.
      output_size: Height and width of the output in pixels; an int means both.
      output_ratio: Instead of `output_size`, the output's size as a share of the input's.
      return_indices: Whether to return also the flat position (row*w + column) of each maximum.
      _random_samples: Numbers in 0..1, `(n, c, 2)`, that place the windows always alike.

    Buffers:
      `_random_samples (n, c, 2)`, if given.

    Shape:
      `(n, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If a size is out of range, or not exactly one of `output_size` and `output_ratio`
        is given.
      TypeError: If a size is not an integer.

    Source: Graham, Fractional Max-Pooling, 2014.

    Example:
      >>> x, rngs = jnp.ones((1, 9, 9, 3)), {"dropout": jax.random.key(0)}
      >>> FractionalMaxPool2d(2, output_ratio=0.7).apply({}, x, rngs=rngs).shape
      (1, 6, 6, 3)
    """

    _axes, _pool = 2, staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """Takes the maximum over windows that are placed at random.

    Mirrors `torch.nn.FractionalMaxPool3d` on channels-last input; attributes as in
    `FractionalMaxPool2d`, `_random_samples` of shape `(n, c, 3)`.

    Shape:
      `(n, d, h, w, c)` -> `(n, *output_size, c)`.

    Raises:
      ValueError: If a size is out of range, or not exactly one of `output_size` and `output_ratio`
        is given.
      TypeError: If a size is not an integer.

    Source: Graham, Fractional Max-Pooling, 2014.

    Example:
      >>> x, rngs = jnp.ones((1, 6, 8, 10, 3)), {"dropout": jax.random.key(0)}
      >>> FractionalMaxPool3d(2, (3, 4, 5)).apply({}, x, rngs=rngs).shape
      (1, 3, 4, 5, 3)
    """

    _axes, _pool = 3, staticmethod(F.fractional_max_pool3d)
