"""Contests: programs measured in turn, each in a process of its own, on the same cores.

All contestants start and warm up one after the other; then each runs its rounds in turn with the
others, so that what disturbs the machine disturbs all of them alike.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

Run = Callable[[], Any]


class Contestant:
    """A process that `serve` runs: it prepares a case, then measures it on request."""

    def __init__(self, command: Sequence[str]) -> None:
        # Contestants share a GPU's memory.
        own = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        environment = {**os.environ, **own}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args}: exit code {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(prepare: Callable[[str], Run], seconds: float) -> None:
    """The contestant's side: answers requests from stdin until it is closed.

    Args:
      prepare: Takes the name of a case and returns what to measure; calling that must wait until
        the work is done, or leave that to its attribute `wait`.
      seconds: About how long a round takes.
    """
    # What libraries print must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    run, calls = None, 0
    for line in sys.stdin:
        request = json.loads(line)
        if "case" in request:
            started = time.perf_counter()
            run, calls = prepare(request["case"]), 0
            _time(run, 1)
            answer: dict[str, Any] = {"first": time.perf_counter() - started}
        else:
            assert run is not None
            # Not before: the others may still be compiling.
            calls = calls or max(round(seconds / _time(run, 2) / getattr(run, "steps", 1)), 1)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            answer = {"seconds": _time(run, calls), "peak_bytes": peak}
        print(json.dumps(answer), file=answers, flush=True)


def _time(run: Run, calls: int) -> float:
    """Seconds of one call, or of one step where a call makes several or measures itself."""
    started = time.perf_counter()
    own = [run() for _ in range(calls)]
    getattr(run, "wait", lambda: None)()
    if isinstance(own[0], float):
        return statistics.mean(own)
    return (time.perf_counter() - started) / calls / getattr(run, "steps", 1)


def compete(
    contestants: Mapping[str, Contestant], case: str, rounds: int, together: bool = False
) -> dict[str, dict[str, Any]]:
    """Measures one case.

    Args:
      contestants: Their processes.
      case: Name of the case.
      rounds: Rounds of each.
      together: Whether all prepare at the same time, which is sooner where there are many cores.

    Returns:
      For each contestant its median, all its rounds (seconds of one call), the seconds until its
      first call was done and the largest memory of its process.
    """
    with ThreadPoolExecutor(len(contestants) if together else 1) as pool:
        prepared = pool.map(lambda each: each.ask(case=case)["first"], contestants.values())
        first = dict(zip(contestants, prepared, strict=True))
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, each in contestants.items():
            answers[name].append(each.ask())
    return {
        name: {
            "seconds": statistics.median(answer["seconds"] for answer in each),
            "rounds": [answer["seconds"] for answer in each],
            "first_seconds": first[name],
            "peak_bytes": max(answer["peak_bytes"] for answer in each),
        }
        for name, each in answers.items()
    }


def installed(names: Sequence[str]) -> list[str]:
    """Those contestants whose package is there; says which are left out."""
    packages = {"torch": "torch", "flax": "flax", "jaxcnn": "jaxcnn"}
    there = [name for name in names if importlib.util.find_spec(packages[name.split("-")[0]])]
    for name in sorted(set(names) - set(there)):
        print(f"{name} is left out: pip install torch", file=sys.stderr)
    return there


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import jax

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        name = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), name)
    versions = {
        package: importlib.metadata.version(package)
        for package in ("jax", "flax", "torch")
        if importlib.util.find_spec(package)
    }
    device = jax.devices()[0]
    return {"processor": name, "cores": os.cpu_count(), "device": device.device_kind, **versions}
