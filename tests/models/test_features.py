"""Models as backbones."""

from __future__ import annotations

from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models, nn
from jaxcnn.models import FeatureExtractor

KEY = jax.random.key(0)


def maps(model: Any, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    outputs, _ = jax.eval_shape(model.init_with_output, KEY, jnp.ones(shape))
    return {name: y.shape for name, y in outputs.items()}


def test_the_model_chooses_one_map_for_each_scale() -> None:
    model = models.create("resnet18", features_only=True, num_classes=3, in_channels=2)
    assert maps(model, (1, 65, 97, 2)) == {
        "relu": (1, 33, 49, 64),
        "layer1": (1, 17, 25, 64),
        "layer2": (1, 9, 13, 128),
        "layer3": (1, 5, 7, 256),
        "layer4": (1, 3, 4, 512),
    }


def test_any_module_by_its_name() -> None:
    model = models.create("resnet18", features_only=("layer2.1.conv1", "layer1.0", "fc"))
    assert maps(model, (1, 32, 32, 3)) == {
        "layer2.1.conv1": (1, 4, 4, 128),
        "layer1.0": (1, 8, 8, 64),
        "fc": (1, 1000),
    }


def test_the_variables_are_the_models_own() -> None:
    whole, backbone = models.create("resnet18"), models.create("resnet18", features_only=True)
    x = jnp.ones((1, 32, 32, 3))
    assert jax.eval_shape(backbone.init, KEY, x) == jax.eval_shape(whole.init, KEY, x)


@pytest.fixture(scope="module")
def small() -> tuple[nn.Sequential, Any, jax.Array]:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    return model, model.init(KEY, x), x


def test_values_are_those_inside_the_model(small: Any) -> None:
    model, variables, x = small
    found = FeatureExtractor(model, ("1", "4")).apply(variables, x)
    assert jnp.array_equal(found["1"], model[:2].apply(variables, x))
    assert jnp.array_equal(found["4"], model.apply(variables, x))


def test_training_updates_the_statistics(small: Any) -> None:
    model, variables, x = small
    extractor = FeatureExtractor(model, ("2",))
    _, new = extractor.apply(variables, x, train=True, mutable=["batch_stats"])
    _, expected = model.apply(variables, x, train=True, mutable=["batch_stats"])
    assert jaxcnn.to_state_dict(new).keys() == jaxcnn.to_state_dict(expected).keys()
    assert jax.tree.all(jax.tree.map(jnp.array_equal, new, expected))


def test_without_names_the_children_that_return_images(small: Any) -> None:
    model, variables, x = small
    assert list(FeatureExtractor(model).apply(variables, x)) == ["0", "1", "2"]


def test_the_head_is_not_computed_under_jit(small: Any) -> None:
    model, variables, x = small
    text = jax.jit(FeatureExtractor(model, ("2",)).apply).lower(variables, x).compile().as_text()
    assert "dot(" in jax.jit(model.apply).lower(variables, x).compile().as_text()
    assert "dot(" not in text


def test_a_backbone_inside_a_model() -> None:
    class Detector(linen.Module):
        def setup(self) -> None:
            self.backbone = models.create("resnet18", features_only=("layer3",))
            self.head = nn.Conv2d(256, 5, 1)

        def __call__(self, x: Any, train: bool = False) -> jax.Array:
            return self.head(self.backbone(x, train=train)["layer3"])

    y, variables = jax.eval_shape(Detector().init_with_output, KEY, jnp.ones((1, 64, 64, 3)))
    assert y.shape == (1, 4, 4, 5)
    assert sorted(variables["params"]) == ["backbone", "head"]
    assert "layer1" in variables["params"]["backbone"]


def test_a_wrong_name() -> None:
    model = models.create("resnet18", features_only=("layer1", "layer5"))
    message = r"^FeatureExtractor: names must be modules that ResNet calls, got unknown=\["
    with pytest.raises(ValueError, match=message):
        maps(model, (1, 32, 32, 3))
