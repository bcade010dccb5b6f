"""A model's layers with their output shapes, parameters and multiply-adds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import flax.linen as linen
import jax
import numpy as np

from jaxcnn import nn
from jaxcnn._modules import named_children, named_modules
from jaxcnn._text import columns

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.DeformConv2d)
_CONV_TRANSPOSE = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# (shape of the last output, multiply-adds of all calls) by id of the layer
_Calls = dict[int, tuple[tuple[int, ...], int]]


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer.

    Attributes:
      name: PyTorch's dotted name; "" for the model itself.
      type: Name of its class.
      output_shape: Channels-last; of several outputs, the first one's; None if the model does not
        call the layer, such as an auxiliary head in evaluation.
      parameters: Numbers in its own parameters; those of layers inside it only if not called.
      multiply_adds: Of all its calls together; see `layer_table`.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    parameters: int
    multiply_adds: int


class LayerTable(list[LayerRow]):
    """Rows that `str` shows as a table, with their totals."""

    @property
    def parameters(self) -> int:
        """Of all layers."""
        return sum(row.parameters for row in self)

    @property
    def multiply_adds(self) -> int:
        """Of all layers."""
        return sum(row.multiply_adds for row in self)

    def __str__(self) -> str:
        head = ("layer", "type", "output shape", "parameters", "multiply-adds")
        rows = [
            (
                row.name,
                row.type,
                row.output_shape or "not called",
                row.parameters,
                row.multiply_adds,
            )
            for row in self
        ]
        total = ("total", "", "", self.parameters, self.multiply_adds)
        return columns([head, *rows, total], right=(3, 4))


def layer_table(model: linen.Module, *inputs: Any) -> LayerTable:
    """Lists the layers of a model in evaluation: those without layers inside, or with parameters.

    Multiply-adds are counted as in the figures of papers and of torchvision: one for each weight
    and output of convolutions (transposed and deformable ones too) and `Linear` layers. What
    they do in padding counts, their biases, and whatever other layers do, does not: norms,
    activations, pooling, the products of attention, Fourier transforms. So ResNet-18 has
    1,814,073,344 at 224x224.

    Args:
      model: Any linen module.
      *inputs: What it takes; only shapes and dtypes count, and nothing is computed. A batch of one
        gives the figures for one image.

    Returns:
      The rows in PyTorch's order of modules.

    Example:
      >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(128, 2))
      >>> print(layer_table(model, jax.ShapeDtypeStruct((1, 4, 4, 3), "float32")))
      layer  type     output shape  parameters  multiply-adds
      0      Conv2d   (1, 4, 4, 8)         224          3,456
      1      Flatten  (1, 128)               0              0
      2      Linear   (1, 2)               258            256
      total                                482          3,712
    """
    variables = jax.eval_shape(model.init, jax.random.key(0), *inputs)
    calls: _Calls = {}

    def count(call: Any, args: Any, kwargs: Any, context: linen.module.InterceptorContext) -> Any:
        result = call(*args, **kwargs)
        if context.method_name == "__call__":
            taken, given = _first_shape((args, kwargs)), _first_shape(result)
            before = calls[id(context.module)][1] if id(context.module) in calls else 0
            calls[id(context.module)] = given, before + _work(context.module, taken, given)
        return result

    table = LayerTable()

    def call(bound: linen.Module, *args: Any) -> None:
        with linen.intercept_methods(count):
            bound(*args)
        table.extend(_rows("", bound, variables.get("params", {}), calls, set()))

    jax.eval_shape(linen.apply(call, model), variables, *inputs)
    return table


def _rows(
    name: str, module: linen.Module, params: Mapping[str, Any], calls: _Calls, seen: set[int]
) -> Iterator[LayerRow]:
    if id(module) in seen:  # a layer under a second name
        return
    seen.add(id(module))
    size, children = _size(params, module.path), named_children(module)
    if not any(id(inner) in calls for _, inner in named_modules(module)):
        if size:
            yield LayerRow(name, type(module).__name__, None, size, 0)
        return
    within = {child.path for _, child in children if child.path[: len(module.path)] == module.path}
    own = size - sum(_size(params, path) for path in within)
    if own or not children:
        shape, work = calls.get(id(module), (None, 0))
        yield LayerRow(name, type(module).__name__, shape, own, work)
    for child_name, child in children:
        yield from _rows(f"{name}.{child_name}" if name else child_name, child, params, calls, seen)


def _size(params: Mapping[str, Any], path: tuple[str, ...]) -> int:
    """How many numbers the parameters of the module at `path` have, with those inside it."""
    inside: Any = params
    for key in path:
        inside = inside.get(key, {})
    return sum(leaf.size for leaf in jax.tree.leaves(inside))


def _work(layer: linen.Module, taken: tuple[int, ...], given: tuple[int, ...]) -> int:
    """The multiply-adds of one call, from the shapes of its input and output."""
    if isinstance(layer, nn.Linear):
        return math.prod(given) * layer.in_features
    if isinstance(layer, _CONV):
        return math.prod((*given, *_taps(layer), layer.in_channels // layer.groups))
    if isinstance(layer, _CONV_TRANSPOSE):
        return math.prod((*taken, *_taps(layer), layer.out_channels // layer.groups))
    return 0


def _taps(layer: Any) -> tuple[int, ...]:
    return layer.kernel_size  # a tuple since the layer was built


def _first_shape(tree: Any) -> tuple[int, ...]:
    return next((np.shape(leaf) for leaf in jax.tree.leaves(tree)), ())
