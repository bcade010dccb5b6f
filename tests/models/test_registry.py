"""The registry, and the models' shapes and sizes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import jaxcnn
from jaxcnn import models

SHAPES = {"lenet": (2, 28, 28, 1), "cifar10_quick": (2, 32, 32, 3)}


def abstract(model: Any, shape: tuple[int, ...]) -> Any:
    return jax.eval_shape(model.init, jax.random.key(0), jnp.ones(shape))


def parameters(variables: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def test_every_model_is_tested() -> None:
    assert models.list_models() == sorted(SHAPES)


@pytest.mark.parametrize("name", SHAPES)
def test_create_equals_the_function(name: str) -> None:
    created, made = models.create(name, num_classes=7), getattr(models, name)(num_classes=7)
    shape = SHAPES[name]
    assert jaxcnn.torch_repr(created, shape) == jaxcnn.torch_repr(made, shape)


@pytest.mark.parametrize(("name", "count"), [("lenet", 61_706), ("cifar10_quick", 145_578)])
def test_parameters(name: str, count: int) -> None:
    assert parameters(abstract(models.create(name), SHAPES[name])) == count


@pytest.mark.parametrize("name", SHAPES)
def test_arguments(name: str) -> None:
    model, shape = models.create(name, num_classes=3, in_channels=4), (*SHAPES[name][:3], 4)
    variables = abstract(model, shape)
    assert jax.eval_shape(model.apply, variables, jnp.ones(shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "close"),
    [
        ("lenet5", r"\['lenet'\]"),
        ("cifar_quick", r"\['cifar10_quick'\]"),
        ("vgg", r"\['cifar10_quick', 'lenet'\]"),
        ("", r"\['cifar10_quick', 'lenet'\]"),
    ],
)
def test_unknown_model(name: str, close: str) -> None:
    message = f"^create: unknown model, got name='{name}'; close names: {close}\\.$"
    with pytest.raises(ValueError, match=message):
        models.create(name)


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


@pytest.mark.parametrize("name", SHAPES)
def test_channels_first_images(name: str) -> None:
    n, h, w, c = SHAPES[name]
    with pytest.raises(ValueError, match=r"use jaxcnn\.layout\.to_channels_last\."):
        abstract(models.create(name), (n, c, h, w))
