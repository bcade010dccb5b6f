"""Models with their origin's names and state_dict keys.

`create(name, **overrides)` builds any of them, and each is a function of this package:
`models.resnet18(num_classes=10)`. A family's file is imported when a model of it is built.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn

from jaxcnn.models.features import FeatureExtractor

__all__ = ["FeatureExtractor", "create", "list_models"]

# The models of each file of families/; its VARIANTS builds them.
_FAMILIES = {
    "alexnet": ("alexnet",),
    "cifar10_quick": ("cifar10_quick",),
    "cifar_resnet": tuple(f"resnet{depth}" for depth in (20, 32, 44, 56, 110)),
    "convnext": tuple(f"convnext_{size}" for size in ("tiny", "small", "base", "large")),
    "densenet": tuple(f"densenet{depth}" for depth in (121, 161, 169, 201)),
    "efficientnet": (
        *(f"efficientnet_b{i}" for i in range(8)),
        *(f"efficientnet_v2_{size}" for size in "sml"),
    ),
    "googlenet": ("googlenet",),
    "inception": ("inception_v3",),
    "lenet": ("lenet", "lenet_relu"),
    "mnasnet": tuple(f"mnasnet{width}" for width in ("0_5", "0_75", "1_0", "1_3")),
    "mobilenet_v2": ("mobilenet_v2",),
    "mobilenet_v3": ("mobilenet_v3_large", "mobilenet_v3_small"),
    "regnet": (
        *(
            f"regnet_x_{size}"
            for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")
        ),
        *(
            f"regnet_y_{size}"
            for size in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf", "128gf")
        ),
    ),
    "resnet": (
        *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
        *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
        *("wide_resnet50_2", "wide_resnet101_2"),
    ),
    "shufflenet": tuple(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
    "spectformer": tuple(f"spectformer_h_{size}" for size in ("s", "b", "l", "s_seed")),
    "spectformer_vanilla": tuple(f"spectformer_{size}" for size in ("t", "xs", "s", "b")),
    "squeezenet": ("squeezenet1_0", "squeezenet1_1"),
    "unet": ("unet",),
    "vgg": tuple(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
}
_FILES = {name: file for file, names in _FAMILIES.items() for name in names}


def list_models() -> list[str]:
    """The names that `create` knows.

    Example:
      >>> [name for name in list_models() if name.startswith("resnext")]
      ['resnext101_32x8d', 'resnext101_64x4d', 'resnext50_32x4d']
    """
    return sorted(_FILES)


def create(name: str, *, features_only: bool | Sequence[str] = False, **overrides: Any) -> Any:
    """Builds the model called `name`.

    Args:
      name: One of `list_models()`.
      features_only: True gives a `FeatureExtractor` of the model's own choice of maps, names of
        modules one of these.
      **overrides: Arguments of the model's own function, such as `num_classes` and `in_channels`.

    Returns:
      A linen module.

    Raises:
      ValueError: If there is no such model.

    Example:
      >>> model = create("resnet50", num_classes=5, in_channels=1)
      >>> backbone = create("resnet50", features_only=("layer2", "layer4"))
    """
    if name not in _FILES:
        close = difflib.get_close_matches(name, _FILES) or list_models()
        raise ValueError(f"create: unknown model, got name={name!r}; close names: {close}.")
    model = _builder(name)(**overrides)
    if not features_only:
        return model
    return FeatureExtractor(model, None if features_only is True else tuple(features_only))


def _builder(name: str) -> Callable[..., nn.Module]:
    return importlib.import_module(f"{__name__}.families.{_FILES[name]}").VARIANTS[name]


def __getattr__(name: str) -> Callable[..., nn.Module]:
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _builder(name)


def __dir__() -> list[str]:
    return [*__all__, *list_models()]
