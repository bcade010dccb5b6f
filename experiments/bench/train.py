"""Whole training steps: jaxcnn against plain Flax and PyTorch.

python experiments/bench/train.py
    Seven models, forward, backward and SGD with momentum in float32; about 25 minutes on two
    cores. Prints steps per second and ratios of medians, and writes them as JSON. Needs torch.
python experiments/bench/train.py --models resnet20 --rounds 3
    One model, fewer rounds.

jaxcnn makes several steps in one dispatch, as `train.fit` does (jaxcnn-step: one). PyTorch runs
eagerly, in channels_last, and compiled; the fastest counts. All batches lie on the device.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import contest
import tyro

# Height, width, channels and images in a batch.
CASES = {
    "lenet": (28, 28, 1, 256),
    "cifar10_quick": (32, 32, 3, 64),
    "cifar10_quick-1": (32, 32, 3, 1),
    "resnet20": (32, 32, 3, 128),
    "mobilenet_v2": (96, 96, 3, 16),
    "resnet18": (128, 128, 3, 8),
    "spectformer_h_s": (224, 224, 3, 2),
}
CONTESTANTS = (
    "jaxcnn",
    "jaxcnn-step",
    "flax",
    "torch-eager",
    "torch-channels_last",
    "torch-compile",
)
LR, MOMENTUM = 0.01, 0.9


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    models: tuple[str, ...] = tuple(CASES)
    """Which models; a number after a dash is the batch size."""
    contestants: tuple[str, ...] = CONTESTANTS
    """Who takes part."""
    rounds: int = 7
    """Rounds of each contestant, alternating."""
    seconds: float = 1.5
    """About how long a round takes."""
    threads: int = 2
    """Processor threads of PyTorch; JAX takes all cores."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    serve: str | None = None
    """Be one contestant (used by the rounds themselves)."""


def make_batch(case: str, seed: int = 0) -> tuple[Any, Any]:
    """uint8-like images as floats, and labels."""
    import numpy as np

    h, w, c, n = CASES[case]
    rng = np.random.RandomState(seed)
    return rng.standard_normal((n, h, w, c)).astype(np.float32), rng.randint(0, 10, n)


def prepare_jaxcnn(case: str, one_step: bool) -> contest.Run:
    import jax
    import numpy as np

    from jaxcnn import models, optim, train
    from jaxcnn.train.feed import most_steps

    name, (images, labels) = case.partition("-")[0], make_batch(case)
    options = {"token_label": False, "drop_path_rate": 0} if "spectformer" in name else {}
    model = models.create(name, **options)
    state = train.create_state(model, optim.sgd(LR, MOMENTUM), jax.random.key(0), images)
    size = images[0].size  # of an image in bytes
    steps = 1 if one_step else most_steps(size, len(images), jax.default_backend())
    batch = {"image": images, "label": labels.astype(np.int32)}
    devices = jax.local_devices()[:1]
    if one_step:
        step = train.parallelize(train.make_train_step(), devices=devices)
    else:
        several = train.scan_steps(train.make_train_step())
        step = train.parallelize(several, devices=devices, batch_axis=1)
        batch = {key: np.stack([x] * steps) for key, x in batch.items()}
    batch = jax.device_put(batch)

    def run() -> None:
        nonlocal state
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)

    run.steps = steps  # type: ignore[attr-defined]
    return run


def prepare_flax(case: str) -> contest.Run:
    import flax_twins
    import jax
    import jax.numpy as jnp
    import optax

    images, labels = make_batch(case)
    model, tx = flax_twins.build(case.partition("-")[0]), optax.sgd(LR, MOMENTUM)
    variables = jax.jit(model.init)(jax.random.key(0), images)
    params, stats = variables["params"], variables.get("batch_stats", {})
    opt_state = tx.init(params)
    x, y = jnp.asarray(images), jnp.asarray(labels)

    @jax.jit
    def train_step(params: Any, stats: Any, opt_state: Any) -> Any:
        def loss(params: Any) -> Any:
            variables = {"params": params, "batch_stats": stats}
            logits, new = model.apply(
                variables,
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), new.get("batch_stats", {})

        (value, new), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), new, opt, value

    def run() -> None:
        nonlocal params, stats, opt_state
        params, stats, opt_state, value = train_step(params, stats, opt_state)
        value.block_until_ready()

    return run


def prepare_torch(case: str, kind: str, threads: int) -> contest.Run:
    import torch
    import torch_twins

    torch.set_num_threads(threads)
    images, labels = make_batch(case)
    model: Any = torch_twins.build(case.partition("-")[0])
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    if kind == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    program = torch.compile(model) if kind == "compile" else model
    optimizer = torch.optim.SGD(model.parameters(), LR, MOMENTUM)
    criterion = torch.nn.CrossEntropyLoss()

    def run() -> None:
        optimizer.zero_grad()
        criterion(program(x), y).backward()
        optimizer.step()

    return run


def measure(settings: Settings) -> dict[str, Any]:
    results = {}
    for case in settings.models:
        names = contest.installed(settings.contestants)
        own = [sys.executable, __file__, "--threads", str(settings.threads)]
        own += ["--seconds", str(settings.seconds)]
        contestants = {name: contest.Contestant([*own, "--serve", name]) for name in names}
        found = contest.compete(contestants, case, settings.rounds)
        for each in contestants.values():
            each.close()
        results[case] = found
        print(describe(case, found), flush=True)
    return results


def describe(case: str, found: dict[str, dict[str, Any]]) -> str:
    """One line a contestant: steps per second, their spread, memory; then the ratios."""
    lines = [case]
    for name, result in found.items():
        speeds = sorted(1 / seconds for seconds in result["rounds"])
        lines.append(
            f"  {name:<20}{1 / result['seconds']:10.2f} steps/s  "
            f"({speeds[0]:.2f}..{speeds[-1]:.2f})  {result['peak_bytes'] / 2**20:6.0f} MiB  "
            f"first {result['first_seconds']:.1f} s"
        )
    rivals = {"torch": [name for name in found if name.startswith("torch")], "flax": ["flax"]}
    for rival, names in rivals.items():
        times = [found[name]["seconds"] for name in names if name in found]
        if times and "jaxcnn" in found:
            lines.append(f"  jaxcnn / {rival} = {min(times) / found['jaxcnn']['seconds']:.2f}")
    return "\n".join(lines)


def main(settings: Settings) -> None:
    if settings.serve is None:
        results = measure(settings)
        if settings.out is not None:
            report = {"machine": contest.machine(), "train": results}
            settings.out.write_text(json.dumps(report, indent=1) + "\n")
        return
    name, _, kind = settings.serve.partition("-")

    def prepare(case: str) -> contest.Run:
        if name == "jaxcnn":
            return prepare_jaxcnn(case, one_step=kind == "step")
        return prepare_flax(case) if name == "flax" else prepare_torch(case, kind, settings.threads)

    contest.serve(prepare, settings.seconds)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
