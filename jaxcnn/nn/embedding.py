"""Look-up layers. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype
from jax.typing import ArrayLike

from jaxcnn import functional as F
from jaxcnn._checks import check, check_int
from jaxcnn.functional.embedding import padding_index


class _Given:
    """An array compared by identity: linen compares and hashes a module's fields."""

    def __init__(self, array: jax.Array) -> None:
        self.array = array


class Embedding(nn.Module):
    """The rows of a learned table at the given indices.

    Mirrors `torch.nn.Embedding`; torch's `device` and `dtype` are left out. Where torch shortens
    rows in place (`max_norm`), the new table is written to `params` if the caller makes them
    mutable: `y, new = model.apply(variables, x, mutable=["params"])`. An optimiser step then starts
    from `new["params"]`, as it does in PyTorch.

    Attributes:
      num_embeddings: Rows of the table.
      embedding_dim: Entries of a row.
      padding_idx: An index whose row starts at zero and gets no gradient; may be negative.
      max_norm: Longest norm of a row; longer ones are scaled down when they are looked up.
      norm_type: The p of that p-norm.
      scale_grad_by_freq: Whether to divide the gradient of each row by how often it is looked up.
      sparse: Accepted and without effect.
      _weight: The table to start from, as it is.
      _freeze: Whether the table has no gradient. It is still among the parameters, as in PyTorch:
        keep it out of weight decay.
      dtype: Dtype of the output; None takes that of the parameters.
      param_dtype: Dtype of the parameters.

    Parameters:
      `weight (num_embeddings, embedding_dim)` from N(0, 1).

    Shape:
      Integers `(*)` -> `(*, embedding_dim)`.

    Raises:
      ValueError: If a size is negative, `padding_idx` is no row or `_weight` does not fit.
      TypeError: If a size or an index is not an integer.

    Example:
      >>> layer = Embedding(10, 3, padding_idx=0)
      >>> y, _ = layer.init_with_output(jax.random.key(0), jnp.array([[0, 4]]))
      >>> y.shape, y[0, 0].tolist()
      ((1, 2, 3), [0.0, 0.0, 0.0])
    """

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None = None
    max_norm: float | None = None
    norm_type: float = 2.0
    scale_grad_by_freq: bool = False
    sparse: bool = False
    _weight: Any = None
    _freeze: bool = False
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int("Embedding", "num_embeddings", self.num_embeddings, 0)
        check_int("Embedding", "embedding_dim", self.embedding_dim, 0)
        padding_index("Embedding", self.padding_idx, self.num_embeddings)
        if self._weight is not None and not isinstance(self._weight, _Given):
            weight, shape = jnp.asarray(self._weight), (self.num_embeddings, self.embedding_dim)
            check(
                weight.shape == shape, "Embedding", f"_weight must be {shape}", shape=weight.shape
            )
            self._weight = _Given(weight)
        super().__post_init__()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: ArrayLike,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """A layer that starts from the table `embeddings`, by default without gradient.

        Mirrors `torch.nn.Embedding.from_pretrained`.

        Raises:
          ValueError: If `embeddings` is not a matrix.
        """
        table = jnp.asarray(embeddings)
        check(table.ndim == 2, "Embedding", "embeddings must be a matrix", shape=table.shape)
        return cls(
            table.shape[0],
            table.shape[1],
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=table,
            _freeze=freeze,
        )

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        shape = (self.num_embeddings, self.embedding_dim)
        weight = self.param("weight", _initializer(self), shape, self.param_dtype)
        writes = self.is_mutable_collection("params") and not self.is_initializing()
        if self.max_norm is not None and writes:
            shortened = F.embedding_renorm(weight, x, self.max_norm, self.norm_type)
            self.put_variable("params", "weight", jax.lax.stop_gradient(shortened))
        if self._freeze:
            weight = jax.lax.stop_gradient(weight)
        return F.embedding(
            x,
            weight.astype(self.dtype or weight.dtype),
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        padding = padding_index("Embedding", self.padding_idx, self.num_embeddings)
        text += "" if padding is None else f", padding_idx={padding}"
        text += "" if self.max_norm is None else f", max_norm={self.max_norm}"
        text += "" if self.norm_type == 2 else f", norm_type={self.norm_type}"
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        return text + (", sparse=True" if self.sparse else "")


def _initializer(layer: Embedding) -> nn.initializers.Initializer:
    """N(0, 1) with zeros for the padding, or the given table."""

    def initializer(key: jax.Array, shape: Any, dtype: Any) -> jax.Array:
        if layer._weight is not None:
            return layer._weight.array.astype(dtype)
        weight = jax.random.normal(key, shape, dtype)
        padding = padding_index("Embedding", layer.padding_idx, layer.num_embeddings)
        return weight if padding is None else weight.at[padding].set(0)

    return initializer
