"""OpInfo's normalisations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxcnn import functional as F

from .entry import Entry, Skip, channels


def _with_statistics(name: str) -> Callable[..., Any]:
    """PyTorch's function, which writes running statistics in place, as one that returns them."""

    def call(
        input: Any, running_mean: Any = None, running_var: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        import torch

        own = [None if s is None else s.detach().clone() for s in (running_mean, running_var)]
        y = getattr(torch.nn.functional, name)(input, *own, *args, **kwargs)
        writes = kwargs.get("training", False) or name == "instance_norm"
        return (y, *own) if writes and running_mean is not None else y

    return call


def _normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """With PyTorch's channel axis moved last, as an image's would be; `dim` goes along."""
    x = jnp.asarray(input)
    if x.ndim < 3:
        return F.normalize(x, p, dim, eps)
    moved = [0, *range(2, x.ndim), 1]
    return jnp.moveaxis(
        F.normalize(jnp.moveaxis(x, 1, -1), p, moved.index(dim % x.ndim), eps), -1, 1
    )


# Gradients that are zero, or would be without eps, come out of both sides as rounding errors.
# tests/functional/test_normalization.py holds ours to a bound.
def _one(count: Callable[..., int]) -> Skip:
    """For samples that normalise one value: the result does not depend on it."""
    return Skip(
        "the gradient of one normalised value is 0; PyTorch's is a rounding error",
        lambda args, kwargs: count(*args, **kwargs) == 1,
        ("gradient", "float64"),
    )


def _two(count: Callable[..., int]) -> Skip:
    """For samples that normalise two values, whatever they are, to -1 and 1."""
    return Skip(
        "the gradient of two normalised values is eps times a number; in float32 PyTorch's is a "
        "rounding error",
        lambda args, kwargs: count(*args, **kwargs) == 2,
        ("gradient",),
    )


def _in_batch(x: Any, *_: Any, training: bool = False, **__: Any) -> int:
    return x.numel() // x.shape[1] if training and x.numel() else 0


def _in_group(x: Any, num_groups: int, **_: Any) -> int:
    return math.prod(x.shape[1:]) // num_groups if x.numel() else 0


def _in_layer(x: Any, normalized_shape: Any, *_: Any, **__: Any) -> int:
    return math.prod(normalized_shape) if x.numel() else 0


def _alone(x: Any, *_: Any, dim: int = 1, **__: Any) -> int:
    """A vector of one entry; two entries of a vector are no special case, nor is one number."""
    return int(x.ndim > 0 and x.shape[dim] == 1)


ENTRIES = [
    *(
        Entry(
            "nn.functional.batch_norm",
            channels(F.batch_norm),
            variant=variant,
            torch=_with_statistics("batch_norm"),
            skips=[_two(_in_batch)],
        )
        for variant in ("", "without_cudnn")
    ),
    Entry(
        "nn.functional.instance_norm",
        channels(F.instance_norm),
        torch=_with_statistics("instance_norm"),
    ),
    Entry("nn.functional.group_norm", channels(F.group_norm), skips=[_two(_in_group)]),
    Entry("nn.functional.layer_norm", F.layer_norm, skips=[_one(_in_layer), _two(_in_layer)]),
    Entry("nn.functional.rms_norm", F.rms_norm, skips=[_one(_in_layer)]),
    Entry("nn.functional.local_response_norm", channels(F.local_response_norm)),
    Entry("nn.functional.normalize", _normalize, skips=[_one(_alone)]),
]
