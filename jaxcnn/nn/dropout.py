"""Dropout layers. Mirrors torch.nn's."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn._checks import check


class Dropout(nn.Module):
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

    p: float = 0.5
    inplace: bool = False

    def __post_init__(self) -> None:
        check(0 <= self.p <= 1, "Dropout", "p must be between 0 and 1", p=self.p)
        super().__post_init__()

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        rng = self.make_rng("dropout") if train and 0 < self.p < 1 else None
        return F.dropout(x, self.p, train, rng=rng)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"p={self.p}, inplace={self.inplace}"
