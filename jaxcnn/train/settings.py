"""Settings that every experiment has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from jaxcnn._checks import check, check_int
from jaxcnn.train.compilation import default_compilation_cache, enable_compilation_cache
from jaxcnn.train.distributed import initialize
from jaxcnn.train.parallel import STRATEGIES
from jaxcnn.train.run import RunFolder

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where an experiment reads, computes and writes; experiments add their own settings to these.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Settings(RunSettings):
      ...     lr: float = 0.1
      >>> Settings(seed=1).lr
      0.1
    """

    seed: int = 0
    """Seed of all that is random: parameters, order of the images."""
    strategy: Literal["pmap", "jit"] = "pmap"
    """How several devices share a step."""
    data_dir: Path | None = None
    """Where downloaded data lies; ~/.cache/jaxcnn by default."""
    raw_dir: Path | None = None
    """Folder with the original files, read instead of downloading."""
    runs: Path = Path("runs")
    """Where the run folder is made."""
    resume: Path | None = None
    """A run folder to continue, with the settings that it began with."""
    workers: int = 0
    """Processes that decode images of files; 0 decodes in threads."""
    checkpoint_every: int | None = None
    """Steps from one checkpoint to the next; at the end of each epoch there is one anyway."""
    keep_checkpoints: int = 3
    """How many checkpoints to keep."""
    keep_best: str | None = None
    """A metric, such as test_accuracy, whose best checkpoint is kept as well."""
    compilation_cache: Literal["none"] | Path = dataclasses.field(
        default_factory=default_compilation_cache
    )
    """Folder in which compiled programs are kept for the next start; none keeps nothing."""

    def check(self) -> None:
        """Checks all settings.

        Raises:
          ValueError: If one is out of range.
        """
        where = type(self).__name__
        check_int(where, "seed", self.seed, 0)
        check_int(where, "workers", self.workers, 0)
        check_int(where, "keep_checkpoints", self.keep_checkpoints, 1)
        if self.checkpoint_every is not None:
            check_int(where, "checkpoint_every", self.checkpoint_every, 1)
        known = self.keep_best is None or self.keep_best in METRICS
        check(known, where, f"keep_best must be one of {METRICS}", keep_best=self.keep_best)
        rule = f"strategy must be one of {STRATEGIES}"
        check(self.strategy in STRATEGIES, where, rule, strategy=self.strategy)

    def open_run(self, name: str, config: dict[str, Any]) -> RunFolder:
        """The run folder that these settings ask for: `resume`, or a new one.

        Raises:
          FileNotFoundError: If `resume` is no run folder.
          ValueError: If it belongs to a run with other settings, or a setting is out of range.
        """
        keep = self.keep_checkpoints
        return RunFolder.open(name, config, self.runs, self.resume, keep, self.keep_best)

    def prepare(self) -> None:
        """Checks the settings, joins the run's other processes, sets where programs are kept.

        Call it before anything else of JAX.

        Raises:
          ValueError: If a setting is out of range.
        """
        self.check()
        initialize()
        chosen = self.compilation_cache
        enable_compilation_cache(None if chosen == "none" else chosen)
