"""Sequential: names, tying, setup and compact, the train flag, errors."""

from __future__ import annotations

from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


def keys(model: linen.Module, x: Any = X, **kwargs: Any) -> list[str]:
    return sorted(jaxcnn.to_state_dict(model.init(KEY, x, **kwargs)))


def test_names_from_positions() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    assert keys(model) == ["0.bias", "0.weight", "2.weight"]


def test_names_from_a_mapping() -> None:
    model = nn.Sequential({"fc": nn.Linear(3, 4), "act": nn.ReLU(), "out": nn.Linear(4, 2)})
    assert keys(model) == ["fc.bias", "fc.weight", "out.bias", "out.weight"]


def test_nested() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(3, 4)), nn.Sequential({"a": nn.Linear(4, 2)}))
    assert keys(model) == ["0.0.bias", "0.0.weight", "1.a.bias", "1.a.weight"]


def test_empty_returns_its_input() -> None:
    assert jnp.array_equal(nn.Sequential().apply({}, X), X)


def test_names_of_a_mapping_are_given_in_order() -> None:
    model = nn.Sequential({"b": nn.Linear(3, 4), "a": nn.Linear(4, 2)})
    assert model.init_with_output(KEY, X)[0].shape == (2, 2)


def test_a_layer_that_stands_twice_is_tied() -> None:
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.Sigmoid(), layer)
    y, variables = model.init_with_output(KEY, X)
    assert sorted(jaxcnn.to_state_dict(variables)) == ["0.bias", "0.weight"]
    params = variables["params"]["0"]
    once = lambda x: x @ params["weight"].T + params["bias"]
    np.testing.assert_allclose(y, once(jax.nn.sigmoid(once(X))), rtol=1e-6)


class InSetup(linen.Module):
    def setup(self) -> None:
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.head = nn.Linear(3, 2)

    def __call__(self, x: Any) -> jax.Array:
        return self.head(self.body(x))


class InCompact(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        x = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), name="body")(x)
        return nn.Linear(3, 2, name="head")(x)


class TiedInCompact(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        layer = nn.Linear(3, 3)
        return nn.Sequential(layer, nn.ReLU(), layer, name="body")(x)


@pytest.mark.parametrize("model", [InSetup(), InCompact()], ids=lambda m: type(m).__name__)
def test_inside_a_module(model: linen.Module) -> None:
    assert keys(model) == ["body.0.bias", "body.0.weight", "head.bias", "head.weight"]


def test_setup_and_compact_agree() -> None:
    variables = InSetup().init(KEY, X)
    assert jnp.array_equal(InSetup().apply(variables, X), InCompact().apply(variables, X))


def test_tied_in_compact() -> None:
    assert keys(TiedInCompact()) == ["body.0.bias", "body.0.weight"]


def test_train_is_passed_on() -> None:
    x = jnp.asarray(np.random.RandomState(0).standard_normal((4, 2, 2, 3)), jnp.float32)
    model = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.ReLU(), nn.Dropout(0.5))
    variables = model.init(KEY, x)
    y, new = model.apply(variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": KEY})
    assert int(new["batch_stats"]["0"]["0"]["num_batches_tracked"]) == 1
    assert float(jnp.mean(y == 0)) > 0.6  # half by ReLU, half of the rest by dropout
    assert float(jnp.mean(model.apply(variables, x) == 0)) < 0.6


def test_layers_of_other_libraries() -> None:
    """A linen layer without `train` gets none."""
    model = nn.Sequential(linen.Dense(4), nn.ReLU())
    assert keys(model) == ["0.bias", "0.kernel"]


def test_clone_keeps_its_layers() -> None:
    model = nn.Sequential({"a": nn.Linear(3, 4)})
    assert keys(model.clone()) == ["a.bias", "a.weight"]
    assert keys(model.clone(name="other")) == ["a.bias", "a.weight"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU), r"layer '0' must be a linen module, got layer=<class"),
        (lambda: nn.Sequential(nn.ReLU(), jnp.tanh), r"layer '1' must be a linen module, got"),
        (lambda: nn.Sequential({"a": 3}), r"layer 'a' must be a linen module, got layer=3\.$"),
        (lambda: nn.Sequential([nn.ReLU()]), r"layer '0' must be a linen module, got layer=\["),
        (
            lambda: nn.Sequential(nn.ReLU(), inplace=True),
            r"keyword arguments must be linen's parent or name, got unknown=\['inplace'\]\.$",
        ),
    ],
    ids=["class", "function", "mapping", "list", "keyword"],
)
def test_type_errors(build: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^Sequential: {message}"):
        build()


@pytest.mark.parametrize("name", ["layers", "name", "parent", "apply", "setup"])
def test_names_of_linen(name: str) -> None:
    message = f"^Sequential: a layer's name must not be linen's, got name='{name}'\\.$"
    with pytest.raises(ValueError, match=message):
        nn.Sequential({name: nn.ReLU()})


class SharedInSetup(linen.Module):
    """A layer of its own that also stands in a Sequential."""

    def setup(self) -> None:
        self.a = nn.Linear(3, 3)
        self.s = nn.Sequential(self.a, nn.ReLU())

    def __call__(self, x: Any) -> Any:
        return self.s(self.a(x))


class SharedInCompact(linen.Module):
    """A layer that was called before it is given to a Sequential."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        a = nn.Linear(3, 3, name="a")
        y = a(x)
        return nn.Sequential(a, name="s")(y)


class TwoSequentials(linen.Module):
    """A new layer that is given to two Sequentials."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        a = nn.Linear(3, 3)
        return nn.Sequential(a, name="t")(nn.Sequential(a, name="s")(x))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        pytest.param(SharedInSetup(), "a", id="setup"),
        pytest.param(SharedInCompact(), "a", id="compact"),
        pytest.param(TwoSequentials(), "s.0", id="two"),
    ],
)
def test_a_shared_layer_is_one_set_of_parameters(model: linen.Module, name: str) -> None:
    variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
    assert set(jaxcnn.to_state_dict(variables)) == {f"{name}.weight", f"{name}.bias"}


def test_tabulate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    assert "Conv2d" in model.tabulate(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
