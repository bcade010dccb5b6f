"""Small SpectFormers, variables and outputs for the tests of its parts."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn._names import named_leaves

KEY = jax.random.key(0)
TINY = {
    "num_classes": 5,
    "stem_hidden_dim": 4,
    "embed_dims": (8, 16, 24, 32),
    "num_heads": (1, 1, 3, 4),
    "mlp_ratios": (2, 2, 2, 2),
    "depths": (1, 2, 1, 1),
}
TINY_VANILLA = {"num_classes": 5, "embed_dim": 8, "depth": 6, "num_heads": 2, "patch_size": 4}


def abstract(model: Any, size: tuple[int, int] = (224, 224)) -> Any:
    return jax.eval_shape(model.init, KEY, jnp.zeros((2, *size, 3)))


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape)


def random_variables(model: Any, x: Any) -> Any:
    """Variables away from their start, at which zeros and small numbers hide mistakes."""

    def fill(leaf: Any) -> jax.Array:
        if leaf.ndim > 1:
            values = normal(1, *leaf.shape) / math.sqrt(math.prod(leaf.shape[1:]))
        else:
            values = 0.5 + 0.1 * normal(2, *leaf.shape)
        return jnp.asarray(values, leaf.dtype)

    return jax.tree.map(fill, jax.eval_shape(model.init, KEY, x))


def outputs_of(model: Any, variables: Any, x: Any, **options: Any) -> tuple[Any, Any]:
    """What the model returns, and {name: what each module returned last}."""
    names: dict[str, Any] = {}

    def keep(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        result = call(*args, **kwargs)
        if context.method_name == "__call__":
            names[".".join(context.module.path)] = result
        return result

    with linen.intercept_methods(keep):
        return model.apply(variables, x, **options), names


def checkpoint(model: Any, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """A state_dict of random numbers."""
    shapes = named_leaves("test", abstract(model, size)).items()
    return {k: normal(i, *x.shape).astype(x.dtype) for i, (k, x) in enumerate(shapes)}
