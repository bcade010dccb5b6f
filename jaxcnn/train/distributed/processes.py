"""Joining the processes that train together."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import jax

from jaxcnn._checks import check, check_int, check_type

_VARIABLES = {
    "coordinator_address": "JAX_COORDINATOR_ADDRESS",
    "num_processes": "JAX_NUM_PROCESSES",
    "process_id": "JAX_PROCESS_ID",
}
# What jax recognises SLURM and Open MPI by.
_LAUNCHERS = ("SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri")
# How long a process that is done waits for the others: long enough for the main process to write
# its report.
_SHUTDOWN_SECONDS = 60


class ProcessInfo(NamedTuple):
    """Which of how many processes this one is.

    Attributes:
      index: From 0 to `count - 1`.
      count: Processes in all.
    """

    index: int
    count: int


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: float = 300,
    heartbeat_timeout: int = 30,
) -> ProcessInfo:
    """Joins the processes of a run; call it before anything else of JAX.

    Each argument that is left out is read from its environment variable, `JAX_COORDINATOR_ADDRESS`,
    `JAX_NUM_PROCESSES`, `JAX_PROCESS_ID`. If none is there, `jax.distributed.initialize` asks
    SLURM, Open MPI, Kubernetes or the TPU; without any of them there is one process, and nothing
    is done.

    If a process is lost, the others end: with the coordinator (process 0) at once, else within
    `heartbeat_timeout`. A process that ends with an error does not wait for the others.

    Args:
      coordinator_address: `host:port` of process 0, with a free port.
      num_processes: Processes in all.
      process_id: Which one this is, from 0.
      timeout: Seconds within which all processes must have started.
      heartbeat_timeout: Seconds of silence after which a process counts as lost.

    Returns:
      Index and count of the processes: `(0, 1)` if there is only this one.

    Raises:
      TypeError: If a number is not an integer.
      ValueError: If some of the three are missing or wrong.
      TimeoutError: If the coordinator does not answer. If it does, but other processes do not
        start, this one ends with a message and exit code 1.

    Example:
      >>> initialize()
      ProcessInfo(index=0, count=1)
    """
    check(timeout > 0, "initialize", "timeout must be positive", timeout=timeout)
    check_int("initialize", "heartbeat_timeout", heartbeat_timeout, 1)
    settings = _settings(coordinator_address, num_processes, process_id)
    if jax.distributed.is_initialized():
        return _here()
    if settings:
        _check_settings(**settings)
        if settings["process_id"] > 0:
            _await_coordinator(settings["coordinator_address"], timeout)
    rule = f"all processes must start within timeout={timeout} s"
    alarm = threading.Timer(timeout, _end, [f"initialize: {rule}, got {settings}."])
    alarm.daemon = True
    alarm.start()
    try:
        jax.distributed.initialize(
            **settings,
            cluster_detection_method="deactivate" if not settings and _is_lone_pod() else None,
            # It would abort with a stack trace; the alarm comes first.
            initialization_timeout=int(timeout) + 30,
            heartbeat_timeout_seconds=heartbeat_timeout,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except ValueError as error:
        if settings or "coordinator_address" not in str(error):
            raise
        return _here()
    except RuntimeError:
        # JAX runs already: too late to join others, but without others nothing is amiss.
        if settings or any(name in os.environ for name in _LAUNCHERS):
            raise
        return _here()
    finally:
        alarm.cancel()
    sys.excepthook = _end_at_once
    return _here()


def is_main_process() -> bool:
    """Whether this process is the one that writes files and prints.

    Example:
      >>> is_main_process()
      True
    """
    return jax.process_index() == 0


def _here() -> ProcessInfo:
    return ProcessInfo(jax.process_index(), jax.process_count())


def _settings(
    coordinator_address: str | None, num_processes: int | None, process_id: int | None
) -> dict[str, Any]:
    """The arguments and variables that are there: all three or none."""
    given = {
        "coordinator_address": coordinator_address,
        "num_processes": num_processes,
        "process_id": process_id,
    }
    for name, variable in _VARIABLES.items():
        text = os.environ.get(variable)
        if given[name] is None and text:
            whole = name == "coordinator_address" or text.isdecimal()
            check(whole, "initialize", f"{variable} must be an integer", **{variable: text})
            given[name] = text if name == "coordinator_address" else int(text)
    missing = [name for name, value in given.items() if value is None]
    names = ", ".join(f"{name} ({variable})" for name, variable in _VARIABLES.items())
    rule = f"needs all of {names}, or none of them"
    check(len(missing) in (0, 3), "initialize", rule, missing=missing)
    return {} if missing else given


def _check_settings(coordinator_address: str, num_processes: int, process_id: int) -> None:
    rule = "coordinator_address must be host:port"
    is_text = isinstance(coordinator_address, str)
    check_type(is_text, "initialize", rule, coordinator_address=coordinator_address)
    host, _, port = coordinator_address.rpartition(":")
    valid = bool(host) and port.isdecimal() and 0 < int(port) < 2**16
    check(valid, "initialize", rule, coordinator_address=coordinator_address)
    check_int("initialize", "num_processes", num_processes, 1)
    check_int("initialize", "process_id", process_id, 0)
    rule = "process_id must be less than num_processes"
    check(
        process_id < num_processes, "initialize", rule,
        process_id=process_id, num_processes=num_processes,
    )  # fmt: skip


def _await_coordinator(address: str, timeout: float) -> None:
    """Returns when something listens at `address`."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"initialize: the coordinator must answer within timeout={timeout} s, got "
                    f"coordinator_address={address!r}, {error}; process 0 must run there."
                ) from error
            time.sleep(0.2)


def _is_lone_pod() -> bool:
    """Whether this is a pod of Kubernetes that is not part of an indexed job."""
    pod = "KUBERNETES_SERVICE_HOST" in os.environ
    return pod and not any(name in os.environ for name in ("JOB_COMPLETION_INDEX", *_LAUNCHERS))


def _end(message: str) -> NoReturn:
    """Ends the process although it hangs outside Python."""
    print(message, file=sys.stderr, flush=True)
    os._exit(1)


def _end_at_once(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> NoReturn:
    """Shows an error and ends the process, so that the others notice.

    An ordinary exit waits for the others, which may wait for this one in the middle of a step.
    """
    sys.__excepthook__(kind, error, traceback)
    sys.stdout.flush()
    _end(f"process {jax.process_index()} of {jax.process_count()} ends with {kind.__name__}")
