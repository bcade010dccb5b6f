"""Numbers of two models side by side: their layout, and how far apart they are."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np

# By PyTorch's class names without the number of axes; others are told by their neighbours.
_IMAGES = {
    "AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "BatchNorm", "ChannelShuffle", "CircularPad",
    "ConstantPad", "Conv", "ConvTranspose", "FractionalMaxPool", "GroupNorm", "InstanceNorm",
    "LPPool", "LocalResponseNorm", "MaxPool", "MaxUnpool", "PixelShuffle", "PixelUnshuffle",
    "ReflectionPad", "ReplicationPad", "SyncBatchNorm", "Upsample", "UpsamplingBilinear",
    "UpsamplingNearest", "ZeroPad",
}  # fmt: skip
_ROWS = {
    "Bilinear", "Embedding", "LayerNorm", "Linear", "MultiheadAttention",
    "NonDynamicallyQuantizableLinear", "RMSNorm",
}  # fmt: skip
# These draw random numbers in training; they are compared switched off.
_RANDOM = {
    "AlphaDropout", "DropPath", "Dropout", "FeatureAlphaDropout", "RReLU", "StochasticDepth",
}  # fmt: skip
_FLAX_KINDS = {"Dense": "Linear", "DenseGeneral": "Linear", "Embed": "Embedding"}


def kind(class_name: str) -> str:
    """PyTorch's name for a class of layers, without the number of axes.

    Example:
      >>> kind("BatchNorm2d"), kind("Dense")
      ('BatchNorm', 'Linear')
    """
    name = re.sub(r"(?<=\D)[123]d$", "", class_name)
    return _FLAX_KINDS.get(name, name)


def is_channels_first(class_name: str, ndim: int) -> bool | None:
    """Whether a PyTorch layer of this class holds images channels first; None if it may be both.

    Example:
      >>> is_channels_first("Conv2d", 4), is_channels_first("Linear", 4)
      (True, False)
      >>> is_channels_first("ReLU", 4), is_channels_first("LayerNorm2d", 4)
      (None, None)
    """
    # By the whole name: torchvision's LayerNorm2d takes images.
    if ndim < 3 or class_name in _ROWS:
        return False
    return True if kind(class_name) in _IMAGES else None


def is_random(class_name: str) -> bool:
    """Whether layers of this class draw random numbers in training.

    Example:
      >>> is_random("Dropout2d"), is_random("ReLU")
      (True, False)
    """
    return kind(class_name) in _RANDOM


@dataclasses.dataclass(frozen=True)
class Value:
    """An array as its framework holds it.

    Attributes:
      array: The numbers.
      channels_first: Whether they are images with the channels first; None if that is not known.
    """

    array: np.ndarray
    channels_first: bool | None = False

    def moves(self, shape: tuple[int, ...]) -> bool:
        """Whether the channels must be moved to the end, for an array that has `shape` there.

        Where the shape leaves both open too, four axes or more are taken for images.

        Example:
          >>> Value(np.ones((1, 3, 4, 5)), None).moves((1, 4, 5, 3))
          True
        """
        own = self.array.shape
        if len(own) < 3 or self.channels_first is not None:
            return bool(len(own) > 2 and self.channels_first)
        moved = (own[0], *own[2:], own[1])
        if (own == shape) != (moved == shape):
            return moved == shape
        return len(own) > 3

    def like(self, shape: tuple[int, ...]) -> np.ndarray:
        """The array channels last, for comparison with one that has `shape`."""
        # NumPy's: jaxcnn.layout would compile a program for each shape.
        return np.moveaxis(self.array, 1, -1) if self.moves(shape) else self.array


def to_channels_first(array: np.ndarray) -> np.ndarray:
    """A channels-last array as PyTorch holds it."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


@dataclasses.dataclass(frozen=True)
class Error:
    """How far numbers are from the reference's.

    Attributes:
      relative: L2 norm of the difference, divided by that of the reference.
      absolute: Largest difference. Both are infinite where the shapes differ.

    Example:
      >>> error_between(np.array([3.0, 4.5]), np.array([3.0, 4.0]))
      Error(relative=0.1, absolute=0.5)
    """

    relative: float
    absolute: float


def error_between(actual: Any, expected: Any, floor: float = 0.0) -> Error:
    """The error of `actual`; equal infinities and NaNs at equal places are no difference.

    Args:
      actual: An array.
      expected: The reference's.
      floor: The norm that the difference is divided by at least.
    """
    a, e = np.asarray(actual), np.asarray(expected)
    if a.shape != e.shape:
        return Error(math.inf, math.inf)
    a, e = a.astype(np.float64), e.astype(np.float64)
    same = (a == e) | (np.isnan(a) & np.isnan(e))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, a - e)
    if not np.all(np.isfinite(difference)):
        return Error(math.inf, math.inf)
    largest = float(np.max(np.abs(difference), initial=0.0))
    scale = float(np.linalg.norm(np.where(np.isfinite(e), e, 0.0)))
    norm, scale = float(np.linalg.norm(difference)), max(scale, floor)
    return Error(norm / scale if scale else norm, largest)


def worst(errors: list[Error]) -> Error | None:
    """The largest of several; None of none."""
    if not errors:
        return None
    return Error(max(e.relative for e in errors), max(e.absolute for e in errors))
