"""The benchmark's nets in PyTorch and in plain Flax against jaxcnn's."""

from __future__ import annotations

import functools
import importlib
import math
from pathlib import Path
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import jaxcnn

BENCH = Path(__file__).resolve().parents[2] / "experiments" / "bench"
KEY = jax.random.key(0)
# Options of jaxcnn's model, and the shape of the images.
NETS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "lenet": ({}, (2, 28, 28, 1)),
    "cifar10_quick": ({}, (2, 32, 32, 3)),
    "resnet20": ({}, (2, 15, 18, 3)),
    "resnet18": ({}, (2, 39, 46, 3)),
    "resnet50": ({}, (2, 39, 46, 3)),
    "mobilenet_v2": ({}, (2, 39, 46, 3)),
    "spectformer_h_s": ({"token_label": False, "drop_path_rate": 0}, (1, 224, 224, 3)),
}
# What the first dense layer flattens, which PyTorch does channels first.
FLATTENED = {"lenet": (16, 5, 5), "cifar10_quick": (64, 4, 4)}


def twin(file: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the script beside the benchmark builds; it imports its neighbours the same way."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module(file).build(name)


def variables_in_order(model: Any, x: np.ndarray) -> dict[tuple[str, ...], Any]:
    """Shapes of the variables in the order of their creation, which `eval_shape` itself loses."""
    order: list[tuple[str, ...]] = []

    def init(key: jax.Array) -> Any:
        variables = model.init(key, x)
        order.extend(flatten_dict(variables))
        return variables

    leaves = flatten_dict(jax.eval_shape(init, KEY))
    return {path: leaves[path] for path in order}


@functools.cache
def ours(name: str) -> tuple[dict[tuple[str, ...], np.ndarray], np.ndarray, np.ndarray]:
    """Random variables of jaxcnn's model in the order of their creation, images, logits."""
    options, shape = NETS[name]
    model = jaxcnn.models.create(name, **options)
    rng = np.random.RandomState(0)
    x = rng.standard_normal(shape).astype(np.float32)

    def draw(path: tuple[str, ...], leaf: Any) -> np.ndarray:
        noise = rng.standard_normal(leaf.shape)
        if leaf.ndim < 2:
            # Smaller scales of the norms let the signal fade, larger ones the rounding errors grow.
            return np.asarray((0.8 if path[-1] == "weight" else 0.5) + 0.1 * noise, leaf.dtype)
        fan_in = 1 if path[-1] == "complex_weight" else math.prod(leaf.shape[1:])
        return (noise / math.sqrt(fan_in)).astype(leaf.dtype)

    variables = {k: draw(k, leaf) for k, leaf in variables_in_order(model, x).items()}
    return variables, x, np.asarray(jax.jit(model.apply)(unflatten_dict(variables), x))


def relative_error(found: Any, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.torch
@pytest.mark.parametrize("name", NETS)
def test_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same state_dict, loaded strictly, gives the same logits; every parameter learns."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    variables, x, expected = ours(name)
    model = twin("torch_twins", name, monkeypatch)
    state_dict = jaxcnn.to_state_dict(unflatten_dict(variables))
    assert {key: tuple(value.shape) for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in state_dict.items()
    }
    model.load_state_dict({k: torch.tensor(v) for k, v in state_dict.items()}, strict=True)
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        y = model.eval()(images)
    assert relative_error(y.numpy(), expected) < 1e-5
    torch.manual_seed(0)
    model.train().to(memory_format=torch.channels_last)(images).square().mean().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", NETS)
def test_flax(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same variables in the order of their creation, in Flax's layout, give the same logits."""
    variables, x, expected = ours(name)
    model = twin("flax_twins", name, monkeypatch)
    moved: dict[tuple[str, ...], np.ndarray] = {}
    leaves = variables_in_order(model, x)
    for collection in ("params", "batch_stats"):
        sources = [k for k in variables if k[0] == collection and k[-1] != "num_batches_tracked"]
        targets = [k for k in leaves if k[0] == collection]
        moved.update({t: variables[s] for t, s in zip(targets, sources, strict=True)})
    if name in FLATTENED:
        first_dense = ("params", "Dense_0", "kernel")
        weight = moved[first_dense].reshape(-1, *FLATTENED[name])
        moved[first_dense] = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    for path, value in moved.items():
        if path[-1] == "kernel":
            moved[path] = value.transpose((2, 3, 1, 0) if value.ndim == 4 else (1, 0))
    assert jax.tree.map(np.shape, moved) == {path: leaf.shape for path, leaf in leaves.items()}
    y = jax.jit(model.apply)(unflatten_dict(moved), x)
    assert relative_error(y, expected) < 1e-5


@pytest.mark.parametrize("name", NETS)
def test_flax_in_training(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every norm takes its batch's statistics, and dropout drops."""
    evaluates: list[bool | None] = []

    def record(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, linen.BatchNorm):
            evaluates.append(context.module.use_running_average)
        elif isinstance(context.module, linen.Dropout):
            evaluates.append(context.module.deterministic)
        return call(*args, **kwargs)

    model, x = twin("flax_twins", name, monkeypatch), jnp.ones(NETS[name][1])
    variables = jax.eval_shape(model.init, KEY, x)
    train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
    with linen.intercept_methods(record):
        jax.eval_shape(train, variables, x, rngs={"dropout": KEY})
    norms = len(jax.tree.leaves(variables.get("batch_stats"))) // 2
    assert evaluates == [False] * (norms + (name == "mobilenet_v2"))
