"""Initialisers: torch.nn.init's distributions, as functions of (key, shape, dtype).

Shapes are PyTorch's: (out, in, *kernel). Where `torch.nn.init` fills a tensor in place, a function
here returns an initialiser `(key, shape, dtype) -> array`, which linen's `Module.param` takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxcnn._checks import check

Initializer = Callable[..., jax.Array]


def fan_in_and_fan_out(shape: Sequence[int]) -> tuple[int, int]:
    """The number of inputs and outputs of one unit, from a weight's PyTorch shape.

    Raises:
      ValueError: If `shape` has fewer than two axes.

    Example:
      >>> fan_in_and_fan_out((6, 1, 5, 5))
      (25, 150)
    """
    rule = "a fan needs a weight of two or more axes"
    check(len(shape) >= 2, "fan_in_and_fan_out", rule, shape=tuple(shape))
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def uniform(a: float = 0.0, b: float = 1.0) -> Initializer:
    """Values from U(a, b). Mirrors `torch.nn.init.uniform_`.

    Example:
      >>> bool(jnp.all(uniform(2.0, 3.0)(jax.random.key(0), (8,)) >= 2.0))
      True
    """

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, tuple(shape), dtype, a, b)

    return initializer


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Values from U(-b, b), b = gain * sqrt(6 / (fan_in + fan_out)).

    Mirrors `torch.nn.init.xavier_uniform_`. Source: Glorot and Bengio, 2010.

    Example:
      >>> xavier_uniform()(jax.random.key(0), (6, 1, 5, 5)).shape
      (6, 1, 5, 5)
    """

    def initializer(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        bound = gain * math.sqrt(6.0 / sum(fan_in_and_fan_out(shape)))
        return uniform(-bound, bound)(key, shape, dtype)

    return initializer


def default_weight(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """What PyTorch's conv and linear layers start from: kaiming_uniform with a = sqrt(5).

    That is U(-b, b), b = 1 / sqrt(fan_in). Source: He et al., 2015; `torch.nn.Linear`.

    Example:
      >>> w = default_weight(jax.random.key(0), (8, 100))
      >>> bool(jnp.abs(w).max() <= 0.1)
      True
    """
    bound = 1.0 / math.sqrt(max(fan_in_and_fan_out(shape)[0], 1))
    return uniform(-bound, bound)(key, shape, dtype)


def default_bias(fan_in: int) -> Initializer:
    """What PyTorch's conv and linear biases start from: U(-b, b), b = 1 / sqrt(fan_in).

    Args:
      fan_in: Inputs of one unit, taken from the layer's weight: `in/groups * kh * kw`.

    Example:
      >>> default_bias(25)(jax.random.key(0), (6,)).shape
      (6,)
    """
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform(-bound, bound)


def reinitialize(params: Any, key: jax.Array, initializer: Initializer, pattern: str) -> Any:
    """Draws every parameter whose PyTorch name matches `pattern` anew.

    The functional form of PyTorch's `model.apply(init_weights)`.

    Args:
      params: A `params` tree; returned anew, not changed.
      key: The random key; each parameter draws from its own part of it.
      initializer: For example `xavier_uniform()`.
      pattern: A regular expression, searched in the dotted name, such as `r"weight$"`.

    Raises:
      ValueError: If no parameter matches.

    Example:
      >>> params = {"fc": {"weight": jnp.zeros((4, 3)), "bias": jnp.zeros(4)}}
      >>> new = reinitialize(params, jax.random.key(0), xavier_uniform(), r"weight$")
      >>> bool(jnp.any(new["fc"]["weight"] != 0)), bool(jnp.any(new["fc"]["bias"] != 0))
      (True, False)
    """
    paths_and_leaves, treedef = jax.tree.flatten_with_path(params)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths_and_leaves]
    matches = [re.search(pattern, name) is not None for name in names]
    check(any(matches), "reinitialize", f"no parameter among {names} matches", pattern=pattern)
    keys = jax.random.split(key, len(names))
    leaves = [
        initializer(k, leaf.shape, leaf.dtype) if match else leaf
        for k, (_, leaf), match in zip(keys, paths_and_leaves, matches, strict=True)
    ]
    return jax.tree.unflatten(treedef, leaves)
