"""Optimisers and schedules with their settings, and their runs in PyTorch and in jaxcnn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcnn import optim

Arrays = dict[str, np.ndarray]
STEPS = 60
GOLDEN_STEPS = 10
LR = 0.1


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """One row: a class of torch.optim, by name, and its settings; jaxcnn's is in small letters."""

    name: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)

    def jax(self) -> optax.GradientTransformation:
        return getattr(optim, self.name.lower())(**self.settings)

    def torch(self, parameters: Any) -> Any:
        import torch

        return getattr(torch.optim, self.name)(parameters, **self.settings)


_MOMENTUM = {"lr": 0.05, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.3}
_NESTEROV = {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}
_CLIMB = {"lr": 0.05, "momentum": 0.7, "dampening": 0.4, "weight_decay": 0.1, "maximize": True}
_BETAS = {"lr": 0.03, "betas": (0.8, 0.95), "eps": 1e-3}
_DECOUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": True}
_START = {"initial_accumulator_value": 0.5}

OPTIMIZERS = {
    "sgd-plain": Optimizer("SGD", {"lr": 0.1}),
    "sgd-decay": Optimizer("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    "sgd-momentum-dampening-decay": Optimizer("SGD", _MOMENTUM),
    "sgd-nesterov": Optimizer("SGD", _NESTEROV),
    "sgd-maximize": Optimizer("SGD", _CLIMB),
    "adam": Optimizer("Adam"),
    "adam-settings": Optimizer("Adam", _BETAS),
    "adam-no-averages": Optimizer("Adam", {"lr": 0.03, "betas": (0.0, 0.0)}),
    "adam-decay": Optimizer("Adam", {**_BETAS, "weight_decay": 0.2}),
    "adam-amsgrad": Optimizer("Adam", {"lr": 0.03, "amsgrad": True, "betas": (0.9, 0.7)}),
    "adam-maximize": Optimizer("Adam", {"lr": 0.03, "maximize": True, "weight_decay": 0.2}),
    "adam-decoupled": Optimizer("Adam", {"lr": 0.03, **_DECOUPLED}),
    "adamw": Optimizer("AdamW"),
    "adamw-settings": Optimizer("AdamW", {**_BETAS, "weight_decay": 0.3}),
    "adamw-amsgrad-maximize": Optimizer(
        "AdamW", {**_BETAS, "weight_decay": 0.3, "amsgrad": True, "maximize": True}
    ),
    "adamw-no-decay": Optimizer("AdamW", {"lr": 0.03, "weight_decay": 0}),
    "nadam": Optimizer("NAdam"),
    "nadam-settings": Optimizer("NAdam", {**_BETAS, "momentum_decay": 0.1}),
    "nadam-decay": Optimizer("NAdam", {"lr": 0.03, "weight_decay": 0.2, "momentum_decay": 0}),
    "nadam-decoupled": Optimizer("NAdam", {"lr": 0.03, **_DECOUPLED}),
    "nadam-maximize": Optimizer("NAdam", {"lr": 0.03, "maximize": True}),
    "rmsprop": Optimizer("RMSprop"),
    "rmsprop-settings": Optimizer("RMSprop", {"lr": 0.03, "alpha": 0.9, "eps": 1e-3}),
    "rmsprop-decay": Optimizer("RMSprop", {"lr": 0.03, "weight_decay": 0.2}),
    "rmsprop-momentum": Optimizer("RMSprop", {"lr": 0.01, "momentum": 0.8}),
    "rmsprop-centered": Optimizer("RMSprop", {"lr": 0.01, "centered": True}),
    "rmsprop-all": Optimizer(
        "RMSprop",
        {
            "lr": 0.01,
            "alpha": 0.8,
            "eps": 1e-4,
            "weight_decay": 0.1,
            "momentum": 0.6,
            "centered": True,
            "maximize": True,
        },
    ),
    "adagrad": Optimizer("Adagrad"),
    "adagrad-settings": Optimizer("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "eps": 1e-3}),
    "adagrad-decay": Optimizer("Adagrad", {"lr": 0.1, "weight_decay": 0.2, **_START}),
    "adagrad-maximize": Optimizer("Adagrad", {"lr": 0.1, "maximize": True}),
    "adadelta": Optimizer("Adadelta"),
    "adadelta-settings": Optimizer("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-3}),
    "adadelta-decay": Optimizer("Adadelta", {"lr": 0.5, "weight_decay": 0.2}),
    "adadelta-maximize": Optimizer("Adadelta", {"maximize": True}),
}


def problem(steps: int) -> tuple[Arrays, Arrays]:
    """Start values, and what is added to each gradient, stacked by step."""
    rng = np.random.RandomState(7)
    # In the order that JAX gives dictionaries.
    shapes = {"bias": (2,), "weight": (2, 3)}
    draw = lambda *lead: {k: rng.standard_normal((*lead, *s)) for k, s in shapes.items()}
    start = draw()
    noise = [draw() for _ in range(steps)]
    return start, {k: np.stack([row[k] for row in noise]) for k in shapes}


def run(tx: optax.GradientTransformation, steps: int, dtype: str) -> tuple[Arrays, Any]:
    """Parameters and optimiser state after each step; a gradient is sin(parameter) + noise."""
    cast = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)
    start, noise = map(cast, problem(steps))

    def step(carry: Any, noise: Any) -> Any:
        params, state = carry
        grads = jax.tree.map(lambda p, n: jnp.sin(p) + n, params, noise)
        updates, state = tx.update(grads, state, params)
        carry = optax.apply_updates(params, updates), state
        return carry, carry

    scan = jax.jit(lambda carry, noise: jax.lax.scan(step, carry, noise))
    _, (params, state) = scan((start, tx.init(start)), noise)
    return {name: np.asarray(x) for name, x in params.items()}, state


def run_torch(row: Optimizer, steps: int, dtype: str) -> tuple[Arrays, list[dict[str, Arrays]]]:
    """The same in PyTorch: `(parameters, states)`; a state is `{parameter: {buffer: value}}`."""
    import torch

    tensor = lambda x: torch.tensor(x, dtype=getattr(torch, dtype))
    start, noise = problem(steps)
    parameters = {k: torch.nn.Parameter(tensor(x)) for k, x in start.items()}
    optimizer = row.torch(parameters.values())
    history: dict[str, list[np.ndarray]] = {name: [] for name in parameters}
    states = []
    for i in range(steps):
        for name, p in parameters.items():
            p.grad = torch.sin(p.detach()) + tensor(noise[name][i])
        optimizer.step()
        for name, p in parameters.items():
            history[name].append(p.detach().double().numpy().copy())
        states.append(
            {
                name: {key: x.double().numpy().copy() for key, x in optimizer.state[p].items()}
                for name, p in parameters.items()
            }
        )
    return {name: np.stack(rows) for name, rows in history.items()}, states


def stored_run(row: Optimizer) -> Arrays:
    """What tests/golden keeps of a run in PyTorch: parameters at each step, the state at the end.

    Parameters stand one after the other, which makes fewer arrays.
    """
    history, states = run_torch(row, GOLDEN_STEPS, "float64")
    final = states[-1].values()
    kept = {key: join([buffers[key] for buffers in final]) for key in next(iter(final))}
    return {
        "parameters": np.stack([join(rows) for rows in zip(*history.values(), strict=True)]),
        **kept,
    }


def join(arrays: Iterable[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(x) for x in arrays])


@dataclasses.dataclass(frozen=True)
class Schedule:
    """One row: a class of torch.optim.lr_scheduler, by name, and its settings."""

    name: str
    settings: dict[str, Any]

    def jax(self) -> optax.Schedule:
        function = SCHEDULERS[self.name]
        if self.name == "SequentialLR":
            parts = [part.jax() for part in self.settings["schedulers"]]
            return function(parts, self.settings["milestones"])
        return function(*([] if self.name == "OneCycleLR" else [LR]), **self.settings)

    def torch(self, optimizer: Any) -> Any:
        import torch

        settings = dict(self.settings)
        if self.name == "SequentialLR":
            settings["schedulers"] = [part.torch(optimizer) for part in settings["schedulers"]]
        return getattr(torch.optim.lr_scheduler, self.name)(optimizer, **settings)


SCHEDULERS = {
    "StepLR": optim.step_lr,
    "MultiStepLR": optim.multi_step_lr,
    "ExponentialLR": optim.exponential_lr,
    "LinearLR": optim.linear_lr,
    "PolynomialLR": optim.polynomial_lr,
    "CosineAnnealingLR": optim.cosine_annealing_lr,
    "CosineAnnealingWarmRestarts": optim.cosine_annealing_warm_restarts,
    "OneCycleLR": optim.one_cycle_lr,
    "LambdaLR": optim.lambda_lr,
    "SequentialLR": optim.sequential_lr,
}
_WARM_UP = Schedule("LinearLR", {"start_factor": 0.1, "total_iters": 5})
_COSINE = Schedule("CosineAnnealingLR", {"T_max": 20, "eta_min": 0.001})
_RESTARTS = Schedule("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2})
_LINEAR = {"anneal_strategy": "linear", "base_momentum": 0.7, "max_momentum": 0.9}
_FACTORS = {"div_factor": 10.0, "final_div_factor": 100.0}

SCHEDULES = {
    "step": Schedule("StepLR", {"step_size": 7}),
    "step-1": Schedule("StepLR", {"step_size": 1, "gamma": 0.97}),
    "multi-step": Schedule("MultiStepLR", {"milestones": [30, 10, 30, 50], "gamma": 0.5}),
    "multi-step-0": Schedule("MultiStepLR", {"milestones": [0, 4]}),
    "multi-step-none": Schedule("MultiStepLR", {"milestones": []}),
    "exponential": Schedule("ExponentialLR", {"gamma": 0.93}),
    "linear": Schedule("LinearLR", {}),
    "linear-down": Schedule(
        "LinearLR", {"start_factor": 0.9, "end_factor": 0.0, "total_iters": 40}
    ),
    "linear-0": Schedule("LinearLR", {"start_factor": 0.25, "total_iters": 0}),
    "polynomial": Schedule("PolynomialLR", {}),
    "polynomial-power": Schedule("PolynomialLR", {"total_iters": 45, "power": 2.5}),
    "polynomial-0": Schedule("PolynomialLR", {"total_iters": 0}),
    "cosine": Schedule("CosineAnnealingLR", {"T_max": 59}),
    "cosine-passed": _COSINE,
    "cosine-1": Schedule("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.01}),
    "restarts": Schedule("CosineAnnealingWarmRestarts", {"T_0": 13, "eta_min": 0.01}),
    "restarts-longer": _RESTARTS,
    "restarts-3": Schedule(
        "CosineAnnealingWarmRestarts", {"T_0": 1, "T_mult": 3, "eta_min": 0.002}
    ),
    "one-cycle": Schedule("OneCycleLR", {"max_lr": 0.5, "total_steps": 60}),
    "one-cycle-linear": Schedule("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, **_LINEAR}),
    "one-cycle-three-phase": Schedule(
        "OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "three_phase": True, **_FACTORS}
    ),
    "one-cycle-three-linear": Schedule(
        "OneCycleLR",
        {
            "max_lr": 0.5,
            "epochs": 12,
            "steps_per_epoch": 5,
            "three_phase": True,
            "pct_start": 0.25,
            **_LINEAR,
        },
    ),
    "one-cycle-epochs": Schedule(
        "OneCycleLR", {"max_lr": 0.5, "epochs": 6, "steps_per_epoch": 10, "pct_start": 0.41}
    ),
    "one-cycle-no-momentum": Schedule(
        "OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "cycle_momentum": False}
    ),
    "one-cycle-no-rise": Schedule(
        "OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "pct_start": 0.0}
    ),
    "one-cycle-rise-only": Schedule(
        "OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "pct_start": 1.0}
    ),
    "lambda": Schedule("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + 0.1 * step)}),
    "sequential": Schedule("SequentialLR", {"schedulers": [_WARM_UP, _COSINE], "milestones": [5]}),
    "sequential-3": Schedule(
        "SequentialLR",
        {
            "schedulers": [
                _WARM_UP,
                Schedule("StepLR", {"step_size": 6, "gamma": 0.5}),
                Schedule("PolynomialLR", {"total_iters": 9}),
            ],
            "milestones": [7, 30],
        },
    ),
    "sequential-restarts": Schedule(
        "SequentialLR",
        {
            "schedulers": [Schedule("ExponentialLR", {"gamma": 0.8}), _RESTARTS],
            "milestones": [11],
        },
    ),
    "sequential-skipped": Schedule(
        "SequentialLR",
        {
            "schedulers": [_COSINE, _WARM_UP, Schedule("ExponentialLR", {"gamma": 0.9})],
            "milestones": [9, 9],
        },
    ),
    "sequential-one": Schedule("SequentialLR", {"schedulers": [_WARM_UP], "milestones": []}),
}


def torch_rates(row: Schedule, steps: int = STEPS) -> Arrays:
    """PyTorch's learning rate at each step, and the momentum if the schedule moves it."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler = row.torch(optimizer)
    group = optimizer.param_groups[0]
    rows = [(group["lr"], group["momentum"])]
    for _ in range(steps - 1):
        optimizer.step()
        scheduler.step()
        rows.append((group["lr"], group["momentum"]))
    lr, momentum = np.asarray(rows).T
    return {"lr": lr, "momentum": momentum} if np.ptp(momentum) else {"lr": lr}


def rates(row: Schedule, steps: int = STEPS) -> Arrays:
    """The same in jaxcnn, with a traced step."""
    schedule = row.jax()
    schedules = {"lr": schedule, "momentum": getattr(schedule, "momentum", None)}
    at = jnp.arange(steps)
    return {
        name: np.asarray(jax.jit(jax.vmap(part))(at))
        for name, part in schedules.items()
        if part is not None
    }
