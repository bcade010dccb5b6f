"""Several devices: what they exchange in a step, and what that costs on simulated ones.

python experiments/bench/scaling.py
    The bytes per step from the compiled programs of ResNet-20 and ResNet-50, then LeNet and
    ResNet-20 at a batch of 256 on one device and on eight; about ten minutes on two cores.
python experiments/bench/scaling.py --models lenet --no-exchange
    One model's speed alone.

Eight simulated devices share the processor's cores, so the same batch takes at best as long as on
one. Contestants run in turn: `one` device; `pmap` and `jit` on eight; `part`, an eighth of the
batch on one device, eight times; `reduce`, the all-reduce of the gradients alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import contest
import tyro

DEVICES, BATCH = 8, 256
SHAPES = {"lenet": (28, 28, 1), "resnet20": (32, 32, 3), "resnet50": (64, 64, 3)}
CONTESTANTS = ("one", "part", "pmap", "jit", "reduce")
_BYTES = {"f32": 4, "s32": 4, "u32": 4, "f16": 2, "bf16": 2, "pred": 1}
# Both `x = f32[2,3]{1,0} all-reduce(...)` and `x = (f32[], f32[4]{0}) all-reduce(...)`.
_COLLECTIVE = re.compile(r"= (\(.*?\)|\S+) (all-reduce|all-gather|reduce-scatter|all-to-all)\(")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    models: tuple[str, ...] = ("lenet", "resnet20")
    """Whose speed to measure."""
    exchange: bool = True
    """Whether to compile ResNet-20 and ResNet-50 and count what they exchange."""
    rounds: int = 5
    """Rounds of each contestant, alternating."""
    seconds: float = 3
    """About how long a round takes."""
    processor_time: bool = False
    """Measure processor time instead, for a machine that does other work too."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    serve: str | None = None
    """Be one contestant (used by the rounds themselves)."""


def collectives(hlo: str) -> list[tuple[str, int]]:
    """Kind and bytes of each collective of a compiled program.

    Example:
      >>> collectives("x = (f32[2,3]{1,0}, s32[]) all-reduce(a, b), channel_id=1")
      [('all-reduce', 28)]
    """
    return [
        (
            kind,
            sum(
                _BYTES[dtype] * math.prod(int(n) for n in shape.split(",") if n)
                for dtype, shape in _ARRAY.findall(result)
            ),
        )
        for result, kind in _COLLECTIVE.findall(hlo)
    ]


def prepare(name: str, strategy: str, devices: int, batch_size: int) -> Any:
    """The step of a model, its state and a batch, on the devices."""
    import jax
    import numpy as np

    from jaxcnn import models, optim, train

    jax.config.update("jax_num_cpu_devices", DEVICES)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch_size, *SHAPES[name])).astype(np.float32)
    batch = {"image": images, "label": rng.integers(0, 10, batch_size).astype(np.int32)}
    model = models.create(name, num_classes=10)
    state = train.create_state(model, optim.sgd(0.01, 0.9), jax.random.key(0), images)
    step = train.parallelize(
        train.make_train_step(), strategy, devices=jax.local_devices()[:devices]
    )
    return step, step.replicate(state), step.shard(batch)


def exchange(name: str) -> dict[str, dict[str, Any]]:
    """What eight devices exchange in a step, under each strategy."""
    import jax

    found = {}
    for strategy in ("pmap", "jit"):
        step, state, batch = prepare(name, strategy, DEVICES, DEVICES)
        # What is exchanged is settled before machine code is made.
        options = {"xla_backend_optimization_level": 0}
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
        text = step.lower(state, like).compile(compiler_options=options).as_text()
        counts: dict[str, list[int]] = {}
        for kind, size in collectives(text or ""):
            counts.setdefault(kind, []).append(size)
        found[strategy] = {
            "parameters": 4 * sum(x.size for x in jax.tree.leaves(state.params)),
            "statistics": 4 * sum(x.size for x in jax.tree.leaves(state.batch_stats)),
            **{kind: {"count": len(sizes), "bytes": sum(sizes)} for kind, sizes in counts.items()},
        }
        print(name, strategy, json.dumps(found[strategy]), flush=True)
    return found


def contestant(kind: str, name: str, processor_time: bool) -> contest.Run:
    """What `serve` measures: one step, timed."""
    import jax

    strategy = "jit" if kind == "jit" else "pmap"
    devices = 1 if kind in ("one", "part") else DEVICES
    batch_size = BATCH // DEVICES if kind == "part" else BATCH
    step, state, batch = prepare(name, strategy, devices, batch_size)
    if kind == "reduce":
        from jaxcnn import train

        mean = train.parallelize(
            lambda params, batch, axis_name: jax.lax.pmean(params, axis_name),
            devices=step.devices,
        )
        state = mean.replicate(state.params)
    clock = time.process_time if processor_time else time.perf_counter

    def run() -> float:
        nonlocal state
        started = clock()
        if kind == "reduce":
            state = mean.run(state, batch)
        else:
            state, _ = step.run(state, batch)
        jax.block_until_ready(state)
        return (clock() - started) * (DEVICES if kind == "part" else 1)

    return run


def measure(settings: Settings) -> dict[str, Any]:
    results = {}
    for name in settings.models:
        own = [sys.executable, __file__, "--seconds", str(settings.seconds)]
        own += ["--processor-time"] if settings.processor_time else []
        contestants = {kind: contest.Contestant([*own, "--serve", kind]) for kind in CONTESTANTS}
        found = contest.compete(contestants, name, settings.rounds)
        for each in contestants.values():
            each.close()
        results[name] = found
        one = found["one"]["seconds"]
        print(name)
        for kind in CONTESTANTS:
            seconds = found[kind]["seconds"]
            print(f"  {kind:<7}{1000 * seconds:9.1f} ms  {seconds / one:6.2f} of one", flush=True)
        expected = found["part"]["seconds"] + found["reduce"]["seconds"]
        print(f"  expected (part + reduce) {1000 * expected:.1f} ms  {expected / one:.2f} of one")
    return results


def main(settings: Settings) -> None:
    if settings.serve is not None:
        kind = settings.serve
        contest.serve(
            lambda name: contestant(kind, name, settings.processor_time), settings.seconds
        )
        return
    names = ("resnet20", "resnet50") if settings.exchange else ()
    report = {"exchange": {name: exchange(name) for name in names}, "speed": measure(settings)}
    if settings.out is not None:
        settings.out.write_text(
            json.dumps({"machine": contest.machine(), **report}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
