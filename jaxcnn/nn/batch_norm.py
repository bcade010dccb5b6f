"""Normalisation layers that can keep running statistics. Mirrors torch.nn's."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import canonicalize_dtype
from flax.typing import Dtype
from jax import lax

from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check, check_channels, check_int


class _BatchNorm(nn.Module):
    """The fields and the call of every BatchNorm; a subclass says what input it takes."""

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = True
    track_running_stats: bool = True
    bias: bool = dataclasses.field(default=True, kw_only=True)
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)
    weight_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_int(type(self).__name__, "num_features", self.num_features, 1)
        super().__post_init__()

    def _check_input(self, where: str, x: jax.Array) -> None:
        raise NotImplementedError

    def _axis_name(self) -> str | tuple[str, ...] | None:
        """The mapped axes that training averages the batch's statistics over."""
        return None

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x, where = jnp.asarray(x), type(self).__name__
        self._check_input(where, x)
        check_channels(where, x.shape, self.num_features, x.ndim - 2)
        weight, bias = _scale_and_shift(self)
        axis_name = self._axis_name() if train else None
        if not self.track_running_stats:
            x = x.astype(canonicalize_dtype(x, weight, bias, dtype=self.dtype))
            return F.batch_norm(
                x, None, None, weight, bias, training=True, eps=self.eps, axis_name=axis_name
            )

        mean, var, batches = _running_statistics(self)
        x = x.astype(canonicalize_dtype(x, mean.value, weight, bias, dtype=self.dtype))
        if not train:
            return F.batch_norm(x, mean.value, var.value, weight, bias, eps=self.eps)
        tracked = batches.value + 1
        y, new_mean, new_var = F.batch_norm(
            x,
            mean.value,
            var.value,
            weight,
            bias,
            training=True,
            momentum=1.0 / tracked if self.momentum is None else self.momentum,
            eps=self.eps,
            axis_name=axis_name,
        )
        if not self.is_initializing():
            mean.value, var.value, batches.value = new_mean, new_var, tracked
        return y

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets.

        PyTorch 2.13 prints `bias=` always; here only `bias=False`, as older releases read.
        """
        return _shown(self)


class BatchNorm1d(_BatchNorm):
    """Normalises each channel over the batch and the sequence.

    Mirrors `torch.nn.BatchNorm1d` on channels-last input `(n, c)` or `(n, l, c)`. Attributes,
    parameters and errors are those of `BatchNorm2d`.

    Example:
      >>> layer = BatchNorm1d(3)
      >>> layer.init_with_output(jax.random.key(0), jnp.ones((2, 3)))[0].shape
      (2, 3)
    """

    def _check_input(self, where: str, x: jax.Array) -> None:
        check(x.ndim in (2, 3), where, "input must be (n, c) or (n, l, c)", shape=x.shape)


class BatchNorm2d(_BatchNorm):
    """Normalises each channel over the batch and the image.

    Mirrors `torch.nn.BatchNorm2d` on channels-last input; torch's `device` and `dtype` are left
    out. With `train=True` it uses the batch's statistics and writes the running ones into the
    mutable collection `batch_stats`:
    `y, new = model.apply(variables, x, train=True, mutable=["batch_stats"])`.

    Attributes:
      num_features: Channels of the input.
      eps: Added to the variance.
      momentum: Weight of the new value in the running statistics; None averages over all batches.
      affine: Whether to scale and shift by learned parameters.
      track_running_stats: Whether to keep running statistics; without, evaluation too uses the
        batch's.
      bias: Whether `affine` shifts as well as scales.
      dtype: Dtype of the output; None promotes input and parameters. Statistics are computed in
        at least float32.
      param_dtype: Dtype of parameters and statistics.
      weight_init: What the scale starts from; None means ones.

    Parameters:
      `weight (num_features,)` ones, `bias (num_features,)` zeros; in `batch_stats` `running_mean`
      zeros, `running_var` ones, `num_batches_tracked` 0.

    Shape:
      `(n, h, w, num_features)` -> the same.

    Raises:
      ValueError: If `num_features` or the input does not fit.
      TypeError: If `num_features` is not an integer.

    Source: Ioffe and Szegedy, 2015.

    Example:
      >>> layer = BatchNorm2d(3)
      >>> variables = layer.init(jax.random.key(0), jnp.ones((2, 4, 4, 3)))
      >>> y, new = layer.apply(
      ...     variables, jnp.ones((2, 4, 4, 3)), train=True, mutable=["batch_stats"])
      >>> int(new["batch_stats"]["num_batches_tracked"])
      1
    """

    def _check_input(self, where: str, x: jax.Array) -> None:
        check(x.ndim == 4, where, "input must be (n, h, w, c)", shape=x.shape)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel over the batch and the volume.

    Mirrors `torch.nn.BatchNorm3d` on channels-last input `(n, d, h, w, c)`. Attributes, parameters
    and errors are those of `BatchNorm2d`.

    Example:
      >>> layer = BatchNorm3d(3)
      >>> layer.init_with_output(jax.random.key(0), jnp.ones((2, 4, 4, 4, 3)))[0].shape
      (2, 4, 4, 4, 3)
    """

    def _check_input(self, where: str, x: jax.Array) -> None:
        check(x.ndim == 5, where, "input must be (n, d, h, w, c)", shape=x.shape)


class SyncBatchNorm(_BatchNorm):
    """Normalises each channel over the parts of a batch that several devices hold.

    Mirrors `torch.nn.SyncBatchNorm` on channels-last input `(n, *spatial, c)`. Training under
    `jax.pmap` or `jax.shard_map` averages over the axes `axis_name`; running variances are
    unbiased by the number of values on all devices. Outside of a mapped axis, as under `jax.jit`,
    where every array is the whole one already, and in evaluation it is a BatchNorm: PyTorch does
    the same without a process group. Attributes, parameters and errors are those of
    `BatchNorm2d`, and:

    Attributes:
      process_group: Accepted and without effect; `axis_name` stands for it.
      axis_name: Name of the mapped axis, or several; "devices" is what `train.parallelize` calls
        it. None never averages over devices.

    Raises:
      ValueError: If training runs under `jax.pmap` or `jax.shard_map` over other axes only.

    Example:
      >>> layer, x = SyncBatchNorm(3), jnp.arange(24.0).reshape(2, 4, 3)
      >>> variables = layer.init(jax.random.key(0), x)
      >>> step = lambda x: layer.apply(variables, x, train=True, mutable=["batch_stats"])
      >>> y, new = jax.vmap(step, axis_name="devices")(x)  # stands for two devices
      >>> bool(jnp.allclose(y, step(x)[0], atol=1e-6))
      True
    """

    process_group: Any = None
    axis_name: str | tuple[str, ...] | None = dataclasses.field(default="devices", kw_only=True)

    def _check_input(self, where: str, x: jax.Array) -> None:
        check(x.ndim >= 2, where, "input must be (n, *spatial, c)", shape=x.shape)

    def _axis_name(self) -> str | tuple[str, ...] | None:
        if self.axis_name is None or _is_mapped(self.axis_name):
            return self.axis_name
        mapped = jax.sharding.get_abstract_mesh().manual_axes
        # A misspelt name would leave each device to its own statistics without a word.
        rule = "axis_name must be among the mapped axes"
        fix = "name them, or pass axis_name=None for statistics of each device"
        check(not mapped, "SyncBatchNorm", rule, fix, axis_name=self.axis_name, mapped=mapped)
        return None


class _InstanceNorm(nn.Module):
    """The fields and the call of every InstanceNorm; a subclass says what input it takes."""

    num_features: int
    eps: float = 1e-5
    momentum: float | None = 0.1
    affine: bool = False
    track_running_stats: bool = False
    bias: bool = dataclasses.field(default=True, kw_only=True)
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)

    def __post_init__(self) -> None:
        check_int(type(self).__name__, "num_features", self.num_features, 1)
        super().__post_init__()

    def _axes(self) -> str:
        """The names of the spatial axes, such as "h, w"."""
        raise NotImplementedError

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        x, where, axes = jnp.asarray(x), type(self).__name__, self._axes()
        spatial = len(axes.split(", "))
        rule = f"input must be (n, {axes}, c) or ({axes}, c)"
        check(x.ndim in (spatial + 1, spatial + 2), where, rule, shape=x.shape)
        check_channels(where, x.shape, self.num_features, spatial)
        images = x.reshape(-1, *x.shape[-spatial - 1 :]) if x.ndim == spatial + 1 else x
        weight, bias = _scale_and_shift(self)
        if not self.track_running_stats:
            images = images.astype(canonicalize_dtype(images, weight, bias, dtype=self.dtype))
            y = F.instance_norm(images, None, None, weight, bias, eps=self.eps)
            return y.reshape(x.shape)

        mean, var, _ = _running_statistics(self)
        dtype = canonicalize_dtype(images, mean.value, weight, bias, dtype=self.dtype)
        images, statistics = images.astype(dtype), (mean.value, var.value)
        if not train:
            y = F.instance_norm(
                images, *statistics, weight, bias, use_input_stats=False, eps=self.eps
            )
            return y.reshape(x.shape)
        # PyTorch counts no batches here, so momentum=None has nothing to average by: it keeps
        # the statistics as they are.
        momentum = 0.0 if self.momentum is None else self.momentum
        y, new_mean, new_var = F.instance_norm(
            images, *statistics, weight, bias, momentum=momentum, eps=self.eps
        )
        if not self.is_initializing():
            mean.value, var.value = new_mean, new_var
        return y.reshape(x.shape)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets, `bias=` as in BatchNorm."""
        return _shown(self)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each sequence.

    Mirrors `torch.nn.InstanceNorm1d` on channels-last input `(n, l, c)` or `(l, c)`. Attributes,
    parameters and errors are those of `InstanceNorm2d`.

    Example:
      >>> InstanceNorm1d(3).apply({}, jnp.ones((2, 8, 3))).shape
      (2, 8, 3)
    """

    def _axes(self) -> str:
        return "l"


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each image.

    Mirrors `torch.nn.InstanceNorm2d` on channels-last input; torch's `device` and `dtype` are left
    out. With `track_running_stats` training writes running statistics into the mutable collection
    `batch_stats`, as `BatchNorm2d` does, and evaluation uses them. A wrong number of channels is
    always an error; PyTorch only warns without `affine`.

    Attributes:
      num_features: Channels of the input.
      eps: Added to the variance.
      momentum: Weight of the new value in the running statistics; None is 0, as there.
      affine: Whether to scale and shift by learned parameters.
      track_running_stats: Whether to keep running statistics.
      bias: Whether `affine` shifts as well as scales.
      dtype: Dtype of the output; None promotes input, parameters and statistics. Statistics are
        computed in at least float32.
      param_dtype: Dtype of parameters and statistics.

    Parameters:
      With `affine` `weight (num_features,)` ones, `bias (num_features,)` zeros; with
      `track_running_stats` in `batch_stats` `running_mean` zeros, `running_var` ones,
      `num_batches_tracked` 0, which is never counted up.

    Shape:
      `(n, h, w, num_features)` -> the same, or one image `(h, w, num_features)`.

    Raises:
      ValueError: If `num_features` or the input does not fit, or an image has one pixel.
      TypeError: If `num_features` is not an integer.

    Source: Ulyanov et al., 2016.

    Example:
      >>> x = jnp.array([1.0, 3.0, 10.0, 30.0]).reshape(2, 2, 1, 1)
      >>> InstanceNorm2d(1).apply({}, x).ravel().round(3).tolist()
      [-1.0, 1.0, -1.0, 1.0]
    """

    def _axes(self) -> str:
        return "h, w"


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each volume.

    Mirrors `torch.nn.InstanceNorm3d` on channels-last input `(n, d, h, w, c)` or `(d, h, w, c)`.
    Attributes, parameters and errors are those of `InstanceNorm2d`.

    Example:
      >>> InstanceNorm3d(3).apply({}, jnp.ones((2, 4, 4, 4, 3))).shape
      (2, 4, 4, 4, 3)
    """

    def _axes(self) -> str:
        return "d, h, w"


def _scale_and_shift(
    layer: _BatchNorm | _InstanceNorm,
) -> tuple[jax.Array | None, jax.Array | None]:
    """The layer's `weight` and `bias`, as far as it has them."""
    shape, dtype = (layer.num_features,), layer.param_dtype
    if not layer.affine:
        return None, None
    weight_init = getattr(layer, "weight_init", None) or init.ones()
    weight = layer.param("weight", weight_init, shape, dtype)
    return weight, layer.param("bias", nn.initializers.zeros, shape, dtype) if layer.bias else None


def _running_statistics(
    layer: _BatchNorm | _InstanceNorm,
) -> tuple[nn.Variable, nn.Variable, nn.Variable]:
    """The layer's running mean, running variance and count of batches."""
    shape, dtype = (layer.num_features,), layer.param_dtype
    return (
        layer.variable("batch_stats", "running_mean", jnp.zeros, shape, dtype),
        layer.variable("batch_stats", "running_var", jnp.ones, shape, dtype),
        layer.variable("batch_stats", "num_batches_tracked", jnp.zeros, (), int),
    )


def _is_mapped(axis_name: str | tuple[str, ...]) -> bool:
    try:
        lax.axis_size(axis_name)
    except NameError:  # how JAX says that it knows no such axis
        return False
    return True


def _shown(layer: _BatchNorm | _InstanceNorm) -> str:
    return (
        f"{layer.num_features}, eps={layer.eps}, momentum={layer.momentum}, "
        f"affine={layer.affine}, {'' if layer.bias else 'bias=False, '}"
        f"track_running_stats={layer.track_running_stats}"
    )
