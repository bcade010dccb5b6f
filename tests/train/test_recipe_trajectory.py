"""A whole modern recipe step by step against live PyTorch, on real images.

AdamW, warm-up and cosine, clipping, label smoothing and the average of the parameters.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest

import jaxcnn
from jaxcnn import data, models, optim, train
from jaxcnn import functional as F
from tests.models.twins import cifar_resnet

from .twins import relative_error

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.torch,
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data"),
]

STEPS, CHUNK = 200, 25
LR, WARM_UP, DECAY, SMOOTHING, EMA = 1e-3, 20, 0.05, 0.1, 0.99


@dataclasses.dataclass(frozen=True)
class Run:
    """Every step's loss, and at the end the model's and the average's state_dict."""

    losses: np.ndarray
    state_dict: dict[str, np.ndarray]
    ema: dict[str, np.ndarray]


def in_torch(start: Any, images: np.ndarray, labels: np.ndarray, dtype: str) -> Run:
    model = cifar_resnet((3, 3, 3)).to(getattr(torch, dtype))
    model.load_state_dict({name: torch.from_numpy(value) for name, value in start.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=WARM_UP)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS - WARM_UP)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], [WARM_UP])
    averaged = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA)
    )
    losses = []
    for x, y in zip(images, labels, strict=True):
        x = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2).astype(dtype)))
        y = torch.from_numpy(y.astype(np.int64))
        loss = torch.nn.functional.cross_entropy(model(x), y, label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(model)
        losses.append(loss.item())
    arrays = lambda module: {name: value.numpy() for name, value in module.state_dict().items()}
    return Run(np.array(losses), arrays(model), arrays(averaged.module))


def in_jaxcnn(start: Any, images: np.ndarray, labels: np.ndarray, dtype: str) -> Run:
    model = models.create("resnet20")
    warm_up = optim.linear_lr(LR, 0.1, total_iters=WARM_UP)
    cosine = optim.cosine_annealing_lr(LR, T_max=STEPS - WARM_UP)
    schedule = optim.sequential_lr([warm_up, cosine], [WARM_UP])
    tx = optax.chain(optim.clip_grad_norm(1.0), optim.adamw(schedule, weight_decay=DECAY))
    images = images.astype(dtype)
    like = jax.eval_shape(model.init, jax.random.key(0), images[0])
    like = jax.tree.map(lambda x: x.update(dtype=dtype) if x.dtype == "float32" else x, like)
    variables = jaxcnn.to_variables(start, like)
    state = train.create_state(
        model, tx, jax.random.key(0), images[0], variables=variables, ema=True
    )
    loss_fn = functools.partial(F.cross_entropy, label_smoothing=SMOOTHING)
    steps = jax.jit(train.scan_steps(train.make_train_step(loss_fn, ema=EMA)), donate_argnums=0)
    losses = []
    for i in range(0, len(images), CHUNK):
        batches = {"image": images[i : i + CHUNK], "label": labels[i : i + CHUNK]}
        state, metrics = steps(state, batches)
        losses.append(np.asarray(metrics["loss"]))
    return Run(
        np.concatenate(losses),
        jaxcnn.to_state_dict(state.variables),
        jaxcnn.to_state_dict(state.averaged.variables),
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread of PyTorch: on busy processors more wait for each other in each small layer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def start_and_batches(steps: int, batch: int) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    dataset = data.load("cifar10", "test", raw_dir=SHARED / "cifar10").take(steps * batch)
    images = (dataset.images / 255 - 0.5) / 0.25
    torch.manual_seed(0)
    start = cifar_resnet((3, 3, 3)).state_dict()
    return (
        {name: value.numpy().copy() for name, value in start.items()},
        images.reshape(steps, batch, 32, 32, 3),
        dataset.labels.reshape(steps, batch),
    )


def test_float64_equals_torch(one_thread: None) -> None:
    program = start_and_batches(STEPS, 4)
    theirs = in_torch(*program, "float64")
    with jax.enable_x64(True):
        ours = in_jaxcnn(*program, "float64")
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-8, atol=0)
    for name in ("state_dict", "ema"):
        actual, expected = getattr(ours, name), getattr(theirs, name)
        assert actual.keys() == expected.keys()
        for key, value in expected.items():
            assert relative_error(actual[key], value) <= 1e-8, (name, key)
    moved = relative_error(theirs.ema["conv1.weight"], theirs.state_dict["conv1.weight"])
    assert moved > 1e-3, "the average must differ from the parameters"
    assert theirs.losses[-20:].mean() < theirs.losses[:20].mean(), "the recipe must train"


def test_float32_equals_torch_while_its_own_rounding_allows(one_thread: None) -> None:
    """Where a pixel is near ReLU's kink, rounding chooses the side, and the runs part.

    Ours may meet such a pixel a few steps earlier, so PyTorch's own error is to be ten times less.
    """
    program = start_and_batches(CHUNK, 16)
    exact, single = (in_torch(*program, dtype).losses for dtype in ("float64", "float32"))
    apart = np.abs(single / exact - 1) > 1e-4
    steps = int(np.argmax(apart)) if apart.any() else CHUNK
    assert steps >= 8, f"the comparison must not be empty, got {steps} steps"
    ours = in_jaxcnn(*program, "float32").losses
    np.testing.assert_allclose(ours[:steps], single[:steps], rtol=1e-3, atol=0)
