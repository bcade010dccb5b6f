"""Leaving in good order when someone ends the program."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType


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


class Interrupts:
    """Notes SIGTERM and Ctrl-C inside a `with` block, for a loop that asks between its steps.

    A second Ctrl-C ends the program at once. Only the main thread can do this; in another one
    signals do what they did before.

    Attributes:
      received: The name of the signal that has come, or None.

    Example:
      >>> with Interrupts() as interrupts:
      ...     signal.raise_signal(signal.SIGTERM)
      ...     interrupts.received
      'SIGTERM'
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupts:
        """Takes over the two signals."""
        if threading.current_thread() is threading.main_thread():
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
        self.received = signal.Signals(number).name
        # The system's own answer: it does not wait for a program that is busy outside Python.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print(f"{self.received}: saving a checkpoint; Ctrl-C leaves at once", file=sys.stderr)
