"""Attention layers of the External-Attention-pytorch collection against stored values."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not GOLDEN.exists(), reason="needs ../shared/golden"),
]
KEY = jax.random.key(0)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def from_recipe(layer: Any, *inputs: Any) -> Any:
    """Variables with the numbers that the stored values were made from."""
    spec = importlib.util.spec_from_file_location("recipe", GOLDEN / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    like = jax.eval_shape(layer.init, KEY, *inputs)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    names = {name: x.shape for name, x in jaxcnn.to_state_dict(zeros).items()}
    return jaxcnn.to_variables({k: recipe.weight(k, s) for k, s in names.items()}, like)


def assert_close(actual: Any, expected: np.ndarray) -> None:
    """The README's tolerance for float32: 2e-6 of the largest entry."""
    np.testing.assert_allclose(actual, expected, 0, 2e-6 * np.abs(expected).max())


def assert_probes(actual: Any, stored: Any, name: str) -> None:
    """The first and some evenly strided values of an array."""
    flat = np.asarray(actual).reshape(-1)
    strided = flat[np.linspace(0, flat.size - 1, 64).astype(np.int64)]
    largest = max(np.abs(stored[f"{name}/{part}"]).max() for part in ("first64", "strided64"))
    for part, values in (("first64", flat[:64]), ("strided64", strided)):
        np.testing.assert_allclose(values, stored[f"{name}/{part}"], 0, 1e-5 * largest)


@pytest.fixture(scope="module")
def simplified() -> tuple[Any, Any]:
    layer = nn.SimplifiedScaledDotProductAttention(512, 8)
    x = jnp.ones((2, 49, 512))
    return layer, from_recipe(layer, x, x, x)


def test_simplified_attention(simplified: tuple[Any, Any]) -> None:
    layer, variables = simplified
    assert sum(p.size for p in jax.tree.leaves(variables)) == 262_656
    stored = np.load(GOLDEN / "ssdpa_512_8.npz")
    x, g = normal(0, 2, 49, 512), normal(6, 2, 49, 512)
    y, vjp = jax.vjp(lambda v, x: layer.apply(v, x, x, x), variables, x)
    assert_close(y, stored["self/out"])
    grads, x_grad = vjp(g)
    assert_probes(x_grad, stored, "self/grad_x")
    for name, grad in jaxcnn.to_state_dict(grads).items():
        assert_probes(grad, stored, f"self/grad_{name}")
        norm = float(np.linalg.norm(grad))
        assert norm == pytest.approx(float(stored[f"self/grad_{name}/l2"]), rel=1e-5)


def test_simplified_attention_masks_and_weights(simplified: tuple[Any, Any]) -> None:
    layer, variables = simplified
    stored = np.load(GOLDEN / "ssdpa_512_8.npz")
    q, k, v = normal(1, 2, 10, 512), normal(2, 2, 17, 512), normal(3, 2, 17, 512)
    assert_close(layer.apply(variables, q, k, v), stored["cross/out"])
    weights = np.random.default_rng(4).random((2, 8, 10, 17)).astype(np.float32) + 0.5
    bits = np.unpackbits(stored["mask"])[: weights.size]
    mask = bits.reshape(weights.shape).astype(bool)
    y = layer.apply(variables, q, k, v, mask, weights)
    assert_close(y, stored["cross_mask_weights/out"])


@pytest.fixture(scope="module")
def selective() -> tuple[Any, Any]:
    layer = nn.SKAttention(512, reduction=8)
    return layer, from_recipe(layer, jnp.ones((2, 7, 7, 512)))


def test_selective_kernels_in_evaluation(selective: tuple[Any, Any]) -> None:
    layer, variables = selective
    assert sum(p.size for p in jax.tree.leaves(variables["params"])) == 22_192_192
    stored = np.load(GOLDEN / "sk_512_8.npz")
    x = jnp.moveaxis(normal(0, 2, 512, 7, 7), 1, -1)
    assert_close(jnp.moveaxis(layer.apply(variables, x), -1, 1), stored["eval/out"])


def test_selective_kernels_in_training(selective: tuple[Any, Any]) -> None:
    layer, variables = selective
    stored = np.load(GOLDEN / "sk_512_8.npz")
    x = jnp.moveaxis(normal(0, 2, 512, 7, 7), 1, -1)
    g = jnp.moveaxis(normal(1, 2, 512, 7, 7), 1, -1)

    def outputs_of(params: Any, x: jax.Array) -> Any:
        variable = {**variables, "params": params}
        return layer.apply(variable, x, train=True, mutable=["batch_stats"])

    y, vjp, new = jax.vjp(outputs_of, variables["params"], x, has_aux=True)
    assert_close(jnp.moveaxis(y, -1, 1), stored["train/out"])
    for name, value in jaxcnn.to_state_dict(new).items():
        if not name.endswith("num_batches_tracked"):
            assert_close(value, stored[f"train/bn/{name}"])
    grads, x_grad = vjp(g)
    assert_probes(jnp.moveaxis(x_grad, -1, 1), stored, "train/grad_x")
    by_name = jaxcnn.to_state_dict({"params": grads})
    for name in ("convs.1.conv.weight", "convs.2.bn.weight", "fc.weight", "fcs.0.weight"):
        assert_probes(by_name[name], stored, f"train/grad/{name}")


@pytest.mark.parametrize("layer", [nn.SimplifiedScaledDotProductAttention(64, 4, dropout=0.5)])
def test_dropout_and_init(layer: Any) -> None:
    x = jax.random.normal(KEY, (2, 30, 64))
    variables = layer.init(KEY, x, x, x)
    weight = np.asarray(variables["params"]["fc_o"]["weight"])
    assert abs(weight.std() / 1e-3 - 1) < 0.05
    assert not variables["params"]["fc_o"]["bias"].any()
    draw = lambda seed: layer.apply(
        variables, x, x, x, train=True, rngs={"dropout": jax.random.key(seed)}
    )
    assert jnp.array_equal(draw(0), draw(0))
    assert not jnp.array_equal(draw(0), draw(1))
