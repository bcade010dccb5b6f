"""Dropout. Mirrors the dropout functions of torch.nn.functional."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_floating

# SELU's value at -infinity: minus its scale times its alpha.
_SELU_FLOOR = -1.7580993408473766


def dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets each entry to zero with probability `p` and scales the rest by 1 / (1 - p).

    Mirrors `torch.nn.functional.dropout`; the random key is explicit.

    Args:
      input: An array of any shape.
      p: Probability of a zero, 0 to 1.
      training: Whether to drop at all; False returns `input`.
      inplace: Accepted and without effect.
      rng: The random key; needed when `training` and `0 < p < 1`.

    Raises:
      ValueError: If `p` is outside 0 to 1, or the key is missing.
      TypeError: If `input` is not floating point.

    Source: Srivastava et al., 2014.

    Example:
      >>> dropout(jnp.ones(4), p=0.5, rng=jax.random.key(0)).shape
      (4,)
    """
    del inplace
    x = _checked("dropout", input, p)
    return zeroed("dropout", x, x.shape, p, training, rng)


def dropout1d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of sequences to zero with probability `p` and scales the rest.

    Mirrors `torch.nn.functional.dropout1d` on channels-last input `(n, l, c)`, or one sequence
    `(l, c)`. Arguments and errors are those of `dropout2d`.

    Example:
      >>> y = dropout1d(jnp.ones((1, 2, 4)), rng=jax.random.key(0))
      >>> bool(jnp.all(y[:, 0] == y[:, 1]))
      True
    """
    del inplace
    x = _checked("dropout1d", input, p)
    check(x.ndim in (2, 3), "dropout1d", "input must be (n, l, c) or (l, c)", shape=x.shape)
    return zeroed("dropout1d", x, _channels(x, batched=x.ndim == 3), p, training, rng)


def dropout2d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of images to zero with probability `p` and scales the rest.

    Mirrors `torch.nn.functional.dropout2d` on channels-last input; the random key is explicit. As
    there, three axes are a batch of sequences, not one image. Other numbers of axes, which PyTorch
    deprecates, are an error.

    Args:
      input: `(n, h, w, c)`, or `(n, l, c)`.
      p: Probability that a channel of one image is zero, 0 to 1; the rest is scaled by
        `1 / (1 - p)`.
      training: Whether to drop at all; False returns `input`.
      inplace: Accepted and without effect.
      rng: The random key; needed when `training` and `0 < p < 1`.

    Raises:
      ValueError: If `p` is outside 0 to 1, the input's axes do not fit, or the key is missing.
      TypeError: If `input` is not floating point.

    Source: Tompson et al., 2015.

    Example:
      >>> y = dropout2d(jnp.ones((1, 2, 2, 4)), rng=jax.random.key(0))
      >>> bool(jnp.all(y == y[:, :1, :1]))
      True
    """
    del inplace
    x = _checked("dropout2d", input, p)
    check(x.ndim in (3, 4), "dropout2d", "input must be (n, h, w, c) or (n, l, c)", shape=x.shape)
    return zeroed("dropout2d", x, _channels(x, batched=True), p, training, rng)


def dropout3d(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels of volumes to zero with probability `p` and scales the rest.

    Mirrors `torch.nn.functional.dropout3d` on channels-last input `(n, d, h, w, c)`, or one volume
    `(d, h, w, c)`. Arguments and errors are those of `dropout2d`.

    Example:
      >>> y = dropout3d(jnp.ones((2, 2, 2, 4)), rng=jax.random.key(0))
      >>> bool(jnp.all(y == y[:1, :1, :1]))
      True
    """
    del inplace
    x = _checked("dropout3d", input, p)
    rule = "input must be (n, d, h, w, c) or (d, h, w, c)"
    check(x.ndim in (4, 5), "dropout3d", rule, shape=x.shape)
    return zeroed("dropout3d", x, _channels(x, batched=x.ndim == 5), p, training, rng)


def alpha_dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets each entry to SELU's lowest value with probability `p`, keeping mean and variance.

    Mirrors `torch.nn.functional.alpha_dropout`; the random key is explicit. All entries are then
    scaled and shifted so that input of mean 0 and variance 1 keeps both. With `p=1` the output is
    zero. `training` is False by default, as there.

    Args:
      input: An array of any shape.
      p: Probability of a dropped entry, 0 to 1.
      training: Whether to drop at all; False returns `input`.
      inplace: Accepted and without effect.
      rng: The random key; needed when `training` and `0 < p < 1`.

    Raises:
      ValueError: If `p` is outside 0 to 1, or the key is missing.
      TypeError: If `input` is not floating point.

    Source: Klambauer et al., 2017.

    Example:
      >>> y = alpha_dropout(jnp.zeros(100), training=True, rng=jax.random.key(0))
      >>> sorted({round(v, 3) for v in y.tolist()})
      [-0.779, 0.779]
    """
    del inplace
    x = _checked("alpha_dropout", input, p)
    return _floored("alpha_dropout", x, x.shape, p, training, rng)


def feature_alpha_dropout(
    input: ArrayLike,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """Sets whole channels to SELU's lowest value with probability `p`, keeping mean and variance.

    Mirrors `torch.nn.functional.feature_alpha_dropout` on channels-last input `(n, *spatial, c)`;
    arguments are those of `alpha_dropout`.

    Raises:
      ValueError: If `p` is outside 0 to 1, the key is missing, or training input has fewer than
        two axes.
      TypeError: If `input` is not floating point.

    Source: Klambauer et al., 2017.

    Example:
      >>> y = feature_alpha_dropout(jnp.ones((1, 2, 2, 4)), training=True, rng=jax.random.key(0))
      >>> bool(jnp.all(y == y[:, :1, :1]))
      True
    """
    del inplace
    x = _checked("feature_alpha_dropout", input, p)
    rule = "training input must be (n, *spatial, c)"
    check(x.ndim >= 2 or not training, "feature_alpha_dropout", rule, shape=x.shape)
    return _floored("feature_alpha_dropout", x, _channels(x, batched=True), p, training, rng)


def zeroed(
    where: str,
    x: jax.Array,
    draws: tuple[int, ...],
    p: float,
    training: bool,
    rng: jax.Array | None,
    scaled: bool = True,
) -> jax.Array:
    """Zeroes what a draw of shape `draws`, which spreads over `x`, drops; scales the rest.

    Example:
      >>> zeroed("dropout", jnp.ones(3), (3,), 1.0, True, None).tolist()
      [0.0, 0.0, 0.0]
    """
    if not training or p == 0:
        return x
    if p == 1:
        return jnp.zeros_like(x)
    kept = x / (1 - p) if scaled else x
    return jnp.where(_keep(where, draws, p, rng), kept, 0).astype(x.dtype)


def _floored(
    where: str,
    x: jax.Array,
    draws: tuple[int, ...],
    p: float,
    training: bool,
    rng: jax.Array | None,
) -> jax.Array:
    if not training or p == 0:
        return x
    if p == 1:
        return jnp.zeros_like(x)
    # Dropping moves mean 0, variance 1 to mean p*floor, variance (1 - p)*(1 + p*floor^2).
    scale = ((1 - p) * (1 + p * _SELU_FLOOR**2)) ** -0.5
    dropped = jnp.where(_keep(where, draws, p, rng), x, _SELU_FLOOR)
    return ((dropped - p * _SELU_FLOOR) * scale).astype(x.dtype)


def _checked(where: str, input: ArrayLike, p: float) -> jax.Array:
    check(0 <= p <= 1, where, "p must be between 0 and 1", p=p)
    x = jnp.asarray(input)
    check_floating(where, x)
    return x


def _channels(x: jax.Array, *, batched: bool) -> tuple[int, ...]:
    """The shape of one draw for each channel (of each image)."""
    spatial = (1,) * (x.ndim - 1 - batched)
    return (*x.shape[:batched], *spatial, *x.shape[-1:])


def _keep(where: str, draws: tuple[int, ...], p: float, rng: jax.Array | None) -> jax.Array:
    if rng is None:
        raise ValueError(f"{where}: training needs a random key, got rng=None; pass rng=key.")
    return jax.random.bernoulli(rng, 1 - p, draws)
