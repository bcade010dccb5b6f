"""Colours and grey levels: torchvision's numbers; random changes by their bounds and shares."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (8, 13, 16, 3), dtype=np.uint8)
NOISE[1] = NOISE[1, :, :, :1]  # grey
NOISE[2] = 77  # flat
NOISE[3] = NOISE[3] // 4 + 60  # low contrast
NOISE[4, :, :, 1] = 5  # one flat channel
FACTORS = np.array([0, 0.3, 0.7, 1, 1.3, 1.5, 1.9, 0.55], np.float32)
KEY = jax.random.key(0)


def pixels(kind: str) -> np.ndarray:
    if kind == "float32":
        return (NOISE / 255).astype(np.float32)
    return NOISE[..., :1] if kind == "grey" else NOISE


def theirs(torchvision: Any, name: str, image: np.ndarray, *settings: Any) -> np.ndarray:
    """One image through `torchvision.transforms.v2.functional`."""
    import torch
    from torchvision.transforms.v2 import functional

    x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return getattr(functional, name)(x, *settings).numpy().transpose(1, 2, 0)


def compare(ours: Any, expected: np.ndarray, levels: int = 0) -> None:
    assert ours.dtype == expected.dtype
    if ours.dtype == np.uint8:
        difference = abs(np.asarray(ours, np.int32) - expected)
        assert difference.max() <= levels
        assert (difference > 0).mean() < 0.03
    else:
        np.testing.assert_allclose(ours, expected, rtol=1.3e-6, atol=1e-5)


@pytest.mark.torchvision
@pytest.mark.parametrize("kind", ["uint8", "float32", "grey"])
@pytest.mark.parametrize(
    ("name", "settings", "levels"),
    [
        ("adjust_brightness", FACTORS, 0),
        # torchvision rounds once where it multiplies and adds; ties are cut off one level apart.
        ("adjust_contrast", FACTORS, 1),
        ("adjust_saturation", FACTORS, 1),
        ("adjust_sharpness", FACTORS, 0),
        ("adjust_hue", np.linspace(-0.5, 0.5, 8, dtype=np.float32), 0),
        ("posterize", np.arange(1, 9), 0),
        ("solarize", np.array([0, 20, 90.5, 127, 128, 200, 254, 255], np.float32), 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_of_each_image(
    name: str, settings: Any, levels: int, kind: str, torchvision: Any
) -> None:
    x = pixels(kind)
    settings = settings / np.float32(255) if name == "solarize" and kind == "float32" else settings
    ours = jax.jit(getattr(data, name))(x, jnp.asarray(settings))
    expected = [
        theirs(torchvision, name, image, setting.item())
        for image, setting in zip(x, settings, strict=True)
    ]
    compare(np.asarray(ours), np.stack(expected), levels)


@pytest.mark.torchvision
@pytest.mark.parametrize("kind", ["uint8", "float32", "grey"])
@pytest.mark.parametrize("name", ["autocontrast", "equalize", "invert"])
def test_without_settings(name: str, kind: str, torchvision: Any) -> None:
    x = pixels(kind)
    expected = np.stack([theirs(torchvision, name, image) for image in x])
    compare(np.asarray(jax.jit(getattr(data, name))(x)), expected)


@pytest.mark.torchvision
def test_normalize(torchvision: Any) -> None:
    x, mean, std = pixels("float32"), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = np.stack([theirs(torchvision, "normalize", image, mean, std) for image in x])
    np.testing.assert_allclose(data.normalize(x, mean, std), expected, rtol=1e-6)
    np.testing.assert_array_equal(data.normalize(x, 0.5, [0.25]), (x - 0.5) * 4)


def test_tiny_images_are_not_sharpened() -> None:
    np.testing.assert_array_equal(data.adjust_sharpness(NOISE[:, :2], 0.0), NOISE[:, :2])


@pytest.mark.torchvision
def test_grayscale_of_a_share_of_the_images(torchvision: Any) -> None:
    many = np.tile(NOISE[:1], (400, 1, 1, 1))
    ours = np.asarray(jax.jit(data.random_grayscale)(many, KEY))
    grey = theirs(torchvision, "rgb_to_grayscale", NOISE[0], 3)
    is_grey = (ours == grey).all(axis=(1, 2, 3))
    assert ((ours == many).all(axis=(1, 2, 3)) ^ is_grey).all()
    assert 0.04 < is_grey.mean() < 0.17


def test_jitter_draws_factors_in_their_range() -> None:
    many = np.full((500, 1, 1, 3), 100, np.uint8)
    jitter = jax.jit(functools.partial(data.color_jitter, brightness=0.4))
    factors = np.asarray(jitter(many, KEY))[:, 0, 0, 0] / 100
    assert factors.min() >= 0.59
    assert factors.max() <= 1.4
    np.testing.assert_allclose(factors.mean(), 1, atol=0.03)
    np.testing.assert_allclose(factors.std(), 0.8 / 12**0.5, atol=0.02)
    again = jitter(many, jax.random.key(1))
    assert (factors * 100 != again[:, 0, 0, 0]).mean() > 0.9


def test_jitter_changes_each_image_in_an_order_of_its_own() -> None:
    many = np.tile(NOISE[:1], (40, 1, 1, 1))
    jitter = functools.partial(data.color_jitter, brightness=(3, 3), contrast=(0.5, 0.5))
    ours = np.asarray(jax.jit(jitter)(many, KEY))
    brighter = lambda x: data.adjust_brightness(x, 3.0)
    flatter = lambda x: data.adjust_contrast(x, 0.5)
    orders = [
        np.asarray(jax.jit(both)(many))
        for both in (lambda x: flatter(brighter(x)), lambda x: brighter(flatter(x)))
    ]
    first, second = ((ours == each).all(axis=(1, 2, 3)) for each in orders)
    assert (first ^ second).all()
    assert 0.2 < first.mean() < 0.8


def test_jitter_applies_every_change_once() -> None:
    images = pixels("float32")[:1]
    jitter = functools.partial(data.color_jitter, saturation=(0.5, 0.5), hue=(0.25, 0.25))
    expected = data.adjust_saturation(data.adjust_hue(images, 0.25), 0.5)
    swapped = data.adjust_hue(data.adjust_saturation(images, 0.5), 0.25)
    ours = jax.jit(jitter)(images, KEY)
    closest = min(abs(ours - each).max() for each in (expected, swapped))
    assert closest < 1e-5
    np.testing.assert_array_equal(data.color_jitter(images, KEY), images)


BATCH = NOISE[:2]
WRONG: list[tuple[Any, type[Exception], str]] = [
    (lambda: data.adjust_hue(BATCH[0], 0.1), ValueError, r"adjust_hue: images must be a batch"),
    (
        lambda: data.invert(BATCH.astype(np.int32)),
        TypeError,
        r"invert: images must be uint8 or floating point, got dtype='int32'",
    ),
    (
        lambda: data.autocontrast(BATCH[..., :2]),
        ValueError,
        r"autocontrast: images must have 1 or 3 channels, got shape=\(2, 13, 16, 2\)",
    ),
    (
        lambda: data.adjust_contrast(BATCH, -0.5),
        ValueError,
        r"adjust_contrast: contrast_factor must not be negative, got contrast_factor=-0.5",
    ),
    (
        lambda: data.adjust_brightness(BATCH, [1.0, 1.0, 1.0]),
        ValueError,
        r"brightness_factor must be a number or one for each image, got shape=\(3,\), images=2",
    ),
    (
        lambda: data.adjust_hue(BATCH, 0.6),
        ValueError,
        r"hue_factor must be between -0.5 and 0.5, got hue_factor=0.6",
    ),
    (
        lambda: data.posterize(BATCH, 9),
        ValueError,
        r"posterize: bits must be whole and between 0 and 8, got bits=9",
    ),
    (lambda: data.posterize(BATCH, 1.5), ValueError, r"bits must be whole .*got bits=1.5"),
    (
        lambda: data.solarize(BATCH, 256),
        ValueError,
        r"solarize: threshold must not exceed 255, got threshold=256",
    ),
    (
        lambda: data.normalize(BATCH, 0.5, 0.5),
        TypeError,
        r"normalize: input must be floating point, got dtype='uint8'",
    ),
    (
        lambda: data.normalize(BATCH / 255, (0.5, 0.5), 0.5),
        ValueError,
        r"normalize: mean must be a number or one for each of 3 channels, got mean=\[0.5, 0.5\]",
    ),
    (
        lambda: data.normalize(BATCH / 255, 0.5, (1, 0, 1)),
        ValueError,
        r"std must not be 0",
    ),
    (
        lambda: data.random_grayscale(BATCH, KEY, p=2),
        ValueError,
        r"random_grayscale: p must be between 0 and 1, got p=2",
    ),
    (
        lambda: data.color_jitter(BATCH, KEY, hue=-0.1),
        ValueError,
        r"color_jitter: hue must not be negative, got hue=-0.1",
    ),
    (
        lambda: data.color_jitter(BATCH, KEY, hue=0.6),
        ValueError,
        r"color_jitter: hue must be increasing and between -0.5 and 0.5, got hue=\(-0.6, 0.6\)",
    ),
    (
        lambda: data.color_jitter(BATCH, KEY, contrast=(0.5, 1.0, 2.0)),
        TypeError,
        r"color_jitter: contrast must be a pair \(min, max\), got contrast=\(0.5, 1.0, 2.0\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
