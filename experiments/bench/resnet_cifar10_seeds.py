"""jaxcnn against PyTorch on a CIFAR ResNet: the accuracy that one recipe reaches on both sides.

python experiments/bench/resnet_cifar10_seeds.py --raw-dir FOLDER
    Trains resnet20 as `resnet_cifar10.py --train-split test --validation 0.2 --epochs 12
    --schedule cosine --warmup-epochs 2` does, with jaxcnn and with PyTorch, five seeds each, every
    run in a process of its own. Prints the accuracies of the final weights on the 2,000 images held
    out, and their means. Two hours and a half of one CPU core; a minute on a GPU with --jobs 6.
    Needs `pip install torch`.

Both sides have the same images in the same two parts, crops, flips, initial distributions, SGD,
schedule and batch size. Each draws its own numbers, so that only means can be compared.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import tyro

CONTESTANTS = ("jaxcnn", "torch")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    raw_dir: Path | None = None
    """Folder with the original CIFAR-10 files; downloaded by default."""
    seeds: int = 5
    """Runs of each contestant, with seeds 0, 1, ...."""
    epochs: int = 12
    """Epochs of a run."""
    warmup_epochs: float = 2
    """Those in which the learning rate rises; it then falls along a cosine."""
    jobs: int = 1
    """Runs at the same time."""
    out: Path | None = None
    """Where to write the accuracies as JSON."""
    contestant: Literal["jaxcnn", "torch"] | None = None
    """Make one run of one contestant and print its accuracy (used by the runs themselves)."""
    seed: int = 0
    """Seed of that run."""


def run_jaxcnn(experiment: Any, recipe: Any) -> float:
    with tempfile.TemporaryDirectory() as runs:
        evaluation = experiment.main(dataclasses.replace(recipe, runs=Path(runs)))
    return evaluation.accuracy


def run_torch(experiment: Any, recipe: Any) -> float:
    import torch
    import torch_twins
    from torch import nn

    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    (images, labels), (test_images, test_labels) = (
        (torch.tensor(part.images).permute(0, 3, 1, 2).to(device), torch.tensor(part.labels).long())
        for part in experiment.load(recipe)
    )
    mean, std = (
        torch.tensor(x, device=device).view(3, 1, 1) for x in (experiment.MEAN, experiment.STD)
    )
    prepared = lambda images: (images / 255 - mean) / std
    model = torch_twins.build(recipe.model)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    model.to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = schedule_of_torch(optimizer, recipe, -(-len(labels) // recipe.batch_size))
    criterion = nn.CrossEntropyLoss()
    for epoch in range(recipe.epochs):
        total = torch.zeros((), device=device)
        for rows in torch.randperm(len(labels)).split(recipe.batch_size):
            batch = prepared(augmented(images[rows.to(device)], recipe.crop_padding))
            loss = criterion(model(batch), labels[rows].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(rows)
        print(f"epoch {epoch + 1}: train loss {total.item() / len(labels):.4f}", file=sys.stderr)
    model.eval()
    with torch.no_grad():
        parts = test_images.split(recipe.batch_size)
        answers = torch.cat([model(prepared(part)).argmax(1) for part in parts])
    return (answers.cpu() == test_labels).double().mean().item()


def schedule_of_torch(optimizer: Any, recipe: Any, steps_per_epoch: int) -> Any:
    """A rise in equal steps, then a cosine to zero."""
    from torch.optim import lr_scheduler

    rise = round(recipe.warmup_epochs * steps_per_epoch)
    fall = lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs * steps_per_epoch - rise)
    if not rise:
        return fall
    warmup = lr_scheduler.LinearLR(optimizer, 1 / rise, 1.0, rise)
    return lr_scheduler.SequentialLR(optimizer, [warmup, fall], [rise])


def augmented(images: Any, padding: int) -> Any:
    """Each image moved by up to `padding` pixels each way, and mirrored or not."""
    import torch

    n, channels, height, width = images.shape
    on = {"device": images.device}
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    tops, lefts = torch.randint(2 * padding + 1, (2, n, 1), **on)
    rows, columns = tops + torch.arange(height, **on), lefts + torch.arange(width, **on)
    each = torch.arange(n, **on)[:, None, None, None]
    channel = torch.arange(channels, **on)[:, None, None]
    moved = padded[each, channel, rows[:, None, :, None], columns[:, None, None, :]]
    mirrored = torch.rand(n, 1, 1, 1, **on) < 0.5
    return torch.where(mirrored, moved.flip(3), moved)


def run(settings: Settings, contestant: str, seed: int) -> float:
    """One run in its own process."""
    command = [sys.executable, __file__, "--contestant", contestant, "--seed", str(seed)]
    command += ["--epochs", str(settings.epochs), "--warmup-epochs", str(settings.warmup_epochs)]
    command += ["--raw-dir", str(settings.raw_dir)] if settings.raw_dir else []
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # runs share a GPU
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if result.returncode:
        raise SystemExit(f"{contestant}, seed {seed}: exit code {result.returncode}")
    accuracy = float(result.stdout.split()[-1])
    print(f"{contestant:<7} seed {seed}  {accuracy:.2%}", flush=True)
    return accuracy


def measure(settings: Settings) -> None:
    seeds = range(settings.seeds)
    with ThreadPoolExecutor(settings.jobs) as pool:
        futures = {
            name: [pool.submit(run, settings, name, seed) for seed in seeds] for name in CONTESTANTS
        }
        found = {name: [each.result() for each in runs] for name, runs in futures.items()}
    means = {name: statistics.mean(values) for name, values in found.items()}
    print("seed   " + "".join(f"{name:>9}" for name in CONTESTANTS))
    for seed, *values in zip(seeds, *found.values(), strict=True):
        print(f"{seed:<7}" + "".join(f"{value:9.2%}" for value in values))
    print("mean   " + "".join(f"{mean:9.2%}" for mean in means.values()))
    difference = 100 * (means["jaxcnn"] - means["torch"])
    error = ""
    if settings.seeds > 1:
        variance = sum(statistics.variance(values) for values in found.values()) / settings.seeds
        error = f", standard error {100 * math.sqrt(variance):.2f}"
    print(f"jaxcnn - torch = {difference:+.2f} points{error}")
    if settings.out is not None:
        settings.out.write_text(json.dumps({"accuracy": found, "means": means}, indent=2) + "\n")


def main(settings: Settings) -> None:
    if settings.contestant is None:
        measure(settings)
        return
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    experiment = importlib.import_module("resnet_cifar10")
    recipe = experiment.Settings(
        raw_dir=settings.raw_dir,
        seed=settings.seed,
        epochs=settings.epochs,
        schedule="cosine",
        warmup_epochs=settings.warmup_epochs,
        train_split="test",
        validation=0.2,
    )
    runs = {"jaxcnn": run_jaxcnn, "torch": run_torch}
    print(runs[settings.contestant](experiment, recipe))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
