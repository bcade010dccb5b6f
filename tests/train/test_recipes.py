"""Settings of the training step against live PyTorch: one small net, the same batches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn, optim, train
from jaxcnn.train.precision import grad_scaler

from .twins import relative_error

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}
BATCH = 8


def net(layers: Any) -> Any:
    """conv-BN-ReLU twice and a linear layer; `layers` is torch.nn or jaxcnn.nn."""
    return layers.Sequential(
        layers.Conv2d(1, 4, 3),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.Conv2d(4, 4, 3, stride=2),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(4 * 2 * 2, 3),
    )


def batches(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose brightest corner says the class, and noise."""
    rng = np.random.RandomState(0)
    labels = rng.randint(3, size=(steps, BATCH))
    images = rng.normal(size=(steps, BATCH, 8, 8, 1))
    images[..., :4, :4, :] += labels[..., None, None, None]
    return images, labels


def start(dtype: str) -> tuple[Any, dict[str, Any], Any]:
    """A net in PyTorch with used statistics, its state_dict, and the same variables here."""
    torch.manual_seed(0)
    twin = net(torch.nn)
    with torch.no_grad():
        twin(2 + 3 * torch.randn(64, 1, 8, 8))
    twin = twin.to(getattr(torch, dtype))
    state_dict = {name: value.numpy().copy() for name, value in twin.state_dict().items()}
    like = jax.eval_shape(net(nn).init, jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    cast = lambda x: x.update(dtype=dtype) if x.dtype == "float32" else x
    return twin, state_dict, jaxcnn.to_variables(state_dict, jax.tree.map(cast, like))


def to_torch(x: np.ndarray, y: np.ndarray, dtype: str) -> tuple[Any, Any]:
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2).astype(dtype))
    return torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))


def run(
    variables: Any, images: np.ndarray, labels: np.ndarray, dtype: str, **settings: Any
) -> tuple[train.TrainState, np.ndarray]:
    """Trains here, in one dispatch; the last state and every step's loss."""
    images, tx = images.astype(dtype), optim.sgd(**SGD)
    state = train.create_state(net(nn), tx, jax.random.key(0), images[0], variables=variables)
    steps = jax.jit(train.scan_steps(train.make_train_step(**settings)))
    state, metrics = steps(state, {"image": images, "label": labels})
    return state, np.asarray(metrics["loss"])


def assert_equal_state(state: train.TrainState, twin: Any, limit: float) -> None:
    actual = jaxcnn.to_state_dict(state.variables)
    for name, value in twin.state_dict().items():
        assert relative_error(actual[name], value.numpy()) <= limit, name


def test_accumulation_equals_torch(x64: None) -> None:
    images, labels = batches(10)
    twin, _, variables = start("float64")
    optimizer = torch.optim.SGD(twin.parameters(), **SGD)
    expected = []
    for x, y in zip(images, labels, strict=True):
        optimizer.zero_grad()
        parts = [to_torch(x[i : i + 4], y[i : i + 4], "float64") for i in (0, 4)]
        losses = [torch.nn.functional.cross_entropy(twin(x), y) / 2 for x, y in parts]
        for loss in losses:
            loss.backward()
        optimizer.step()
        expected.append(sum(loss.item() for loss in losses))
    state, actual = run(variables, images, labels, "float64", accumulate=2)
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    assert_equal_state(state, twin, 1e-9)
    assert int(state.batch_stats["1"]["num_batches_tracked"]) == 1 + 2 * 10


def test_frozen_layers_equal_torch(x64: None) -> None:
    images, labels = batches(10)
    twin, before, variables = start("float64")
    for layer in twin[:2]:
        layer.eval().requires_grad_(False)
    optimizer = torch.optim.SGD((p for p in twin.parameters() if p.requires_grad), **SGD)
    expected = []
    for x, y in zip(images, labels, strict=True):
        x, y = to_torch(x, y, "float64")
        loss = torch.nn.functional.cross_entropy(twin(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    state, actual = run(variables, images, labels, "float64", frozen=r"^[01]\.")
    np.testing.assert_allclose(actual, expected, rtol=1e-9)
    assert_equal_state(state, twin, 1e-9)
    after = jaxcnn.to_state_dict(state.variables)
    assert sum(name[0] in "01" for name in after) == 7
    for name, value in after.items():
        assert np.array_equal(value, before[name]) == (name[0] in "01"), name


def test_bfloat16_follows_autocast() -> None:
    images, labels = batches(20)
    twin, _, variables = start("float32")
    optimizer = torch.optim.SGD(twin.parameters(), **SGD)
    expected = []
    for x, y in zip(images, labels, strict=True):
        x, y = to_torch(x, y, "float32")
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(twin(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    state, actual = run(variables, images, labels, "float32", precision="bfloat16")
    _, full = run(variables, images, labels, "float32")
    assert {str(x.dtype) for x in jax.tree.leaves(state.variables)} == {"float32", "int32"}
    assert np.abs(actual - full).max() > 1e-4, "half precision must be seen in the numbers"
    np.testing.assert_allclose(actual, full, rtol=0.05)
    np.testing.assert_allclose(actual, expected, rtol=0.05)
    assert actual[-5:].mean() < 0.7 * actual[:5].mean()


OVERFLOWS = (0, 4, 5, 13)


def test_the_loss_scale_equals_grad_scaler() -> None:
    settings = {"init_scale": 64.0, "growth_factor": 2.0, "backoff_factor": 0.5}
    scaler = torch.amp.GradScaler("cpu", growth_interval=3, **settings)
    images, labels = batches(20)
    images, labels = images.reshape(20, BATCH, -1).astype(np.float32), labels.astype(np.int64)
    images[OVERFLOWS, 0, 0] = 1e6
    torch.manual_seed(0)
    twin = torch.nn.Linear(64, 3)
    optimizer = torch.optim.SGD(twin.parameters(), **SGD)
    begin = {name: jnp.array(value.detach().numpy()) for name, value in twin.named_parameters()}
    expected, weights = [], []
    for x, y in zip(images, labels, strict=True):
        with torch.autocast("cpu", torch.float16):
            loss = torch.nn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        expected.append(scaler.get_scale())
        weights.append(twin.weight.detach().numpy().copy())

    scale = grad_scaler(growth_interval=3, **settings)
    key, variables = jax.random.key(0), {"params": begin}
    state = train.create_state(
        Linear(64, 3), optim.sgd(**SGD), key, images[0], variables=variables, loss_scale=scale
    )
    step = jax.jit(train.make_train_step(precision="float16"))
    actual, before = [], begin["weight"]
    for i, (x, y) in enumerate(zip(images, labels, strict=True)):
        state, _ = step(state, {"image": x, "label": y})
        actual.append(float(state.loss_scale.scale))
        assert bool((state.params["weight"] == before).all()) == (i in OVERFLOWS)
        before = state.params["weight"]
        np.testing.assert_allclose(before, weights[i], rtol=0.02, atol=2e-3)
    assert actual == expected
    assert len(set(actual)) > 3
    assert state.params["weight"].dtype == "float32"


class Linear(nn.Linear):
    """A linear layer that is a whole model."""

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return super().__call__(x)
