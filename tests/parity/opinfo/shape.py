"""Padding, resizing, shuffling and sampling at given places."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxcnn import functional as F

from .entry import Entry, channels


def _pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """PyTorch's list, last axis first, names the same axes here: W, H, D, C, N.

    Without a batch, where `F.pad` reads it so, the channels come first in PyTorch and the list
    ends before them.
    """
    x, pairs = jnp.asarray(input), len(pad) // 2
    unbatched = x.ndim == 3 and pairs > 1 if mode == "constant" else x.ndim == pairs + 1
    channel = 0 if unbatched else min(1, x.ndim - 1)
    y = F.pad(jnp.moveaxis(x, channel, -1), pad, mode, value)
    return jnp.moveaxis(y, -1, channel)


def _sampler(input: Any, grid: Any, mode: int, padding_mode: int, align_corners: bool) -> Any:
    """What is below `grid_sample` in PyTorch names the modes by numbers."""
    mode_name = ("bilinear", "nearest", "bicubic")[mode]
    padding_name = ("zeros", "border", "reflection")[padding_mode]
    return channels(F.grid_sample)(input, grid, mode_name, padding_name, align_corners)


_INTERPOLATE = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic", "area")

ENTRIES = [
    *(
        Entry("nn.functional.pad", _pad, variant=variant)
        for variant in ("constant", "reflect", "replicate", "replicate_negative", "circular")
    ),
    *(
        Entry("nn.functional.interpolate", channels(F.interpolate), variant=mode)
        for mode in _INTERPOLATE
    ),
    Entry("nn.functional.upsample_nearest", channels(F.upsample_nearest)),
    Entry("nn.functional.upsample_bilinear", channels(F.upsample_bilinear)),
    Entry("nn.functional.pixel_shuffle", channels(F.pixel_shuffle)),
    Entry("nn.functional.pixel_unshuffle", channels(F.pixel_unshuffle)),
    Entry("nn.functional.channel_shuffle", channels(F.channel_shuffle)),
    Entry("nn.functional.grid_sample", channels(F.grid_sample)),
    Entry("grid_sampler_2d", _sampler),  # its images have unequal sides
]
