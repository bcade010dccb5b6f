"""One step on eight simulated devices against the same step on one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import models, nn, optim, train

DEVICES = 8
BATCH = 64


def batch(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, *shape)).astype(np.float32)
    return {"image": images, "label": rng.integers(0, 10, BATCH).astype(np.int32)}


def batch_norm_net(norm: Any = nn.BatchNorm2d, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=bias), norm(4), nn.ReLU(), nn.MaxPool2d(4),
        nn.Flatten(), nn.Linear(4 * 2 * 2, 10),
    )  # fmt: skip


def new_state(model: Any, data: dict[str, np.ndarray]) -> train.TrainState:
    tx = optim.sgd(0.1, momentum=0.9, weight_decay=1e-4)
    return train.create_state(model, tx, jax.random.key(0), data["image"])


def assert_close(actual: Any, expected: Any, limit: float) -> None:
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        scale = max(float(np.abs(e).max()), 1e-3)
        assert float(np.abs(np.asarray(a) - np.asarray(e)).max()) <= limit * scale


@pytest.fixture(autouse=True)
def eight_devices() -> None:
    assert jax.local_device_count() == DEVICES, "tests/conftest.py asks for eight devices"


@pytest.mark.parametrize("strategy", ["pmap", "jit"])
def test_without_batch_norm_devices_do_not_change_the_step(strategy: str) -> None:
    data = batch((28, 28, 1))
    step = train.make_train_step()
    model = models.lenet(activation="relu", pool="max")
    expected, expected_metrics = jax.jit(step)(new_state(model, data), data)
    actual, metrics = train.parallelize(step, strategy)(new_state(model, data), data)
    assert_close(actual.params, expected.params, 1e-6)
    assert_close(actual.opt_state, expected.opt_state, 1e-6)
    assert int(metrics["count"]) == BATCH
    assert int(metrics["correct"]) == int(expected_metrics["correct"])
    assert float(metrics["loss"]) == pytest.approx(float(expected_metrics["loss"]), rel=1e-6)


def test_under_pmap_batch_norm_is_per_device() -> None:
    data = batch((8, 8, 1))
    model = batch_norm_net()
    shards = [
        {name: values[i : i + BATCH // DEVICES] for name, values in data.items()}
        for i in range(0, BATCH, BATCH // DEVICES)
    ]
    # With this optimiser a step's change of the parameters is its gradient.
    tell = optax.GradientTransformation(lambda params: (), lambda grads, state, _: (grads, state))
    start = train.create_state(model, tell, jax.random.key(0), data["image"])
    one_device = jax.jit(train.make_train_step())
    alone = [one_device(start, shard) for shard in shards]
    mean = jax.tree.map(
        lambda old, *new: sum(n - old for n in new) / DEVICES,
        start.params,
        *[state.params for state, _ in alone],
    )
    state = new_state(model, data)
    updates, _ = state.tx.update(mean, state.opt_state, state.params)
    expected = jax.tree.map(jnp.add, state.params, updates)

    actual, metrics = train.parallelize(train.make_train_step())(state, data)
    assert_close(actual.params, expected, 1e-5)  # the gradients are differences of parameters
    assert_close(actual.batch_stats, alone[0][0].batch_stats, 1e-6)  # as in DDP
    losses = [float(metrics["loss"]) for _, metrics in alone]
    assert float(metrics["loss"]) == pytest.approx(np.mean(losses), rel=1e-6)


def test_under_jit_batch_norm_sees_the_whole_batch() -> None:
    data = batch((8, 8, 1))
    model = batch_norm_net()
    expected, _ = jax.jit(train.make_train_step())(new_state(model, data), data)
    actual, _ = train.parallelize(train.make_train_step(), "jit")(new_state(model, data), data)
    assert_close(actual.params, expected.params, 1e-6)
    assert_close(actual.batch_stats, expected.batch_stats, 1e-6)


def test_fifty_steps_agree_on_one_device_and_on_eight() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(50, BATCH, 8, 8, 1)).astype(np.float32)
    data = {"image": images, "label": rng.integers(0, 10, (50, BATCH)).astype(np.int32)}
    steps = train.scan_steps(train.make_train_step())

    def run(strategy: str, devices: int, norm: Any) -> Any:
        # A bias before BatchNorm has no gradient but rounding.
        state = new_state(batch_norm_net(norm, bias=False), {"image": images[0]})
        step = train.parallelize(
            steps, strategy, devices=jax.local_devices()[:devices], batch_axis=1
        )
        state, metrics = step(state, data)
        return state.params, state.batch_stats, state.opt_state, metrics["loss"]

    one = run("jit", 1, nn.BatchNorm2d)
    assert np.abs(np.asarray(one[-1]) - np.asarray(one[-1])[0]).max() > 0.1  # it did train
    assert_close(run("jit", DEVICES, nn.BatchNorm2d), one, 1e-5)
    assert_close(run("pmap", DEVICES, nn.SyncBatchNorm), one, 1e-5)


@pytest.mark.parametrize("strategy", ["pmap", "jit"])
def test_scanned_steps_equal_single_steps(strategy: str) -> None:
    data = batch((8, 8, 1))
    model, step = batch_norm_net(), train.make_train_step()
    single = train.parallelize(step, strategy, donate=False)
    expected = new_state(model, data)
    for _ in range(3):
        expected, _ = single(expected, data)
    several = train.parallelize(train.scan_steps(step), strategy, batch_axis=1)
    stacked = {name: np.stack([values] * 3) for name, values in data.items()}
    actual, metrics = several(new_state(model, data), stacked)
    assert_close(actual.params, expected.params, 1e-6)
    assert metrics["loss"].shape == (3,)
    assert int(actual.step) == 3


def dropped(images: jax.Array, rng: jax.Array) -> jax.Array:
    """Dropout as an augmentation."""
    return 2 * images * jax.random.bernoulli(rng, 0.5, images.shape)


@pytest.mark.parametrize(
    ("layers", "augment"),
    [
        pytest.param([nn.Dropout(0.5)], None, id="dropout"),
        pytest.param([nn.Identity()], dropped, id="augment"),
    ],
)
def test_random_numbers_differ_between_devices_and_steps(layers: Any, augment: Any) -> None:
    def masks(state: train.TrainState) -> Any:
        def loss_fn(logits: jax.Array, labels: jax.Array) -> jax.Array:
            return jnp.sum(logits)

        step = train.make_train_step(loss_fn, augment=augment)
        return train.parallelize(step, donate=False)(state, data)

    data = {"image": np.ones((DEVICES, 64), np.float32), "label": np.zeros(DEVICES, np.int32)}
    model = nn.Sequential(*layers, nn.Linear(64, 10, bias=False))
    state, _ = masks(train.create_state(model, optim.sgd(1.0), jax.random.key(0), data["image"]))
    # The gradient of each weight is the mean over devices of its input's mask: with one mask on
    # all devices it could only be 0 or 2.
    first = train.create_state(model, optim.sgd(1.0), jax.random.key(0), data["image"])
    gradient = np.asarray(first.params["1"]["weight"] - state.params["1"]["weight"])[0]
    assert len(np.unique(gradient.round(3))) > 2
    again, _ = masks(state)
    next_gradient = np.asarray(state.params["1"]["weight"] - again.params["1"]["weight"])[0]
    assert not np.allclose(gradient, next_gradient, atol=1e-3)


def test_augmentation_changes_the_stored_images() -> None:
    def negative(images: jax.Array, rng: jax.Array) -> jax.Array:
        assert images.dtype == "uint8"
        return 255 - images

    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8)
    labels = np.zeros(8, np.int32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    state = train.create_state(model, optim.sgd(0.1), jax.random.key(0), images)
    step = train.make_train_step(augment=negative)
    _, actual = jax.jit(step)(state, {"image": images, "label": labels})
    _, expected = jax.jit(train.make_train_step())(state, {"image": 255 - images, "label": labels})
    assert float(actual["loss"]) == float(expected["loss"])


def test_a_donated_state_is_gone() -> None:
    data = batch((8, 8, 1))
    state = new_state(batch_norm_net(), data)
    step = train.parallelize(train.make_train_step(), devices=jax.local_devices()[:1])
    state, _ = step(state, data)
    old = state
    step(state, data)
    assert jax.tree.leaves(old.params)[0].is_deleted()


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"parallelize: .* got strategy='pjit'"):
        train.parallelize(train.make_train_step(), "pjit")
    data = {name: values[:12] for name, values in batch((8, 8, 1)).items()}
    step = train.parallelize(train.make_train_step())
    with pytest.raises(ValueError, match=r"divide evenly among the devices, got batch=12"):
        step(new_state(batch_norm_net(), data), data)
    with pytest.raises(ValueError, match=r"divide evenly among the devices, got batch=12"):
        step.local_part(data)


def test_with_one_process_its_part_is_the_batch() -> None:
    data = batch((8, 8, 1))
    step = train.parallelize(train.make_train_step())
    assert step.devices == train.all_devices() == jax.devices()
    part = step.local_part(data)
    np.testing.assert_array_equal(part["image"], data["image"])
