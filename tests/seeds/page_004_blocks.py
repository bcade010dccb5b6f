"""Page 004, notes on Dive into Deep Learning: blocks, parameters, layers of one's own."""

from __future__ import annotations

from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp

from jaxcnn import functional as F
from jaxcnn import init, nn, parameters

from .example import Code, Layer, fill, fill_torch, numbers

# Layers and blocks.


class MLP(linen.Module):
    """A block made by hand."""

    def setup(self) -> None:
        self.hidden = nn.Linear(20, 256)
        self.out = nn.Linear(256, 10)

    def __call__(self, x: Any) -> Any:
        return self.out(F.relu(self.hidden(x)))


def mlp_torch(torch: Any) -> Any:
    block = torch.nn.ModuleDict(
        {"hidden": torch.nn.Linear(20, 256), "out": torch.nn.Linear(256, 10)}
    )
    fill_torch(torch, block)
    x = torch.tensor(numbers("x", (2, 20)))
    return {"output": block["out"](torch.relu(block["hidden"](x)))}


def mlp() -> Any:
    x = jnp.asarray(numbers("x", (2, 20)))
    return {"output": MLP().apply(fill(MLP(), x), x)}


class MySequential(linen.Module):
    """Sequential, made by hand."""

    layers: tuple[linen.Module, ...]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


def my_sequential_torch(torch: Any) -> Any:
    layers = torch.nn.ModuleDict(
        {"layers_0": torch.nn.Linear(20, 8), "layers_2": torch.nn.Linear(8, 10)}
    )
    fill_torch(torch, layers)
    x = torch.tensor(numbers("x", (2, 20)))
    return {"output": layers["layers_2"](torch.relu(layers["layers_0"](x)))}


def my_sequential() -> Any:
    x = jnp.asarray(numbers("x", (2, 20)))
    net = MySequential((nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 10)))
    return {"output": net.apply(fill(net, x), x)}


class FixedHiddenMLP(linen.Module):
    """Constants that are no parameters, a layer used twice, and control flow by value."""

    def setup(self) -> None:
        self.linear = nn.Linear(20, 20)

    def __call__(self, x: Any) -> Any:
        x = self.linear(x)
        x = self.linear(F.relu(x @ numbers("constant", (20, 20)) + 1))
        x = jax.lax.while_loop(lambda x: jnp.abs(x).sum() > 1, lambda x: x / 2, x)
        return x.sum()


def fixed_hidden_torch(torch: Any) -> Any:
    linear = fill_torch(torch, torch.nn.ModuleDict({"linear": torch.nn.Linear(20, 20)}))["linear"]
    x = linear(torch.tensor(numbers("x", (2, 20))))
    x = linear(torch.relu(x @ torch.tensor(numbers("constant", (20, 20))) + 1))
    while x.abs().sum() > 1:
        x = x / 2
    return {"output": x.sum()}


def fixed_hidden() -> Any:
    x = jnp.asarray(numbers("x", (2, 20)))
    net = FixedHiddenMLP()
    return {"output": jax.jit(net.apply)(fill(net, x), x)}


# Parameters.


def tied_torch(torch: Any) -> Any:
    shared = torch.nn.Linear(8, 8)
    relu = torch.nn.ReLU()
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 8), relu, shared, relu, shared, relu, torch.nn.Linear(8, 1)
    )
    fill_torch(torch, net)
    output = net(torch.tensor(numbers("x", (2, 4))))
    output.sum().backward()
    return {"output": output, "gradient": shared.weight.grad}


def tied() -> Any:
    x = jnp.asarray(numbers("x", (2, 4)))
    shared = nn.Linear(8, 8)
    net = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 1)
    )
    variables = fill(net, x)
    gradients = jax.grad(lambda v: net.apply(v, x).sum())(variables)
    gradient = parameters.get_parameter(gradients, "2.weight")
    return {"output": net.apply(variables, x), "gradient": gradient}


def my_init_torch(torch: Any) -> Any:
    """Uniform in -10..10, and zero where that is less than 5 from zero."""
    w = torch.tensor(10 * numbers("0.weight", (8, 4)))
    w *= w.abs() >= 5
    w[:] += 1
    w[0, 0] = 42
    return {"weight": w}


def my_init() -> Any:
    def initializer(key: Any, shape: Any, dtype: Any) -> Any:
        del key  # a test must know the numbers
        w = 10 * numbers("0.weight", shape)
        return jnp.asarray(w * (abs(w) >= 5), dtype)

    net, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), jnp.ones((2, 4))
    variables = net.init(jax.random.key(0), x)
    initializers = {nn.Linear: {"weight": initializer, "bias": init.zeros()}}
    key = jax.random.key(1)
    variables = parameters.reinitialize_layers(variables, key, initializers, net, x)
    weight = parameters.get_parameter(variables, "0.weight")
    variables = parameters.with_parameter(variables, "0.weight", (weight + 1).at[0, 0].set(42))
    return {"weight": parameters.get_parameter(variables, "0.weight")}


# Layers of one's own.


class CenteredLayer(linen.Module):
    """A layer without parameters."""

    @linen.compact
    def __call__(self, x: Any) -> Any:
        return x - x.mean()


def centered_torch(torch: Any) -> Any:
    linear = fill_torch(torch, torch.nn.Sequential(torch.nn.Linear(8, 128)))
    y = linear(torch.tensor(numbers("x", (4, 8))))
    return {"output": y - y.mean(), "of five": torch.arange(1.0, 6) - 3}


def centered() -> Any:
    x = jnp.asarray(numbers("x", (4, 8)))
    net = nn.Sequential(nn.Linear(8, 128), CenteredLayer())
    five = CenteredLayer().apply({}, jnp.arange(1.0, 6))
    return {"output": net.apply(fill(net, x), x), "of five": five}


class MyLinear(linen.Module):
    """A layer with parameters, (in, units) as the page has them."""

    in_units: int
    units: int

    @linen.compact
    def __call__(self, x: Any) -> Any:
        weight = self.param("weight", init.normal(), (self.in_units, self.units))
        bias = self.param("bias", init.normal(), (self.units,))
        return F.relu(x @ weight + bias)


def my_linear_torch(torch: Any) -> Any:
    x = torch.tensor(numbers("x", (2, 64)))
    for i, shape in enumerate([(64, 8), (8, 1)]):
        weight = torch.tensor(numbers(f"{i}.weight", shape))
        x = torch.relu(x @ weight + torch.tensor(numbers(f"{i}.bias", shape[1:])))
    return {"output": x}


def my_linear() -> Any:
    x = jnp.asarray(numbers("x", (2, 64)))
    net = nn.Sequential(MyLinear(64, 8), MyLinear(8, 1))
    return {"output": net.apply(fill(net, x), x)}


EXAMPLES = {
    "sequential": Layer(
        "a multilayer perceptron as a Sequential",
        lambda nn: nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10)),
        (2, 20),
        {"output": (2, 10), "0.weight": (256, 20), "2.bias": (10,)},
    ),
    "block": Code("the same as a block", mlp_torch, mlp, {"output": (2, 10)}),
    "my-sequential": Code(
        "Sequential made by hand", my_sequential_torch, my_sequential, {"output": (2, 10)}
    ),
    "constants": Code(
        "constants, a layer used twice, a loop", fixed_hidden_torch, fixed_hidden, {"output": ()}
    ),
    "nested": Layer(
        "blocks in blocks",
        lambda nn: nn.Sequential(
            nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()),
            nn.Linear(32, 16),
            nn.Sequential(nn.Linear(16, 20), nn.ReLU()),
        ),
        (2, 20),
        {"output": (2, 20), "0.2.weight": (32, 64)},
    ),
    "tied": Code(
        "a layer used twice is one set of parameters, and its gradients add up",
        tied_torch,
        tied,
        {"output": (2, 1), "gradient": (8, 8)},
    ),
    "my-init": Code(
        "an initialiser of one's own, and parameters set by hand",
        my_init_torch,
        my_init,
        {"weight": (8, 4)},
    ),
    "layer-without-parameters": Code(
        "a layer that subtracts the mean",
        centered_torch,
        centered,
        {"output": (4, 128), "of five": (5,)},
    ),
    "layer-with-parameters": Code(
        "a linear layer with ReLU", my_linear_torch, my_linear, {"output": (2, 1)}
    ),
}
