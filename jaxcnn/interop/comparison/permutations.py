"""The same numbers in another order."""

from __future__ import annotations

import itertools

import numpy as np

from jaxcnn.interop.comparison.values import error_between


def permutation(expected: np.ndarray, actual: np.ndarray) -> str | None:
    """How `actual` holds the numbers of `expected` in another order, if it does.

    Example:
      >>> x = np.arange(4.0).reshape(2, 2)
      >>> permutation(x, x.T)
      'with axes (1, 0)'
    """
    if expected.size != actual.size or expected.ndim < 2:
        return None
    orders = list(itertools.permutations(range(expected.ndim)))
    for order in orders:
        moved = expected.transpose(order)
        if moved.shape == actual.shape and error_between(actual, moved).relative < 1e-6:
            return f"with axes {order}"
    for order in orders:
        moved = expected.transpose(order)
        if error_between(actual.ravel(), moved.ravel()).relative < 1e-6:
            return f"with axes {order}, reshaped"
        back = actual.reshape(moved.shape).transpose(np.argsort(order))
        if error_between(back, expected).relative < 1e-6:
            return f"reshaped as if its axes were {order}"
    flipped = np.flip(expected, tuple(range(2, expected.ndim)))
    if flipped.shape == actual.shape and error_between(actual, flipped).relative < 1e-6:
        return "flipped"
    return None


def misread(weight: np.ndarray) -> np.ndarray:
    """PyTorch's numbers read as if they were in Flax's order."""
    order = (*range(2, weight.ndim), 1, 0)
    return weight.reshape([weight.shape[i] for i in order]).transpose(np.argsort(order))
