"""Reading a large checkpoint: jaxcnn against torch.load and the safetensors library.

python experiments/bench/read_checkpoint.py
    Writes one state_dict as .pt and .safetensors into a temporary folder, reads each with both
    contestants in turn, each in its own process, and prints the medians and ratios of the time and
    of the growth of the process's peak memory. Needs `pip install torch`. On two cores, 500 MB,
    in two minutes: the .pt in 1.16 times the time of torch.load (which checks no CRC) and 1.00
    times its size in memory, as torch; the .safetensors in 1.44 times the time of the library, but
    in 1.00 times its size where the library takes 2.00.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

CONTESTS = {"model.pt": ("jaxcnn", "torch"), "model.safetensors": ("jaxcnn", "safetensors")}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    megabytes: int = 500
    """Size of the files, in 10^6 bytes."""
    rounds: int = 7
    """Rounds of each contestant, alternating."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    write: Path | None = None
    """Write the files into a folder and exit; a parent's peak memory would count as its child's."""
    read: tuple[str, Path] | None = None
    """Read one file as one contestant and print the figures (used by the rounds themselves)."""


def reader(contestant: str) -> Callable[[Path], Any]:
    """The function that reads a file, its package imported and warm."""
    if contestant == "jaxcnn":
        import jaxcnn

        return jaxcnn.read_state_dict
    if contestant == "safetensors":
        import safetensors.numpy

        return safetensors.numpy.load_file
    import torch

    return lambda path: torch.load(path, mmap=False, weights_only=True)


def measure_one(contestant: str, path: Path) -> dict[str, float]:
    """Seconds and bytes of one reading."""
    read = reader(contestant)
    small = path.with_name(f"small{path.suffix}")
    read(small)  # what is imported or allocated once is not of this file
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    state_dict = read(path)
    seconds = time.perf_counter() - started
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert len(state_dict) == 54
    return {"seconds": seconds, "peak": growth / path.stat().st_size}


def write_files(folder: Path, megabytes: int) -> None:
    """The same arrays in both formats: convolutions of many sizes, as in a ResNet."""
    import safetensors.torch
    import torch

    for name, nbytes in (("small", 10**5), ("model", megabytes * 10**6)):
        generator = torch.Generator().manual_seed(0)
        weights = [(i % 6 + 1) ** 2 for i in range(54)]
        state_dict = {
            f"layer{i}.weight": torch.randn(nbytes // 4 * w // sum(weights), generator=generator)
            for i, w in enumerate(weights)
        }
        torch.save(state_dict, folder / f"{name}.pt")
        safetensors.torch.save_file(state_dict, folder / f"{name}.safetensors")


def measure(settings: Settings) -> dict[str, Any]:
    """All rounds; returns the medians by file and contestant."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        size = ["--megabytes", str(settings.megabytes)]
        subprocess.run([sys.executable, __file__, "--write", folder, *size], check=True)
        for file, contestants in CONTESTS.items():
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
            for _ in range(settings.rounds):
                for name in contestants:
                    command = [sys.executable, __file__, "--read", name, f"{folder}/{file}"]
                    output = subprocess.run(command, check=True, capture_output=True, text=True)
                    runs[name].append(json.loads(output.stdout.splitlines()[-1]))
            figures[file] = {
                name: {key: statistics.median(run[key] for run in each) for key in each[0]}
                for name, each in runs.items()
            }
    return figures


def main(settings: Settings) -> None:
    if settings.read is not None:
        print(json.dumps(measure_one(*settings.read)))
        return
    if settings.write is not None:
        write_files(settings.write, settings.megabytes)
        return
    figures = measure(settings)
    for file, (own, other) in CONTESTS.items():
        for name in (own, other):
            seconds, peak = figures[file][name].values()
            print(f"{file:<18} {name:<12} {seconds:6.3f} s, peak {peak:.3f} x the file")
        ratio = figures[file][own]["seconds"] / figures[file][other]["seconds"]
        print(f"{file:<18} time of {own} / {other} = {ratio:.2f}")
    if settings.out is not None:
        report = {"figures": figures, "settings": settings.megabytes, "cores": os.cpu_count()}
        settings.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
