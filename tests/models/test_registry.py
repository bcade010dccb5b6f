"""The registry: names, arguments, and the keys and sizes of every model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn._names import named_leaves

from . import torchvision_twins as twins

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/models.json").read_text())["models"]
SIZES = {
    "lenet": (28, 28),
    "lenet_relu": (28, 28),
    "cifar10_quick": (32, 32),
    "inception_v3": (299, 299),
    **{name: (224, 224) for name in models.list_models() if "spectformer" in name},
}
GRAY = ("lenet", "lenet_relu")
# One of each family, for what costs time.
FEW = [
    *("alexnet", "cifar10_quick", "resnet20", "convnext_tiny", "densenet121"),
    *("efficientnet_b0", "googlenet", "inception_v3", "lenet", "lenet_relu", "mnasnet0_5"),
    *("mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5"),
    *("spectformer_h_s_seed", "spectformer_t", "squeezenet1_1", "unet", "vgg11"),
]


def abstract(model: Any, name: str, channels: int | None = None) -> Any:
    channels = channels or (1 if name in GRAY else 3)
    sample = jnp.zeros((2, *SIZES.get(name, (64, 64)), channels))
    return jax.eval_shape(model.init, jax.random.key(0), sample)


def test_every_model_is_listed() -> None:
    assert set(GOLDEN) == set(twins.NAMES)
    assert set(FEW) | set(GOLDEN) <= set(models.list_models())
    assert set(models.list_models()) <= set(dir(models))


@pytest.mark.parametrize("name", sorted({*GOLDEN} & {*FEW}))
def test_keys_and_shapes_are_torchvisions(name: str) -> None:
    """One of each family; tests/models/test_torchvision.py has them all."""
    variables = abstract(models.create(name), name)
    shapes = [(key, x.shape) for key, x in named_leaves("test", variables).items()]
    found = {
        "parameters": jaxcnn.parameters.count_parameters(variables),
        "keys and shapes": twins.digest(shapes),
    }
    assert found == GOLDEN[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [("lenet", 61_706), ("lenet_relu", 44_426), ("cifar10_quick", 145_578), ("resnet20", 269_722)],
)
def test_parameters(name: str, count: int) -> None:
    variables = abstract(models.create(name), name)
    assert jaxcnn.parameters.count_parameters(variables) == count


@pytest.mark.parametrize("name", FEW)
def test_arguments(name: str) -> None:
    """Any number of channels and classes; a function of the package; evaluation by default."""
    model = getattr(models, name)(num_classes=3, in_channels=4)
    variables = abstract(model, name, channels=4)
    sample = jnp.zeros((2, *SIZES.get(name, (64, 64)), 4))
    shape = jax.eval_shape(model.apply, variables, sample).shape
    assert shape == ((2, 64, 64, 3) if name == "unet" else (2, 3))


@pytest.mark.parametrize("name", FEW)
def test_features(name: str) -> None:
    """Maps of halving sizes, images all of them."""
    sample = jnp.zeros((1, *SIZES.get(name, (64, 64)), 1 if name in GRAY else 3))
    backbone = models.create(name, features_only=True)
    maps, _ = jax.eval_shape(backbone.init_with_output, jax.random.key(0), sample)
    assert len(maps) >= 2
    assert all(y.ndim == 4 for y in maps.values())


@pytest.mark.parametrize(
    ("name", "ending"),
    # The format does not care which model it holds.
    [(name, "safetensors" if i % 2 else "pt") for i, name in enumerate(FEW)],
)
def test_round_trip(name: str, ending: str, tmp_path: Path) -> None:
    """state_dict -> variables -> file -> variables -> state_dict, bit by bit."""
    like = abstract(models.create(name), name)
    rng = np.random.RandomState(0)
    start = {
        key: rng.standard_normal(leaf.shape).astype(np.float32)
        if leaf.dtype.kind == "f"
        else np.array(5, np.int64)
        for key, leaf in named_leaves("test", like).items()
    }
    path = tmp_path / f"model.{ending}"
    jaxcnn.write_state_dict(path, jaxcnn.to_state_dict(jaxcnn.to_variables(start, like)))
    back = jaxcnn.to_state_dict(jaxcnn.to_variables(jaxcnn.read_state_dict(path), like))
    path.unlink()  # pytest keeps the folders of several runs
    assert back.keys() == start.keys()
    assert all(back[key].dtype == x.dtype for key, x in start.items())
    assert all(back[key].tobytes() == x.tobytes() for key, x in start.items())


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("lenet5", r"\['lenet'"),
        ("cifar_quick", r"\['cifar10_quick'\]"),
        ("resnet_50", r"\['resnet50'"),
        ("", r"\['alexnet', 'cifar10_quick', "),
    ],
)
def test_unknown_model(name: str, close: str) -> None:
    message = f"^create: unknown model, got name='{name}'; close names: {close}"
    with pytest.raises(ValueError, match=message):
        models.create(name)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'resnet19'$"):
        models.resnet19  # noqa: B018


def test_unknown_argument() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'depth'"):
        models.create("lenet", depth=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"activation": "tanh"},
            r"activation must be one of \['sigmoid', 'relu'\], got activation='tanh'\.",
        ),
        ({"pool": "mean"}, r"pool must be one of \['avg', 'max'\], got pool='mean'\."),
    ],
    ids=["activation", "pool"],
)
def test_lenet_errors(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^lenet: {message}$"):
        models.lenet(**arguments)


@pytest.mark.parametrize("name", ["lenet", "cifar10_quick", "resnet18"])
def test_channels_first_images(name: str) -> None:
    h, w = SIZES.get(name, (64, 64))
    images = jnp.zeros((2, 1 if name in GRAY else 3, h, w))
    with pytest.raises(ValueError, match=r"use jaxcnn\.layout\.to_channels_last\."):
        jax.eval_shape(models.create(name).init, jax.random.key(0), images)
