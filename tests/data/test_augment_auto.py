"""RandAugment and TrivialAugment: each operation is torchvision's; draws reach all of them."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data
from jaxcnn.data.augment import _drawn, auto_augment
from jaxcnn.data.augment.auto_augment import Strength

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 17, 20, 3), dtype=np.uint8)
KEY = jax.random.key(0)
CHANGES = [*auto_augment.CHANGES.values()]
BINS = 10  # so that shears meet ties between two pixels
STRENGTHS = {
    "RandAugment": Strength(0.3, 150 / 331 * 17, 150 / 331 * 20, 30, 0.9, 4),
    "TrivialAugmentWide": Strength(0.99, 32, 32, 135, 0.99, 6),
}


@pytest.mark.torchvision
@pytest.mark.parametrize("policy", STRENGTHS)
def test_operations_and_their_strengths(policy: str, torchvision: Any) -> None:
    import torch
    from torchvision.transforms import v2

    transform = getattr(v2, policy)(num_magnitude_bins=BINS)
    space = transform._AUGMENTATION_SPACE
    found = auto_augment.operations(STRENGTHS[policy], BINS, *IMAGES.shape[1:3])
    assert list(found) == list(space)
    names, rows, expected = [], [], []
    x = torch.from_numpy(np.ascontiguousarray(IMAGES[0].transpose(2, 0, 1)))
    for name, (change, table) in found.items():
        magnitudes, signed = space[name]
        magnitudes = magnitudes(BINS, *IMAGES.shape[1:3])
        for sign in (0, 1) if signed else (0,):
            for place in range(BINS) if magnitudes is not None else (0,):
                magnitude = 0.0 if magnitudes is None else float(magnitudes[place])
                magnitude = -magnitude if sign else magnitude
                y = transform._apply_image_or_video_transform(
                    x, name, magnitude, "nearest", {torch.Tensor: None}
                )
                names.append((name, change))
                rows.append(table[sign, place])
                expected.append(y.numpy().transpose(1, 2, 0))
    changes = list(auto_augment.CHANGES)
    ours = jax.jit(functools.partial(_drawn.apply, CHANGES))(
        jnp.tile(IMAGES, (len(names), 1, 1, 1)),
        jnp.array([[changes.index(change)] for _, change in names]),
        jnp.array(rows)[:, None],
    )
    for (name, _), image, wanted in zip(names, np.asarray(ours), expected, strict=True):
        difference = abs(image.astype(np.int32) - wanted)
        # torchvision rounds once where it multiplies and adds; ties are cut off one level apart.
        assert difference.max() <= (1 if name in ("Color", "Contrast") else 0), name
        assert (difference > 0).mean() < 0.1, name


def test_a_processor_and_an_accelerator_compute_the_same() -> None:
    images = np.tile(IMAGES, (14, 1, 1, 1))
    found = auto_augment.operations(STRENGTHS["RandAugment"], BINS, *IMAGES.shape[1:3])
    changes = list(auto_augment.CHANGES)
    which = jnp.array([[changes.index(change)] for change, _ in found.values()])
    rows = jnp.array([[table[1, 7]] for _, table in found.values()])
    one_by_one, at_once = (
        jax.jit(functools.partial(each, CHANGES))(images, which, rows)
        for each in (_drawn.by_image, _drawn.at_once)
    )
    np.testing.assert_array_equal(one_by_one, at_once)


def test_images_have_draws_of_their_own() -> None:
    many = np.tile(IMAGES // 2 + 100, (300, 1, 1, 1))
    augment = jax.jit(functools.partial(data.rand_augment, num_ops=1))
    changed = np.asarray(augment(many, KEY))
    kinds = np.unique(changed.reshape(300, -1), axis=0)
    # Nine operations have a sign; five have none, one of which changes nothing.
    assert len(kinds) == 9 * 2 + 5
    same = (changed == many).all(axis=(1, 2, 3)).mean()
    assert 0.02 < same < 0.14
    assert (changed != np.asarray(augment(many, jax.random.key(1)))).any()


def test_two_operations_one_after_the_other() -> None:
    many = np.tile(IMAGES, (300, 1, 1, 1))
    twice = np.asarray(jax.jit(data.rand_augment)(many, KEY))
    assert len(np.unique(twice.reshape(300, -1), axis=0)) > 100
    np.testing.assert_array_equal(data.rand_augment(many, KEY, num_ops=0), many)


def test_trivial_augment_draws_its_strength() -> None:
    many = np.tile(IMAGES, (300, 1, 1, 1))
    changed = np.asarray(jax.jit(data.trivial_augment_wide)(many, KEY))
    assert changed.dtype == np.uint8
    assert len(np.unique(changed.reshape(300, -1), axis=0)) > 100


WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: data.rand_augment(IMAGES[..., :2], KEY),
        ValueError,
        r"rand_augment: images must have 1 or 3 channels",
    ),
    (
        lambda: data.rand_augment(IMAGES, KEY, num_ops=-1),
        ValueError,
        r"rand_augment: num_ops must be at least 0, got num_ops=-1",
    ),
    (
        lambda: data.rand_augment(IMAGES, KEY, magnitude=31),
        ValueError,
        r"magnitude must be less than num_magnitude_bins, got magnitude=31, num_magnitude_bins=31",
    ),
    (
        lambda: data.rand_augment(IMAGES, KEY, magnitude=0.5),  # pyright: ignore[reportArgumentType]
        TypeError,
        r"rand_augment: magnitude must be an int, got magnitude=0.5",
    ),
    (
        lambda: data.trivial_augment_wide(IMAGES, KEY, num_magnitude_bins=1),
        ValueError,
        r"trivial_augment_wide: num_magnitude_bins must be at least 2, got num_magnitude_bins=1",
    ),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
