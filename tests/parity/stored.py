"""What tests/golden stores: a sample of each array, and runs of SGD."""

from __future__ import annotations

from typing import Any

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


SGD_STEPS = 10
SGD: dict[str, dict[str, Any]] = {
    "plain": {"lr": 0.1},
    "decay": {"lr": 0.1, "weight_decay": 0.2},
    "momentum-dampening-decay": {
        "lr": 0.05,
        "momentum": 0.9,
        "dampening": 0.1,
        "weight_decay": 0.3,
    },
    "nesterov": {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    "maximize": {
        "lr": 0.05,
        "momentum": 0.7,
        "dampening": 0.4,
        "weight_decay": 0.1,
        "maximize": True,
    },
}


def sgd_problem(steps: int) -> tuple[Arrays, list[Arrays]]:
    """Start values and one gradient for each step, by parameter name."""
    rng = np.random.RandomState(7)
    draw = lambda: {"weight": rng.standard_normal((2, 3)), "bias": rng.standard_normal(2)}
    start = draw()
    return start, [draw() for _ in range(steps)]


def torch_sgd(start: Arrays, gradients: list[Arrays], settings: dict[str, Any]) -> Arrays:
    """PyTorch's parameters and momentum buffers after each step: `{name: (steps, *shape)}`."""
    import torch

    parameters = {name: torch.nn.Parameter(torch.tensor(x)) for name, x in start.items()}
    optimizer = torch.optim.SGD(parameters.values(), **settings)
    history: dict[str, list[np.ndarray]] = {}
    for step in gradients:
        for name, parameter in parameters.items():
            parameter.grad = torch.tensor(step[name])
        optimizer.step()
        for name, parameter in parameters.items():
            history.setdefault(name, []).append(parameter.detach().numpy().copy())
            buffer = optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                history.setdefault(f"{name}:buffer", []).append(buffer.numpy().copy())
    return {name: np.stack(rows) for name, rows in history.items()}
