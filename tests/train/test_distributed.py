"""Several processes on this machine, and what goes wrong between them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import train
from jaxcnn.train.distributed.__main__ import launch

WORKER = Path(__file__).with_name("two_processes.py")
LAUNCH = [sys.executable, "-m", "jaxcnn.train.distributed"]
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
LOOP = """
import sys, time
import jax, numpy as np
from jaxcnn import train

here = train.initialize(heartbeat_timeout=5)
step = train.parallelize(lambda state, batch, axis_name: state + jax.lax.psum(batch, axis_name)[0])
state, batch = step.replicate(np.float32(0)), step.shard(np.ones(1, np.float32))
for count in range(10**6):
    state = step.run(state, batch)
    if count == 3:
        print("running", flush=True)
    if count > 20 and here.index == 1 and "fail" in sys.argv:
        raise ArithmeticError("of process 1")
    time.sleep(0.01)
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def two_processes(*arguments: str) -> list[subprocess.Popen[str]]:
    """A Python program in two processes that nobody watches over."""
    address = f"localhost:{free_port()}"
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={
                **os.environ,
                **dict(zip(VARIABLES, (address, "2", str(index)), strict=True)),
                "XLA_FLAGS": "",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]


def wait_until_running(process: subprocess.Popen[str], sign: str = "running\n") -> None:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line.startswith(sign):
            return
    pytest.fail("".join(seen))


def tells_of_a_loss(output: str) -> bool:
    """Either JAX's coordination sees it first, or the collective that runs."""
    return "another task died" in output or (
        "Gloo" in output and "process 0 of 2 ends with" in output
    )


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.usefixtures("alone")
def test_one_process_needs_nothing() -> None:
    assert train.initialize() == (0, 1)
    assert not jax.distributed.is_initialized()
    assert train.is_main_process()


@pytest.mark.parametrize(
    ("environment", "error", "match"),
    [
        (("here:80", None, "0"), ValueError, r"or none of them, got missing=\['num_processes'\]"),
        ((None, "2", None), ValueError, r"missing=\['coordinator_address', 'process_id'\]"),
        (("here:80", "two", "0"), ValueError, r"integer, got JAX_NUM_PROCESSES='two'"),
        (("here", "2", "0"), ValueError, r"host:port, got coordinator_address='here'"),
        (("here:0", "2", "0"), ValueError, r"host:port, got coordinator_address='here:0'"),
        ((":80", "2", "0"), ValueError, r"host:port, got coordinator_address=':80'"),
        (("here:80", "0", "0"), ValueError, r"num_processes must be at least 1"),
        (("here:80", "2", "2"), ValueError, r"less than num_processes, got process_id=2, num_"),
    ],
)
def test_half_a_setting_is_an_error_before_any_waiting(
    alone: pytest.MonkeyPatch,
    environment: tuple[str | None, ...],
    error: type[Exception],
    match: str,
) -> None:
    for name, value in zip(VARIABLES, environment, strict=True):
        if value is not None:
            alone.setenv(name, value)
    with pytest.raises(error, match=f"initialize: .*{match}"):
        train.initialize()


@pytest.mark.usefixtures("alone")
def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"timeout must be positive, got timeout=0"):
        train.initialize(timeout=0)
    with pytest.raises(TypeError, match=r"heartbeat_timeout must be an int, got .*=0.5"):
        train.initialize(heartbeat_timeout=0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must be host:port, got coordinator_address=80"):
        train.initialize(80, 2, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"process_id must be at least 0, got process_id=-1"):
        train.initialize("here:80", 2, -1)


@pytest.mark.usefixtures("alone")
def test_a_coordinator_that_does_not_answer_is_an_error() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"must answer within timeout=0.5 s, got coordinator_"):
        train.initialize(f"localhost:{free_port()}", 2, 1, timeout=0.5)
    assert time.monotonic() - started < 10


def test_a_late_start_under_a_launcher_is_an_error(alone: pytest.MonkeyPatch) -> None:
    jax.local_devices()
    alone.setenv("SLURM_STEP_NODELIST", "node1")
    with pytest.raises(RuntimeError, match=r"before any JAX"):
        train.initialize()


def test_processes_that_do_not_start_are_an_error() -> None:
    call = f"train.initialize('localhost:{free_port()}', 2, 0, timeout=1)"
    ended = subprocess.run(
        [sys.executable, "-c", f"from jaxcnn import train; {call}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "initialize: all processes must start within timeout=1 s, got" in ended.stderr


def test_two_processes_of_four_devices_equal_one_of_eight(tmp_path: Path) -> None:
    from tests.train import two_processes

    file = tmp_path / "found.npz"
    command = [*LAUNCH, "--processes", "2", "--devices", "4", str(WORKER), str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert {"[0] done", "[1] done"} <= {*ended.stdout.splitlines()}
    expected = two_processes.results()
    with np.load(file) as found:
        assert found.keys() == expected.keys()
        for name, x in expected.items():
            np.testing.assert_allclose(found[name], x, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("victim", [0, 1])
def test_the_loss_of_a_process_ends_the_other(victim: int) -> None:
    processes = two_processes("-c", LOOP)
    try:
        for process in processes:
            wait_until_running(process)
        processes[victim].kill()
        killed = time.monotonic()
        output, _ = processes[1 - victim].communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[1 - victim].returncode not in (0, -signal.SIGKILL)
    assert tells_of_a_loss(output)
    assert time.monotonic() - killed < 30


def test_an_error_in_one_process_ends_the_other() -> None:
    processes = two_processes("-c", LOOP, "fail")
    try:
        outputs = [process.communicate(timeout=120)[0] for process in reversed(processes)][::-1]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert processes[1].returncode == 1
    assert "ArithmeticError: of process 1\nprocess 1 of 2 ends with ArithmeticError" in outputs[1]
    assert processes[0].returncode not in (0, -signal.SIGKILL)
    assert tells_of_a_loss(outputs[0])


SCRIPT = """
import os, signal, sys, time

index = int(os.environ["JAX_PROCESS_ID"])
flag = os.environ["XLA_FLAGS"].split()[-1]
print("out", index, os.environ["JAX_NUM_PROCESSES"], flag, sys.argv[1:])
print("err", index, file=sys.stderr)
if index == 1 and sys.argv[1] == "code":
    time.sleep(1)
    sys.exit(3)
if index == 1 and sys.argv[1] == "signal":
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] != "pass":
    signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", index), sys.exit()))
    time.sleep(300)
"""


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("pass", 0, ""),
        ("code", 3, "process 1 failed: exit code 3\n"),
        ("signal", 137, "process 1 failed: SIGKILL\n"),
    ],
)
def test_the_launcher(
    kind: str, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch([sys.executable, "-c", SCRIPT, kind, "--devices", "7"], 2, 3) == code
    out, err = capsys.readouterr()
    for index in range(2):
        flag = "--xla_force_host_platform_device_count=3"
        assert f"[{index}] out {index} 2 {flag} ['{kind}', '--devices', '7']\n" in out
        assert f"[{index}] err {index}\n" in err
    assert ("[0] asked to end 0\n" in out) == (kind != "pass")
    assert message in err


def test_the_launcher_ends_its_processes_when_it_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [*LAUNCH, "--processes", "1", str(script), "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline().startswith("[0] out 0 1")
        time.sleep(0.2)
        launcher.terminate()
        assert launcher.stdout.read() == "[0] asked to end 0\n"
    assert launcher.returncode == 128 + signal.SIGTERM


def test_errors_of_the_launcher() -> None:
    with pytest.raises(ValueError, match=r"launch: processes must be at least 1, got processes=0"):
        launch(["true"], 0, 1)
    with pytest.raises(ValueError, match=r"launch: devices must be at least 1, got devices=0"):
        launch(["true"], 1, 0)


LENET = Path(__file__).parents[2] / "experiments" / "lenet.py"


def lenet(runs: Path, epochs: int, processes: int) -> list[dict[str, Any]]:
    """The metrics of a run on four simulated devices."""
    command = [sys.executable, "-m", "jaxcnn.train.distributed", "--processes", processes]
    command += ["--devices", 4 // processes, LENET, "--runs", runs, "--batch-size", 64]
    command += ["--epochs", epochs]
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "[0] epoch" in result.stdout
    assert "[1] epoch" not in result.stdout
    (folder,) = runs.iterdir()
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_after_sigterm_in_one_process_all_save_and_stop(tmp_path: Path) -> None:
    processes = two_processes(str(LENET), "--runs", str(tmp_path), "--epochs", "1000")
    try:
        wait_until_running(processes[0], "epoch")
        processes[1].terminate()
        outputs = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0]
    (run,) = tmp_path.iterdir()
    stopped = re.search(rf"SIGTERM: stopped after step (\d+); resume {run}", outputs[0])
    assert stopped
    assert (run / "checkpoints" / stopped[1]).is_dir()


def test_a_run_of_two_processes_equals_one_of_one(tmp_path: Path) -> None:
    (expected,), (found,) = lenet(tmp_path / "one", 1, 1), lenet(tmp_path / "two", 1, 2)
    for name in ("train_loss", "test_loss"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4)
    assert found["step"] == expected["step"]
