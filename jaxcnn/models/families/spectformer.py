"""SpectFormer, the hierarchical architecture, as badripatro/SpectFormers builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check
from jaxcnn.models.families._blocks import Layer
from jaxcnn.models.families._spectral import (
    FOLDS,
    Conv2d,
    LayerNorm,
    Linear,
    SpectralGatingNetwork,
    attend,
    check_heads,
    check_images,
    checked_size,
    draw_box,
    drop_path,
    dropped,
    resample,
    swap_box,
    token_label_loss,
)

__all__ = ["VARIANTS", "SpectFormer", "resample", "token_label_loss"]

# Steps in pixels between the input's pixels and those of the last stage, and of the stem.
_STRIDE, _STEM_STRIDE = 32, 4


@dataclasses.dataclass(frozen=True)
class _Setting:
    """How one block differs from the others.

    Attributes:
      grid: Height and width in pixels where the block mixes by a spectral gate; None: attention.
      fold, base_dim: As in SpectralGatingNetwork.
    """

    dim: int
    num_heads: int
    mlp_ratio: float
    drop_path: float
    norm: Layer
    grid: tuple[int, int] | None
    fold: str | None
    base_dim: int


class Stem(flax.linen.Module):
    """Four convolutions, of which the first and the last halve the size, and a norm."""

    in_channels: int
    stem_hidden_dim: int
    out_channels: int

    def setup(self) -> None:
        hidden = self.stem_hidden_dim
        layers = []
        for inputs, kernel, stride in ((self.in_channels, 7, 2), (hidden, 3, 1), (hidden, 3, 1)):
            conv = Conv2d(inputs, hidden, kernel, stride, kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)]
        self.conv = nn.Sequential(*layers)
        self.proj = Conv2d(hidden, self.out_channels, 3, 2, 1)
        self.norm = nn.LayerNorm(self.out_channels)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        return self.norm(self.proj(self.conv(x, train)))


class DownSamples(flax.linen.Module):
    """A convolution that halves the size, and a norm."""

    in_channels: int
    out_channels: int

    def setup(self) -> None:
        self.proj = Conv2d(self.in_channels, self.out_channels, 3, 2, 1)
        self.norm = nn.LayerNorm(self.out_channels)

    def __call__(self, x: Any) -> jax.Array:
        return self.norm(self.proj(x))


class Attention(flax.linen.Module):
    """Self-attention between all pixels."""

    dim: int
    num_heads: int

    def setup(self) -> None:
        self.q = Linear(self.dim, self.dim)
        self.kv = Linear(self.dim, 2 * self.dim)
        self.proj = Linear(self.dim, self.dim)

    def __call__(self, x: Any) -> jax.Array:
        tokens = x.reshape(len(x), -1, self.dim)
        mixed = attend(self.q(tokens), self.kv(tokens), self.num_heads)
        return self.proj(mixed).reshape(x.shape)


class DWConv(flax.linen.Module):
    """A 3x3 convolution of each channel by itself."""

    dim: int

    def setup(self) -> None:
        # Fan in is the origin's fan out divided by the groups.
        start = init.kaiming_normal(nonlinearity="relu")
        self.dwconv = Conv2d(self.dim, self.dim, 3, 1, 1, groups=self.dim, weight_init=start)

    def __call__(self, x: Any) -> jax.Array:
        return self.dwconv(x)


class PVT2FFN(flax.linen.Module):
    """Two layers for each pixel, and between them a convolution of each channel."""

    in_features: int
    hidden_features: int

    def setup(self) -> None:
        self.fc1 = Linear(self.in_features, self.hidden_features)
        self.dwconv = DWConv(self.hidden_features)
        self.act = nn.GELU()
        self.fc2 = Linear(self.hidden_features, self.in_features)

    def __call__(self, x: Any) -> jax.Array:
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class Block(flax.linen.Module):
    """A spectral gate or attention, and a feed-forward network, each beside a shortcut."""

    setting: _Setting

    def setup(self) -> None:
        s = self.setting
        if s.grid is None:
            mixer = Attention(s.dim, s.num_heads)
        else:
            mixer = SpectralGatingNetwork(s.dim, s.grid, s.fold, s.base_dim)
        if s.fold is not None:
            self.m = mixer
        self.norm1 = s.norm(s.dim)
        self.norm2 = s.norm(s.dim)
        if s.fold is None:
            self.attn = mixer
        self.mlp = PVT2FFN(s.dim, int(s.dim * s.mlp_ratio))
        self.drop_path = drop_path(s.drop_path)

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        mixer = self.attn if self.setting.fold is None else self.m
        x = x + dropped(self.drop_path, mixer(self.norm1(x)), train)
        return x + dropped(self.drop_path, self.mlp(self.norm2(x)), train)


class ClassAttention(flax.linen.Module):
    """Attention of the first token to all tokens."""

    dim: int
    num_heads: int

    def setup(self) -> None:
        self.kv = Linear(self.dim, 2 * self.dim)
        self.q = Linear(self.dim, self.dim)
        self.proj = Linear(self.dim, self.dim)

    def __call__(self, tokens: Any) -> jax.Array:
        return self.proj(attend(self.q(tokens[:, :1]), self.kv(tokens), self.num_heads))


class FFN(flax.linen.Module):
    """Two layers for each token."""

    in_features: int
    hidden_features: int

    def setup(self) -> None:
        self.fc1 = Linear(self.in_features, self.hidden_features)
        self.act = nn.GELU()
        self.fc2 = Linear(self.hidden_features, self.in_features)

    def __call__(self, x: Any) -> jax.Array:
        return self.fc2(self.act(self.fc1(x)))


class ClassBlock(flax.linen.Module):
    """Attention and a feed-forward network for the first token; the others stay."""

    dim: int
    num_heads: int
    mlp_ratio: float
    norm: Layer

    def setup(self) -> None:
        self.norm1 = self.norm(self.dim)
        self.norm2 = self.norm(self.dim)
        self.attn = ClassAttention(self.dim, self.num_heads)
        self.mlp = FFN(self.dim, int(self.dim * self.mlp_ratio))

    def __call__(self, tokens: Any) -> jax.Array:
        first = tokens[:, :1] + self.attn(self.norm1(tokens))
        first = first + self.mlp(self.norm2(first))
        return jnp.concatenate([first, tokens[:, 1:]], axis=1)


class SpectFormer(flax.linen.Module):
    """Four stages, two of spectral gates and two of attention; `VARIANTS` has the published ones.

    Mirrors `SpectFormer` of badripatro/SpectFormers (hierarchical) on channels-last images. There
    images have 224 pixels; here `img_size` says how many, and `resample` fits a checkpoint of
    another size. Arguments without effect (`sr_ratios`, `num_stages`) are left out.

    `spectformer_h_s_seed` is a variant known from the tree that a web page prints. What its second
    convolution reads there is not known: `fold` is a choice.

    With token labels, training mixes each image with its mirror in the batch (the first with the
    last, ...): a random box of the stem's output comes from the other one. Box, drop path and
    BatchNorm's batch are those of one device. `token_label_loss` is the loss.

    Attributes:
      num_classes: Outputs of the last layer.
      stem_hidden_dim: Channels inside the stem.
      embed_dims: Channels of each stage.
      num_heads: Heads of attention of each stage; the first two have none.
      mlp_ratios: Channels inside each stage's feed-forward networks, by those outside; the last one
        is that of the class token's network too.
      drop_path_rate: Probability of dropping a branch of the last block; it rises from 0 evenly.
      norm_layer: The norm, called with its number of channels, of all but stem and downsampling.
      depths: Blocks of each stage.
      token_label: Whether there is a second head that classifies each pixel of the last stage.
      img_size: Height and width of the images in pixels, multiples of 32; an int means both.
      fold: "mean" or "first" is the printed variant, in which the mixer is called `m`, gates lie
        between two convolutions (`fold` as in `SpectralGatingNetwork`) and the blocks'
        feed-forward networks do not widen; None is the published model.
      in_channels: Channels of the input.

    Call:
      x: The images.
      train: Whether to train; needs the rng `dropout` if `token_label` or `drop_path_rate` is set.

    Shape:
      `(n, h, w, in_channels)` -> `(n, num_classes)`; with `token_label`, training returns that,
      `(n, h/32 * w/32, num_classes)` of the pixels and the box `(top, left, bottom, right)` in
      pixels of the last stage. The features are those of each stage; the last one is not
      normalised.

    Raises:
      ValueError: If a value is out of range or the images are not of the model's size.
      TypeError: If `img_size` is not integers.

    Source: Patro et al., 2023; Li et al., 2022 (Wave-ViT); Jiang et al., 2021 (token labels).

    Example:
      >>> model, x = VARIANTS["spectformer_h_s"](img_size=64), jnp.ones((1, 64, 64, 3))
      >>> jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape
      (1, 1000)
    """

    num_classes: int = 1000
    stem_hidden_dim: int = 32
    embed_dims: Sequence[int] = (64, 128, 320, 448)
    num_heads: Sequence[int] = (2, 4, 10, 14)
    mlp_ratios: Sequence[float] = (8, 8, 4, 4)
    drop_path_rate: float = 0.0
    norm_layer: Layer = LayerNorm
    depths: Sequence[int] = (3, 4, 6, 3)
    token_label: bool = True
    img_size: Any = 224
    fold: str | None = dataclasses.field(default=None, kw_only=True)
    in_channels: int = dataclasses.field(default=3, kw_only=True)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The last module of each stage."""
        return "norm1", "norm2", "norm3", f"block4.{self.depths[3] - 1}"

    def __post_init__(self) -> None:
        self.img_size = checked_size(self.img_size, _STRIDE)
        for name in ("embed_dims", "num_heads", "mlp_ratios", "depths"):
            values = getattr(self, name)
            rule = f"{name} must have four entries"
            check(len(values) == 4, "SpectFormer", rule, **{name: values})
        for dim, heads in zip(self.embed_dims[2:], self.num_heads[2:], strict=True):
            check_heads(dim, heads)
        rule = f"fold must be None or one of {FOLDS}"
        check(self.fold is None or self.fold in FOLDS, "SpectFormer", rule, fold=self.fold)
        first, second = self.embed_dims[:2]
        rule = "fold needs a second stage with a multiple of the first one's channels"
        fits = self.fold is None or second % first == 0
        check(fits, "SpectFormer", rule, embed_dims=self.embed_dims)
        super().__post_init__()

    def setup(self) -> None:
        rates = iter(np.linspace(0, self.drop_path_rate, sum(self.depths)).tolist())
        dims = self.embed_dims
        for i, (dim, depth) in enumerate(zip(dims, self.depths, strict=True)):
            embed = (
                Stem(self.in_channels, self.stem_hidden_dim, dim)
                if i == 0
                else DownSamples(dims[i - 1], dim)
            )
            setting = _Setting(
                dim,
                self.num_heads[i],
                self.mlp_ratios[i] if self.fold is None else 1,
                0.0,
                self.norm_layer,
                self._grid(_STEM_STRIDE * 2**i) if i < 2 else None,
                self.fold,
                dims[0],
            )
            blocks = [
                Block(dataclasses.replace(setting, drop_path=next(rates))) for _ in range(depth)
            ]
            setattr(self, f"patch_embed{i + 1}", embed)
            setattr(self, f"block{i + 1}", nn.ModuleList(blocks))
            setattr(self, f"norm{i + 1}", self.norm_layer(dim))
        network = ClassBlock(dims[3], self.num_heads[3], self.mlp_ratios[3], self.norm_layer)
        self.post_network = nn.ModuleList([network])
        self.head = Linear(dims[3], self.num_classes)
        if self.token_label:
            self.aux_head = Linear(dims[3], self.num_classes)

    def __call__(self, x: Any, train: bool = False) -> Any:
        x = self.patch_embed1(check_images(x, self.in_channels, self.img_size), train)
        if not self.token_label:
            return self.head(self.norm4(self._tokens(x, train)[:, 0]))
        if not train:
            logits, labels = self._classes(x, train)
            return logits + 0.5 * labels.max(1)
        grid = self._grid(_STRIDE)
        box = draw_box(self.make_rng("dropout"), grid)
        logits, labels = self._classes(swap_box(x, box * (_STRIDE // _STEM_STRIDE)), train)
        images = labels.reshape(len(x), *grid, self.num_classes)
        return logits, swap_box(images, box).reshape(labels.shape), box

    def _classes(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """The logits of the images and of their pixels."""
        tokens = self.norm4(self._tokens(x, train))
        return self.head(tokens[:, 0]), self.aux_head(tokens[:, 1:])

    def _tokens(self, x: jax.Array, train: bool) -> jax.Array:
        """The class token and the pixels of the last stage, from the stem's output."""
        pixels = self._stages(x, train).reshape(len(x), -1, self.embed_dims[3])
        tokens = jnp.concatenate([pixels.mean(1, keepdims=True), pixels], axis=1)
        return self.post_network[0](tokens)

    def _stages(self, x: jax.Array, train: bool) -> jax.Array:
        """The map of the last stage."""
        embeds = (None, self.patch_embed2, self.patch_embed3, self.patch_embed4)
        stages = (self.block1, self.block2, self.block3, self.block4)
        norms = (self.norm1, self.norm2, self.norm3, None)
        for embed, blocks, norm in zip(embeds, stages, norms, strict=True):
            x = x if embed is None else embed(x)
            for block in blocks:
                x = block(x, train)
            x = x if norm is None else norm(x)
        return x

    def _grid(self, stride: int) -> tuple[int, int]:
        h, w = self.img_size
        return h // stride, w // stride


_S = {"stem_hidden_dim": 32, "embed_dims": (64, 128, 320, 448), "num_heads": (2, 4, 10, 14)}
_B = {"stem_hidden_dim": 64, "embed_dims": (64, 128, 320, 512), "num_heads": (2, 4, 10, 16)}
_L = {"stem_hidden_dim": 64, "embed_dims": (96, 192, 384, 512), "num_heads": (3, 6, 12, 16)}

# Rates of drop path are those of the published training runs.
VARIANTS = {
    "spectformer_h_s": partial(SpectFormer, **_S, depths=(3, 4, 6, 3), drop_path_rate=0.1),
    "spectformer_h_b": partial(SpectFormer, **_B, depths=(3, 4, 12, 3), drop_path_rate=0.1),
    "spectformer_h_l": partial(SpectFormer, **_L, depths=(3, 6, 18, 3), drop_path_rate=0.3),
    "spectformer_h_s_seed": partial(
        SpectFormer,
        num_classes=6,
        **_S,
        depths=(3, 4, 6, 3),
        drop_path_rate=0.1,
        token_label=False,
        fold="mean",
    ),
}
