"""What the differences share: inputs, layouts, and what a difference is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen
import jax
import numpy as np

from jaxcnn import layout

RNG = np.random.RandomState(0)
IMAGES = RNG.standard_normal((4, 9, 9, 6)).astype(np.float32)
KERNEL = RNG.standard_normal((8, 6, 3, 3)).astype(np.float32)
HWIO = KERNEL.transpose(2, 3, 1, 0)
ROWS = RNG.standard_normal((16, 8)).astype(np.float32)

Values = Any  # an array, or a number


@dataclasses.dataclass(frozen=True)
class Difference:
    """One default that ports get wrong.

    Attributes:
      name: What it is about.
      torch: What PyTorch gives.
      flax: What plain Flax, jax or optax gives, with the defaults that a port would leave.
      jaxcnn: What jaxcnn gives.
      explanation: Which defaults differ.
      example: PyTorch's line, and the line that looks like it.
      thread: Where people met it in public; "" if no such place is known.
    """

    name: str
    torch: Callable[[], Values]
    flax: Callable[[], Values]
    jaxcnn: Callable[[], Values]
    explanation: str
    example: tuple[str, str]
    thread: str = ""


def first(x: np.ndarray) -> Any:
    """Channels-last images as PyTorch's."""
    import torch

    return torch.from_numpy(np.array(layout.to_channels_first(x)))


def last(x: Any) -> np.ndarray:
    """PyTorch's images, channels last."""
    return np.asarray(layout.to_channels_last(x.detach().numpy()))


def initial(module: flax.linen.Module, x: Any, name: str) -> Any:
    """A parameter as it is initialised."""
    variables: Any = module.init(jax.random.key(0), x)
    return variables["params"][name]


def output(module: Any, inputs: np.ndarray) -> Values:
    """What a new linen module gives."""
    return module.init_with_output(jax.random.key(0), inputs)[0]
