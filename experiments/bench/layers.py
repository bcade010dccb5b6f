"""Single layers, forward and gradient: jaxcnn against plain Flax and PyTorch.

python experiments/bench/layers.py
    Prints milliseconds and ratios of medians, and writes them as JSON; five minutes on two cores.
    Needs torch.

The gradient is that of the input and, where there are any, of the parameters; of a first layer
only of these. jaxcnn runs several times in one dispatch, as in `train.fit` (which costs copies of
the layer's input here), and once a call (jaxcnn-call: what it returns is new memory each time);
PyTorch runs in channels_last and in its own order. Of each the faster way counts.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import contest
import tyro

# Kind, shape of the input, and what the kind takes.
CASES: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "max_pool 2x2": ("max_pool", (64, 32, 32, 32), {"window": 2, "stride": 2}),
    "max_pool 3x3 stride 2": ("max_pool", (32, 56, 56, 64), {"window": 3, "stride": 2}),
    "avg_pool 2x2": ("avg_pool", (64, 32, 32, 32), {"window": 2, "stride": 2}),
    "avg_pool 3x3 stride 2": ("avg_pool", (32, 56, 56, 64), {"window": 3, "stride": 2}),
    "conv 3x3": ("conv", (8, 56, 56, 64), {"out": 64, "kernel": 3}),
    "conv 3x3 stride 2": ("conv", (8, 56, 56, 64), {"out": 128, "kernel": 3, "stride": 2}),
    "conv 1x1": ("conv", (8, 56, 56, 64), {"out": 256, "kernel": 1}),
    "conv 3x3 groups 4": ("conv", (8, 56, 56, 64), {"out": 64, "kernel": 3, "groups": 4}),
    "conv 3x3 depthwise": ("conv", (8, 56, 56, 64), {"out": 64, "kernel": 3, "groups": 64}),
    "conv 3x3 depthwise stride 2": (
        "conv",
        (8, 56, 56, 64),
        {"out": 64, "kernel": 3, "groups": 64, "stride": 2},
    ),
    "conv 7x7 stride 2, 3 channels": (
        "conv",
        (8, 224, 224, 3),
        {"out": 64, "kernel": 7, "stride": 2, "first": True},
    ),
    "conv_transpose 2x2 stride 2": ("conv_transpose", (8, 28, 28, 128), {"out": 64}),
    "batch_norm": ("batch_norm", (32, 56, 56, 64), {}),
    "layer_norm": ("layer_norm", (32, 196, 384), {}),
}
CONTESTANTS = ("jaxcnn", "jaxcnn-call", "flax", "torch-contiguous", "torch-channels_last")
REPEATS = 8  # of a layer in one dispatch


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    cases: tuple[str, ...] = tuple(CASES)
    """Which layers."""
    contestants: tuple[str, ...] = CONTESTANTS
    """Who takes part."""
    rounds: int = 7
    """Rounds of each contestant, alternating."""
    seconds: float = 0.3
    """About how long a round takes."""
    threads: int = 2
    """Processor threads of PyTorch; JAX takes all cores."""
    out: Path | None = None
    """Where to write the figures as JSON."""
    serve: str | None = None
    """Be one contestant (used by the rounds themselves)."""


def parameter_shapes(case: str) -> list[tuple[int, ...]]:
    """PyTorch's shapes of the layer's parameters."""
    kind, shape, options = CASES[case]
    c = shape[-1]
    if kind == "conv":
        k = options["kernel"]
        return [(options["out"], c // options.get("groups", 1), k, k)]
    if kind == "conv_transpose":
        return [(c, options["out"], 2, 2)]
    return [(c,), (c,)] if kind.endswith("norm") else []


def arrays(case: str) -> tuple[Any, list[Any]]:
    import numpy as np

    rng = np.random.RandomState(0)
    x = rng.standard_normal(CASES[case][1]).astype(np.float32)
    return x, [rng.standard_normal(s).astype(np.float32) for s in parameter_shapes(case)]


def jaxcnn_layer(case: str) -> Any:
    from jaxcnn import functional as F

    kind, shape, options = CASES[case]
    if kind.endswith("pool"):
        function = getattr(F, f"{kind}2d")
        return lambda x: function(x, options["window"], options["stride"])
    if kind == "conv":
        rest = {"stride": options.get("stride", 1), "groups": options.get("groups", 1)}
        return lambda x, w: F.conv2d(x, w, padding=options["kernel"] // 2, **rest)
    if kind == "conv_transpose":
        return lambda x, w: F.conv_transpose2d(x, w, stride=2)
    if kind == "batch_norm":
        return lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)
    return lambda x, w, b: F.layer_norm(x, shape[-1:], w, b)


def flax_layer(case: str) -> Any:
    import flax.linen as nn
    import jax

    kind, _, options = CASES[case]
    if kind.endswith("pool"):
        function = {"max_pool": nn.max_pool, "avg_pool": nn.avg_pool}[kind]
        window, stride = (options["window"],) * 2, (options["stride"],) * 2
        return lambda x: function(x, window, stride)
    if kind == "conv":
        k, s = options["kernel"], options.get("stride", 1)
        module: Any = nn.Conv(
            options["out"],
            (k, k),
            (s, s),
            padding=[(k // 2, k // 2)] * 2,
            feature_group_count=options.get("groups", 1),
            use_bias=False,
        )
        return lambda x, w: module.apply({"params": {"kernel": w}}, x)
    if kind == "conv_transpose":
        module = nn.ConvTranspose(options["out"], (2, 2), (2, 2), use_bias=False)
        return lambda x, w: module.apply({"params": {"kernel": w}}, x)
    batch_norm, layer_norm = nn.BatchNorm(use_running_average=False), nn.LayerNorm()

    def norm(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
        params = {"params": {"scale": w, "bias": b}}
        if kind == "layer_norm":
            return layer_norm.apply(params, x)  # type: ignore[return-value]
        stats = {"mean": jax.numpy.zeros_like(w), "var": jax.numpy.ones_like(w)}
        return batch_norm.apply({**params, "batch_stats": stats}, x, mutable=["batch_stats"])[0]

    return norm


def prepare_jax(case: str, layer: Any, flax: bool, repeats: int = 1) -> contest.Run:
    import jax
    import jax.numpy as jnp
    from jax import lax

    x, parameters = arrays(case)
    if flax and CASES[case][0].startswith("conv"):  # Flax's kernels are (h, w, in, out)
        order = (2, 3, 0, 1) if CASES[case][0] == "conv_transpose" else (2, 3, 1, 0)
        parameters = [w.transpose(order) for w in parameters]
    inputs = [jnp.asarray(a) for a in (x, *parameters)]
    first = int(CASES[case][2].get("first", False))

    @jax.jit
    def forward_and_gradient(g: Any, *inputs: Any) -> Any:
        given = inputs[:first]
        y, vjp = jax.vjp(lambda *rest: layer(*given, *rest), *inputs[first:])
        return y, vjp(g)

    @jax.jit
    def several(g: Any, x: Any, *parameters: Any) -> Any:
        def again(before: Any, _: None) -> Any:
            # What depends on the time before is not taken out of the loop.
            number = jax.tree.leaves(before)[-1].ravel()[0]
            one = jnp.where(jnp.isnan(number), 2.0, 1.0)
            return forward_and_gradient(g * one, x * one, *parameters), None

        return lax.scan(again, forward_and_gradient(g, x, *parameters), length=repeats - 1)[0]

    g = jnp.ones(jax.eval_shape(layer, *inputs).shape)
    program = several if repeats > 1 else forward_and_gradient

    def run() -> None:
        jax.block_until_ready(program(g, *inputs))

    run.steps = repeats  # type: ignore[attr-defined]
    return run


def prepare_torch(case: str, kind_of_memory: str, threads: int) -> contest.Run:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads)
    kind, shape, options = CASES[case]
    x, parameters = arrays(case)
    images = torch.from_numpy(x)
    if len(shape) == 4:
        last = kind_of_memory == "channels_last"
        order = torch.channels_last if last else torch.contiguous_format
        images = images.permute(0, 3, 1, 2).contiguous(memory_format=order)
    inputs: list[Any] = [images, *map(torch.from_numpy, parameters)]
    wanted = inputs[int(options.get("first", False)) :]
    for each in wanted:
        each.requires_grad_()

    def layer() -> Any:
        if kind.endswith("pool"):
            return getattr(F, f"{kind}2d")(inputs[0], options["window"], options["stride"])
        if kind == "conv":
            rest = {"stride": options.get("stride", 1), "groups": options.get("groups", 1)}
            return F.conv2d(*inputs, padding=options["kernel"] // 2, **rest)
        if kind == "conv_transpose":
            return F.conv_transpose2d(*inputs, stride=2)
        if kind == "batch_norm":
            return F.batch_norm(inputs[0], None, None, *inputs[1:], training=True)
        return F.layer_norm(inputs[0], shape[-1:], *inputs[1:])

    g = torch.ones_like(layer())

    def run() -> None:
        torch.autograd.grad(layer(), wanted, g)

    return run


def measure(settings: Settings) -> dict[str, Any]:
    own = [sys.executable, __file__, "--threads", str(settings.threads)]
    own += ["--seconds", str(settings.seconds)]
    names = contest.installed(settings.contestants)
    contestants = {name: contest.Contestant([*own, "--serve", name]) for name in names}
    results = {}
    for case in settings.cases:
        found = contest.compete(contestants, case, settings.rounds)
        results[case] = found
        times = {name: result["seconds"] for name, result in found.items()}
        row = "".join(f"{name} {seconds * 1e3:8.2f} ms  " for name, seconds in times.items())
        ratios = ""
        for rival in ("torch", "flax"):
            theirs = [seconds for name, seconds in times.items() if name.startswith(rival)]
            ours = [seconds for name, seconds in times.items() if name.startswith("jaxcnn")]
            if theirs and ours:
                ratios += f"  jaxcnn / {rival} = {min(theirs) / min(ours):.2f}"
        print(f"{case:<31}{row}{ratios}", flush=True)
    for each in contestants.values():
        each.close()
    return results


def main(settings: Settings) -> None:
    if settings.serve is None:
        results = measure(settings)
        if settings.out is not None:
            report = {"machine": contest.machine(), "layers": results}
            settings.out.write_text(json.dumps(report, indent=1) + "\n")
        return
    name, _, kind = settings.serve.partition("-")

    def prepare(case: str) -> contest.Run:
        if name == "jaxcnn":
            repeats = 1 if kind == "call" else REPEATS
            return prepare_jax(case, jaxcnn_layer(case), flax=False, repeats=repeats)
        if name == "flax":
            return prepare_jax(case, flax_layer(case), flax=True)
        return prepare_torch(case, kind, settings.threads)

    contest.serve(prepare, settings.seconds)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
