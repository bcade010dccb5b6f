"""Whole training steps: jaxcnn against plain Flax and PyTorch.

python experiments/bench/train.py
    Seven models, forward, backward and SGD with momentum in float32; about 25 minutes on two
    cores. Prints steps per second and ratios of medians, and writes them as JSON. Needs torch.
python experiments/bench/train.py --models resnet20 --rounds 3
    One model, fewer rounds.
python experiments/bench/train.py --gpu --rounds 3 --seconds 1 --out docs/performance/train_gpu.json
    Five models on an NVIDIA GPU, in bfloat16 and float32. All contestants of a model compile at
    the same time, in minutes, and share the memory: with less than 140 GB leave some out.

jaxcnn makes several steps in one dispatch, as `train.fit` does (jaxcnn-step: one). PyTorch runs
eagerly, in channels_last, and compiled; the fastest counts. All batches lie on the device.

On a GPU, convolutions and products of float32 run in TF32 on both sides: JAX's default, and
`set_float32_matmul_precision("high")`. bfloat16 is `make_train_step(precision="bfloat16")` and
`torch.autocast`. cuDNN's fastest algorithms are sought on both sides. `torch-compile` is compiled
in channels_last, `torch-graphs` with CUDA graphs as well; both have the fused optimiser.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, Literal

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
GPU_CASES = {
    "lenet": (28, 28, 1, 256),
    "cifar10_quick": (32, 32, 3, 256),
    "resnet50": (224, 224, 3, 256),
    "mobilenet_v2": (224, 224, 3, 256),
    "spectformer_h_s": (224, 224, 3, 128),
}
TORCH = ("torch-eager", "torch-channels_last", "torch-compile")
CONTESTANTS = ("jaxcnn", "jaxcnn-step", "flax", *TORCH)
GPU_CONTESTANTS = ("jaxcnn", *TORCH, "torch-graphs")
OPTIONS = {"spectformer_h_s": {"token_label": False, "drop_path_rate": 0}}
LR, MOMENTUM = 0.01, 0.9


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    models: tuple[str, ...] = ()
    """Which models, all by default; a number after a dash is the batch size."""
    contestants: tuple[str, ...] = ()
    """Who takes part, all by default."""
    gpu: bool = False
    """Measure what a GPU trains, on the first one."""
    precisions: tuple[Literal["bfloat16", "float32"], ...] = ("bfloat16", "float32")
    """What a GPU computes in."""
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


@dataclasses.dataclass(frozen=True)
class Case:
    """What all contestants train.

    Attributes:
      name: The model; on a GPU with the precision, as in "lenet bfloat16".
      gpu: Whether it runs on a GPU.
    """

    name: str
    gpu: bool

    @property
    def model(self) -> str:
        return self.name.partition(" ")[0].partition("-")[0]

    @property
    def precision(self) -> str:
        return self.name.partition(" ")[2] or "float32"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Height, width, channels and images."""
        return (GPU_CASES if self.gpu else CASES)[self.name.partition(" ")[0]]

    def batch(self) -> tuple[Any, Any]:
        """uint8-like images as floats, and labels."""
        import numpy as np

        h, w, c, n = self.shape
        rng = np.random.RandomState(0)
        return rng.standard_normal((n, h, w, c)).astype(np.float32), rng.randint(0, 10, n)


def prepare_jaxcnn(case: Case, one_step: bool) -> contest.Run:
    import jax
    import numpy as np

    from jaxcnn import models, optim, train
    from jaxcnn.train.feed import most_steps

    images, labels = case.batch()
    model = models.create(case.model, **OPTIONS.get(case.model, {}))
    state = train.create_state(model, optim.sgd(LR, MOMENTUM), jax.random.key(0), images[:1])
    size = images[0].size  # of an image in bytes
    steps = 1 if one_step else most_steps(size, len(images), jax.default_backend())
    batch = {"image": images, "label": labels.astype(np.int32)}
    program = train.make_train_step(precision=case.precision)
    devices = jax.local_devices()[:1]
    if one_step:
        step = train.parallelize(program, devices=devices)
    else:
        step = train.parallelize(train.scan_steps(program), devices=devices, batch_axis=1)
        batch = {key: np.stack([x] * steps) for key, x in batch.items()}
    state, batch, metrics = step.replicate(state), step.shard(batch), None

    def run() -> None:
        nonlocal state, metrics
        state, metrics = step.run(state, batch)
        if not case.gpu:
            jax.block_until_ready(metrics)

    run.steps = steps  # type: ignore[attr-defined]
    # A GPU has the next steps queued, as in `train.fit`.
    run.wait = lambda: jax.block_until_ready(metrics)  # type: ignore[attr-defined]
    return run


def prepare_flax(case: Case) -> contest.Run:
    import flax_twins
    import jax
    import jax.numpy as jnp
    import optax

    images, labels = case.batch()
    model, tx = flax_twins.build(case.model), optax.sgd(LR, MOMENTUM)
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


def prepare_torch(case: Case, kind: str, threads: int) -> contest.Run:
    import torch
    import torch_twins

    torch.set_num_threads(threads)
    device = torch.device("cuda" if case.gpu else "cpu")
    images, labels = case.batch()
    model: Any = torch_twins.build(case.model).to(device)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)
    y = torch.from_numpy(labels).to(device)
    if kind == "channels_last" or (case.gpu and kind != "eager"):
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    mode = "reduce-overhead" if kind == "graphs" else None
    program = torch.compile(model, mode=mode) if kind in ("compile", "graphs") else model
    fused = True if case.gpu and kind != "eager" else None
    optimizer = torch.optim.SGD(model.parameters(), LR, MOMENTUM, fused=fused)
    criterion = torch.nn.CrossEntropyLoss()
    half = torch.autocast(device.type, torch.bfloat16, enabled=case.precision == "bfloat16")

    def run() -> None:
        optimizer.zero_grad()
        with half:
            loss = criterion(program(x), y)
        loss.backward()
        optimizer.step()

    if case.gpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
        run.wait = torch.cuda.synchronize  # type: ignore[attr-defined]
    return run


def measure(settings: Settings) -> dict[str, Any]:
    results = {}
    models = settings.models or tuple(GPU_CASES if settings.gpu else CASES)
    contestants = settings.contestants or (GPU_CONTESTANTS if settings.gpu else CONTESTANTS)
    precisions = [f" {name}" for name in settings.precisions] if settings.gpu else [""]
    own = [sys.executable, __file__, "--threads", str(settings.threads)]
    own += ["--seconds", str(settings.seconds), *(["--gpu"] if settings.gpu else [])]
    for case in (model + precision for precision in precisions for model in models):
        names = contest.installed(contestants)
        rivals = {name: contest.Contestant([*own, "--serve", name]) for name in names}
        found = contest.compete(rivals, case, settings.rounds, together=settings.gpu)
        for each in rivals.values():
            each.close()
        results[case] = found
        print(describe(case, found), flush=True)
    return results


def sizes(results: dict[str, Any]) -> dict[str, Any]:
    """Images in a batch of each case, and multiply-adds of an image forward."""
    import jax

    from jaxcnn import models
    from jaxcnn.interop.layers import layer_table

    found = {}
    for name in results:
        case = Case(name, gpu=True)
        *image, batch = case.shape
        model = models.create(case.model, **OPTIONS.get(case.model, {}))
        table = layer_table(model, jax.ShapeDtypeStruct((1, *image), "float32"))
        found[name] = {"batch": batch, "multiply_adds": table.multiply_adds}
    return found


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
            if settings.gpu:
                report["sizes"] = sizes(results)
            settings.out.write_text(json.dumps(report, indent=1) + "\n")
        return
    name, _, kind = settings.serve.partition("-")

    def prepare(case_name: str) -> contest.Run:
        case = Case(case_name, settings.gpu)
        if name == "jaxcnn":
            return prepare_jaxcnn(case, one_step=kind == "step")
        return prepare_flax(case) if name == "flax" else prepare_torch(case, kind, settings.threads)

    contest.serve(prepare, settings.seconds)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
