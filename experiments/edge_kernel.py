"""Learns the kernel that finds vertical edges, from input and output alone.

python experiments/edge_kernel.py
    Dive into Deep Learning's exercise: a convolution with a 1x2 kernel learns (1, -1) by gradient
    descent, first on a synthetic image, then on a real photograph. A few seconds on a CPU; writes
    a picture of input, target and result.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn, optim, train
from jaxcnn.cli import one_line_errors

EDGE_KERNEL = np.array([[[[1.0, -1.0]]]], np.float32)  # (out, in, height, width)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    steps: int = 1000
    """Steps of gradient descent on each image."""
    lr: float = 0.3
    """Learning rate."""
    momentum: float = 0.9
    """A photograph's neighbouring pixels are nearly equal: without momentum it takes 10 times
    longer to tell the two taps apart."""
    photo: str = "china.jpg"
    """One of scikit-learn's two photographs: china.jpg or flower.jpg."""
    seed: int = 0
    """Seed of the kernel's first value."""
    runs: Path = Path("runs")
    """Where the run folder is made."""


def synthetic() -> jax.Array:
    """Ones with a band of zeros: d2l's 6x8 image, as (1, 6, 8, 1)."""
    return jnp.ones((1, 6, 8, 1)).at[:, :, 2:6].set(0.0)


def photograph(name: str) -> jax.Array:
    """A photograph's brightness, 0 to 1, as (1, 427, 640, 1)."""
    return jnp.asarray(load_sample_image(name).mean(axis=-1, keepdims=True)[None] / 255)


def learn(image: jax.Array, settings: Settings) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Fits the kernel to the edges of one image.

    Returns:
      The kernel `(1, 1, 1, 2)`, its output, and the mean squared error before each step.
    """
    target = F.conv2d(image, EDGE_KERNEL)
    layer = nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False)
    variables = layer.init(jax.random.key(settings.seed), image)
    tx = optim.sgd(settings.lr, settings.momentum)

    def loss(variables: dict[str, Any]) -> jax.Array:
        return jnp.mean((jnp.asarray(layer.apply(variables, image)) - target) ** 2)

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        variables, opt_state = carry
        value, grads = jax.value_and_grad(loss)(variables)
        updates, opt_state = tx.update(grads, opt_state)
        return (optax.apply_updates(variables, updates), opt_state), value

    start = (variables, tx.init(variables))
    (variables, _), losses = jax.jit(lambda c: jax.lax.scan(step, c, length=settings.steps))(start)
    weight = variables["params"]["weight"]
    return weight, F.conv2d(image, weight), np.asarray(losses)


def draw_edges(results: dict[str, tuple[jax.Array, jax.Array]]) -> Figure:
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    for line, (name, (image, result)) in zip(figure.subplots(2, 3), results.items(), strict=True):
        limit = float(jnp.max(jnp.abs(result)))
        edges = {"cmap": "RdBu", "vmin": -limit, "vmax": limit}
        pictures = {
            f"{name}: input": (image, {"cmap": "gray"}),
            "target: edges by (1, -1)": (F.conv2d(image, EDGE_KERNEL), edges),
            "result: edges by the learned kernel": (result, edges),
        }
        for axes, (title, (picture, colors)) in zip(line, pictures.items(), strict=True):
            axes.imshow(picture[0, :, :, 0], **colors)
            axes.set_title(title, fontsize=10)
            axes.set(xticks=[], yticks=[])
    return figure


def draw_curves(losses: dict[str, np.ndarray]) -> Figure:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        axes.semilogy(np.maximum(values, 1e-16), label=name)
    axes.set(xlabel="step", ylabel="mean squared error")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main(settings: Settings) -> dict[str, np.ndarray]:
    if settings.steps < 1:
        raise ValueError(f"edge_kernel: steps must be at least 1, got steps={settings.steps}.")
    photo = photograph(settings.photo)  # first, as it may not be there
    images = {"synthetic": synthetic(), settings.photo: photo}
    run = train.RunFolder.open("edge_kernel", dataclasses.asdict(settings), settings.runs)
    kernels, results, losses = {}, {}, {}
    for name, image in images.items():
        kernels[name], result, losses[name] = learn(image, settings)
        results[name] = (image, result)
    run.write_metrics(
        [
            {"image": name, "step": step, "loss": float(loss)}
            for name, values in losses.items()
            for step, loss in enumerate(values)
        ]
    )
    jaxcnn.write_state_dict(
        run.path / "model.safetensors",
        {f"{name}.weight": np.asarray(kernel) for name, kernel in kernels.items()},
    )
    train.save_figure(draw_edges(results), run.path / "edges.png")
    train.save_figure(draw_curves(losses), run.path / "curves.png")
    for name, kernel in kernels.items():
        first, second = np.asarray(kernel).ravel()
        before, after = losses[name][[0, -1]]
        print(
            f"{name:<10}  kernel ({first:+.4f}, {second:+.4f})  error {before:.1e} -> {after:.1e}"
        )
    print(f"\n{run.path / 'edges.png'}\n{run.path / 'curves.png'}")
    return {name: np.asarray(kernel).ravel() for name, kernel in kernels.items()}


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    with one_line_errors():
        main(settings)
