"""SyncBatchNorm on eight simulated devices against one device with the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from jaxcnn import functional as F
from jaxcnn import nn, optim, train

DEVICES, BATCH, CHANNELS = 8, 16, 3
Apply = Callable[[Any, jax.Array, jax.Array], Any]


@pytest.fixture
def x(rng: np.random.RandomState) -> jax.Array:
    """Every device's part has a mean of its own, which one device's statistics would not see."""
    offsets = 0.25 * np.arange(BATCH).reshape(-1, 1, 1, 1)
    return jnp.asarray(rng.standard_normal((BATCH, 2, 3, CHANNELS)) + offsets, jnp.float32)


@pytest.fixture
def target(rng: np.random.RandomState) -> jax.Array:
    return jnp.asarray(rng.standard_normal((BATCH, 2, 3, CHANNELS)), jnp.float32)


def step(layer: Any, axis_name: Any = None) -> Apply:
    """(output, statistics, gradients of the parameters and of the input)."""

    def apply(variables: Any, x: jax.Array, target: jax.Array) -> Any:
        def loss(params: Any, x: jax.Array) -> Any:
            y, new = layer.apply(
                {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
            )
            return jnp.sum(jnp.sin(y) * target), (y, new["batch_stats"])

        (params, inputs), (y, stats) = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], x)
        if axis_name is not None:
            params = jax.lax.psum(params, axis_name)
        return y, stats, params, inputs

    return apply


def split(x: jax.Array) -> jax.Array:
    return x.reshape(DEVICES, -1, *x.shape[1:])


def with_pmap(layer: Any, variables: Any, x: jax.Array, target: jax.Array) -> Any:
    mapped = jax.pmap(step(layer, "devices"), axis_name="devices", in_axes=(None, 0, 0))
    y, stats, params, inputs = mapped(variables, split(x), split(target))
    for leaf in jax.tree.leaves((stats, params)):
        assert jnp.array_equal(leaf, jnp.broadcast_to(leaf[0], leaf.shape))
    one = jax.tree.map(lambda leaf: leaf[0], (stats, params))
    return y.reshape(x.shape), *one, inputs.reshape(x.shape)


def with_shard_map(check_vma: bool) -> Callable[..., Any]:
    def run(layer: Any, variables: Any, x: jax.Array, target: jax.Array) -> Any:
        mesh = jax.make_mesh((DEVICES,), ("devices",), (AxisType.Auto,))
        whole, part = PartitionSpec(), PartitionSpec("devices")
        # With check_vma JAX itself sums the gradients of what all devices share.
        mapped = jax.shard_map(
            step(layer, None if check_vma else "devices"),
            mesh=mesh,
            in_specs=(whole, part, part),
            out_specs=(part, whole, whole, part),
            check_vma=check_vma,
        )
        return jax.jit(mapped)(variables, x, target)

    return run


def with_sharding(layer: Any, variables: Any, x: jax.Array, target: jax.Array) -> Any:
    mesh = jax.make_mesh((DEVICES,), ("devices",), (AxisType.Auto,))
    parts = jax.NamedSharding(mesh, PartitionSpec("devices"))
    return jax.jit(step(layer))(variables, *jax.device_put((x, target), parts))


WAYS = {
    "pmap": with_pmap,
    "shard_map": with_shard_map(check_vma=False),
    "shard_map-vma": with_shard_map(check_vma=True),
    "jit": with_sharding,
}


@pytest.mark.parametrize("momentum", [0.1, None], ids=["momentum", "cumulative"])
@pytest.mark.parametrize("way", WAYS)
def test_equals_one_device(
    way: str, momentum: float | None, x: jax.Array, target: jax.Array
) -> None:
    layer = nn.SyncBatchNorm(CHANNELS, momentum=momentum)
    variables = layer.init(jax.random.key(0), x)
    one_device = nn.BatchNorm2d(CHANNELS, momentum=momentum)
    expected = jax.jit(step(one_device))(variables, x, target)
    actual = jax.block_until_ready(WAYS[way](layer, variables, x, target))
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        scale = jnp.maximum(1, jnp.abs(e).max())
        np.testing.assert_allclose(a / scale, e / scale, rtol=0, atol=1e-6)


def test_running_variance_is_unbiased_by_the_global_count(x: jax.Array) -> None:
    """One value a device and channel: no device could normalise alone."""
    x = x[:DEVICES, 0, 0]
    statistics = jnp.zeros(CHANNELS), jnp.ones(CHANNELS)
    normalize = lambda x: F.batch_norm(
        x, *statistics, training=True, momentum=1.0, axis_name="devices"
    )
    _, mean, var = jax.pmap(normalize, axis_name="devices")(split(x))
    np.testing.assert_allclose(mean[0], np.asarray(x, np.float64).mean(0), rtol=1e-6)
    np.testing.assert_allclose(var[0], np.asarray(x, np.float64).var(0, ddof=1), rtol=1e-6)


def test_several_axes(x: jax.Array) -> None:
    layer = nn.SyncBatchNorm(CHANNELS, axis_name=("rows", "columns"))
    variables = layer.init(jax.random.key(0), x)
    train_step = lambda x: layer.apply(variables, x, train=True, mutable=["batch_stats"])
    expected, expected_stats = train_step(x)
    over_columns = jax.vmap(train_step, axis_name="columns", out_axes=(0, None))
    y, stats = jax.vmap(over_columns, axis_name="rows", out_axes=(0, None))(
        x.reshape(4, 2, 2, *x.shape[1:])
    )
    np.testing.assert_allclose(y.reshape(x.shape), expected, atol=1e-6)
    np.testing.assert_allclose(
        stats["batch_stats"]["running_var"],
        expected_stats["batch_stats"]["running_var"],
        rtol=1e-6,
    )


def test_evaluation_does_not_average(x: jax.Array) -> None:
    layer = nn.SyncBatchNorm(CHANNELS, track_running_stats=False)
    variables = layer.init(jax.random.key(0), x)
    y = jax.pmap(lambda x: layer.apply(variables, x), axis_name="devices")(split(x))
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-5)


def test_without_axis_name_each_device_is_on_its_own(x: jax.Array) -> None:
    layer = nn.SyncBatchNorm(CHANNELS, axis_name=None)
    variables = layer.init(jax.random.key(0), x)
    apply = lambda x: layer.apply(variables, x, train=True, mutable=["batch_stats"])[0]
    y = jax.pmap(apply, axis_name="devices")(split(x))
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-5)


def test_a_misspelt_axis_is_an_error(x: jax.Array) -> None:
    layer = nn.SyncBatchNorm(CHANNELS, axis_name="batch")
    variables = layer.init(jax.random.key(0), x)
    apply = lambda x: layer.apply(variables, x, train=True, mutable=["batch_stats"])
    message = (
        r"^SyncBatchNorm: axis_name must be among the mapped axes, got axis_name='batch', "
        r"mapped=\('devices',\); name them, or pass axis_name=None for statistics of each device\."
    )
    with pytest.raises(ValueError, match=message):
        jax.pmap(apply, axis_name="devices")(split(x))


@pytest.mark.parametrize("strategy", ["pmap", "jit"])
def test_in_a_training_step(strategy: str, x: jax.Array) -> None:
    """`train.parallelize` calls its axis by the layer's default name."""
    model = nn.Sequential(nn.Conv2d(CHANNELS, 4, 1), nn.SyncBatchNorm(4), nn.Flatten())
    batch = {"image": x, "label": jnp.arange(BATCH) % 5}
    create = lambda: train.create_state(model, optim.sgd(0.1), jax.random.key(0), x)
    expected, _ = jax.jit(train.make_train_step())(create(), batch)
    actual, _ = train.parallelize(train.make_train_step(), strategy)(create(), batch)
    for a, e in zip(
        jax.tree.leaves((actual.params, actual.batch_stats)),
        jax.tree.leaves((expected.params, expected.batch_stats)),
        strict=True,
    ):
        np.testing.assert_allclose(a, e, rtol=1e-6, atol=1e-6)
