"""Upsampling layers. Mirrors torch.nn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn.functional.resize import check_one_size, check_resize_mode


class Upsample(nn.Module):
    """Resizes the spatial axes.

    Mirrors `torch.nn.Upsample` on channels-last input.

    Attributes:
      size: Output size in pixels, one integer for all spatial axes or one each.
      scale_factor: Output size over input size, instead of `size`.
      mode: As in `functional.interpolate`.
      align_corners: Whether the corner pixels' centres keep their place (linear and cubic modes).
      recompute_scale_factor: Whether to sample by the rounded output size instead of by
        `scale_factor` itself.

    Shape:
      `(n, *spatial, c)` -> `(n, *size, c)`; with `scale_factor`,
      `size = floor(spatial * scale_factor)`.

    Raises:
      ValueError: If not exactly one of `size` and `scale_factor` is given, the mode is unknown, or
        the input does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> Upsample(scale_factor=2, mode="bilinear").apply({}, jnp.ones((1, 4, 5, 3))).shape
      (1, 8, 10, 3)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None
    mode: str = "nearest"
    align_corners: bool | None = None
    recompute_scale_factor: bool | None = None

    def __post_init__(self) -> None:
        check_one_size("Upsample", self.size, self.scale_factor)
        check_resize_mode("Upsample", self.mode)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.interpolate(
            x,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return _shown(self.size, self.scale_factor, self.mode)


class UpsamplingNearest2d(nn.Module):
    """Resizes images by repeating pixels.

    Mirrors `torch.nn.UpsamplingNearest2d` on channels-last input.

    Attributes:
      size: Output height and width in pixels; an int means both.
      scale_factor: Output size over input size, instead of `size`.

    Shape:
      `(n, h, w, c)` -> `(n, *size, c)`; with `scale_factor`, `size = floor((h, w) * scale_factor)`.

    Raises:
      ValueError: If not exactly one of `size` and `scale_factor` is given, or the input does not
        fit.

    Example:
      >>> import jax.numpy as jnp
      >>> UpsamplingNearest2d(scale_factor=2).apply({}, jnp.ones((1, 4, 5, 3))).shape
      (1, 8, 10, 3)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_one_size("UpsamplingNearest2d", self.size, self.scale_factor)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.upsample_nearest(x, self.size, self.scale_factor)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return _shown(self.size, self.scale_factor, "nearest")


class UpsamplingBilinear2d(nn.Module):
    """Resizes images by bilinear interpolation with aligned corners.

    Mirrors `torch.nn.UpsamplingBilinear2d` on channels-last input.

    Attributes:
      size: Output height and width in pixels; an int means both.
      scale_factor: Output size over input size, instead of `size`.

    Shape:
      `(n, h, w, c)` -> `(n, *size, c)`; with `scale_factor`, `size = floor((h, w) * scale_factor)`.

    Raises:
      ValueError: If not exactly one of `size` and `scale_factor` is given, or the input does not
        fit.

    Example:
      >>> import jax.numpy as jnp
      >>> UpsamplingBilinear2d(size=(7, 9)).apply({}, jnp.ones((1, 4, 5, 3))).shape
      (1, 7, 9, 3)
    """

    size: int | Sequence[int] | None = None
    scale_factor: float | Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_one_size("UpsamplingBilinear2d", self.size, self.scale_factor)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.upsample_bilinear(x, self.size, self.scale_factor)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return _shown(self.size, self.scale_factor, "bilinear")


def _shown(
    size: int | Sequence[int] | None, scale_factor: float | Sequence[float] | None, mode: str
) -> str:
    if scale_factor is None:
        return f"size={tuple(size) if isinstance(size, Sequence) else size}, mode={mode!r}"
    if isinstance(scale_factor, Sequence):
        return f"scale_factor={tuple(map(float, scale_factor))}, mode={mode!r}"
    return f"scale_factor={float(scale_factor)}, mode={mode!r}"
