"""What the two architectures of SpectFormer share: the spectral gate, drop path, resampling."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

import jaxcnn.functional as F
import jaxcnn.nn as nn
from jaxcnn import init
from jaxcnn._checks import check, check_channels, check_int, int_tuple
from jaxcnn._names import named_leaves
from jaxcnn.functional._numbers import widened
from jaxcnn.functional.attention import merge_heads, split_heads
from jaxcnn.models.families._blocks import FAN_OUT

# What SpectFormer starts its layers from.
Linear = partial(nn.Linear, weight_init=init.trunc_normal(std=0.02), bias_init=init.zeros())
Conv2d = partial(nn.Conv2d, weight_init=FAN_OUT, bias_init=init.zeros())
LayerNorm = partial(nn.LayerNorm, eps=1e-6)

FOLDS = ("mean", "first")


def spectral_gate(x: ArrayLike, complex_weight: ArrayLike) -> jax.Array:
    """Scales and shifts the phase of each spatial frequency of each channel.

    The 2-D spectrum of each channel, with norm "ortho", times a complex weight, back as an image.
    A product that no real image has as its spectrum loses what the inverse transform of PyTorch
    loses: imaginary parts where both frequencies are zero or the highest have no effect.

    Args:
      x: `(n, h, w, c)`.
      complex_weight: `(h, w//2 + 1, c, 2)`, real and imaginary part.

    Returns:
      `(n, h, w, c)`, computed in and returned as at least float32.

    Raises:
      ValueError: If the weight does not fit the images.

    Source: Rao et al., 2021 (global filter networks); Patro et al., 2023 (SpectFormer).

    Example:
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> identity = jnp.zeros((4, 3, 1, 2)).at[..., 0].set(1)
      >>> bool(jnp.allclose(spectral_gate(x, identity), x, atol=1e-5))
      True
    """
    images, weight = jnp.asarray(x), jnp.asarray(complex_weight)
    check(images.ndim == 4, "spectral_gate", "x must be (n, h, w, c)", shape=images.shape)
    _, h, w, c = images.shape
    shape = (h, w // 2 + 1, c, 2)
    rule = f"complex_weight must be (h, w//2 + 1, c, 2) = {shape}"
    check(weight.shape == shape, "spectral_gate", rule, shape=weight.shape)
    real, imaginary = jnp.moveaxis(widened(weight), -1, 0)
    spectrum = jnp.fft.rfft2(widened(images), axes=(1, 2), norm="ortho")
    spectrum = spectrum * jax.lax.complex(real, imaginary)
    # One axis at a time: libraries differ in what a 2-D transform to real numbers makes of a
    # spectrum that belongs to none.
    columns = jnp.fft.ifft(spectrum, axis=1, norm="ortho")
    return jnp.fft.irfft(columns, w, axis=2, norm="ortho")


class SpectralGatingNetwork(flax.linen.Module):
    """A learned `spectral_gate`, as published or between the two convolutions of a variant.

    The variant is known from a printed tree alone: a convolution of `dim` channels before the gate,
    one from `base_dim` to `dim` channels after it. What brings the gate's channels to `base_dim`
    the print does not show; here `fold` says it.

    Attributes:
      dim: Channels of input and output.
      grid: Height and width of the input in pixels.
      fold: How `dim` channels become `base_dim`: "mean" averages channels k, k + base_dim, ...,
        "first" keeps the first ones; None is the published gate, without convolutions.
      base_dim: Channels of the second convolution's input, a divisor of `dim`.

    Parameters:
      `complex_weight (h, w//2 + 1, dim, 2)` from N(0, 0.02^2).

    Shape:
      `(n, h, w, dim)` -> the same.

    Example:
      >>> layer, x = SpectralGatingNetwork(8, (4, 6)), jnp.ones((1, 4, 6, 8))
      >>> y, variables = layer.init_with_output(jax.random.key(0), x)
      >>> y.shape, variables["params"]["complex_weight"].shape
      ((1, 4, 6, 8), (4, 4, 8, 2))
    """

    dim: int
    grid: tuple[int, int]
    fold: str | None = None
    base_dim: int = 64

    def setup(self) -> None:
        h, w = self.grid
        shape = (h, w // 2 + 1, self.dim, 2)
        self.complex_weight = self.param("complex_weight", init.normal(std=0.02), shape)
        if self.fold is not None:
            self.conv_input = Conv2d(self.dim, self.dim, 3, padding=1)
            self.conv_output = Conv2d(self.base_dim, self.dim, 3, padding=1)

    def __call__(self, x: Any) -> jax.Array:
        if self.fold is None:
            return spectral_gate(x, self.complex_weight)
        gated = spectral_gate(self.conv_input(x), self.complex_weight)
        groups = gated.reshape(*gated.shape[:3], -1, self.base_dim)
        return self.conv_output(groups.mean(3) if self.fold == "mean" else groups[..., 0, :])


def drop_path(rate: float) -> nn.DropPath | nn.Identity:
    """The module that the origin prints: none where nothing is dropped.

    Example:
      >>> [type(drop_path(rate)).__name__ for rate in (0.0, 0.1)]
      ['Identity', 'DropPath']
    """
    return nn.DropPath(rate) if rate > 0 else nn.Identity()


def dropped(layer: nn.DropPath | nn.Identity, x: jax.Array, train: bool) -> jax.Array:
    """What is left of a residual branch."""
    return layer(x, train) if isinstance(layer, nn.DropPath) else layer(x)


def attend(query: jax.Array, key_and_value: jax.Array, num_heads: int) -> jax.Array:
    """Attention in heads, before the projection of their outputs.

    Args:
      query: `(n, l, c)`.
      key_and_value: `(n, s, 2c)`, keys of all heads before values of all heads.
      num_heads: Heads, which share the channels evenly.

    Returns:
      `(n, l, c)`.

    Example:
      >>> attend(jnp.ones((2, 1, 8)), jnp.ones((2, 5, 16)), 4).shape
      (2, 1, 8)
    """
    q, k, v = (split_heads(x, num_heads) for x in (query, *jnp.split(key_and_value, 2, axis=-1)))
    return merge_heads(F.scaled_dot_product_attention(q, k, v))


def draw_box(key: jax.Array, grid: tuple[int, int]) -> jax.Array:
    """A random box `(top, left, bottom, right)` in a grid, cut off at its edges.

    Its sides are the grid's times the root of a uniform number, rounded down to even numbers, its
    centre is any pixel. Source: Yun et al., 2019 (CutMix); Jiang et al., 2021.

    Example:
      >>> top, left, bottom, right = draw_box(jax.random.key(0), (7, 7)).tolist()
      >>> 0 <= top <= bottom <= 7 and 0 <= left <= right <= 7
      True
    """
    area_key, centre_key = jax.random.split(key)
    size = jnp.array(grid)
    # The origin draws the rest of the area from Beta(1, 1), which is this.
    half = (size * jnp.sqrt(jax.random.uniform(area_key))).astype(int) // 2
    centre = jax.random.randint(centre_key, (2,), 0, size)
    return jnp.concatenate([jnp.clip(centre - half, 0, size), jnp.clip(centre + half, 0, size)])


def swap_box(images: jax.Array, box: jax.Array) -> jax.Array:
    """Images whose box comes from the mirror image in the batch: the first's from the last, ....

    Args:
      images: `(n, h, w, c)`.
      box: `(top, left, bottom, right)` in pixels.

    Example:
      >>> images = jnp.array([[1.0, 1.0], [2.0, 2.0]])[:, None, :, None]
      >>> swap_box(images, jnp.array([0, 1, 1, 2]))[:, 0, :, 0].tolist()
      [[1.0, 2.0], [2.0, 1.0]]
    """
    top, left, bottom, right = box
    rows, columns = (jnp.arange(size) for size in images.shape[1:3])
    inside = ((rows >= top) & (rows < bottom))[:, None] & (columns >= left) & (columns < right)
    return jnp.where(inside[..., None], images[::-1], images)


def token_label_loss(
    outputs: tuple[ArrayLike, ArrayLike, ArrayLike],
    target: ArrayLike,
    token_target: ArrayLike | None = None,
) -> jax.Array:
    """The loss of a model with token labels: that of the images and half that of their pixels.

    Both are cross entropies with probabilities. The images' targets are mixed as their pixels were:
    each with its mirror in the batch, by the area of the box. The pixels' outputs are back in
    place, so that their targets are not mixed.

    Args:
      outputs: What the model returns in training: logits `(n, classes)`, logits of the pixels
        `(n, pixels, classes)`, and the box.
      target: Probabilities of the classes `(n, classes)`.
      token_target: Probabilities for the pixels `(n, pixels, classes)`. Defaults to their image's.

    Raises:
      ValueError: If shapes do not fit.

    Source: Jiang et al., 2021 (All Tokens Matter).

    Example:
      >>> outputs = jnp.zeros((2, 3)), jnp.zeros((2, 4, 3)), jnp.array([0, 0, 1, 2])
      >>> round(float(token_label_loss(outputs, jnp.eye(3)[:2])), 4)
      1.6479
    """
    logits, tokens, box = (jnp.asarray(x) for x in outputs)
    target = jnp.asarray(target)
    rule = "target must have the shape of the logits"
    check(target.shape == logits.shape, "token_label_loss", rule, target=target.shape)
    if token_target is None:
        token_target = jnp.broadcast_to(target[:, None], tokens.shape)
    rule = "token_target must have the shape of the pixels' logits"
    shape = jnp.shape(token_target)
    check(shape == tokens.shape, "token_label_loss", rule, token_target=shape)
    top, left, bottom, right = box
    mixed = (bottom - top) * (right - left) / tokens.shape[1]
    target = (1 - mixed) * target + mixed * target[::-1]
    return F.cross_entropy(logits, target) + 0.5 * F.cross_entropy(tokens, token_target)


def check_images(x: ArrayLike, in_channels: int, img_size: tuple[int, int]) -> jax.Array:
    """The input as an array.

    Raises:
      ValueError: If it is not a batch of images of the model's size.
    """
    images = jnp.asarray(x)
    rule = "input must be (n, h, w, c)"
    check(images.ndim == 4, "SpectFormer", rule, shape=images.shape)
    check_channels("SpectFormer", images.shape, in_channels, 2)
    h, w = images.shape[1:3]
    fix = f"build the model with img_size=({h}, {w}) and load weights through resample"
    rule = f"images must have the model's size {img_size}"
    check((h, w) == img_size, "SpectFormer", rule, fix, shape=images.shape)
    return images


def checked_size(img_size: Any, stride: int) -> tuple[int, int]:
    """`img_size` as height and width.

    Raises:
      TypeError: If it is not integers.
      ValueError: If a side is not a multiple of `stride`.

    Example:
      >>> checked_size(224, 32)
      (224, 224)
    """
    h, w = int_tuple(img_size, 2, "SpectFormer", "img_size", 1)
    rule = f"img_size must be a multiple of {stride}"
    check(h % stride == 0 and w % stride == 0, "SpectFormer", rule, img_size=img_size)
    return h, w


def check_heads(dim: int, num_heads: int) -> None:
    """Raises unless the heads share the channels evenly."""
    check_int("SpectFormer", "num_heads", num_heads, 1)
    rule = "channels must be divisible by num_heads"
    check(dim % num_heads == 0, "SpectFormer", rule, dim=dim, num_heads=num_heads)


def resample(state_dict: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Fits a SpectFormer's state_dict to images of another size.

    Weights of the spectral gates (`complex_weight`) are resized bicubically with aligned corners,
    position embeddings (`pos_embed`) bicubically without, as the origin does. What fits is
    returned as it is, and so is what a change of size does not explain: `to_variables` reports it.

    Args:
      state_dict: Arrays (or CPU tensors) by PyTorch name.
      like: The variables of a model of the new size, or their `jax.eval_shape`.

    Raises:
      ValueError: If there is a `pos_embed` to resize, but no `complex_weight` whose rows divide it
        evenly: these are the rows of the embedding's grid.

    Example:
      >>> from jaxcnn import models
      >>> model, x = models.spectformer_h_s(img_size=64), jnp.ones((1, 64, 64, 3))
      >>> like = jax.eval_shape(model.init, jax.random.key(0), x)
      >>> name = "block1.0.attn.complex_weight"
      >>> resample({name: np.ones((56, 29, 64, 2), np.float32)}, like)[name].shape
      (16, 9, 64, 2)
    """
    have = {name: np.shape(value) for name, value in state_dict.items()}
    want = {name: leaf.shape for name, leaf in named_leaves("resample", like).items()}
    resized = dict(state_dict)
    for name, value in state_dict.items():
        kind, old, new = name.rpartition(".")[2], have[name], want.get(name, have[name])
        if old == new:
            continue
        if kind == "complex_weight" and old[2:] == new[2:]:
            resized[name] = _resized(value, old[:2], new[:2], align_corners=True).reshape(new)
        elif kind == "pos_embed" and old[::2] == new[::2]:
            grids = _grid(have, old[1]), _grid(want, new[1])
            resized[name] = _resized(value, *grids, align_corners=False).reshape(new)
    return resized


def _grid(shapes: Mapping[str, tuple[int, ...]], positions: int) -> tuple[int, int]:
    """Rows and columns of a position embedding: the rows are those of a spectral weight."""
    rows = next((shape[0] for name, shape in shapes.items() if name.endswith("complex_weight")), 0)
    rule = "pos_embed needs a complex_weight whose rows divide it evenly"
    check(rows > 0 and positions % rows == 0, "resample", rule, positions=positions, rows=rows)
    return rows, positions // rows


def _resized(
    value: ArrayLike, old: tuple[int, ...], new: tuple[int, ...], align_corners: bool
) -> np.ndarray:
    images = np.asarray(value).reshape(1, *old, -1)
    return np.asarray(F.interpolate(images, new, mode="bicubic", align_corners=align_corners))
