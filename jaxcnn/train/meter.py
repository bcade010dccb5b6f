"""The metrics of an epoch under way."""

from __future__ import annotations

import time
from collections.abc import Mapping

import jax
import numpy as np
from tqdm import tqdm

from jaxcnn.train.checkpoint import Row
from jaxcnn.train.distributed import is_main_process
from jaxcnn.train.feed import AHEAD

_REDRAW_SECONDS = 0.1
_SUMS = ("loss", "loss_sum", "loss_count", "correct", "count", "skipped")


class NonFiniteLossError(FloatingPointError):
    """The loss or the parameters became infinite or NaN, so that training cannot go on.

    Attributes:
      step: The step, from 1.
      rows: The places of its images in the training set, `(batch_size,)`; none if it was found in
        the parameters.

    Example:
      >>> NonFiniteLossError("the loss must be finite", 7, np.array([3, 1])).step
      7
    """

    def __init__(self, message: str, step: int, rows: np.ndarray) -> None:
        super().__init__(message)
        self.step = step
        self.rows = rows


class Meter:
    """Sums the metrics of an epoch and shows them on a terminal, inside a `with` block.

    They stay on the device until the bar is drawn.

    Args:
      title: What the bar is called.
      images: Images that are still to come.
      step: Steps made before the first dispatch that is added.
      totals: `totals()` of the part of the epoch that was done before, if any.
    """

    def __init__(self, title: str, images: int, step: int, totals: Mapping[str, float]) -> None:
        self._totals = {name: 0.0 for name in (*_SUMS, "seconds")} | dict(totals)
        done = self._totals["count"]
        self._bar = tqdm(
            total=done + images,
            initial=done,
            desc=title,
            unit="img",
            leave=False,
            disable=None if is_main_process() else True,
            mininterval=0,
        )
        self._started = self._drawn = time.monotonic()
        self._unread: list[tuple[np.ndarray, dict[str, jax.Array]]] = []
        self._step = step

    def __enter__(self) -> Meter:
        """Nothing is left to do."""
        return self

    def __exit__(self, *error: object) -> None:
        """Removes the bar."""
        self._bar.close()

    def add(self, rows: np.ndarray, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of a dispatch that may still run; waits until few do.

        Args:
          rows: The images of each step, (steps, batch_size).
          metrics: Arrays (steps,).

        Raises:
          NonFiniteLossError: If a loss is not finite and its step was not skipped.
        """
        self._unread.append((rows, metrics))
        jax.block_until_ready([metrics for _, metrics in self._unread[-1 - AHEAD : -AHEAD]])
        due = not self._bar.disable and time.monotonic() - self._drawn >= _REDRAW_SECONDS
        if due and len(self._unread) > AHEAD:
            self._read(len(self._unread) - AHEAD)
            loss, accuracy = self._means()
            self._bar.set_postfix(loss=f"{loss:.4f}", accuracy=f"{accuracy:.2%}", refresh=False)
            self._bar.update(self._totals["count"] - self._bar.n)
            self._drawn = time.monotonic()

    def totals(self) -> dict[str, float]:
        """Waits for all dispatches; the sums up to here, and the seconds."""
        self._read(len(self._unread))
        seconds = self._totals["seconds"] + time.monotonic() - self._started
        return {**self._totals, "seconds": seconds}

    def row(self) -> Row:
        """Waits for all dispatches; the means over the epoch's images."""
        totals = self.totals()
        loss, accuracy = self._means()
        row = {"train_loss": loss, "train_loss_sum": totals["loss_sum"], "train_accuracy": accuracy}
        row |= {"skipped": int(totals["skipped"])} if totals["skipped"] else {}
        speed = totals["count"] / totals["seconds"]
        return {**row, "seconds": totals["seconds"], "images_per_second": speed}

    def _read(self, count: int) -> None:
        read, self._unread = self._unread[:count], self._unread[count:]
        for rows, metrics in jax.device_get(read):
            loss, correct, number, skipped = (
                np.asarray(metrics.get(name, np.zeros(len(rows))), np.float64)
                for name in ("loss", "correct", "count", "skipped")
            )
            self._check(loss, skipped, rows)
            finite = np.isfinite(loss)  # else the step was skipped
            self._totals["loss"] += float(loss[finite] @ number[finite])
            self._totals["loss_sum"] += float(loss[finite].sum())
            self._totals["loss_count"] += float(number[finite].sum())
            self._totals["correct"] += float(correct.sum())
            self._totals["count"] += float(number.sum())
            self._totals["skipped"] += float(skipped.sum())
            self._step += len(rows)

    def _check(self, loss: np.ndarray, skipped: np.ndarray, rows: np.ndarray) -> None:
        wrong = np.flatnonzero(~np.isfinite(loss) & (skipped == 0))
        if wrong.size:
            step, images = self._step + int(wrong[0]) + 1, rows[wrong[0]]
            some = ", ".join(map(str, images[:8])) + (", …" if len(images) > 8 else "")
            raise NonFiniteLossError(
                f"fit: the loss must be finite, got loss={loss[wrong[0]]} at step {step}, on the "
                f"images [{some}] of the training set",
                step,
                images,
            )

    def _means(self) -> tuple[float, float]:
        totals = self._totals
        return totals["loss"] / (totals["loss_count"] or 1), totals["correct"] / totals["count"]
