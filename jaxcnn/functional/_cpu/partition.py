"""Loops over a batch that `jit` divides among devices."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import AxisType


def by_device(
    function: Callable[[jax.Array, jax.Array], jax.Array], x: jax.Array, weight: jax.Array
) -> jax.Array:
    """`function(x, weight)` on one part of the batch for each device of `jit`.

    The partitioner gives every device all turns of a loop over the batch. The parts are an axis of
    its own around the loop, which it divides. Each has its own weight, so that their gradients are
    added up once, after the loop, and not in every turn.
    """
    n, devices = x.shape[0], _devices()
    if devices == 1 or n % devices:
        return function(x, weight)
    parts = x.reshape(devices, n // devices, *x.shape[1:])
    y = jax.vmap(function)(parts, jnp.broadcast_to(weight, (devices, *weight.shape)))
    return y.reshape(n, *y.shape[2:])


def _devices() -> int:
    """How many devices of the mesh around this are XLA's to divide work among."""
    mesh = jax.sharding.get_abstract_mesh()
    kinds = zip(mesh.axis_sizes, mesh.axis_types, strict=True)
    return math.prod(size for size, kind in kinds if kind != AxisType.Manual)
