"""AlexNet, VGG, SqueezeNet, DenseNet and the Inceptions: what test_torchvision leaves out."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn._names import named_leaves
from jaxcnn.models.families.densenet import DenseNet
from jaxcnn.models.families.googlenet import GoogLeNet, GoogLeNetOutputs
from jaxcnn.models.families.inception import Inception3, InceptionOutputs
from jaxcnn.models.families.squeezenet import SqueezeNet
from jaxcnn.models.families.vgg import VGG

KEY = jax.random.key(0)


def shapes(model: Any, *shape: int, **options: Any) -> Any:
    """The shapes of what the model returns, and of its variables; nothing is computed."""
    run = model.init_with_output
    return jax.eval_shape(lambda: run({"params": KEY, "dropout": KEY}, jnp.ones(shape), **options))


def keys(variables: Any) -> set[str]:
    return set(named_leaves("test", variables))


# Rows and columns of each map of a 129x97 image, and its channels.
MAPS = {
    "alexnet": [(31, 23, 64), (15, 11, 192), (7, 5, 256), (3, 2, 256)],
    "vgg11": [(64, 48, 128), (32, 24, 256), (16, 12, 512), (8, 6, 512), (4, 3, 512)],
    "vgg11_bn": [(64, 48, 128), (32, 24, 256), (16, 12, 512), (8, 6, 512), (4, 3, 512)],
    "squeezenet1_0": [(62, 46, 96), (31, 23, 256), (15, 11, 512), (7, 5, 512)],
    "squeezenet1_1": [(64, 48, 64), (32, 24, 128), (16, 12, 256), (8, 6, 512)],
    "densenet121": [(65, 49, 64), (33, 25, 256), (16, 12, 512), (8, 6, 1024), (4, 3, 1024)],
    "googlenet": [(65, 49, 64), (32, 24, 192), (16, 12, 480), (8, 6, 832), (4, 3, 1024)],
    "inception_v3": [(62, 46, 64), (28, 20, 192), (13, 9, 288), (6, 4, 768), (2, 1, 2048)],
}


@pytest.mark.parametrize("name", MAPS)
def test_one_map_for_each_scale(name: str) -> None:
    maps, _ = shapes(models.create(name, features_only=True), 1, 129, 97, 3)
    # jax sorts the keys of a dict.
    assert sorted(y.shape[1:] for y in maps.values()) == sorted(MAPS[name])


# The standard deviation that torchvision's models start with, measured; 0: all are zero.
STARTS = [
    ("alexnet", "features.3.weight", 0.01442),
    ("alexnet", "classifier.6.bias", 0.00902),
    ("vgg11", "features.3.weight", 0.04169),
    ("vgg11", "features.3.bias", 0),
    ("vgg11", "classifier.6.weight", 0.01),
    ("vgg11", "classifier.3.bias", 0),
    ("squeezenet1_1", "features.3.expand3x3.weight", 0.1178),
    ("squeezenet1_1", "features.3.expand3x3.bias", 0),
    ("squeezenet1_1", "classifier.1.weight", 0.01),
    ("squeezenet1_1", "classifier.1.bias", 0),
    ("densenet121", "features.denseblock1.denselayer1.conv2.weight", 0.0414),
    ("densenet121", "classifier.weight", 0.01804),
    ("densenet121", "classifier.bias", 0),
    ("googlenet", "inception3a.branch2.1.conv.weight", 0.01),
    ("googlenet", "aux1.fc1.weight", 0.01),
    ("googlenet", "fc.weight", 0.01),
    ("googlenet", "fc.bias", 0.01838),
    ("inception_v3", "Mixed_5b.branch5x5_2.conv.weight", 0.1),
    ("inception_v3", "AuxLogits.conv0.conv.weight", 0.1),
    ("inception_v3", "AuxLogits.conv1.conv.weight", 0.01),
    ("inception_v3", "AuxLogits.fc.weight", 0.001),
    ("inception_v3", "fc.weight", 0.1),
    ("inception_v3", "fc.bias", 0.01265),
]


@pytest.mark.parametrize("name", dict.fromkeys(name for name, _, _ in STARTS))
def test_initial_values(name: str) -> None:
    expected = {key: std for model, key, std in STARTS if model == name}

    @jax.jit  # which leaves out the draws of all other layers
    def start() -> dict[str, jax.Array]:
        params: Any = models.create(name).init(KEY, jnp.ones((1, 75, 75, 3)))["params"]
        found = {}
        for key in expected:
            value = params
            for part in key.split("."):
                value = value[part]
            found[key] = value
        return found

    for key, value in start().items():
        std = float(jnp.sqrt(jnp.mean(value**2)))
        # Of n values the deviation is known to 1 / sqrt(2 n).
        assert std == pytest.approx(expected[key], rel=3 / (2 * value.size) ** 0.5), key


@pytest.mark.parametrize(
    ("name", "rates", "size"),
    [
        ("alexnet", ("dropout",), 63),
        ("vgg11", ("dropout",), 32),
        ("squeezenet1_1", ("dropout",), 17),
        ("googlenet", ("dropout", "dropout_aux"), 32),
    ],
)
def test_dropout_of_everything(name: str, rates: tuple[str, ...], size: int) -> None:
    """The images no longer count; jit then leaves out what they pass through."""
    options: Any = {"num_classes": 3, **dict.fromkeys(rates, 1.0)}
    model, x = models.create(name, **options), jax.random.normal(KEY, (2, size, size, 3))
    outputs = jax.jit(lambda: model.init_with_output(KEY, x, train=True)[0])()
    for y in jax.tree.leaves(outputs):
        assert y.shape == (2, 3)
        assert jnp.array_equal(y[0], y[1])


def test_auxiliary_outputs() -> None:
    outputs, _ = shapes(models.create("googlenet", num_classes=5), 2, 32, 32, 3, train=True)
    assert isinstance(outputs, GoogLeNetOutputs)
    assert [y.shape for y in outputs] == [(2, 5)] * 3
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
    outputs, _ = shapes(models.create("inception_v3", num_classes=5), 2, 299, 299, 3, train=True)
    assert isinstance(outputs, InceptionOutputs)
    assert [y.shape for y in outputs] == [(2, 5)] * 2
    assert outputs._fields == ("logits", "aux_logits")


@pytest.mark.parametrize(("name", "heads"), [("googlenet", "aux"), ("inception_v3", "AuxLogits")])
def test_without_auxiliary_heads(name: str, heads: str) -> None:
    plain, whole = (models.create(name, num_classes=5, aux_logits=on) for on in (False, True))
    output, variables = shapes(plain, 2, 75, 75, 3, train=True)
    assert output.shape == (2, 5)
    # In evaluation the smallest images too have parameters of the heads.
    every = keys(shapes(whole, 1, 75, 75, 3)[1])
    assert keys(variables) == {key for key in every if not key.startswith(heads)}
    assert any(key.startswith(heads) for key in every)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transform_input(name: str, dtype: str) -> None:
    rgb = np.array([[[[0.2, 0.5, 0.9]]]])
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    x = jnp.asarray((rgb - mean) / std, dtype)
    model = models.create(name, transform_input=True)
    y = model.apply({}, x, method="_images")
    assert y.dtype == dtype
    np.testing.assert_allclose(np.asarray(y, float), (rgb - 0.5) / 0.5, atol=1e-2)
    assert jnp.array_equal(models.create(name).apply({}, x, method="_images"), x)


@pytest.fixture(scope="module")
def images() -> jax.Array:
    return jax.random.normal(KEY, (2, 16, 16, 3))


def small_densenet(**options: Any) -> DenseNet:
    return DenseNet(4, (2,), 8, num_classes=3, **options)


def test_dropout_in_dense_layers(images: jax.Array) -> None:
    names = ("features.pool0", "features.denseblock1")
    backbone = models.FeatureExtractor(small_densenet(drop_rate=0.25), names)
    rngs, run = {"params": KEY, "dropout": KEY}, backbone.init_with_output
    train, evaluate = jax.jit(lambda: [run(rngs, images, train=t)[0] for t in (True, False)])()
    before, after = (train[name] for name in names)
    assert jnp.array_equal(after[..., :8], before)
    dropped = after[..., 8:] == 0
    assert float(jnp.mean(dropped)) == pytest.approx(0.25, abs=0.1)
    assert not jnp.array_equal(dropped[..., :4], dropped[..., 4:])
    assert not jnp.any(evaluate[names[1]][..., 8:] == 0)


def test_densenet_keys_of_torchvisions_files() -> None:
    like = shapes(small_densenet(), 1, 16, 16, 3)[1]
    leaves = named_leaves("test", like).items()
    current = {key: np.full(leaf.shape, i) for i, (key, leaf) in enumerate(leaves)}
    old = {re.sub(r"(layer\d+\.(norm|conv))", r"\1.", key): x for key, x in current.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    rename = {r"\.(norm|conv)\.([12])\.": r".\1\2."}
    loaded = jaxcnn.to_state_dict(jaxcnn.to_variables(old, like, rename=rename))
    assert loaded.keys() == current.keys()
    assert all(np.array_equal(loaded[key], x) for key, x in current.items())


def test_memory_efficient_densenet(images: jax.Array) -> None:
    """The same variables, gradient and statistics, from fewer values kept for the gradient."""
    plain, efficient = small_densenet(), small_densenet(memory_efficient=True)
    variables: Any = jax.jit(plain.init)(KEY, images)
    assert jax.eval_shape(efficient.init, KEY, images) == jax.eval_shape(plain.init, KEY, images)

    def pull_back(model: DenseNet) -> Any:
        def loss(params: Any) -> Any:
            given = {"params": params, "batch_stats": variables["batch_stats"]}
            y, new = model.apply(given, images, train=True, mutable=["batch_stats"])
            return jnp.sum(y**2), new

        return jax.vjp(loss, variables["params"], has_aux=True)

    (value, gradient, new), (value_2, gradient_2, new_2) = (
        jax.jit(lambda model=model: (lambda y, vjp, new: (y, vjp(1.0), new))(*pull_back(model)))()
        for model in (plain, efficient)
    )
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    jax.tree.map(same, (value, gradient, new), (value_2, gradient_2, new_2))
    kept, kept_2 = (
        sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(lambda m=m: pull_back(m)[1])))
        for m in (plain, efficient)
    )
    assert kept_2 < 0.9 * kept


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: VGG((1, 1, 2, 2)),
            r"VGG: depths must have five entries of 1 or more, got depths=",
        ),
        (lambda: VGG((1, 1, 2, 2, 0)), r"got depths=\(1, 1, 2, 2, 0\)\.$"),
        (
            lambda: SqueezeNet("1_2"),
            r"SqueezeNet: version must be one of \['1_0', '1_1'\], got version='1_2'\.",
        ),
        (
            lambda: DenseNet(block_config=()),
            r"DenseNet: block_config must have entries of 1 or more",
        ),
        (lambda: DenseNet(block_config=(6, 0)), r"got block_config=\(6, 0\)\.$"),
        (
            lambda: DenseNet(drop_rate=1.5),
            r"DenseNet: drop_rate must be between 0 and 1, got drop_rate=1\.5\.",
        ),
        (
            lambda: GoogLeNet(transform_input=True, in_channels=1),
            r"GoogLeNet: transform_input needs images of 3 channels, got in_channels=1\.",
        ),
        (
            lambda: Inception3(transform_input=True, in_channels=4),
            r"Inception3: transform_input needs images of 3 channels, got in_channels=4\.",
        ),
    ],
)
def test_errors(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "squeezenet1_0", "googlenet", "inception_v3"])
def test_wrong_dropout(name: str) -> None:
    with pytest.raises(ValueError, match=r"^Dropout: p must be between 0 and 1, got p=2\."):
        shapes(models.create(name, dropout=2), 1, 75, 75, 3)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("alexnet", 63), ("vgg11", 32), ("squeezenet1_0", 21), ("squeezenet1_1", 17)),
        *(("densenet121", 29), ("googlenet", 15), ("inception_v3", 75)),
    ],
)
def test_smallest_images(name: str, size: int) -> None:
    model = models.create(name)
    assert shapes(model, 1, size, size, 3)[0].shape == (1, 1000)
    with pytest.raises(ValueError, match=r"pool2d: the window must fit into the padded input"):
        shapes(model, 1, size - 1, size - 1, 3)


def test_the_auxiliary_head_needs_larger_images() -> None:
    with pytest.raises(ValueError, match=r"conv2d: the kernel \(5, 5\) .* must fit"):
        shapes(models.create("inception_v3"), 2, 298, 298, 3, train=True)
