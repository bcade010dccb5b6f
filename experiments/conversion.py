r"""Converts torchvision's and timm's architectures with `from_torch`, and compares with PyTorch.

pip install torch pyyaml huggingface_hub safetensors
pip install --no-deps torchvision==0.28.0 timm==1.0.31
python experiments/conversion.py
    240 architectures, the smallest of each family: evaluation, and, but for the hybrids of CNN and
    transformer, one training step (output, gradients, running statistics). About 80 minutes on two
    CPU cores with 24 GB, and XLA's older way to generate code, which compiles in two thirds of the
    time: XLA_FLAGS=--xla_cpu_use_fusion_emitters=false. Results are kept in --out as they come,
    and what is there is not measured again unless it failed.
python experiments/conversion.py --models timm:resnet18 torchvision:vgg11
    Some of them.
python experiments/conversion.py --markdown docs/conversion.md
    Writes the table too.

Running statistics, scales and biases are random, so that nothing hides at its default.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import importlib
import json
import multiprocessing
import time
import unittest.mock
import warnings
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from conversion_models import KINDS, MODES, PIXELS, SIZES
from conversion_table import FLOAT32, FLOAT64, Row, line, markdown, summary

from jaxcnn.interop._torchvision import import_torchvision


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    models: tuple[str, ...] = ()
    """Which models, as timm:resnet18; all of them by default."""
    train: bool = True
    """Whether to compare a training step too."""
    programs: Literal["plain", "cpu"] = "plain"
    """Plain convolutions and pooling, as on GPU and TPU, or those for CPU, which take twice as long
    to compile."""
    out: Path = Path("runs/conversion.jsonl")
    """Results, one line for each model."""
    processes: int = 2
    """How many run side by side."""
    markdown: Path | None = None
    """Where to write the table."""


def build(name: str) -> tuple[Any, int]:
    """The PyTorch model with random statistics, and the height and width of its images."""
    torchvision, timm = import_torchvision(), importlib.import_module("timm")
    import torch

    torch.manual_seed(0)
    source, _, model_name = name.partition(":")
    if source == "torchvision":
        fast = {"init_weights": False} if model_name in ("googlenet", "inception_v3") else {}
        model, pixels = torchvision.models.get_model(model_name, weights=None, **fast), PIXELS
    else:
        model = timm.create_model(model_name)
        config: Any = model.default_cfg
        size = config.get("input_size", (3, 224, 224))[-1]
        pixels = size if config.get("fixed_input_size") or size < PIXELS else PIXELS
        if name in KINDS["hybrid"]:
            pixels = size
    randomise(model)
    return model, SIZES.get(name, pixels)


def randomise(model: Any) -> None:
    """Moves statistics, scales and biases off their defaults; switches random layers off."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, x in model.state_dict().items():
            if not x.is_floating_point():
                continue
            noise = torch.randn(x.shape, generator=generator)
            if name.endswith("running_var"):
                x.copy_(1 + 0.5 * torch.tanh(noise))
            elif x.ndim <= 1 or not x.any():
                x.add_(0.1 * noise)
    for module in model.modules():
        for rate in ("p", "drop_prob", "drop_rate", "drop_path_rate", "dropout"):
            if isinstance(getattr(module, rate, None), float):
                setattr(module, rate, 0.0)
    model.train()
    model.eval()  # some keep what they computed of their weights


def relative_error(ours: Any, theirs: Any) -> float:
    """The L2 norm of the difference, by that of the reference, over all arrays together."""
    both = zip(ours, theirs, strict=True)
    pairs = [(np.asarray(a, np.float64), np.asarray(b, np.float64)) for a, b in both]
    difference = sum(float(np.sum((a - b) ** 2)) for a, b in pairs)
    return float(np.sqrt(difference / (sum(float(np.sum(b**2)) for _, b in pairs) or 1.0)))


def measure(row: Row, train: bool = True, programs: str = "plain") -> Row:
    """Converts one architecture and compares it, as far as the row has no figures yet."""
    import jax

    train = train and row.output is None and row.has_step
    highest = jax.default_matmul_precision("highest")
    chosen = plain_programs() if programs == "plain" else contextlib.nullcontext()
    with jax.enable_x64(True), highest, chosen, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model, row.pixels = build(row.name)
            if row.evaluation is None:
                _evaluate(row, model)
            if train:
                _train(row, model)
        except Exception as error:  # a row of the table, whatever it is
            row.failure = f"{type(error).__name__}: {error}"[:500]
    return row


def plain_programs() -> contextlib.AbstractContextManager[Any]:
    """Has every function run the program that is not for one platform alone."""
    plain = lambda *args, default, **_: default(*args)
    return unittest.mock.patch("jax.lax.platform_dependent", plain)


def _compiled(function: Any, *args: Any, quick: bool = True) -> Any:
    import jax

    # Each program runs once. Convolutions in float64 are too slow without any optimisation.
    options: Any = {"xla_backend_optimization_level": 0}
    options["xla_llvm_disable_expensive_passes"] = True
    if not quick:
        options = {"xla_backend_optimization_level": 1}
    return jax.jit(function).lower(*args).compile(compiler_options=options)(*args)


def _images(pixels: int, n: int) -> np.ndarray:
    return np.random.RandomState(0).standard_normal((n, pixels, pixels, 3)).astype(np.float32)


def _torch_images(x: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def _leaves(output: Any) -> list[Any]:
    if isinstance(output, list | tuple):
        return [y for x in output for y in _leaves(x)]
    return (
        [y for x in output.values() for y in _leaves(x)] if isinstance(output, dict) else [output]
    )


def _evaluate(row: Row, model: Any) -> None:
    import jax
    import torch

    import jaxcnn

    x = _images(row.pixels, 2)
    started = time.perf_counter()
    example = _torch_images(x[:1])
    ours, variables = jaxcnn.from_torch(model, example, mode=MODES.get(row.name))
    row.convert = time.perf_counter() - started
    row.layout_changes = ours.program.layout_changes
    row.any_size = not ours.program.fixed_size
    with torch.no_grad():
        theirs = [y.numpy() for y in _leaves(model(_torch_images(x)))]
    y = _compiled(ours.apply, variables, x)
    row.evaluation = relative_error(_as_theirs(jax.tree.leaves(y), theirs), theirs)
    if row.evaluation > FLOAT32:
        with torch.no_grad():
            exact = [y.numpy() for y in _leaves(model.double()(_torch_images(x).double()))]
        row.allowed["evaluation"] = max(FLOAT32, 10 * relative_error(theirs, exact))
        model.float()


def _as_theirs(ours: list[Any], theirs: list[Any]) -> list[Any]:
    return [
        np.moveaxis(a, -1, 1) if np.ndim(a) > 3 else a for a, _ in zip(ours, theirs, strict=True)
    ]


def _train(row: Row, model: Any) -> None:
    """A step in float32, and in float64 if that differs."""
    parts = ("output", "gradient", "statistics")
    theirs = _step_of_torch(row, model, np.float32)
    errors = _step_errors(row, model, theirs)
    if max(errors) > FLOAT32:
        exact = _step_of_torch(row, model.double(), np.float64)
        own = [relative_error(a.values(), b.values()) for a, b in zip(theirs, exact, strict=True)]
        row.allowed |= {n: max(FLOAT32, 10 * e) for n, e in zip(parts, own, strict=True)}
        if any(e > row.allowed[name] for name, e in zip(parts, errors, strict=True)):
            errors = _step_errors(row, model, exact)
            row.allowed |= dict.fromkeys(parts, FLOAT64)
    row.output, row.gradient, row.statistics = errors


Step = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def _weights(shape: tuple[int, ...]) -> np.ndarray:
    """Of the outputs in the loss."""
    return np.random.RandomState(1).standard_normal(shape)


def _step_of_torch(row: Row, model: Any, dtype: Any) -> Step:
    """Output, gradients and running statistics; the model is left as it was."""
    import torch

    # What evaluation alone was converted of has no auxiliary heads.
    heads = ("aux1", "aux2", "AuxLogits") if MODES.get(row.name) == "eval" else ()
    removed = {head: getattr(model, head) for head in heads if hasattr(model, head)}
    state = copy.deepcopy(model.state_dict())  # with its versions, which some models ask for
    model.train()
    model.zero_grad()
    for head in removed:
        setattr(model, head, None)
    output = _leaves(model(_torch_images(_images(row.pixels_of_a_step, 4).astype(dtype))))[0]
    (output * torch.from_numpy(_weights(output.shape).astype(dtype))).sum().backward()
    gradient = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    statistics = {n: b.numpy().copy() for n, b in model.named_buffers() if "running_" in n}
    for head, module in removed.items():
        setattr(model, head, module)
    model.load_state_dict(state)
    model.eval()
    return {"": output.detach().numpy()}, gradient, statistics


def _step_errors(row: Row, model: Any, theirs: Step) -> list[float]:
    import jax
    import jax.numpy as jnp

    import jaxcnn

    dtype = theirs[0][""].dtype
    x = _images(row.pixels_of_a_step, 4).astype(dtype)
    ours, variables = jaxcnn.from_torch(model, _torch_images(x[:1]), mode=MODES.get(row.name))
    weights = _weights(theirs[0][""].shape).astype(dtype)

    def loss(params: Any, others: Any) -> Any:
        y, new = ours.apply(
            {"params": params, **others},
            x,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )
        y = jax.tree.leaves(y)[0]
        return jnp.sum(y * weights), (y, new)

    others = {key: value for key, value in variables.items() if key != "params"}
    gradient, (y, new) = _compiled(
        jax.grad(loss, has_aux=True), variables["params"], others, quick=dtype == np.float32
    )
    step = ({"": y}, jaxcnn.to_state_dict({"params": gradient}), jaxcnn.to_state_dict(new))
    errors = []
    for ours_, theirs_ in zip(step, theirs, strict=True):
        missing = sorted(theirs_.keys() - ours_.keys())
        if missing:
            raise ValueError(f"the converted model has no {missing}")
        errors.append(relative_error([ours_[name] for name in theirs_], theirs_.values()))
    return errors


def main(settings: Settings) -> None:
    names = settings.models or tuple(name for kind in KINDS.values() for name in kind)
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    rows = read(settings.out)
    left = [rows.get(name, Row(name)) for name in names]
    left = [row for row in left if not row.complete(settings.train)]
    context = multiprocessing.get_context("spawn")
    # New processes after a few models: compiled programs would fill the memory.
    pool = futures.ProcessPoolExecutor(settings.processes, context, max_tasks_per_child=8)
    with pool, settings.out.open("a") as file:
        measured = functools.partial(measure, train=settings.train, programs=settings.programs)
        running = [pool.submit(measured, row) for row in left]
        for done in futures.as_completed(running):
            try:
                row = done.result()
            except BrokenProcessPool:
                raise SystemExit(
                    "conversion: a process was killed, perhaps for want of memory; start again with"
                    " --processes 1, what was measured is kept."
                ) from None
            rows[row.name] = row
            print(json.dumps(dataclasses.asdict(row)), file=file, flush=True)
            print(line(row), flush=True)
    wanted = {name: rows[name] for name in names}
    print(summary(wanted))
    if settings.markdown is not None:
        settings.markdown.write_text(markdown(wanted))


def read(file: Path) -> dict[str, Row]:
    """The rows that were measured before; failures are measured again."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {row["name"]: Row(**row) for row in map(json.loads, lines) if not row["failure"]}


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
