"""Where plain Flax's and optax's defaults differ from PyTorch's, and jaxcnn does not.

python experiments/semantics.py
    Runs the same few numbers through PyTorch, plain Flax with its defaults and jaxcnn; prints the
    largest differences from PyTorch, and writes semantics.md, semantics.json and semantics.png.
    Half a minute; needs torch.
python experiments/semantics.py --smoke
    The same.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from jaxcnn import functional as F
from jaxcnn import layout, nn, optim, train
from jaxcnn.cli import one_line_errors

RNG = np.random.RandomState(0)
IMAGES = RNG.standard_normal((4, 9, 9, 6)).astype(np.float32)
KERNEL = RNG.standard_normal((8, 6, 3, 3)).astype(np.float32)
ROWS = RNG.standard_normal((16, 8)).astype(np.float32)

Values = Any  # an array, or the shape of one that differs


@dataclasses.dataclass(frozen=True)
class Difference:
    """One default that ports get wrong.

    Attributes:
      name: What it is about.
      torch: What PyTorch gives.
      flax: What plain Flax, jax or optax gives, with the defaults that a port would leave.
      jaxcnn: What jaxcnn gives.
      explanation: Which defaults differ.
    """

    name: str
    torch: Callable[[], Values]
    flax: Callable[[], Values]
    jaxcnn: Callable[[], Values]
    explanation: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    out: Path = Path("runs/semantics")
    """Folder to write to."""
    smoke: bool = False
    """Takes half a minute anyway."""


def first(x: np.ndarray) -> Any:
    """Channels-last images as PyTorch's."""
    import torch

    return torch.from_numpy(np.array(layout.to_channels_first(x)))


def last(x: Any) -> np.ndarray:
    """PyTorch's images, channels last."""
    return np.asarray(layout.to_channels_last(x.detach().numpy()))


def initial(module: flax.linen.Module, x: Any, name: str) -> Any:
    """A parameter as it is initialised."""
    variables: Any = module.init(jax.random.key(0), x)
    return variables["params"][name]


def differences() -> list[Difference]:
    """All of them, by topic."""
    return [*convolution(), *normalization(), *functions(), *resizing(), *optimizers()]


def convolution() -> list[Difference]:
    import torch
    import torch.nn.functional as TF

    weight = torch.from_numpy(KERNEL)
    hwio = KERNEL.transpose(2, 3, 1, 0)

    def flax_conv(**options: Any) -> Values:
        module = flax.linen.Conv(8, (3, 3), use_bias=False, **options)
        return module.apply({"params": {"kernel": hwio}}, IMAGES)

    across = torch.from_numpy(KERNEL.transpose(1, 0, 2, 3).copy())  # (in, out, h, w)

    def flax_transpose() -> Values:
        module = flax.linen.ConvTranspose(8, (3, 3), (2, 2), use_bias=False, padding="VALID")
        kernel = across.numpy().transpose(2, 3, 0, 1)
        return module.apply({"params": {"kernel": kernel}}, IMAGES)

    flat = RNG.standard_normal((5, 9 * 9 * 6)).astype(np.float32)
    return [
        Difference(
            "Conv2d(3), padding",
            lambda: last(TF.conv2d(first(IMAGES), weight)),
            flax_conv,
            lambda: F.conv2d(IMAGES, KERNEL),
            "Flax pads by default ('SAME'), PyTorch does not.",
        ),
        Difference(
            "Conv2d(3, stride=2, padding=1)",
            lambda: last(TF.conv2d(first(IMAGES[:, :8, :8]), weight, stride=2, padding=1)),
            lambda: flax.linen.Conv(8, (3, 3), (2, 2), use_bias=False).apply(
                {"params": {"kernel": hwio}}, IMAGES[:, :8, :8]
            ),
            lambda: F.conv2d(IMAGES[:, :8, :8], KERNEL, stride=2, padding=1),
            "'SAME' pads below and on the right alone, PyTorch all round.",
        ),
        Difference(
            "ConvTranspose2d(3, stride=2)",
            lambda: last(TF.conv_transpose2d(first(IMAGES), across, stride=2)),
            flax_transpose,
            lambda: F.conv_transpose2d(IMAGES, across.numpy(), stride=2),
            "Flax does not flip the kernel (transpose_kernel=False).",
        ),
        Difference(
            "Flatten, Linear",
            lambda: TF.linear(first(IMAGES).flatten(1), torch.from_numpy(flat)).numpy(),
            lambda: IMAGES.reshape(4, -1) @ flat.T,
            lambda: F.linear(layout.to_channels_first(IMAGES).reshape(4, -1), flat),
            "Channels come first in PyTorch's order, last in Flax's.",
        ),
        Difference(
            "Conv2d, standard deviation of a new weight",
            lambda: torch.nn.Conv2d(64, 256, 3).weight.std().item(),
            lambda: initial(flax.linen.Conv(256, (3, 3)), jnp.ones((1, 3, 3, 64)), "kernel").std(),
            lambda: initial(nn.Conv2d(64, 256, 3), jnp.ones((1, 3, 3, 64)), "weight").std(),
            "lecun_normal against kaiming_uniform(a=sqrt(5)), a third of its variance.",
        ),
    ]


def normalization() -> list[Difference]:
    import torch

    x = IMAGES + 1.5

    def torch_batch_norm(name: str) -> Values:
        module = torch.nn.BatchNorm2d(6)
        module(first(x))
        return getattr(module, name).numpy()

    def flax_batch_norm(name: str) -> Values:
        module = flax.linen.BatchNorm(use_running_average=False)
        variables = module.init(jax.random.key(0), x)
        return module.apply(variables, x, mutable=["batch_stats"])[1]["batch_stats"][name]

    def our_batch_norm(name: str) -> Values:
        module = nn.BatchNorm2d(6)
        variables = module.init(jax.random.key(0), x)
        new = module.apply(variables, x, train=True, mutable=["batch_stats"])[1]
        return new["batch_stats"][name]

    far = (IMAGES * 0.1 + 1000).astype(np.float32)
    small = ROWS * 0.01

    def flax_layer(module: Any, inputs: np.ndarray) -> Values:
        return module.init_with_output(jax.random.key(0), inputs)[0]

    return [
        Difference(
            "BatchNorm2d, running mean after a step",
            lambda: torch_batch_norm("running_mean"),
            lambda: flax_batch_norm("mean"),
            lambda: our_batch_norm("running_mean"),
            "momentum 0.1 weighs the new value, Flax's 0.99 the old one.",
        ),
        Difference(
            "BatchNorm2d, running variance after a step",
            lambda: torch_batch_norm("running_var"),
            lambda: flax_batch_norm("var"),
            lambda: our_batch_norm("running_var"),
            "PyTorch stores the unbiased variance, Flax the biased one.",
        ),
        Difference(
            "BatchNorm2d, values around 1000",
            lambda: last(torch.nn.BatchNorm2d(6)(first(far))),
            lambda: flax_layer(flax.linen.BatchNorm(use_running_average=False), far),
            lambda: F.batch_norm(far, None, None, training=True),
            "E[x^2] - E[x]^2 (use_fast_variance=True) loses all digits.",
        ),
        Difference(
            "LayerNorm, small values",
            lambda: torch.nn.LayerNorm(8)(torch.from_numpy(small)).detach().numpy(),
            lambda: flax_layer(flax.linen.LayerNorm(), small),
            lambda: F.layer_norm(small, (8,)),
            "eps is 1e-5 in PyTorch, 1e-6 in Flax.",
        ),
        Difference(
            "GroupNorm(2), small values",
            lambda: last(torch.nn.GroupNorm(2, 6)(first(IMAGES * 0.01))),
            lambda: flax_layer(flax.linen.GroupNorm(2), IMAGES * 0.01),
            lambda: F.group_norm(IMAGES * 0.01, 2),
            "eps is 1e-5 in PyTorch, 1e-6 in Flax.",
        ),
    ]


def functions() -> list[Difference]:
    import torch
    import torch.nn.functional as TF

    torch.manual_seed(0)  # of the new Embedding
    rows = torch.from_numpy(ROWS)
    return [
        Difference(
            "gelu",
            lambda: TF.gelu(rows).numpy(),
            lambda: jax.nn.gelu(ROWS),
            lambda: F.gelu(ROWS),
            "exact in PyTorch, tanh's approximation in jax.",
        ),
        Difference(
            "var of rows",
            lambda: rows.var(1).numpy(),
            lambda: jnp.var(ROWS, 1),
            lambda: jnp.var(ROWS, 1, ddof=1),
            "torch.var divides by n - 1, jnp.var by n.",
        ),
        Difference(
            "avg_pool2d(2, ceil_mode=True)",
            lambda: last(TF.avg_pool2d(first(IMAGES), 2, ceil_mode=True)),
            lambda: flax.linen.avg_pool(IMAGES, (2, 2), (2, 2)),
            lambda: F.avg_pool2d(IMAGES, 2, ceil_mode=True),
            "Flax has no ceil_mode: the last row and column are left out.",
        ),
        Difference(
            "Embedding, standard deviation of a new weight",
            lambda: torch.nn.Embedding(4096, 64).weight.std().item(),
            lambda: initial(flax.linen.Embed(4096, 64), jnp.array([0]), "embedding").std(),
            lambda: initial(nn.Embedding(4096, 64), jnp.array([0]), "weight").std(),
            "standard normal in PyTorch, divided by sqrt(features) in Flax.",
        ),
    ]


def resizing() -> list[Difference]:
    import torch.nn.functional as TF

    def case(mode: str, method: str, size: int, explanation: str) -> Difference:
        return Difference(
            f"interpolate({mode!r}), 9 to {size}",
            lambda: last(TF.interpolate(first(IMAGES), (size, size), mode=mode)),
            lambda: jax.image.resize(IMAGES, (4, size, size, 6), method),
            lambda: F.interpolate(IMAGES, (size, size), mode=mode),
            explanation,
        )

    return [
        case("nearest", "nearest", 4, "PyTorch rounds down, jax to the nearest centre."),
        case("bilinear", "bilinear", 4, "jax smooths when it shrinks (antialias=True)."),
        case("bicubic", "bicubic", 18, "the cubic's a is -0.75 in PyTorch, -0.5 in jax."),
    ]


def optimizers() -> list[Difference]:
    import torch

    grads = RNG.standard_normal((5, 8)).astype(np.float32)

    def torch_steps(make: Callable[..., Any]) -> Values:
        weight = torch.nn.Parameter(torch.from_numpy(ROWS[0].copy()))
        optimizer = make([weight])
        for grad in grads:
            weight.grad = torch.from_numpy(grad.copy())
            optimizer.step()
        return weight.detach().numpy()

    def optax_steps(tx: optax.GradientTransformation) -> Values:
        weight: Any = jnp.asarray(ROWS[0])
        state = tx.init(weight)
        for grad in grads:
            updates, state = tx.update(jnp.asarray(grad), state, weight)
            weight = optax.apply_updates(weight, updates)
        return weight

    def case(name: str, torch_: Any, plain: Any, ours: Any, explanation: str) -> Difference:
        return Difference(
            f"{name}, 5 steps",
            lambda: torch_steps(torch_),
            lambda: optax_steps(plain),
            lambda: optax_steps(ours),
            explanation,
        )

    return [
        case(
            "SGD(weight_decay=0.1)",
            lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
            optax.chain(optax.sgd(0.1, momentum=0.9), optax.add_decayed_weights(-0.1 * 0.1)),
            optim.sgd(0.1, momentum=0.9, weight_decay=0.1),
            "decay belongs before momentum; appended to optax.sgd it comes after.",
        ),
        case(
            "AdamW",
            lambda p: torch.optim.AdamW(p, 0.1),
            optax.adamw(0.1),
            optim.adamw(0.1),
            "weight_decay is 1e-2 in PyTorch, 1e-4 in optax.",
        ),
        case(
            "RMSprop",
            lambda p: torch.optim.RMSprop(p, 0.1),
            optax.rmsprop(0.1),
            optim.rmsprop(0.1),
            "alpha 0.99 and eps after the root, against 0.9 and eps before it.",
        ),
    ]


def error(values: Values, reference: Values) -> float | None:
    """The largest difference; None where the shapes differ."""
    if np.shape(values) != np.shape(reference):
        return None
    wide = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    return float(np.abs(wide).max())


def measure() -> list[dict[str, Any]]:
    """A row for each difference: `flax` and `jaxcnn` are largest differences from PyTorch."""
    rows = []
    with jax.default_matmul_precision("highest"):
        for each in differences():
            reference, flax_values = each.torch(), each.flax()
            row = {"name": each.name, "explanation": each.explanation}
            row |= {"flax": error(flax_values, reference)}
            row |= {"jaxcnn": error(each.jaxcnn(), reference)}
            row |= {"shapes": [np.shape(reference), np.shape(flax_values)]}
            rows.append(row)
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """A table."""
    lines = ["| what | plain Flax | jaxcnn | why |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        flax_error = f"{row['flax']:.1e}" if row["flax"] is not None else "other shape"
        lines.append(
            f"| {row['name']} | {flax_error} | {row['jaxcnn']:.1e} | {row['explanation']} |"
        )
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of both errors, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.32 * len(rows) + 1.2), layout="constrained")
    axes, places = figure.subplots(), np.arange(len(rows))
    for name, shift, color in (("flax", -0.2, "tab:gray"), ("jaxcnn", 0.2, "tab:blue")):
        # A difference of shape is drawn to the end, none at all is left out.
        errors = [10.0 if row[name] is None else max(row[name], 1e-9) for row in rows]
        label = {"flax": "plain Flax, jax, optax", "jaxcnn": "jaxcnn"}[name]
        axes.barh(places + shift, errors, 0.4, label=label, color=color)
    axes.set_yticks(places, [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1e-9, 10)
    axes.set_xlabel("largest difference from PyTorch (to the right edge: another shape)")
    axes.legend(loc="lower right")
    train.save_figure(figure, path)


def main(settings: Settings) -> None:
    rows = measure()
    table = as_markdown(rows)
    print(table)
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "semantics.json").write_text(json.dumps(rows, indent=1) + "\n")
    (settings.out / "semantics.md").write_text(table)
    draw(rows, settings.out / "semantics.png")
    print(settings.out / "semantics.png")


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Settings, description=__doc__))
