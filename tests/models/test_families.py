"""The families that torchvision lacks against PyTorch, and what its own tests here leave out."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn._names import named_leaves
from jaxcnn.models.convnext import ConvNeXt
from jaxcnn.models.regnet import RegNet

from . import twins
from .torchvision_twins import image, randomise, relative_error, run, worst_statistic

KEY = jax.random.key(0)

# Ours, theirs, channels, and sizes; CIFAR's original takes square images only.
TWINS: dict[str, tuple[Callable[[], Any], Callable[[], Any], int, list[tuple[int, int]]]] = {
    "resnet20": (
        partial(models.create, "resnet20"),
        partial(twins.cifar_resnet, (3, 3, 3)),
        3,
        [(32, 32), (27, 27)],
    ),
    "resnet20-B": (
        partial(models.create, "resnet20", option="B"),
        partial(twins.cifar_resnet, (3, 3, 3), option="B"),
        3,
        [(27, 27)],
    ),
    "unet": (partial(models.create, "unet"), twins.unet, 3, [(32, 32), (37, 23)]),
    "unet-bilinear": (
        partial(models.create, "unet", bilinear=True),
        partial(twins.unet, bilinear=True),
        3,
        [(37, 23)],
    ),
    "lenet_relu": (partial(models.create, "lenet_relu"), twins.lenet, 1, [(28, 28)]),
}
CASES = [
    pytest.param(ours, theirs, image(size, 4)[..., :channels], id=f"{name}-{size[0]}x{size[1]}")
    for name, (ours, theirs, channels, sizes) in TWINS.items()
    for size in sizes
]
twin = pytest.mark.torch, pytest.mark.parametrize(("ours", "theirs", "x"), CASES)


def abstract(model: Any, *shape: int) -> Any:
    return jax.eval_shape(model.init, KEY, jnp.zeros(shape))


@pytest.mark.torch
@pytest.mark.parametrize("name", TWINS)
def test_keys_shapes_and_printed_tree(name: str) -> None:
    make, build, channels, sizes = TWINS[name]
    ours, theirs, shape = make(), build(), (1, *sizes[0], channels)
    expected = {key: tuple(x.shape) for key, x in theirs.state_dict().items()}
    found = named_leaves("test", abstract(ours, *shape))
    assert {key: x.shape for key, x in found.items()} == expected
    # PyTorch 2.13 prints `bias=True` in norms, older ones and jaxcnn only False.
    printed = re.sub(r"(Norm[^\n]*), bias=True", r"\1", str(theirs))
    assert jaxcnn.torch_repr(ours, shape) == printed


@pytest.mark.torch
@pytest.mark.parametrize(("ours", "theirs", "x"), CASES)
def test_evaluation(ours: Any, theirs: Any, x: np.ndarray) -> None:
    model, reference = ours(), theirs()
    randomise(reference)
    variables = jaxcnn.to_variables(reference.state_dict(), abstract(model, *x.shape))
    (expected,) = run(reference, x, train=False)
    y = jax.jit(model.apply)(variables, x)
    if expected.ndim == 4:
        y = jaxcnn.layout.to_channels_first(y)
    assert relative_error(y, expected) < 1e-5


@pytest.mark.torch
@pytest.mark.parametrize(("ours", "theirs", "x"), CASES)
def test_training(ours: Any, theirs: Any, x: np.ndarray) -> None:
    model, reference = ours(), theirs()
    randomise(reference)
    variables = jaxcnn.to_variables(reference.state_dict(), abstract(model, *x.shape))
    (expected,) = run(reference, x, train=True)
    y, new = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]))(variables, x)
    if expected.ndim == 4:
        y = jaxcnn.layout.to_channels_first(y)
    theirs_after = {key: value.numpy() for key, value in reference.state_dict().items()}
    ours_after = jaxcnn.to_state_dict({**variables, **new})
    print(relative_error(y, expected), worst_statistic(ours_after, theirs_after))
    assert relative_error(y, expected) < 1e-5
    assert worst_statistic(ours_after, theirs_after) < 1e-5
    counters = {key for key in theirs_after if key.endswith("num_batches_tracked")}
    assert all(ours_after[key] == theirs_after[key] == 4 for key in counters)
