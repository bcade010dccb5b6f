"""Pooling: the functions of the pooling files of functional/."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from jaxcnn import functional as F

from .entry import Entry, images


def unpool(function: Callable[..., Any], n: int) -> Callable[..., Any]:
    """`function` on (N, C, *spatial); indices and `output_size` have that layout too."""

    def call(
        input: Any,
        indices: Any,
        *args: Any,
        output_size: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Any:
        channel = jnp.ndim(input) - n - 1
        if output_size is not None and len(output_size) == n + 2:
            batch, channels, *spatial = output_size
            output_size = (batch, *spatial, channels)
        last = lambda x: jnp.moveaxis(jnp.asarray(x), channel, -1)
        y = function(last(input), last(indices), *args, output_size=output_size, **kwargs)
        return jnp.moveaxis(y, -1, channel)

    return call


def _placed(n: int) -> Callable[[Any], tuple[Sequence[Any], Mapping[str, Any]]]:
    """Gives both sides the numbers that place the windows; their own would be random."""

    def prepare(sample: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        import torch

        x, kwargs = sample.input, dict(sample.kwargs)
        if kwargs.get("_random_samples") is None:
            shape = (x.shape[0] if x.ndim == n + 2 else 1, x.shape[-n - 1], n)
            generator = torch.Generator().manual_seed(0)
            samples = torch.rand(shape, generator=generator, dtype=torch.float32)
            kwargs["_random_samples"] = samples.to(x.dtype)
        return (x, *sample.args), kwargs

    return prepare


ENTRIES: list[Entry] = []
for _n in (1, 2, 3):
    for _kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool"):
        _name = f"{_kind}{_n}d"
        ENTRIES.append(Entry(f"nn.functional.{_name}", images(getattr(F, _name), _n)))
    for _variant in ("", "grad"):
        _name = f"nn.functional.max_unpool{_n}d"
        ENTRIES.append(Entry(_name, unpool(getattr(F, f"max_unpool{_n}d"), _n), variant=_variant))
for _n in (2, 3):
    _name = f"fractional_max_pool{_n}d"
    _call = images(getattr(F, _name), _n)
    ENTRIES.append(Entry(f"nn.functional.{_name}", _call, prepare=_placed(_n)))
