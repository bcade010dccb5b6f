"""SGD against PyTorch, live, and its arguments. Stored values: tests/parity/test_golden.py."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import optim

GRID = [
    dict(zip(("momentum", "dampening", "weight_decay", "nesterov", "maximize"), row, strict=True))
    for row in itertools.product((0.0, 0.9), (0.0, 0.3), (0.0, 0.05), (False, True), (False, True))
    if not row[3] or (row[0] > 0 and row[1] == 0)
]
STEPS = 50


def problem(steps: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Start values, and all gradients stacked; a gradient depends on the parameters as well."""
    rng = np.random.RandomState(0)
    shapes = {"weight": (3, 2), "bias": (3,)}
    draw = lambda *lead: {k: rng.standard_normal((*lead, *s)) for k, s in shapes.items()}
    return draw(), draw(steps)


def run(tx: optax.GradientTransformation, steps: int = STEPS) -> Any:
    """Parameters and optimiser state after each step."""
    start, noise = problem(steps)

    def step(carry: Any, noise: Any) -> Any:
        params, state = carry
        grads = jax.tree.map(lambda p, n: jnp.sin(p) + n, params, noise)
        updates, state = tx.update(grads, state, params)
        carry = optax.apply_updates(params, updates), state
        return carry, carry

    params = jax.tree.map(jnp.asarray, start)
    return jax.jit(lambda c, n: jax.lax.scan(step, c, n))((params, tx.init(params)), noise)[1]


@pytest.mark.torch
@pytest.mark.parametrize("settings", GRID, ids=lambda s: "-".join(map(str, s.values())))
def test_equals_torch(settings: dict[str, Any], x64: None) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    ours, state = run(optim.sgd(0.1, **settings))
    buffers = optax.tree.get(state, "momentum_buffer", {})
    start, noise = problem(STEPS)
    theirs = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in start.items()}
    optimizer = torch.optim.SGD(theirs.values(), lr=0.1, **settings)
    for i in range(STEPS):
        for k, p in theirs.items():
            p.grad = torch.sin(p.detach()) + torch.tensor(noise[k][i])
        optimizer.step()
        for k, p in theirs.items():
            np.testing.assert_allclose(ours[k][i], p.detach(), rtol=1e-12, atol=1e-13)
            buffer = optimizer.state[p].get("momentum_buffer")
            assert (buffer is None) == (k not in buffers)
            if buffer is not None:
                np.testing.assert_allclose(buffers[k][i], buffer, rtol=1e-12, atol=1e-13)


def test_schedule_is_asked_for_the_step() -> None:
    """The learning rate is not part of the momentum buffer, as in PyTorch."""
    rates = jnp.array([0.5, 0.25, 0.125, 0.0])
    tx = optim.sgd(lambda step: rates[step], momentum=0.5)
    state = tx.init(jnp.array(0.0))
    updates = []
    for _ in rates:
        update, state = tx.update(jnp.array(1.0), state)
        updates.append(float(update))
    assert updates == [-0.5 * 1, -0.25 * 1.5, -0.125 * 1.75, 0.0]


def test_optax_schedule(x64: None) -> None:
    """A constant schedule is the constant."""
    constant, _ = run(optim.sgd(0.1, momentum=0.9, weight_decay=0.1), 5)
    schedule, _ = run(optim.sgd(optax.constant_schedule(0.1), momentum=0.9, weight_decay=0.1), 5)
    jax.tree.map(np.testing.assert_array_equal, constant, schedule)


def test_schedule_counts_steps() -> None:
    schedule = optax.piecewise_constant_schedule(1.0, {2: 0.1})
    tx = optim.sgd(schedule)
    state = tx.init(jnp.array(0.0))
    updates = []
    for _ in range(4):
        update, state = tx.update(jnp.array(1.0), state)
        updates.append(float(update))
    np.testing.assert_allclose(updates, [-1, -1, -0.1, -0.1], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_keeps_the_type(dtype: str) -> None:
    params = jnp.ones(3, dtype)
    tx = optim.sgd(0.1, momentum=0.9, dampening=0.1, weight_decay=0.1, nesterov=False)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params)
    assert updates.dtype == params.dtype
    assert optax.tree.get(state, "momentum_buffer").dtype == params.dtype


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -0.1}, r"lr must not be negative, got lr=-0\.1\."),
        ({"lr": 1, "momentum": -1}, r"momentum must not be negative, got momentum=-1\."),
        (
            {"lr": 1, "weight_decay": -2},
            r"weight_decay must not be negative, got weight_decay=-2\.",
        ),
        (
            {"lr": 1, "nesterov": True},
            r"nesterov needs momentum and no dampening, got momentum=0, dampening=0\.",
        ),
        (
            {"lr": 1, "nesterov": True, "momentum": 0.9, "dampening": 0.1},
            r"nesterov needs momentum and no dampening, got momentum=0\.9, dampening=0\.1\.",
        ),
    ],
    ids=str,
)
def test_errors(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^sgd: {message}$"):
        optim.sgd(**settings)


def test_the_learning_rate_may_be_traced() -> None:
    params = {"w": jnp.array(1.0)}

    @jax.jit
    def step(lr: jax.Array) -> jax.Array:
        tx = optim.sgd(lr, momentum=0.9)
        updates, _ = tx.update({"w": jnp.array(2.0)}, tx.init(params), params)
        return optax.apply_updates(params, updates)["w"]

    assert float(step(jnp.array(0.25))) == 0.5
