"""Linear maps, look-up and attention."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn import functional as F

from .entry import Entry


def _without_dropout(sample: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Random weights cannot be compared; dropout has tests/functional/test_attention.py."""
    return (sample.input, *sample.args), {**sample.kwargs, "dropout_p": 0.0}


def _heads_without_dropout(sample: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """OpInfo's numbers, up to 9, saturate the softmax until its gradient underflows."""
    names = list(inspect.signature(F.multi_head_attention_forward).parameters)
    kwargs = dict(zip(names, (sample.input, *sample.args), strict=False)) | sample.kwargs
    kwargs = {
        k: (v.detach() / 5).requires_grad_(v.requires_grad) if hasattr(v, "detach") else v
        for k, v in kwargs.items()
    }
    return (kwargs.pop("query"),), {**kwargs, "dropout_p": 0.0}


def _embedding(weight: Any, input: Any, **kwargs: Any) -> Any:
    """OpInfo gives the weight first, because it is the differentiable one."""
    return F.embedding(input, weight, **kwargs)


ENTRIES = [
    Entry("nn.functional.linear", F.linear),
    Entry("nn.functional.bilinear", F.bilinear),
    Entry("nn.functional.embedding", _embedding),
    Entry(
        "nn.functional.scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        tolerances={"float32": (1.3e-6, 5e-5)},
        why="PyTorch's own tolerance: scores of hundreds before the softmax",
        prepare=_without_dropout,
    ),
    Entry(
        "nn.functional.multi_head_attention_forward",
        F.multi_head_attention_forward,
        prepare=_heads_without_dropout,
        tolerances={"float16": (1e-2, 1e-2), "bfloat16": (8e-2, 8e-2)},
        why="rounded after each of four layers, as PyTorch's half precision is",
    ),
]
