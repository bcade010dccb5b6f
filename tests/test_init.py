"""Initialisers: bounds and moments against the formulas and against PyTorch; exact ones exactly."""

from __future__ import annotations

import inspect
import math
import re
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


RANDOM: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    # name, arguments, keyword arguments, shape
    "uniform": ("uniform", (), {}, (4000,)),
    "uniform-bounds": ("uniform", (-3.0,), {"b": -1.0}, (40, 10, 10)),
    "normal": ("normal", (), {}, (4000,)),
    "normal-moments": ("normal", (2.0,), {"std": 0.3}, (40, 100)),
    "xavier-uniform": ("xavier_uniform", (2.0,), {}, (64, 32, 3, 3)),
    "xavier-normal": ("xavier_normal", (), {"gain": 0.5}, (64, 32, 3, 3)),
    "kaiming-uniform": ("kaiming_uniform", (), {}, (64, 32, 3, 3)),
    "kaiming-uniform-out": ("kaiming_uniform", (0.3, "fan_out"), {}, (64, 16, 3)),
    "kaiming-uniform-tanh": ("kaiming_uniform", (7, "FAN_IN", "tanh"), {}, (40, 100)),
    "kaiming-normal": ("kaiming_normal", (), {}, (64, 32, 3, 3)),
    "kaiming-normal-relu": ("kaiming_normal", (), {"nonlinearity": "relu"}, (16, 8, 2, 3, 4)),
    "kaiming-normal-out": ("kaiming_normal", (), {"mode": "fan_out"}, (64, 16, 3)),
    "trunc-normal": ("trunc_normal", (), {}, (4000,)),
    "trunc-normal-narrow": ("trunc_normal", (0.0, 0.02), {}, (4000,)),
    "trunc-normal-shifted": ("trunc_normal", (1.0, 2.0, -0.5, 4.0), {}, (4000,)),
    "trunc-normal-upper-tail": ("trunc_normal", (0.0, 1.0, 6.0, 8.0), {}, (4000,)),
    "trunc-normal-lower-tail": ("trunc_normal", (0.0, 1.0, -7.0, -3.0), {}, (4000,)),
    "orthogonal-wide": ("orthogonal", (3.0,), {}, (20, 10, 3, 3)),
    "orthogonal-tall": ("orthogonal", (), {}, (100, 40)),
    "sparse": ("sparse", (0.3,), {"std": 2.0}, (50, 40)),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.filterwarnings("ignore:mean is more than 2 std:UserWarning")
def test_is_drawn_as_in_torch(name: str) -> None:
    """Two samples of one distribution: Kolmogorov-Smirnov, and the moments within 5 sigma."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    function, args, kwargs, shape = RANDOM[name]
    torch.manual_seed(0)
    fill = getattr(torch.nn.init, f"{function}_")
    theirs = fill(torch.empty(shape), *args, **kwargs).numpy().ravel()
    ours = np.asarray(getattr(init, function)(*args, **kwargs)(jax.random.key(2), shape))
    assert (ours.shape, ours.dtype) == (shape, np.float32)
    ours = ours.ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    error = theirs.std() / math.sqrt(theirs.size)
    assert abs(ours.mean() - theirs.mean()) < 5 * math.sqrt(2) * error
    assert ours.std() == pytest.approx(theirs.std(), rel=10 / math.sqrt(theirs.size))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("eye", (), (3, 5)),
        ("eye", (), (5, 3)),
        ("ones", (), (2, 3)),
        ("zeros", (), (2, 3)),
        ("constant", (0.3,), (2, 3)),
        ("dirac", (), (4, 3, 5)),
        ("dirac", (), (3, 4, 4, 5)),
        ("dirac", (), (4, 4, 1, 2, 3)),
        ("dirac", (2,), (6, 4, 3)),
        ("dirac", (3,), (6, 1, 3, 2)),
        ("dirac", (2,), (8, 3, 3, 2, 1)),
        ("dirac", (4,), (4, 2, 2)),
        ("kaiming_normal", (), (0, 3)),
        ("orthogonal", (), (0, 3)),
        ("sparse", (1.0,), (3, 4)),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors:UserWarning")
def test_equals_torch(name: str, args: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = getattr(torch.nn.init, f"{name}_")(torch.empty(shape), *args)
    ours = getattr(init, name)(*args)(jax.random.key(0), shape)
    np.testing.assert_array_equal(ours, theirs.numpy(), strict=True)


GAINS = [(f"conv{t}{n}d", None) for t in ("", "_transpose") for n in (1, 2, 3)]
GAINS += [(name, None) for name in ("linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu")]
GAINS += [("leaky_relu", 0.2), ("leaky_relu", 0), ("leaky_relu", -1), ("relu", 5), ("tanh", "x")]


@pytest.mark.torch
@pytest.mark.parametrize(("nonlinearity", "param"), GAINS)
def test_gain_equals_torch(nonlinearity: str, param: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = torch.nn.init.calculate_gain(nonlinearity, param)
    assert init.calculate_gain(nonlinearity, param) == theirs


@pytest.mark.torch
@pytest.mark.parametrize(
    "name",
    [
        n
        for n in init.__all__
        if n
        not in (
            "Initializer",
            "calculate_gain",
            "default_bias",
            "default_weight",
            "fan_in_and_fan_out",
        )
    ],
)
def test_signature_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = list(inspect.signature(getattr(torch.nn.init, f"{name}_")).parameters.values())
    ours = inspect.signature(getattr(init, name)).parameters.values()
    expected = [(p.name, p.default) for p in theirs if p.name not in ("tensor", "generator")]
    assert [(p.name, p.default) for p in ours] == expected


@pytest.mark.torch
def test_nothing_of_torch_is_missing() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = {name.removesuffix("_") for name in torch.nn.init.__all__}
    assert theirs <= set(init.__all__)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6), (4, 3, 2, 2), (30, 3, 2)])
@pytest.mark.parametrize("gain", [1, 0.5])
def test_orthogonal(shape: tuple[int, ...], gain: float) -> None:
    x = np.asarray(init.orthogonal(gain)(jax.random.key(0), shape)).reshape(shape[0], -1)
    x = x if x.shape[0] <= x.shape[1] else x.T
    np.testing.assert_allclose(x @ x.T, gain**2 * np.eye(len(x)), atol=1e-6)


def test_orthogonal_is_uniform() -> None:
    """QR alone gives the first entry one sign."""
    draw = jax.vmap(lambda key: init.orthogonal()(key, (3, 3)))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 1000)))
    np.testing.assert_allclose(x.mean(0), 0, atol=5 * math.sqrt(1 / 3 / 1000))
    np.testing.assert_allclose((x**2).mean(0), 1 / 3, atol=0.05)


@pytest.mark.parametrize(
    ("sparsity", "zeros"), [(0.0, 0), (0.1, 1), (0.25, 2), (0.3, 3), (0.5, 4), (1.0, 8)]
)
def test_sparse(sparsity: float, zeros: int) -> None:
    x = np.asarray(init.sparse(sparsity)(jax.random.key(0), (8, 200)))
    assert ((x == 0).sum(0) == zeros).all()
    rows = (x == 0).mean(1)
    np.testing.assert_allclose(rows, zeros / 8, atol=5 * math.sqrt(0.25 / 200))


@pytest.mark.parametrize(
    ("a", "b", "mean"), [(-2, 2, 0.0), (0.5, 0.5, 0.5), (-math.inf, 0, -0.79788), (9, 12, 9.10862)]
)
def test_trunc_normal_bounds_and_mean(a: float, b: float, mean: float) -> None:
    x = np.asarray(init.trunc_normal(a=a, b=b)(jax.random.key(0), (10000,)))
    assert np.isfinite(x).all()
    assert x.min() >= a
    assert x.max() <= b
    assert x.mean() == pytest.approx(mean, abs=0.05)


def test_trunc_normal_of_the_smallest_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """A draw of exactly 0, one in 2^23, would be the far end of the interval."""
    smallest = lambda key, shape, dtype, low=0.0, high=1.0: jnp.full(shape, low, dtype)
    monkeypatch.setattr(jax.random, "uniform", smallest)
    for a in (-math.inf, -9.0):
        assert -6 < float(init.trunc_normal(a=a)(jax.random.key(0), ())) < -4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ["uniform", "normal", "trunc_normal", "orthogonal", "sparse"])
@pytest.mark.usefixtures("x64")
def test_dtypes(name: str, dtype: str) -> None:
    """Half precision is drawn in float32 and rounded."""
    initializer = getattr(init, name)(*((0.5,) if name == "sparse" else ()))
    x = jax.jit(initializer, static_argnums=(1, 2))(jax.random.key(0), (40, 50), dtype)
    assert x.dtype == dtype
    if dtype in ("float16", "bfloat16"):
        wide = initializer(jax.random.key(0), (40, 50), jnp.float32)
        np.testing.assert_array_equal(x, wide.astype(dtype))


VALUE_ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "uniform": (
        lambda: init.uniform(1.0, 0.0),
        "uniform: a must not be above b, got a=1.0, b=0.0.",
    ),
    "normal": (lambda: init.normal(std=-1.0), "normal: std must not be negative, got std=-1.0."),
    "trunc-std": (
        lambda: init.trunc_normal(0.0, 0.0),
        "trunc_normal: std must be positive, got std=0.0.",
    ),
    "trunc-order": (
        lambda: init.trunc_normal(a=2.0, b=1.0),
        "trunc_normal: a must not be above b, got a=2.0, b=1.0.",
    ),
    "trunc-far": (
        lambda: init.trunc_normal(a=11.0, b=12.0),
        "trunc_normal: [a, b] must come within 10 std of mean, got mean=0.0, std=1.0, a=11.0, "
        "b=12.0.",
    ),
    "xavier-uniform": (
        lambda: init.xavier_uniform(-1.0),
        "xavier_uniform: gain must not be negative, got gain=-1.0.",
    ),
    "xavier-normal": (
        lambda: init.xavier_normal(-1.0),
        "xavier_normal: gain must not be negative, got gain=-1.0.",
    ),
    "gain": (
        lambda: init.kaiming_normal(nonlinearity="gelu"),
        "calculate_gain: nonlinearity must be one of ('linear', 'conv1d', 'conv2d', 'conv3d', "
        "'conv_transpose1d', 'conv_transpose2d', 'conv_transpose3d', 'sigmoid', 'tanh', 'relu', "
        "'selu', 'leaky_relu'), got nonlinearity='gelu'.",
    ),
    "mode-uniform": (
        lambda: init.kaiming_uniform(mode="fan_avg"),
        "kaiming_uniform: mode must be one of ('fan_in', 'fan_out'), got mode='fan_avg'.",
    ),
    "mode-normal": (
        lambda: init.kaiming_normal(mode="Fan"),
        "kaiming_normal: mode must be one of ('fan_in', 'fan_out'), got mode='Fan'.",
    ),
    "fans": (
        lambda: init.kaiming_normal()(jax.random.key(0), (3,)),
        "fan_in_and_fan_out: a fan needs a weight of two or more axes, got shape=(3,).",
    ),
    "eye": (
        lambda: init.eye()(jax.random.key(0), (3, 3, 3)),
        "eye: shape must have two axes, got shape=(3, 3, 3).",
    ),
    "dirac-axes": (
        lambda: init.dirac()(jax.random.key(0), (3, 3)),
        "dirac: shape must have three to five axes, got shape=(3, 3).",
    ),
    "dirac-groups": (
        lambda: init.dirac(2)(jax.random.key(0), (3, 3, 3)),
        "dirac: shape[0] must be divisible by groups, got shape=(3, 3, 3), groups=2.",
    ),
    "dirac-no-groups": (
        lambda: init.dirac(0),
        "dirac: groups must be at least 1, got groups=0.",
    ),
    "orthogonal": (
        lambda: init.orthogonal()(jax.random.key(0), (3,)),
        "orthogonal: shape must have two or more axes, got shape=(3,).",
    ),
    "sparse-axes": (
        lambda: init.sparse(0.5)(jax.random.key(0), (3,)),
        "sparse: shape must have two axes, got shape=(3,).",
    ),
    "sparse-fraction": (
        lambda: init.sparse(1.5),
        "sparse: sparsity must be in [0, 1], got sparsity=1.5.",
    ),
    "sparse-std": (
        lambda: init.sparse(0.5, -1.0),
        "sparse: std must not be negative, got std=-1.0.",
    ),
}


@pytest.mark.parametrize("name", VALUE_ERRORS)
def test_value_errors(name: str) -> None:
    call, message = VALUE_ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: init.calculate_gain("leaky_relu", True),
            "calculate_gain: param must be a number, got param=True.",
        ),
        (
            lambda: init.kaiming_uniform("0.2"),  # type: ignore[arg-type]
            "calculate_gain: param must be a number, got param='0.2'.",
        ),
        (lambda: init.dirac(1.0), "dirac: groups must be an int, got groups=1.0."),
    ],
    ids=["bool", "string", "groups"],
)
def test_type_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()
