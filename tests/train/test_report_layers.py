"""Histograms, kernels and feature maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import models, nn, optim, train
from jaxcnn.train.report import LayerHistograms, commands, layer_histograms, write_inspection
from tests.train.reports import DIGITS, finished

MODEL = nn.Sequential(nn.Conv2d(1, 2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))
BATCH = {"image": DIGITS.images[:8], "label": DIGITS.labels[:8]}


@pytest.fixture(scope="module")
def state() -> train.TrainState:
    return train.create_state(MODEL, optim.sgd(0.1), jax.random.key(0), DIGITS.images[:1])


@pytest.fixture(scope="module")
def measured(state: train.TrainState) -> LayerHistograms:
    return layer_histograms(state, BATCH)


def test_activations_are_those_of_the_layers(
    state: train.TrainState, measured: LayerHistograms
) -> None:
    found = measured.activations
    assert found.names == ("0", "1", "2", "3")
    weight, bias = (state.params["0"][name] for name in ("weight", "bias"))
    output = np.asarray(F.conv2d(jnp.asarray(BATCH["image"]) / 255, weight, bias, stride=3))
    np.testing.assert_allclose(found.ranges[0], [output.min(), output.max()], rtol=1e-5)
    # Rounding may move a value at the edge of a bin to the other side.
    expected, _ = np.histogram(output, found.counts.shape[1])
    assert np.abs(found.counts[0] - expected).sum() <= 4
    assert found.counts.sum(axis=1).tolist() == [8 * 128, 8 * 128, 8 * 128, 80]
    np.testing.assert_allclose(found.zeros[1], np.mean(output <= 0), atol=0.01)


def test_gradients_are_those_of_the_loss(
    state: train.TrainState, measured: LayerHistograms
) -> None:
    def loss(params: Any) -> jax.Array:
        logits = MODEL.apply({"params": params}, jnp.asarray(BATCH["image"]) / 255)
        return F.cross_entropy(logits, jnp.asarray(BATCH["label"]))

    grads = jax.jit(jax.grad(loss))(state.params)
    found = measured.gradients
    assert found.names == ("0.bias", "0.weight", "3.bias", "3.weight")
    expected = [grads[layer][name] for layer, name in (key.split(".") for key in found.names)]
    ranges = [[float(g.min()), float(g.max())] for g in expected]
    np.testing.assert_allclose(found.ranges, ranges, rtol=1e-4)
    assert found.counts.sum(axis=1).tolist() == [g.size for g in expected]


def test_histograms_come_back(measured: LayerHistograms, tmp_path: Path) -> None:
    assert measured.write(tmp_path / "run") == tmp_path / "run" / "histograms.npz"
    read = LayerHistograms.read(tmp_path / "run" / "histograms.npz")
    assert read.gradients.names == measured.gradients.names
    for name in ("counts", "ranges", "zeros", "nonfinite"):
        np.testing.assert_array_equal(
            getattr(read.activations, name), getattr(measured.activations, name)
        )


def test_values_that_are_not_finite_are_counted_apart(state: train.TrainState) -> None:
    image = (DIGITS.images[:8] / 255).astype(np.float32)
    image[:2] = np.nan
    found = layer_histograms(state, {**BATCH, "image": image})
    assert found.activations.nonfinite[0] == 0.25
    assert found.activations.counts[0].sum() == 6 * 128
    assert found.gradients.nonfinite.tolist() == [1, 1, 1, 1]
    assert np.isnan(found.gradients.ranges).all()


def test_histograms_that_do_not_fit_each_other(measured: LayerHistograms, tmp_path: Path) -> None:
    path = measured.write(tmp_path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **{**arrays, "activations_names": np.array(["a"])})
    rule = r"^Histograms: there must be one for each of 1 names, got shapes=\[\(4, 48\)"
    with pytest.raises(ValueError, match=rule):
        LayerHistograms.read(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a LeNet with random weights."""
    path = finished(tmp_path_factory.mktemp("runs") / "run", model="lenet_relu")
    shapes = jax.eval_shape(models.lenet_relu().init, jax.random.key(0), jnp.ones((1, 28, 28, 1)))
    rng = np.random.default_rng(0)
    weights = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes)
    jaxcnn.write_state_dict(path / "model.safetensors", jaxcnn.to_state_dict(weights))
    return path


def test_a_run_is_drawn_from_its_files(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.inspect_run(run, images=2)
    assert capsys.readouterr().out == f"{run / 'kernels.png'}\n{run / 'features.png'}\n"
    for name in ("kernels.png", "features.png"):
        with Image.open(run / name) as picture:
            assert min(picture.size) > 100
            assert len(picture.convert("RGB").getcolors(1_000_000)) > 20


@pytest.mark.parametrize(
    ("settings", "images", "message"),
    [
        pytest.param(
            {}, 1, r"config\.json must say which model .*got keys=\['lr'\]; write", id="none"
        ),
        pytest.param({"model": ["lenet"]}, 1, r"config\.json must say which model", id="type"),
        pytest.param(
            {"model": "lenet", "model_options": [1]},
            1,
            r"must be an object, got .*=\[1\]",
            id="list",
        ),
        pytest.param({"model": "lenett"}, 1, r"unknown model, got name='lenett'", id="unknown"),
        pytest.param({"model": "lenet"}, 17, r"at most the 16 .*, got images=17", id="many"),
        pytest.param({"model": "lenet"}, 0, r"images must be at least 1, got images=0", id="0"),
    ],
)
def test_a_run_that_cannot_be_drawn(
    settings: dict[str, Any], images: int, message: str, tmp_path: Path
) -> None:
    path = finished(tmp_path / "run", **settings)
    with pytest.raises(ValueError, match=message):
        write_inspection(path, images)


def test_a_run_without_a_file(tmp_path: Path) -> None:
    path = finished(tmp_path / "run", model="lenet_relu")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        write_inspection(path)
    (path / "evaluation.npz").unlink()
    with pytest.raises(ValueError, match=r"must have finished.*evaluation\.npz is missing"):
        write_inspection(path)
    with pytest.raises(FileNotFoundError, match=r"^write_inspection: run must be a run folder"):
        write_inspection(tmp_path)


def test_weights_of_another_model(run: Path, tmp_path: Path) -> None:
    path = finished(tmp_path / "run", model="lenet_relu", model_options={"num_classes": 3})
    (path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match=r"fc3\.weight"):
        write_inspection(path)
