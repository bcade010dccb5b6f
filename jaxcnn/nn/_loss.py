"""What the loss layers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.functional._reduction import REDUCTIONS, check_reduction


class Loss(nn.Module):
    """Checks `reduction` when a loss is built and keeps tensors as PyTorch's buffers.

    Its fields stand in the subclasses, each in PyTorch's order.
    """

    _reductions: ClassVar[Sequence[str]] = REDUCTIONS

    def __post_init__(self) -> None:
        reduction = vars(self)["reduction"]
        check_reduction(type(self).__name__, reduction, tuple(self._reductions))
        super().__post_init__()

    def _buffer(self, name: str) -> jax.Array | None:
        """The tensor given as field `name`, or what the collection "buffers" has instead."""
        value: Any = getattr(self, name)
        if value is None:
            return None
        if self.is_initializing() or self.has_variable("buffers", name):
            return self.variable("buffers", name, jnp.asarray, value).value
        return jnp.asarray(value)
