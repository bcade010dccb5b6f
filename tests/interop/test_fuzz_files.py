"""Mutated files end in arrays or a CheckpointError, soon and in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_fuzz() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.interop.fuzz_files", "--count", "5000", "--seed", "0"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert report["wrong"] == []
    # Both must happen, or the mutations are too mild or too wild to reach the readers.
    assert report["read"] > 300
    assert report["refused"] > 3000
    assert report["read"] + report["refused"] == 5000
    assert report["slowest"] < 2
    assert report["growth"] < 2**28
