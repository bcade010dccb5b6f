"""Containers as containers: indexing, slices, ModuleList, ModuleDict, tying, linen's transforms."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn, torch_repr

KEY = jax.random.key(0)
X = jnp.asarray(np.random.RandomState(0).standard_normal((2, 3)), jnp.float32)


def keys(variables: Any) -> list[str]:
    return sorted(jaxcnn.to_state_dict(variables))


def chain(nn: Any) -> Any:
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Sigmoid())


def named(nn: Any) -> Any:
    layers = {"fc": nn.Linear(3, 3), "act": nn.ReLU(), "out": nn.Linear(3, 3)}
    return nn.Sequential(collections.OrderedDict(layers))


def tied(nn: Any) -> Any:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.Sigmoid(), layer, nn.Linear(3, 3))


CHAINS = {"positions": chain, "names": named, "tied": tied}
SLICES = [slice(2), slice(1, None), slice(-1, None), slice(None, None, 2), slice(5, 9), slice(None)]


@pytest.mark.torch
@pytest.mark.parametrize("index", SLICES, ids=str)
@pytest.mark.parametrize("build", CHAINS.values(), ids=CHAINS)
def test_a_slice_is_torchs(build: Callable[[Any], Any], index: slice) -> None:
    """Names, printed tree and, from the whole model's weights, output."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs, ours = build(torch.nn), build(nn)
    like = jax.eval_shape(ours.init, KEY, X)
    state_dict = {k: v.numpy() for k, v in theirs.state_dict().items()}
    variables = jaxcnn.to_variables(state_dict, like, tied=jaxcnn.tied_names(ours, X))
    part = ours[index]
    assert len(part) == len(theirs[index])
    assert torch_repr(part, X.shape) == str(theirs[index])
    state_dict = jaxcnn.to_state_dict(part.init(KEY, X), tied=jaxcnn.tied_names(part, X))
    assert state_dict.keys() >= theirs[index].state_dict().keys()
    expected = theirs[index](torch.tensor(np.asarray(X))).detach().numpy()
    np.testing.assert_allclose(part.apply(variables, X), expected, rtol=1e-5, atol=1e-6)
    bound = ours.bind(variables)[index]
    np.testing.assert_allclose(bound(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", CHAINS.values(), ids=CHAINS)
def test_index_len_and_iteration(build: Callable[[Any], Any]) -> None:
    model = build(nn)
    layers = [layer.module for layer in model.layers]
    assert len(model) == len(layers)
    for i in range(-len(layers), len(layers)):
        assert model[i] is layers[i]
    assert model[np.int64(1)] is layers[1]
    assert all(a is b for a, b in zip(model, layers, strict=True))
    assert layers[1] in model
    assert len(nn.Sequential()) == 0
    assert list(nn.Sequential()) == []


def test_indexing_a_bound_model_gives_bound_layers() -> None:
    model = chain(nn)
    variables = model.init(KEY, X)
    bound = model.bind(variables)
    y = X
    for layer in bound:
        y = layer(y)
    np.testing.assert_array_equal(y, model.apply(variables, X))
    layer, own = bound[-2].unbind()
    assert own["params"] == variables["params"]["2"]
    np.testing.assert_array_equal(layer.apply(own, X), bound[2](X))


def test_a_slice_of_a_slice() -> None:
    model = chain(nn)
    variables = model.init(KEY, X)
    whole = model[1:][1:].apply(variables, X)
    np.testing.assert_array_equal(whole, model[2:].apply(variables, X))
    np.testing.assert_array_equal(whole, model.bind(variables)[1:][1:](X))


class Slicing(linen.Module):
    """Slices in a method, and one that becomes a layer of its own."""

    def setup(self) -> None:
        self.body = chain(nn)
        self.tail = self.body[2:]

    def __call__(self, x: Any) -> jax.Array:
        return self.tail(self.body[:2](x)) + self.body[0](x)


class SlicingCompact(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Sigmoid(), name="body")
        return body[2:](body[:2](x)) + body[0](x)


@pytest.mark.parametrize("model", [Slicing(), SlicingCompact()], ids=lambda m: type(m).__name__)
def test_slices_inside_a_module_share_parameters(model: linen.Module) -> None:
    variables = model.init(KEY, X)
    assert keys(variables) == ["body.0.bias", "body.0.weight", "body.2.bias", "body.2.weight"]
    body = {"params": variables["params"]["body"]}
    whole = chain(nn)
    expected = whole.apply(body, X) + whole[:1].apply(body, X)
    np.testing.assert_allclose(model.apply(variables, X), expected, rtol=1e-6)


INDEX_ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "above": (
        lambda: chain(nn)[4],
        IndexError,
        "Sequential: index must be in range(-4, 4), got index=4.",
    ),
    "below": (
        lambda: chain(nn)[-5],
        IndexError,
        "Sequential: index must be in range(-4, 4), got index=-5.",
    ),
    "empty": (
        lambda: nn.ModuleList()[0],
        IndexError,
        "ModuleList: index must be in range(0, 0), got index=0.",
    ),
    "name": (
        lambda: named(nn)["fc"],
        TypeError,
        "Sequential: index must be an int or a slice, got index='fc'.",
    ),
    "bool": (
        lambda: nn.ModuleList([nn.ReLU()])[True],
        TypeError,
        "ModuleList: index must be an int or a slice, got index=True.",
    ),
    "dotted": (
        lambda: nn.Sequential({"a.b": nn.ReLU()}),
        ValueError,
        "Sequential: a layer's name must not be empty or hold a dot, got name='a.b'.",
    ),
    "nameless": (
        lambda: nn.ModuleDict({"": nn.ReLU()}),
        ValueError,
        "ModuleDict: a layer's name must not be empty or hold a dot, got name=''.",
    ),
    "linens": (
        lambda: nn.ModuleDict({"keys": nn.ReLU()}),
        ValueError,
        "ModuleDict: a layer's name must not be linen's, got name='keys'.",
    ),
    "number": (
        lambda: nn.ModuleDict({1: nn.ReLU()}),  # type: ignore[dict-item]
        TypeError,
        "ModuleDict: a layer's name must be a string, got name=1.",
    ),
    "no-list": (
        lambda: nn.ModuleList(3),  # type: ignore[arg-type]
        TypeError,
        "ModuleList: modules must be an iterable of layers, got modules=3.",
    ),
    "no-layers": (
        lambda: nn.ModuleList([3]),  # type: ignore[list-item]
        TypeError,
        "ModuleList: layer '0' must be a linen module, got layer=3.",
    ),
    "no-dict": (
        lambda: nn.ModuleDict(3),  # type: ignore[arg-type]
        TypeError,
        "ModuleDict: modules must be a mapping or an iterable of pairs, got modules=3.",
    ),
    "no-pairs": (
        lambda: nn.ModuleDict(["ab"]),  # type: ignore[list-item]
        TypeError,
        "ModuleDict: modules must be a mapping or an iterable of pairs, got modules=['ab'].",
    ),
}


@pytest.mark.parametrize("name", INDEX_ERRORS)
def test_errors(name: str) -> None:
    call, error, message = INDEX_ERRORS[name]
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


def test_key_error() -> None:
    layers = nn.ModuleDict({"relu": nn.ReLU(), "sigmoid": nn.Sigmoid()})
    message = "ModuleDict: key must be one of ['relu', 'sigmoid'], got key='tanh'."
    with pytest.raises(KeyError, match=re.escape(message)):
        layers["tanh"]


class Lists(linen.Module):
    """Every way to use a ModuleList: by index, in a loop, as a slice, nested, empty."""

    def setup(self) -> None:
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))
        self.nested = nn.ModuleList([nn.ModuleList([nn.Linear(3, 3)]), nn.ReLU()])
        self.none = nn.ModuleList()

    def __call__(self, x: Any) -> jax.Array:
        for layer in self.layers[:2]:
            x = layer(x)
        x = self.layers[-1](x) * len(self.layers) + len(self.none)
        return self.nested[1](self.nested[0][0](x))


class ListsInCompact(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        layers = nn.ModuleList((nn.Linear(3, 3) for _ in range(3)), name="layers")
        inner = nn.ModuleList([nn.Linear(3, 3)])
        nested = nn.ModuleList([inner, nn.ReLU()], name="nested")
        nn.ModuleList(name="none")
        for layer in layers:
            x = layer(x)
        return nested[1](nested[0][0](x * len(layers)))


class Dicts(linen.Module):
    def setup(self) -> None:
        self.branches = nn.ModuleDict({"left": nn.Linear(3, 3), "right": nn.Linear(3, 3)})
        self.pairs = nn.ModuleDict([("act", nn.ReLU()), ("0", nn.Linear(3, 3))])
        self.none = nn.ModuleDict()

    def __call__(self, x: Any) -> jax.Array:
        assert list(self.branches) == list(self.branches.keys()) == ["left", "right"]
        assert "left" in self.branches
        assert "act" not in self.branches
        assert (len(self.branches), len(self.none)) == (2, 0)
        x = sum(branch(x) for branch in self.branches.values())
        for name, layer in self.pairs.items():
            x = layer(x) if name != "0" else self.pairs["0"](x)
        return x


class DictsInCompact(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        left, right = nn.Linear(3, 3), nn.Linear(3, 3)
        branches = nn.ModuleDict({"left": left, "right": right}, name="branches")
        pairs = nn.ModuleDict({"act": nn.ReLU(), "0": nn.Linear(3, 3)}, name="pairs")
        nn.ModuleDict(name="none")
        return pairs["0"](pairs["act"](branches["left"](x) + branches["right"](x)))


def torch_net(name: str) -> Any:
    """The same in PyTorch, which the test imports."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    tnn = torch.nn

    class Net(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            if name.startswith("Lists"):
                self.layers = tnn.ModuleList(tnn.Linear(3, 3) for _ in range(3))
                self.nested = tnn.ModuleList([tnn.ModuleList([tnn.Linear(3, 3)]), tnn.ReLU()])
                self.none = tnn.ModuleList()
            else:
                self.branches = tnn.ModuleDict(
                    {"left": tnn.Linear(3, 3), "right": tnn.Linear(3, 3)}
                )
                self.pairs = tnn.ModuleDict([("act", tnn.ReLU()), ("0", tnn.Linear(3, 3))])
                self.none = tnn.ModuleDict()

        def forward(self, x: Any) -> Any:
            if name.startswith("Lists"):
                for layer in self.layers:
                    x = layer(x)
                return self.nested[1](self.nested[0][0](x * 3))
            x = self.branches["left"](x) + self.branches["right"](x)
            return self.pairs["0"](self.pairs["act"](x))

    return Net()


NETS = [Lists(), ListsInCompact(), Dicts(), DictsInCompact()]


@pytest.mark.torch
@pytest.mark.parametrize("model", NETS, ids=lambda m: type(m).__name__)
def test_lists_and_dicts_are_torchs(model: linen.Module) -> None:
    """state_dict keys, printed tree, output under jit, gradients to every layer."""
    theirs = torch_net(type(model).__name__)
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    like = jax.eval_shape(model.init, KEY, X)
    variables = jaxcnn.to_variables(theirs.state_dict(), like)
    name = type(model).__name__
    assert torch_repr(model, X.shape) == str(theirs).replace("Net", name, 1)
    x = torch.tensor(np.asarray(X))
    ours = jax.jit(model.apply)(variables, X)
    np.testing.assert_allclose(ours, theirs(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    theirs(x).square().sum().backward()
    grads = jax.grad(lambda v: (model.apply(v, X) ** 2).sum())(variables)
    gradients = jaxcnn.to_state_dict(grads)
    for name, p in theirs.named_parameters():
        np.testing.assert_allclose(gradients[name], p.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_unbound_lists_and_dicts() -> None:
    first, second = nn.ReLU(), nn.Sigmoid()
    layers = nn.ModuleList([first, second])
    assert (layers[-1], layers[1:][0], list(layers)) == (second, second, [first, second])
    by_name = nn.ModuleDict({"b": first, "a": second})
    assert list(by_name.items()) == [("b", first), ("a", second)]
    assert by_name["a"] is second


@pytest.mark.torch
@pytest.mark.parametrize("index", SLICES, ids=str)
def test_a_slice_of_a_list_is_numbered_anew(index: slice) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs, ours = (
        package.ModuleList([package.ReLU(), package.Sigmoid(), package.Linear(3, 3)])[index]
        for package in (torch.nn, nn)
    )
    names = [(name, type(layer).__name__) for name, layer in theirs.named_children()]
    assert [(name, type(layer).__name__) for name, layer in ours.named_children()] == names


class DottedNames(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        x = nn.Linear(3, 3, name="layers.0.0")(x)
        x = nn.Linear(3, 3, name="layers.0.1")(x)
        x = nn.ReLU(name="layers.1")(x)
        return nn.Linear(3, 3, name="heads.a")(x) + nn.Linear(3, 3, name="heads.b")(x)


@pytest.mark.torch
def test_names_with_dots_print_as_containers() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    tnn = torch.nn
    theirs = tnn.Module()
    inner = tnn.ModuleList([tnn.Linear(3, 3), tnn.Linear(3, 3)])
    theirs.layers = tnn.ModuleList([inner, tnn.ReLU()])
    theirs.heads = tnn.ModuleDict({"a": tnn.Linear(3, 3), "b": tnn.Linear(3, 3)})
    assert torch_repr(DottedNames(), X.shape) == str(theirs).replace("Module", "DottedNames", 1)
    variables = DottedNames().init(KEY, X)
    assert keys(variables) == sorted(theirs.state_dict())


class Pair(linen.Module):
    """Two layers from outside, which may be one or hold one."""

    first: linen.Module
    second: linen.Module

    def __call__(self, x: Any) -> jax.Array:
        return self.second(self.first(x))


class TiedLists(linen.Module):
    def setup(self) -> None:
        layer = nn.Linear(3, 3)
        self.layers = nn.ModuleList([layer, nn.ReLU(), layer])
        self.by_name = nn.ModuleDict({"a": self.layers[0], "b": nn.Linear(3, 3)})
        self.again = self.by_name

    def __call__(self, x: Any) -> jax.Array:
        for layer in (*self.layers, *self.again.values()):
            x = layer(x)
        return x


def _pair(nn: Any, pair: Any, first: Any, second: Any) -> Any:
    layer = nn.Linear(3, 3)
    return pair(first(nn, layer), second(nn, layer))


ALONE = lambda nn, layer: layer
INSIDE = lambda nn, layer: nn.Sequential(nn.Sigmoid(), layer)
TIED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sequential": lambda nn, pair, lists: tied(nn),
    "block": lambda nn, pair, lists: nn.Sequential(
        b := nn.Sequential(nn.Linear(3, 3), nn.ReLU()), b, nn.Sequential(b, b)
    ),
    "siblings": lambda nn, pair, lists: nn.Sequential(
        nn.Sequential(b := nn.Linear(3, 3)), nn.Sequential(nn.ReLU(), b)
    ),
    "fields": lambda nn, pair, lists: _pair(nn, pair, ALONE, ALONE),
    "field-then-inside": lambda nn, pair, lists: _pair(nn, pair, ALONE, INSIDE),
    "inside-then-field": lambda nn, pair, lists: _pair(nn, pair, INSIDE, ALONE),
    "inside-both": lambda nn, pair, lists: _pair(nn, pair, INSIDE, INSIDE),
    "lists": lambda nn, pair, lists: lists(),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", TIED)
def test_tied_models_load_save_and_print_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    tnn = torch.nn

    class TorchPair(tnn.Module):
        def __init__(self, first: Any, second: Any) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: Any) -> Any:
            return self.second(self.first(x))

    class TorchLists(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = tnn.Linear(3, 3)
            self.layers = tnn.ModuleList([layer, tnn.ReLU(), layer])
            self.by_name = tnn.ModuleDict({"a": layer, "b": tnn.Linear(3, 3)})
            self.again = self.by_name

        def forward(self, x: Any) -> Any:
            for layer in (*self.layers, *self.again.values()):
                x = layer(x)
            return x

    theirs, ours = TIED[name](tnn, TorchPair, TorchLists), TIED[name](nn, Pair, TiedLists)
    text = str(theirs).replace("TorchPair", "Pair").replace("TorchLists", "TiedLists")
    assert torch_repr(ours, X.shape) == text
    names = jaxcnn.tied_names(ours, X)
    like = jax.eval_shape(ours.init, KEY, X)
    variables = jaxcnn.to_variables(theirs.state_dict(), like, tied=names)
    assert jaxcnn.parameters.count_parameters(variables) == sum(
        p.numel() for p in theirs.parameters()
    )
    expected = theirs(torch.tensor(np.asarray(X))).detach().numpy()
    np.testing.assert_allclose(ours.apply(variables, X), expected, rtol=1e-5, atol=1e-6)
    saved = jaxcnn.to_state_dict(variables, tied=names)
    assert saved.keys() == theirs.state_dict().keys()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in saved.items()})


def test_running_statistics_are_tied_too() -> None:
    norm = nn.BatchNorm2d(3)
    model, x = nn.Sequential(norm, nn.ReLU(), norm), jnp.ones((2, 2, 2, 3))
    variables, names = model.init(KEY, x), jaxcnn.tied_names(model, x)
    state_dict = jaxcnn.to_state_dict(variables, tied=names)
    assert "2.running_mean" in state_dict
    assert state_dict["2.num_batches_tracked"].dtype == np.int64
    back = jaxcnn.to_variables(state_dict, variables, tied=names)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_a_tied_layer_may_come_under_any_of_its_names() -> None:
    model = tied(nn)
    variables, names = model.init(KEY, X), jaxcnn.tied_names(model, X)
    arrays = jaxcnn.to_state_dict(variables)
    for first in ("0", "2"):
        renamed = {re.sub("^0", first, name): array for name, array in arrays.items()}
        back = jaxcnn.to_variables(renamed, variables, tied=names)
        assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_tied_arrays_must_be_equal() -> None:
    model = tied(nn)
    variables, names = model.init(KEY, X), jaxcnn.tied_names(model, X)
    arrays = jaxcnn.to_state_dict(variables, tied=names)
    arrays["2.bias"] = arrays["2.bias"] + 1
    message = (
        "to_variables: arrays of a module used twice must be equal, got name='2.bias', "
        "first_name='0.bias'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jaxcnn.to_variables(arrays, variables, tied=names)


def test_a_model_without_ties_has_no_further_names() -> None:
    assert jaxcnn.tied_names(Lists(), X) == {}
    assert jaxcnn.tied_names(nn.Linear(3, 3), X) == {}


class Block(nn.Sequential):
    """A Sequential with a constructor of its own, as torchvision writes them."""

    def __init__(self, features: int, layers: int = 1, **linen: Any) -> None:
        super().__init__(*(nn.Linear(features, features) for _ in range(layers)), **linen)


class Plain(nn.Sequential):
    """A Sequential without one."""

    def first(self, x: Any) -> Any:
        return self[0](x)


class HoldsBlocks(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> jax.Array:
        return Block(3, layers=2, name="block")(Plain(nn.Linear(3, 3), name="plain")(x))


def test_subclasses() -> None:
    model = nn.Sequential(Block(3, layers=2), Plain(nn.Linear(3, 3)), HoldsBlocks())
    variables = model.init(KEY, X)
    inner = ["block.0", "block.1", "plain.0"]
    names = ["0.0", "0.1", "1.0", *(f"2.{name}" for name in inner)]
    assert keys(variables) == [f"{n}.{leaf}" for n in names for leaf in ("bias", "weight")]
    assert type(model[0].clone()) is Block
    assert torch_repr(Block(3), X.shape).startswith("Block(\n  (0): Linear(")
    bound = model.bind(variables)
    np.testing.assert_array_equal(bound[1].first(X), bound[1](X))
    assert type(bound[0][1:]) is Block


@pytest.mark.parametrize("transform", [linen.remat, linen.jit], ids=["remat", "jit"])
def test_lifted(transform: Any) -> None:
    """The same names, output and gradients; `train` is static, given by position."""
    lifted = transform(nn.Sequential, static_argnums=(2,))
    build = lambda container: nn.Sequential(
        container(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 3)), nn.Sigmoid()
    )
    ours, plain = build(lifted), build(nn.Sequential)
    variables = ours.init(KEY, X)
    assert keys(variables) == keys(plain.init(KEY, X))
    np.testing.assert_allclose(ours.apply(variables, X), plain.apply(variables, X), rtol=1e-6)

    def loss(v: Any, model: linen.Module, train: bool) -> jax.Array:
        return (model.apply(v, X, train, rngs={"dropout": KEY}) ** 2).sum()

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
        jax.grad(loss)(variables, ours, False),
        jax.grad(loss)(variables, plain, False),
    )
    assert float(loss(variables, ours, True)) != float(loss(variables, ours, False))


class KeywordOnly(linen.Module):
    def __call__(self, x: Any, *, train: bool = False) -> Any:
        return x + train


class ThirdArgument(linen.Module):
    def __call__(self, x: Any, scale: float = 2.0, train: bool = False) -> Any:
        return x * scale + train


def test_train_reaches_layers_that_take_it_otherwise() -> None:
    model = nn.Sequential(KeywordOnly(), ThirdArgument())
    assert float(model.apply({}, jnp.array(1.0))) == 2
    assert float(model.apply({}, jnp.array(1.0), train=True)) == 5


def test_vmap_and_dtypes() -> None:
    model = chain(nn)
    variables = model.init(KEY, X)
    mapped = jax.vmap(lambda row: model.apply(variables, row))(X)
    np.testing.assert_allclose(mapped, model.apply(variables, X), rtol=1e-6)
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), variables)
    assert model.apply(half, X.astype(jnp.bfloat16)).dtype == jnp.bfloat16
