"""From any PyTorch module to a linen module. PyTorch is imported when `from_torch` is called."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from jaxcnn.interop.convert.errors import ConversionError
from jaxcnn.interop.convert.own_rules import rule

if TYPE_CHECKING:
    import torch

    from jaxcnn.interop.converted import Converted

__all__ = ["ConversionError", "from_torch", "rule"]


def from_torch(
    module: torch.nn.Module,
    *example_inputs: torch.Tensor,
    mode: Literal["eval", "train"] | None = None,
) -> tuple[Converted, dict[str, Any]]:
    """Turns a PyTorch module into a linen module that computes the same, with its weights.

    The module runs a few times on the example. Each layer of `torch.nn` becomes the one of
    `jaxcnn.nn`, every other call of PyTorch one of JAX. The result needs no PyTorch. It takes
    images channels-last and returns them so, trains (`train=True`: running statistics move,
    dropout draws from the `dropout` rng), and takes any batch size. If sizes of images are
    written into the program, it takes images of the example's size only.

    Args:
      module: The module; it is left as it is.
      *example_inputs: What it takes, as PyTorch takes it: images (n, c, h, w).
      mode: None expects training and evaluation to run the same calls, but for flags such as
        dropout's. "eval" or "train" takes the calls of one of them for both.

    Returns:
      The module and its variables, `{"params": ..., "batch_stats": ...}`. `to_state_dict` of
      them has the PyTorch module's keys; if it shares weights, with `tied=converted.tied`.

    Raises:
      ConversionError: If a call has no counterpart (all of them are listed), what is done depends
        on values or on the batch size, training runs other calls than evaluation, or the module
        does not run on the example.
      TypeError: If the module or an example input is none of PyTorch's.
      ValueError: If `mode` is unknown or there is no example input.
      ImportError: If PyTorch is not installed.

    Example:
      >>> import jax, torch
      >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU())
      >>> model, variables = from_torch(net, torch.zeros(1, 3, 8, 8))
      >>> model.apply(variables, jax.numpy.ones((2, 8, 8, 3))).shape
      (2, 6, 6, 8)
    """
    if importlib.util.find_spec("torch") is None:
        raise ImportError("from_torch: PyTorch must be installed; pip install torch.")
    from jaxcnn.interop.convert.convert import convert

    return convert(module, example_inputs, mode)
