"""Architectures of torchvision and timm: evaluation, and a training step of a few."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.torchvision

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
TRAINED = (
    *("torchvision:resnet18", "torchvision:squeezenet1_1", "timm:test_byobnet"),
    *("timm:test_convnext", "timm:test_efficientnet", "timm:test_nfnet", "timm:lcnet_035"),
)
EVALUATED = (
    *("torchvision:mobilenet_v2", "torchvision:shufflenet_v2_x0_5", "timm:test_mambaout"),
    *("timm:test_resnet", "timm:fasternet_t0", "timm:ghostnet_050", "timm:hgnetv2_b0"),
    *("timm:mobilenetv3_small_050", "timm:repghostnet_050", "timm:resnest14d"),
    *("timm:skresnet18", "timm:starnet_s050", "timm:tinynet_e", "timm:resnetv2_18"),
    *("timm:levit_128s", "timm:efficientvit_m0", "timm:mobilevit_xxs", "timm:botnet26t_256"),
)


@pytest.fixture(scope="module")
def conversion() -> ModuleType:
    sys.path.insert(0, str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("conversion", EXPERIMENTS / "conversion.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["conversion"] = module  # dataclasses looks there
    spec.loader.exec_module(module)
    sys.path.remove(str(EXPERIMENTS))
    return module


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize("name", [*TRAINED, *EVALUATED])
def test_equals_torch(name: str, conversion: ModuleType) -> None:
    pytest.importorskip("timm")
    row = conversion.measure(conversion.Row(name), train=name in TRAINED, programs="cpu")
    assert row.failure == ""
    assert row.evaluates, row
    assert name not in TRAINED or row.trains, row


def test_the_list_is_complete(conversion: ModuleType) -> None:
    kinds = {kind: len(set(names)) for kind, names in conversion.KINDS.items()}
    assert kinds == {"torchvision": 26, "CNN": 186, "hybrid": 28}
    assert {*TRAINED, *EVALUATED} <= {name for names in conversion.KINDS.values() for name in names}
