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
from jaxcnn.models.families.cifar_resnet import ResNet
from jaxcnn.models.families.convnext import CNBlock, ConvNeXt
from jaxcnn.models.families.regnet import RegNet

from . import twins
from .torchvision_twins import image, randomise, relative_error, run, worst_statistic

KEY = jax.random.key(0)

# Ours, theirs, and the size of an image; CIFAR's original takes square ones only.
TWINS: dict[str, tuple[Callable[[], Any], Callable[[], Any], tuple[int, int, int]]] = {
    "resnet20": (
        partial(models.create, "resnet20"),
        partial(twins.cifar_resnet, (3, 3, 3)),
        (27, 27, 3),
    ),
    "resnet20-B": (
        partial(models.create, "resnet20", option="B"),
        partial(twins.cifar_resnet, (3, 3, 3), option="B"),
        (27, 27, 3),
    ),
    "unet": (partial(models.create, "unet"), twins.unet, (37, 23, 3)),
    "unet-bilinear": (
        partial(models.create, "unet", bilinear=True),
        partial(twins.unet, bilinear=True),
        (37, 23, 3),
    ),
    "lenet_relu": (partial(models.create, "lenet_relu"), twins.lenet, (28, 28, 1)),
}


def abstract(model: Any, *shape: int) -> Any:
    return jax.eval_shape(model.init, KEY, jnp.zeros(shape))


def channels_first(y: Any) -> Any:
    return jaxcnn.layout.to_channels_first(y) if y.ndim == 4 else y


@pytest.mark.torch
@pytest.mark.parametrize("name", TWINS)
def test_keys_shapes_and_printed_tree(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    make, build, size = TWINS[name]
    ours, theirs = make(), build()
    expected = {key: tuple(x.shape) for key, x in theirs.state_dict().items()}
    found = named_leaves("test", abstract(ours, 1, *size))
    assert {key: x.shape for key, x in found.items()} == expected
    # PyTorch 2.13 prints `bias=True` in norms, older ones and jaxcnn only False.
    printed = re.sub(r"(Norm[^\n]*), bias=True", r"\1", str(theirs))
    assert jaxcnn.torch_repr(ours, (1, *size)) == printed


@pytest.mark.torch
@pytest.mark.parametrize("name", TWINS)
def test_evaluation_and_training(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    make, build, size = TWINS[name]
    ours, theirs, x = make(), build(), image(size[:2], 4)[..., : size[2]]
    randomise(theirs)
    variables = jaxcnn.to_variables(theirs.state_dict(), abstract(ours, *x.shape))
    (expected,) = run(theirs, x, train=False)
    y = jax.jit(ours.apply)(variables, x)
    assert relative_error(channels_first(y), expected) < 1e-5

    (expected,) = run(theirs, x, train=True)
    y, new = jax.jit(partial(ours.apply, train=True, mutable=["batch_stats"]))(variables, x)
    assert relative_error(channels_first(y), expected) < 1e-5
    found = jaxcnn.to_state_dict({**variables, **new})
    after = {key: value.numpy() for key, value in theirs.state_dict().items()}
    assert worst_statistic(found, after) < 1e-5
    assert {found[key].item() for key in after if key.endswith("tracked")} <= {4}


@pytest.mark.torchvision
def test_any_regnet(torchvision: Any) -> None:
    """Narrow bottlenecks, widths that no group fits, two stages."""
    settings: dict[str, Any] = {"depth": 5, "w_0": 24, "w_a": 9.0, "w_m": 1.9, "group_width": 16}
    extra: dict[str, Any] = {"se_ratio": 0.3, "bottleneck_multiplier": 0.75}
    blocks = torchvision.models.regnet.BlockParams.from_init_params(**settings, **extra)
    theirs = torchvision.models.RegNet(blocks, num_classes=7, stem_width=8)
    ours = RegNet(**settings, **extra, num_classes=7, stem_width=8)
    expected = {key: tuple(x.shape) for key, x in theirs.state_dict().items()}
    found = named_leaves("test", abstract(ours, 1, 33, 33, 3))
    assert {key: x.shape for key, x in found.items()} == expected
    assert ours.feature_names[-1] in dict(theirs.named_modules())


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("resnet20", {}, 269_722),
        ("resnet32", {}, 464_154),
        ("resnet44", {}, 658_586),
        ("resnet56", {}, 853_018),
        ("resnet110", {}, 1_727_962),
        ("unet", {}, 31_037_698),
        ("unet", {"bilinear": True}, 17_263_042),
    ],
)
def test_parameters(name: str, options: Any, count: int) -> None:
    variables = abstract(models.create(name, **options), 1, 32, 32, 3)
    assert jaxcnn.parameters.count_parameters(variables) == count


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("lenet_relu", (28, 28, 1), {"conv1": (24, 24, 6), "conv2": (8, 8, 16)}),
        (
            "cifar10_quick",
            (32, 32, 3),
            {
                "model1.0": (32, 32, 32),
                "model1.2": (16, 16, 32),
                "model1.4": (8, 8, 64),
                "model1.5": (4, 4, 64),
            },
        ),
        (
            "resnet20",
            (33, 49, 3),
            {"layer1": (33, 49, 16), "layer2": (17, 25, 32), "layer3": (9, 13, 64)},
        ),
        (
            "unet",
            (37, 53, 3),
            {
                "up4": (37, 53, 64),
                "up3": (18, 26, 128),
                "up2": (9, 13, 256),
                "up1": (4, 6, 512),
                "down4": (2, 3, 1024),
            },
        ),
        (
            "regnet_x_400mf",
            (65, 97, 3),
            {
                "stem": (33, 49, 32),
                "trunk_output.block1": (17, 25, 32),
                "trunk_output.block2": (9, 13, 64),
                "trunk_output.block3": (5, 7, 160),
                "trunk_output.block4": (3, 4, 400),
            },
        ),
        (
            "convnext_tiny",
            (65, 97, 3),
            {
                "features.1": (16, 24, 96),
                "features.3": (8, 12, 192),
                "features.5": (4, 6, 384),
                "features.7": (2, 3, 768),
            },
        ),
    ],
)
def test_one_map_for_each_scale(name: str, size: Any, expected: Any) -> None:
    backbone = models.create(name, features_only=True)
    found, _ = jax.eval_shape(backbone.init_with_output, KEY, jnp.ones((1, *size)))
    assert {name: y.shape[1:] for name, y in found.items()} == expected


# By model and key: a standard deviation measured in PyTorch, and whether it is of a uniform
# distribution; or a constant.
STARTS: dict[str, dict[str, tuple[float, bool] | float]] = {
    "regnet_y_400mf": {
        "trunk_output.block4.block4-1.f.a.0.weight": (0.0675, False),
        "trunk_output.block4.block4-1.f.b.0.weight": (0.0225, False),
        "trunk_output.block4.block4-1.f.se.fc1.weight": (0.1352, False),
        "trunk_output.block4.block4-1.f.se.fc2.bias": (0.055, True),
        "fc.weight": (0.01, False),
        "fc.bias": 0.0,
    },
    "convnext_tiny": {
        "features.0.0.weight": (0.0202, False),
        "features.7.0.block.0.weight": (0.0201, False),
        "features.7.0.block.0.bias": 0.0,
        "features.7.0.block.3.weight": (0.02, False),
        "features.7.0.block.3.bias": 0.0,
        "features.7.0.layer_scale": 1e-6,
        "classifier.2.weight": (0.02, False),
    },
    "resnet20": {"layer3.1.conv2.weight": (0.0591, False), "linear.weight": (0.177, False)},
    "unet": {
        "down4.maxpool_conv.1.double_conv.0.weight": (0.0085, True),
        "up1.up.weight": (0.01275, True),
    },
    "lenet_relu": {"fc1.weight": (0.0361, True)},
}


@pytest.mark.parametrize("name", STARTS)
def test_initial_values(name: str) -> None:
    shape = (1, 28, 28, 1) if name == "lenet_relu" else (1, 32, 32, 3)

    @jax.jit
    def start(rng: Any) -> dict[str, Any]:
        leaves = named_leaves("test", models.create(name).init(rng, jnp.ones(shape)))
        return {key: leaves[key] for key in STARTS[name]}

    for key, x in start(KEY).items():
        expected = STARTS[name][key]
        if isinstance(expected, tuple):
            std, uniform = expected
            assert x.std() == pytest.approx(std, rel=0.05)
            assert abs(x.mean()) < 0.1 * std
            assert (abs(x).max() / std < 1.8) == uniform
        else:
            np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_stochastic_depth_of_convnext() -> None:
    """A block that is dropped returns its input; the branch of the others is scaled up."""
    model = ConvNeXt((8, 8), (2, 1), stochastic_depth_prob=0.8)
    rates = re.findall(r"\(p=([\d.]+)", jaxcnn.torch_repr(model, (1, 8, 8, 3)))
    assert rates == ["0.0", "0.4", "0.8"]

    block = CNBlock(8, 0.1, 0.4)
    x = np.random.RandomState(0).standard_normal((500, 2, 2, 8)).astype(np.float32)
    y, variables = jax.jit(block.init_with_output)(KEY, x)
    drawn = jax.jit(partial(block.apply, train=True))(variables, x, rngs={"dropout": KEY})
    dropped = (drawn == x).all((1, 2, 3))
    assert dropped.mean() == pytest.approx(0.4, abs=0.07)
    np.testing.assert_allclose((drawn - x)[~dropped], (y - x)[~dropped] / 0.6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            partial(models.create, "resnet20", option="C"),
            r"ResNet: option must be 'A' or 'B', got option='C'\.",
        ),
        (
            partial(ResNet, (3, 3)),
            r"ResNet: num_blocks must have three entries, got num_blocks=\(3, 3\)\.",
        ),
        (
            partial(ConvNeXt, (8, 16), (1,)),
            r"ConvNeXt: widths and depths must have one entry for each stage, "
            r"got widths=\(8, 16\), depths=\(1,\)\.",
        ),
        (partial(ConvNeXt, (), ()), r"ConvNeXt: .*, got widths=\(\), depths=\(\)\."),
        (partial(RegNet, 0, 8, 8.0, 2.0, 8), r"RegNet: depth must be positive, got depth=0\."),
        (
            partial(RegNet, 4, 12, 8.0, 2.0, 8),
            r"RegNet: w_0 must be a positive multiple of 8, got w_0=12\.",
        ),
        (
            partial(RegNet, 4, 0, 8.0, 2.0, 8),
            r"RegNet: w_0 must be a positive multiple of 8, got w_0=0\.",
        ),
        (
            partial(RegNet, 4, 8, -1.0, 2.0, 8),
            r"RegNet: w_a must not be negative, got w_a=-1\.0\.",
        ),
        (partial(RegNet, 4, 8, 8.0, 1.0, 8), r"RegNet: w_m must be above 1, got w_m=1\.0\."),
    ],
)
def test_errors(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        make()


def test_an_image_too_small_for_the_unet() -> None:
    with pytest.raises(ValueError, match=r"^max_pool2d: "):
        abstract(models.create("unet"), 1, 15, 32, 3)
