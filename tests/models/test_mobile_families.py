"""MobileNet, MNASNet, ShuffleNet and EfficientNet beyond what torchvision's own models show."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.errors import InvalidRngError

import jaxcnn
from jaxcnn import models, nn
from jaxcnn._names import named_leaves
from jaxcnn.models.families.efficientnet import EfficientNet, FusedMBConv, MBConv, MBConvConfig
from jaxcnn.models.families.mnasnet import MNASNet
from jaxcnn.models.families.mobilenet_v2 import InvertedResidual as V2Block
from jaxcnn.models.families.mobilenet_v2 import MobileNetV2
from jaxcnn.models.families.mobilenet_v3 import InvertedResidual as V3Block
from jaxcnn.models.families.mobilenet_v3 import InvertedResidualConfig, MobileNetV3
from jaxcnn.models.families.shufflenet import InvertedResidual as ShuffleBlock
from jaxcnn.models.families.shufflenet import ShuffleNetV2

from . import torchvision_twins as twins

KEY = jax.random.key(0)
GROUP_NORM = partial(nn.GroupNorm, 1)  # unlike batch norm, sees each image alone
MB = partial(MBConvConfig, MBConv)
FUSED = partial(MBConvConfig, FusedMBConv)
HALF: Any = 1.5
HARD = InvertedResidualConfig(8, 3, 16, 8, True, True, 1)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        (
            "mobilenet_v2",
            {},
            {1: (33, 49, 16), 3: (17, 25, 24), 6: (9, 13, 32), 13: (5, 7, 96), 18: (3, 4, 1280)},
        ),
        (
            "mobilenet_v3_small",
            {},
            {0: (33, 49, 16), 1: (17, 25, 16), 3: (9, 13, 24), 8: (5, 7, 48), 12: (3, 4, 576)},
        ),
        (
            "mobilenet_v3_large",
            {"dilated": True, "reduced_tail": True},
            {1: (33, 49, 16), 3: (17, 25, 24), 6: (9, 13, 40), 16: (5, 7, 480)},
        ),
        (
            "efficientnet_b0",
            {},
            {1: (33, 49, 16), 2: (17, 25, 24), 3: (9, 13, 40), 5: (5, 7, 112), 8: (3, 4, 1280)},
        ),
        (
            "efficientnet_v2_s",
            {},
            {1: (33, 49, 24), 2: (17, 25, 48), 3: (9, 13, 64), 5: (5, 7, 160), 7: (3, 4, 1280)},
        ),
        (
            "mnasnet0_5",
            {},
            {
                "layers.7": (33, 49, 8),
                "layers.8": (17, 25, 16),
                "layers.9": (9, 13, 24),
                "layers.11": (5, 7, 48),
                "layers.16": (3, 4, 1280),
            },
        ),
        (
            "shufflenet_v2_x0_5",
            {},
            {
                "conv1": (33, 49, 24),
                "maxpool": (17, 25, 24),
                "stage2": (9, 13, 48),
                "stage3": (5, 7, 96),
                "conv5": (3, 4, 1024),
            },
        ),
    ],
)
def test_one_map_for_each_scale(name: str, options: Any, expected: dict[Any, Any]) -> None:
    backbone = models.create(name, features_only=True, in_channels=1, **options)
    found, _ = jax.eval_shape(backbone.init_with_output, KEY, jnp.ones((1, 65, 97, 1)))
    shapes = {name: y.shape[1:] for name, y in found.items()}
    named = {i if isinstance(i, str) else f"features.{i}": s for i, s in expected.items()}
    assert shapes == named


# Standard deviations measured on four models of torchvision, and whether the values are uniform.
WEIGHTS = {
    "mobilenet_v2": {
        "features.17.conv.1.0": (0.0152, False),
        "features.18.0": (0.0395, False),
        "classifier.1": (0.01, False),
    },
    "mobilenet_v3_small": {
        "features.11.block.2.fc2": (0.0589, False),
        "classifier.0": (0.01, False),
    },
    "mnasnet1_0": {"layers.14": (0.0395, False), "classifier.1": (0.0316, True)},
    "shufflenet_v2_x1_0": {
        "stage4.0.branch1.0": (0.1925, True),
        "conv5.0": (0.0268, True),
        "fc": (0.0180, True),
    },
    "efficientnet_b0": {
        "features.6.1.block.1.0": (0.0083, False),
        "features.6.1.block.2.fc1": (0.2041, False),
        "classifier.1": (0.0183, True),
    },
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_initial_parameters(name: str) -> None:
    """As torchvision's. Biases start at zero, but for the default of PyTorch's Linear."""

    @jax.jit
    def start(key: Any) -> dict[str, Any]:
        parameters = named_leaves("test", models.create(name).init(key, jnp.ones((1, 32, 32, 3))))
        wanted = {f"{layer}.weight" for layer in WEIGHTS[name]}
        return {k: x for k, x in parameters.items() if k in wanted or k.endswith(".bias")}

    values = {key: np.asarray(x) for key, x in start(KEY).items()}
    for layer, (std, uniform) in WEIGHTS[name].items():
        weight = values[f"{layer}.weight"]
        assert weight.std() == pytest.approx(std, rel=0.04)
        assert abs(weight.mean()) < 0.04 * std
        assert (np.abs(weight).max() / std < 1.8) == uniform
    nonzero = [key for key, x in values.items() if key.endswith(".bias") and x.any()]
    assert nonzero == (["fc.bias"] if name.startswith("shufflenet") else [])


SMALL = {
    "mobilenet_v2": partial(MobileNetV2, inverted_residual_setting=((2, 8, 2, 2),)),
    "mobilenet_v3": partial(MobileNetV3, (HARD,), 8),
    "efficientnet": partial(EfficientNet, (FUSED(2, 3, 2, 8, 8, 1),)),
}


@pytest.mark.parametrize("name", SMALL)
def test_dropout_is_before_the_last_layer(name: str) -> None:
    """All features dropped, the bias is left; none dropped, there is more."""
    x = jnp.asarray(np.random.RandomState(0).standard_normal((2, 16, 16, 3)), jnp.float32)

    @partial(jax.jit, static_argnums=0)
    def logits(dropout: float, state: Any) -> jax.Array:
        model = SMALL[name](num_classes=3, dropout=dropout)
        return model.apply(state, x, train=True, mutable=["batch_stats"])[0]

    variables = jax.jit(SMALL[name](num_classes=3, dropout=0.0).init)(KEY, x)
    state = jaxcnn.to_state_dict(variables)
    last = max(key for key in state if re.fullmatch(r"classifier\.\d\.bias", key))
    variables = jaxcnn.to_variables({**state, last: np.arange(3.0, dtype="float32")}, variables)
    dropped = np.asarray(logits(1.0, variables))
    assert dropped.tolist() == [[0, 1, 2]] * 2
    assert np.abs(np.asarray(logits(0.0, variables)) - dropped).min() > 0


def test_mnasnet_drops_features_while_training() -> None:
    model, x = models.create("mnasnet0_5"), jnp.ones((2, 32, 32, 3))
    variables = jax.eval_shape(model.init, KEY, x)
    train = partial(model.apply, train=True, mutable=["batch_stats"])
    with pytest.raises(InvalidRngError, match=r'^\S* needs PRNG for "dropout"'):
        jax.eval_shape(train, variables, x)


@pytest.mark.parametrize("config", [MB(2, 3, 1, 8, 8, 1), FUSED(2, 3, 1, 8, 8, 1)])
def test_stochastic_depth_drops_the_blocks_of_single_images(config: Any) -> None:
    block = config.block(config, 0.25, GROUP_NORM)
    x = jnp.asarray(np.random.RandomState(0).standard_normal((400, 4, 4, 8)), jnp.float32)
    y, variables = jax.jit(block.init_with_output)(KEY, x)
    train = jax.jit(partial(block.apply, train=True))(variables, x, rngs={"dropout": KEY})
    branch, trained = np.asarray(y - x), np.asarray(train - x)
    kept = np.any(trained, axis=(1, 2, 3))
    assert 0.66 < kept.mean() < 0.84  # 4 standard deviations around 0.75
    np.testing.assert_allclose(trained[kept], branch[kept] / 0.75, rtol=1e-4, atol=1e-5)


def test_a_block_without_shortcut_is_never_dropped() -> None:
    config = MB(2, 3, 2, 8, 8, 1)
    block, x = config.block(config, 1.0, GROUP_NORM), jnp.ones((1, 4, 4, 8))
    y, variables = jax.jit(block.init_with_output)(KEY, x)
    assert jnp.array_equal(y, jax.jit(partial(block.apply, train=True))(variables, x))


def test_stochastic_depth_grows_from_zero() -> None:
    stages = (FUSED(1, 3, 1, 8, 8, 2), MB(4, 3, 2, 8, 16, 2))
    model = EfficientNet(stages, 0.2, stochastic_depth_prob=0.4)
    printed = jaxcnn.torch_repr(model, (1, 16, 16, 3))
    found = re.findall(r"StochasticDepth\(p=(\S+), mode=row\)", printed)
    assert found == ["0.0", "0.1", "0.2", "0.30000000000000004"]


def test_blocks_of_ones_own() -> None:
    calls = []

    def recorded(block: Any) -> Any:
        return lambda *arguments: calls.append(arguments) or block(*arguments)

    rows = ((2, 8, 2, 2),)
    for model in (
        MobileNetV2(
            inverted_residual_setting=rows,
            block=recorded(V2Block),
            norm_layer=GROUP_NORM,
        ),
        MobileNetV3((HARD,), 8, block=recorded(V3Block), norm_layer=GROUP_NORM),
        ShuffleNetV2((1, 2, 1), (8, 8, 16, 16, 32), inverted_residual=recorded(ShuffleBlock)),
    ):
        jax.eval_shape(model.init, KEY, jnp.ones((1, 32, 32, 3)))
    assert calls == [
        (32, 8, 2, 2, GROUP_NORM),
        (8, 8, 1, 2, GROUP_NORM),
        (HARD, GROUP_NORM),
        (8, 8, 2),
        (8, 16, 2),
        (16, 16, 1),
        (16, 16, 2),
    ]


OPTIONS = [
    ("mobilenet_v2", {"width_mult": 1.4}),
    ("mobilenet_v2", {"width_mult": 0.35, "round_nearest": 4, "dropout": 0.5}),
    ("mobilenet_v3_large", {"reduced_tail": True, "width_mult": 0.75}),
    ("mobilenet_v3_large", {"dilated": True, "dropout": 0.1}),
    ("mobilenet_v3_small", {"dilated": True, "reduced_tail": True}),
    ("mnasnet0_5", {"dropout": 0.1, "num_classes": 5}),
    ("efficientnet_b0", {"dropout": 0.1, "stochastic_depth_prob": 0.5}),
]


@pytest.mark.torchvision
@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_print_as_in_torchvision(name: str, options: Any, torchvision: Any) -> None:
    theirs = str(twins.build(torchvision, name, **options))
    printed = re.sub(r"(Norm[^\n]*), bias=True", r"\1", theirs)
    assert jaxcnn.torch_repr(models.create(name, **options), (1, 64, 64, 3)) == printed


@pytest.mark.torchvision
def test_dilated_logits(torchvision: Any) -> None:
    options = {"dilated": True, "width_mult": 0.35}
    theirs = twins.build(torchvision, "mobilenet_v3_small", **options)
    twins.randomise(theirs)
    model, x = models.create("mobilenet_v3_small", **options), twins.image((65, 49), 2)
    like = jax.eval_shape(model.init, KEY, x)
    variables = jaxcnn.to_variables(theirs.state_dict(), like)
    (expected,) = twins.run(theirs, x, train=False)
    assert twins.relative_error(jax.jit(model.apply)(variables, x), expected) < 1e-5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            partial(models.create, "mobilenet_v2", inverted_residual_setting=()),
            r"MobileNetV2: inverted_residual_setting must be rows of four, the last entry a stride "
            r"of 1 or 2, got inverted_residual_setting=\(\)\.",
        ),
        (
            partial(models.create, "mobilenet_v2", inverted_residual_setting=((6, 16, 1),)),
            r"MobileNetV2: inverted_residual_setting .*, got row=\(6, 16, 1\)\.",
        ),
        (
            partial(models.create, "mobilenet_v2", inverted_residual_setting=((6, 16, 1, 3),)),
            r"MobileNetV2: inverted_residual_setting .*, got row=\(6, 16, 1, 3\)\.",
        ),
        (
            partial(models.create, "mobilenet_v2", width_mult=0),
            r"MobileNetV2: width_mult must be positive, got width_mult=0\.",
        ),
        (
            partial(models.create, "mobilenet_v2", round_nearest=0),
            r"MobileNetV2: round_nearest must be at least 1, got round_nearest=0\.",
        ),
        (
            partial(models.create, "mobilenet_v2", dropout=1.5),
            r"MobileNetV2: dropout must be from 0 to 1, got dropout=1\.5\.",
        ),
        (
            partial(MobileNetV3, (), 8),
            r"MobileNetV3: inverted_residual_setting must not be empty, got "
            r"inverted_residual_setting=\(\)\.",
        ),
        (
            partial(models.create, "mobilenet_v3_small", dropout=-1),
            r"MobileNetV3: dropout must be from 0 to 1, got dropout=-1\.",
        ),
        (
            partial(models.create, "mobilenet_v3_large", width_mult=-0.5),
            r"mobilenet_v3: width_mult must be positive, got width_mult=-0\.5\.",
        ),
        (
            partial(InvertedResidualConfig, 8, 3, 8, 8, False, False, 3),
            r"InvertedResidualConfig: stride must be 1 or 2, got stride=3\.",
        ),
        (partial(MNASNet, 0.0), r"MNASNet: alpha must be positive, got alpha=0\.0\."),
        (
            partial(models.create, "mnasnet0_5", dropout=2),
            r"MNASNet: dropout must be from 0 to 1, got dropout=2\.",
        ),
        (
            partial(ShuffleNetV2, (4, 8), (24, 48, 96, 192, 1024)),
            r"ShuffleNetV2: stages_repeats must have three entries, got stages_repeats=\(4, 8\)\.",
        ),
        (
            partial(ShuffleNetV2, (4, 0, 4), (24, 48, 96, 192, 1024)),
            r"ShuffleNetV2: an entry of stages_repeats must be at least 1, got .*=0\.",
        ),
        (
            partial(ShuffleNetV2, (4, 8, 4), (24, 48, 96, 192)),
            r"ShuffleNetV2: stages_out_channels must have five entries, even ones for the stages, "
            r"got stages_out_channels=\(24, 48, 96, 192\)\.",
        ),
        (
            partial(ShuffleNetV2, (4, 8, 4), (24, 48, 97, 192, 1024)),
            r"ShuffleNetV2: stages_out_channels .*, got .*=\(24, 48, 97, 192, 1024\)\.",
        ),
        (
            partial(EfficientNet, (), 0.2),
            r"EfficientNet: inverted_residual_setting must not be empty, got "
            r"inverted_residual_setting=\(\)\.",
        ),
        (
            partial(models.create, "efficientnet_b0", dropout=-0.1),
            r"EfficientNet: dropout must be from 0 to 1, got dropout=-0\.1\.",
        ),
        (
            partial(models.create, "efficientnet_v2_s", stochastic_depth_prob=1.1),
            r"EfficientNet: stochastic_depth_prob must be from 0 to 1, got "
            r"stochastic_depth_prob=1\.1\.",
        ),
        (partial(MB, 1, 3, 0, 8, 8, 1), r"MBConvConfig: stride must be 1 or 2, got stride=0\."),
        (
            partial(MB, 1, 3, 1, 8, 8, 0),
            r"MBConvConfig: num_layers must be at least 1, got num_layers=0\.",
        ),
    ],
)
def test_wrong_values(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            partial(models.create, "mobilenet_v2", round_nearest=HALF),
            r"MobileNetV2: round_nearest must be an int, got round_nearest=1\.5\.",
        ),
        (
            partial(ShuffleNetV2, (4, 8, HALF), (24, 48, 96, 192, 1024)),
            r"ShuffleNetV2: an entry of stages_repeats must be an int, got .*=1\.5\.",
        ),
        (
            partial(MB, 1, 3, 1, 8, 8, HALF),
            r"MBConvConfig: num_layers must be an int, got num_layers=1\.5\.",
        ),
    ],
)
def test_wrong_types(build: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        build()
