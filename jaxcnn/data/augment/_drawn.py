"""Operations that were drawn for each image, applied one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
from jax import lax

# What an operation makes of images `(n, h, w, c)` and of its numbers, `(k,)`.
Change = Callable[[jax.Array, jax.Array], jax.Array]


def apply(
    changes: Sequence[Change], x: jax.Array, drawn: jax.Array, numbers: jax.Array
) -> jax.Array:
    """Applies to each image the operations that were drawn for it.

    Args:
      changes: The operations; all keep the shape and the type of an image.
      x: The images, `(n, h, w, c)`.
      drawn: Places in `changes`, `(n, num_ops)`.
      numbers: The numbers of each operation, `(n, num_ops, k)`.
    """
    cpu, default = (functools.partial(way, changes) for way in (by_image, at_once))
    return lax.platform_dependent(x, drawn, numbers, cpu=cpu, default=default)


def by_image(
    changes: Sequence[Change], x: jax.Array, drawn: jax.Array, numbers: jax.Array
) -> jax.Array:
    """Computes for each image what was drawn, and no more."""
    return lax.map(lambda each: _apply_to_one(changes, *each), (x, drawn, numbers))


def at_once(
    changes: Sequence[Change], x: jax.Array, drawn: jax.Array, numbers: jax.Array
) -> jax.Array:
    """Computes every operation for the whole batch and selects: more work, but in one pass."""
    return jax.vmap(functools.partial(_apply_to_one, changes))(x, drawn, numbers)


def _apply_to_one(
    changes: Sequence[Change], image: jax.Array, drawn: jax.Array, numbers: jax.Array
) -> jax.Array:
    step = lambda y, now: (lax.switch(now[0], changes, y, now[1]), None)
    return lax.scan(step, image[None], (drawn, numbers))[0][0]
