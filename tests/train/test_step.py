"""Settings of the training step: what each changes, alone and together."""

from __future__ import annotations

from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import functional as F
from jaxcnn import nn, optim, train
from jaxcnn.train.precision import grad_scaler

IMAGES = np.random.RandomState(0).normal(size=(8, 6)).astype(np.float32)
BATCH = {"image": IMAGES, "label": np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)}
NAN = {**BATCH, "image": np.where(np.arange(6) == 3, np.nan, IMAGES).astype(np.float32)}
TX = optim.sgd(0.1, momentum=0.9, weight_decay=0.1)


def new_state(*layers: Any, tx: Any = TX, **settings: Any) -> train.TrainState:
    model = nn.Sequential(*(layers or (nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))))
    # Not the model's own initialisation, which takes longer to compile than all the rest.
    rng = np.random.RandomState(1)
    draw = lambda x: np.asarray(rng.uniform(0.1, 1.0, x.shape), x.dtype)
    variables = jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0), IMAGES))
    return train.create_state(model, tx, jax.random.key(0), IMAGES, variables=variables, **settings)


def make_step(state: train.TrainState, batch: Any, **settings: Any) -> Any:
    return jax.jit(train.make_train_step(**settings))(state, batch)


def assert_same(actual: Any, expected: Any) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, e)


def assert_close(actual: Any, expected: Any) -> None:
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)


def changes(state: train.TrainState) -> tuple[Any, ...]:
    """What a skipped step leaves as it was."""
    return state.params, state.batch_stats, state.opt_state, state.ema


def test_what_is_not_asked_for_has_no_leaves() -> None:
    state = new_state()
    arrays = (state.step, state.params, state.batch_stats, state.opt_state, state.rng)
    assert len(jax.tree.leaves(state)) == len(jax.tree.leaves(arrays))
    assert state.averaged is state


def test_the_average_of_the_parameters() -> None:
    state = new_state(ema=True)
    step = jax.jit(train.make_train_step(ema=0.75), donate_argnums=0)
    seen = []
    for _ in range(3):
        state, _ = step(state, BATCH)
        seen.append(jax.device_get(state.params))
    expected = jax.tree.map(lambda a, b, c: 0.75 * (0.75 * a + 0.25 * b) + 0.25 * c, *seen)
    assert_close(state.averaged.variables["params"], expected)
    assert_same(state.averaged.variables["batch_stats"], state.batch_stats)
    assert int(state.ema.n_averaged) == 3  # type: ignore[union-attr]


def swap(images: jax.Array, labels: jax.Array, rng: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mixes each image with a random other one, in equal parts."""
    other = jax.random.permutation(rng, len(images))
    soft = jax.nn.one_hot(labels, 3)
    return (images + images[other]) / 2, (soft + soft[other]) / 2


def test_mixed_images_and_soft_labels() -> None:
    seen = []

    def loss_fn(logits: jax.Array, targets: jax.Array) -> jax.Array:
        seen.append(targets.shape)
        return F.cross_entropy(logits, targets)

    state = new_state(nn.Linear(6, 3))
    _, metrics = make_step(state, BATCH, loss_fn=loss_fn, mix=swap)
    assert seen == [(8, 3)]
    _, mix_rng = jax.random.split(jax.random.fold_in(state.rng, 0))
    images, soft = swap(jnp.array(IMAGES), jnp.array(BATCH["label"]), mix_rng)
    logits = state.apply_fn(state.variables, images)
    assert float(metrics["loss"]) == pytest.approx(float(F.cross_entropy(logits, soft)), rel=1e-6)
    assert int(metrics["correct"]) == int((logits.argmax(-1) == BATCH["label"]).sum())


@pytest.mark.parametrize("part", ["image", "loss"])
def test_a_step_that_is_not_finite_is_skipped(part: str) -> None:
    # The logarithm of 0 has an infinite value and here no gradient.
    infinite = lambda logits, labels: F.cross_entropy(logits, labels) - jnp.log(0.0 * labels.sum())
    settings = {"loss_fn": infinite} if part == "loss" else {}
    state, bad = new_state(ema=True), BATCH if part == "loss" else NAN
    after, metrics = make_step(state, bad, nonfinite="skip", ema=0.9, **settings)
    assert_same(changes(after), changes(state))
    assert (int(after.step), int(metrics["skipped"])) == (1, 1)


def test_a_step_that_is_not_finite_is_kept_by_default() -> None:
    after, metrics = make_step(new_state(), NAN)
    assert "skipped" not in metrics
    assert np.isnan(metrics["loss"])
    assert np.isnan(after.params["0"]["weight"]).any()


def test_a_finite_step_is_not_skipped() -> None:
    state = new_state()
    after, metrics = make_step(state, BATCH, nonfinite="skip")
    expected, _ = make_step(state, BATCH)
    assert int(metrics["skipped"]) == 0
    assert_close(changes(after), changes(expected))


def test_micro_batches_have_masks_of_their_own_and_one_update() -> None:
    tell = optax.GradientTransformation(lambda params: (), lambda grads, state, _: (grads, state))
    state = new_state(nn.Dropout(0.5), nn.Linear(6, 3, bias=False), tx=tell)
    ones = {"image": np.ones((8, 6), np.float32), "label": BATCH["label"]}
    linear = lambda logits, labels: logits.sum(-1).mean()
    after, metrics = make_step(state, ones, loss_fn=linear, accumulate=8)
    (grads,) = jax.tree.leaves(jax.tree.map(jnp.subtract, after.params, state.params))
    # Each micro-batch is one image: with one mask for all the gradient would be 0 or 2.
    assert set(np.round(np.asarray(grads)[0] * 4).tolist()) - {0.0, 8.0}
    assert (int(metrics["count"]), int(after.step)) == (8, 1)


def test_micro_batches_without_batch_norm_change_nothing() -> None:
    state = new_state(nn.Linear(6, 3))
    expected, expected_metrics = make_step(state, BATCH)
    actual, metrics = make_step(state, BATCH, accumulate=4)
    assert_close((changes(actual), metrics), (changes(expected), expected_metrics))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_layers_compute_in_the_precision(precision: str) -> None:
    seen: dict[str, str] = {}

    class Linear(nn.Linear):
        def __call__(self, input: Any) -> jax.Array:
            output = super().__call__(input)
            seen["linear"] = f"{input.dtype} {self.variables['params']['bias'].dtype}"
            return output

    class Net(flax.linen.Module):
        @flax.linen.compact
        def __call__(self, x: Any, train: bool = False) -> jax.Array:
            seen["input"] = str(x.dtype)
            x = nn.BatchNorm1d(4, name="bn")(nn.Linear(6, 4, name="a")(x), train)
            seen["norm"] = str(x.dtype)
            seen["scale"] = str(self.variables["params"]["bn"]["weight"].dtype)
            x = x * self.param("gain", jax.nn.initializers.ones, (4,))
            return Linear(4, 3, name="b")(x)

    def loss_fn(logits: jax.Array, labels: jax.Array) -> jax.Array:
        seen["logits"] = str(logits.dtype)
        return F.cross_entropy(logits, labels)

    scale = grad_scaler() if precision == "float16" else None
    state = train.create_state(Net(), TX, jax.random.key(0), IMAGES, loss_scale=scale)
    step = train.make_train_step(loss_fn, precision=precision)
    after, metrics = jax.eval_shape(step, state, BATCH)
    assert seen == {
        "input": precision,
        "norm": precision,
        "scale": "float32",
        "linear": f"{precision} {precision}",
        "logits": "float32",
    }
    assert metrics["loss"].dtype == "float32"
    types = lambda state: jax.tree.map(lambda x: x.dtype, state)
    assert types(after) == types(state)


def test_one_device_that_overflows_lowers_the_scale_of_all() -> None:
    devices = jax.local_devices()[:2]
    state = new_state(nn.Linear(6, 3), loss_scale=grad_scaler(init_scale=8.0), ema=True)
    bad = {**BATCH, "image": np.where(np.arange(8)[:, None] < 6, IMAGES, np.inf)}
    step = train.make_train_step(
        precision="float16", nonfinite="skip", accumulate=2, ema=0.9, frozen="bias$"
    )
    several = train.parallelize(step, devices=devices, donate=False)
    for batch, scale, skipped in ((BATCH, 8.0, 0), (bad, 4.0, 1)):
        before = state
        state, metrics = several(state, batch)
        assert (float(state.loss_scale.scale), int(metrics["skipped"])) == (scale, skipped)
        assert np.array_equal(state.params["0"]["weight"], before.params["0"]["weight"]) == skipped
        assert np.array_equal(state.params["0"]["bias"], before.params["0"]["bias"])
        assert int(state.ema.n_averaged) == 1  # type: ignore[union-attr]
        assert int(metrics["count"]) == 8


def test_frozen_layers_evaluate_and_have_neither_gradient_nor_decay() -> None:
    tx = optim.sgd(0.1, momentum=0.9, weight_decay=0.1)
    inner = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    state = new_state(inner, nn.Linear(4, 3), tx=tx)
    after, metrics = make_step(state, BATCH, frozen=r"^0\.")
    expected = F.cross_entropy(state.apply_fn(state.variables, IMAGES), BATCH["label"])
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-6)
    assert_same((after.params["0"], after.batch_stats), (state.params["0"], state.batch_stats))
    momentum = optax.tree_utils.tree_get(after.opt_state, "momentum_buffer")
    assert not any(leaf.any() for leaf in jax.tree.leaves(momentum["0"]))
    assert all(leaf.any() for leaf in jax.tree.leaves(momentum["1"]))


def test_a_norm_whose_statistics_are_not_named_still_trains_them() -> None:
    after, _ = make_step(state := new_state(), BATCH, frozen=r"^1\.(weight|bias)$")
    assert_same(after.params["1"], state.params["1"])
    assert int(after.batch_stats["1"]["num_batches_tracked"]) == 1


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"precision": "half"}, ValueError, r"precision must be one of .* got precision='half'"),
        ({"nonfinite": "stop"}, ValueError, r"must be one of .* got nonfinite='stop'"),
        ({"accumulate": 0}, ValueError, "accumulate must be at least 1, got accumulate=0"),
        ({"accumulate": 2.0}, TypeError, "accumulate must be an int, got accumulate=2.0"),
        ({"ema": 1.5}, ValueError, "ema must be from 0 to 1, got ema=1.5"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_errors(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"make_train_step: {message}"):
        train.make_train_step(**settings)


@pytest.mark.parametrize(
    ("state", "settings", "message"),
    [
        ({}, {"accumulate": 3}, "must divide evenly .* got batch=8, accumulate=3"),
        ({}, {"ema": 0.9}, r"an average if and only if .* got ema=0.9; use create_state\("),
        ({"ema": True}, {}, r"an average if and only if .* got ema=None"),
        ({}, {"precision": "float16"}, r"a loss_scale if and only if .* got precision='float16'"),
        ({"loss_scale": grad_scaler()}, {}, "a loss_scale if and only .* got precision='float32'"),
        ({}, {"frozen": "^conv"}, r"match a parameter, got frozen='\^conv'; the first names are"),
        ({}, {"frozen": "."}, "must leave a parameter to train, got frozen='.'"),
    ],
    ids=lambda value: str(list(value)) if isinstance(value, dict) else "",
)
def test_errors_before_compilation(
    state: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    step = train.make_train_step(**settings)
    made = new_state(nn.Linear(6, 3), **state)
    with pytest.raises(ValueError, match=f"make_train_step: .*{message}"):
        jax.eval_shape(step, made, BATCH)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"init_scale": 0}, ValueError, "init_scale must be positive, got init_scale=0"),
        (
            {"growth_factor": 1.0},
            ValueError,
            "growth_factor must be above 1, got growth_factor=1.0",
        ),
        ({"backoff_factor": 1.0}, ValueError, "backoff_factor must be between 0 and 1"),
        ({"growth_interval": 0}, ValueError, "growth_interval must be at least 1"),
        ({"growth_interval": 1.5}, TypeError, "growth_interval must be an int"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_errors_of_the_grad_scaler(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"grad_scaler: {message}"):
        grad_scaler(**settings)
