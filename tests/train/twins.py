"""The same training run twice: in PyTorch, and in jaxcnn from the same state_dict and batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxcnn
from jaxcnn import optim, train

CHUNK = 25


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """What a run leaves: every step's loss, and at the end weights, statistics and buffers."""

    losses: np.ndarray
    state_dict: dict[str, np.ndarray]
    momentum: dict[str, np.ndarray]


def in_torch(
    make_model: Callable[[], Any], images: np.ndarray, labels: np.ndarray, dtype: str, **sgd: Any
) -> Trajectory:
    """Trains on batches (steps, n, h, w, c) in PyTorch."""
    import torch

    model = make_model().to(getattr(torch, dtype))
    optimizer = torch.optim.SGD(model.parameters(), **sgd)
    loss_fn = torch.nn.CrossEntropyLoss()
    losses = []
    for x, y in zip(images, labels, strict=True):
        x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2).astype(dtype)))
        loss = loss_fn(model(x), torch.from_numpy(y.astype(np.int64)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    buffers = {
        name: optimizer.state[parameter]["momentum_buffer"].numpy()
        for name, parameter in model.named_parameters()
        if optimizer.state[parameter].get("momentum_buffer") is not None
    }
    state_dict = {name: value.numpy() for name, value in model.state_dict().items()}
    return Trajectory(np.array(losses), state_dict, buffers)


def in_jaxcnn(
    model: Any, start: Any, images: np.ndarray, labels: np.ndarray, dtype: str, **sgd: Any
) -> Trajectory:
    """Trains on the same batches with jaxcnn's own step, several steps in one dispatch."""
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(images.shape[1:]))
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype) if leaf.dtype == "float32" else leaf,
        like,
    )
    variables = jaxcnn.to_variables(start, like)
    tx = optim.sgd(**sgd)
    state = train.create_state(model, tx, jax.random.key(0), images[0], variables=variables)
    steps = jax.jit(train.scan_steps(train.make_train_step()), donate_argnums=0)
    losses = []
    for i in range(0, len(images), CHUNK):
        batches = {"image": images[i : i + CHUNK].astype(dtype), "label": labels[i : i + CHUNK]}
        state, metrics = steps(state, batches)
        losses.append(np.asarray(metrics["loss"]))
    found = optax.tree_utils.tree_get(state.opt_state, "momentum_buffer")
    momentum = {} if found is None else jaxcnn.to_state_dict({"params": found})
    return Trajectory(np.concatenate(losses), jaxcnn.to_state_dict(state.variables), momentum)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest entry."""
    scale = max(float(np.abs(expected).max()), 1e-30)
    return float(np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()) / scale


def assert_equal_runs(actual: Trajectory, expected: Trajectory, limit: float) -> None:
    """Losses at every step, weights, statistics and momentum agree within `limit`, relative."""
    np.testing.assert_allclose(actual.losses, expected.losses, rtol=limit, atol=0)
    assert set(actual.state_dict) == set(expected.state_dict)
    assert set(actual.momentum) == set(expected.momentum)
    for ours, theirs in (
        (actual.state_dict, expected.state_dict),
        (actual.momentum, expected.momentum),
    ):
        for name, value in theirs.items():
            assert relative_error(ours[name], value) <= limit, name


def stable_steps(single: Trajectory, double: Trajectory, limit: float = 1e-5) -> int:
    """How many first steps PyTorch's float32 run stays within `limit` of its float64 run."""
    apart = np.abs(single.losses - double.losses) > limit * np.abs(double.losses)
    return int(np.argmax(apart)) if apart.any() else len(apart)
