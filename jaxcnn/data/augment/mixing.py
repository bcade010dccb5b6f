"""Mixing: each image and its label with another of the batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int, check_type
from jaxcnn.data.augment._common import as_batch
from jaxcnn.data.augment.erasing import inside


def mixup(
    images: ArrayLike,
    labels: ArrayLike,
    rng: jax.Array,
    num_classes: int,
    alpha: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Blends each image with the one before it in the batch, and their labels.

    Mirrors `torchvision.transforms.v2.MixUp`: one share for the whole batch, from Beta(alpha,
    alpha). The labels are probabilities, which `functional.cross_entropy` takes.

    Args:
      images: A batch of floats: mixing comes after `train.to_float`.
      labels: Classes `(n,)`, or probabilities `(n, num_classes)`.
      rng: The random key.
      num_classes: Number of classes.
      alpha: Both parameters of the Beta distribution.

    Returns:
      Images and probabilities `(n, num_classes)`.

    Raises:
      ValueError: If `images` is not a batch, the labels do not fit, or `alpha` is not positive.
      TypeError: If the images are not floating point, or classes are not whole numbers.

    References:
      Zhang et al., mixup: Beyond Empirical Risk Minimization, https://arxiv.org/abs/1710.09412

    Shape:
      `(n, h, w, c)`, `(n,)` -> `(n, h, w, c)`, `(n, num_classes)`.

    Example:
      >>> images, labels = jnp.zeros((2, 4, 4, 3)).at[1].set(1.0), jnp.array([0, 1])
      >>> mixed, soft = mixup(images, labels, jax.random.key(0), num_classes=2)
      >>> bool(jnp.allclose(mixed[:, 0, 0, 0], soft[:, 1]))
      True
    """
    x, soft = _checked("mixup", images, labels, num_classes, {"alpha": alpha})
    return blend_with_previous(x, soft, jax.random.beta(rng, alpha, alpha, dtype=x.dtype))


def cutmix(
    images: ArrayLike,
    labels: ArrayLike,
    rng: jax.Array,
    num_classes: int,
    alpha: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Pastes a rectangle of the image before it in the batch into each image; mixes their labels.

    Mirrors `torchvision.transforms.v2.CutMix`: one rectangle for the whole batch, whose share of
    the area is from Beta(alpha, alpha). The labels are probabilities, which
    `functional.cross_entropy` takes.

    Args:
      images: A batch of floats: mixing comes after `train.to_float`.
      labels: Classes `(n,)`, or probabilities `(n, num_classes)`.
      rng: The random key.
      num_classes: Number of classes.
      alpha: Both parameters of the Beta distribution.

    Returns:
      Images and probabilities `(n, num_classes)`.

    Raises:
      ValueError: If `images` is not a batch, the labels do not fit, or `alpha` is not positive.
      TypeError: If the images are not floating point, or classes are not whole numbers.

    References:
      Yun et al., CutMix, https://arxiv.org/abs/1905.04899

    Shape:
      `(n, h, w, c)`, `(n,)` -> `(n, h, w, c)`, `(n, num_classes)`.

    Example:
      >>> images, labels = jnp.zeros((2, 8, 8, 1)).at[1].set(1.0), jnp.array([0, 1])
      >>> mixed, soft = cutmix(images, labels, jax.random.key(1), num_classes=2)
      >>> bool(jnp.allclose(mixed.mean(axis=(1, 2, 3)), soft[:, 1]))
      True
    """
    x, soft = _checked("cutmix", images, labels, num_classes, {"alpha": alpha})
    share_rng, centre_rng = jax.random.split(rng)
    share = jax.random.beta(share_rng, alpha, alpha, dtype=x.dtype)
    sizes = jnp.array(x.shape[1:3])
    return paste_previous(x, soft, share, jax.random.randint(centre_rng, (2,), 0, sizes))


def mixup_or_cutmix(
    images: ArrayLike,
    labels: ArrayLike,
    rng: jax.Array,
    num_classes: int,
    mixup_alpha: float = 1.0,
    cutmix_alpha: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Either `mixup` or `cutmix`, each for half of the batches.

    Mirrors `torchvision.transforms.v2.RandomChoice([MixUp(...), CutMix(...)])`.

    Args:
      images: A batch of floats: mixing comes after `train.to_float`.
      labels: Classes `(n,)`, or probabilities `(n, num_classes)`.
      rng: The random key.
      num_classes: Number of classes.
      mixup_alpha: Both parameters of the Beta distribution of `mixup`.
      cutmix_alpha: The same of `cutmix`.

    Returns:
      Images and probabilities `(n, num_classes)`.

    Raises:
      ValueError: If `images` is not a batch, the labels do not fit, or an alpha is not positive.
      TypeError: If the images are not floating point, or classes are not whole numbers.

    Shape:
      `(n, h, w, c)`, `(n,)` -> `(n, h, w, c)`, `(n, num_classes)`.

    Example:
      >>> images, labels = jnp.zeros((2, 8, 8, 1)).at[1].set(1.0), jnp.array([0, 1])
      >>> mixed, soft = mixup_or_cutmix(images, labels, jax.random.key(0), num_classes=2)
      >>> bool(jnp.allclose(mixed.mean(axis=(1, 2, 3)), soft[:, 1]))
      True
    """
    alphas = {"mixup_alpha": mixup_alpha, "cutmix_alpha": cutmix_alpha}
    x, soft = _checked("mixup_or_cutmix", images, labels, num_classes, alphas)
    choice_rng, mix_rng = jax.random.split(rng)
    return lax.cond(
        jax.random.bernoulli(choice_rng),
        lambda: mixup(x, soft, mix_rng, num_classes, mixup_alpha),
        lambda: cutmix(x, soft, mix_rng, num_classes, cutmix_alpha),
    )


def _checked(
    where: str,
    images: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    alphas: dict[str, float],
) -> tuple[jax.Array, jax.Array]:
    """The images and the labels as probabilities."""
    x = as_batch(where, images)
    rule = "images must be floating point; mix after train.to_float"
    check_type(jnp.issubdtype(x.dtype, jnp.floating), where, rule, dtype=str(x.dtype))
    check_int(where, "num_classes", num_classes, 1)
    for name, alpha in alphas.items():
        check(alpha > 0, where, f"{name} must be positive", **{name: alpha})
    y = jnp.asarray(labels)
    rule = "labels must be (n,) or (n, num_classes)"
    ok = y.shape in (x.shape[:1], (len(x), num_classes))
    check(ok, where, rule, shape=y.shape, images=len(x), num_classes=num_classes)
    if y.ndim == 2:
        return x, y.astype(jnp.promote_types(y.dtype, jnp.float32))
    whole = jnp.issubdtype(y.dtype, jnp.integer)
    check_type(whole, where, "classes must be integers", dtype=str(y.dtype))
    return x, jax.nn.one_hot(y, num_classes, dtype=jnp.float32)


def blend_with_previous(
    x: jax.Array, soft: jax.Array, share: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Keeps a share of each image and its probabilities; the rest is of the one before."""
    return _with_previous(x, share), _with_previous(soft, share)


def paste_previous(
    x: jax.Array, soft: jax.Array, share: jax.Array, centre: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Pastes a rectangle of the image before; without edges, all but a share of the area."""
    height, width = x.shape[1:3]
    sizes = jnp.array([height, width])
    half = jnp.floor(0.5 * jnp.sqrt(1 - share) * sizes).astype(jnp.int32)
    first, last = jnp.maximum(centre - half, 0), jnp.minimum(centre + half, sizes)
    mixed = jnp.where(inside(first[None], last[None], height, width), jnp.roll(x, 1, axis=0), x)
    pasted = (last - first).prod() / (height * width)
    return mixed, _with_previous(soft, 1 - pasted)


def _with_previous(x: jax.Array, share: jax.Array) -> jax.Array:
    share = share.astype(x.dtype)
    return jnp.roll(x, 1, axis=0) * (1 - share) + x * share
