"""Runs that are killed: every resume ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxcnn import train
from jaxcnn.train.interrupts import Interrupts
from jaxcnn.train.manifest import verify

VICTIM = Path(__file__).with_name("victim.py")
KILLS = 20


def start(folder: Path, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(VICTIM), str(folder), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors, errors
    return process.returncode, output


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> bool:
    """Waits until it holds; False if the process has ended before."""
    deadline = time.monotonic() + 60
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return True


def training(folder: Path) -> Callable[[], bool]:
    """Whether a run that begins now has come to its first step, or nearly so."""
    config, begin = folder / "config.json", time.time()
    return lambda: config.exists() and config.stat().st_mtime > begin


def saving(folder: Path) -> Callable[[], bool]:
    """Whether a checkpoint is being written."""
    return lambda: any((folder / "checkpoints").glob("*.part"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What an uninterrupted run prints."""
    code, output = finish(start(tmp_path_factory.mktemp("whole") / "run"))
    assert code == 0
    assert len(output.splitlines()) == 9
    return output


def test_killed_at_random_moments(tmp_path: Path, whole: str) -> None:
    """By SIGKILL, by SIGTERM and while a checkpoint is written, in turn, run after run."""
    random, kills, folders = np.random.RandomState(0), 0, 0
    folder = tmp_path / "0"
    while kills < KILLS:
        begun = training(folder)
        process = start(folder)
        number = signal.SIGTERM if kills % 3 == 1 else signal.SIGKILL
        if wait_for(begun, process):
            if kills % 3 == 2:
                wait_for(saving(folder), process)
                time.sleep(random.uniform(0, 0.2))
            else:
                time.sleep(random.uniform(0, 2))
        if process.poll() is not None:  # it came to its end first
            assert finish(process) == (0, whole)
            folders += 1
            folder = tmp_path / str(folders)
            continue
        process.send_signal(number)
        code, output = finish(process)
        if code == 0 and "stopped" not in output:
            assert output == whole
        elif number == signal.SIGTERM:
            assert code == 0
            assert "SIGTERM: stopped after step" in output
        else:
            assert code == -signal.SIGKILL
        kills += 1
        for step in train.Checkpoints(folder / "checkpoints").steps():
            verify(folder / "checkpoints" / str(step))
    assert finish(start(folder)) == (0, whole)


def test_ctrl_c_saves_and_a_second_one_leaves_at_once(tmp_path: Path, whole: str) -> None:
    folder = tmp_path / "run"
    begun = training(folder)
    process = start(folder)
    assert wait_for(begun, process)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 0
    (line,) = output.splitlines()
    assert line.startswith("SIGINT: stopped after step ")
    assert line.endswith(f"; resume {folder}")
    assert finish(start(folder)) == (0, whole)

    slow = tmp_path / "slow"
    process = start(slow, 60)
    assert wait_for(training(slow), process)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "SIGINT: saving a checkpoint; Ctrl-C leaves at once" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    process.communicate()


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert interrupts.received() is None
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received() == "SIGINT"
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
