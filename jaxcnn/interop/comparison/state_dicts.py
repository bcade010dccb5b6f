"""Two checkpoints side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn._checks import check
from jaxcnn.interop._arrays import as_array
from jaxcnn.interop.comparison.causes import Cause
from jaxcnn.interop.comparison.permutations import permutation
from jaxcnn.interop.comparison.report import LayerReport, Report
from jaxcnn.interop.comparison.values import error_between

_WHERE = "compare_state_dicts"


def compare_state_dicts(reference: Mapping[str, Any], other: Mapping[str, Any]) -> Report:
    """Compares the arrays of two state_dicts by name, bit by bit.

    Args:
      reference: Arrays or tensors by name.
      other: The same of another checkpoint.

    Returns:
      A Report with a row for each array that both have; `first` is the first that differs, with
      the cause "layout" if it holds the same numbers in another order.

    Raises:
      ValueError: If they have no name in common.

    Example:
      >>> a = {"fc.weight": np.arange(6.0).reshape(2, 3)}
      >>> print(compare_state_dicts(a, {"fc.weight": a["fc.weight"].T}).first.cause)
      layout: the reference's numbers with axes (1, 0)
    """
    ours, theirs = (
        {name: as_array(_WHERE, name, value) for name, value in arrays.items()}
        for arrays in (other, reference)
    )
    names = [name for name in theirs if name in ours]
    rule = "the state_dicts must have names in common"
    check(bool(names), _WHERE, rule, reference=list(theirs)[:3], other=list(ours)[:3])
    return Report(
        tuple(_row(name, theirs[name], ours[name]) for name in names),
        tuple(name for name in theirs if name not in ours),
        tuple(name for name in ours if name not in theirs),
        settings={"reference": f"{len(theirs)} arrays", "model": f"{len(ours)} arrays"},
    )


def _row(name: str, theirs: np.ndarray, ours: np.ndarray) -> LayerReport:
    error = error_between(ours, theirs)
    diverges = ("parameters",) if error.absolute > 0 else ()
    how = permutation(theirs, ours) if diverges else None
    cause = Cause("layout", f"the reference's numbers {how}", 0.0) if how else None
    dtype = str(theirs.dtype)
    return LayerReport(name, name, dtype, ours.shape, {"parameters": error}, {}, diverges, cause)
