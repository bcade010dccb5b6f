"""Dropout layers. Mirrors torch.nn's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn._checks import check


class _Dropout(nn.Module):
    """The fields and the call of every dropout; a subclass names its function."""

    p: float = 0.5
    inplace: bool = False

    def __post_init__(self) -> None:
        check(0 <= self.p <= 1, type(self).__name__, "p must be between 0 and 1", p=self.p)
        super().__post_init__()

    def _function(self) -> Callable[..., jax.Array]:
        raise NotImplementedError

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        rng = self.make_rng("dropout") if train and 0 < self.p < 1 else None
        return self._function()(x, self.p, train, rng=rng)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Sets entries to zero with probability `p` while training and scales the rest.

    Mirrors `torch.nn.Dropout`. The key comes from the `dropout` rng:
    `model.apply(variables, x, train=True, rngs={"dropout": key})`.

    Attributes:
      p: Probability of a zero, 0 to 1.
      inplace: Accepted and without effect.

    Raises:
      ValueError: If `p` is outside 0 to 1.

    Source: Srivastava et al., 2014.

    Example:
      >>> import jax.numpy as jnp
      >>> Dropout(0.5).apply({}, jnp.ones(3)).tolist()
      [1.0, 1.0, 1.0]
      >>> y = Dropout(0.5).apply({}, jnp.ones(100), train=True, rngs={"dropout": jax.random.key(0)})
      >>> sorted(set(y.tolist()))
      [0.0, 2.0]
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.dropout


class Dropout1d(_Dropout):
    """Sets whole channels of sequences to zero with probability `p` while training.

    Mirrors `torch.nn.Dropout1d` on channels-last input `(n, l, c)` or `(l, c)`. Attributes and
    errors are those of `Dropout2d`.

    Example:
      >>> import jax.numpy as jnp
      >>> x, rngs = jnp.ones((1, 2, 4)), {"dropout": jax.random.key(0)}
      >>> y = Dropout1d().apply({}, x, train=True, rngs=rngs)
      >>> bool(jnp.all(y[:, 0] == y[:, 1]))
      True
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.dropout1d


class Dropout2d(_Dropout):
    """Sets whole channels of images to zero with probability `p` while training.

    Mirrors `torch.nn.Dropout2d` on channels-last input; what is kept is scaled by `1 / (1 - p)`.
    The key comes from the `dropout` rng. As there, three axes are a batch of sequences.

    Attributes:
      p: Probability that a channel of one image is zero, 0 to 1.
      inplace: Accepted and without effect.

    Shape:
      `(n, h, w, c)` or `(n, l, c)` -> the same.

    Raises:
      ValueError: If `p` is outside 0 to 1 or the input's axes do not fit.

    Source: Tompson et al., 2015.

    Example:
      >>> import jax.numpy as jnp
      >>> x, rngs = jnp.ones((1, 2, 2, 4)), {"dropout": jax.random.key(0)}
      >>> y = Dropout2d().apply({}, x, train=True, rngs=rngs)
      >>> bool(jnp.all(y == y[:, :1, :1]))
      True
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.dropout2d


class Dropout3d(_Dropout):
    """Sets whole channels of volumes to zero with probability `p` while training.

    Mirrors `torch.nn.Dropout3d` on channels-last input `(n, d, h, w, c)` or `(d, h, w, c)`.
    Attributes and errors are those of `Dropout2d`.

    Example:
      >>> import jax.numpy as jnp
      >>> x, rngs = jnp.ones((1, 2, 2, 2, 4)), {"dropout": jax.random.key(0)}
      >>> y = Dropout3d().apply({}, x, train=True, rngs=rngs)
      >>> bool(jnp.all(y == y[:, :1, :1, :1]))
      True
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.dropout3d


class AlphaDropout(_Dropout):
    """Sets entries to SELU's lowest value with probability `p` while training.

    Mirrors `torch.nn.AlphaDropout`: all entries are then scaled and shifted, so that input of mean
    0 and variance 1 keeps both. The key comes from the `dropout` rng.

    Attributes:
      p: Probability of a dropped entry, 0 to 1.
      inplace: Accepted and without effect.

    Raises:
      ValueError: If `p` is outside 0 to 1.

    Source: Klambauer et al., 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> x, rngs = jnp.zeros(100), {"dropout": jax.random.key(0)}
      >>> y = AlphaDropout().apply({}, x, train=True, rngs=rngs)
      >>> sorted({round(v, 3) for v in y.tolist()})
      [-0.779, 0.779]
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.alpha_dropout


class FeatureAlphaDropout(_Dropout):
    """Sets whole channels to SELU's lowest value with probability `p` while training.

    Mirrors `torch.nn.FeatureAlphaDropout` on channels-last input `(n, *spatial, c)`; all entries
    are then scaled and shifted as in `AlphaDropout`, whose attributes it has.

    Raises:
      ValueError: If `p` is outside 0 to 1 or training input has fewer than two axes.

    Source: Klambauer et al., 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> x, rngs = jnp.ones((1, 2, 2, 4)), {"dropout": jax.random.key(0)}
      >>> y = FeatureAlphaDropout().apply({}, x, train=True, rngs=rngs)
      >>> bool(jnp.all(y == y[:, :1, :1]))
      True
    """

    def _function(self) -> Callable[..., jax.Array]:
        return F.feature_alpha_dropout
