"""Leaving in good order when someone ends the program."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from types import FrameType, TracebackType

import jax
from jax.experimental import multihost_utils


class Stopped(SystemExit):
    """Ends the program with exit code 0, after SIGTERM or Ctrl-C and a checkpoint.

    Example:
      >>> Stopped("training stopped at step 7").code
      0
    """

    def __init__(self, message: str) -> None:
        super().__init__(0)
        self.message = message

    def __str__(self) -> str:
        """Returns what happened, in one line."""
        return self.message


# JAX stops at one number of this sequence, which must not be left out.
_PLACES = itertools.count(1)


class Interrupts:
    """Notes SIGTERM and Ctrl-C inside a `with` block, for a loop that asks between its steps.

    A second Ctrl-C ends the program at once. Only the main thread can do this; in another one
    signals do what they did before. Of several processes all stop at the same place after one of
    them got SIGTERM, which JAX takes care of; Ctrl-C ends them at once.

    Example:
      >>> with Interrupts() as interrupts:
      ...     signal.raise_signal(signal.SIGTERM)
      ...     interrupts.received()
      'SIGTERM'
    """

    def __init__(self) -> None:
        self._received: str | None = None
        self._before: dict[signal.Signals, object] = {}

    def received(self) -> str | None:
        """The name of the signal that has come, or None.

        All processes must ask equally often.
        """
        if jax.process_count() == 1:
            return self._received
        return "SIGTERM" if multihost_utils.reached_preemption_sync_point(next(_PLACES)) else None

    def __enter__(self) -> Interrupts:
        """Takes over the two signals."""
        main = threading.current_thread() is threading.main_thread()
        if main and jax.process_count() == 1:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number).name
        # The system's own answer: it does not wait for a program that is busy outside Python.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print(f"{self._received}: saving a checkpoint; Ctrl-C leaves at once", file=sys.stderr)
