"""Random crops and flips: each image is a window of the padded original, or its mirror image."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_crops_are_windows_of_the_padded_images(dtype: str) -> None:
    images = IMAGES.astype(dtype)
    crops = jax.jit(data.random_crop, static_argnames="padding")(
        images, jax.random.key(0), padding=2
    )
    assert crops.dtype == dtype
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    found = set()
    for crop, original in zip(np.asarray(crops), padded, strict=True):
        corners = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(crop, original[top : top + 6, left : left + 5])
        ]
        assert len(corners) == 1
        found |= set(corners)
    assert len(found) == 25, "200 draws reach every corner"


def test_without_padding_a_crop_is_the_image() -> None:
    crops = data.random_crop(IMAGES, jax.random.key(0), padding=0)
    np.testing.assert_array_equal(crops, IMAGES)


def test_flips_mirror_a_share_of_the_images() -> None:
    flipped = np.asarray(
        jax.jit(data.random_horizontal_flip, static_argnames="p")(IMAGES, jax.random.key(0), p=0.3)
    )
    assert flipped.dtype == np.uint8
    same = (flipped == IMAGES).all(axis=(1, 2, 3))
    mirrored = (flipped == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.2 < mirrored.mean() < 0.4


@pytest.mark.parametrize("change", [data.random_crop, data.random_horizontal_flip])
def test_the_draws_are_those_of_the_key(change: Any) -> None:
    first, again = (change(IMAGES, jax.random.key(1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != change(IMAGES, jax.random.key(2))).any()


def test_errors() -> None:
    key = jax.random.key(0)
    with pytest.raises(ValueError, match=r"random_crop: images must be a batch .*shape=\(6, 5, 3"):
        data.random_crop(IMAGES[0], key)
    with pytest.raises(ValueError, match=r"random_crop: padding must be at least 0, got padding=-"):
        data.random_crop(IMAGES, key, padding=-1)
    with pytest.raises(ValueError, match=r"random_horizontal_flip: images must be a batch"):
        data.random_horizontal_flip(jnp.ones((2, 2)), key)
    with pytest.raises(ValueError, match=r"p must be between 0 and 1, got p=1.5"):
        data.random_horizontal_flip(IMAGES, key, p=1.5)
