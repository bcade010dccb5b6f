"""Running one pure step on every device."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxcnn._checks import check, check_int

STRATEGIES = ("pmap", "jit")
_AXIS = "devices"
Devices = Sequence[Any]  # of jax.Device, which type checkers do not take for a class


def even_devices(batch_size: int) -> list[Any]:
    """As many local devices as divide a batch evenly.

    Raises:
      ValueError: If `batch_size` is not positive.

    Example:
      >>> len(even_devices(1))
      1
    """
    check_int("even_devices", "batch_size", batch_size, 1)
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if batch_size % n == 0)
    return devices[:count]


def parallelize(
    step: Callable[..., Any],
    strategy: str = "pmap",
    *,
    devices: Devices | None = None,
    batch_axis: int = 0,
    donate: bool = True,
) -> Callable[[Any, Any], Any]:
    """Compiles `step` for all devices, each with an equal part of the batch.

    "pmap" gives the step the name of the device axis: gradients are averaged in it and BatchNorm is
    per device, as with PyTorch's DistributedDataParallel. "jit" compiles the step for the whole
    batch and shards the batch: XLA adds the communication, and BatchNorm sees the whole batch.

    Args:
      step: `(state, batch, axis_name=None) -> outputs`, outputs equal on all devices.
      strategy: "pmap" or "jit".
      devices: The devices; all local ones by default.
      batch_axis: Axis of the batch in every array of `batch`: 0, or 1 after an axis of steps (see
        `scan_steps`).
      donate: Whether the state's memory is reused; the state that was passed in is then gone.

    Returns:
      `(state, batch) -> outputs` on arrays of the whole batch.

    Raises:
      ValueError: If the strategy is unknown, or (when called) the batch does not divide evenly.

    Example:
      >>> import jax.numpy as jnp
      >>> def step(state, batch, axis_name=None):
      ...     total = batch.sum()
      ...     return state + (jax.lax.psum(total, axis_name) if axis_name else total)
      >>> float(parallelize(step)(jnp.zeros(()), np.ones(8, np.float32)))
      8.0
    """
    check(strategy in STRATEGIES, "parallelize", f"must be one of {STRATEGIES}", strategy=strategy)
    devices = list(jax.local_devices() if devices is None else devices)
    donated = (0,) if donate else ()
    if strategy == "pmap":
        mapped = jax.pmap(
            functools.partial(step, axis_name=_AXIS),
            axis_name=_AXIS,
            in_axes=(None, batch_axis),
            out_axes=None,  # type: ignore[arg-type]
            devices=devices,
            donate_argnums=donated,
        )
    else:
        mesh = jax.make_mesh((len(devices),), (_AXIS,), (AxisType.Auto,), devices=devices)
        sharded = PartitionSpec(*[None] * batch_axis, _AXIS)
        replicated = NamedSharding(mesh, PartitionSpec())
        mapped = jax.jit(
            step,
            in_shardings=(replicated, NamedSharding(mesh, sharded)),
            out_shardings=replicated,
            donate_argnums=donated,
        )

    def run(state: Any, batch: Any) -> Any:
        for leaf in jax.tree.leaves(batch):
            size = np.shape(leaf)[batch_axis]
            rule = "the batch must divide evenly among the devices"
            check(size % len(devices) == 0, "parallelize", rule, batch=size, devices=len(devices))
        if strategy == "pmap":
            batch = jax.tree.map(lambda x: _split(x, batch_axis, len(devices)), batch)
        outputs = mapped(state, batch)
        if len(devices) > 1 and devices[0].platform == "cpu":
            # Simulated devices share one pool of threads: a second program in flight can starve
            # the first one's collectives for ever.
            jax.block_until_ready(outputs)
        return outputs

    return run


def _split(x: Any, axis: int, parts: int) -> Any:
    shape = np.shape(x)
    return x.reshape(*shape[:axis], parts, shape[axis] // parts, *shape[axis + 1 :])
