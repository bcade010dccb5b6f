"""Optimisers against PyTorch, live, and their arguments. Stored: tests/parity/test_golden.py."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import nn, optim, train

from .table import OPTIMIZERS, Optimizer, run, run_torch

STEPS = 50
# A climb makes a last digit grow a thousandfold in 50 steps.
CLOSE = {"rtol": 1e-11, "atol": 1e-12}
# All settings of SGD that go together, beyond the table's.
GRID = [
    Optimizer("SGD", {"lr": 0.1, **dict(zip(names, row, strict=True))})
    for names in [("momentum", "dampening", "weight_decay", "nesterov", "maximize")]
    for row in itertools.product((0.0, 0.9), (0.0, 0.3), (0.0, 0.05), (False, True), (False, True))
    if not row[3] or (row[0] > 0 and row[1] == 0)
]
ROWS = [pytest.param(row, id=id) for id, row in OPTIMIZERS.items()] + [
    pytest.param(row, id="sgd-" + "-".join(map(str, row.settings.values()))) for row in GRID
]
NAMES = ["SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "Adadelta"]
STATES = (
    optim.AdamState,
    optim.NAdamState,
    optim.RMSpropState,
    optim.AdagradState,
    optim.AdadeltaState,
    optim.MomentumState,
)


def buffers(state: Any) -> dict[str, Any]:
    """The fields of the rule's own state, without the step and what is not used."""
    found = [s for s in jax.tree.leaves(state, is_leaf=_is_state) if _is_state(s)]
    fields = {name: x for rule in found for name, x in rule._asdict().items()}
    return {k: x for k, x in fields.items() if x is not None and k != "step"}


def _is_state(x: Any) -> bool:
    return isinstance(x, STATES)


@pytest.mark.torch
@pytest.mark.parametrize("row", ROWS)
def test_equals_torch(row: Optimizer, x64: None) -> None:
    """Parameters and every buffer of the state, after each of 50 steps."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    ours, state = run(row.jax(), STEPS, "float64")
    theirs, states = run_torch(row, STEPS, "float64")
    for name, expected in theirs.items():
        np.testing.assert_allclose(ours[name], expected, **CLOSE)
    kept = buffers(state)
    used = {k for k, x in states[-1]["weight"].items() if x is not None} - {"step"}
    assert kept.keys() == used
    for i, (name, key) in itertools.product(range(STEPS), itertools.product(theirs, used)):
        actual = kept[key][i] if key == "mu_product" else kept[key][name][i]
        np.testing.assert_allclose(actual, states[i][name][key], **CLOSE)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("dtype", "steps", "rtol", "atol"), [("float32", 50, 2e-6, 2e-6), ("bfloat16", 10, 8e-3, 0.02)]
)
@pytest.mark.parametrize("id", OPTIMIZERS)
def test_rounding(id: str, dtype: str, steps: int, rtol: float, atol: float) -> None:
    """Lower precision stays near PyTorch's float64, and is that of parameters and state alike."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    ours, state = run(OPTIMIZERS[id].jax(), steps, dtype)
    theirs, _ = run_torch(OPTIMIZERS[id], steps, "float64")
    for name, expected in theirs.items():
        assert ours[name].dtype == dtype
        np.testing.assert_allclose(ours[name].astype(np.float64), expected, rtol, atol)
    kept = {k: x for k, x in buffers(state).items() if k != "mu_product"}
    assert all(x.dtype == dtype for x in jax.tree.leaves(kept))


@pytest.mark.torch
@pytest.mark.parametrize("name", NAMES)
def test_signature(name: str) -> None:
    """PyTorch's names, order and defaults, without what chooses parameters or a program."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    without = {"params", "foreach", "fused", "capturable", "differentiable"}
    # SGD's learning rate is not to be forgotten; its last argument may be given by position.
    values = lambda p: p.name if (name, p.name) == ("SGD", "lr") else (p.name, p.default)
    kind = lambda p: p.kind if name != "SGD" else None
    theirs, ours = (
        [
            (values(p), kind(p))
            for p in inspect.signature(function).parameters.values()
            if p.name not in without
        ]
        for function in (getattr(torch.optim, name), getattr(optim, name.lower()))
    )
    assert ours == theirs


@pytest.mark.parametrize("name", NAMES)
def test_takes_a_schedule(name: str) -> None:
    """The rate is asked for at each step, from 0 on, and is no part of the state."""
    function = getattr(optim, name.lower())
    settings = {"momentum": 0.5} if name == "SGD" else {}
    rates = jnp.array([0.5, 0.25, 0.125, 0.0])
    scheduled, fixed = (
        function(lr=lambda step: rates[step], **settings),
        function(lr=1.0, **settings),
    )
    if name == "AdamW":  # the decay depends on the parameters, which differ
        scheduled, fixed = (optim.adamw(lr, weight_decay=0) for lr in (lambda s: rates[s], 1.0))
    params = jnp.array(1.0)
    state, other = scheduled.init(params), fixed.init(params)
    for i, rate in enumerate(rates):
        grad = jnp.cos(jnp.array(float(i)))
        update, state = scheduled.update(grad, state, params)
        unit, other = fixed.update(grad, other, params)
        np.testing.assert_allclose(update, rate * unit, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_may_be_traced(name: str) -> None:
    function, params = getattr(optim, name.lower()), {"w": jnp.array(1.0)}

    @jax.jit
    def step(lr: jax.Array) -> jax.Array:
        tx = function(lr)
        updates, _ = tx.update({"w": jnp.array(2.0)}, tx.init(params), params)
        return optax.apply_updates(params, updates)["w"]

    assert 0 < float(step(jnp.array(0.01))) < 1
    assert float(step(jnp.array(0.0))) == 1


def test_settings_may_be_traced() -> None:
    """As `optax.inject_hyperparams` passes them."""
    grad, params = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.5])

    def after_three(tx: optax.GradientTransformation) -> jax.Array:
        state, x = tx.init(params), params
        for _ in range(3):
            updates, state = tx.update(grad, state, x)
            x = optax.apply_updates(x, updates)
        return x

    traced = jax.jit(lambda b, wd: after_three(optim.adam(0.1, (b, b), weight_decay=wd)))
    np.testing.assert_allclose(
        traced(0.9, 0.1), after_three(optim.adam(0.1, (0.9, 0.9), weight_decay=0.1)), rtol=1e-6
    )
    traced = jax.jit(lambda m: after_three(optim.rmsprop(0.1, momentum=m)))
    np.testing.assert_allclose(
        traced(0.5), after_three(optim.rmsprop(0.1, momentum=0.5)), rtol=1e-6
    )
    injected = optax.inject_hyperparams(optim.sgd)(0.1, momentum=lambda step: 0.5, nesterov=True)
    expected = after_three(optim.sgd(0.1, momentum=0.5, nesterov=True))
    np.testing.assert_allclose(after_three(injected), expected, rtol=1e-6)


@pytest.mark.torch
def test_parameter_groups(x64: None) -> None:
    """`optax.multi_transform` does what PyTorch's parameter groups do."""
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    groups = {"weight": {"lr": 0.03, "weight_decay": 0.2}, "bias": {"lr": 0.1, "weight_decay": 0}}
    tx = optax.multi_transform(
        {name: optim.adamw(**settings) for name, settings in groups.items()},
        {name: name for name in groups},
    )
    ours, _ = run(tx, STEPS, "float64")
    for name, settings in groups.items():
        theirs, _ = run_torch(Optimizer("AdamW", settings), STEPS, "float64")
        np.testing.assert_allclose(ours[name], theirs[name], **CLOSE)


@pytest.mark.parametrize("id", ["sgd-nesterov", "adam", "adam-amsgrad", "nadam", "rmsprop-all"])
def test_goes_through_a_checkpoint(id: str, tmp_path: Path) -> None:
    """A restored run takes the same next step."""
    model, x = nn.Sequential(nn.Linear(3, 2)), jnp.ones((4, 3))
    batch = {"image": x, "label": jnp.zeros(4, jnp.int32)}
    step = jax.jit(train.make_train_step())
    fresh = train.create_state(model, OPTIMIZERS[id].jax(), jax.random.key(0), x)
    state, _ = step(fresh, batch)
    checkpoints = train.Checkpoints(tmp_path)
    checkpoints.save(1, state, train.Progress())
    restored, _ = checkpoints.restore(fresh)
    expected, actual = step(state, batch)[0], step(restored, batch)[0]
    jax.tree.map(np.testing.assert_array_equal, actual.opt_state, expected.opt_state)
    jax.tree.map(np.testing.assert_array_equal, actual.params, expected.params)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_keeps_the_type(dtype: str) -> None:
    params = jnp.ones(3, dtype)
    tx = optim.sgd(0.1, momentum=0.9, dampening=0.1, weight_decay=0.1, nesterov=False)
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params)
    assert updates.dtype == params.dtype
    assert optax.tree.get(state, "momentum_buffer").dtype == params.dtype


def test_half_precision_is_only_stored() -> None:
    """The square of 300 is no float16, but half of it is."""
    tx, params = optim.rmsprop(0.1, alpha=0.5), jnp.ones(2, jnp.float16)
    updates, state = tx.update(params * 300, tx.init(params), params)
    assert optax.tree.get(state, "square_avg").tolist() == [44992.0] * 2
    np.testing.assert_allclose(updates, -0.1 * 2**0.5, rtol=1e-3)


NOT_NEGATIVE = {
    "sgd": ["lr", "momentum", "weight_decay"],
    "adam": ["lr", "eps", "weight_decay"],
    "adamw": ["lr", "eps", "weight_decay"],
    "nadam": ["lr", "eps", "weight_decay", "momentum_decay"],
    "rmsprop": ["lr", "alpha", "eps", "weight_decay", "momentum"],
    "adagrad": ["lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"],
    "adadelta": ["lr", "rho", "eps", "weight_decay"],
}
PAIRS = [(name, key) for name, keys in NOT_NEGATIVE.items() for key in keys]


@pytest.mark.parametrize(("name", "key"), PAIRS, ids="-".join)
def test_negative(name: str, key: str) -> None:
    message = rf"^{name}: {key} must not be negative, got {key}=-0\.1\.$"
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)(**{"lr": 1, key: -0.1})


@pytest.mark.parametrize(("name", "key"), [*PAIRS, ("sgd", "dampening")], ids="-".join)
def test_no_number(name: str, key: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: {key} must be a number, got {key}='1'\.$"):
        getattr(optim, name)(**{"lr": 1, key: "1"})


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam"])
@pytest.mark.parametrize(
    ("betas", "error", "message"),
    [
        (0.9, TypeError, r"betas must be a pair of numbers, got betas=0\.9\."),
        ((0.9,), TypeError, r"betas must be a pair of numbers, got betas=\(0\.9,\)\."),
        ((0.9, None), TypeError, r"betas must be a number, got betas=None\."),
        (
            (0.9, 1.0),
            ValueError,
            r"betas must be at least 0 and under 1, got betas=\(0\.9, 1\.0\)\.",
        ),
        (
            (-0.1, 0.9),
            ValueError,
            r"betas must be at least 0 and under 1, got betas=\(-0\.1, 0\.9\)\.",
        ),
    ],
    ids=str,
)
def test_betas(name: str, betas: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{name}: {message}$"):
        getattr(optim, name)(betas=betas)


def test_rho() -> None:
    with pytest.raises(ValueError, match=r"^adadelta: rho must be at most 1, got rho=1\.1\.$"):
        optim.adadelta(rho=1.1)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"nesterov": True}, r"momentum=0, dampening=0"),
        ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, r"momentum=0\.9, dampening=0\.1"),
    ],
    ids=["no-momentum", "dampening"],
)
def test_nesterov(settings: dict[str, Any], values: str) -> None:
    message = rf"^sgd: nesterov needs momentum and no dampening, got {values}\.$"
    with pytest.raises(ValueError, match=message):
        optim.sgd(1, **settings)
