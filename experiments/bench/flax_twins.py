"""The nets of the training benchmark in plain flax.linen, as its users write them.

They have the layers and the numbers of parameters of `jaxcnn.models.create(name)`, for SpectFormer
with `token_label=False, drop_path_rate=0`, and start from Flax's own initial values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def build(name: str) -> nn.Module:
    return NETS[name]


def conv(features: int, kernel: int, strides: int = 1, **options: Any) -> nn.Conv:
    """A convolution that keeps the size at stride 1, with PyTorch's symmetric padding."""
    padding = [(kernel // 2, kernel // 2)] * 2
    return nn.Conv(features, (kernel, kernel), (strides, strides), padding=padding, **options)


def batch_norm(train: bool) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=not train, momentum=0.9)


class LeNet(nn.Module):
    """Two convolutions and three dense layers with sigmoids."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.avg_pool(nn.sigmoid(conv(6, 5)(x)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.sigmoid(nn.Conv(16, (5, 5), padding="VALID")(x)), (2, 2), (2, 2))
        x = nn.sigmoid(nn.Dense(120)(x.reshape(x.shape[0], -1)))
        x = nn.sigmoid(nn.Dense(84)(x))
        return nn.Dense(10)(x)


class Cifar10Quick(nn.Module):
    """Three 5x5 convolutions with max pooling and two dense layers."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for features in (32, 32, 64):
            x = nn.max_pool(conv(features, 5)(x), (2, 2), (2, 2))
        x = nn.Dense(64)(x.reshape(x.shape[0], -1))
        return nn.Dense(10)(x)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    features: int
    strides: int
    project: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = batch_norm(train)(conv(self.features, 3, self.strides, use_bias=False)(x))
        y = batch_norm(train)(conv(self.features, 3, use_bias=False)(nn.relu(y)))
        if self.strides > 1 and self.project:
            x = batch_norm(train)(conv(self.features, 1, self.strides, use_bias=False)(x))
        elif self.strides > 1:
            zeros = (self.features - x.shape[-1]) // 2
            x = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (zeros, zeros)))
        return nn.relu(y + x)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut; outputs are 4 times as wide."""

    features: int
    strides: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = nn.relu(batch_norm(train)(conv(self.features, 1, use_bias=False)(x)))
        y = batch_norm(train)(conv(self.features, 3, self.strides, use_bias=False)(y))
        y = batch_norm(train)(conv(4 * self.features, 1, use_bias=False)(nn.relu(y)))
        if x.shape[-1] != y.shape[-1]:
            x = batch_norm(train)(conv(4 * self.features, 1, self.strides, use_bias=False)(x))
        return nn.relu(y + x)


class ResNet(nn.Module):
    """A residual network, with the stem for CIFAR's or for ImageNet's images."""

    widths: Sequence[int]
    depths: Sequence[int]
    classes: int
    imagenet: bool
    bottleneck: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        kernel, strides = (7, 2) if self.imagenet else (3, 1)
        x = nn.relu(batch_norm(train)(conv(self.widths[0], kernel, strides, use_bias=False)(x)))
        if self.imagenet:
            padding: Any = [(1, 1), (1, 1)]  # annotated as a string alone in Flax
            x = nn.max_pool(x, (3, 3), (2, 2), padding)
        for i, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for j in range(depth):
                strides = 2 if i > 0 and j == 0 else 1
                if self.bottleneck:
                    x = Bottleneck(width, strides)(x, train)
                else:
                    x = BasicBlock(width, strides, project=self.imagenet)(x, train)
        return nn.Dense(self.classes)(x.mean((1, 2)))


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 one and a linear 1x1 one."""

    features: int
    strides: int
    expansion: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        hidden, y = x.shape[-1] * self.expansion, x
        if self.expansion > 1:
            y = nn.relu6(batch_norm(train)(conv(hidden, 1, use_bias=False)(y)))
        y = conv(hidden, 3, self.strides, feature_group_count=hidden, use_bias=False)(y)
        y = nn.relu6(batch_norm(train)(y))
        y = batch_norm(train)(conv(self.features, 1, use_bias=False)(y))
        return x + y if x.shape == y.shape else y


class MobileNetV2(nn.Module):
    """A network of inverted residuals."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.relu6(batch_norm(train)(conv(32, 3, 2, use_bias=False)(x)))
        widths, depths = (16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1)
        for width, depth, strides in zip(widths, depths, (1, 2, 2, 2, 1, 2, 1), strict=True):
            for i in range(depth):
                expansion = 1 if width == 16 else 6
                x = InvertedResidual(width, strides if i == 0 else 1, expansion)(x, train)
        x = nn.relu6(batch_norm(train)(conv(1280, 1, use_bias=False)(x)))
        x = nn.Dropout(0.2, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(1000)(x)


class SpectralGate(nn.Module):
    """Scales and shifts the phase of each spatial frequency of each channel."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        _, h, w, c = x.shape
        shape = (h, w // 2 + 1, c, 2)
        weight = self.param("complex_weight", nn.initializers.normal(0.02), shape)
        spectrum = jnp.fft.rfft2(x, axes=(1, 2), norm="ortho")
        spectrum = spectrum * jax.lax.complex(weight[..., 0], weight[..., 1])
        return jnp.fft.irfft2(spectrum, s=(h, w), axes=(1, 2), norm="ortho")


class Attention(nn.Module):
    """Attention of the first `queries` tokens, or of all, to all tokens."""

    heads: int
    queries: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, _, c = x.shape
        q = nn.Dense(c)(x[:, : self.queries])
        k, v = jnp.split(nn.Dense(2 * c)(x), 2, axis=-1)
        q, k, v = (t.reshape(n, -1, self.heads, c // self.heads) for t in (q, k, v))
        return nn.Dense(c)(nn.dot_product_attention(q, k, v).reshape(n, -1, c))


class Block(nn.Module):
    """A spectral gate or attention, and a feed-forward network, each beside a shortcut."""

    hidden: int
    heads: int | None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, h, w, c = x.shape
        y = nn.LayerNorm()(x)
        if self.heads is None:
            x = x + SpectralGate()(y)
        else:
            x = x + Attention(self.heads)(y.reshape(n, h * w, c)).reshape(x.shape)
        y = nn.Dense(self.hidden)(nn.LayerNorm()(x))
        y = conv(self.hidden, 3, feature_group_count=self.hidden)(y)
        return x + nn.Dense(c)(nn.gelu(y, approximate=False))


class ClassBlock(nn.Module):
    """A class token, which starts as the mean of all tokens and attends to them: `(n, c)`."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = x.shape[-1]
        x = jnp.concatenate([x.mean(1, keepdims=True), x], axis=1)
        first = x[:, :1] + Attention(self.heads, queries=1)(nn.LayerNorm()(x))
        y = nn.gelu(nn.Dense(4 * c)(nn.LayerNorm()(first)), approximate=False)
        return (first + nn.Dense(c)(y)).squeeze(1)


class SpectFormer(nn.Module):
    """Two stages of spectral gates and two of attention."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for kernel, strides in ((7, 2), (3, 1), (3, 1)):
            x = nn.relu(batch_norm(train)(conv(32, kernel, strides, use_bias=False)(x)))
        # Channels, channels inside the feed-forward networks, blocks, heads if not a gate.
        for width, hidden, depth, heads in (
            (64, 512, 3, None),
            (128, 1024, 4, None),
            (320, 1280, 6, 10),
            (448, 1792, 3, 14),
        ):
            x = nn.LayerNorm(epsilon=1e-5)(conv(width, 3, 2)(x))
            for _ in range(depth):
                x = Block(hidden, heads)(x)
            if width < 448:
                x = nn.LayerNorm()(x)
        x = ClassBlock(14)(x.reshape(x.shape[0], -1, 448))
        return nn.Dense(1000)(nn.LayerNorm()(x))


WIDTHS = (64, 128, 256, 512)
NETS = {
    "lenet": LeNet(),
    "cifar10_quick": Cifar10Quick(),
    "resnet20": ResNet((16, 32, 64), (3, 3, 3), classes=10, imagenet=False),
    "resnet18": ResNet(WIDTHS, (2, 2, 2, 2), classes=1000, imagenet=True),
    "resnet50": ResNet(WIDTHS, (3, 4, 6, 3), classes=1000, imagenet=True, bottleneck=True),
    "mobilenet_v2": MobileNetV2(),
    "spectformer_h_s": SpectFormer(),
}
