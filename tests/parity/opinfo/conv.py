"""Convolutions and unfold. fold is in no OpInfo: see tests/functional/test_fold.py."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn import functional as F

from .entry import Entry, Skip, images

_MIXED = Skip(
    "wrong only in that dtypes differ, which promotes here",
    when=lambda args, kwargs: args[0].dtype != args[2].dtype,
    checks=("errors",),
)


def _unfold(input: Any, *args: Any, **kwargs: Any) -> jax.Array:
    """Columns (N, blocks, features) -> (N, features, blocks)."""
    return jnp.swapaxes(F.unfold(jnp.moveaxis(input, -3, -1), *args, **kwargs), -1, -2)


_WHY = (
    "products of numbers up to 9 cancel to small sums, and each side adds them in its own order; "
    "1e-4 is PyTorch's own tolerance for conv_transpose"
)
_WIDER = {2: {"float32": (1.3e-6, 5e-5)}, 3: {"float32": (1.3e-6, 1e-4)}}


def _entry(name: str, n: int, **given: Any) -> Entry:
    function, wider = getattr(F, f"{name}{n}d"), _WIDER.get(n, {})
    why = _WHY if wider else ""
    return Entry(
        f"nn.functional.{name}{n}d", images(function, n), tolerances=wider, why=why, **given
    )


ENTRIES = [
    *(_entry("conv", n, skips=(_MIXED,)) for n in (1, 2, 3)),
    *(_entry("conv_transpose", n) for n in (1, 2, 3)),
    Entry("nn.functional.unfold", _unfold),
]
