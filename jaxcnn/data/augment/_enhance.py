"""The arithmetic of colours, on batches that were checked; torchvision's, operation by operation.

Bytes are computed in float32 and cut off, not rounded, as torchvision does.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.data.augment._common import as_levels, floats, product, scaled, white


class Shares(NamedTuple):
    """What goes into a blend: a share of the image, the rest of something else.

    Attributes:
      image: Share of the image, `(n, 1, 1, 1)` or `(1, 1, 1, 1)`; over 1 moves away from the other.
      other: 1 less that share, rounded from the exact difference.
    """

    image: jax.Array
    other: jax.Array


def brightness(x: jax.Array, shares: Shares) -> jax.Array:
    """Blends with black."""
    return _as_pixels(floats(x) * shares.image, x)


def contrast(x: jax.Array, shares: Shares) -> jax.Array:
    """Blends with the mean grey of the image."""
    mean = gray(x).mean(axis=(1, 2, 3), keepdims=True)
    return _blend(x, mean, shares)


def saturation(x: jax.Array, shares: Shares) -> jax.Array:
    """Blends with the grey image."""
    return x if x.shape[-1] == 1 else _blend(x, gray(x), shares)


def sharpness(x: jax.Array, shares: Shares) -> jax.Array:
    """Blends with a blurred image, but for the edge pixels, which have no full neighbourhood."""
    if min(x.shape[1:3]) <= 2:
        return x
    y = floats(x)
    rows = y[:, :-2] + y[:, 1:-1] + y[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    centre = y[:, 1:-1, 1:-1]
    blurred = (total + 4 * centre) / 13
    blurred = jnp.round(blurred) if white(x) == 255 else blurred
    changed = _as_pixels(centre + (blurred - centre) * shares.other, x)
    return x.at[:, 1:-1, 1:-1].set(changed)


def hue(x: jax.Array, shift: jax.Array) -> jax.Array:
    """Turns the colour wheel by `shift`, a share of the circle."""
    if x.shape[-1] == 1:
        return x
    hues, saturations, values = _rgb_to_hsv(scaled(x))
    turned = _hsv_to_rgb(jnp.remainder(hues + shift.reshape(-1, 1, 1), 1), saturations, values)
    return turned.astype(x.dtype) if white(x) == 1 else as_levels(turned)


def gray(x: jax.Array) -> jax.Array:
    """Brightness of each pixel as floats, whole numbers of bytes, `(n, h, w, 1)`."""
    y = floats(x)
    if x.shape[-1] == 1:
        return y
    red, green, blue = jnp.split(y, 3, axis=-1)
    mixed = red * 0.2989 + green * 0.587 + blue * 0.114
    return jnp.floor(mixed) if white(x) == 255 else mixed


def _blend(x: jax.Array, other: jax.Array, shares: Shares) -> jax.Array:
    mixed = product(floats(x), shares.image) + product(other, shares.other)
    return _as_pixels(mixed, x)


def _as_pixels(y: jax.Array, like: jax.Array) -> jax.Array:
    return jnp.clip(y, 0, white(like)).astype(like.dtype)


def _rgb_to_hsv(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    red, green, _ = jnp.moveaxis(x, -1, 0)
    brightest, darkest = x.max(axis=-1), x.min(axis=-1)
    grey = brightest == darkest
    spread = brightest - darkest
    saturations = spread / jnp.where(grey, 1, brightest)
    distance = (brightest[..., None] - x) / jnp.where(grey, 1, spread)[..., None]
    to_red, to_green, to_blue = jnp.moveaxis(distance, -1, 0)
    sixths = jnp.where(
        brightest == red,
        to_blue - to_green,
        jnp.where(brightest == green, 2 + to_red - to_blue, 4 + to_green - to_red),
    )
    return lax.rem(sixths * np.float32(1 / 6) + 1, jnp.ones_like(sixths)), saturations, brightest


def _hsv_to_rgb(hues: jax.Array, saturations: jax.Array, v: jax.Array) -> jax.Array:
    """Travis' hexcone: in each sixth of the circle one channel is v, one p, one between."""
    sixth = jnp.floor(hues * 6)
    part = hues * 6 - sixth
    p, q, t = (
        jnp.clip(v * share, 0, 1)
        for share in (
            1 - saturations,
            1 - saturations * part,
            saturations * part + (1 - saturations),
        )
    )
    which = sixth.astype(jnp.int32) % 6
    channels = ((v, q, p, p, t, v), (t, v, v, q, p, p), (p, p, t, v, v, q))
    return jnp.stack([lax.select_n(which, *cases) for cases in channels], axis=-1)
