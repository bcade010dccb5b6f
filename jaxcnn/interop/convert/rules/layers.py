"""Layers of `torch.nn`: each is one layer of `jaxcnn.nn`."""

from __future__ import annotations

import dataclasses
from typing import Any

import jaxcnn.nn as nn
from jaxcnn.interop.convert.layers import layer_class
from jaxcnn.interop.convert.lower import Graph, Value, channels_last, identity, lowers
from jaxcnn.interop.convert.rules.images import batched, image_ndims
from jaxcnn.interop.convert.rules.products import ends_in_order

_IMAGE_MODULES = {
    f"jaxcnn.nn.{name}"
    for name in (
        *("conv", "conv_transpose", "batch_norm", "max_pooling", "avg_pooling", "lp_pooling"),
        *("adaptive_pooling", "fractional_pooling", "upsampling", "pixelshuffle", "padding"),
        *("fold", "unpooling"),
    )
}
_IMAGE_LAYERS = (
    *(nn.GroupNorm, nn.LocalResponseNorm, nn.PReLU),
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.FeatureAlphaDropout),
)
_ENTRY_MODULES = {"jaxcnn.nn.activation", "jaxcnn.nn.piecewise", "jaxcnn.nn.dropout"}


@lowers("layer")
def _lower_layer(g: Graph, *args: Any, layer: str, module: Any, **kwargs: Any) -> Any:
    kind = layer_class(module) or nn.BatchNorm2d
    if kind is nn.MultiheadAttention:
        return _attention(g, layer, args, kwargs)
    x, *rest = args or tuple(kwargs.values())
    if kind.__module__ in _IMAGE_MODULES or kind in _IMAGE_LAYERS:
        x = batched(g, x, *image_ndims(kind.__name__))
        return _of_images(g, layer, [x, *rest], {} if not args else kwargs)
    if kind is nn.DropPath:
        x = x if x.order[:1] == (0,) else g.plain(x)
        return g.like(x, g.emit_layer(layer, x))
    if kind.__module__ in _ENTRY_MODULES:
        return g.like(x, g.emit_layer(layer, x))
    if kind is nn.Embedding:
        return dataclasses.replace(x, var=g.emit_layer(layer, x), order=(*x.order, x.ndim))
    if kind in (nn.Linear, nn.LayerNorm, nn.RMSNorm):
        trailing = 1 if kind is nn.Linear else len(module.normalized_shape)
        x = ends_in_order(g, x, trailing)
        return g.like(x, g.emit_layer(layer, x))
    plain = [g.plain(y) if isinstance(y, Value) else y for y in (x, *rest)]
    return g.emit_layer(layer, *plain)


def _of_images(g: Graph, layer: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    images = [g.image(x) if isinstance(x, Value) else x for x in args]
    count = len(g.out) if len(g.out) > 1 else None
    result = g.emit_layer(layer, *images, count=count, **kwargs)
    results = [result] if count is None else result
    values = [
        Value(var, shape.sizes, channels_last(len(shape.sizes)), shape.dtype)
        for var, shape in zip(results, g.out, strict=True)
    ]
    return values[0] if count is None else values


def _attention(g: Graph, layer: str, args: Any, kwargs: Any) -> Any:
    plain = lambda x: g.plain(x) if isinstance(x, Value) else x
    args, kwargs = [plain(x) for x in args], {key: plain(x) for key, x in kwargs.items()}
    results = g.emit_layer(layer, *args, count=2, **kwargs)[: len(g.out)]
    return [
        Value(var, shape.sizes, identity(len(shape.sizes)), shape.dtype)
        for var, shape in zip(results, g.out, strict=True)
    ]
