"""A code example of a seed page, run in PyTorch as the page has it and in jaxcnn."""

from __future__ import annotations

import dataclasses
import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn import functional, layout, nn

Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]


def numbers(name: str, shape: Sequence[int]) -> np.ndarray:
    """Numbers from -1 to 1, always the same for a name, that float32 holds exactly."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    return rng.uniform(-1, 1, shape).astype(np.float32).astype(np.float64)


def last(x: Any) -> jax.Array:
    """An image as jaxcnn has it; anything with less than three axes is none."""
    return layout.to_channels_last(x) if np.ndim(x) >= 3 else jnp.asarray(x)


def first(x: Any) -> np.ndarray:
    """An image as PyTorch has it."""
    return np.asarray(layout.to_channels_first(x) if jnp.ndim(x) >= 3 else x)


def fill_torch(torch: Any, module: Any) -> Any:
    """Gives a PyTorch module the numbers of its parameters' names."""
    module.double()
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.tensor(numbers(name, tuple(p.shape))))
    return module


def fill(model: Any, *inputs: Any) -> dict[str, Any]:
    """Variables of a model with the same numbers."""
    variables = dict(jax.jit(model.init)(jax.random.key(0), *inputs))
    if "params" not in variables:
        return variables
    params = {"params": variables["params"]}
    filled = {name: numbers(name, x.shape) for name, x in jaxcnn.to_state_dict(params).items()}
    return {**variables, **jaxcnn.to_variables(filled, params)}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer or a stack of them, built by one line that both frameworks read.

    Attributes:
      shows: What the page shows with it.
      build: From `torch.nn` or `jaxcnn.nn` to the layer.
      input: The input's shape, as in PyTorch.
      sizes: The shapes that PyTorch prints: "output" and parameters by name.
      scale: What the input is multiplied with.
      train: Whether it runs in training mode.
      images: Whether arrays of three and more axes are images.
    """

    shows: str
    build: Callable[[Any], Any]
    input: Shape
    sizes: Mapping[str, Shape]
    scale: float = 1.0
    train: bool = False
    images: bool = True

    def run_torch(self, torch: Any) -> Arrays:
        module = fill_torch(torch, self.build(torch.nn)).train(self.train)
        x = torch.tensor(self.scale * numbers("input", self.input))
        output = module(x)
        state = {name: p.detach().double() for name, p in module.state_dict().items()}
        return {"output": output.detach().numpy()} | {k: v.numpy() for k, v in state.items()}

    def run_jax(self) -> Arrays:
        model = self.build(nn)
        x = jnp.asarray(self.scale * numbers("input", self.input))
        x = last(x) if self.images else x
        variables = fill(model, x)
        knows = "train" in inspect.signature(type(model).__call__).parameters
        mode = {"train": self.train} if knows else {}
        output, new = model.apply(variables, x, mutable=["batch_stats"], **mode)
        state = jaxcnn.to_state_dict({**variables, **new})
        return {"output": first(output) if self.images else np.asarray(output), **state}


@dataclasses.dataclass(frozen=True)
class Function:
    """A call of `torch.nn.functional` that both frameworks read.

    Attributes:
      shows: What the page shows with it.
      call: From `torch.nn.functional` or `jaxcnn.functional` and the inputs to the output, or to
        a tuple of outputs.
      inputs: Shapes of the inputs, the image first, as in PyTorch.
      sizes: The shapes that PyTorch prints, by output: "output", or "output0", "output1", ....
    """

    shows: str
    call: Callable[..., Any]
    inputs: Sequence[Shape]
    sizes: Mapping[str, Shape]

    def arrays(self) -> list[np.ndarray]:
        return [numbers(f"input{i}", shape) for i, shape in enumerate(self.inputs)]

    def run_torch(self, torch: Any) -> Arrays:
        outputs = self.call(torch.nn.functional, *map(torch.tensor, self.arrays()))
        return _named(outputs, lambda x: x.double().numpy())

    def run_jax(self) -> Arrays:
        image, *others = self.arrays()
        outputs = self.call(functional, last(image), *map(jnp.asarray, others))
        return _named(outputs, first)


def _named(outputs: Any, convert: Callable[[Any], np.ndarray]) -> Arrays:
    if isinstance(outputs, tuple):
        return {f"output{i}": convert(x) for i, x in enumerate(outputs)}
    return {"output": convert(outputs)}


@dataclasses.dataclass(frozen=True)
class Code:
    """Code that reads differently in the two frameworks.

    Attributes:
      shows: What the page shows with it.
      torch: From the module torch to named arrays, in PyTorch's layout.
      jax: To the same arrays.
      sizes: The shapes that PyTorch prints, by name.
    """

    shows: str
    torch: Callable[[Any], Mapping[str, Any]]
    jax: Callable[[], Mapping[str, Any]]
    sizes: Mapping[str, Shape]

    def run_torch(self, torch: Any) -> Arrays:
        values = self.torch(torch).items()
        return {k: torch.as_tensor(x).detach().double().numpy() for k, x in values}

    def run_jax(self) -> Arrays:
        return {k: np.asarray(x) for k, x in self.jax().items()}


Example = Layer | Function | Code
