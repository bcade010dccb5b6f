"""The start of an experiment, with and without compiled programs from the one before.

python experiments/bench/startup.py
    For lenet.py and cifar10_quick's net on the embedded digits: seconds from the start of the
    process until the first training steps are done, first with an empty compilation cache, then
    with the filled one; medians of 5 pairs, each pair in a folder of its own; five minutes.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import contest
import tyro

PROGRAM = """
import sys, time
import jax
import numpy as np
from jaxcnn import data, models, optim, train

model, cache = sys.argv[1:]
train.enable_compilation_cache(cache)
digits = data.load("digits", "train").take(1024)
if model == "lenet":
    digits, net, size = digits.resize(28), models.lenet(), 32
else:
    digits, net, size = digits.resize(32), models.cifar10_quick(in_channels=1), 64
state = train.create_state(net, optim.sgd(0.01, 0.9), jax.random.key(0), digits.images[:1])
state, history = train.fit(
    state, digits, epochs=1, batch_size=size, devices=jax.local_devices()[:1]
)
jax.block_until_ready(state.params)
print(time.time())
"""
MODELS = ("lenet", "cifar10_quick")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    models: tuple[str, ...] = MODELS
    """Which models."""
    rounds: int = 5
    """Pairs of starts of each model."""
    out: Path | None = None
    """Where to write the figures as JSON."""


def start(model: str, cache: str) -> float:
    """Seconds from the start of a process to the end of its first steps."""
    started = time.time()
    command = [sys.executable, "-c", PROGRAM, model, cache]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1]) - started


def measure(settings: Settings) -> dict[str, Any]:
    results = {}
    for model in settings.models:
        pairs = []
        for _ in range(settings.rounds):
            with tempfile.TemporaryDirectory() as cache:
                pairs.append((start(model, cache), start(model, cache)))
        first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
        results[model] = {"first": first, "second": second, "rounds": pairs}
        print(f"{model:<15} first {first:.2f} s, second {second:.2f} s: {second / first:.2f}")
    return results


def main(settings: Settings) -> None:
    results = measure(settings)
    if settings.out is not None:
        report = {"machine": contest.machine(), "startup": results}
        settings.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
