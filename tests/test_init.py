"""Initialisers: bounds and moments against the formulas and against PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxcnn import init, nn

LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], int]] = {
    # build, input shape, fan_in
    "linear": (lambda nn: nn.Linear(50, 400), (1, 50), 50),
    "conv": (lambda nn: nn.Conv2d(8, 128, (3, 5)), (1, 5, 5, 8), 8 * 15),
    "conv-groups": (lambda nn: nn.Conv2d(8, 256, 3, groups=4), (1, 3, 3, 8), 2 * 9),
    "depthwise": (lambda nn: nn.Conv2d(512, 512, 3, groups=512), (1, 3, 3, 512), 9),
}


def assert_uniform(x: np.ndarray, bound: float) -> None:
    """Inside U(-bound, bound), and as spread as it (Kolmogorov-Smirnov; seeds are fixed)."""
    assert np.abs(x).max() <= bound
    uniform = stats.uniform(-bound, 2 * bound)
    assert stats.kstest(x.ravel(), uniform.cdf).pvalue > 1e-3
    assert abs(x.mean()) < 5 * bound / math.sqrt(3 * x.size)
    assert x.std() == pytest.approx(bound / math.sqrt(3), rel=5 / math.sqrt(x.size))


@pytest.mark.parametrize("name", LAYERS)
def test_default(name: str) -> None:
    """kaiming_uniform(a=sqrt(5)) is U(+-1/sqrt(fan_in)), and so is the bias."""
    build, shape, fan_in = LAYERS[name]
    params = jax.jit(build(nn).init)(jax.random.key(0), jnp.ones(shape))["params"]
    for leaf in params.values():
        assert_uniform(np.asarray(leaf), 1 / math.sqrt(fan_in))


@pytest.mark.torch
@pytest.mark.parametrize("name", LAYERS)
def test_default_is_drawn_as_in_torch(name: str) -> None:
    """Two samples of one distribution."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    build, shape, _ = LAYERS[name]
    torch.manual_seed(0)
    theirs = build(torch.nn)
    params = jax.jit(build(nn).init)(jax.random.key(0), jnp.ones(shape))["params"]
    for key, leaf in params.items():
        ours, other = np.ravel(leaf), getattr(theirs, key).detach().numpy().ravel()
        assert stats.ks_2samp(ours, other).pvalue > 1e-3
        assert np.abs(ours).max() == pytest.approx(np.abs(other).max(), rel=0.1)


def test_batch_norm_default() -> None:
    variables = nn.BatchNorm2d(3).init(jax.random.key(0), jnp.ones((2, 4, 4, 3)), train=True)
    assert jax.tree.map(lambda x: x.tolist(), variables) == {
        "params": {"weight": [1.0] * 3, "bias": [0.0] * 3},
        "batch_stats": {
            "running_mean": [0.0] * 3,
            "running_var": [1.0] * 3,
            "num_batches_tracked": 0,
        },
    }


@pytest.mark.parametrize("gain", [1.0, 5 / 3])
@pytest.mark.parametrize(
    ("shape", "fans"), [((300, 100), 400), ((64, 32, 3, 3), 96 * 9), ((8, 2, 25, 25), 10 * 625)]
)
def test_xavier_uniform(shape: tuple[int, ...], fans: int, gain: float) -> None:
    x = np.asarray(init.xavier_uniform(gain)(jax.random.key(1), shape))
    assert x.dtype == np.float32
    assert_uniform(x, gain * math.sqrt(6 / fans))


@pytest.mark.torch
def test_xavier_uniform_is_drawn_as_in_torch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    torch.manual_seed(0)
    theirs = torch.nn.init.xavier_uniform_(torch.empty(64, 32, 3, 3), gain=2.0).numpy()
    ours = np.asarray(init.xavier_uniform(2.0)(jax.random.key(1), theirs.shape))
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=1e-3)


def test_uniform() -> None:
    x = np.asarray(init.uniform(2.0, 4.0)(jax.random.key(0), (5000,)))
    assert x.min() >= 2
    assert_uniform(x - 3, 1.0)


def test_empty_layers() -> None:
    """No inputs: PyTorch warns and leaves an empty weight; the bias has the bound 0."""
    params = nn.Linear(0, 3).init(jax.random.key(0), jnp.ones((1, 0)))["params"]
    assert params["weight"].shape == (3, 0)
    assert params["bias"].tolist() == [0.0] * 3


@pytest.mark.parametrize("shape", [(), (5,)])
def test_fans_need_two_axes(shape: tuple[int, ...]) -> None:
    message = r"^fan_in_and_fan_out: a fan needs a weight of two or more axes, got shape=\(.*\)\.$"
    with pytest.raises(ValueError, match=message):
        init.fan_in_and_fan_out(shape)


@pytest.fixture
def params() -> Any:
    shapes = {"0": (6, 1, 5, 5), "7": (120, 400), "11": (10, 84)}
    return {k: {"weight": jnp.zeros(s), "bias": jnp.zeros(s[0])} for k, s in shapes.items()}


def test_reinitialize(params: Any) -> None:
    new = init.reinitialize(params, jax.random.key(1), init.xavier_uniform(), r"weight$")
    assert jax.tree.structure(new) == jax.tree.structure(params)
    for layer, leaves in new.items():
        assert leaves["bias"] is params[layer]["bias"]
        assert not jnp.array_equal(leaves["weight"], params[layer]["weight"])
    assert_uniform(np.asarray(new["7"]["weight"]), math.sqrt(6 / 520))


def test_reinitialize_by_full_name(params: Any) -> None:
    new = init.reinitialize(params, jax.random.key(1), init.uniform(), r"^(0|11)\.")
    changed = {k for k in new if new[k]["weight"] is not params[k]["weight"]}
    assert changed == {"0", "11"}


def test_reinitialize_draws_each_parameter_by_itself() -> None:
    twins = {"a": {"weight": jnp.zeros((4, 4))}, "b": {"weight": jnp.zeros((4, 4))}}
    new = init.reinitialize(twins, jax.random.key(1), init.uniform(), "weight")
    assert not jnp.array_equal(new["a"]["weight"], new["b"]["weight"])


def test_reinitialize_without_match(params: Any) -> None:
    message = (
        r"^reinitialize: no parameter among \['0\.bias', .*\] matches, got pattern='wieght'\.$"
    )
    with pytest.raises(ValueError, match=message):
        init.reinitialize(params, jax.random.key(1), init.uniform(), "wieght")
