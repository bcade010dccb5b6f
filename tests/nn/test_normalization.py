"""Normalisation layers: PyTorch's statistics over many steps, errors, dtypes."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import layout, nn

KEY = jax.random.key(0)
FIX = "; it looks channels-first: use jaxcnn.layout.to_channels_last."
STEPS = 20
ONES = jnp.ones

# Name, shape of one batch in PyTorch's layout.
INPUTS = {
    "BatchNorm1d-vectors": ("BatchNorm1d", (6, 3)),
    "BatchNorm1d": ("BatchNorm1d", (4, 3, 5)),
    "BatchNorm2d": ("BatchNorm2d", (4, 3, 5, 4)),
    "BatchNorm3d": ("BatchNorm3d", (2, 3, 2, 3, 4)),
    "SyncBatchNorm": ("SyncBatchNorm", (4, 3, 5, 4)),
    "InstanceNorm1d": ("InstanceNorm1d", (4, 3, 5)),
    "InstanceNorm2d": ("InstanceNorm2d", (4, 3, 5, 4)),
    "InstanceNorm3d": ("InstanceNorm3d", (2, 3, 2, 3, 4)),
}


@pytest.mark.torch
@pytest.mark.parametrize("momentum", [0.1, None], ids=["momentum", "cumulative"])
@pytest.mark.parametrize("id", INPUTS)
def test_statistics_after_many_steps(
    id: str, momentum: float | None, rng: np.random.RandomState
) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    name, shape = INPUTS[id]
    arguments = {"momentum": momentum, "affine": True, "track_running_stats": True}
    theirs = getattr(torch.nn, name)(3, **arguments)
    ours = getattr(nn, name)(3, **arguments)
    batches = [rng.normal(i, 1 + i, shape).astype(np.float32) for i in range(STEPS)]
    first = layout.to_channels_last(batches[0])
    # PyTorch writes its buffers in place, and arrays made of them may share their memory.
    state = {key: value.clone() for key, value in theirs.state_dict().items()}
    variables = jaxcnn.to_variables(state, jax.eval_shape(ours.init, KEY, first))
    step = jax.jit(lambda v, x: ours.apply(v, x, train=True, mutable=["batch_stats"]))
    for x in batches:
        expected = theirs(torch.from_numpy(x))
        y, new = step(variables, layout.to_channels_last(x))
        variables = {**variables, **new}
        np.testing.assert_allclose(
            layout.to_channels_first(y), expected.detach(), rtol=1.3e-6, atol=1e-5
        )
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            jaxcnn.to_state_dict(variables)[key], value, rtol=1e-5, atol=1e-5, err_msg=key
        )
    x = batches[0]
    np.testing.assert_allclose(
        layout.to_channels_first(ours.apply(variables, layout.to_channels_last(x))),
        theirs.eval()(torch.from_numpy(x)).detach(),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.InstanceNorm1d(3, affine=True, track_running_stats=True), (5, 3)),
        (nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (5, 4, 3)),
        (nn.InstanceNorm3d(3, affine=True, track_running_stats=True), (2, 3, 4, 3)),
    ],
    ids=["1d", "2d", "3d"],
)
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
def test_instance_norm_without_batch_axis(
    layer: Any, shape: tuple[int, ...], train: bool, rng: np.random.RandomState
) -> None:
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    variables = layer.init(KEY, x)
    apply = lambda x: layer.apply(variables, x, train=train, mutable=["batch_stats"])
    (y, new), (batched, expected) = apply(x), apply(x[None])
    assert y.shape == shape
    assert jnp.array_equal(y, batched[0])
    assert jax.tree.all(jax.tree.map(jnp.array_equal, new, expected))


def test_instance_norm_init_counts_nothing() -> None:
    layer = nn.InstanceNorm1d(3, track_running_stats=True)
    stats = layer.init(KEY, jnp.arange(12.0).reshape(1, 4, 3), train=True)["batch_stats"]
    assert stats["running_mean"].tolist() == [0, 0, 0]


def test_untracked_batch_norm_uses_the_batch_in_evaluation(rng: np.random.RandomState) -> None:
    layer = nn.BatchNorm1d(3, track_running_stats=False)
    y, variables = layer.init_with_output(KEY, rng.normal(5, 3, (100, 3)))
    assert "batch_stats" not in variables
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)


def test_no_variables_without_affine_and_tracking() -> None:
    layers = [nn.InstanceNorm1d(3), nn.LayerNorm(3, elementwise_affine=False)]
    layers += [nn.GroupNorm(1, 3, affine=False), nn.RMSNorm(3, elementwise_affine=False)]
    for layer in layers:
        assert layer.init(KEY, ONES((2, 4, 3))) == {}


DTYPES = [
    ("BatchNorm1d", (3,)),
    ("InstanceNorm1d", (3, 1e-5, 0.1, True, True)),
    ("SyncBatchNorm", (3,)),
    ("LayerNorm", (3,)),
    ("RMSNorm", (3,)),
    ("GroupNorm", (1, 3)),
]


@pytest.mark.parametrize(("name", "args"), DTYPES)
def test_dtypes(name: str, args: Any) -> None:
    """Half precision is computed in by request, or when all there is has it."""
    make, x = getattr(nn, name), ONES((2, 4, 3))
    y, variables = make(*args, dtype=jnp.bfloat16).init_with_output(KEY, x)
    assert y.dtype == jnp.bfloat16
    floats = [leaf.dtype for leaf in jax.tree.leaves(variables) if leaf.ndim]
    assert set(floats) == {jnp.dtype("float32")}
    y, variables = make(*args, param_dtype=jnp.bfloat16).init_with_output(KEY, x)
    assert y.dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(variables) if x.ndim} == {jnp.dtype("bfloat16")}
    assert make(*args).init_with_output(KEY, x.astype(jnp.bfloat16))[0].dtype == jnp.float32
    half = make(*args, param_dtype=jnp.bfloat16)
    assert half.init_with_output(KEY, x.astype(jnp.bfloat16))[0].dtype == jnp.bfloat16


SHOWN = [
    (nn.BatchNorm1d(3), "3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"),
    (
        nn.SyncBatchNorm(3, momentum=None, bias=False),
        "3, eps=1e-05, momentum=None, affine=True, bias=False, track_running_stats=True",
    ),
    (nn.InstanceNorm3d(3), "3, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False"),
    (nn.LayerNorm(64, 1e-6), "(64,), eps=1e-06, elementwise_affine=True"),
    (nn.LayerNorm([2, 3], bias=False), "(2, 3), eps=1e-05, elementwise_affine=True, bias=False"),
    (nn.GroupNorm(2, 4), "2, 4, eps=1e-05, affine=True"),
    (nn.GroupNorm(2, 4, bias=False), "2, 4, eps=1e-05, affine=True, bias=False"),
    (nn.RMSNorm((2, 3)), "(2, 3), eps=None, elementwise_affine=True"),
    (nn.LocalResponseNorm(5), "5, alpha=0.0001, beta=0.75, k=1.0"),
]


@pytest.mark.parametrize(("layer", "text"), SHOWN, ids=[type(row[0]).__name__ for row in SHOWN])
def test_extra_repr(layer: Any, text: str) -> None:
    assert layer.extra_repr() == text


BUILD_ERRORS: list[tuple[type[Exception], str, tuple[Any, ...], str]] = [
    *(
        (ValueError, name, (0,), "num_features must be at least 1, got num_features=0.")
        for name in ("BatchNorm1d", "BatchNorm3d", "SyncBatchNorm", "InstanceNorm2d")
    ),
    (TypeError, "InstanceNorm1d", (3.0,), "num_features must be an int, got num_features=3.0."),
    (ValueError, "GroupNorm", (0, 4), "num_groups must be at least 1, got num_groups=0."),
    (ValueError, "GroupNorm", (1, 0), "num_channels must be at least 1, got num_channels=0."),
    (TypeError, "GroupNorm", (1, "4"), "num_channels must be an int, got num_channels='4'."),
    (
        ValueError,
        "GroupNorm",
        (3, 4),
        "num_channels must be divisible by num_groups, got num_channels=4, num_groups=3.",
    ),
    (ValueError, "LocalResponseNorm", (0,), "size must be at least 1, got size=0."),
    (TypeError, "LocalResponseNorm", (2.5,), "size must be an int, got size=2.5."),
    *(
        row
        for name in ("LayerNorm", "RMSNorm")
        for row in (
            (
                ValueError,
                name,
                ((),),
                "normalized_shape must be at least one size, none negative, "
                "got normalized_shape=().",
            ),
            (
                TypeError,
                name,
                (2.0,),
                "normalized_shape must be an int or a sequence of ints, got normalized_shape=2.0.",
            ),
        )
    ),
]


def _exactly(name: str, message: str) -> str:
    return rf"^{name}: {re.escape(message)}(\n|$)"  # JAX may add a note about tracebacks


@pytest.mark.parametrize(("error", "name", "args", "message"), BUILD_ERRORS)
def test_errors_on_construction(error: type[Exception], name: str, args: Any, message: str) -> None:
    with pytest.raises(error, match=_exactly(name, message)):
        getattr(nn, name)(*args)


CHANNELS = "input must have 3 channels on its last axis, got shape="
CALL_ERRORS = [
    ("BatchNorm1d", (3,), (3,), "input must be (n, c) or (n, l, c), got shape=(3,)."),
    ("BatchNorm1d", (3,), (2, 3, 8), f"{CHANNELS}(2, 3, 8){FIX}"),
    ("BatchNorm1d", (3,), (2, 4), f"{CHANNELS}(2, 4)."),
    ("BatchNorm3d", (3,), (2, 4, 4, 3), "input must be (n, d, h, w, c), got shape=(2, 4, 4, 3)."),
    ("BatchNorm3d", (3,), (2, 3, 4, 4, 4), f"{CHANNELS}(2, 3, 4, 4, 4){FIX}"),
    ("SyncBatchNorm", (3,), (3,), "input must be (n, *spatial, c), got shape=(3,)."),
    ("SyncBatchNorm", (3,), (2, 3, 4, 4), f"{CHANNELS}(2, 3, 4, 4){FIX}"),
    ("InstanceNorm1d", (3,), (3,), "input must be (n, l, c) or (l, c), got shape=(3,)."),
    ("InstanceNorm1d", (3,), (2, 3, 8), f"{CHANNELS}(2, 3, 8){FIX}"),
    ("InstanceNorm2d", (3,), (8, 3), "input must be (n, h, w, c) or (h, w, c), got shape=(8, 3)."),
    ("InstanceNorm2d", (3,), (3, 8, 8), f"{CHANNELS}(3, 8, 8){FIX}"),
    (
        "InstanceNorm3d",
        (3,),
        (8, 8, 3),
        "input must be (n, d, h, w, c) or (d, h, w, c), got shape=(8, 8, 3).",
    ),
    ("GroupNorm", (1, 3), (3,), "input must be (n, *spatial, c), got shape=(3,)."),
    ("GroupNorm", (1, 3), (2, 3, 8), f"{CHANNELS}(2, 3, 8){FIX}"),
    (
        "LayerNorm",
        ((4, 3),),
        (2, 3),
        "input must end in the axes normalized_shape=(4, 3), got shape=(2, 3).",
    ),
    (
        "RMSNorm",
        (3,),
        (2, 4),
        "input must end in the axes normalized_shape=(3,), got shape=(2, 4).",
    ),
]


@pytest.mark.parametrize(("name", "args", "shape", "message"), CALL_ERRORS)
def test_errors_on_call(name: str, args: Any, shape: tuple[int, ...], message: str) -> None:
    """Seen before a parameter is made."""
    with pytest.raises(ValueError, match=_exactly(name, message)):
        getattr(nn, name)(*args).init(KEY, ONES(shape))
