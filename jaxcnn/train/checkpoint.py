"""Checkpoints of a training run: written with orbax, verified by a manifest."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from jaxcnn._checks import check, check_int
from jaxcnn.interop import to_state_dict, write_state_dict
from jaxcnn.train.distributed import is_main_process
from jaxcnn.train.manifest import describe, read_manifest, verify, write_manifest
from jaxcnn.train.state import TrainState

Row = dict[str, Any]
_ARRAYS, _PROGRESS, _WEIGHTS = "arrays", "progress.json", "model.safetensors"
_PART = ".part"


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run has come, besides its state.

    Attributes:
      history: The rows of metrics of all finished epochs.
      steps: Steps done of the epoch after them.
      totals: The sums of that epoch's metrics so far.

    Example:
      >>> Progress(history=[{"epoch": 1}], steps=3).steps
      3
    """

    history: list[Row] = dataclasses.field(default_factory=list)
    steps: int = 0
    totals: dict[str, float] = dataclasses.field(default_factory=dict)


class Checkpoints:
    """The checkpoints of one run, each a folder named by its step.

    A checkpoint appears under its number when it is complete and its manifest, with a sha256 of
    every file, is written: a killed run leaves the ones before it. It is written in the background.
    Beside what a resumed run needs lies `model.safetensors`, the weights under PyTorch's names.

    Attributes:
      path: The folder that they lie in.

    Args:
      path: The folder; made when something is saved.
      keep: How many to keep, the newest ones.
      keep_best: A metric of each epoch, such as "test_accuracy": the checkpoint at the end of the
        epoch where it was best is kept as well. The best loss is the lowest, of all else the
        highest.

    Example:
      >>> import tempfile
      >>> from jaxcnn import models, optim, train
      >>> state = train.create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> checkpoints = Checkpoints(tempfile.mkdtemp())
      >>> checkpoints.save(60, state, Progress([{"epoch": 1}]))
      >>> checkpoints.wait()
      >>> restored, progress = checkpoints.restore(state)
      >>> checkpoints.steps(), progress.history
      ([60], [{'epoch': 1}])
    """

    def __init__(
        self, path: str | os.PathLike[str], keep: int = 3, keep_best: str | None = None
    ) -> None:
        check_int("Checkpoints", "keep", keep, 1)
        self.path = Path(path).absolute()
        self._keep, self._keep_best = keep, keep_best
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, in order."""
        if not self.path.is_dir():
            return []
        return sorted(int(child.name) for child in self.path.iterdir() if child.name.isdecimal())

    def save(self, step: int, state: TrainState, progress: Progress) -> None:
        """Copies the state and begins to write it; waits for the checkpoint before.

        Of several processes the first one writes.

        Raises:
          ValueError: If two arrays of the model have the same dotted name.
          OSError: If the checkpoint before could not be written.
        """
        self.wait()
        # A copy, as the next step reuses the memory of the state.
        weights = {name: np.array(x) for name, x in to_state_dict(state.variables).items()}
        arrays = {name: np.array(x) for name, x in _arrays(state).items()}
        if is_main_process():
            self._writing = self._writer.submit(self._write, step, arrays, weights, progress)

    def wait(self) -> None:
        """Waits until all that was saved is on the disk.

        Raises:
          OSError: If it could not be written; the checkpoints before it are as they were.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def newest(self) -> Path | None:
        """The folder of the newest checkpoint, once it is on the disk."""
        self.wait()
        steps = self.steps()
        return self.path / str(steps[-1]) if steps else None

    def restore(self, like: TrainState) -> tuple[TrainState, Progress]:
        """Reads the newest checkpoint that is undamaged; a warning names those that are not.

        Args:
          like: A state of the same model and optimiser; returned as it is if there is no
            checkpoint.

        Raises:
          ValueError: If the checkpoint is of another model or optimiser.
          OSError: If all checkpoints are damaged.
        """
        self.wait()
        step = self._newest_undamaged()
        if jax.process_count() > 1:  # all processes must take the same one
            step = int(multihost_utils.broadcast_one_to_all(np.int32(step)))
        if step >= 0:
            return self._read(step, like)
        path = str(self.path)
        if self.steps():
            raise OSError(f"Checkpoints: one must be undamaged, got path={path!r}.")
        return like, Progress()

    def _newest_undamaged(self) -> int:
        """Its step, or -1."""
        for step in reversed(self.steps()):
            try:
                verify(self.path / str(step))
            except ValueError as error:
                warnings.warn(f"{self.path / str(step)} is left out: {error}.", stacklevel=3)
            else:
                return step
        return -1

    def _read(self, step: int, like: TrainState) -> tuple[TrainState, Progress]:
        folder = self.path / str(step)
        names, leaves, treedef = _flatten(like)
        stored, expected = read_manifest(folder)["arrays"], describe(_arrays(like))
        differ = sorted({name for name, _ in {*stored.items()} ^ {*expected.items()}})
        rule = "a checkpoint must be of the same model and optimiser"
        check(not differ, "Checkpoints", rule, path=str(folder), differ=differ)
        arrays = _checkpointer().restore(folder / _ARRAYS)
        restored = [
            _as(np.asarray(arrays[name]), leaf) for name, leaf in zip(names, leaves, strict=True)
        ]
        progress = Progress(**json.loads((folder / _PROGRESS).read_text()))
        return like.replace(**jax.tree.unflatten(treedef, restored)), progress

    def _write(
        self,
        step: int,
        arrays: dict[str, np.ndarray],
        weights: dict[str, np.ndarray],
        progress: Progress,
    ) -> None:
        final = self.path / str(step)
        part = self.path / f"{step}{_PART}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._clean()
            _checkpointer().save(part / _ARRAYS, arrays)
            (part / _PROGRESS).write_text(json.dumps(dataclasses.asdict(progress)))
            write_state_dict(part / _WEIGHTS, weights)
            write_manifest(part, arrays)
            self._remove(step)  # a damaged one, after a run has gone on from the one before
            os.replace(part, final)
            self._prune()
        except Exception as error:
            shutil.rmtree(part, ignore_errors=True)
            last = max(self.steps(), default=None)
            left = "none" if last is None else self.path / str(last)
            raise OSError(
                f"Checkpoints: step {step} could not be written to {self.path} ({error}); "
                f"the last good checkpoint is {left}."
            ) from error

    def _prune(self) -> None:
        """Removes all but the newest ones and the best."""
        steps = self.steps()
        scores = {step: score for step in steps if (score := self._score(step)) is not None}
        best = {max(scores, key=lambda step: (scores[step], step))} if scores else set()
        for step in {*steps[: -self._keep]} - best:
            self._remove(step)

    def _score(self, step: int) -> float | None:
        """How good the epoch was that ended at this step, if any did; higher is better."""
        if self._keep_best is None:
            return None
        progress = Progress(**json.loads((self.path / str(step) / _PROGRESS).read_text()))
        row = progress.history[-1] if progress.history and not progress.steps else {}
        value = row.get(self._keep_best)
        return -value if value is not None and "loss" in self._keep_best else value

    def _remove(self, step: int) -> None:
        """Removes a checkpoint at once, so that half of one is never taken for damage."""
        folder, part = self.path / str(step), self.path / f"{step}.removed{_PART}"
        if folder.exists():
            os.replace(folder, part)
            shutil.rmtree(part)

    def _clean(self) -> None:
        for part in self.path.glob(f"*{_PART}"):
            shutil.rmtree(part)


def _flatten(state: TrainState) -> tuple[list[str], list[Any], Any]:
    """Names, leaves and structure of all that changes in training."""
    fields = {
        field.name: getattr(state, field.name)
        for field in dataclasses.fields(state)
        if field.metadata.get("pytree_node", True)
    }
    paths, treedef = jax.tree.flatten_with_path(fields)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]
    check(len({*names}) == len(names), "Checkpoints", "names must differ", names=names)
    return names, [leaf for _, leaf in paths], treedef


def _arrays(state: TrainState) -> dict[str, Any]:
    """The leaves by name; random keys as the numbers that they consist of."""
    names, leaves, _ = _flatten(state)
    return {
        name: jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)
        for name, leaf in zip(names, leaves, strict=True)
    }


def _as(x: np.ndarray, like: Any) -> Any:
    if not _is_key(like):
        return x
    return jax.random.wrap_key_data(jnp.asarray(x), impl=jax.random.key_impl(like))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)


def _checkpointer() -> Any:
    # Imported here, because it takes a third of a second, and the first step need not wait.
    import orbax.checkpoint as ocp

    # Each process reads by itself, and only the first one writes: none waits for the others.
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=str(jax.process_index()),
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)
