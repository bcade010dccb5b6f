"""Activations and softmax. Elementwise functions have one layout; `dim` counts as given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxcnn import functional as F

from .entry import Entry, Skip, channels


def _is_random(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("training", False))


def _in_jax_types(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """PyTorch's dtype as JAX's; float64 is float32 where 64-bit types are off."""

    def call(input: Any, *args: Any, dtype: Any, **kwargs: Any) -> jax.Array:
        name = str(dtype).removeprefix("torch.")
        return function(input, *args, dtype=jax.dtypes.canonicalize_dtype(name), **kwargs)

    return call


# The harness expects half precision back.
_CAST = Skip("the result has the type that is asked for", lambda *_: True, ("float16", "bfloat16"))

_ELEMENTWISE = (
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "silu",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
)

ENTRIES = [
    *(Entry(f"nn.functional.{name}", getattr(F, name)) for name in _ELEMENTWISE),
    *(Entry(name, getattr(F, name)) for name in ("log_softmax", "sigmoid", "softmax", "tanh")),
    *(
        Entry(name, _in_jax_types(getattr(F, name)), variant="with_dtype", skips=(_CAST,))
        for name in ("log_softmax", "softmax")
    ),
    Entry("nn.functional.softmin", _in_jax_types(F.softmin), variant="with_dtype", skips=(_CAST,)),
    Entry("nn.functional.prelu", channels(F.prelu)),
    Entry(
        "nn.functional.rrelu",
        F.rrelu,
        skips=(
            Skip(
                "random slopes; see tests/functional/test_activation.py",
                _is_random,
                ("forward", "gradient", "jit", "vmap", "float64", "float16", "bfloat16"),
            ),
        ),
    ),
]
