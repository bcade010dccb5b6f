"""What is known of each model without building it.

To measure all sizes anew:

    python -c "from jaxcnn.interop import _zoo; _zoo.print_sizes()" > jaxcnn/models/sizes.json
"""

from __future__ import annotations

import importlib.resources
import json
import math
from collections.abc import Mapping

import jax

from jaxcnn import models
from jaxcnn._names import named_leaves

_INPUTS = {
    **dict.fromkeys(("lenet", "lenet_relu"), (28, 28, 1)),
    **dict.fromkeys(("cifar10_quick", *(f"resnet{d}" for d in (20, 32, 44, 56, 110))), (32, 32, 3)),
    "inception_v3": (299, 299, 3),
}


def input_shape(name: str) -> tuple[int, int, int]:
    """Height, width and channels of the images that the model called `name` was made for.

    Example:
      >>> input_shape("lenet"), input_shape("resnet18")
      ((28, 28, 1), (224, 224, 3))
    """
    return _INPUTS.get(name, (224, 224, 3))


def model_sizes() -> dict[str, tuple[int, int]]:
    """(numbers in all parameters, in kernels of several taps) of each model.

    The latter do not depend on the number of classes: a head is linear, or a 1x1 convolution.

    Example:
      >>> model_sizes()["resnet18"]
      (11689512, 10994880)
    """
    text = (importlib.resources.files(models) / "sizes.json").read_text()
    return {name: (total, kernels) for name, (total, kernels) in json.loads(text).items()}


def model_shapes(name: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes by name in each collection of the variables of the model called `name`.

    Example:
      >>> model_shapes("lenet")["params"]["0.weight"]
      (6, 1, 5, 5)
    """
    sample = jax.ShapeDtypeStruct((1, *input_shape(name)), "float32")
    variables = jax.eval_shape(models.create(name).init, jax.random.key(0), sample)
    return {
        kind: {key: leaf.shape for key, leaf in named_leaves("model_shapes", {kind: tree}).items()}
        for kind, tree in variables.items()
    }


def measured_sizes(name: str) -> tuple[int, int]:
    """What `model_sizes` holds, from the model itself.

    Example:
      >>> measured_sizes("lenet")
      (61706, 2550)
    """
    return count(model_shapes(name)["params"])


def count(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """Numbers in all arrays, and in those with several entries along the third and later axes.

    Example:
      >>> count({"conv.weight": (8, 3, 5, 5), "fc.weight": (10, 8)})
      (680, 600)
    """
    sizes = [(math.prod(shape), math.prod(shape[2:]) > 1) for shape in shapes.values()]
    return sum(size for size, _ in sizes), sum(size for size, is_kernel in sizes if is_kernel)


def print_sizes() -> None:
    """Prints what sizes.json holds, from the models themselves; takes minutes."""
    rows = [f'  "{name}": {list(measured_sizes(name))}' for name in models.list_models()]
    print("{\n" + ",\n".join(rows) + "\n}")
