"""Look-up and attention where OpInfo does not look."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxcnn import functional as F

from .case import SAME, Case
from .functions import _plain, make_inputs

_INDICES = np.array([[3, 0, 3, 1], [5, 3, 0, 0]])
_TABLE = {"input": _INDICES, "weight": (6, 4)}
_HIDDEN = np.array([[0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]], bool)


def _attention(label: str, *shapes: tuple[int, ...], mask: Any = None, **arguments: Any) -> Case:
    """`mask`: booleans, or the shape of random numbers."""
    id = f"scaled_dot_product_attention-{label}"
    specs: dict[str, Any] = dict(zip(("query", "key", "value"), shapes, strict=True))
    if isinstance(mask, tuple):
        specs["attn_mask"], mask = mask, None

    def theirs(torch: Any, **x: Any) -> Any:
        given = {} if mask is None else {"attn_mask": torch.from_numpy(mask)}
        return torch.nn.functional.scaled_dot_product_attention(**x, **given, **arguments)

    def ours(**x: Any) -> Any:
        given = {} if mask is None else {"attn_mask": mask}
        return F.scaled_dot_product_attention(**x, **given, **arguments)

    return Case(
        id, lambda: make_inputs(id, specs), theirs, ours, outputs=(SAME,), golden=mask is not None
    )


CASES_LINEAR = [
    _plain("embedding", "plain", _TABLE),
    _plain("embedding", "padding", _TABLE, padding_idx=3),
    _plain("embedding", "padding-negative", _TABLE, padding_idx=-6),
    _plain("embedding", "frequency", _TABLE, scale_grad_by_freq=True),
    _plain("embedding", "frequency-padding", _TABLE, scale_grad_by_freq=True, padding_idx=0),
    _plain("embedding", "vector", {"input": np.array(2), "weight": (6, 4)}),
    _attention("cross", (2, 3, 4), (2, 5, 4), (2, 5, 6)),
    _attention("matrices", (3, 4), (5, 4), (5, 6), scale=0.3),
    _attention("causal-wide", (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), is_causal=True),
    _attention("causal-high", (2, 5, 4), (2, 3, 4), (2, 3, 4), is_causal=True),
    _attention("mask", (2, 3, 4), (2, 5, 4), (2, 5, 6), mask=_HIDDEN),
    _attention("mask-nothing-left", (2, 3, 4), (2, 5, 4), (2, 5, 6), mask=~_HIDDEN),
    _attention("mask-added", (2, 3, 3, 4), (2, 3, 5, 4), (2, 3, 5, 4), mask=(2, 1, 3, 5)),
    _attention("broadcast", (2, 1, 3, 4), (3, 5, 4), (2, 3, 5, 4), mask=(3, 5)),
    _attention("groups", (2, 6, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4), enable_gqa=True),
    _attention("groups-unequal", (1, 6, 3, 4), (1, 2, 5, 4), (1, 3, 5, 4), enable_gqa=True),
]
