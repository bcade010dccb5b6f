"""The fields of a class: what differs between its modules, under the settings' own names."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxcnn.interop.source.groups import Group
from jaxcnn.interop.source.modules import attribute
from jaxcnn.interop.source.steps import Constant, Hole
from jaxcnn.interop.source.terms import Difference, Make

# Numbers of channels: always given, and one may be a multiple of another.
_WIDTHS = {
    *("in_channels", "out_channels", "num_features", "in_features", "out_features"),
    *("normalized_shape", "groups", "num_channels", "embed_dim", "channels", "features"),
    *("num_parameters", "embedding_dim", "size"),
}
# They are 1 or the same for most layers.
_COMMON = {"groups", "size", "channels", "features"}
_FACTORS = range(2, 9)


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a class.

    Attributes:
      name: Its name.
      values: What each of the class's modules has.
      default: The value that most have.
      has_default: Whether that is the field's default.
      is_module: Whether it is a module.
      is_width: Whether it is a number of channels.
    """

    name: str
    values: tuple[Any, ...]
    default: Any = None
    has_default: bool = False
    is_module: bool = False
    is_width: bool = False


def fields_of(
    differences: Sequence[Difference], taken: set[str], group: Group
) -> tuple[list[Field], dict[str, Hole]]:
    """The fields, and for each Hole the field that fills it."""
    merged: list[list[Difference]] = []
    for difference in differences:
        same = [
            other
            for other in merged
            if not difference.is_module and other[0].values == difference.values
        ]
        if same:
            same[0].append(difference)
        else:
            merged.append([difference])
    fields: list[Field] = []
    holes: dict[str, Hole] = {}
    names = set(taken)
    for places in merged:
        formula = _formula(places, fields)
        if formula is None:
            name = _field_name(places, names, group)
            names.add(name)
            fields.append(_field(name, places[0]))
            formula = Hole(name)
        holes |= {place.hole.field: formula for place in places}
    return sorted(fields, key=lambda field: field.has_default), holes


def _field(name: str, difference: Difference) -> Field:
    values = difference.values
    if difference.is_module:
        return Field(name, values, None, None in values, True)
    setting = difference.where[-1]
    if setting in _WIDTHS - _COMMON:
        return Field(name, values, is_width=True)
    plain = not any(isinstance(value, Constant) for value in values)
    counts = collections.Counter(values if plain else ())
    value, count = counts.most_common(1)[0] if counts else (None, 0)
    usual = 2 * count >= len(values) and count > 0
    if setting == "residual":
        value, usual = False, True
    return Field(name, values, value, usual)


def _field_name(places: Sequence[Difference], taken: set[str], group: Group) -> str:
    """The setting's name; with the child's if another field has it."""
    first = places[0]
    if first.is_module:
        return _module_name(first, group)
    child = "_".join(part for part in first.where[:-1] if not part.isdigit())
    name = first.where[-1]
    settings = {place.where[-1] for place in places if place.where[:-1] == first.where[:-1]}
    if name.startswith("in_") and f"out_{name[3:]}" in settings:
        name = name[3:]
    if name == "normalized_shape":
        name = "num_features"
    if name == "depth":
        return _free(attribute(name), attribute(f"{child}_{name}"), taken)
    return _free(attribute(name), attribute(f"{child}_{name}" if child else name), taken)


def _free(name: str, longer: str, taken: set[str]) -> str:
    for candidate in (name, longer):
        if candidate not in taken:
            return candidate
    number = 2
    while f"{longer}{number}" in taken:
        number += 1
    return f"{longer}{number}"


def _module_name(difference: Difference, group: Group) -> str:
    if not group.is_sequential:
        return attribute(difference.where[0])
    kinds = {value.kind for value in difference.values if isinstance(value, Make)}
    plain = all(isinstance(kind, str) for kind in kinds)
    acts = plain and all(
        not value.settings or "inplace" in value.settings
        for value in difference.values
        if isinstance(value, Make)
    )
    return "activation" if acts else f"layer{difference.where[0]}"


def _formula(places: Sequence[Difference], fields: Sequence[Field]) -> Hole | None:
    """The values as those of another field, multiplied or divided."""
    first = places[0]
    values = first.values
    if not all(isinstance(value, int) for value in values):
        return None
    setting = first.where[-1]
    for field in fields:
        if not all(isinstance(value, int) for value in field.values):
            continue
        pairs = list(zip(values, field.values, strict=True))
        of_kernel = setting == "padding" and field.name.endswith("kernel_size")
        if of_kernel and all(a == b // 2 and b % 2 for a, b in pairs):
            return Hole(field.name, "{} // 2")
        if setting not in _WIDTHS or not field.is_width:
            continue
        if setting.startswith("out_") and field.name == f"in_{setting[4:]}":
            continue
        for factor in _FACTORS:
            if all(a == factor * b for a, b in pairs):
                return Hole(field.name, f"{factor} * {{}}")
            if all(b == factor * a for a, b in pairs):
                return Hole(field.name, f"{{}} // {factor}")
    return None
