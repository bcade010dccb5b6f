"""Running one pure step on every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

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
) -> ParallelStep:
    """Compiles `step` for all devices, each with an equal part of the batch.

    "pmap" gives the step the name of the device axis: gradients are averaged in it and BatchNorm is
    per device, as with PyTorch's DistributedDataParallel. "jit" compiles the step for the whole
    batch and shards the batch: XLA adds the communication, and BatchNorm sees the whole batch.

    Args:
      step: `(state, batch, *shared, axis_name=None) -> outputs`, outputs equal on all devices.
      strategy: "pmap" or "jit".
      devices: The devices; all local ones by default.
      batch_axis: Axis of the batch in every array of `batch`: 0, or 1 after an axis of steps (see
        `scan_steps`).
      donate: Whether the state's memory is reused; the state that was passed in is then gone.

    Returns:
      `(state, batch, *shared) -> outputs` on arrays of the whole batch; what is `shared` is whole
      on every device.

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
    return ParallelStep(step, strategy, devices, batch_axis, donate)


class ParallelStep:
    """A step on all devices; `parallelize` makes it.

    A call puts its arguments on the devices and makes the step. A loop does the one ahead of the
    other: `replicate`, `compile` and `shard`, then `run`.

    Attributes:
      devices: The devices.

    Example:
      >>> step = parallelize(lambda state, batch, axis_name=None: (state + 1, batch), "jit")
      >>> state, batch = step.replicate(np.float32(0)), np.arange(8)
      >>> step.compile(state, batch)
      >>> state, _ = step.run(state, step.shard(batch))
      >>> float(state)
      1.0
    """

    def __init__(
        self,
        step: Callable[..., Any],
        strategy: str,
        devices: list[Any],
        batch_axis: int,
        donate: bool,
    ) -> None:
        self.devices = devices
        self._batch_axis = batch_axis
        self._splits = strategy == "pmap"
        mesh = Mesh(np.asarray(devices), (_AXIS,), (AxisType.Auto,))
        self._whole = NamedSharding(mesh, PartitionSpec())
        self._parts = NamedSharding(mesh, PartitionSpec(*[None] * batch_axis, _AXIS))
        donated = (0,) if donate else ()
        if strategy == "pmap":
            self._program: Any = jax.pmap(
                lambda state, batch, shared: step(state, batch, *shared, axis_name=_AXIS),
                axis_name=_AXIS,
                in_axes=(None, batch_axis, None),
                out_axes=None,  # type: ignore[arg-type]
                devices=devices,
                donate_argnums=donated,
            )
        else:
            self._program = jax.jit(
                lambda state, batch, shared: step(state, batch, *shared),
                in_shardings=(self._whole, self._parts, self._whole),
                out_shardings=self._whole,
                donate_argnums=donated,
            )

    def __call__(self, state: Any, batch: Any, *shared: Any) -> Any:
        """Makes the step on arrays that lie anywhere."""
        return self.run(self.replicate(state), self.shard(batch), *self.replicate(shared))

    def replicate(self, tree: Any) -> Any:
        """Puts arrays on every device, whole: the state, or what is shared."""
        return jax.device_put(tree, self._whole)

    def shard(self, batch: Any) -> Any:
        """Puts a batch on the devices, an equal part on each."""
        return jax.device_put(
            jax.tree.map(lambda x: x.reshape(self._split(np.shape(x))), batch), self._parts
        )

    def compile(self, state: Any, batch: Any, *shared: Any) -> None:
        """Compiles the step, so that `run` does not.

        Args:
          state: The state, replicated.
          batch: A batch, or a tree of anything with its shapes and dtypes.
          *shared: What is shared, replicated.
        """
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(self._split(x.shape), x.dtype, sharding=self._parts),
            batch,
        )
        self._program.lower(state, batch, shared).compile()

    def run(self, state: Any, batch: Any, *shared: Any) -> Any:
        """Makes the step on arrays that are on the devices already."""
        outputs = self._program(state, batch, shared)
        if len(self.devices) > 1 and self.devices[0].platform == "cpu":
            # Simulated devices share one pool of threads: a second program in flight can starve
            # the first one's collectives for ever.
            jax.block_until_ready(outputs)
        return outputs

    def _split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a batch with, under pmap, an axis of devices."""
        axis, parts = self._batch_axis, len(self.devices)
        rule = "the batch must divide evenly among the devices"
        check(shape[axis] % parts == 0, "parallelize", rule, batch=shape[axis], devices=parts)
        if not self._splits:
            return shape
        return (*shape[:axis], parts, shape[axis] // parts, *shape[axis + 1 :])
