"""Mixup and cutmix: torchvision's mixtures for the same share; shares of a Beta distribution."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data
from jaxcnn.data.augment import mixing

IMAGES = np.random.default_rng(0).random((5, 9, 12, 3)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2])
SOFT = np.eye(4, dtype=np.float32)[LABELS]
KEY = jax.random.key(0)


def theirs(transform: Any) -> tuple[np.ndarray, np.ndarray]:
    import torch

    x = torch.from_numpy(np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2)))
    images, labels = transform(x, torch.from_numpy(LABELS))
    return images.numpy().transpose(0, 2, 3, 1), labels.numpy()


@pytest.mark.torchvision
def test_mixup_of_a_share(torchvision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import v2

    transform = v2.MixUp(num_classes=4)
    monkeypatch.setattr(transform, "make_params", lambda _: {"lam": 0.3})
    ours = mixing.blend_with_previous(jnp.asarray(IMAGES), jnp.asarray(SOFT), jnp.float32(0.3))
    for mine, wanted in zip(ours, theirs(transform), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.torchvision
@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 1.0])
def test_cutmix_of_a_share(share: float, torchvision: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torchvision.transforms import v2

    transform = v2.CutMix(num_classes=4)
    paste = jax.jit(mixing.paste_previous)
    for row, column in ((0, 0), (4, 6), (8, 11), (2, 10)):
        draws = iter([torch.tensor([column]), torch.tensor([row])])
        monkeypatch.setattr(transform._dist, "sample", lambda _: share)
        monkeypatch.setattr(torch, "randint", lambda *_, draws=draws, **__: next(draws))
        wanted_images, wanted_labels = theirs(transform)
        images, labels = paste(IMAGES, SOFT, jnp.float32(share), jnp.array([row, column]))
        np.testing.assert_array_equal(images, wanted_images)
        np.testing.assert_allclose(labels, wanted_labels, rtol=1e-6, atol=1e-7)


def shares(mix: Any, alpha: float, count: int = 600) -> np.ndarray:
    """Each draw's share of the second image of two, from the labels."""
    images, labels = np.zeros((2, 16, 16, 1), np.float32), np.array([0, 1])
    draw = lambda key: mix(images, labels, key, num_classes=2, alpha=alpha)[1][1, 1]
    return np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(KEY, count)))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_share_is_drawn_from_a_beta_distribution(alpha: float) -> None:
    drawn = shares(data.mixup, alpha)
    np.testing.assert_allclose(drawn.mean(), 0.5, atol=0.06)
    np.testing.assert_allclose(drawn.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.12)


def test_rectangles_of_cutmix_are_cut_off_at_the_edges() -> None:
    drawn = shares(data.cutmix, 1.0)
    assert drawn.min() >= 0
    assert drawn.max() == 1
    # Without edges the mean would be half.
    assert 0.6 < drawn.mean() < 0.85


@pytest.mark.parametrize("mix", [data.mixup, data.cutmix, data.mixup_or_cutmix])
def test_labels_follow_the_images(mix: Any) -> None:
    images = np.broadcast_to(SOFT[:, None, None], (5, 8, 8, 4))
    mixed, soft = jax.jit(functools.partial(mix, num_classes=4))(images, LABELS, KEY)
    np.testing.assert_allclose(mixed.mean(axis=(1, 2)), soft, atol=1e-6)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    assert (np.asarray(soft) != SOFT).any()
    again = jax.jit(functools.partial(mix, num_classes=4))(images, SOFT, KEY)
    np.testing.assert_array_equal(again[1], soft)


def test_half_of_the_batches_are_blended() -> None:
    images = np.broadcast_to(SOFT[:, None, None], (5, 4, 4, 4)).astype(np.float32)
    mix = lambda key: data.mixup_or_cutmix(images, LABELS, key, num_classes=4)[0]
    mixed = jax.jit(lambda keys: jax.lax.map(mix, keys))(jax.random.split(KEY, 200))
    blended = ((mixed > 0) & (mixed < 1)).any(axis=(1, 2, 3, 4))
    assert 0.4 < blended.mean() < 0.6


MIX = functools.partial(data.mixup, num_classes=4)
WRONG: list[tuple[Any, type[Exception], str]] = [
    (
        lambda: MIX(IMAGES.astype(np.uint8), LABELS, KEY),
        TypeError,
        r"mixup: images must be floating point; mix after train.to_float, got dtype='uint8'",
    ),
    (
        lambda: MIX(IMAGES, LABELS[:3], KEY),
        ValueError,
        r"mixup: labels must be \(n,\) or \(n, num_classes\), got shape=\(3,\), images=5",
    ),
    (
        lambda: MIX(IMAGES, LABELS / 2, KEY),
        TypeError,
        r"mixup: classes must be integers, got dtype='float32'",
    ),
    (lambda: MIX(IMAGES[0], LABELS, KEY), ValueError, r"mixup: images must be a batch"),
    (
        lambda: MIX(IMAGES, LABELS, KEY, alpha=0),
        ValueError,
        r"mixup: alpha must be positive, got alpha=0",
    ),
    (
        lambda: data.cutmix(IMAGES, LABELS, KEY, 0),
        ValueError,
        r"cutmix: num_classes must be at least 1, got num_classes=0",
    ),
    (
        lambda: data.mixup_or_cutmix(IMAGES, LABELS, KEY, 4, cutmix_alpha=-1),
        ValueError,
        r"mixup_or_cutmix: cutmix_alpha must be positive, got cutmix_alpha=-1",
    ),
]


@pytest.mark.parametrize(("call", "error", "match"), WRONG)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()
