"""Training runs step by step against live PyTorch, from the same weights and batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import data, models, nn
from tests.parity.layers import torch_lenet, torch_tudui

from .twins import Trajectory, assert_equal_runs, in_jaxcnn, in_torch, relative_error, stable_steps

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
pytestmark = pytest.mark.torch

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")


def batch_norm_net(layers: Any) -> Any:
    """A small conv-BN-ReLU-pool net; `layers` is torch.nn or jaxcnn.nn."""
    return layers.Sequential(
        layers.Conv2d(1, 8, 3, padding=1),
        layers.BatchNorm2d(8),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(8, 16, 3, stride=2),
        layers.BatchNorm2d(16),
        layers.ReLU(),
        layers.AvgPool2d(2),
        layers.Flatten(),
        layers.Linear(16 * 3 * 3, 10),
    )


def xavier(model: Any) -> Any:
    """d2l's initialisation, without which a LeNet of sigmoids learns nothing in one epoch."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.xavier_uniform_(module.weight)
    return model


def batches(dataset: data.ImageDataset, steps: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(steps, size, h, w, c) images in 0..1 as float64, and labels, in a fixed random order."""
    order = np.random.default_rng(0).permutation(len(dataset))
    rows = np.resize(order, (steps, size))
    return dataset.images[rows] / 255, dataset.labels[rows]


def run_all(
    make_torch: Callable[[], Any], model: Any, images: np.ndarray, labels: np.ndarray, **sgd: Any
) -> dict[str, Trajectory]:
    """The run in both libraries and both precisions, all from the same weights."""
    torch.manual_seed(0)
    start = {name: value.numpy().copy() for name, value in make_torch().state_dict().items()}

    def from_start() -> Any:
        twin = make_torch()
        twin.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
        return twin

    runs = {}
    for dtype in ("float32", "float64"):
        runs[f"torch {dtype}"] = in_torch(from_start, images, labels, dtype, **sgd)
        with jax.enable_x64(dtype == "float64"):
            runs[f"jaxcnn {dtype}"] = in_jaxcnn(model, start, images, labels, dtype, **sgd)
    return runs


def assert_parity(runs: dict[str, Trajectory], at_least: int) -> None:
    """float64 within 1e-9 to the end; float32 within 1e-4 while PyTorch agrees with itself."""
    assert_equal_runs(runs["jaxcnn float64"], runs["torch float64"], 1e-9)
    steps = stable_steps(runs["torch float32"], runs["torch float64"])
    assert steps >= at_least, f"the float32 comparison must not be empty, got {steps} steps"
    ours, theirs = runs["jaxcnn float32"].losses[:steps], runs["torch float32"].losses[:steps]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=0)


@pytest.mark.shared_data
@needs_shared
def test_lenet_on_fashion_mnist(pytestconfig: pytest.Config) -> None:
    """An epoch with --full, less than half of one without."""
    dataset = data.load("fashion_mnist", "train", raw_dir=SHARED / "fashion_mnist")
    steps = 235 if pytestconfig.getoption("full") else 100
    images, labels = batches(dataset, steps=steps, size=256)
    runs = run_all(lambda: xavier(torch_lenet(torch.nn)), models.lenet(), images, labels, lr=0.9)
    assert_parity(runs, at_least=50)


@pytest.mark.parametrize(
    "sgd",
    [
        pytest.param(dict(momentum=0.9, dampening=0.1, weight_decay=5e-4), id="dampening"),
        pytest.param(dict(momentum=0.9, nesterov=True, weight_decay=5e-4), id="nesterov"),
    ],
)
def test_batch_norm_net(sgd: dict[str, Any]) -> None:
    dataset = data.load("digits", "train").resize(28)
    images, labels = batches(dataset, steps=100, size=32)
    model = batch_norm_net(nn)
    runs = run_all(lambda: batch_norm_net(torch.nn), model, images, labels, lr=0.05, **sgd)
    assert_parity(runs, at_least=5)
    counters = [k for k in runs["jaxcnn float64"].state_dict if k.endswith("num_batches_tracked")]
    assert [int(runs["jaxcnn float64"].state_dict[k]) for k in counters] == [100, 100]


@pytest.mark.shared_data
@needs_shared
def test_cifar10_quick_seed() -> None:
    dataset = data.load("cifar10", "test", raw_dir=SHARED / "cifar10").take(1000)
    images, labels = dataset.images[:, None] / 255, dataset.labels[:, None]
    torch.manual_seed(0)
    twin = torch_tudui(torch.nn)
    start = {name: value.numpy().copy() for name, value in twin.state_dict().items()}
    theirs = in_torch(lambda: twin, images, labels, "float32", lr=0.01)
    ours = in_jaxcnn(models.cifar10_quick(), start, images, labels, "float32", lr=0.01)
    sums = [run.losses.reshape(10, 100).sum(axis=1) for run in (ours, theirs)]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-3)


def test_the_comparison_sees_a_difference() -> None:
    value = np.array([1.0, -2.0])
    assert relative_error(value, value) == 0
    assert relative_error(value + 1e-8, value) == pytest.approx(5e-9)
