"""Several augmentations as one."""

from __future__ import annotations

from collections.abc import Callable

import jax

from jaxcnn._checks import check_type

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]


def compose(*functions: Augmentation) -> Augmentation:
    """Makes one augmentation of several, applied in order, each with a key of its own.

    Mirrors `torchvision.transforms.v2.Compose`. Settings are given with `functools.partial`; what
    needs no key is wrapped: `lambda images, rng: center_crop(images, 28)`.

    Args:
      *functions: Each `(images, rng) -> images`.

    Returns:
      `(images, rng) -> images`, the `augment` of `train.make_train_step`.

    Raises:
      TypeError: If one of them cannot be called.

    Example:
      >>> import functools
      >>> import jax.numpy as jnp
      >>> from jaxcnn import data
      >>> augment = compose(
      ...     functools.partial(data.random_crop, padding=2),
      ...     data.random_horizontal_flip,
      ... )
      >>> jax.jit(augment)(jnp.ones((2, 8, 8, 3), jnp.uint8), jax.random.key(0)).shape
      (2, 8, 8, 3)
    """
    for function in functions:
        check_type(callable(function), "compose", "functions must be callable", function=function)

    def augment(images: jax.Array, rng: jax.Array) -> jax.Array:
        for function, key in zip(functions, jax.random.split(rng, len(functions)), strict=True):
            images = function(images, key)
        return images

    return augment
