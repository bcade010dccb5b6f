"""The exponential moving average of the parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


class AveragedParams(struct.PyTreeNode):
    """Averaged parameters.

    Mirrors the state of `torch.optim.swa_utils.AveragedModel`.

    Attributes:
      params: The average, a tree like the parameters.
      n_averaged: Averages taken so far.
    """

    params: Any
    n_averaged: jax.Array


def start_average(params: Any) -> AveragedParams:
    """An average that has taken nothing in yet; it holds a copy of `params`.

    Example:
      >>> int(start_average({"w": jnp.ones(2)}).n_averaged)
      0
    """
    # A copy, because a training step gives its memory to the next one array by array.
    return AveragedParams(jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32))


def average(averaged: AveragedParams, params: Any, decay: float) -> AveragedParams:
    """Takes `params` into the average.

    Mirrors `AveragedModel.update_parameters` with `get_ema_multi_avg_fn(decay)`: the first call
    copies, a later one moves the average by `1 - decay` of the way.

    Args:
      averaged: The average so far.
      params: The new parameters.
      decay: Share of the old average that stays, 0 to 1.

    Example:
      >>> averaged = start_average({"w": jnp.array(7.0)})
      >>> for w in (1.0, 2.0):
      ...     averaged = average(averaged, {"w": jnp.array(w)}, decay=0.75)
      >>> float(averaged.params["w"])
      1.25
    """
    first = averaged.n_averaged == 0
    move = lambda old, new: jnp.where(first, new, old + (1 - decay) * (new - old))
    params = jax.tree.map(move, averaged.params, params)
    return AveragedParams(params, averaged.n_averaged + 1)
