"""torch_repr: trees that no parity case has. Those of layers: tests/parity/test_layers.py."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import flax.linen as linen
import jax
import pytest

from jaxcnn import models, nn, torch_repr


class Block(linen.Module):
    features: int

    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        x = nn.Linear(3, self.features, name="fc")(x)
        return nn.ReLU(name="act")(x)


class Stages(linen.Module):
    """`nn.ModuleList`s named with dots, one nested in the other."""

    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        x = nn.Linear(3, 3, name="stem")(x)
        for i in range(3):
            x = Block(3, name=f"layer1.{i}")(x)
        for i, features in enumerate((3, 2)):
            y = Block(features, name=f"layer2.{i}")(x)
        return y


STAGES = """\
Stages(
  (stem): Linear(in_features=3, out_features=3, bias=True)
  (layer1): ModuleList(
    (0-2): 3 x Block(
      (fc): Linear(in_features=3, out_features=3, bias=True)
      (act): ReLU()
    )
  )
  (layer2): ModuleList(
    (0): Block(
      (fc): Linear(in_features=3, out_features=3, bias=True)
      (act): ReLU()
    )
    (1): Block(
      (fc): Linear(in_features=3, out_features=2, bias=True)
      (act): ReLU()
    )
  )
)"""


def test_module_lists() -> None:
    assert torch_repr(Stages(), (1, 3)) == STAGES


@pytest.mark.torch
def test_module_lists_as_torch_prints_them() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    tnn = torch.nn

    class Block(tnn.Module):
        def __init__(self, features: int) -> None:
            super().__init__()
            self.fc = tnn.Linear(3, features)
            self.act = tnn.ReLU()

    class Stages(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = tnn.Linear(3, 3)
            self.layer1 = tnn.ModuleList(Block(3) for _ in range(3))
            self.layer2 = tnn.ModuleList([Block(3), Block(2)])

    assert str(Stages()) == STAGES


def _tied(nn: Any) -> Any:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


LAYERS = {
    "tied": (_tied, (1, 3)),
    "tied-inside": (lambda nn: nn.Sequential(nn.Sequential(r := nn.ReLU(), r), r), (1, 3)),
    "empty": (lambda nn: nn.Sequential(), (1, 3)),
    "deep": (lambda nn: nn.Sequential(nn.Sequential(nn.Sequential(nn.Sigmoid()))), (1, 3)),
    "relu-inplace": (lambda nn: nn.ReLU(inplace=True), (1, 3)),
    "dropout": (lambda nn: nn.Dropout(0.25, True), (1, 3)),
    "flatten": (lambda nn: nn.Flatten(0, 2), (1, 4, 4, 3)),
    "identity": (lambda nn: nn.Identity(3, unused=4), (1, 3)),
    "linear": (lambda nn: nn.Linear(3, 4, bias=False), (1, 3)),
    "conv-padding": (lambda nn: nn.Conv2d(3, 4, (3, 1), padding=(1, 0), bias=False), (1, 8, 8, 3)),
    "conv-padding-zero": (lambda nn: nn.Conv2d(3, 4, 3, padding=(0, 0)), (1, 8, 8, 3)),
    "conv-same": (lambda nn: nn.Conv2d(3, 4, 3, padding="same"), (1, 8, 8, 3)),
    "conv-valid": (lambda nn: nn.Conv2d(3, 4, 3, padding="valid"), (1, 8, 8, 3)),
    "conv-all": (
        lambda nn: nn.Conv2d(4, 8, 3, 2, 1, (2, 1), 4, False, "reflect"),
        (1, 8, 8, 4),
    ),
    "max-pool": (lambda nn: nn.MaxPool2d((3, 2), padding=1, ceil_mode=True), (1, 8, 8, 3)),
    "max-pool-indices": (lambda nn: nn.MaxPool2d(3, (2, 1), return_indices=True), (1, 8, 8, 3)),
    "avg-pool": (lambda nn: nn.AvgPool2d(3, padding=1, divisor_override=2), (1, 8, 8, 3)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LAYERS)
def test_extra_repr(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    build, shape = LAYERS[name]
    assert torch_repr(build(nn), shape) == str(build(torch.nn))


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.BatchNorm2d(3), "affine=True, track_running_stats=True"),
        (nn.BatchNorm2d(3, bias=False), "affine=True, bias=False, track_running_stats=True"),
    ],
    ids=["bias", "no-bias"],
)
def test_batch_norm_repr(layer: nn.BatchNorm2d, text: str) -> None:
    expected = f"BatchNorm2d(3, eps=1e-05, momentum=0.1, {text})"
    assert torch_repr(layer, (2, 4, 4, 3)) == expected


def test_layers_of_other_libraries_show_their_name() -> None:
    assert torch_repr(nn.Sequential(linen.Dense(4)), (1, 3)) == "Sequential(\n  (0): Dense()\n)"


def test_torch_is_never_imported() -> None:
    program = (
        "import sys, jax.numpy as jnp, jaxcnn\n"
        "model = jaxcnn.models.lenet()\n"
        "jaxcnn.torch_repr(model, (1, 28, 28, 1))\n"
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_lenet_prints_every_layer() -> None:
    text = torch_repr(models.lenet(), (1, 28, 28, 1))
    assert text.startswith("Sequential(\n  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), ")
    assert text.count("\n") == 13
