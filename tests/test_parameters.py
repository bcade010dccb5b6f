"""jaxcnn.parameters: what seed 004 does with the parameters of a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import init, nn, parameters

KEY = jax.random.key(0)


def deep(nn: Any) -> Any:
    """Twelve layers, so that "10" must not come before "2", one of them nested."""
    layers = [nn.Linear(3, 3) for _ in range(10)]
    block = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm2d(4))
    return nn.Sequential(*layers, nn.Sequential(block, nn.ReLU()), nn.Conv2d(4, 2, 1))


X = jnp.ones((2, 3, 3, 3))


@pytest.fixture(scope="module", params=["jit", "eager"])
def variables(request: pytest.FixtureRequest) -> Any:
    """A jitted init sorts the tree, an eager one does not: names and order must be the same."""
    model = deep(nn)
    return (jax.jit(model.init) if request.param == "jit" else model.init)(KEY, X)


@pytest.mark.torch
def test_named_parameters_as_in_torch(variables: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = [(name, tuple(p.shape)) for name, p in deep(torch.nn).named_parameters()]
    ours = [(name, p.shape) for name, p in parameters.named_parameters(variables).items()]
    assert ours == theirs
    total = sum(p.numel() for p in deep(torch.nn).parameters())
    assert parameters.count_parameters(variables) == total


def test_named_parameters_are_those_of_the_tree(variables: Any) -> None:
    named = parameters.named_parameters(variables)
    assert list(named)[:2] == ["0.weight", "0.bias"]
    assert list(named)[-5:] == [
        "10.0.0.weight",
        "10.0.1.weight",
        "10.0.1.bias",
        "11.weight",
        "11.bias",
    ]
    assert named["10.0.1.bias"] is variables["params"]["10"]["0"]["1"]["bias"]


def test_shapes_alone_suffice() -> None:
    shapes = jax.eval_shape(deep(nn).init, KEY, X)
    assert parameters.named_parameters(shapes)["11.weight"].shape == (2, 4, 1, 1)
    assert parameters.count_parameters(shapes) == 150


@pytest.mark.parametrize("state", [{}, {"batch_stats": {"running_mean": jnp.ones(1)}}], ids=str)
def test_a_model_without_parameters(state: Any) -> None:
    assert parameters.named_parameters(state) == {}
    assert parameters.count_parameters(state) == 0


def test_get_parameter(variables: Any) -> None:
    weight = parameters.get_parameter(variables, "10.0.0.weight")
    assert weight is variables["params"]["10"]["0"]["0"]["weight"]


def test_get_the_gradient_of_a_parameter(variables: Any) -> None:
    def loss(params: Any) -> jax.Array:
        return deep(nn).apply({**variables, "params": params}, X).sum()

    grads = jax.grad(loss)(variables["params"])
    bias = parameters.get_parameter({"params": grads}, "11.bias")
    np.testing.assert_allclose(bias, [18, 18])


def test_with_parameter(variables: Any) -> None:
    before = jaxcnn.to_state_dict(variables)
    value = np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1)
    new = parameters.with_parameter(variables, "11.weight", value)
    assert jax.tree.structure(new) == jax.tree.structure(variables)
    after = jaxcnn.to_state_dict(new)
    np.testing.assert_array_equal(after.pop("11.weight"), value)
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(
        parameters.get_parameter(variables, "11.weight"), before["11.weight"]
    )
    assert new["params"]["11"]["bias"] is variables["params"]["11"]["bias"]


def test_parameters_of_modules_named_with_a_dot() -> None:
    tree = {"params": {"layer1.0": {"weight": jnp.zeros(2)}, "head": {"weight": jnp.zeros(2)}}}
    new = parameters.with_parameter(tree, "layer1.0.weight", jnp.ones(2))
    assert parameters.get_parameter(new, "layer1.0.weight").tolist() == [1, 1]
    assert parameters.get_parameter(new, "head.weight").tolist() == [0, 0]


def test_replacing_works_under_jit(variables: Any) -> None:
    double = jax.jit(
        lambda v: parameters.with_parameter(v, "0.bias", 2 * parameters.get_parameter(v, "0.bias"))
    )
    new = double(variables)
    np.testing.assert_array_equal(new["params"]["0"]["bias"], 2 * variables["params"]["0"]["bias"])


@pytest.fixture
def zeros() -> Any:
    shapes = {"0": (6, 1, 5, 5), "7": (120, 400), "11": (10, 84)}
    params = {k: {"weight": jnp.zeros(s), "bias": jnp.zeros(s[0])} for k, s in shapes.items()}
    return {"params": params, "batch_stats": {"1": {"running_mean": jnp.zeros(6)}}}


def test_reinitialize(zeros: Any) -> None:
    new = parameters.reinitialize(zeros, jax.random.key(1), init.xavier_uniform(), r"weight$")
    assert jax.tree.structure(new) == jax.tree.structure(zeros)
    assert new["batch_stats"] is zeros["batch_stats"]
    for layer, leaves in new["params"].items():
        assert leaves["bias"] is zeros["params"][layer]["bias"]
        assert not jnp.array_equal(leaves["weight"], zeros["params"][layer]["weight"])
    bound = (6 / 520) ** 0.5
    assert 0.99 * bound < float(jnp.abs(new["params"]["7"]["weight"]).max()) <= bound


def test_reinitialize_by_full_name(zeros: Any) -> None:
    new = parameters.reinitialize(zeros, jax.random.key(1), init.uniform(), r"^(0|11)\.")
    old = zeros["params"]
    changed = {k for k, v in new["params"].items() if v["weight"] is not old[k]["weight"]}
    assert changed == {"0", "11"}


def test_each_parameter_is_drawn_by_itself() -> None:
    twins = {"params": {"a": {"weight": jnp.zeros((4, 4))}, "b": {"weight": jnp.zeros((4, 4))}}}
    new = parameters.reinitialize(twins, jax.random.key(1), init.uniform(), "weight")["params"]
    assert not jnp.array_equal(new["a"]["weight"], new["b"]["weight"])


class Net(linen.Module):
    """Layers made in setup, in a container, with a dotted name and of another library."""

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        layers = nn.ModuleList((nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 3)), name="convs")
        for layer in layers:
            x = layer(x)
        x = nn.BatchNorm2d(4, name="norm.0")(x, train)
        return linen.Dense(2)(nn.Linear(4, 3, name="fc")(x))


NET_X = jnp.ones((1, 6, 6, 3))
RULES = {
    nn.Linear: {"weight": init.constant(2.0), "bias": init.constant(3.0)},
    nn.Conv2d: {"weight": init.dirac(), "bias": init.constant(4.0)},
    linen.Module: {"kernel": init.constant(5.0)},
}


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: jax.jit(lambda: v)()], ids=["", "sorted"])
def test_reinitialize_layers(wrap: Callable[[Any], Any]) -> None:
    """By type; a subclass counts as its base, the first type that fits decides."""
    variables = wrap(Net().init(KEY, NET_X))
    new = parameters.reinitialize_layers(variables, KEY, RULES, Net(), NET_X)
    old, named = map(parameters.named_parameters, (variables, new))
    values = {name: np.unique(p).tolist() for name, p in named.items() if p is not old[name]}
    assert values == {
        "convs.0.weight": [0, 1],
        "convs.1.weight": [0, 1],
        "convs.1.bias": [4],
        "fc.weight": [2],
        "fc.bias": [3],
        "Dense_0.kernel": [5],
    }
    assert new["batch_stats"] is variables["batch_stats"]


def test_reinitialize_layers_sees_the_model_each_time() -> None:
    """A cached trace would visit no module."""
    variables = Net().init(KEY, NET_X)
    for _ in range(2):
        new = parameters.reinitialize_layers(variables, KEY, RULES, Net(), NET_X)
        assert float(new["params"]["fc"]["bias"][0]) == 3


def test_reinitialize_layers_of_a_single_layer() -> None:
    layer = nn.Linear(3, 2)
    new = parameters.reinitialize_layers(
        layer.init(KEY, X), KEY, {nn.Linear: {"bias": init.ones()}}, layer, X
    )
    assert new["params"]["bias"].tolist() == [1, 1]


def test_an_option_that_is_off_is_passed_over() -> None:
    """PyTorch: `if m.bias is not None`."""
    layer = nn.Linear(3, 2, bias=False)
    variables = layer.init(KEY, X)
    rules = {nn.Linear: {"bias": init.zeros()}}
    new = parameters.reinitialize_layers(variables, KEY, rules, layer, X)
    assert new["params"]["weight"] is variables["params"]["weight"]


FC = {"params": {"fc": {"weight": jnp.zeros((4, 3)), "bias": jnp.zeros(4)}}}
LINEAR = nn.Linear(3, 4)
BARE = {"params": FC["params"]["fc"]}

VALUE_ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "a-params-tree": (
        lambda: parameters.named_parameters(FC["params"]),
        "named_parameters: variables must hold the parameters under 'params', got keys=['fc'].",
    ),
    "count-a-params-tree": (
        lambda: parameters.count_parameters(FC["params"]),
        "count_parameters: variables must hold the parameters under 'params', got keys=['fc'].",
    ),
    "same-name": (
        lambda: parameters.named_parameters(
            {"params": {"a": {"b": jnp.ones(1)}, "a.b": jnp.ones(1)}}
        ),
        "named_parameters: every leaf must have a dotted name of its own, got name='a.b'.",
    ),
    "get-close": (
        lambda: parameters.get_parameter(FC, "fc.wieght"),
        "get_parameter: there must be such a parameter, got name='fc.wieght'; close names: "
        "['fc.weight'].",
    ),
    "get-far": (
        lambda: parameters.get_parameter(FC, "x"),
        "get_parameter: there must be such a parameter, got name='x'; named_parameters lists them.",
    ),
    "with-close": (
        lambda: parameters.with_parameter(FC, "fc.bia", jnp.ones(4)),
        "with_parameter: there must be such a parameter, got name='fc.bia'; close names: "
        "['fc.bias'].",
    ),
    "with-shape": (
        lambda: parameters.with_parameter(FC, "fc.weight", jnp.ones((3, 4))),
        "with_parameter: value must have the shape of 'fc.weight', (4, 3), got shape=(3, 4).",
    ),
    "reinitialize": (
        lambda: parameters.reinitialize(FC, KEY, init.uniform(), "wieght"),
        "reinitialize: no parameter among ['fc.bias', 'fc.weight'] matches, got pattern='wieght'.",
    ),
    "layers-type": (
        lambda: parameters.reinitialize_layers(
            BARE, KEY, {nn.Conv2d: {"weight": init.ones()}}, LINEAR, X
        ),
        "reinitialize_layers: the model must have a layer of each type that no earlier type "
        "takes, got type='Conv2d'.",
    ),
    "layers-shadowed": (
        lambda: parameters.reinitialize_layers(
            BARE, KEY, {linen.Module: {}, nn.Linear: {"weight": init.ones()}}, LINEAR, X
        ),
        "reinitialize_layers: the model must have a layer of each type that no earlier type "
        "takes, got type='Linear'.",
    ),
    "layers-parameter": (
        lambda: parameters.reinitialize_layers(
            BARE, KEY, {nn.Linear: {"wieght": init.ones()}}, LINEAR, X
        ),
        "reinitialize_layers: Linear has the parameters ['bias', 'weight'], got "
        "parameter='wieght'.",
    ),
}


@pytest.mark.parametrize("name", VALUE_ERRORS)
def test_value_errors(name: str) -> None:
    call, message = VALUE_ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_value_of_another_dtype() -> None:
    message = (
        "^with_parameter: value must have the dtype of 'fc.bias', float32, got dtype='int32'\\.$"
    )
    with pytest.raises(TypeError, match=message):
        parameters.with_parameter(FC, "fc.bias", jnp.ones(4, jnp.int32))


def test_an_initialiser_for_a_whole_type() -> None:
    message = (
        "^reinitialize_layers: initializers must map Linear to initialisers by parameter, got "
        "value=<function"
    )
    with pytest.raises(TypeError, match=message):
        parameters.reinitialize_layers(BARE, KEY, {nn.Linear: init.ones()}, LINEAR, X)
