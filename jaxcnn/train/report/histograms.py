"""How a layer's outputs and its parameters' gradients are distributed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import functional as F
from jaxcnn._checks import check
from jaxcnn._files import write_atomically
from jaxcnn._names import dotted
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import Batch, LossFn, to_float

_BINS = 48


@dataclasses.dataclass(frozen=True)
class Histograms:
    """The histograms of several arrays, each over its own range.

    Attributes:
      names: What each array is called.
      counts: Values in each of the equally wide bins, `(arrays, bins)`.
      ranges: Smallest and largest finite value, `(arrays, 2)`; NaN if there is none.
      zeros: Share of values that are zero, `(arrays,)`.
      nonfinite: Share of values that are infinite or NaN, which no bin has, `(arrays,)`.

    Raises:
      ValueError: If the shapes do not fit each other.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    ranges: np.ndarray
    zeros: np.ndarray
    nonfinite: np.ndarray

    def __post_init__(self) -> None:
        """Checks the shapes."""
        count = len(self.names)
        shapes = [x.shape for x in (self.counts, self.ranges, self.zeros, self.nonfinite)]
        bins = shapes[0][1] if len(shapes[0]) == 2 else 0
        ok = bins > 0 and shapes == [(count, bins), (count, 2), (count,), (count,)]
        check(ok, "Histograms", f"there must be one for each of {count} names", shapes=shapes)


@dataclasses.dataclass(frozen=True)
class LayerHistograms:
    """The file histograms.npz.

    Attributes:
      activations: What each layer without layers inside it returns, of all its calls.
      gradients: The loss's gradient with respect to each parameter.
    """

    activations: Histograms
    gradients: Histograms

    def write(self, folder: Path) -> Path:
        """Writes histograms.npz into a run folder, where `write_html_report` finds it."""
        arrays = {
            f"{part}_{name}": np.asarray(value)
            for part, histograms in vars(self).items()
            for name, value in vars(histograms).items()
        }
        path = Path(folder) / "histograms.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
        return path

    @classmethod
    def read(cls, path: Path) -> LayerHistograms:
        """Reads the file.

        Raises:
          KeyError: If an array is missing.
          ValueError: If the arrays do not fit each other.
        """
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return cls(*(_read(arrays, part) for part in ("activations", "gradients")))


def layer_histograms(
    state: TrainState,
    batch: Batch,
    loss_fn: LossFn = F.cross_entropy,
    *,
    preprocess: Callable[[jax.Array], jax.Array] = to_float,
) -> LayerHistograms:
    """Histograms of activations and gradients in one training step, which is not made.

    Args:
      state: The state before the step, for the last epoch's what `fit` returned.
      batch: `{"image": (n, h, w, c), "label": (n,)}`; the outputs of all layers for it have to fit
        into memory.
      loss_fn: `(logits, labels) -> scalar`.
      preprocess: Turns the batch's images into the model's input.

    Returns:
      The histograms, in the order in which the model calls its layers.

    Example:
      >>> from jaxcnn import nn, optim, train
      >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
      >>> batch = {"image": jnp.ones((4, 8, 8, 1)), "label": jnp.zeros(4, jnp.int32)}
      >>> state = train.create_state(model, optim.sgd(0.1), jax.random.key(0), batch["image"])
      >>> histograms = layer_histograms(state, batch)
      >>> histograms.activations.names, histograms.gradients.names
      (('0', '1'), ('1.bias', '1.weight'))
    """
    names: list[str] = []

    @jax.jit
    def step(state: TrainState, batch: Batch) -> tuple[Any, list[jax.Array]]:
        def loss(params: Any) -> tuple[jax.Array, list[jax.Array]]:
            logits, updates = state.apply_fn(
                {**state.variables, "params": params},
                preprocess(jnp.asarray(batch["image"])),
                train=True,
                mutable=["batch_stats", "intermediates"],
                capture_intermediates=True,
                rngs={"dropout": jax.random.fold_in(state.rng, state.step)},
            )
            outputs = _of_layers(updates["intermediates"])
            # Only here are they in the order of the calls: transformations sort trees by name.
            names[:] = outputs
            return loss_fn(logits, jnp.asarray(batch["label"])), list(outputs.values())

        return jax.grad(loss, has_aux=True)(state.params)

    grads, outputs = jax.device_get(step(state, batch))
    order = {name: place for place, name in enumerate(names)}
    gradients = {dotted(path): gradient for path, gradient in jax.tree.leaves_with_path(grads)}
    called = sorted(gradients, key=lambda name: order.get(name.rpartition(".")[0], -1))
    return LayerHistograms(
        activations=_histograms(dict(zip(names, outputs, strict=True))),
        gradients=_histograms({name: gradients[name] for name in called}),
    )


def _of_layers(outputs: Mapping[str, Any], name: str = "") -> dict[str, jax.Array]:
    """All floating-point outputs of each module that has no modules in it, as one vector."""
    children = {key: value for key, value in outputs.items() if isinstance(value, Mapping)}
    if children:
        below = [_of_layers(child, f"{name}.{key}".lstrip(".")) for key, child in children.items()]
        return {key: value for part in below for key, value in part.items()}
    leaves = jax.tree.leaves(outputs.get("__call__", ()))
    floats = [jnp.ravel(y) for y in leaves if jnp.issubdtype(y.dtype, jnp.floating)]
    return {name: jnp.concatenate(floats)} if floats else {}


def _histograms(named: Mapping[str, np.ndarray]) -> Histograms:
    counts, ranges, zeros, nonfinite = [], [], [], []
    for values in named.values():
        x = np.ravel(values).astype(np.float32)
        finite = x[np.isfinite(x)]
        counts.append(np.histogram(finite, _BINS)[0])
        ranges.append([finite.min(), finite.max()] if finite.size else [np.nan, np.nan])
        zeros.append(np.mean(x == 0))
        nonfinite.append(1 - finite.size / x.size)
    return Histograms(tuple(named), *map(np.array, (counts, ranges, zeros, nonfinite)))


def _read(arrays: Mapping[str, np.ndarray], part: str) -> Histograms:
    names, *values = (arrays[f"{part}_{f.name}"] for f in dataclasses.fields(Histograms))
    return Histograms(tuple(map(str, names.tolist())), *values)
