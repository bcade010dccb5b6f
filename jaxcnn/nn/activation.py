"""Curved activation layers. Mirrors torch.nn's; the others are in `piecewise`."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jaxcnn import functional as F
from jaxcnn._checks import check, check_type, is_int
from jaxcnn.functional.activation import check_approximate


class Sigmoid(nn.Module):
    """1 / (1 + exp(-x)), elementwise.

    Mirrors `torch.nn.Sigmoid`.

    Example:
      >>> float(Sigmoid().apply({}, 0.0))
      0.5
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.sigmoid(x)


class Tanh(nn.Module):
    """The hyperbolic tangent, elementwise.

    Mirrors `torch.nn.Tanh`.

    Example:
      >>> float(Tanh().apply({}, 0.0))
      0.0
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.tanh(x)


class GELU(nn.Module):
    """X times the normal distribution's share below x, elementwise.

    Mirrors `torch.nn.GELU`: exact by default.

    Attributes:
      approximate: "none" or "tanh".

    Raises:
      ValueError: If `approximate` is something else.

    Source: Hendrycks and Gimpel, 2016.

    Example:
      >>> round(float(GELU().apply({}, 1.0)), 4)
      0.8413
    """

    approximate: str = "none"

    def __post_init__(self) -> None:
        check_approximate("GELU", self.approximate)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return f"approximate={self.approximate!r}"


class SiLU(nn.Module):
    """X * sigmoid(x), elementwise.

    Mirrors `torch.nn.SiLU`.

    Attributes:
      inplace: Accepted and without effect.

    Source: Hendrycks and Gimpel, 2016; Ramachandran et al., 2017 (Swish).

    Example:
      >>> round(float(SiLU().apply({}, 1.0)), 4)
      0.7311
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.silu(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(inplace=self.inplace)


class Mish(nn.Module):
    """X * tanh(log(1 + exp(x))), elementwise.

    Mirrors `torch.nn.Mish`.

    Attributes:
      inplace: Accepted and without effect.

    Source: Misra, 2020.

    Example:
      >>> round(float(Mish().apply({}, 1.0)), 4)
      0.8651
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.mish(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(inplace=self.inplace)


class ELU(nn.Module):
    """X where x > 0, else alpha * (exp(x) - 1).

    Mirrors `torch.nn.ELU`.

    Attributes:
      alpha: The output approaches -alpha far below 0.
      inplace: Accepted and without effect.

    Source: Clevert et al., 2016.

    Example:
      >>> import jax.numpy as jnp
      >>> ELU(0.5).apply({}, jnp.array([-100.0, 2.0])).tolist()
      [-0.5, 2.0]
    """

    alpha: float = 1.0
    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(alpha=self.alpha, inplace=self.inplace)


class CELU(nn.Module):
    """X where x > 0, else alpha * (exp(x / alpha) - 1).

    Mirrors `torch.nn.CELU`.

    Attributes:
      alpha: The output approaches -alpha far below 0.
      inplace: Accepted and without effect.

    Raises:
      ValueError: If `alpha` is zero.

    Source: Barron, 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> CELU(0.5).apply({}, jnp.array([-100.0, 2.0])).tolist()
      [-0.5, 2.0]
    """

    alpha: float = 1.0
    inplace: bool = False

    def __post_init__(self) -> None:
        check(self.alpha != 0, "CELU", "alpha must not be zero", alpha=self.alpha)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.celu(x, self.alpha)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(alpha=self.alpha, inplace=self.inplace)


class SELU(nn.Module):
    """1.0507 * elu(x, 1.6733), elementwise.

    Mirrors `torch.nn.SELU`.

    Attributes:
      inplace: Accepted and without effect.

    Source: Klambauer et al., 2017.

    Example:
      >>> float(SELU().apply({}, 0.0))
      0.0
    """

    inplace: bool = False

    def __call__(self, x: Any) -> jax.Array:
        return F.selu(x)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(inplace=self.inplace)


class Softplus(nn.Module):
    """log(1 + exp(beta * x)) / beta, elementwise; x itself where beta * x > threshold.

    Mirrors `torch.nn.Softplus`.

    Attributes:
      beta: How sharply the curve bends at 0.
      threshold: Beyond this value of beta * x the function is x.

    Example:
      >>> import jax.numpy as jnp
      >>> Softplus().apply({}, jnp.array([30.0])).tolist()
      [30.0]
    """

    beta: float = 1.0
    threshold: float = 20.0

    def __call__(self, x: Any) -> jax.Array:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(beta=self.beta, threshold=self.threshold)


class Softsign(nn.Module):
    """X / (1 + |x|), elementwise.

    Mirrors `torch.nn.Softsign`.

    Example:
      >>> import jax.numpy as jnp
      >>> Softsign().apply({}, jnp.array([-1.0, 3.0])).tolist()
      [-0.5, 0.75]
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.softsign(x)


class Tanhshrink(nn.Module):
    """X - tanh(x), elementwise.

    Mirrors `torch.nn.Tanhshrink`.

    Example:
      >>> float(Tanhshrink().apply({}, 0.0))
      0.0
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.tanhshrink(x)


class LogSigmoid(nn.Module):
    """log(1 / (1 + exp(-x))), elementwise, without overflow.

    Mirrors `torch.nn.LogSigmoid`.

    Example:
      >>> import jax.numpy as jnp
      >>> LogSigmoid().apply({}, jnp.array([-1e4])).tolist()
      [-10000.0]
    """

    def __call__(self, x: Any) -> jax.Array:
        return F.logsigmoid(x)


class GLU(nn.Module):
    """The first half of an axis times the sigmoid of the second half.

    Mirrors `torch.nn.GLU`; `dim` counts in the array as given, so PyTorch's channel axis 1 is -1
    here.

    Attributes:
      dim: The axis to halve.

    Raises:
      ValueError: If there is no such axis or its length is odd.
      TypeError: If `dim` is not an integer.

    Source: Dauphin et al., 2017.

    Example:
      >>> import jax.numpy as jnp
      >>> GLU().apply({}, jnp.array([3.0, 4.0, 0.0, 0.0])).tolist()
      [1.5, 2.0]
    """

    dim: int = -1

    def __post_init__(self) -> None:
        check_type(is_int(self.dim), "GLU", "dim must be an int", dim=self.dim)
        super().__post_init__()

    def __call__(self, x: Any) -> jax.Array:
        return F.glu(x, self.dim)

    def extra_repr(self) -> str:
        """What `print(torch_module)` shows between the brackets."""
        return shown(dim=self.dim)


def shown(inplace: bool = False, **settings: Any) -> str:
    """Settings as PyTorch prints them: "alpha=1.0, inplace=True"."""
    shown = [f"{name}={value}" for name, value in settings.items()]
    return ", ".join([*shown, *["inplace=True"] * inplace])
