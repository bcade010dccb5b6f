"""RandAugment and TrivialAugment: operations drawn from a list, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int
from jaxcnn.data.augment import _enhance
from jaxcnn.data.augment._common import as_colors, product, white
from jaxcnn.data.augment._drawn import Change, apply
from jaxcnn.data.augment._enhance import Shares
from jaxcnn.data.augment.tone import autocontrast, equalize, posterize, solarize


def _warp(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """Fills each pixel with the one that `matrix` says; black where there is none."""
    n, h, w, c = x.shape
    across = jnp.arange(w) - (w - 1) / 2
    down = (jnp.arange(h) - (h - 1) / 2)[:, None]
    places = []
    for row, size in ((matrix[3:], h), (matrix[:3], w)):
        # From -1 to 1 and back to pixels, as PyTorch does: at ties the rounding decides.
        place = product(across, row[0]) + product(down, row[1]) + row[2]
        place = (place + 1) * (size / 2) - 0.5
        places.append(jnp.round(place).astype(jnp.int32))
    rows, columns = places
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    pixels = jnp.where(inside, rows * w + columns, 0).ravel()
    moved = jnp.take(x.reshape(n, h * w, c), pixels, axis=1).reshape(x.shape)
    return jnp.where(inside[:, :, None], moved, 0)


def _blends(change: Callable[[jax.Array, Shares], jax.Array]) -> Change:
    return lambda x, row: change(x, Shares(row[0], row[1]))


CHANGES: dict[str, Change] = {
    "identity": lambda x, row: x,
    "warp": _warp,
    "brightness": _blends(_enhance.brightness),
    "color": _blends(_enhance.saturation),
    "contrast": _blends(_enhance.contrast),
    "sharpness": _blends(_enhance.sharpness),
    "posterize": lambda x, row: posterize(x, row[0]),
    "solarize": lambda x, row: solarize(x, row[0] * white(x)),
    "autocontrast": lambda x, row: autocontrast(x),
    "equalize": lambda x, row: equalize(x),
}


@dataclasses.dataclass(frozen=True)
class Strength:
    """Magnitudes of the last bin.

    Attributes:
      shear: Columns a row moves by, in rows from the edge.
      down: Rows an image moves by.
      across: Columns an image moves by.
      degrees: Angle of a rotation.
      blend: How far the factor of a blend is from 1.
      bits: Bits that a posterized image loses.
    """

    shear: float
    down: float
    across: float
    degrees: float
    blend: float
    bits: int


def rand_augment(
    images: ArrayLike,
    rng: jax.Array,
    num_ops: int = 2,
    magnitude: int = 9,
    num_magnitude_bins: int = 31,
) -> jax.Array:
    """Applies some operations, drawn from fourteen, to each image.

    Mirrors `torchvision.transforms.v2.RandAugment` with nearest interpolation and black where
    pixels are missing; each image has its own draws. Blends of bytes may differ by one grey level
    where a processor multiplies and adds at once.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      rng: The random key.
      num_ops: Operations for each image.
      magnitude: How strong all of them are: a bin, counted from 0.
      num_magnitude_bins: Bins from no change to the strongest.

    Raises:
      ValueError: If `images` is not such a batch, `num_ops` is negative, there are not two bins or
        `magnitude` is none of them.
      TypeError: If the images are neither uint8 nor floating point, or a number is not whole.

    References:
      Cubuk et al., RandAugment, https://arxiv.org/abs/1909.13719

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> images = jnp.full((2, 8, 8, 3), 128, jnp.uint8)
      >>> rand_augment(images, jax.random.key(0)).shape
      (2, 8, 8, 3)
    """
    x = as_colors("rand_augment", images)
    check_int("rand_augment", "num_ops", num_ops, 0)
    check_int("rand_augment", "num_magnitude_bins", num_magnitude_bins, 2)
    check_int("rand_augment", "magnitude", magnitude, 0)
    rule = "magnitude must be less than num_magnitude_bins"
    given = {"magnitude": magnitude, "num_magnitude_bins": num_magnitude_bins}
    check(magnitude < num_magnitude_bins, "rand_augment", rule, **given)
    height, width = x.shape[1:3]
    moves = 150 / 331
    strength = Strength(0.3, moves * height, moves * width, 30, 0.9, 4)
    bins = jnp.full((len(x), num_ops), magnitude)
    return _augment(x, rng, bins, operations(strength, num_magnitude_bins, height, width))


def trivial_augment_wide(
    images: ArrayLike, rng: jax.Array, num_magnitude_bins: int = 31
) -> jax.Array:
    """Applies one operation, drawn from fourteen, of random strength to each image.

    Mirrors `torchvision.transforms.v2.TrivialAugmentWide` with nearest interpolation and black
    where pixels are missing; each image has its own draws. Blends of bytes may differ by one grey
    level where a processor multiplies and adds at once.

    Args:
      images: A batch of bytes, or floats from 0 to 1, with 1 or 3 channels.
      rng: The random key.
      num_magnitude_bins: Strengths from no change to the strongest.

    Raises:
      ValueError: If `images` is not such a batch, or there are not two bins.
      TypeError: If the images are neither uint8 nor floating point, or the bins are not whole.

    References:
      Müller and Hutter, TrivialAugment, https://arxiv.org/abs/2103.10158

    Shape:
      `(n, h, w, c)` -> `(n, h, w, c)`.

    Example:
      >>> images = jnp.full((2, 8, 8, 3), 128, jnp.uint8)
      >>> trivial_augment_wide(images, jax.random.key(0)).shape
      (2, 8, 8, 3)
    """
    x = as_colors("trivial_augment_wide", images)
    check_int("trivial_augment_wide", "num_magnitude_bins", num_magnitude_bins, 2)
    bin_rng, rng = jax.random.split(rng)
    bins = jax.random.randint(bin_rng, (len(x), 1), 0, num_magnitude_bins)
    strength = Strength(0.99, 32, 32, 135, 0.99, 6)
    return _augment(x, rng, bins, operations(strength, num_magnitude_bins, *x.shape[1:3]))


def operations(
    strength: Strength, bins: int, height: int, width: int
) -> dict[str, tuple[str, np.ndarray]]:
    """What each operation does, and its row of numbers for each sign and bin, `(2, bins, 6)`.

    The rows are computed here, in float64, so that they are torchvision's to the last bit.
    """
    signs = np.array([[1.0], [-1.0]])
    to = lambda end: signs * _linspace(0, end, bins)
    shear, blend, angle = to(strength.shear), to(strength.blend), np.radians(to(strength.degrees))
    down, across = np.trunc(to(strength.down)), np.trunc(to(strength.across))
    cos, sin = np.cos(angle), np.sin(angle)
    lost = np.arange(bins, dtype=np.float32) / np.float32((bins - 1) / strength.bits)
    found: dict[str, tuple[str, Sequence[ArrayLike]]] = {
        "Identity": ("identity", ()),
        "ShearX": ("warp", (1, shear, shear * height / 2, 0, 1, 0)),
        "ShearY": ("warp", (1, 0, 0, shear, 1, shear * width / 2)),
        "TranslateX": ("warp", (1, 0, -across, 0, 1, 0)),
        "TranslateY": ("warp", (1, 0, 0, 0, 1, -down)),
        "Rotate": ("warp", (cos, -sin, 0, sin, cos, 0)),
        "Brightness": ("brightness", (1 + blend, -blend)),
        "Color": ("color", (1 + blend, -blend)),
        "Contrast": ("contrast", (1 + blend, -blend)),
        "Sharpness": ("sharpness", (1 + blend, -blend)),
        "Posterize": ("posterize", (np.round(8 - lost),)),
        "Solarize": ("solarize", (_linspace(1, 0, bins),)),
        "AutoContrast": ("autocontrast", ()),
        "Equalize": ("equalize", ()),
    }
    rows = {}
    for name, (change, numbers) in found.items():
        table = np.zeros((2, bins, 6), np.float32)
        for place, number in enumerate(numbers):
            table[..., place] = number
        if change == "warp":
            # PyTorch's grids reach from -1 to 1.
            table /= np.repeat(np.array([width / 2, height / 2], np.float32), 3)
        rows[name] = change, table
    return rows


def _linspace(start: float, end: float, steps: int) -> np.ndarray:
    """`torch.linspace`: each half counted from its own end, in steps of float32, rounded once."""
    first, last = np.float32(start), np.float32(end)
    step = np.float64((last - first) / np.float32(steps - 1))
    number = np.arange(steps)
    counted = np.where(number < steps // 2, first + step * number, last - step * number[::-1])
    return counted.astype(np.float32).astype(np.float64)


def _augment(
    x: jax.Array, rng: jax.Array, bins: jax.Array, found: dict[str, tuple[str, np.ndarray]]
) -> jax.Array:
    """Applies operations to each image, as many as it has bins `(n, num_ops)`."""
    names = list(CHANGES)
    changes = jnp.array([names.index(change) for change, _ in found.values()])
    tables = jnp.array(np.stack([table for _, table in found.values()]))
    operation_rng, sign_rng = jax.random.split(rng)
    chosen = jax.random.randint(operation_rng, bins.shape, 0, len(found))
    signs = jax.random.bernoulli(sign_rng, 0.5, bins.shape).astype(jnp.int32)
    return apply([*CHANGES.values()], x, changes[chosen], tables[chosen, signs, bins])
