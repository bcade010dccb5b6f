"""Sends each epoch's metrics to TensorBoard or to Weights & Biases while a run goes on."""

from __future__ import annotations

import importlib
import os
from types import TracebackType
from typing import Any, Self

from jaxcnn.train.checkpoint import Row

# Where a row stands, not what was measured.
_PLACE = ("epoch", "step")


class _Writer:
    """What the writers share: a `with` block that closes them."""

    def close(self) -> None:
        """Writes what is left; the writer takes no rows after it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class TensorBoardWriter(_Writer):
    """Writes rows of metrics as TensorBoard's event files; made for `fit`'s `on_epoch`.

    Each number of a row becomes a scalar of the same name at the row's step. Needs tensorboardX,
    which itself needs neither PyTorch nor TensorFlow.

    Args:
      folder: Where the event files are written; made if needed.

    Call:
      row: A row of metrics with its `step`. It is on the disk about a second later.

    Raises:
      ImportError: If tensorboardX is not installed.

    Example:
      >>> import tempfile
      >>> folder = tempfile.mkdtemp()
      >>> with TensorBoardWriter(folder) as writer:
      ...     writer({"epoch": 1, "step": 90, "train_loss": 0.5})
      >>> [name.split(".")[0] for name in os.listdir(folder)]
      ['events']
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        package = _package("TensorBoardWriter", "tensorboardX")
        self._writer = package.SummaryWriter(os.fspath(folder), flush_secs=1)

    def __call__(self, row: Row) -> None:
        for name, value in _measured(row).items():
            self._writer.add_scalar(name, value, row["step"])

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class WandbWriter(_Writer):
    """Logs rows of metrics to Weights & Biases; made for `fit`'s `on_epoch`.

    Args:
      project: Name of the project.
      **settings: Other arguments of `wandb.init`, such as `config`, `name`, `dir`, and
        `mode="offline"`, which needs no network.

    Call:
      row: A row of metrics with its `step`.

    Attributes:
      run: The run that `wandb.init` returned.

    Raises:
      ImportError: If wandb is not installed.

    Example:
      Printing and logging every epoch of a `fit(..., on_epoch=on_epoch)`:

      ```python
      with WandbWriter("digits", config={"lr": 0.1}) as writer:

          def on_epoch(row):
              print_epoch(row)
              writer(row)
      ```
    """

    def __init__(self, project: str, **settings: Any) -> None:
        self.run = _package("WandbWriter", "wandb").init(project=project, **settings)

    def __call__(self, row: Row) -> None:
        # The epoch is logged too: it can be chosen as the axis.
        self.run.log({"epoch": row["epoch"], **_measured(row)}, step=row["step"])

    def close(self) -> None:
        """Ends the run; online, when everything has been sent."""
        self.run.finish()


def _package(where: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ImportError(
            f"{where}: {name} must be installed, got {name}=None; pip install {name}."
        ) from error


def _measured(row: Row) -> dict[str, float]:
    return {
        name: value
        for name, value in row.items()
        if name not in _PLACE and isinstance(value, int | float)
    }
