"""Runs a script in several processes on this host, with simulated devices, for a test.

python -m jaxcnn.train.distributed --processes 2 --devices 4 script.py --epochs 1
    Two processes of four devices each. The script calls `train.initialize()`.

Each line of output begins with the number of its process. When a process fails, the others are
ended, and its exit code is returned.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, NoReturn

from jaxcnn._checks import check_int

_GRACE_SECONDS = 5


def launch(command: Sequence[str], processes: int, devices: int) -> int:
    """Runs `command` in each process until all are done or one fails.

    Args:
      command: Program and arguments.
      processes: How many processes.
      devices: Simulated CPU devices of each.

    Returns:
      The exit code: 0, or that of the first process that failed (128 + signal if killed).
    """
    check_int("launch", "processes", processes, 1)
    check_int("launch", "devices", devices, 1)
    address = f"localhost:{_free_port()}"
    running = [
        subprocess.Popen(
            command,
            env=_environment(address, processes, process_id, devices),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # with whatever it starts, it is ended as one
        )
        for process_id in range(processes)
    ]
    readers = [
        threading.Thread(target=_copy, args=(stream, target, f"[{index}] "), daemon=True)
        for index, process in enumerate(running)
        for stream, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    ]
    for reader in readers:
        reader.start()
    try:
        code = _first_failure(running)
    finally:
        _end_all(running)
        for reader in readers:
            reader.join(_GRACE_SECONDS)
    return code


def _environment(address: str, processes: int, process_id: int, devices: int) -> dict[str, str]:
    flags = os.environ.get("XLA_FLAGS", "")
    return {
        **os.environ,
        "JAX_COORDINATOR_ADDRESS": address,
        "JAX_NUM_PROCESSES": str(processes),
        "JAX_PROCESS_ID": str(process_id),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}".strip(),
        "PYTHONUNBUFFERED": "1",
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def _copy(stream: IO[str], target: IO[str], prefix: str) -> None:
    with stream:
        for line in stream:
            target.write(prefix + line.rstrip("\n") + "\n")
            target.flush()


def _first_failure(running: list[subprocess.Popen[str]]) -> int:
    """Waits; the exit code of the first process that fails, or 0 when all are done."""
    while True:
        codes = [process.poll() for process in running]
        for index, code in enumerate(codes):
            if code:
                print(f"process {index} failed: {_described(code)}", file=sys.stderr, flush=True)
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(0.05)


def _described(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name


def _end_all(running: list[subprocess.Popen[str]]) -> None:
    """Asks what still runs to end, and kills what does not."""
    for request, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, request)
        with contextlib.suppress(subprocess.TimeoutExpired):
            deadline = time.monotonic() + _GRACE_SECONDS
            for process in running:
                process.wait(seconds and max(deadline - time.monotonic(), 0))


def _exit_on_signal(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxcnn.train.distributed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--processes", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--devices", type=int, default=1, help="devices of each (default 1)")
    parser.add_argument("script", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _exit_on_signal)
    return launch([sys.executable, given.script, *given.arguments], given.processes, given.devices)


if __name__ == "__main__":
    sys.exit(main())
