"""Loss layers: errors on construction, buffers, transforms."""

from __future__ import annotations

import re
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn

KEY = jax.random.key(0)
X = np.random.RandomState(0).standard_normal((3, 4)).astype(np.float32)
CLASSES = np.array([0, 3, 1])
CHANCE = np.random.RandomState(1).uniform(0.1, 0.9, (3, 4)).astype(np.float32)
WEIGHT = np.array([0.5, 1.0, 2.0, 4.0], np.float32)

LOSSES = [name for name in nn.__all__ if name.endswith("Loss")]
BUFFERED: dict[str, tuple[tuple[str, ...], Any, Any]] = {
    "BCELoss": (("weight",), CHANCE, CHANCE),
    "BCEWithLogitsLoss": (("weight", "pos_weight"), X, CHANCE),
    "CrossEntropyLoss": (("weight",), X, CLASSES),
    "MultiLabelSoftMarginLoss": (("weight",), X, CHANCE),
    "MultiMarginLoss": (("weight",), X, CLASSES),
    "NLLLoss": (("weight",), X, CLASSES),
}
BUILD_ERRORS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    (
        "CrossEntropyLoss",
        {"label_smoothing": 1.5},
        ValueError,
        "label_smoothing must be in 0..1, got label_smoothing=1.5.",
    ),
    ("SmoothL1Loss", {"beta": -1}, ValueError, "beta must not be negative, got beta=-1."),
    ("HuberLoss", {"delta": 0.0}, ValueError, "delta must be positive, got delta=0.0."),
    ("HuberLoss", {"delta": 1 + 0j}, TypeError, "delta must be a number, got delta=(1+0j)."),
    ("MultiMarginLoss", {"p": 3}, ValueError, "p must be 1 or 2, got p=3."),
    (
        "MultiMarginLoss",
        {"weight": np.ones((2, 2))},
        ValueError,
        "weight must be (classes,), got shape=(2, 2).",
    ),
    ("TripletMarginLoss", {"margin": 0}, ValueError, "margin must be positive, got margin=0."),
    (
        "TripletMarginWithDistanceLoss",
        {"margin": -1.0},
        ValueError,
        "margin must be positive, got margin=-1.0.",
    ),
]


@pytest.mark.parametrize("name", LOSSES)
def test_reduction_is_checked_on_construction(name: str) -> None:
    words = ("none", "mean", "sum") + ("batchmean",) * (name == "KLDivLoss")
    message = f"{name}: reduction must be one of {words}, got reduction='avg'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(nn, name)(reduction="avg")


@pytest.mark.parametrize(("name", "arguments", "error", "message"), BUILD_ERRORS)
def test_errors_on_construction(
    name: str, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'{name}: {message}')}$"):
        getattr(nn, name)(**arguments)


@pytest.mark.parametrize("name", BUFFERED)
def test_weights_are_buffers(name: str) -> None:
    buffers, x, y = BUFFERED[name]
    layer = getattr(nn, name)(**dict.fromkeys(buffers, WEIGHT))
    loss, variables = layer.init_with_output(KEY, x, y)
    assert list(variables) == ["buffers"]
    state = jaxcnn.to_state_dict(variables)
    assert set(state) == set(buffers)
    for value in state.values():
        np.testing.assert_array_equal(value, WEIGHT)
    assert layer.apply({}, x, y) == loss
    assert getattr(nn, name)().apply({}, x, y) != loss


@pytest.mark.parametrize("name", BUFFERED)
def test_loaded_buffers_win(name: str) -> None:
    """What a state_dict holds counts, as in PyTorch, not what the constructor was given."""
    buffers, x, y = BUFFERED[name]
    given, other = (getattr(nn, name)(**dict.fromkeys(buffers, w)) for w in (WEIGHT, WEIGHT**2))
    like = given.init(KEY, x, y)
    variables = jaxcnn.to_variables(dict.fromkeys(buffers, WEIGHT**2), like)
    assert given.apply(variables, x, y) == other.apply({}, x, y) != given.apply({}, x, y)


@pytest.mark.parametrize("name", [name for name in LOSSES if name in BUFFERED])
def test_no_weight_no_state(name: str) -> None:
    _, x, y = BUFFERED[name]
    assert getattr(nn, name)().init(KEY, x, y) == {}


def test_buffers_inside_a_model() -> None:
    class Classifier(linen.Module):
        @linen.compact
        def __call__(self, x: Any, y: Any) -> jax.Array:
            logits = nn.Linear(4, 4, name="fc")(x)
            return nn.CrossEntropyLoss(WEIGHT, name="criterion")(logits, y)

    model = Classifier()
    variables = model.init(KEY, X, CLASSES)
    state = jaxcnn.to_state_dict(variables)
    assert sorted(state) == ["criterion.weight", "fc.bias", "fc.weight"]
    params, buffers = variables["params"], variables["buffers"]
    loss = lambda params: model.apply({"params": params, "buffers": buffers}, X, CLASSES)
    slope = jax.jit(jax.grad(loss))(params)
    assert jnp.any(slope["fc"]["weight"] != 0)


def test_weight_under_jit() -> None:
    """The layer is made and applied inside, from a traced weight."""
    loss = jax.jit(lambda w: nn.CrossEntropyLoss(w).apply({}, X, CLASSES))(WEIGHT)
    np.testing.assert_allclose(loss, F.cross_entropy(X, CLASSES, WEIGHT), rtol=1e-6)
    apply = jax.jit(nn.CrossEntropyLoss(WEIGHT).apply)
    np.testing.assert_allclose(apply({}, X, CLASSES), loss, rtol=1e-6)


def test_triplet_with_a_module_s_distance() -> None:
    """A module with parameters is a child, under PyTorch's name."""

    class Projected(linen.Module):
        @linen.compact
        def __call__(self, x1: Any, x2: Any) -> jax.Array:
            project = nn.Linear(4, 2, name="project")
            return F.pairwise_distance(project(x1), project(x2))

    layer = nn.TripletMarginWithDistanceLoss(distance_function=Projected())
    loss, variables = layer.init_with_output(KEY, X, 2 * X, -X)
    assert sorted(jaxcnn.to_state_dict(variables)) == [
        "distance_function.project.bias",
        "distance_function.project.weight",
    ]
    assert loss.shape == ()


def test_default_distance() -> None:
    triplet = X, 2 * X, -X
    expected = F.triplet_margin_loss(*triplet, margin=3.0)
    assert nn.TripletMarginWithDistanceLoss(margin=3.0).apply({}, *triplet) == expected
    assert nn.TripletMarginLoss(3.0).apply({}, *triplet) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.CosineSimilarity(-1, 0.5), lambda: F.cosine_similarity(X, CHANCE, -1, 0.5)),
        (
            nn.PairwiseDistance(1.0, 0.1, True),
            lambda: F.pairwise_distance(X, CHANCE, 1.0, 0.1, True),
        ),
    ],
    ids=["similarity", "distance"],
)
def test_distances_pass_their_settings(layer: Any, expected: Any) -> None:
    np.testing.assert_array_equal(layer.apply({}, X, CHANCE), expected())
