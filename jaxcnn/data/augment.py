"""Random changes to a batch of images, as pure functions that run inside the compiled step."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int


def random_crop(images: ArrayLike, rng: jax.Array, padding: int = 4) -> jax.Array:
    """Moves each image by up to `padding` pixels each way; zeros (black) move in.

    Mirrors `torchvision.transforms.RandomCrop(size, padding)` for the `size` that the images have;
    each image of the batch has its own draw.

    Args:
      images: A batch of any dtype; of bytes it is fastest.
      rng: The random key.
      padding: Pixels added to each side before cropping.

    Raises:
      ValueError: If `images` is not a batch, or `padding` is negative.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> random_crop(jnp.ones((2, 4, 4, 1), jnp.uint8), jax.random.key(0), padding=1).shape
      (2, 4, 4, 1)
    """
    x = _batch("random_crop", images)
    check_int("random_crop", "padding", padding, 0)
    corners = jax.random.randint(rng, (len(x), 2), 0, 2 * padding + 1)
    padded = jnp.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    crop = functools.partial(lax.dynamic_slice, slice_sizes=x.shape[1:])
    return jax.vmap(lambda image, corner: crop(image, (*corner, 0)))(padded, corners)


def random_horizontal_flip(images: ArrayLike, rng: jax.Array, p: float = 0.5) -> jax.Array:
    """Mirrors each image, left to right, with probability `p`.

    Mirrors `torchvision.transforms.RandomHorizontalFlip`; each image of the batch has its own draw.

    Args:
      images: A batch of any dtype.
      rng: The random key.
      p: Probability of a flip, 0 to 1.

    Raises:
      ValueError: If `images` is not a batch, or `p` is outside 0 to 1.

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> row = jnp.array([1, 2, 3], jnp.uint8).reshape(1, 1, 3, 1)
      >>> random_horizontal_flip(row, jax.random.key(0), p=1.0).ravel().tolist()
      [3, 2, 1]
    """
    x = _batch("random_horizontal_flip", images)
    check(0 <= p <= 1, "random_horizontal_flip", "p must be between 0 and 1", p=p)
    flipped = jax.random.bernoulli(rng, p, (len(x), 1, 1, 1))
    return jnp.where(flipped, x[:, :, ::-1], x)


def _batch(where: str, images: ArrayLike) -> jax.Array:
    x = jnp.asarray(images)
    check(x.ndim == 4, where, "images must be a batch (n, h, w, c)", shape=x.shape)
    return x
