"""How each torch function is written in JAX; importing this package registers the rules."""

from jaxcnn.interop.convert.rules import (
    axes,
    create,
    elementwise,
    images,
    indexing,
    layers,
    products,
    reductions,
    shapes,
)

__all__ = [
    "axes",
    "create",
    "elementwise",
    "images",
    "indexing",
    "layers",
    "products",
    "reductions",
    "shapes",
]
