"""Checkpoints of a training run, written with orbax."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
from jax.sharding import SingleDeviceSharding

from jaxcnn.interop import to_state_dict
from jaxcnn.train.state import TrainState

Row = dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, numbered by epoch; the newest few are kept.

    A checkpoint appears under its number only when it is complete, so a killed run leaves the ones
    before it.

    Args:
      directory: Where they lie; made if needed.
      keep: How many to keep.

    Example:
      >>> import tempfile, jax.numpy as jnp
      >>> from jaxcnn import models, optim, train
      >>> state = train.create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> checkpoints = Checkpoints(tempfile.mkdtemp())
      >>> checkpoints.save(1, state, [{"epoch": 1}])
      >>> restored, rows = checkpoints.restore(state)
      >>> rows
      [{'epoch': 1}]
    """

    def __init__(self, directory: str | os.PathLike[str], keep: int = 3) -> None:
        # Here, because it takes a third of a second, and the first training step need not wait.
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=keep)
        path = Path(directory).absolute()
        self._manager = ocp.CheckpointManager(path, options=options)
        self._args = ocp.args

    def save(self, epoch: int, state: TrainState, history: list[Row]) -> None:
        """Writes the state after `epoch`, with the metrics up to then, and waits for the disk.

        Raises:
          ValueError: If two arrays of the model have the same dotted name, which orbax would
            restore wrongly.
        """
        to_state_dict(state.variables)
        args = self._args.Composite(
            state=self._args.StandardSave(_arrays(state)),  # type: ignore[call-arg]
            history=self._args.JsonSave(history),  # type: ignore[call-arg]
        )
        self._manager.save(epoch, args=args)
        # The next step reuses the state's memory, so the write must not outlast this call.
        self._manager.wait_until_finished()

    def restore(self, like: TrainState) -> tuple[TrainState, list[Row]]:
        """Reads the newest checkpoint.

        Args:
          like: A state of the same model and optimiser; returned as it is if there is no
            checkpoint.

        Returns:
          The state and the metrics up to then.
        """
        newest = self._manager.latest_step()
        if newest is None:
            return like, []
        # The devices may be others than those that the checkpoint was written on.
        here = SingleDeviceSharding(jax.local_devices()[0])
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), _arrays(like)
        )
        args = self._args.Composite(
            state=self._args.StandardRestore(abstract),  # type: ignore[call-arg]
            history=self._args.JsonRestore(),
        )
        restored = self._manager.restore(newest, args=args)
        return like.replace(**restored["state"]), list(restored["history"])


def _arrays(state: TrainState) -> dict[str, Any]:
    names = ("step", "params", "batch_stats", "opt_state", "rng")
    return {name: getattr(state, name) for name in names}
