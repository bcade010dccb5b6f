"""matching_models, and what is stored of each model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jaxcnn import models
from jaxcnn.interop import Match, _zoo, matching_models

SMALL = [
    "cifar10_quick",
    "lenet",
    "lenet_relu",
    "resnet18",
    "resnet20",
    "squeezenet1_1",
    "vgg11_bn",
]


def test_every_model_has_sizes() -> None:
    assert sorted(_zoo.model_sizes()) == models.list_models()


@pytest.mark.parametrize("name", [*SMALL, "spectformer_t", "unet"])
def test_sizes_are_the_models(name: str) -> None:
    assert _zoo.measured_sizes(name) == _zoo.model_sizes()[name]


def test_print_sizes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(models, "list_models", lambda: ["lenet", "lenet_relu"])
    _zoo.print_sizes()
    sizes = _zoo.model_sizes()
    expected = {name: list(sizes[name]) for name in ("lenet", "lenet_relu")}
    assert json.loads(capsys.readouterr().out) == expected


def state_dict(name: str, **other_shapes: tuple[int, ...]) -> dict[str, Any]:
    """Arrays without memory, with other shapes where the name ends as a keyword says."""
    shapes: dict[str, tuple[int, ...]] = {}
    for collection in _zoo.model_shapes(name).values():
        shapes |= collection
    for ending, shape in other_shapes.items():
        shapes |= {key: shape for key in shapes if key.endswith(ending.replace("_", "."))}
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", SMALL)
def test_the_models_own(name: str) -> None:
    assert matching_models(state_dict(name)) == [Match(name, 1.0)]


def test_other_classes() -> None:
    arrays = state_dict("resnet18", fc_weight=(7, 512), fc_bias=(7,))
    assert matching_models(arrays) == [Match("resnet18", 1.0, 7)]


def test_the_head_may_be_a_convolution() -> None:
    arrays = state_dict("squeezenet1_1", classifier_1_weight=(7, 512, 1, 1), classifier_1_bias=(7,))
    assert matching_models(arrays) == [Match("squeezenet1_1", 1.0, 7)]


def test_counters_do_not_count() -> None:
    arrays = {k: v for k, v in state_dict("resnet20").items() if not k.endswith("_tracked")}
    assert matching_models(arrays) == [Match("resnet20", 1.0)]


def test_other_input_channels() -> None:
    arrays = {**state_dict("resnet20"), "conv1.weight": np.zeros((16, 1, 3, 3), np.float32)}
    assert matching_models(arrays) == [Match("resnet20", 96 / 97)]


def test_a_prefix() -> None:
    arrays = {f"encoder.{name}": value for name, value in state_dict("resnet18").items()}
    [match] = matching_models(arrays)
    assert match == Match("resnet18", 1.0, rename={r"^encoder\.": ""})


def test_the_best_comes_first() -> None:
    """VGG with and without norm have kernels of the same size, under partly the same names."""
    arrays = {k: v for k, v in state_dict("vgg11_bn").items() if not k.endswith("_tracked")}
    size = len(arrays)
    arrays = {k: v for k, v in arrays.items() if not k.endswith("running_mean")}
    best, *others = matching_models(arrays)
    assert best == Match("vgg11_bn", len(arrays) / size)
    assert "vgg11" in {match.name for match in others}
    scores = [match.score for match in others]
    assert scores == sorted(scores, reverse=True)
    assert 0 < max(scores) < 0.5
    assert matching_models(arrays, most=1) == [best]


def test_after_a_clear_match_no_other_is_built() -> None:
    arrays = state_dict("vgg11_bn")
    del arrays["classifier.6.bias"]
    [match] = matching_models(arrays)
    assert match.name == "vgg11_bn"
    assert 0.9 < match.score < 1


@pytest.mark.parametrize(
    "arrays",
    [{}, {"w": np.ones((3, 3))}, {"conv.weight": np.zeros((7, 11, 5, 3), np.float32)}],
    ids=["empty", "linear", "conv"],
)
def test_no_model(arrays: dict[str, Any]) -> None:
    assert matching_models(arrays) == []


def test_only_a_few_models_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes seconds."""
    built: list[str] = []

    def shapes(name: str) -> Any:
        built.append(name)
        return {"params": {}}

    monkeypatch.setattr("jaxcnn.interop.match.model_shapes", shapes)
    for _, kernels in _zoo.model_sizes().values():
        built.clear()
        matching_models({"conv.weight": np.broadcast_to(np.float32(0), (1, 1, kernels))})
        assert 1 <= len(built) <= 3
