"""What a model computed, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn.interop.comparison.values import Value

Key = tuple[str, int]
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass
class Call:
    """One call of a layer.

    Attributes:
      key: The layer's dotted name, and how often it was called before.
      layer: The module, of PyTorch or linen.
      parent: The position of the call that it is part of; None for the model's own.
      inputs: The arrays among its arguments.
      outputs: The arrays of its result; None if it raised an error.
    """

    key: Key
    layer: Any
    parent: int | None
    inputs: list[Value] = dataclasses.field(default_factory=list)
    outputs: list[Value] | None = None

    @property
    def class_name(self) -> str:
        """The name of the layer's class."""
        return type(self.layer).__name__


@dataclasses.dataclass
class Trace:
    """One run of a model.

    Attributes:
      calls: In order of their start; the model's own call, the first, is named "".
      gradients: Of the loss, by name of the parameter.
      output_gradients: Of the loss with respect to the outputs of calls.
      input_gradients: The part of the inputs' gradients that each call gives back.
      statistics: Parameters and statistics by name after the run.
      failure: The error that ended it.
      draws: Whether PyTorch drew random numbers; its random layers do not here, so that it was a
        function such as `dropout`.
    """

    calls: list[Call]
    gradients: Arrays = dataclasses.field(default_factory=dict)
    output_gradients: Mapping[Key, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    input_gradients: Mapping[Key, list[np.ndarray]] = dataclasses.field(default_factory=dict)
    statistics: Arrays = dataclasses.field(default_factory=dict)
    failure: Exception | None = None
    draws: bool = False

    @property
    def by_key(self) -> dict[Key, Call]:
        """The calls by layer and number."""
        return {call.key: call for call in self.calls}

    def inside(self, position: int) -> set[int]:
        """Positions of the calls within the one at `position`."""
        found: set[int] = set()
        for i, call in enumerate(self.calls):
            if call.parent is not None and (call.parent == position or call.parent in found):
                found.add(i)
        return found


def ancestors(calls: list[Call], position: int) -> set[int]:
    """Positions of the calls that the one at `position` is part of."""
    found: set[int] = set()
    parent = calls[position].parent
    while parent is not None:
        found.add(parent)
        parent = calls[parent].parent
    return found
