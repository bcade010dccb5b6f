"""The loop: repeatable, resumable, every image counted once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flax.linen
import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn import data, nn, optim, train
from jaxcnn import functional as F
from jaxcnn.train import feed

DIGITS = data.load("digits", "train").take(150)
TEST = data.load("digits", "test").take(50)
ONE = jax.local_devices()[:1]


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(36, 10),
    )  # fmt: skip


def new_state(seed: int = 0) -> train.TrainState:
    tx = optim.sgd(0.1, momentum=0.9)
    return train.create_state(model(), tx, jax.random.key(seed), DIGITS.images[:1])


def fit(epochs: int = 3, **settings: Any) -> tuple[train.TrainState, list[dict[str, Any]]]:
    settings = {"batch_size": 50, "devices": ONE, **settings}
    return train.fit(new_state(), DIGITS, epochs=epochs, **settings)


@pytest.fixture(scope="module")
def baseline() -> tuple[train.TrainState, list[dict[str, Any]]]:
    """An uninterrupted run that others are compared with."""
    return fit()


def timeless(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    timed = ("seconds", "images_per_second", "compile_seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in history]


def assert_identical(a: train.TrainState, b: train.TrainState) -> None:
    for x, y in zip(jax.tree.leaves(a.variables), jax.tree.leaves(b.variables), strict=True):
        np.testing.assert_array_equal(x, y)


def test_learns_and_reports_each_epoch() -> None:
    rows = []
    state, history = fit(epochs=12, on_epoch=rows.append, test_set=TEST)
    assert rows == history
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert int(state.step) == history[-1]["step"] == 12 * 3
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert history[-1]["test_accuracy"] > 0.7


def test_the_same_seed_gives_bit_identical_metrics(baseline: Any) -> None:
    state, history = baseline
    again, history_again = fit()
    assert timeless(history) == timeless(history_again)
    assert_identical(state, again)


def test_another_seed_gives_another_run(baseline: Any) -> None:
    assert timeless(fit(epochs=1, seed=1)[1]) != timeless(baseline[1][:1])


def test_steps_per_dispatch_change_nothing(baseline: Any) -> None:
    _, history = fit(steps_per_dispatch=2)
    for row, want in zip(history, baseline[1], strict=True):
        assert row["train_loss"] == pytest.approx(want["train_loss"], rel=1e-5)


def test_the_metrics_are_those_of_the_batches() -> None:
    """The first epoch by hand, one step at a time, the partial batch of 22 included."""
    step, state = train.parallelize(train.make_train_step(), devices=ONE), new_state()
    losses, correct, counts = [], 0, []
    for rows in data.epoch_batches(len(DIGITS), 32, seed=0, epoch=1):
        batch = {"image": DIGITS.images[rows], "label": DIGITS.labels[rows]}
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
        correct += int(metrics["correct"])
        counts.append(len(rows))
    _, history = fit(epochs=1, batch_size=32)
    assert counts == [32, 32, 32, 32, 22]
    assert history[0]["train_loss_sum"] == pytest.approx(sum(losses), rel=1e-5)
    assert history[0]["train_loss"] == pytest.approx(np.dot(losses, counts) / 150, rel=1e-5)
    assert round(history[0]["train_accuracy"] * 150) == correct


def test_a_resumed_run_is_bit_identical(tmp_path: Path, baseline: Any) -> None:
    state, history = baseline
    fit(epochs=1, run=train.RunFolder(tmp_path, {"lr": 0.1}))
    resumed, rows = fit(run=train.RunFolder(tmp_path, {"lr": 0.1}))
    assert timeless(rows) == timeless(history)
    assert_identical(state, resumed)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert timeless([json.loads(line) for line in lines]) == timeless(history)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    state, history = fit(epochs=1, run=train.RunFolder(tmp_path, {}))
    again, rows = fit(epochs=1, run=train.RunFolder(tmp_path, {}))
    assert rows == history
    assert_identical(state, again)


def test_a_resumed_run_must_keep_its_settings(tmp_path: Path) -> None:
    train.RunFolder(tmp_path, {"lr": 0.1, "epochs": 2}).write_metrics([])
    elsewhere = {"compilation_cache": "none", "strategy": "jit", "runs": tmp_path}
    train.RunFolder(tmp_path, {"lr": 0.1, "epochs": 5, **elsewhere}).write_metrics([])
    with pytest.raises(ValueError, match=r"keep the settings .*changed=\{'lr': \(0.1, 0.2\)\}"):
        train.RunFolder(tmp_path, {"lr": 0.2, "epochs": 5})
    assert json.loads((tmp_path / "config.json").read_text())["lr"] == 0.1
    with pytest.raises(FileNotFoundError, match=r"resume must be a run folder .*nothing"):
        train.RunFolder.open("x", {}, resume=tmp_path / "nothing")


def diverging(run: train.RunFolder | None, lr: Any, **settings: Any) -> None:
    state = train.create_state(model(), optim.sgd(lr), jax.random.key(0), DIGITS.images[:1])
    train.fit(state, DIGITS, epochs=9, batch_size=50, devices=ONE, run=run, **settings)


def test_a_loss_that_is_not_finite_names_its_step_and_images(tmp_path: Path) -> None:
    """The rate is raised to where the first steps are finite and a later one is not."""
    with pytest.raises(train.NonFiniteLossError, match=r"fit: the loss must be finite") as caught:
        diverging(None, 1e25)
    step = caught.value.step
    assert step in (2, 3)
    rows = data.epoch_batches(len(DIGITS), 50, seed=0, epoch=1)[step - 1]
    np.testing.assert_array_equal(caught.value.rows, rows)
    assert f"at step {step}, on the images [{rows[0]}, {rows[1]}, " in str(caught.value)

    run = train.RunFolder(tmp_path, {})
    with pytest.raises(train.NonFiniteLossError, match=r"the last good checkpoint is .*/1$"):
        diverging(run, 1e25, checkpoint_every=1)
    assert run.checkpoints.steps() == [1]


def test_parameters_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    run = train.RunFolder(tmp_path, {})
    rule = r"fit: the parameters must be finite, .* after step 1; the last good checkpoint is None"
    with pytest.raises(train.NonFiniteLossError, match=rule):
        diverging(run, lambda step: np.inf, checkpoint_every=1)
    assert run.checkpoints.steps() == []


@pytest.mark.parametrize("batch_size", [7, 50, 64])
@pytest.mark.parametrize("devices", [1, 8])
def test_evaluation_counts_each_image_once(batch_size: int, devices: int) -> None:
    state = new_state()
    logits = state.apply_fn(state.variables, TEST.images / np.float32(255))
    losses = F.cross_entropy(logits, TEST.labels, reduction="none")
    evaluate = train.Evaluator(
        train.make_eval_step(), batch_size=batch_size, devices=jax.local_devices()[:devices]
    )
    result = evaluate(state, TEST)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(result.predictions, np.argmax(logits, axis=-1))
    assert result.accuracy == np.mean(np.argmax(logits, axis=-1) == TEST.labels)
    means = [np.mean(losses[i : i + batch_size]) for i in range(0, 50, batch_size)]
    assert result.loss_sum == pytest.approx(np.sum(means), rel=1e-5)
    confusion = result.confusion(10)
    assert confusion.sum() == 50
    assert np.trace(confusion) == round(result.accuracy * 50)


def test_evaluation_in_several_dispatches_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    state = new_state()
    evaluate = train.Evaluator(train.make_eval_step(), batch_size=7, devices=ONE)
    whole = evaluate(state, TEST)
    # Two batches a dispatch: four dispatches for eight batches, the last of them filled up.
    monkeypatch.setattr(feed, "_PER_DISPATCH", {"cpu": (14, 2**30)})
    parts = train.Evaluator(train.make_eval_step(), batch_size=7, devices=ONE)(state, TEST)
    for name in ("losses", "predictions", "confidences"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    with pytest.raises(ValueError, match=r"Evaluator: batch_size must be at least 1, got .*=0"):
        train.Evaluator(train.make_eval_step(), batch_size=0)


class NoTrainFlag(flax.linen.Module):
    def __call__(self, x: Any) -> Any:
        return x


class Inner(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x: Any) -> Any:
        return nn.Linear(64, 10, name="b")(x.reshape(x.shape[0], -1))


class Clash(flax.linen.Module):
    """Two parameters whose dotted names are one: a.b.weight."""

    @flax.linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        nn.Linear(64, 10, name="a.b")(x.reshape(x.shape[0], -1))
        return Inner(name="a")(x)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"create_state: .*train=False, got model='NoTrainFlag'"):
        train.create_state(NoTrainFlag(), optim.sgd(0.1), jax.random.key(0), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"fit: epochs must be at least 1, got epochs=0"):
        fit(epochs=0)
    with pytest.raises(ValueError, match=r"got batch_size=12, devices=8"):
        fit(batch_size=12, devices=jax.local_devices())
    state = train.create_state(Clash(), optim.sgd(0.1), jax.random.key(0), DIGITS.images[:1])
    with pytest.raises(ValueError, match=r"dotted name of its own, got name='a.b"):
        train.Checkpoints(tmp_path).save(1, state, train.Progress())
    assert train.Checkpoints(tmp_path).restore(new_state())[1] == train.Progress()


def test_to_float_scales_bytes_alone() -> None:
    assert train.to_float(np.array([0, 255], np.uint8)).tolist() == [0.0, 1.0]
    assert train.to_float(np.array([7.0], np.float32)).tolist() == [7.0]


def test_report_writes_pictures_and_weights(tmp_path: Path) -> None:
    state, history = fit(epochs=1)
    evaluate = train.Evaluator(train.make_eval_step(), batch_size=50, devices=ONE)
    files = train.write_report(tmp_path, state, history, TEST, evaluate(state, TEST))
    assert [file.name for file in files] == [
        "curves.png", "confusion.png", "predictions.png", "model.safetensors", "evaluation.npz",
    ]  # fmt: skip
    from PIL import Image

    for file in files[:3]:
        with Image.open(file) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("L").getcolors()) > 10
    written = jaxcnn.read_state_dict(files[3])
    assert written.keys() == jaxcnn.to_state_dict(state.variables).keys()


def test_training_leaves_the_given_variables_alone() -> None:
    variables = model().init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32))
    tx = optim.sgd(0.1)
    state = train.create_state(
        model(), tx, jax.random.key(0), DIGITS.images[:1], variables=variables
    )
    state, _ = train.fit(state, DIGITS, epochs=1, batch_size=50, devices=ONE)
    before, after = variables["params"]["0"]["weight"], state.params["0"]["weight"]
    assert np.abs(np.asarray(before) - np.asarray(after)).max() > 0
    with pytest.raises(ValueError, match=r"variables must be those of the model, got differ=\["):
        train.create_state(
            model(), tx, jax.random.key(0), DIGITS.images[:1], variables={"params": {}}
        )


def test_a_checkpoint_moves_to_other_devices(tmp_path: Path) -> None:
    eight = fit(
        epochs=1, batch_size=80, devices=jax.local_devices(), run=train.RunFolder(tmp_path, {})
    )
    state, rows = fit(epochs=2, batch_size=80, run=train.RunFolder(tmp_path, {}))
    assert [row["epoch"] for row in rows] == [1, 2]
    assert int(state.step) == 2 * int(eight[0].step)


def test_to_float_refuses_other_integers() -> None:
    with pytest.raises(TypeError, match=r"to_float: images must be uint8 .* got dtype='uint16'"):
        train.to_float(np.zeros(2, np.uint16))


def test_even_devices_divide_the_batch() -> None:
    assert [len(train.even_devices(size)) for size in (1, 6, 64)] == [1, 6, 8]
    with pytest.raises(ValueError, match=r"batch_size must be at least 1, got batch_size=0"):
        train.even_devices(0)
