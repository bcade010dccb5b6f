"""The U-Net, as milesial/Pytorch-UNet builds it."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn


class DoubleConv(flax.linen.Module):
    """Twice a 3x3 convolution, a norm and a ReLU."""

    in_channels: int
    out_channels: int
    mid_channels: int | None = None

    def setup(self) -> None:
        mid_channels = self.mid_channels or self.out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(self.in_channels, mid_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(mid_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid_channels, self.out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(self.out_channels),
            nn.ReLU(inplace=True),
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.double_conv(x, train)


class Down(flax.linen.Module):
    """Halves the size, then a DoubleConv."""

    in_channels: int
    out_channels: int

    def setup(self) -> None:
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(2), DoubleConv(self.in_channels, self.out_channels)
        )

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.maxpool_conv(x, train)


class Up(flax.linen.Module):
    """Doubles the size and joins the map of this size from the way down, then a DoubleConv."""

    in_channels: int
    out_channels: int
    bilinear: bool

    def setup(self) -> None:
        half = self.in_channels // 2
        if self.bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(self.in_channels, self.out_channels, half)
        else:
            self.up = nn.ConvTranspose2d(self.in_channels, half, 2, stride=2)
            self.conv = DoubleConv(self.in_channels, self.out_channels)

    def __call__(self, x: Any, skip: Any, train: bool = False) -> jax.Array:
        x = self.up(x)
        # Max pooling dropped the last row or column of an odd size.
        rows, columns = (skip.shape[axis] - x.shape[axis] for axis in (1, 2))
        x = jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))
        return self.conv(jnp.concatenate([skip, x], -1), train)


class OutConv(flax.linen.Module):
    """A 1x1 convolution."""

    in_channels: int
    out_channels: int

    def setup(self) -> None:
        self.conv = nn.Conv2d(self.in_channels, self.out_channels, 1)

    def __call__(self, x: Any) -> jax.Array:
        return self.conv(x)


class UNet(flax.linen.Module):
    """A network for segmentation: four steps down, four up, each joined with the map across.

    Mirrors `UNet` of milesial/Pytorch-UNet on channels-last images; its `n_channels` and
    `n_classes` are `in_channels` and `num_classes` here, as in the other models.

    Attributes:
      num_classes: Channels of the output.
      bilinear: Whether to go up by interpolation instead of transposed convolutions.
      in_channels: Channels of the input.

    Shape:
      `(n, h, w, in_channels)` -> `(n, h, w, num_classes)`.

    Raises:
      ValueError: If the image is less than 16 pixels high or wide.

    Source: Ronneberger et al., 2015.

    Example:
      >>> model, x = UNet(), jnp.ones((1, 33, 20, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 33, 20, 2)
    """

    num_classes: int = 2
    bilinear: bool = False
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    feature_names = ("up4", "up3", "up2", "up1", "down4")

    def setup(self) -> None:
        factor = 2 if self.bilinear else 1
        self.inc = DoubleConv(self.in_channels, 64)
        self.down1 = Down(64, 128)
        self.down2 = Down(128, 256)
        self.down3 = Down(256, 512)
        self.down4 = Down(512, 1024 // factor)
        self.up1 = Up(1024, 512 // factor, self.bilinear)
        self.up2 = Up(512, 256 // factor, self.bilinear)
        self.up3 = Up(256, 128 // factor, self.bilinear)
        self.up4 = Up(128, 64, self.bilinear)
        self.outc = OutConv(64, self.num_classes)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        skips = [self.inc(x, train)]
        for down in (self.down1, self.down2, self.down3, self.down4):
            skips.append(down(skips[-1], train))
        x = skips.pop()
        for up in (self.up1, self.up2, self.up3, self.up4):
            x = up(x, skips.pop(), train)
        return self.outc(x)


VARIANTS = {"unet": UNet}
