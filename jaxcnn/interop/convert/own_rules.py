"""JAX functions that users register in the place of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OWN_RULES: dict[Any, Callable[..., Any]] = {}


def rule(torch_function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a JAX function in the place of a torch function, for `from_torch`.

    Args:
      torch_function: The function or method that the PyTorch module calls, such as
        `torch.cumsum` or `torch.Tensor.cumsum`.

    Returns:
      A decorator for a function of the same arguments. It gets arrays with PyTorch's order of
      axes, channels first, and returns such arrays.

    Example:
      >>> import jax.numpy as jnp, torch
      >>> @rule(torch.cumprod)
      ... def cumprod(input, dim):
      ...     return jnp.cumprod(input, dim)
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        OWN_RULES[torch_function] = function
        return function

    return register
