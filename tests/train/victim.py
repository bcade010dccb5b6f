"""A short training run with everything that a resume must bring back, to be killed at any time.

python tests/train/victim.py FOLDER [SECONDS]
    Prints the metrics of all epochs and a hash of the last state. SECONDS is how long each
    checkpoint takes in addition.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import time
from typing import Any

import jax
import numpy as np
import optax

from jaxcnn import data, nn, optim, train

EPOCHS, BATCH, EVERY = 8, 48, 10


def main(folder: str, seconds: float = 0.0) -> None:
    digits = data.load("digits", "train").take(1200)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(4 * 6 * 6, 10),
    )  # fmt: skip
    schedule = optim.cosine_annealing_lr(0.01, T_max=EPOCHS * len(digits) // BATCH)
    tx = optax.chain(optim.clip_grad_norm(1.0), optim.adamw(schedule))
    augment = functools.partial(data.random_crop, padding=1)
    state = train.create_state(model, tx, jax.random.key(0), digits.images[:1])
    run = train.RunFolder(folder, {})
    save = run.checkpoints.save

    def slowly(*args: Any) -> None:
        time.sleep(seconds)
        save(*args)

    run.checkpoints.save = slowly  # type: ignore[method-assign]
    state, history = train.fit(
        state,
        digits,
        epochs=EPOCHS,
        batch_size=BATCH,
        train_step=train.make_train_step(augment=augment),
        test_set=data.load("digits", "test").take(100),
        checkpoint_every=EVERY,
        devices=jax.local_devices()[:1],
        run=run,
    )
    for row in history:
        print(row["epoch"], *(row[f"{part}_loss"].hex() for part in ("train", "test")))
    leaves = jax.tree.leaves(state.replace(rng=jax.random.key_data(state.rng)))
    print(hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in leaves)).hexdigest())


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
