"""A long run: memory, open files and the disk do not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

PROGRAM = """
import os, sys, jax
from pathlib import Path
from jaxcnn import data, nn, optim, train
folder = Path(sys.argv[1])
digits = data.load("digits", "train").take(1000)
model = nn.Sequential(
    nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
)
tx = optim.sgd(0.01, momentum=0.9)
state = train.create_state(model, tx, jax.random.key(0), digits.images[:1])
run = train.RunFolder(folder, {}, keep=3)

def note(row):
    run.wait()
    memory = int(Path("/proc/self/statm").read_text().split()[1])
    kept = len([*(folder / "checkpoints").iterdir()])
    print(row["step"], memory, len(os.listdir("/proc/self/fd")), kept)

one = jax.devices()[:1]
train.fit(state, digits, epochs=40, batch_size=20, run=run, devices=one, on_epoch=note)
"""


def test_2000_steps_with_a_checkpoint_every_50(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "run")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    notes = np.array([line.split() for line in result.stdout.splitlines()], int)
    steps, memory, files, kept = notes.T
    assert steps.tolist() == list(range(50, 2001, 50))
    # The first checkpoints load what writes them.
    assert memory[-5:].mean() < 1.02 * memory[4:9].mean()
    assert files[-1] <= files[4]
    assert kept.max() == 3
