"""How images reach the training step: from the device, in the background, or one after the other.

python experiments/bench/input.py
    CIFAR-sized random images, batch 128, through a net that does almost nothing, so that the input
    is what takes time: images a second with the data set on the device, with prefetched batches,
    with random crops and flips inside the step, and of PyTorch's DataLoader (if torch is there).
    Medians of 7 alternating rounds; two minutes.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import contest
import tyro

IMAGES, BATCH = 10_000, 128
CONTESTANTS = ("jaxcnn-resident", "jaxcnn-prefetch", "jaxcnn-augment", "torch-loader")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    contestants: tuple[str, ...] = CONTESTANTS
    """Who takes part."""
    rounds: int = 7
    """Rounds of each contestant, alternating."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    serve: str | None = None
    """Be one contestant (used by the rounds themselves)."""


def random_images() -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    return images, rng.randint(0, 10, IMAGES).astype(np.int32)


def prepare_jaxcnn(kind: str) -> contest.Run:
    import jax

    from jaxcnn import data, nn, optim, train

    names = tuple(map(str, range(10)))
    dataset = data.ImageDataset(*random_images(), names, "random", "train")
    model = nn.Sequential(nn.AvgPool2d(32), nn.Flatten(), nn.Linear(3, 10))
    state = train.create_state(model, optim.sgd(0.01), jax.random.key(0), dataset.images[:1])

    augment = data.compose(data.random_crop, data.random_horizontal_flip)
    step = train.make_train_step(augment=augment if kind == "augment" else None)
    epochs = 20

    def run() -> float:
        nonlocal state
        state, history = train.fit(
            state,
            dataset,
            epochs=epochs,
            batch_size=BATCH,
            train_step=step,
            resident=kind != "prefetch",
            devices=jax.local_devices()[:1],
        )
        return sum(row["seconds"] for row in history) / epochs

    return run


def prepare_torch() -> contest.Run:
    import torch
    from torch.utils.data import DataLoader, Dataset

    images, labels = random_images()

    class Images(Dataset):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            image = torch.from_numpy(images[index]).permute(2, 0, 1).to(torch.float32).div(255)
            return image, int(labels[index])

    loader = DataLoader(Images(), BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def run() -> None:
        for batch in loader:
            del batch

    return run


def main(settings: Settings) -> None:
    if settings.serve is not None:
        name, _, kind = settings.serve.partition("-")
        prepare = lambda _: prepare_torch() if name == "torch" else prepare_jaxcnn(kind)
        contest.serve(prepare, seconds=0)  # one call a round: it has many epochs
        return
    names = contest.installed(settings.contestants)
    contestants = {
        name: contest.Contestant([sys.executable, __file__, "--serve", name]) for name in names
    }
    found = contest.compete(contestants, "input", settings.rounds)
    for each in contestants.values():
        each.close()
    for name, result in found.items():
        print(f"{name:<18}{IMAGES / result['seconds']:12,.0f} images/s")
    if settings.out is not None:
        report = {"machine": contest.machine(), "input": found}
        settings.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
