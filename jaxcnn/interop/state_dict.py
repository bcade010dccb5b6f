"""A variables tree and a PyTorch state_dict hold the same arrays under the same names."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, overload

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn._checks import check
from jaxcnn._names import named_leaves
from jaxcnn.interop._arrays import as_array, cast
from jaxcnn.interop._suggest import Shapes, as_code, fitting, likely_renames, likely_skip

_COUNTER = "num_batches_tracked"
_WHERE = "to_variables"
_MOST_NAMES = 10
_LOG = logging.getLogger("jaxcnn")


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """How a state_dict and a model differ; `str` lists it.

    Attributes:
      missing_keys: Names that only the model has, as in torch's report.
      unexpected_keys: Names that only the state_dict has, as in torch's report.
      mismatched: (name, the model's shape, the state_dict's shape) where these differ.
      skipped_keys: Names that `skip` left out, of the model or of the state_dict.
      notes: What else was done, a sentence each.

    Example:
      >>> print(LoadReport(missing_keys=("fc.bias",), mismatched=(("fc.weight", (2, 8), (9, 8)),)))
        missing: fc.bias
        wrong shape: fc.weight: expected (2, 8), got (9, 8)
    """

    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    skipped_keys: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        shapes = [f"{name}: expected {want}, got {have}" for name, want, have in self.mismatched]
        kinds = {
            "missing": self.missing_keys,
            "unexpected": self.unexpected_keys,
            "wrong shape": shapes,
            "skipped": self.skipped_keys,
        }
        lines = [f"{kind}: {_shortened(names)}" for kind, names in kinds.items() if names]
        return "\n".join(f"  {line}" for line in [*lines, *self.notes] or ["every name fits"])


def to_state_dict(
    variables: Mapping[str, Any], *, tied: Mapping[str, str] | None = None
) -> dict[str, np.ndarray]:
    """Flattens a variables tree into PyTorch's names.

    Args:
      variables: `{"params": ..., "batch_stats": ...}`.
      tied: `tied_names(...)` of a model that uses a module twice: its arrays are listed under each
        of its names, as in PyTorch. Names of single arrays, such as `Converted.tied`, do too.

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
        if first in arrays:
            arrays[second] = arrays[first]
    return {k: v.astype(np.int64) if k.endswith(_COUNTER) else v for k, v in arrays.items()}


@overload
def to_variables(
    state_dict: Mapping[str, Any],
    like: Mapping[str, Any],
    *,
    strict: Literal[True] = True,
    rename: Mapping[str, str] | None = None,
    skip: str | None = None,
    tied: Mapping[str, str] | None = None,
) -> dict[str, Any]: ...


@overload
def to_variables(
    state_dict: Mapping[str, Any],
    like: Mapping[str, Any],
    *,
    strict: Literal[False],
    rename: Mapping[str, str] | None = None,
    skip: str | None = None,
    tied: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], LoadReport]: ...


def to_variables(
    state_dict: Mapping[str, Any],
    like: Mapping[str, Any],
    *,
    strict: bool = True,
    rename: Mapping[str, str] | None = None,
    skip: str | None = None,
    tied: Mapping[str, str] | None = None,
) -> dict[str, Any] | tuple[dict[str, Any], LoadReport]:
    r"""Puts a state_dict's arrays into a variables tree.

    Names `num_batches_tracked` that are missing beside a `running_mean` are no error: PyTorch
    before 0.4.1 did not write them. The value of `like` stays, or is 0 if it has none; the report
    says so, or, if strict, the logger "jaxcnn" (level info).

    Args:
      state_dict: Arrays of NumPy or JAX, or tensors, by PyTorch name.
      like: A variables tree, or its `jax.eval_shape`, that says which names, shapes and dtypes
        there are. Values are cast to these dtypes, as PyTorch's `load_state_dict` does.
      strict: Whether missing and unexpected names are an error. Otherwise missing ones keep the
        value of `like`. A wrong shape is always an error, as in PyTorch.
      rename: Regular expressions and their replacements, applied to the names in order.
      skip: A regular expression: what it finds in the renamed names is not loaded, such as
        `r"^fc\."` for a head with another number of classes. `like` keeps its values there.
      tied: `tied_names(...)` of a model that uses a module twice: the module's arrays may come
        under any of its names, and must be equal where they come under several.

    Returns:
      A tree with the structure of `like`; unless strict, also a LoadReport.

    Raises:
      ValueError: One error that lists every missing, unexpected and wrongly shaped name, and the
        `rename` and `skip` that would make the names fit, where they can be told; or if `skip`
        or `rename` is no regular expression, a value does not fit its dtype (complex numbers,
        fractions for integers), a value to keep is only a shape, or arrays that the model ties
        differ.

    Example:
      >>> like = {"params": {"fc": {"bias": jnp.zeros(2)}}}
      >>> to_variables({"module.fc.bias": np.ones(2)}, like, rename={r"^module\.": ""})
      {'params': {'fc': {'bias': Array([1., 1.], dtype=float32)}}}
      >>> _, report = to_variables({"norm.bias": np.ones(2)}, like, strict=False)
      >>> report.missing_keys, report.unexpected_keys
      (('fc.bias',), ('norm.bias',))
    """
    given = _under_first_names(_renamed(state_dict, rename or {}), tied or {})
    wanted = named_leaves(_WHERE, like)
    report = _report(given, wanted, skip)
    _check_fit(report, given, wanted, strict, rename or {}, skip)
    leaves = [
        _loaded(name, given[name], leaf.dtype)
        if name in given and name not in report.skipped_keys
        else _kept(name, leaf)
        for name, leaf in wanted.items()
    ]
    variables = jax.tree.unflatten(jax.tree.structure(like), leaves)
    if not strict:
        return variables, report
    for note in report.notes:
        _LOG.info("%s: %s", _WHERE, note)
    return variables


def _report(given: Mapping[str, Any], wanted: Mapping[str, Any], skip: str | None) -> LoadReport:
    names = wanted.keys() | given.keys()
    with _checked_patterns("skip", skip):
        skipped = set() if skip is None else {name for name in names if re.search(skip, name)}
    missing = wanted.keys() - given.keys() - skipped
    counters = {
        name
        for name in missing
        if name.endswith(_COUNTER) and f"{name.removesuffix(_COUNTER)}running_mean" in given
    }
    return LoadReport(
        tuple(sorted(missing - counters)),
        tuple(sorted(given.keys() - wanted.keys() - skipped)),
        tuple(
            (name, leaf.shape, _shape(given[name]))
            for name, leaf in wanted.items()
            if name in given and _shape(given[name]) != leaf.shape
        ),
        tuple(sorted(skipped)),
        (_note(len(counters), any(_is_abstract(wanted[n]) for n in counters)),) * bool(counters),
    )


def _note(counters: int, abstract: bool) -> str:
    rest = "they start at 0" if abstract else "like's values stay"
    return f"{counters} names {_COUNTER} are not in the state_dict: {rest}"


def _check_fit(
    report: LoadReport,
    given: Mapping[str, Any],
    wanted: Mapping[str, Any],
    strict: bool,
    rename: Mapping[str, str],
    skip: str | None,
) -> None:
    missing = report.missing_keys
    problems = LoadReport(
        # A tree of shapes has no value to keep, whatever `strict` says.
        missing if strict else tuple(n for n in missing if _is_abstract(wanted[n])),
        report.unexpected_keys if strict else (),
        tuple(wrong for wrong in report.mismatched if wrong[0] not in report.skipped_keys),
    )
    if problems != LoadReport():
        have, want = (
            {name: _shape(x) for name, x in arrays.items() if name not in report.skipped_keys}
            for arrays in (given, wanted)
        )
        hints = [*_hints(have, want, rename, skip)]
        if problems.missing_keys and not strict:
            hints.append("like must hold values to keep, not shapes: pass model.init(...)")
        text = dataclasses.replace(problems, notes=tuple(hints))
        raise ValueError(f"{_WHERE}: the state_dict must fit the model, got\n{text}")


def _hints(
    given: Shapes, wanted: Shapes, rename: Mapping[str, str], skip: str | None
) -> Iterator[str]:
    """What to call `to_variables` with instead."""
    have, want = (
        {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}
        for shapes in (given, wanted)
    )
    rules, have = likely_renames(have, want)
    if rules:
        text = as_code({**rename, **rules})
        yield f"try rename={text}: {fitting(have, want)} of {len(want)} names fit"
    layers = likely_skip(have, want)
    if layers:
        pattern = layers if skip is None else f"{skip}|{layers}"
        yield f'try skip=r"{pattern}": the model keeps its own values there'


def _loaded(name: str, value: Any, dtype: Any) -> jax.Array:
    array = cast(_WHERE, name, as_array(_WHERE, name, value), dtype)
    return jnp.array(array)  # a copy: PyTorch trains on in the memory of its tensors


def _kept(name: str, leaf: Any) -> Any:
    if not _is_abstract(leaf):
        return leaf
    rule = "like must hold values where they are kept, not shapes"
    check(name.endswith(_COUNTER), _WHERE, rule, "pass model.init(...) as like", name=name)
    return jnp.zeros(leaf.shape, leaf.dtype)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(np.shape(value))  # torch.Size prints otherwise


def _is_abstract(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _under_first_names(given: Mapping[str, Any], tied: Mapping[str, str]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, value in given.items():
        module, _, leaf = name.rpartition(".")
        first = tied.get(name, f"{tied[module]}.{leaf}" if module in tied else name)
        same = first not in arrays or _equal(name, arrays[first], value)
        rule = "arrays of a module used twice must be equal"
        check(same, _WHERE, rule, name=name, first_name=first)
        arrays[first] = value
    return arrays


def _equal(name: str, *values: Any) -> bool:
    a, b = (as_array(_WHERE, name, value) for value in values)
    return np.array_equal(a, b, equal_nan=True)


def _renamed(state_dict: Mapping[str, Any], rename: Mapping[str, str]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for key, value in state_dict.items():
        name = key
        with _checked_patterns("rename", rename):
            for pattern, replacement in rename.items():
                name = re.sub(pattern, replacement, name)
        rule = "rename must not give two keys the same name"
        check(name not in arrays, _WHERE, rule, name=name, key=key)
        arrays[name] = value
    return arrays


@contextlib.contextmanager
def _checked_patterns(argument: str, value: Any) -> Iterator[None]:
    try:
        yield
    except re.error as error:
        rule = f"{argument} must be a regular expression"
        check(False, _WHERE, rule, str(error), **{argument: value})


def _shortened(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
