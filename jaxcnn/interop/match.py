"""Which of the models a state_dict belongs to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn.interop._suggest import fitting, likely_renames, likely_skip
from jaxcnn.interop._zoo import count, model_shapes, model_sizes

_COUNTER = "num_batches_tracked"
_NEAR = 0.2
_TRIED = 3
_CLEAR = 0.9


@dataclasses.dataclass(frozen=True)
class Match:
    """A model that a state_dict may belong to.

    Attributes:
      name: For `models.create`.
      score: The share of names, of both together, that have the same shape in both; 1.0 if the
        state_dict fits.
      num_classes: The number of classes that makes it fit, if another than the model's own.
      rename: What `to_variables` needs where no name is the model's own, such as a prefix.
    """

    name: str
    score: float
    num_classes: int | None = None
    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)


def matching_models(state_dict: Mapping[str, Any], most: int = 3) -> list[Match]:
    """Finds the models whose names and shapes a state_dict has, the best first.

    Of all models only the few nearest in the size of their kernels are traced, which takes up to
    five seconds each, and none after one with more than nine tenths in common.

    Args:
      state_dict: Arrays by PyTorch name. The number of classes does not count.
      most: How many models to list.

    Returns:
      The models that share a name and shape, by score; none for a state_dict of something else.

    Example:
      >>> import numpy as np
      >>> shapes = {"0.weight": (6, 1, 5, 5), "3.weight": (16, 6, 5, 5), "7.weight": (120, 400)}
      >>> matching_models({name: np.zeros(shape) for name, shape in shapes.items()})
      [Match(name='lenet', score=0.3, num_classes=None, rename={})]
    """
    given = {k: tuple(np.shape(v)) for k, v in state_dict.items() if not k.endswith(_COUNTER)}
    matches: list[Match] = []
    for name in _nearest(given):
        matches.append(_match(name, given))
        if matches[-1].score > _CLEAR:
            break
    found = [match for match in matches if match.score > 0]
    return sorted(found, key=lambda match: -match.score)[:most]


def _nearest(given: Mapping[str, tuple[int, ...]]) -> list[str]:
    total, kernels = count(given)
    distances = {
        name: (abs(size[1] - kernels), abs(size[0] - total))
        for name, size in model_sizes().items()
        if abs(size[1] - kernels) <= _NEAR * size[1]
    }
    return sorted(distances, key=distances.__getitem__)[:_TRIED]


def _match(name: str, given: Mapping[str, tuple[int, ...]]) -> Match:
    shapes = model_shapes(name)
    wanted = {
        key: shape
        for collection in shapes.values()
        for key, shape in collection.items()
        if not key.endswith(_COUNTER)
    }
    rules: dict[str, str] = {}
    if not fitting(given, wanted):
        rules, given = likely_renames(given, wanted)
    head = likely_skip(given, wanted)
    heads = [key for key in wanted if head and key in given and re.search(head, key)]
    classes = {given[key][0] for key in heads}
    equal = fitting(given, wanted) + (len(heads) if len(classes) == 1 else 0)
    score = equal / len(given.keys() | wanted.keys())
    return Match(name, score, classes.pop() if len(classes) == 1 else None, rules)
