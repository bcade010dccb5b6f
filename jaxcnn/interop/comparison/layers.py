"""A layer of PyTorch, Flax or jaxcnn as a jaxcnn layer that can be built with other settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import nn
from jaxcnn.nn.container import LINEN_FIELDS

# An alternative runs once: XLA need not look for a fast program.
_OPTIONS: Any = {"xla_backend_optimization_level": 0}
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_OURS = {*LINEN_FIELDS, "dtype", "param_dtype", "weight_init", "bias_init", "inplace"}
_FLAX_NAMES = {
    "kernel": "weight",
    "scale": "weight",
    "embedding": "weight",
    "negative_slope": "weight",
    "mean": "running_mean",
    "var": "running_var",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A jaxcnn layer: its class, the settings to build it with, and its arrays.

    Attributes:
      class_name: A name in `jaxcnn.nn`.
      settings: Arguments of its constructor.
      arrays: Parameters and statistics, named and shaped as PyTorch's.
      train: The mode it runs in.
    """

    class_name: str
    settings: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    train: bool = False

    def changed(self, **settings: Any) -> Layer:
        """The same layer with other settings."""
        return dataclasses.replace(self, settings={**self.settings, **settings})

    def with_arrays(self, **arrays: np.ndarray) -> Layer:
        """The same layer with other arrays."""
        return dataclasses.replace(self, arrays={**self.arrays, **arrays})

    def cast(self, dtype: Any) -> Layer:
        """The same layer with its floating arrays in another dtype."""
        arrays = {k: x.astype(dtype) if x.dtype.kind == "f" else x for k, x in self.arrays.items()}
        return dataclasses.replace(self, arrays=arrays)

    def __call__(self, *inputs: Any) -> list[np.ndarray]:
        """Its outputs; whatever the layer raises if settings, arrays and inputs do not fit."""
        run, variables = self._program()
        compiled = jax.jit(run, compiler_options=_OPTIONS)
        return [np.asarray(y) for y in compiled(variables, *map(jnp.asarray, inputs))]

    def gives(self, shape: tuple[int, ...], *inputs: Any) -> bool:
        """Whether its first output has this shape; nothing is computed."""
        try:
            run, variables = self._program()
            return jax.eval_shape(run, variables, *inputs)[0].shape == shape
        except Exception:  # linen has errors of its own
            return False

    def _program(self) -> tuple[Callable[..., list[Any]], Any]:
        module = getattr(nn, self.class_name)(**self.settings)
        statistics = {k: jnp.asarray(v) for k, v in self.arrays.items() if k in _STATISTICS}
        if "running_mean" in statistics:
            statistics.setdefault("num_batches_tracked", jnp.zeros((), int))
        params = {k: jnp.asarray(v) for k, v in self.arrays.items() if k not in _STATISTICS}
        variables = {"params": params, "batch_stats": statistics}
        mode = {"train": self.train} if _takes_train(module) else {}
        mutable = ["batch_stats"] if self.train else []

        def run(variables: Any, *inputs: Any) -> list[Any]:
            outputs, _ = module.apply(variables, *inputs, mutable=mutable, **mode)
            return jax.tree.leaves(outputs)

        return run, variables


def _takes_train(module: Any) -> bool:
    code = getattr(type(module).__call__, "__wrapped__", type(module).__call__).__code__
    return "train" in code.co_varnames[: code.co_argcount]


def rebuilt(
    module: Any,
    arrays: Mapping[str, np.ndarray],
    ndim: int,
    train: bool,
    channels_first: bool = False,
) -> Layer | None:
    """The jaxcnn layer that a layer stands for; None if jaxcnn has none like it.

    Args:
      module: A layer of PyTorch, Flax or jaxcnn.
      arrays: Its arrays, named and shaped as PyTorch's (`in_torch_layout`).
      ndim: Axes of its input.
      train: Whether it ran in training mode.
      channels_first: Whether its settings count axes in images with the channels first.
    """
    if type(module).__module__.startswith("flax."):
        settings = flax_settings(module, arrays, ndim)
        return Layer(settings.pop("class"), settings, arrays, train) if settings else None
    names = [c.__name__ for c in type(module).__mro__ if c.__module__.startswith(_HOMES)]
    name = next((name for name in names if isinstance(getattr(nn, name, None), type)), None)
    if name is None or not dataclasses.is_dataclass(getattr(nn, name)):
        return None
    own = {k: v for k, v in arrays.items() if "." not in k}
    settings = settings_of(module, getattr(nn, name))
    if channels_first and isinstance(settings.get("dim"), int):
        dim = settings["dim"] % ndim
        settings["dim"] = ndim - 1 if dim == 1 else max(dim - 1, 0)
    return Layer(name, settings, own, train)


_HOMES = ("torch.nn.", "jaxcnn.nn")


def settings_of(module: Any, cls: Any) -> dict[str, Any]:
    """The values that `module` has of the settings of a class of jaxcnn layers."""
    settings = {}
    for field in dataclasses.fields(cls):
        if field.name in _OURS or not hasattr(module, field.name):
            continue
        value = getattr(module, field.name)
        if field.name == "bias" and not isinstance(value, bool):
            value = value is not None
        settings[field.name] = value
    return settings


def in_torch_layout(module: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A layer's arrays with PyTorch's names and shapes; only Flax's own layers have others."""
    if not type(module).__module__.startswith("flax."):
        return dict(arrays)
    named = {_FLAX_NAMES.get(name, name): x for name, x in arrays.items()}
    if isinstance(module, linen.ConvTranspose) and "kernel" in arrays:
        # Flax's (h, w, in, out) is not flipped; with transpose_kernel it is (h, w, out, in).
        order = (-1, -2) if module.transpose_kernel else (-2, -1)
        spatial = tuple(range(arrays["kernel"].ndim - 2))
        last = arrays["kernel"].ndim
        kernel = np.transpose(arrays["kernel"], (last + order[0], last + order[1], *spatial))
        named["weight"] = kernel if module.transpose_kernel else np.flip(kernel, (2, 3)[: last - 2])
    elif isinstance(module, linen.Conv | linen.ConvLocal) and "kernel" in arrays:
        last = arrays["kernel"].ndim
        named["weight"] = np.transpose(arrays["kernel"], (last - 1, last - 2, *range(last - 2)))
    elif isinstance(module, linen.Dense) and "kernel" in arrays:
        named["weight"] = arrays["kernel"].T
    return named


def flax_settings(
    module: Any, arrays: Mapping[str, np.ndarray], ndim: int
) -> dict[str, Any] | None:
    """What a plain Flax layer's settings are called in jaxcnn, with the name of the class.

    Padding that is not symmetric stays a list of pairs, which no layer of jaxcnn takes.
    """
    axes = ndim - 2
    weight = arrays.get("weight")
    bias = "bias" in arrays
    if isinstance(module, linen.Conv) and weight is not None:
        return {
            "class": f"Conv{axes}d",
            "in_channels": weight.shape[1] * module.feature_group_count,
            "out_channels": weight.shape[0],
            "kernel_size": weight.shape[2:],
            "stride": _each(module.strides, axes),
            "padding": flax_padding(module.padding, axes),
            "dilation": _each(module.kernel_dilation, axes),
            "groups": module.feature_group_count,
            "bias": bias,
        }
    if isinstance(module, linen.Dense) and weight is not None:
        out, inputs = weight.shape
        return {"class": "Linear", "in_features": inputs, "out_features": out, "bias": bias}
    if isinstance(module, linen.BatchNorm):
        features = next(iter(arrays.values())).shape[0]
        momentum, affine = 1 - module.momentum, weight is not None or bias
        settings = {"num_features": features, "eps": module.epsilon, "momentum": momentum}
        return {"class": f"BatchNorm{max(axes, 1)}d", **settings, "affine": affine, "bias": bias}
    if isinstance(module, linen.LayerNorm) and weight is not None:
        shape = weight.shape
        return {
            "class": "LayerNorm",
            "normalized_shape": shape,
            "eps": module.epsilon,
            "bias": bias,
        }
    if isinstance(module, linen.GroupNorm) and weight is not None and module.num_groups:
        settings = {"num_groups": module.num_groups, "num_channels": weight.shape[0]}
        return {"class": "GroupNorm", **settings, "eps": module.epsilon, "bias": bias}
    if isinstance(module, linen.Embed) and weight is not None:
        rows, columns = weight.shape
        return {"class": "Embedding", "num_embeddings": rows, "embedding_dim": columns}
    return None


def flax_padding(padding: Any, axes: int) -> Any:
    """Flax's padding as jaxcnn's, if it is symmetric; else as it is."""
    if isinstance(padding, str):
        return 0 if padding == "VALID" else padding
    if isinstance(padding, int):
        return padding
    pairs = [(p, p) if isinstance(p, int) else tuple(p) for p in padding]
    pairs = pairs * axes if len(pairs) == 1 else pairs
    return tuple(a for a, _ in pairs) if all(a == b for a, b in pairs) else padding


def _each(value: int | Sequence[int] | None, axes: int) -> Any:
    if value is None:
        return 1
    return value if isinstance(value, int) else tuple(value)
