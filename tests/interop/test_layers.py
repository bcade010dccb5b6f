"""layer_table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import layout, models, nn
from jaxcnn.interop import LayerRow, layer_table
from jaxcnn.parameters import count_parameters


def image(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, "float32")


def total_parameters(model: linen.Module, *inputs: Any) -> int:
    return count_parameters(jax.eval_shape(model.init, jax.random.key(0), *inputs))


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [("resnet18", 11_689_512, 1_814_073_344), ("resnet50", 25_557_032, 4_089_184_256)],
)
def test_published_counts(name: str, parameters: int, multiply_adds: int) -> None:
    """torchvision publishes 1.814 and 4.089 billion at 224x224."""
    table = layer_table(models.create(name), image(1, 224, 224, 3))
    assert (table.parameters, table.multiply_adds) == (parameters, multiply_adds)


LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "conv1d": (lambda nn: nn.Conv1d(4, 6, 3, stride=2), (2, 9, 4)),
    "conv2d": (lambda nn: nn.Conv2d(4, 6, (3, 1), padding=1, dilation=(2, 1)), (2, 9, 8, 4)),
    "grouped": (lambda nn: nn.Conv2d(4, 6, 3, groups=2, bias=False), (2, 9, 8, 4)),
    "depthwise": (lambda nn: nn.Conv2d(4, 4, 3, groups=4), (1, 9, 8, 4)),
    "conv3d": (lambda nn: nn.Conv3d(2, 3, 2), (2, 3, 4, 5, 2)),
    "transposed": (lambda nn: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (2, 5, 4, 4)),
    "transposed-1d": (lambda nn: nn.ConvTranspose1d(4, 6, 3, 2), (2, 5, 4)),
    "linear": (lambda nn: nn.Linear(4, 6), (2, 3, 4)),
    "pool": (lambda nn: nn.MaxPool2d(2), (2, 4, 4, 3)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LAYERS)
def test_counts_are_torchs(name: str) -> None:
    """Its counter counts a multiply-add as two."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    flop_counter = pytest.importorskip("torch.utils.flop_counter")
    build, shape = LAYERS[name]
    [row] = layer_table(build(nn), image(*shape))
    x = np.ones(shape, np.float32)
    images = x if name == "linear" else np.asarray(layout.to_channels_first(x))
    with flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        y = build(torch.nn)(torch.tensor(images))
    assert 2 * row.multiply_adds == counter.get_total_flops()
    assert sorted(row.output_shape or ()) == sorted(y.shape)
    assert row.parameters == sum(p.numel() for p in build(torch.nn).parameters())


def test_a_deformable_convolution() -> None:
    layer, x, offset = nn.DeformConv2d(4, 6, 3, groups=2), image(1, 9, 8, 4), image(1, 7, 6, 18)
    [row] = layer_table(layer, x, offset)
    assert row == LayerRow("", "DeformConv2d", (1, 7, 6, 6), 114, 7 * 6 * 6 * 9 * 2)


def test_a_layer_used_twice() -> None:
    layer = nn.Linear(3, 3)
    table = layer_table(nn.Sequential(layer, nn.ReLU(), layer), image(2, 3))
    assert table == [LayerRow("0", "Linear", (2, 3), 12, 36), LayerRow("1", "ReLU", (2, 3), 0, 0)]


class Scaled(linen.Module):
    """Has a parameter beside its layers, and layers it does not call in evaluation."""

    def setup(self) -> None:
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Identity())
        self.unused = nn.Identity()
        self.aux = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 2))
        self.scale = self.param("scale", linen.initializers.ones, (4,))

    def __call__(self, x: Any, train: bool = False) -> dict[str, jax.Array]:
        y = self.body(x) * self.scale
        return {"y": y, "z": self.aux(y)} if train or self.is_initializing() else {"y": y}


SCALED = [
    LayerRow("", "Scaled", (2, 4), 4, 0),
    LayerRow("body.0", "Linear", (2, 4), 16, 24),
    LayerRow("body.1", "Identity", (2, 4), 0, 0),
    LayerRow("aux", "Sequential", None, 37, 0),
]


def test_own_parameters_and_layers_not_called() -> None:
    table = layer_table(Scaled(), image(2, 3))
    assert table == SCALED
    assert table.parameters == total_parameters(Scaled(), image(2, 3))
    lines = str(table).splitlines()
    assert lines[0].split() == ["layer", "type", "output", "shape", "parameters", "multiply-adds"]
    assert lines[-2].split() == ["aux", "Sequential", "not", "called", "37", "0"]
    assert lines[-1].split() == ["total", "57", "24"]


class Compact(linen.Module):
    """Its second layer exists only while parameters are made."""

    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        if self.is_initializing():
            nn.Linear(3, 5, name="extra")(x)
        return nn.Linear(3, 2, name="fc")(x)


def test_parameters_of_layers_that_are_not_there_count() -> None:
    assert layer_table(Compact(), image(1, 3)) == [
        LayerRow("", "Compact", (1, 2), 20, 0),
        LayerRow("fc", "Linear", (1, 2), 8, 6),
    ]


def test_a_backbone_counts_its_model_once() -> None:
    model, x = models.create("resnet20", features_only=True), image(1, 32, 32, 3)
    assert layer_table(model, x).parameters == total_parameters(model, x) == 269_722


def test_attention_has_several_inputs_and_outputs() -> None:
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), jnp.ones((3, 5, 8))
    assert layer_table(layer, x, x, x) == [
        LayerRow("", "MultiheadAttention", (3, 5, 8), 216, 0),
        LayerRow("out_proj", "NonDynamicallyQuantizableLinear", (3, 5, 8), 72, 960),
    ]
