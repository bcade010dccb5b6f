"""Initialisers whose entries depend on each other. Mirrors torch.nn.init's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn._checks import check, check_int
from jaxcnn.init.distributions import Initializer, drawn_in, normal


def eye() -> Initializer:
    """The identity matrix, as far as the shape holds it: a `Linear` passes on its inputs.

    Mirrors `torch.nn.init.eye_`.

    Raises:
      ValueError: (the initialiser) If the shape is not that of a matrix.

    Example:
      >>> eye()(jax.random.key(0), (2, 3)).tolist()
      [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        del key
        check(len(shape) == 2, "eye", "shape must have two axes", shape=tuple(shape))
        return jnp.eye(*shape, dtype=dtype)

    return initializer


def dirac(groups: int = 1) -> Initializer:
    """Kernels with a single 1 in the middle: a convolution passes on its input channels.

    Mirrors `torch.nn.init.dirac_`.

    Args:
      groups: The convolution's groups; each passes on its own channels.

    Raises:
      ValueError: If `groups` is under 1; (the initialiser) if the shape is not that of a 1-D, 2-D
        or 3-D convolution's weight or its first axis is not divisible by `groups`.
      TypeError: If `groups` is not an integer.

    Example:
      >>> dirac()(jax.random.key(0), (2, 2, 3)).tolist()
      [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    check_int("dirac", "groups", groups, 1)

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        del key
        shape = tuple(shape)
        check(len(shape) in (3, 4, 5), "dirac", "shape must have three to five axes", shape=shape)
        rule = "shape[0] must be divisible by groups"
        check(shape[0] % groups == 0, "dirac", rule, shape=shape, groups=groups)
        outputs, inputs, *kernel = shape
        outputs_per_group = outputs // groups
        channel = jnp.arange(min(outputs_per_group, inputs))
        output = jnp.arange(groups)[:, None] * outputs_per_group + channel
        middle = tuple(size // 2 for size in kernel)
        return jnp.zeros(shape, dtype).at[(output, channel, *middle)].set(1)

    return initializer


def orthogonal(gain: float = 1) -> Initializer:
    """A random matrix whose rows (or columns, if they are fewer) are orthogonal and `gain` long.

    Mirrors `torch.nn.init.orthogonal_`: axes after the second count as columns. Uniform over all
    such matrices. Source: Saxe et al., 2013.

    Args:
      gain: The length of each vector.

    Raises:
      ValueError: (the initialiser) If the shape has fewer than two axes.

    Example:
      >>> w = orthogonal()(jax.random.key(0), (2, 5))
      >>> bool(jnp.allclose(w @ w.T, jnp.eye(2), atol=1e-6))
      True
    """

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        shape = tuple(shape)
        check(len(shape) >= 2, "orthogonal", "shape must have two or more axes", shape=shape)
        if 0 in shape:
            return jnp.zeros(shape, dtype)
        rows, columns = shape[0], math.prod(shape[1:])
        tall = (max(rows, columns), min(rows, columns))
        q, r = jnp.linalg.qr(jax.random.normal(key, tall, drawn_in(dtype)))
        # QR alone favours some directions; with R's diagonal positive it does not.
        q = q * jnp.sign(jnp.diagonal(r))
        return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)

    return initializer


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """A normal matrix with a fraction of every column set to zero.

    Mirrors `torch.nn.init.sparse_`. Source: Martens, 2010.

    Args:
      sparsity: The fraction of each column, rounded up to whole entries.
      std: The standard deviation of the other entries.

    Raises:
      ValueError: If `sparsity` is not in [0, 1] or `std` is negative; (the initialiser) if the
        shape is not that of a matrix.

    Example:
      >>> (sparse(0.5)(jax.random.key(0), (4, 3)) == 0).sum(0).tolist()
      [2, 2, 2]
    """
    check(0 <= sparsity <= 1, "sparse", "sparsity must be in [0, 1]", sparsity=sparsity)
    check(std >= 0, "sparse", "std must not be negative", std=std)

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        shape = tuple(shape)
        check(len(shape) == 2, "sparse", "shape must have two axes", shape=shape)
        values_key, zeros_key = jax.random.split(key)
        first = jnp.arange(shape[0])[:, None] < math.ceil(sparsity * shape[0])
        zero = jax.random.permutation(
            zeros_key, jnp.broadcast_to(first, shape), axis=0, independent=True
        )
        return jnp.where(zero, 0, normal(0.0, std)(values_key, shape, dtype))

    return initializer
