"""Dotted names of the arrays in a tree, which are PyTorch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from jaxcnn._checks import check


def dotted(path: Iterable[Any]) -> str:
    """The PyTorch name of a path in a tree of parameters.

    Example:
      >>> [(path, _)] = jax.tree.leaves_with_path({"layer1.0": {"weight": 1}})
      >>> dotted(path)
      'layer1.0.weight'
    """
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def named_leaves(where: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """{dotted name: leaf} over all collections, in the tree's own order.

    Raises:
      ValueError: If two leaves have the same name.

    Example:
      >>> named_leaves("here", {"params": {"fc": {"bias": 1}}, "batch_stats": {}})
      {'fc.bias': 1}
    """
    named: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(variables):
        name = dotted(path[1:])
        check(name not in named, where, "every leaf must have a dotted name of its own", name=name)
        named[name] = leaf
    return named
