"""Layers of vision models beyond torch.nn. Mirrors torchvision.ops."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Dtype

from jaxcnn import functional as F
from jaxcnn import init
from jaxcnn._checks import check, check_channels, check_type
from jaxcnn.functional.vision import DROP_PATH_MODES
from jaxcnn.nn.conv import check_settings, parameters, settings


class DeformConv2d(nn.Module):
    """A convolution whose taps are moved, each at each place, by an offset of its own.

    Mirrors `torchvision.ops.DeformConv2d` on channels-last arrays. Offsets and mask are arguments
    of the call: the layers that compute them belong to the model.

    Attributes:
      in_channels: Channels of the input.
      out_channels: Channels of the output.
      kernel_size: Kernel height and width in pixels; an int means both.
      stride: Steps between windows in pixels.
      padding: Zeros around the image in pixels.
      dilation: Steps between the taps of the kernel in pixels, before they are moved.
      groups: Groups of channels that do not see each other; independent of the offset's groups.
      bias: Whether to add a learned bias.
      dtype: Computation dtype of input and parameters; None promotes them.
      param_dtype: Dtype of the parameters.
      weight_init: What the weight starts from; None is PyTorch's choice, below.
      bias_init: What the bias starts from; None is PyTorch's choice.

    Parameters:
      `weight (out_channels, in_channels/groups, kh, kw)`, `bias (out_channels,)`, both from
      U(-b, b), `b = 1 / sqrt(in_channels/groups * kh * kw)`.

    Shape:
      x `(n, h, w, in_channels)`, offset `(n, h_out, w_out, 2*offset_groups*kh*kw)`, mask
      `(n, h_out, w_out, offset_groups*kh*kw)` or None -> `(n, h_out, w_out, out_channels)`, sizes
      as in `Conv2d`.

    Raises:
      ValueError: If a value is out of range or the inputs do not fit.
      TypeError: If a size is not an integer.

    Source: Dai et al., 2017 (version 1); Zhu et al., 2019 (version 2, with a mask).

    Example:
      >>> layer = DeformConv2d(3, 8, 3, padding=1)
      >>> x, offset = jnp.ones((1, 8, 8, 3)), jnp.zeros((1, 8, 8, 2 * 3 * 3))
      >>> y, variables = layer.init_with_output(jax.random.key(0), x, offset)
      >>> y.shape, variables["params"]["weight"].shape
      ((1, 8, 8, 8), (8, 3, 3, 3))
    """

    in_channels: int
    out_channels: int
    kernel_size: int | Sequence[int]
    stride: int | Sequence[int] = 1
    padding: int | Sequence[int] = 0
    dilation: int | Sequence[int] = 1
    groups: int = 1
    bias: bool = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)
    param_dtype: Dtype = dataclasses.field(default=jnp.float32, kw_only=True)
    weight_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)
    bias_init: init.Initializer | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        rule = "padding must be in pixels, not a word"
        check_type(not isinstance(self.padding, str), "DeformConv2d", rule, padding=self.padding)
        check_settings(self, 2)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Any, offset: Any, mask: Any = None) -> jax.Array:
        x = jnp.asarray(x)
        check(x.ndim == 4, "DeformConv2d", "input must be (n, h, w, c)", shape=x.shape)
        check_channels("DeformConv2d", x.shape, self.in_channels, 2)
        weight, bias = parameters(self, self.out_channels, self.in_channels // self.groups)
        x, weight, bias = promote_dtype(x, weight, bias, dtype=self.dtype)
        return F.deform_conv2d(
            x, offset, weight, bias, self.stride, self.padding, self.dilation, mask
        )

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return settings(self)


class DropPath(nn.Module):
    """Sets whole images to zero with probability `drop_prob` while training (stochastic depth).

    Mirrors timm's `DropPath`, and with `mode` torchvision's `StochasticDepth`. Prints without
    settings, as timm's did when the published models were printed. The key comes from the
    `dropout` rng: `model.apply(variables, x, train=True, rngs={"dropout": key})`.

    Attributes:
      drop_prob: Probability of a zero, 0 to 1.
      scale_by_keep: Whether what is kept is scaled by `1 / (1 - drop_prob)`.
      mode: "row" drops each image on its own, "batch" all together.

    Shape:
      `(n, *)` -> the same.

    Raises:
      ValueError: If `drop_prob` is outside 0 to 1 or `mode` is unknown.

    Source: Huang et al., 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> layer = DropPath(0.5)
      >>> y = layer.apply({}, jnp.ones((50, 2)), train=True, rngs={"dropout": jax.random.key(0)})
      >>> sorted({tuple(row) for row in y.tolist()})
      [(0.0, 0.0), (2.0, 2.0)]
    """

    drop_prob: float = 0.0
    scale_by_keep: bool = True
    mode: str = "row"

    def __post_init__(self) -> None:
        rule = "drop_prob must be between 0 and 1"
        check(0 <= self.drop_prob <= 1, "DropPath", rule, drop_prob=self.drop_prob)
        rule = f"mode must be one of {DROP_PATH_MODES}"
        check(self.mode in DROP_PATH_MODES, "DropPath", rule, mode=self.mode)
        super().__post_init__()

    def __call__(self, x: Any, train: bool = False) -> jax.Array:
        rng = self.make_rng("dropout") if train and 0 < self.drop_prob < 1 else None
        return F.drop_path(
            x, self.drop_prob, self.mode, train, scale_by_keep=self.scale_by_keep, rng=rng
        )
