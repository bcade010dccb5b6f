"""The linen module that runs a converted program."""

from __future__ import annotations

from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp

import jaxcnn.nn as nn
from jaxcnn._checks import check
from jaxcnn.interop.program import (
    Array,
    Batch,
    Either,
    Leaf,
    Program,
    Rng,
    Train,
    Var,
    map_leaves,
    resolve,
)
from jaxcnn.nn.container import train_argument


class Converted(linen.Module):
    """A PyTorch module as `from_torch` made it: its layers, and the calls between them.

    Images are channels-last. Its variables have the PyTorch module's names, each layer's standing
    as one dotted key: `variables["params"]["layer1.0.conv1"]["weight"]`. The collection
    `batch_stats` holds the buffers.

    Attributes:
      program: What it computes.

    Raises:
      ValueError: If the inputs are not as many, or not of the size, that the program was made for.
    """

    program: Program

    @property
    def tied(self) -> dict[str, str]:
        """{further name: first name} of shared parameters, for `to_state_dict`."""
        return dict(self.program.tied)

    @linen.compact
    def __call__(self, *inputs: Any, train: bool = False) -> Any:
        self._check(inputs)
        program = self.program
        state = {name: self.param(name, _new, leaf) for name, leaf in program.params.items()}
        for name, leaf in program.buffers.items():
            state[name] = self.variable("batch_stats", name, _new, None, leaf).value
        layers = {name: self._layer(name) for name in program.layers}
        values: dict[int, Any] = {i: jnp.asarray(x) for i, x in enumerate(inputs)}
        n = jnp.shape(inputs[0])[0]

        def read(x: Any) -> Any:
            match x:
                case Var():
                    return values[x.number]
                case Batch():
                    return x.at(n)
                case Array():
                    return x.value
                case Train():
                    return train
                case Either():
                    return x.training if train else x.evaluation
                case Rng():
                    return self.make_rng("dropout") if train else None
            return x

        for statement in program.statements:
            if statement.state is not None:
                values[statement.outputs[0]] = state[statement.state]
                continue
            args = map_leaves(read, statement.args)
            kwargs = map_leaves(read, dict(statement.kwargs))
            if statement.layer is not None:
                layer = layers[statement.layer]
                if train_argument(type(layer)):
                    kwargs["train"] = train
                result = layer(*args, **kwargs)
            else:
                assert statement.target is not None
                result = resolve(statement.target)(*args, **kwargs)
            results = result if statement.several else (result,)
            values.update(zip(statement.outputs, results, strict=True))
        return map_leaves(read, program.output)

    @linen.nowrap
    def _layer(self, name: str) -> linen.Module:
        layer = self.program.layers[name]
        return getattr(nn, layer.kind)(**layer.settings, name=name)

    @linen.nowrap
    def _check(self, inputs: tuple[Any, ...]) -> None:
        program = self.program
        where, count = program.name, len(program.inputs)
        check(len(inputs) == count, where, f"inputs must be {count}", inputs=len(inputs))
        for x, example in zip(inputs, program.inputs, strict=True):
            shape = jnp.shape(x)
            rule = f"inputs must be like the example, {example.shape} but for the batch"
            fix = "convert the module again with an example of this size"
            fits = len(shape) == example.ndim
            if fits and program.fixed_size:
                fits = shape[1:] == example.shape[1:]
            check(fits, where, rule, fix, shape=shape)


def _new(key: jax.Array | None, leaf: Leaf) -> jax.Array:
    """A new parameter: of the moments that the PyTorch module's has; a buffer as it is there."""
    if leaf.value is not None:
        return jnp.asarray(leaf.value)
    if key is None or leaf.std == 0:
        return jnp.full(leaf.shape, leaf.mean, leaf.dtype)
    return leaf.mean + leaf.std * jax.random.normal(key, leaf.shape, leaf.dtype)
