"""The folder that an experiment leaves behind."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxcnn._checks import check
from jaxcnn._files import write_atomically
from jaxcnn.train.checkpoint import Checkpoints, Progress, Row
from jaxcnn.train.distributed import is_main_process
from jaxcnn.train.state import TrainState


class RunFolder:
    """A run's settings, metrics and checkpoints.

    Holds `config.json`, `metrics.jsonl` (one line for each epoch) and `checkpoints/`; reports and
    weights are written beside them. It is made when something is written.

    Attributes:
      path: The folder.
      checkpoints: Its checkpoints.

    Args:
      path: The folder.
      config: The settings, as plain values.
      keep: How many checkpoints to keep.
      keep_best: A metric, such as "test_accuracy", whose best checkpoint is kept as well.

    Raises:
      ValueError: If the folder belongs to a run with other settings.

    Example:
      >>> import tempfile
      >>> run = RunFolder(tempfile.mkdtemp() + "/lenet", {"lr": 0.1})
      >>> run.write_metrics([{"epoch": 1, "train_loss": 0.5}])
      >>> sorted(file.name for file in run.path.iterdir())
      ['config.json', 'metrics.jsonl']
    """

    # To train longer, or elsewhere, is to continue the same run.
    _FREE = (
        *("epochs", "resume", "runs", "strategy"),
        *("data_dir", "raw_dir", "compilation_cache"),
        *("checkpoint_every", "keep_checkpoints", "keep_best", "workers", "histograms"),
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: dict[str, Any],
        keep: int = 3,
        keep_best: str | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._config = config = json.loads(json.dumps(config, default=str))
        file = self.path / "config.json"
        if file.exists():
            try:
                old = json.loads(file.read_text())
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"RunFolder: config.json must be whole, got path={str(file)!r}; {error}."
                ) from error
            changed = {
                key: (old.get(key), config.get(key))
                for key in sorted({*old, *config} - {*self._FREE})
                if old.get(key) != config.get(key)
            }
            rule = f"a resumed run must keep the settings of {file}"
            check(not changed, "RunFolder", rule, changed=changed)
        self.checkpoints = Checkpoints(self.path / "checkpoints", keep, keep_best)

    @classmethod
    def open(
        cls,
        name: str,
        config: dict[str, Any],
        runs: str | os.PathLike[str] = "runs",
        resume: str | os.PathLike[str] | None = None,
        keep: int = 3,
        keep_best: str | None = None,
    ) -> RunFolder:
        """The folder `resume`, or a new `<runs>/<name>-<time>/`.

        Raises:
          FileNotFoundError: If `resume` is no run folder.
          ValueError: If it belongs to a run with other settings.
        """
        if resume is None:
            now = _same_everywhere(datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f"))
            return cls(Path(runs) / f"{name}-{now}", config, keep, keep_best)
        if not (Path(resume) / "config.json").is_file():
            raise FileNotFoundError(
                f"RunFolder: resume must be a run folder with a config.json, got "
                f"resume={str(resume)!r}."
            )
        return cls(resume, config, keep, keep_best)

    def restore(self, state: TrainState) -> tuple[TrainState, Progress]:
        """The newest undamaged checkpoint's state and progress, or `state` and none.

        `metrics.jsonl` is brought back to that checkpoint.
        """
        state, progress = self.checkpoints.restore(state)
        self.write_metrics(progress.history)
        return state, progress

    def save(self, state: TrainState, progress: Progress) -> None:
        """Begins to write a checkpoint, and writes the metrics of all finished epochs."""
        self.checkpoints.save(int(state.step), state, progress)
        self.write_metrics(progress.history)

    def wait(self) -> None:
        """Waits until the last checkpoint is on the disk."""
        self.checkpoints.wait()

    def write_metrics(self, history: list[Row]) -> None:
        """Replaces `metrics.jsonl` by these rows; of several processes the main one writes."""
        if not is_main_process():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        config = json.dumps(self._config, indent=2) + "\n"
        write_atomically(self.path / "config.json", lambda file: file.write(config.encode()))
        lines = "".join(json.dumps(row) + "\n" for row in history)
        write_atomically(self.path / "metrics.jsonl", lambda file: file.write(lines.encode()))


def _same_everywhere(text: str) -> str:
    """The main process's ASCII text, which has the same length on all."""
    if jax.process_count() == 1:
        return text
    sent = multihost_utils.broadcast_one_to_all(np.frombuffer(text.encode(), np.uint8))
    return np.asarray(sent, np.uint8).tobytes().decode()
