"""Schedules against PyTorch, live, and their arguments. Stored: tests/parity/test_golden.py."""

from __future__ import annotations

import inspect
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import optim

from .table import LR, SCHEDULERS, SCHEDULES, STEPS, problem, rates, torch_rates


@pytest.mark.torch
@pytest.mark.parametrize("id", SCHEDULES)
def test_equals_torch(id: str, dtype: str) -> None:
    """60 steps of PyTorch's recursion; float32's last digits are those of powers and sines."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    ours, theirs = rates(SCHEDULES[id]), torch_rates(SCHEDULES[id])
    assert ours.keys() == theirs.keys()
    rtol = 1e-11 if dtype == "float64" else 3e-6
    for name, expected in theirs.items():
        assert ours[name].dtype == dtype
        np.testing.assert_allclose(ours[name], expected, rtol, 1e-15, err_msg=name)


@pytest.mark.parametrize("id", SCHEDULES)
def test_step_may_be_anything(id: str) -> None:
    """A Python number, an array of any shape, traced or not: the same rates."""
    schedule = SCHEDULES[id].jax()
    expected = rates(SCHEDULES[id])["lr"]
    np.testing.assert_allclose([schedule(i) for i in (0, 7)], expected[[0, 7]], rtol=3e-6)
    grid = schedule(jnp.arange(STEPS).reshape(6, 10))
    np.testing.assert_allclose(grid, expected.reshape(6, 10), rtol=3e-6)
    assert schedule(0).shape == ()


@pytest.mark.torch
@pytest.mark.parametrize("name", SCHEDULERS)
def test_signature(name: str) -> None:
    """PyTorch's names, order and defaults; `lr` is the optimiser's part."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs, ours = (
        [
            (p.name, p.default, p.kind)
            for p in inspect.signature(function).parameters.values()
            if p.name not in ("optimizer", "last_epoch", "lr")
        ]
        for function in (getattr(torch.optim.lr_scheduler, name), SCHEDULERS[name])
    )
    assert ours == theirs
    has_lr = next(iter(inspect.signature(SCHEDULERS[name]).parameters)) == "lr"
    assert has_lr == (name not in ("OneCycleLR", "SequentialLR"))


@pytest.mark.torch
def test_fractions_of_an_epoch(x64: None) -> None:
    """PyTorch's warm restarts may be asked for a fraction of an epoch."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    for T_mult in (1, 2):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
        optimizer.step()
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, T_mult)
        schedule = optim.cosine_annealing_warm_restarts(LR, 3, T_mult)
        for epoch in np.arange(0, 30, 0.25):
            scheduler.step(epoch)
            np.testing.assert_allclose(schedule(epoch), scheduler.get_last_lr()[0], rtol=1e-12)


def test_late_restarts() -> None:
    """Rounds are found by their exact starts, up to the last int32."""
    schedule = optim.cosine_annealing_warm_restarts(1.0, T_0=1, T_mult=3)
    starts = [(3**n - 1) // 2 for n in range(20)]
    assert [float(schedule(start)) for start in starts] == [1.0] * 20
    assert all(float(schedule(start - 1)) < 0.9 for start in starts[2:15])
    assert 0 <= float(schedule(np.iinfo(np.int32).max)) <= 1


def test_after_the_last_step() -> None:
    """PyTorch raises; here the rate stays what it was at the last step."""
    cycle = optim.one_cycle_lr(1.0, total_steps=10)
    assert float(cycle(9)) == float(cycle(10)) == float(cycle(1000)) == pytest.approx(4e-6)
    assert float(cycle.momentum(1000)) == pytest.approx(0.95)


def test_epochs() -> None:
    """A schedule by epochs in an optimiser that counts steps."""
    by_epoch = optim.step_lr(1.0, step_size=2, gamma=0.5)
    tx = optim.sgd(lambda step: by_epoch(step // 3))
    state, updates = tx.init(jnp.array(0.0)), []
    for _ in range(9):
        update, state = tx.update(jnp.array(1.0), state)
        updates.append(float(update))
    assert updates == [-1.0] * 6 + [-0.5] * 3


@pytest.mark.torch
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_training_with_one_cycle(name: str, x64: None) -> None:
    """Learning rate and momentum (Adam: the first beta) both cycle, as in PyTorch."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    steps = 40
    cycle = optim.one_cycle_lr(0.05, total_steps=steps, base_momentum=0.6, max_momentum=0.9)
    rule = {
        "SGD": lambda lr, momentum: optim.sgd(lr, momentum=momentum),
        "Adam": lambda lr, momentum: optim.adam(lr, (momentum, 0.99)),
    }[name]
    tx = optax.inject_hyperparams(rule)(lr=cycle, momentum=cycle.momentum)
    start, noise = problem(steps)
    p = torch.nn.Parameter(torch.tensor(start["bias"]))
    settings = {"SGD": {"momentum": 0.9}, "Adam": {"betas": (0.9, 0.99)}}[name]
    optimizer = getattr(torch.optim, name)([p], lr=1.0, **settings)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=steps, base_momentum=0.6, max_momentum=0.9
    )
    params = jnp.asarray(start["bias"])
    state, update = tx.init(params), jax.jit(tx.update)
    for grad in noise["bias"]:
        p.grad = torch.tensor(grad)
        optimizer.step()
        scheduler.step()
        updates, state = update(jnp.asarray(grad), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(params, p.detach(), rtol=1e-12, atol=1e-13)


CYCLE = {"max_lr": 1.0, "total_steps": 10}


@pytest.mark.parametrize(
    ("name", "settings", "error", "message"),
    [
        ("step_lr", {"lr": -1, "step_size": 1}, ValueError, "lr must not be negative, got lr=-1"),
        ("step_lr", {"lr": "1", "step_size": 1}, TypeError, "lr must be a number, got lr='1'"),
        (
            "step_lr",
            {"lr": 1, "step_size": 0},
            ValueError,
            "step_size must be at least 1, got step_size=0",
        ),
        (
            "step_lr",
            {"lr": 1, "step_size": 1.5},
            TypeError,
            "step_size must be an int, got step_size=1.5",
        ),
        (
            "step_lr",
            {"lr": 1, "step_size": 1, "gamma": None},
            TypeError,
            "gamma must be a number, got gamma=None",
        ),
        (
            "multi_step_lr",
            {"lr": -1, "milestones": []},
            ValueError,
            "lr must not be negative, got lr=-1",
        ),
        (
            "multi_step_lr",
            {"lr": 1, "milestones": [1, 2.5]},
            TypeError,
            "milestones must be ints, got milestones=[1, 2.5]",
        ),
        (
            "multi_step_lr",
            {"lr": 1, "milestones": [3, -1]},
            ValueError,
            "milestones must not be negative, got milestones=[3, -1]",
        ),
        (
            "multi_step_lr",
            {"lr": 1, "milestones": [1], "gamma": None},
            TypeError,
            "gamma must be a number, got gamma=None",
        ),
        (
            "exponential_lr",
            {"lr": -1, "gamma": 1},
            ValueError,
            "lr must not be negative, got lr=-1",
        ),
        (
            "exponential_lr",
            {"lr": 1, "gamma": None},
            TypeError,
            "gamma must be a number, got gamma=None",
        ),
        ("linear_lr", {"lr": -1}, ValueError, "lr must not be negative, got lr=-1"),
        (
            "linear_lr",
            {"lr": 1, "start_factor": 0},
            ValueError,
            "start_factor must not be 0, got start_factor=0",
        ),
        (
            "linear_lr",
            {"lr": 1, "start_factor": 1.5},
            ValueError,
            "start_factor must be from 0 to 1, got start_factor=1.5",
        ),
        (
            "linear_lr",
            {"lr": 1, "end_factor": -0.5},
            ValueError,
            "end_factor must be from 0 to 1, got end_factor=-0.5",
        ),
        (
            "linear_lr",
            {"lr": 1, "end_factor": "1"},
            TypeError,
            "end_factor must be a number, got end_factor='1'",
        ),
        (
            "linear_lr",
            {"lr": 1, "total_iters": -1},
            ValueError,
            "total_iters must be at least 0, got total_iters=-1",
        ),
        ("polynomial_lr", {"lr": -1}, ValueError, "lr must not be negative, got lr=-1"),
        (
            "polynomial_lr",
            {"lr": 1, "total_iters": -1},
            ValueError,
            "total_iters must be at least 0, got total_iters=-1",
        ),
        (
            "polynomial_lr",
            {"lr": 1, "power": "2"},
            TypeError,
            "power must be a number, got power='2'",
        ),
        (
            "cosine_annealing_lr",
            {"lr": -1, "T_max": 1},
            ValueError,
            "lr must not be negative, got lr=-1",
        ),
        (
            "cosine_annealing_lr",
            {"lr": 1, "T_max": 0},
            ValueError,
            "T_max must be at least 1, got T_max=0",
        ),
        (
            "cosine_annealing_lr",
            {"lr": 1, "T_max": 1, "eta_min": "0"},
            TypeError,
            "eta_min must be a number, got eta_min='0'",
        ),
        (
            "cosine_annealing_warm_restarts",
            {"lr": -1, "T_0": 1},
            ValueError,
            "lr must not be negative, got lr=-1",
        ),
        (
            "cosine_annealing_warm_restarts",
            {"lr": 1, "T_0": 0},
            ValueError,
            "T_0 must be at least 1, got T_0=0",
        ),
        (
            "cosine_annealing_warm_restarts",
            {"lr": 1, "T_0": 1, "T_mult": 0},
            ValueError,
            "T_mult must be at least 1, got T_mult=0",
        ),
        (
            "cosine_annealing_warm_restarts",
            {"lr": 1, "T_0": 1, "eta_min": "0"},
            TypeError,
            "eta_min must be a number, got eta_min='0'",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "max_lr": -1},
            ValueError,
            "max_lr must not be negative, got max_lr=-1",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "div_factor": -1},
            ValueError,
            "div_factor must not be negative, got div_factor=-1",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "div_factor": 0},
            ValueError,
            "div_factor must not be 0, got div_factor=0",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "final_div_factor": -1},
            ValueError,
            "final_div_factor must not be negative, got final_div_factor=-1",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "final_div_factor": 0},
            ValueError,
            "final_div_factor must not be 0, got final_div_factor=0",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "pct_start": 1.5},
            ValueError,
            "pct_start must be from 0 to 1, got pct_start=1.5",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "pct_start": 0.1},
            ValueError,
            "pct_start * total_steps must not be 1, which leaves no step to rise in, "
            "got pct_start=0.1, total_steps=10",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "anneal_strategy": "exp"},
            ValueError,
            "anneal_strategy must be 'cos' or 'linear', got anneal_strategy='exp'",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "base_momentum": None},
            TypeError,
            "base_momentum must be a number, got base_momentum=None",
        ),
        (
            "one_cycle_lr",
            {**CYCLE, "max_momentum": None},
            TypeError,
            "max_momentum must be a number, got max_momentum=None",
        ),
        (
            "one_cycle_lr",
            {"max_lr": 1, "total_steps": 0},
            ValueError,
            "total_steps must be at least 1, got total_steps=0",
        ),
        (
            "one_cycle_lr",
            {"max_lr": 1, "epochs": 3},
            ValueError,
            "total_steps, or epochs and steps_per_epoch, must be given, "
            "got epochs=3, steps_per_epoch=None",
        ),
        (
            "one_cycle_lr",
            {"max_lr": 1, "epochs": 0, "steps_per_epoch": 1},
            ValueError,
            "epochs must be at least 1, got epochs=0",
        ),
        (
            "one_cycle_lr",
            {"max_lr": 1, "epochs": 1, "steps_per_epoch": 0},
            ValueError,
            "steps_per_epoch must be at least 1, got steps_per_epoch=0",
        ),
        (
            "lambda_lr",
            {"lr": -1, "lr_lambda": abs},
            ValueError,
            "lr must not be negative, got lr=-1",
        ),
        (
            "lambda_lr",
            {"lr": 1, "lr_lambda": 0.5},
            TypeError,
            "lr_lambda must be a function, got lr_lambda=0.5",
        ),
        (
            "sequential_lr",
            {"schedulers": [], "milestones": []},
            ValueError,
            "schedulers must not be empty, got schedulers=[]",
        ),
        (
            "sequential_lr",
            {"schedulers": [0.5], "milestones": []},
            TypeError,
            "schedulers must be functions, got schedulers=[0.5]",
        ),
        (
            "sequential_lr",
            {"schedulers": [abs], "milestones": [3]},
            ValueError,
            "milestones must be one fewer than schedulers, got milestones=[3], schedulers=1",
        ),
        (
            "sequential_lr",
            {"schedulers": [abs, abs, abs], "milestones": [5, 3]},
            ValueError,
            "milestones must be in order, got milestones=[5, 3]",
        ),
        (
            "sequential_lr",
            {"schedulers": [abs, abs], "milestones": [-5]},
            ValueError,
            "milestones must not be negative, got milestones=[-5]",
        ),
        (
            "sequential_lr",
            {"schedulers": [abs, abs], "milestones": ["5"]},
            TypeError,
            "milestones must be ints, got milestones=['5']",
        ),
    ],
)
def test_errors(name: str, settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(f'{name}: {message}.')}$"):
        getattr(optim, name)(**settings)


def test_int32_steps_give_float64_rates_where_float64_is_on(x64: None) -> None:
    """An optimiser counts its steps in int32."""
    for schedule in (
        optim.linear_lr(0.1, total_iters=7),
        optim.polynomial_lr(0.1, total_iters=7),
        optim.cosine_annealing_lr(0.1, T_max=7),
        optim.cosine_annealing_warm_restarts(0.1, T_0=7),
        optim.cosine_annealing_warm_restarts(0.1, T_0=2, T_mult=2),
        optim.sequential_lr([optim.linear_lr(0.1), optim.cosine_annealing_lr(0.1, 7)], [2]),
    ):
        rate = schedule(jnp.int32(3))
        assert rate.dtype == jnp.float64
        assert float(rate) == pytest.approx(float(schedule(jnp.float64(3))), rel=1e-15)
