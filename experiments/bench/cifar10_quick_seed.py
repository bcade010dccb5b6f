"""jaxcnn against PyTorch on the seed program: the CIFAR-10 quick net, one image a step.

python experiments/bench/cifar10_quick_seed.py --raw-dir FOLDER
    Runs the training of `cifar10_quick.py --recipe seed` and the PyTorch program it follows in
    turn, each in its own process on all cores, times the second epoch, and prints the ratio of the
    medians of the steps per second. Needs `pip install torch`.

The PyTorch program is the original's loop: a data set of PIL images turned into tensors one by
one, a DataLoader with batch_size=1, forward, zero_grad, backward, step, running sum of losses.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    raw_dir: Path | None = None
    """Folder with the original CIFAR-10 files; downloaded by default."""
    steps: int = 2000
    """Steps in a round, the same first images for both."""
    rounds: int = 7
    """Rounds of each contestant, alternating."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    contestant: Literal["jaxcnn", "torch"] | None = None
    """Run one round of one contestant and print its seconds (used by the rounds themselves)."""


def run_jaxcnn(settings: Settings) -> float:
    import jax

    from jaxcnn import data, models, optim, train

    dataset = data.load("cifar10", "test", raw_dir=settings.raw_dir).take(settings.steps)
    model = models.cifar10_quick()
    sample = dataset.images[:1] / 255
    state = train.create_state(model, optim.sgd(0.01), jax.random.key(0), sample)
    # The first epoch compiles; the second is measured, as the program's other nine would run.
    _, history = train.fit(
        state, dataset, epochs=2, batch_size=1, shuffle=False, devices=jax.local_devices()[:1]
    )
    return history[1]["seconds"]


def run_torch(settings: Settings) -> float:
    import numpy as np
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader, Dataset

    from jaxcnn import data

    source = data.load("cifar10", "test", raw_dir=settings.raw_dir).take(settings.steps)
    torch.set_num_threads(os.cpu_count() or 1)

    class Cifar10(Dataset):
        def __len__(self) -> int:
            return len(source)

        def __getitem__(self, index: int):
            picture = Image.fromarray(source.images[index])
            tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
            return tensor.to(torch.float32).div(255), int(source.labels[index])

    model = nn.Sequential(
        *(nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 5, padding=2), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 5, padding=2), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1024, 64), nn.Linear(64, 10)),
    )
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader(Cifar10(), batch_size=1)
    for epoch in range(2):
        started = time.perf_counter()
        running_loss = 0.0
        for images, targets in loader:
            result = loss(model(images), targets)
            optimizer.zero_grad()
            result.backward()
            optimizer.step()
            running_loss = running_loss + result
        seconds = time.perf_counter() - started
        print(f"epoch:{epoch}, loss:{running_loss}", file=sys.stderr)
    return seconds


def measure(settings: Settings) -> None:
    speeds: dict[str, list[float]] = {"jaxcnn": [], "torch": []}
    for round_ in range(settings.rounds):
        for name, values in speeds.items():
            command = [sys.executable, __file__, "--contestant", name, "--steps"]
            command += [str(settings.steps)]
            command += ["--raw-dir", str(settings.raw_dir)] if settings.raw_dir else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            values.append(settings.steps / float(output.split()[-1]))
            print(f"round {round_ + 1}: {name:<7} {values[-1]:7.1f} steps/s", flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratio = medians["jaxcnn"] / medians["torch"]
    for name, values in speeds.items():
        print(
            f"{name:<7} median {medians[name]:7.1f} steps/s  ({min(values):.1f}..{max(values):.1f})"
        )
    print(f"jaxcnn / torch = {ratio:.2f}")
    if settings.out is not None:
        report = {"steps_per_second": speeds, "ratio": ratio, "cores": os.cpu_count()}
        settings.out.write_text(json.dumps(report, indent=2) + "\n")


def main(settings: Settings) -> None:
    contestants = {"jaxcnn": run_jaxcnn, "torch": run_torch}
    if settings.contestant is None:
        measure(settings)
    else:
        print(contestants[settings.contestant](settings))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
