"""What tests/golden stores of a case: a sample of each array."""

from __future__ import annotations

import numpy as np

from .case import Arrays, Case, Values

# Of larger arrays an even sample is stored: an error anywhere in a layer spreads over its output.
MOST = 200


def thin(x: np.ndarray) -> np.ndarray:
    """At most `MOST` entries, evenly spread; the whole array if it is smaller."""
    flat = np.ravel(x)
    return flat[:: -(-flat.size // MOST) or 1]


def stored_values(case: Case, values: Values) -> Arrays:
    """The entries of a case in the file, by name."""
    outputs = {f"{case.id}/output{i}": thin(y) for i, y in enumerate(values.outputs)}
    return outputs | {f"{case.id}/grad:{name}": thin(g) for name, g in values.gradients.items()}


def stored_inputs(case: Case) -> Arrays:
    """A few entries of the inputs, to notice a table that changed after the file was written."""
    return {f"{case.id}/input:{name}": thin(x)[:4] for name, x in case.inputs().items()}
