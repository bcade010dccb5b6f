"""Functions of images: channels-last here."""

from __future__ import annotations

from typing import Any

from jaxcnn.interop.convert.errors import NoRuleError
from jaxcnn.interop.convert.lower import Graph, Value, channels_last, lowers
from jaxcnn.interop.convert.rules.elementwise import random

_OF_ONE_IMAGE = (
    *("avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("max_pool1d", "max_pool2d", "max_pool3d"),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("local_response_norm", "fold"),
)
# What else than a batch of images PyTorch takes there.
_SEVERAL_NDIMS = {"batchnorm1d": (2, 3), "dropout2d": (3, 4)}
# Of any number of axes in PyTorch, the last two those of an image.
_OF_CHANNELS = {"pixel_shuffle", "pixel_unshuffle"}
_OF_IMAGE_AND_WEIGHT = (
    *("conv1d", "conv2d", "conv3d"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
)


def of_images(g: Graph, target: str, *args: Any, **kwargs: Any) -> Any:
    """A function whose result is an image, or several."""
    if len(g.out) == 1:
        return _image(g, g.emit(target, *args, **kwargs), 0)
    parts = g.emit_several(len(g.out), target, *args, **kwargs)
    return [_image(g, part, i) for i, part in enumerate(parts)]


def _image(g: Graph, var: Any, i: int) -> Value:
    shape = g.out[i]
    return Value(var, shape.sizes, channels_last(len(shape.sizes)), shape.dtype)


def batched(g: Graph, x: Value, *ndims: int) -> Value:
    """`x` with the channels last, if it has one of these numbers of axes; () means any."""
    if ndims and x.ndim not in ndims:
        raise NoRuleError(f"of {x.ndim} axes; add a batch")
    return g.image(x)


def image_ndims(name: str) -> tuple[int, ...]:
    """How many axes the batch of a function or layer for 1d, 2d or 3d images has; () means any.

    Example:
      >>> image_ndims("conv2d"), image_ndims("BatchNorm1d"), image_ndims("interpolate")
      ((4,), (2, 3), ())
    """
    if name[-1:] != "d" or not name[-2:-1].isdigit():
        return ()
    return _SEVERAL_NDIMS.get(name.lower(), (int(name[-2]) + 2,))


def _register_image(name: str) -> None:
    ndims = (4,) if name in _OF_CHANNELS else image_ndims(name)

    # Functions that may return indices too have their own names in PyTorch's internals.
    @lowers(name, f"_{name}", f"{name}_with_indices")
    def lower(g: Graph, input: Value, *args: Any, **kwargs: Any) -> Any:
        return of_images(g, f"F.{name}", batched(g, input, *ndims), *args, **kwargs)


def _register_image_and_weight(name: str) -> None:
    @lowers(name)
    def lower(g: Graph, input: Value, weight: Value, *args: Any, **kwargs: Any) -> Any:
        x = batched(g, input, *image_ndims(name))
        return of_images(g, f"F.{name}", x, g.plain(weight), *args, **kwargs)


for _name in _OF_ONE_IMAGE:
    _register_image(_name)
for _name in _OF_IMAGE_AND_WEIGHT:
    _register_image_and_weight(_name)


@lowers("group_norm")
def _lower_group_norm(
    g: Graph,
    input: Value,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    return of_images(g, "F.group_norm", g.image(input), num_groups, weight, bias, eps)


@lowers("batch_norm")
def _lower_batch_norm(
    g: Graph,
    input: Value,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: Any = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    del momentum
    options = {"training": True} if training is True else {}
    if running_mean is not None and training is not False:
        raise NoRuleError("with running statistics that training writes into; use a layer")
    x, scale = g.image(input), (weight, bias)
    return of_images(g, "F.batch_norm", x, running_mean, running_var, *scale, eps=eps, **options)


@lowers("instance_norm")
def _lower_instance_norm(
    g: Graph,
    input: Value,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    del momentum
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise NoRuleError("with running statistics; use a layer")
    return of_images(g, "F.instance_norm", g.image(input), weight=weight, bias=bias, eps=eps)


@lowers("prelu")
def _lower_prelu(g: Graph, input: Value, weight: Value) -> Value:
    return of_images(g, "F.prelu", g.image(input), weight)


@lowers("grid_sample", "grid_sampler")
def _lower_grid_sample(g: Graph, input: Value, grid: Value, *args: Any, **kwargs: Any) -> Value:
    return of_images(g, "F.grid_sample", g.image(input), g.plain(grid), *args, **kwargs)


@lowers("affine_grid")
def _lower_affine_grid(g: Graph, theta: Value, size: Any, align_corners: Any = None) -> Any:
    n, c, *spatial = size
    return g.emit("F.affine_grid", g.plain(theta), (n, *spatial, c), align_corners)


def _register_dropout_of_channels(name: str, by_default: bool) -> None:
    @lowers(name)
    def lower(
        g: Graph, input: Value, p: float = 0.5, training: Any = by_default, inplace: bool = False
    ) -> Value:
        del inplace
        return random(g, f"F.{name}", batched(g, input, *image_ndims(name)), p, training)


_register_dropout_of_channels("dropout1d", True)
_register_dropout_of_channels("dropout2d", True)
_register_dropout_of_channels("dropout3d", True)
_register_dropout_of_channels("feature_alpha_dropout", False)


@lowers("pad", "constant_pad_nd")
def _lower_pad(
    g: Graph, input: Value, pad: Any, mode: str = "constant", value: Any = None
) -> Value:
    if not any(pad):
        return input
    order = input.order
    pairs = len(pad) // 2
    if order == channels_last(input.ndim) and input.ndim > 2 and pairs <= input.ndim - 2:
        options = {"value": value} if value else {}
        return g.like(input, g.emit("F.pad", input, tuple(pad), mode, **options))
    if mode != "constant":
        x = batched(g, input, pairs + 2)
        return g.like(x, g.emit("F.pad", x, tuple(pad), mode))
    widths = [(0, 0)] * input.ndim
    for i in range(pairs):
        widths[input.axis(-1 - i)] = (pad[2 * i], pad[2 * i + 1])
    options = {"constant_values": value} if value else {}
    if min(pad) >= 0:
        return g.like(input, g.emit("jnp.pad", input, tuple(widths), **options))
    config = tuple((low, high, 0) for low, high in widths)
    return g.like(input, g.emit("tensor.pad", input, config, value or 0.0))
