"""SpectFormer, the architecture of one resolution, as badripatro/SpectFormers builds it."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check_int
from jaxcnn.functional.attention import (
    attention_probabilities,
    merge_heads,
    split_heads,
    weighted_sum,
)
from jaxcnn.models.families._blocks import Layer
from jaxcnn.models.families._spectral import (
    LayerNorm,
    Linear,
    SpectralGatingNetwork,
    check_heads,
    check_images,
    checked_size,
    drop_path,
    dropped,
)

# Blocks with a spectral gate, before those with attention.
_ALPHA = 4


@dataclasses.dataclass(frozen=True)
class _Setting:
    """How one block differs from the others."""

    dim: int
    num_heads: int
    mlp_ratio: float
    drop: float
    drop_path: float
    norm: Layer
    grid: tuple[int, int]


class PatchEmbed(flax.linen.Module):
    """One vector for each patch."""

    in_channels: int
    patch_size: int
    embed_dim: int

    def setup(self) -> None:
        self.proj = nn.Conv2d(self.in_channels, self.embed_dim, self.patch_size, self.patch_size)

    def __call__(self, x: Any) -> jax.Array:
        return self.proj(x)


class Mlp(flax.linen.Module):
    """Two layers for each patch."""

    in_features: int
    hidden_features: int
    dropout: float

    def setup(self) -> None:
        self.fc1 = Linear(self.in_features, self.hidden_features)
        self.act = nn.GELU()
        self.fc2 = Linear(self.hidden_features, self.in_features)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.drop(self.act(self.fc1(x)), train)
        return self.drop(self.fc2(x), train)


class Attention(flax.linen.Module):
    """Self-attention between all patches."""

    dim: int
    num_heads: int
    dropout: float

    def setup(self) -> None:
        self.qkv = Linear(self.dim, 3 * self.dim)
        self.attn_drop = nn.Dropout(self.dropout)
        self.proj = Linear(self.dim, self.dim)
        self.proj_drop = nn.Dropout(self.dropout)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        qkv = self.qkv(x.reshape(len(x), -1, self.dim))
        q, k, v = (split_heads(y, self.num_heads) for y in jnp.split(qkv, 3, axis=-1))
        weights = self.attn_drop(attention_probabilities(q, k), train)
        mixed = merge_heads(weighted_sum(weights, v)).reshape(x.shape)
        return self.proj_drop(self.proj(mixed), train)


class Block(flax.linen.Module):
    """A spectral gate and two layers for each patch, both beside one shortcut."""

    setting: _Setting

    def setup(self) -> None:
        s = self.setting
        self.norm1 = s.norm(s.dim)
        self.filter = SpectralGatingNetwork(s.dim, s.grid)
        self.drop_path = drop_path(s.drop_path)
        self.norm2 = s.norm(s.dim)
        self.mlp = Mlp(s.dim, int(s.dim * s.mlp_ratio), s.drop)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        y = self.mlp(self.norm2(self.filter(self.norm1(x))), train)
        return x + dropped(self.drop_path, y, train)


class Block_attention(flax.linen.Module):
    """Attention, and two layers for each patch, each beside a shortcut."""

    setting: _Setting

    def setup(self) -> None:
        s = self.setting
        self.norm1 = s.norm(s.dim)
        self.drop_path = drop_path(s.drop_path)
        self.norm2 = s.norm(s.dim)
        self.mlp = Mlp(s.dim, int(s.dim * s.mlp_ratio), s.drop)
        self.attn = Attention(s.dim, s.num_heads, s.drop)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = x + dropped(self.drop_path, self.attn(self.norm1(x), train), train)
        return x + dropped(self.drop_path, self.mlp(self.norm2(x), train), train)


class SpectFormer(flax.linen.Module):
    """Four blocks of spectral gates and then blocks of attention, on patches.

    Mirrors `SpectFormer` of badripatro/SpectFormers (vanilla) on channels-last images; its options
    for a layer before the head and for other dropouts are left out. `spectformer.resample` fits a
    checkpoint of another size. The origin writes 6 heads into the code, which does not divide the
    channels of two published models, and the heads these had is not known: the heads in `VARIANTS`
    have 64 channels each, which is 6 of them where 6 works.

    Attributes:
      img_size: Height and width of the images in pixels, multiples of `patch_size`; an int means
        both.
      patch_size: Height and width of a patch in pixels.
      num_classes: Outputs of the last layer.
      embed_dim: Channels of a patch.
      depth: Blocks.
      num_heads: Heads of attention.
      mlp_ratio: Channels inside a block's two layers, by those outside.
      drop_rate: Probability of dropping a number, in all dropouts.
      drop_path_rate: Probability of dropping a branch of the last block; it rises from 0 evenly.
      norm_layer: The norm, called with its number of channels.
      in_channels: Channels of the input.

    Parameters:
      `pos_embed (1, patches, embed_dim)` from N(0, 0.02^2), and those of the layers.

    Call:
      x: The images.
      train: Whether to train; needs the rng `dropout` if one of the rates is set.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`. The features are maps of one size,
      `(n, h/patch_size, w/patch_size, embed_dim)`, after each quarter of the blocks.

    Raises:
      ValueError: If a value is out of range or the images are not of the model's size.
      TypeError: If a size is not an integer.

    Source: Patro et al., 2023.

    Example:
      >>> model, x = VARIANTS["spectformer_t"](img_size=64), jnp.ones((1, 64, 64, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 1000)
    """

    img_size: Any = 224
    patch_size: int = 16
    num_classes: int = 1000
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 6
    mlp_ratio: float = 4.0
    drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    norm_layer: Layer = LayerNorm
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last block of each quarter."""
        return tuple(dict.fromkeys(f"blocks.{-(-self.depth * i // 4) - 1}" for i in range(1, 5)))

    def __post_init__(self) -> None:
        check_int("SpectFormer", "patch_size", self.patch_size, 1)
        check_int("SpectFormer", "depth", self.depth, 1)
        self.img_size = checked_size(self.img_size, self.patch_size)
        check_heads(self.embed_dim, self.num_heads)
        super().__post_init__()

    def setup(self) -> None:
        h, w = (size // self.patch_size for size in self.img_size)
        dim = self.embed_dim
        self.patch_embed = PatchEmbed(self.in_channels, self.patch_size, dim)
        self.pos_embed = self.param("pos_embed", init.trunc_normal(std=0.02), (1, h * w, dim))
        self.pos_drop = nn.Dropout(self.drop_rate)
        settings = [
            _Setting(
                dim, self.num_heads, self.mlp_ratio, self.drop_rate, rate, self.norm_layer, (h, w)
            )
            for rate in np.linspace(0, self.drop_path_rate, self.depth).tolist()
        ]
        self.blocks = nn.ModuleList(
            Block(setting) if i < _ALPHA else Block_attention(setting)
            for i, setting in enumerate(settings)
        )
        self.norm = self.norm_layer(dim)
        self.pre_logits = nn.Identity()
        self.head = Linear(dim, self.num_classes)
        self.final_dropout = nn.Identity()

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x = self.patch_embed(check_images(x, self.in_channels, self.img_size))
        x = self.pos_drop(x + self.pos_embed.reshape(1, *x.shape[1:]), train)
        for block in self.blocks:
            x = block(x, train)
        return self.head(self.norm(x).mean((1, 2)))


VARIANTS = {
    "spectformer_t": partial(SpectFormer, embed_dim=256, depth=12, num_heads=4),
    "spectformer_xs": partial(SpectFormer, embed_dim=384, depth=12, num_heads=6),
    "spectformer_s": partial(
        SpectFormer, embed_dim=384, depth=19, num_heads=6, drop_path_rate=0.15
    ),
    "spectformer_b": partial(
        SpectFormer, embed_dim=512, depth=19, num_heads=8, drop_path_rate=0.25
    ),
}
