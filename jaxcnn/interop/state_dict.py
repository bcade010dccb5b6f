"""A variables tree and a PyTorch state_dict hold the same arrays under the same names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn._checks import check
from jaxcnn._names import named_leaves

_COUNTER = "num_batches_tracked"


def to_state_dict(
    variables: Mapping[str, Any], *, tied: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Flattens a variables tree into PyTorch's names.

    Args:
      variables: `{"params": ..., "batch_stats": ...}`.
      tied: `tied_names(...)` of a model that uses a module twice: its arrays are listed under each
        of its names, as in PyTorch.

    Returns:
      Arrays by dotted name, with PyTorch's shapes. `num_batches_tracked` is int64, as there.

    Raises:
      ValueError: If two leaves have the same dotted name.

    Example:
      >>> to_state_dict({"params": {"fc": {"bias": jnp.zeros(2)}}})
      {'fc.bias': array([0., 0.], dtype=float32)}
    """
    arrays = {k: np.asarray(v) for k, v in named_leaves("to_state_dict", variables).items()}
    for second, first in (tied or {}).items():
        own = {k.rpartition(".")[2]: v for k, v in arrays.items() if k.rpartition(".")[0] == first}
        arrays |= {f"{second}.{leaf}": v for leaf, v in own.items()}
    return {k: v.astype(np.int64) if k.endswith(_COUNTER) else v for k, v in arrays.items()}


def to_variables(
    state_dict: Mapping[str, Any],
    like: Mapping[str, Any],
    *,
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
    tied: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    r"""Puts a state_dict's arrays into a variables tree.

    Args:
      state_dict: Arrays (or CPU tensors) by PyTorch name.
      like: A variables tree, or its `jax.eval_shape`, that says which names, shapes and dtypes
        there are. Values are cast to these dtypes, as PyTorch's `load_state_dict` does.
      strict: Whether missing and unexpected names are an error. Otherwise missing ones keep the
        value of `like`. A wrong shape is always an error.
      rename: Regular expressions and their replacements, applied to the names in order.
      tied: `tied_names(...)` of a model that uses a module twice: the module's arrays may come
        under any of its names, and must be equal where they come under several.

    Returns:
      A tree with the structure of `like`.

    Raises:
      ValueError: One error that lists every missing, unexpected and wrongly shaped name; or if
        arrays that the model ties differ.

    Example:
      >>> like = {"params": {"fc": {"bias": jnp.zeros(2)}}}
      >>> to_variables({"module.fc.bias": np.ones(2)}, like, rename={r"^module\.": ""})
      {'params': {'fc': {'bias': Array([1., 1.], dtype=float32)}}}
    """
    given = _under_first_names(_renamed(state_dict, rename or {}), tied or {})
    wanted = named_leaves("to_variables", like)
    missing = sorted(set(wanted) - set(given))
    unexpected = sorted(set(given) - set(wanted))
    shapes = {
        name: (np.shape(given[name]), leaf.shape) for name, leaf in wanted.items() if name in given
    }
    misshapen = [
        f"{name}: expected {want}, got {have}"
        for name, (have, want) in shapes.items()
        if have != want
    ]
    # A tree of shapes has no value to keep, whatever `strict` says.
    abstract = [n for n in missing if isinstance(wanted[n], jax.ShapeDtypeStruct)]
    problems = {
        "missing": missing if strict else abstract,
        "unexpected": unexpected if strict else [],
        "wrong shape": misshapen,
    }
    if any(problems.values()):
        lines = [f"  {kind}: {', '.join(names)}" for kind, names in problems.items() if names]
        raise ValueError(
            "to_variables: the state_dict must fit the model, got\n" + "\n".join(lines)
        )
    leaves = [
        # A copy: `asarray` may share a CPU tensor's memory, which PyTorch then trains on.
        jnp.array(np.asarray(given[name]), leaf.dtype) if name in given else leaf
        for name, leaf in wanted.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _under_first_names(given: Mapping[str, Any], tied: Mapping[str, str]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, value in given.items():
        module, _, leaf = name.rpartition(".")
        first = f"{tied[module]}.{leaf}" if module in tied else name
        same = first not in arrays or _equal(arrays[first], value)
        rule = "arrays of a module used twice must be equal"
        check(same, "to_variables", rule, name=name, first_name=first)
        arrays[first] = value
    return arrays


def _equal(a: Any, b: Any) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def _renamed(state_dict: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for key, value in state_dict.items():
        name = key
        for pattern, replacement in rename.items():
            name = re.sub(pattern, replacement, name)
        rule = "rename must not give two keys the same name"
        check(name not in renamed, "to_variables", rule, name=name, key=key)
        renamed[name] = value
    return renamed
