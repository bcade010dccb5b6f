"""Every error of the activations, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

X = np.ones((2, 4, 6, 3), np.float32)
COMPLEX, BOOL = X.astype(np.complex64), X > 0
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

ERRORS: list[tuple[type[Exception], Callable[..., Any], dict[str, Any], str]] = [
    *(
        (TypeError, f, {"input": x}, f"input must be real numbers, got dtype='{x.dtype}'.")
        for f in (F.relu, F.relu6, F.hardtanh)
        for x in (BOOL, COMPLEX)
    ),
    (
        TypeError,
        F.threshold,
        {"input": BOOL, "threshold": 1.0, "value": 2.0},
        "input must be real numbers, got dtype='bool'.",
    ),
    *(
        (TypeError, f, {"input": COMPLEX}, "input must be floating point, got dtype='complex64'.")
        for f in (F.sigmoid, F.tanh, F.softsign, F.tanhshrink, F.glu)
    ),
    (
        ValueError,
        F.hardtanh,
        {"input": X, "min_val": 2.0},
        "min_val must not be greater than max_val, got min_val=2.0, max_val=1.0.",
    ),
    (
        ValueError,
        F.rrelu,
        {"input": X, "lower": 0.5},
        "lower must not be greater than upper, got lower=0.5, upper=0.3333333333333333.",
    ),
    (
        ValueError,
        F.rrelu,
        {"input": X, "training": True},
        "training needs a random key, got rng=None; pass rng=key.",
    ),
    (ValueError, F.celu, {"input": X, "alpha": 0.0}, "alpha must not be zero, got alpha=0.0."),
    (
        ValueError,
        F.softshrink,
        {"input": X, "lambd": -0.5},
        "lambd must be at least 0, got lambd=-0.5.",
    ),
    (
        ValueError,
        F.softshrink,
        {"input": X, "lambd": float("nan")},
        "lambd must be at least 0, got lambd=nan.",
    ),
    (
        ValueError,
        F.gelu,
        {"input": X, "approximate": "erf"},
        "approximate must be one of ('none', 'tanh'), got approximate='erf'.",
    ),
    (
        TypeError,
        F.prelu,
        {"input": BOOL, "weight": np.ones(1)},
        "input must be floating point, got dtype='bool'.",
    ),
    (
        ValueError,
        F.prelu,
        {"input": X, "weight": np.ones((1, 3))},
        "weight must be (c,), (1,) or a number, got shape=(1, 3).",
    ),
    (
        ValueError,
        F.prelu,
        {"input": X[0, 0, 0], "weight": np.ones(3)},
        "input without a channel axis, (n, *, c), takes a single weight, got shape=(3,), weights=3",
    ),
    (
        ValueError,
        F.prelu,
        {"input": X, "weight": np.ones(4)},
        f"input must have 4 channels on its last axis, got shape=(2, 4, 6, 3); {FIX}",
    ),
    (
        ValueError,
        F.prelu,
        {"input": np.ones((2, 3, 8)), "weight": np.ones(3)},
        f"input must have 3 channels on its last axis, got shape=(2, 3, 8); {FIX}",
    ),
    (
        ValueError,
        F.glu,
        {"input": np.float32(1)},
        "input must have an axis to halve, got shape=().",
    ),
    (
        ValueError,
        F.glu,
        {"input": X},
        "the axis to halve must have an even length, got shape=(2, 4, 6, 3), dim=-1.",
    ),
    *(
        (
            ValueError,
            f,
            {"input": X, "dim": dim},
            f"dim must be an axis of the 4-D array, got dim={dim}",
        )
        for f in (F.glu, F.softmax, F.log_softmax, F.softmin)
        for dim in (4, -5)
    ),
    *(
        (TypeError, f, {"input": X, "dim": 1.0}, "dim must be an int, got dim=1.0.")
        for f in (F.glu, F.softmax, F.log_softmax, F.softmin)
    ),
    *(
        (
            ValueError,
            f,
            {"input": X},
            "dim must be given for an array of more than two axes, got dim=None, "
            "shape=(2, 4, 6, 3); dim=-1 is the channel axis.",
        )
        for f in (F.softmax, F.log_softmax, F.softmin)
    ),
    (
        TypeError,
        F.softmax,
        {"input": jnp.arange(3), "dim": 0},
        "input must be floating point, got dtype='int32'.",
    ),
]


@pytest.mark.parametrize(
    ("error", "function", "arguments", "message"),
    [pytest.param(*row, id=f"{row[1].__name__}-{i}") for i, row in enumerate(ERRORS)],
)
def test_error(
    error: type[Exception], function: Callable[..., Any], arguments: Any, message: str
) -> None:
    """The function's name, the rule, the value, a full stop."""
    with pytest.raises(error, match=f"^{function.__name__}: {re.escape(message)}") as info:
        function(**arguments)
    assert str(info.value).endswith(".")
