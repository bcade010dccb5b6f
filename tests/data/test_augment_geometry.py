"""Crops and flips: windows of the padded original, mirror images, torchvision's resized windows."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data
from jaxcnn.data.augment.geometry import resized_crop

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


def test_windows_of_another_size_out_of_a_mirrored_border() -> None:
    crop = functools.partial(data.random_crop, padding=2, size=(8, 3), padding_mode="reflect")
    crops = np.asarray(jax.jit(crop)(IMAGES, jax.random.key(0)))
    assert crops.shape == (200, 8, 3, 3)
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="reflect")
    found = set()
    for each, original in zip(crops, padded, strict=True):
        corners = [
            (top, left)
            for top in range(3)
            for left in range(7)
            if np.array_equal(each, original[top : top + 8, left : left + 3])
        ]
        assert corners
        found |= set(corners)
    assert len(found) == 21, "200 draws reach every corner"


@pytest.mark.parametrize(
    ("flip", "mirror"),
    [
        (data.random_horizontal_flip, np.s_[:, :, ::-1]),
        (data.random_vertical_flip, np.s_[:, ::-1]),
    ],
    ids=["horizontal", "vertical"],
)
def test_flips_mirror_a_share_of_the_images(flip: Any, mirror: Any) -> None:
    flipped = np.asarray(jax.jit(flip, static_argnames="p")(IMAGES, jax.random.key(0), p=0.3))
    assert flipped.dtype == np.uint8
    same = (flipped == IMAGES).all(axis=(1, 2, 3))
    mirrored = (flipped == IMAGES[mirror]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0.2 < mirrored.mean() < 0.4


def torch_images(images: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


@pytest.mark.torchvision
@pytest.mark.parametrize("size", [4, (6, 3), (9, 2), (7, 8)])
def test_center_crop(size: Any, torchvision: Any) -> None:
    from torchvision.transforms.v2 import functional

    expected = functional.center_crop(torch_images(IMAGES), size).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(data.center_crop(IMAGES, size), expected)


@pytest.mark.torchvision
@pytest.mark.parametrize("antialias", [True, False], ids=["antialias", "two pixels"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resized_windows(dtype: str, antialias: bool, torchvision: Any) -> None:
    from torchvision.transforms.v2 import functional

    images = np.random.default_rng(0).integers(0, 256, (5, 33, 40, 3), dtype=np.uint8)
    images = images if dtype == "uint8" else (images / 255).astype(np.float32)
    boxes = np.array([(0, 0, 33, 40), (3, 5, 20, 30), (10, 1, 5, 6), (32, 39, 1, 1), (0, 8, 33, 8)])
    resize = jax.jit(resized_crop, static_argnames=("size", "antialias"))
    ours = resize(images, boxes[:, :2], boxes[:, 2:], size=(16, 9), antialias=antialias)
    expected = np.concatenate(
        [
            functional.resized_crop(torch_images(image[None]), *box, (16, 9), antialias=antialias)
            for image, box in zip(images, boxes.tolist(), strict=True)
        ]
    ).transpose(0, 2, 3, 1)
    assert ours.dtype == expected.dtype
    if dtype == "uint8":
        # PyTorch's weights of bytes are whole numbers.
        difference = abs(np.asarray(ours, np.int32) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.05
    else:
        np.testing.assert_allclose(ours, expected, rtol=1.3e-6, atol=1e-5)


def test_drawn_windows_have_the_areas_and_shapes_asked_for() -> None:
    # On linear ramps, two samples a quarter from each end of a window are half its length apart.
    down, across = np.meshgrid(np.arange(60.0), np.arange(80.0), indexing="ij")
    ramps = np.tile(np.stack([down, across], axis=-1).astype(np.float32), (400, 1, 1, 1))
    crop = functools.partial(data.random_resized_crop, size=2, scale=(0.1, 0.4), antialias=False)
    samples = np.asarray(jax.jit(crop)(ramps, jax.random.key(0)))
    heights = (samples[:, 1, 0, 0] - samples[:, 0, 0, 0]) * 2
    widths = (samples[:, 0, 1, 1] - samples[:, 0, 0, 1]) * 2
    shares, shapes = heights * widths / (60 * 80), widths / heights
    # Lengths are rounded to whole pixels.
    assert 0.09 < shares.min() < 0.11
    assert 0.39 < shares.max() < 0.41
    np.testing.assert_allclose(shares.mean(), 0.25, atol=0.02)
    assert 0.72 < shapes.min() < 0.78
    assert 1.28 < shapes.max() < 1.39
    assert abs(np.log(shapes).mean()) < 0.04
    tops = (samples[:, 0, 0, 0] + 0.5 - heights / 4) / (60 - heights)
    assert tops.min() < 0.02
    assert tops.max() > 0.98
    np.testing.assert_allclose(tops.mean(), 0.5, atol=0.05)


def test_a_window_that_never_fits_is_the_middle() -> None:
    wide = np.random.default_rng(0).random((2, 4, 40, 1)).astype(np.float32)
    crop = functools.partial(data.random_resized_crop, size=(4, 5), scale=(1, 1))
    middle = wide[:, :, 17:22]  # 4 * 4 / 3 columns, rounded
    np.testing.assert_allclose(jax.jit(crop)(wide, jax.random.key(0)), middle, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        data.random_crop,
        data.random_horizontal_flip,
        functools.partial(data.random_resized_crop, size=4),
    ],
    ids=["crop", "flip", "resized"],
)
def test_the_draws_are_those_of_the_key(change: Any) -> None:
    change = jax.jit(change)
    first, again = (change(IMAGES, jax.random.key(1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != change(IMAGES, jax.random.key(2))).any()


KEY = jax.random.key(0)
WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: data.random_crop(IMAGES[0], KEY),
        ValueError,
        r"random_crop: images must be a batch .*shape=\(6, 5, 3",
    ),
    (
        lambda: data.random_crop(IMAGES, KEY, padding=-1),
        ValueError,
        r"random_crop: padding must be at least 0, got padding=-",
    ),
    (
        lambda: data.random_crop(IMAGES, KEY, padding=1, size=9),
        ValueError,
        r"random_crop: size must not exceed the padded image, got size=\(9, 9\)",
    ),
    (
        lambda: data.random_crop(IMAGES, KEY, padding_mode="mirror"),
        ValueError,
        r"padding_mode must be one of constant, edge, .*got padding_mode='mirror'",
    ),
    (
        lambda: data.random_horizontal_flip(jnp.ones((2, 2)), KEY),
        ValueError,
        r"random_horizontal_flip: images must be a batch",
    ),
    (
        lambda: data.random_horizontal_flip(IMAGES, KEY, p=1.5),
        ValueError,
        r"p must be between 0 and 1, got p=1.5",
    ),
    (
        lambda: data.random_vertical_flip(IMAGES, KEY, p=-1),
        ValueError,
        r"random_vertical_flip: p must be between 0 and 1, got p=-1",
    ),
    (
        lambda: data.center_crop(IMAGES, 0),
        ValueError,
        r"center_crop: size must be at least 1, got size=0",
    ),
    (
        lambda: data.random_resized_crop(IMAGES, KEY, 4, scale=(0.5, 1.5)),
        ValueError,
        r"random_resized_crop: scale must be increasing and between 0 and 1, got scale=",
    ),
    (
        lambda: data.random_resized_crop(IMAGES, KEY, 4, ratio=(0, 1)),
        ValueError,
        r"random_resized_crop: ratio must be positive, got ratio=\(0, 1\)",
    ),
    (
        lambda: data.random_resized_crop(IMAGES.astype(np.int32), KEY, 4),
        TypeError,
        r"random_resized_crop: images must be uint8 or floating point, got dtype='int32'",
    ),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
