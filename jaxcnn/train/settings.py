"""Settings that every experiment has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from jaxcnn.train.compilation import default_compilation_cache, enable_compilation_cache


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
    compilation_cache: Literal["none"] | Path = dataclasses.field(
        default_factory=default_compilation_cache
    )
    """Folder in which compiled programs are kept for the next start; none keeps nothing."""

    def keep_compiled(self) -> None:
        """Keeps compiled programs as these settings say; call it before anything is compiled."""
        chosen = self.compilation_cache
        enable_compilation_cache(None if chosen == "none" else chosen)
