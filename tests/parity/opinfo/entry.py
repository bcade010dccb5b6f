"""One row of the table: an OpInfo, and the jaxcnn function that answers for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

# What is measured on every sample. "jit" holds output and gradient; float16 and bfloat16 the
# output; "errors" OpInfo's samples of wrong input.
CHECKS = ("forward", "gradient", "jit", "vmap", "float64", "float16", "bfloat16", "errors")


@dataclasses.dataclass(frozen=True)
class Skip:
    """Samples that are left out, and why.

    Attributes:
      reason: Why PyTorch's answer cannot be ours.
      when: `(args, kwargs) -> bool`; args[0] is the sample's input, as a tensor.
      checks: What is left out on these samples.
    """

    reason: str
    when: Callable[[Sequence[Any], Mapping[str, Any]], bool]
    checks: Sequence[str] = CHECKS


@dataclasses.dataclass(frozen=True)
class Entry:
    """An OpInfo and the function that answers for it.

    Attributes:
      name: OpInfo's name.
      call: jaxcnn's function in PyTorch's layout: takes a sample's input, args and kwargs.
      variant: OpInfo's variant_test_name.
      prepare: Changes a sample for both sides: `(sample) -> (args, kwargs)`.
      torch: Replaces OpInfo's own function.
      skips: Samples that are left out.
      tolerances: (rtol, atol) by dtype, where DESIGN.md's do not hold.
      why: Why they do not.
    """

    name: str
    call: Callable[..., Any]
    variant: str = ""
    prepare: Callable[[Any], tuple[Sequence[Any], Mapping[str, Any]]] | None = None
    torch: Callable[..., Any] | None = None
    skips: Sequence[Skip] = ()
    tolerances: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    why: str = ""

    def __post_init__(self) -> None:
        assert bool(self.tolerances) == bool(self.why), f"{self.id}: say why the tolerance differs"

    @property
    def id(self) -> str:
        short = self.name.removeprefix("nn.functional.")
        return f"{short}-{self.variant}" if self.variant else short

    def skipped(self, check: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """The reason why a sample is left out of a check, or None."""
        return next(
            (
                skip.reason
                for skip in self.skips
                if check in skip.checks and skip.when(args, kwargs)
            ),
            None,
        )


def images(function: Callable[..., Any], n: int) -> Callable[..., Any]:
    """`function` on (N, C, *spatial) or (C, *spatial), `n` spatial axes, in and out."""

    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        x = jnp.asarray(input)
        if x.ndim not in (n + 1, n + 2):  # wrong on purpose
            return function(x, *args, **kwargs)
        channel = x.ndim - n - 1
        outputs = function(jnp.moveaxis(x, channel, -1), *args, **kwargs)
        return jax.tree.map(lambda y: jnp.moveaxis(y, -1, channel), outputs)

    return call


def channels(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` on (N, C, ...), in and out."""

    def move(x: Any, source: int, target: int) -> Any:
        return jnp.moveaxis(x, source, target) if x.ndim >= 3 else x

    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = function(move(jnp.asarray(input), 1, -1), *args, **kwargs)
        return jax.tree.map(lambda y: move(y, -1, 1), outputs)

    return call


def classes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` on logits (N, C, ...) and a target; probabilities have the logits' layout."""

    def call(input: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
        x, y = jnp.asarray(input), jnp.asarray(target)
        if x.ndim > 2:
            y = jnp.moveaxis(y, 1, -1) if y.shape == x.shape else y
            x = jnp.moveaxis(x, 1, -1)
        return function(x, y, *args, **kwargs)

    return call
