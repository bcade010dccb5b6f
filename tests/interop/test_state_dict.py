"""to_state_dict and to_variables; layers against PyTorch: tests/parity/test_layers.py."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn

X = jnp.ones((2, 4, 4, 3))


@pytest.fixture(scope="module")
def variables() -> Any:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    return jax.jit(model.init)(jax.random.key(0), X)


def test_names_shapes_and_types(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    assert {name: (x.shape, str(x.dtype)) for name, x in arrays.items()} == {
        "0.weight": ((2, 3, 3, 3), "float32"),
        "0.bias": ((2,), "float32"),
        "1.weight": ((2,), "float32"),
        "1.bias": ((2,), "float32"),
        "1.running_mean": ((2,), "float32"),
        "1.running_var": ((2,), "float32"),
        "1.num_batches_tracked": ((), "int64"),
    }
    assert all(isinstance(x, np.ndarray) for x in arrays.values())


def test_round_trip_is_bit_exact(variables: Any) -> None:
    arrays = {name: x.copy() for name, x in jaxcnn.to_state_dict(variables).items()}
    arrays["0.weight"][0, 0, 0] = [np.nan, -0.0, 1e-45]
    back = jaxcnn.to_variables(arrays, variables)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    for name, x in jaxcnn.to_state_dict(back).items():
        assert x.tobytes() == arrays[name].tobytes(), name


def test_abstract_like(variables: Any) -> None:
    like = jax.eval_shape(lambda: variables)
    back = jaxcnn.to_variables(jaxcnn.to_state_dict(variables), like)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_casts_to_the_type_of_like(variables: Any) -> None:
    arrays = {k: x.astype(np.float64) for k, x in jaxcnn.to_state_dict(variables).items()}
    back = jaxcnn.to_variables(arrays, variables)
    assert jax.tree.map(lambda x: x.dtype, back) == jax.tree.map(lambda x: x.dtype, variables)


def test_one_error_lists_everything(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    del arrays["0.bias"], arrays["1.running_var"]
    arrays |= {"fc.weight": np.ones(2), "fc.bias": np.ones(2)}
    arrays["0.weight"] = np.ones((3, 3, 3, 2))
    arrays["1.weight"] = np.ones(3)
    message = (
        "to_variables: the state_dict must fit the model, got\n"
        "  missing: 0.bias, 1.running_var\n"
        "  unexpected: fc.bias, fc.weight\n"
        "  wrong shape: 0.weight: expected (2, 3, 3, 3), got (3, 3, 3, 2), "
        "1.weight: expected (2,), got (3,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jaxcnn.to_variables(arrays, variables)


def test_not_strict(variables: Any) -> None:
    arrays = {"0.bias": np.array([7.0, 8.0]), "fc.weight": np.ones(2)}
    back = jaxcnn.to_variables(arrays, variables, strict=False)
    assert back["params"]["0"]["bias"].tolist() == [7, 8]
    assert jnp.array_equal(back["params"]["0"]["weight"], variables["params"]["0"]["weight"])


def test_not_strict_still_checks_shapes(variables: Any) -> None:
    message = r"wrong shape: 0\.bias: expected \(2,\), got \(3,\)$"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"0.bias": np.ones(3)}, variables, strict=False)


def test_not_strict_needs_values_to_keep(variables: Any) -> None:
    like = jax.eval_shape(lambda: variables)
    with pytest.raises(ValueError, match=r"got\n  missing: 0\.weight, 1\.bias, .*$"):
        jaxcnn.to_variables({"0.bias": np.ones(2)}, like, strict=False)


def test_rename(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    theirs = {
        f"module.{name.replace('0.', 'conv.').replace('1.', 'bn.')}": x
        for name, x in arrays.items()
    }
    rename = {r"^module\.": "", r"^conv\.": "0.", r"^bn\.": "1."}
    back = jaxcnn.to_variables(theirs, variables, rename=rename)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_rename_collision(variables: Any) -> None:
    arrays = {"a.weight": np.ones(1), "b.weight": np.ones(1)}
    message = (
        r"^to_variables: rename must not give two keys the same name, "
        r"got name='weight', key='b\.weight'\.$"
    )
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables(arrays, variables, rename={r"^[ab]\.": ""})


@pytest.mark.parametrize(
    "tree",
    [
        {"params": {"a": {"b": jnp.ones(1)}, "a.b": jnp.ones(1)}},
        {"params": {"a": {"b": jnp.ones(1)}}, "batch_stats": {"a": {"b": jnp.ones(1)}}},
    ],
    ids=["dot", "collection"],
)
def test_names_must_be_unique(tree: Any) -> None:
    message = r"^to_state_dict: every leaf must have a dotted name of its own, got name='a\.b'\.$"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_state_dict(tree)


def test_bfloat16_is_kept() -> None:
    tree = {"params": {"w": jnp.array([1.5, -2.0], jnp.bfloat16)}}
    arrays = jaxcnn.to_state_dict(tree)
    assert arrays["w"].dtype == jnp.bfloat16
    assert jaxcnn.to_variables(arrays, tree)["params"]["w"].tolist() == [1.5, -2.0]


@pytest.mark.torch
def test_takes_tensors(variables: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    arrays = jaxcnn.to_state_dict(variables)
    tensors = {k: torch.tensor(x) for k, x in arrays.items()}
    back = jaxcnn.to_variables(tensors, variables)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))
