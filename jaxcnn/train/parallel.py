"""Running one pure step on every device of every process."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxcnn._checks import check, check_int

STRATEGIES = ("pmap", "jit")
_AXIS = "devices"
Devices = Sequence[Any]  # of jax.Device, which type checkers do not take for a class


def all_devices() -> list[Any]:
    """All devices of all processes, those of one process next to one another.

    Example:
      >>> len(all_devices()) == jax.device_count()
      True
    """
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def even_devices(batch_size: int) -> list[Any]:
    """As many devices of each process as divide a batch evenly.

    Args:
      batch_size: Images in a batch, over all processes.

    Raises:
      ValueError: If `batch_size` is not a positive multiple of the number of processes.

    Example:
      >>> len(even_devices(1))
      1
    """
    check_int("even_devices", "batch_size", batch_size, 1)
    processes = jax.process_count()
    rule = "batch_size must divide evenly among the processes"
    check(
        batch_size % processes == 0, "even_devices", rule,
        batch_size=batch_size, processes=processes,
    )  # fmt: skip
    own = range(1, jax.local_device_count() + 1)
    count = max(n for n in own if batch_size % (n * processes) == 0)
    ranks: dict[int, int] = {}
    chosen = []
    for device in all_devices():
        rank = ranks[device.process_index] = ranks.get(device.process_index, 0) + 1
        if rank <= count:
            chosen.append(device)
    return chosen


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

    With several processes (see `train.initialize`) each one makes the same calls; the batch it
    passes is its own part, see `ParallelStep.local_part`. Outputs are whole on every process.

    Args:
      step: `(state, batch, *shared, axis_name=None) -> outputs`, outputs equal on all devices.
      strategy: "pmap" or "jit".
      devices: The devices; those of all processes by default.
      batch_axis: Axis of the batch in every array of `batch`: 0, or 1 after an axis of steps (see
        `scan_steps`).
      donate: Whether the state's memory is reused; the state that was passed in is then gone.

    Returns:
      `(state, batch, *shared) -> outputs`; what is `shared` is whole on every device.

    Raises:
      ValueError: If the strategy is unknown, the devices are not grouped by process, or (when
        called) the batch does not divide evenly.

    Example:
      >>> import jax.numpy as jnp
      >>> def step(state, batch, axis_name=None):
      ...     total = batch.sum()
      ...     return state + (jax.lax.psum(total, axis_name) if axis_name else total)
      >>> float(parallelize(step)(jnp.zeros(()), np.ones(8, np.float32)))
      8.0
    """
    check(strategy in STRATEGIES, "parallelize", f"must be one of {STRATEGIES}", strategy=strategy)
    devices = list(all_devices() if devices is None else devices)
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
        self._processes = _processes(devices)
        mesh = Mesh(np.asarray(devices), (_AXIS,), (AxisType.Auto,))
        whole, parts = PartitionSpec(), PartitionSpec(*[None] * batch_axis, _AXIS)
        self._whole, self._parts = NamedSharding(mesh, whole), NamedSharding(mesh, parts)

        if strategy == "pmap":

            def part(state: Any, batch: Any, shared: tuple[Any, ...]) -> Any:
                return step(state, batch, *shared, axis_name=_AXIS)

            # What jax.pmap is made of, without its interface of one array per process. The step
            # adds up its gradients itself.
            specs = {"in_specs": (whole, parts, whole), "out_specs": whole}
            program = jax.shard_map(part, mesh=mesh, **specs, check_vma=False)
        else:

            def program(state: Any, batch: Any, shared: tuple[Any, ...]) -> Any:
                # The mesh tells loops over the batch that it is divided.
                with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
                    return step(state, batch, *shared)

        self._program = jax.jit(
            program,
            in_shardings=(self._whole, self._parts, self._whole),
            out_shardings=self._whole,
            donate_argnums=(0,) if donate else (),
        )

    def __call__(self, state: Any, batch: Any, *shared: Any) -> Any:
        """Makes the step on arrays that lie anywhere."""
        return self.run(self.replicate(state), self.shard(batch), *self.replicate(shared))

    def replicate(self, tree: Any) -> Any:
        """Puts arrays on every device, whole: the state, or what is shared.

        Raises:
          ValueError: If the processes pass different numbers.
        """
        if self._whole.is_fully_addressable:
            return jax.device_put(tree, self._whole)
        _check_equal(tree)
        return jax.tree.map(self._put_whole, tree)

    def local_part(self, batch: Any) -> Any:
        """This process's part of arrays of the whole batch; all of it if there is one process."""
        axis, processes = self._batch_axis, len(self._processes)
        position = self._processes.index(jax.process_index())

        def part(x: Any) -> Any:
            self._check_even(x.shape[axis], len(self.devices))
            size = x.shape[axis] // processes
            return x[(*[slice(None)] * axis, slice(position * size, (position + 1) * size))]

        return jax.tree.map(part, batch)

    def shard(self, batch: Any) -> Any:
        """Puts this process's part of a batch on its devices, an equal part on each."""
        shapes = jax.tree.map(lambda x: self._whole_shape(np.shape(x)), batch)
        if self._parts.is_fully_addressable:
            return jax.device_put(batch, self._parts)
        put = functools.partial(jax.make_array_from_process_local_data, self._parts)
        return jax.tree.map(put, batch, shapes)

    def lower(self, state: Any, batch: Any, *shared: Any) -> jax.stages.Lowered:
        """The step's program; `.compile().as_text()` shows what the devices exchange.

        Args:
          state: The state, replicated.
          batch: This process's part of a batch, or a tree of anything with its shapes and dtypes.
          *shared: What is shared, replicated.
        """
        # int64 labels are int32 on the device, unless x64 is on.
        dtype = functools.partial(jax.dtypes.canonicalize_dtype, allow_extended_dtype=True)
        batch = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                self._whole_shape(x.shape), dtype(x.dtype), sharding=self._parts
            ),
            batch,
        )
        return self._program.lower(state, batch, shared)

    def compile(self, state: Any, batch: Any, *shared: Any) -> None:
        """Compiles the step for arguments as `lower` takes them, so that `run` does not."""
        self.lower(state, batch, *shared).compile()

    def run(self, state: Any, batch: Any, *shared: Any) -> Any:
        """Makes the step on arrays that are on the devices already."""
        outputs = self._program(state, batch, shared)
        if len(self.devices) > 1 and self.devices[0].platform == "cpu":
            # Simulated devices share one pool of threads: a second program in flight can starve
            # the first one's collectives for ever.
            jax.block_until_ready(outputs)
        return outputs

    def _whole_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the whole batch, from that of this process's part."""
        axis, processes = self._batch_axis, len(self._processes)
        self._check_even(shape[axis], len(self.devices) // processes)
        return (*shape[:axis], shape[axis] * processes, *shape[axis + 1 :])

    @staticmethod
    def _check_even(batch: int, devices: int) -> None:
        rule = "the batch must divide evenly among the devices"
        check(batch % devices == 0, "parallelize", rule, batch=batch, devices=devices)

    def _put_whole(self, x: Any) -> Any:
        if _is_global(x):
            return jax.device_put(x, self._whole)
        own = [d for d in self.devices if d.process_index == jax.process_index()]
        copies = [jax.device_put(x, device) for device in own]
        return jax.make_array_from_single_device_arrays(np.shape(x), self._whole, copies)


def _processes(devices: list[Any]) -> list[int]:
    """The processes of the devices, in the order of their parts of a batch."""
    owners = [device.process_index for device in devices]
    processes = list(dict.fromkeys(owners))
    grouped = [process for process in processes for _ in range(len(owners) // len(processes))]
    rule = "each process must have equally many devices, next to one another"
    check(owners == grouped, "parallelize", rule, processes=owners)
    mine = processes == [jax.process_index()]
    rule = "the devices must be of this process or of all"
    check(mine or len(processes) == jax.process_count(), "parallelize", rule, processes=owners)
    return processes


def _is_global(x: Any) -> bool:
    return isinstance(x, jax.Array) and not x.is_fully_addressable


def _check_equal(tree: Any) -> None:
    """Raises on every process if what they hold themselves differs between them."""
    paths, sums = [], []
    for path, x in jax.tree.leaves_with_path(tree):
        if not _is_global(x):
            is_key = jnp.issubdtype(jnp.result_type(x), jax.dtypes.prng_key)
            numbers = np.ascontiguousarray(jax.random.key_data(x) if is_key else x)
            paths.append(jax.tree_util.keystr(path))
            sums.append(zlib.crc32(numbers.view(np.uint8).data))
    if sums:
        everyone = multihost_utils.process_allgather(np.asarray(sums, np.uint32))
        differ = [path for path, column in zip(paths, everyone.T, strict=True) if np.ptp(column)]
        rule = "what is replicated must be equal on all processes"
        check(not differ, "parallelize", rule, differ=differ)
