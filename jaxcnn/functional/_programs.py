"""One program for a whole function, also where the caller does not compile."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax


def one_program(*static: str) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function whole; op by op, each shape of each step would be compiled.

    Args:
      *static: Names of the arguments that are no arrays.

    Example:
      >>> one_program("n")(lambda x, n: x * n)(2.0, n=3).item()
      6.0
    """
    return functools.partial(jax.jit, static_argnames=static)
