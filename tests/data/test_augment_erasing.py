"""Random erasing: rectangles of the areas and shapes asked for, on a share of the images."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import data

IMAGES = np.random.default_rng(0).integers(1, 256, (400, 40, 30, 3), dtype=np.uint8)
KEY = jax.random.key(0)


def rectangles(erased: np.ndarray) -> np.ndarray:
    """Top, left, height and width of each image's rectangle; each is full, or the test fails."""
    found = []
    for mask in erased:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = (rows[0], columns[0], rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0])
        assert mask.sum() == box[2] * box[3]
        found.append(box)
    return np.array(found)


def test_rectangles_have_the_areas_and_shapes_asked_for() -> None:
    erase = functools.partial(data.random_erasing, p=0.6, value=(0, 7, 9))
    images = np.asarray(jax.jit(erase)(IMAGES, KEY))
    assert images.dtype == np.uint8
    erased = (images == (0, 7, 9)).all(axis=-1)
    np.testing.assert_array_equal(images[~erased], IMAGES[~erased])
    chosen = erased.any(axis=(1, 2))
    assert 0.5 < chosen.mean() < 0.7
    top, left, height, width = rectangles(erased[chosen]).T
    shares, shapes = height * width / (40 * 30), height / width
    # Lengths are rounded to whole pixels.
    assert 0.01 < shares.min() < 0.04
    assert 0.28 < shares.max() < 0.35
    assert 0.25 < shapes.min() < 0.4
    assert 2.6 < shapes.max() < 4
    assert abs(np.log(shapes).mean()) < 0.12
    assert (height < 40).all()
    assert (width < 30).all()
    for place in (top / (40 - height), left / (30 - width)):
        assert place.min() < 0.05
        assert place.max() > 0.95
        np.testing.assert_allclose(place.mean(), 0.5, atol=0.07)


def test_a_rectangle_that_never_fits_is_left_out() -> None:
    erase = functools.partial(data.random_erasing, p=1, scale=(1, 1), ratio=(1, 1))
    np.testing.assert_array_equal(jax.jit(erase)(IMAGES[:2], KEY), IMAGES[:2])


WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: data.random_erasing(IMAGES, KEY, p=1.5),
        ValueError,
        r"random_erasing: p must be between 0 and 1, got p=1.5",
    ),
    (
        lambda: data.random_erasing(IMAGES, KEY, scale=(0.5, 0.1)),
        ValueError,
        r"random_erasing: scale must be increasing and between 0 and 1, got scale=\(0.5, 0.1\)",
    ),
    (
        lambda: data.random_erasing(IMAGES, KEY, ratio=(0, 3)),
        ValueError,
        r"random_erasing: ratio must be positive, got ratio=\(0, 3\)",
    ),
    (
        lambda: data.random_erasing(IMAGES, KEY, value=(1, 2)),
        ValueError,
        r"value must be a number or one for each of 3 channels, got value=\(1, 2\)",
    ),
    (
        lambda: data.random_erasing(IMAGES[0], KEY),
        ValueError,
        r"random_erasing: images must be a batch",
    ),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
