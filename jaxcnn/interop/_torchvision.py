"""torchvision without its compiled part, which no model of it needs."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

# Definitions of operators vanish with the object that made them.
_KEPT: list[Any] = []


def import_torchvision() -> Any:
    """The package, also where its compiled part is missing or was built for another PyTorch.

    Raises:
      ImportError: If torch or torchvision is not installed.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the image readers that it does not find
        try:
            return importlib.import_module("torchvision")
        except RuntimeError:  # an operator of the compiled part does not exist
            for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        _KEPT.append(library)
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision")
