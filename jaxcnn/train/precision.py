"""Computing in half precision, with parameters, statistics and optimiser in float32."""

from __future__ import annotations

import contextlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.training.dynamic_scale import DynamicScale

from jaxcnn._checks import check, check_int

PRECISIONS = ("float32", "bfloat16", "float16")


def grad_scaler(
    init_scale: float = 2.0**16,
    growth_factor: float = 2.0,
    backoff_factor: float = 0.5,
    growth_interval: int = 2000,
) -> DynamicScale:
    """The factor of the loss that keeps float16 gradients from vanishing.

    Mirrors `torch.amp.GradScaler`, defaults and sequence of scales included. The loss is multiplied
    by it and the gradients are divided by it; a gradient that is not finite lowers it.

    Args:
      init_scale: The factor at the start.
      growth_factor: What it is multiplied by after `growth_interval` steps with finite gradients.
      backoff_factor: What it is multiplied by after a gradient that is not finite.
      growth_interval: Steps with finite gradients until it grows.

    Raises:
      ValueError: If `init_scale` is not positive, the growth factor not above 1, or the backoff
        factor not between 0 and 1.
      TypeError: If `growth_interval` is not an integer.

    Source: Micikevicius et al., 2018.

    Example:
      >>> float(grad_scaler().scale)
      65536.0
    """
    where = "grad_scaler"
    check(init_scale > 0, where, "init_scale must be positive", init_scale=init_scale)
    check(growth_factor > 1, where, "growth_factor must be above 1", growth_factor=growth_factor)
    between = 0 < backoff_factor < 1
    check(between, where, "backoff_factor must be between 0 and 1", backoff_factor=backoff_factor)
    check_int(where, "growth_interval", growth_interval, 1)
    return DynamicScale(
        growth_factor=growth_factor,
        backoff_factor=backoff_factor,
        # Flax's grows one step later than PyTorch's.
        growth_interval=growth_interval - 1,
        fin_steps=jnp.zeros((), jnp.int32),  # type: ignore[arg-type]
        scale=jnp.asarray(init_scale, jnp.float32),  # type: ignore[arg-type]
    )


def cast(tree: Any, precision: str) -> Any:
    """The floating-point arrays of a tree in half precision; as they are for "float32".

    Example:
      >>> str(cast(jnp.ones(2), "bfloat16").dtype), str(cast(jnp.arange(2), "bfloat16").dtype)
      ('bfloat16', 'int32')
    """
    if precision == "float32":
        return tree
    half = lambda x: x.astype(precision) if _is_floating(x) else x
    return jax.tree.map(half, tree)


def cast_params(params: Any, precision: str) -> Any:
    """The parameters in half precision, but for those of norms, as in `torch.autocast`.

    A norm computes in float32. It, and what else only scales or shifts channels, is a module whose
    own parameters have one axis at most.

    Example:
      >>> vector, matrix = jnp.ones(2), jnp.ones((2, 2))
      >>> params = {"bn": {"weight": vector}, "fc": {"weight": matrix, "bias": vector}}
      >>> jax.tree.map(lambda x: str(x.dtype), cast_params(params, "bfloat16"))
      {'bn': {'weight': 'float32'}, 'fc': {'bias': 'bfloat16', 'weight': 'bfloat16'}}
    """
    axes: dict[Any, int] = {}
    for path, x in jax.tree.leaves_with_path(params):
        axes[path[:-1]] = max(axes.get(path[:-1], 0), jnp.ndim(x))
    chosen = lambda path, x: x if axes[path[:-1]] <= 1 else cast(x, precision)
    return jax.tree.map_with_path(chosen, params)


def layers_in(precision: str) -> contextlib.AbstractContextManager[None]:
    """Has every layer take and hand on half precision, also one whose parameters are float32.

    Example:
      >>> from jaxcnn import nn
      >>> layer, x = nn.BatchNorm2d(1), jnp.ones((1, 2, 2, 1), jnp.bfloat16)
      >>> variables = layer.init(jax.random.key(0), x)
      >>> with layers_in("bfloat16"):
      ...     str(layer.apply(variables, x).dtype)
      'bfloat16'
    """
    if precision == "float32":
        return contextlib.nullcontext()

    def narrow(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if context.method_name != "__call__":
            return next_fun(*args, **kwargs)
        args, kwargs = cast((args, kwargs), precision)
        return cast(next_fun(*args, **kwargs), precision)

    return nn.intercept_methods(narrow)


def widen_logits(logits: Any, precision: str) -> Any:
    """A model's half-precision outputs in float32, for the loss.

    Example:
      >>> str(widen_logits(jnp.ones(2, jnp.float16), "float16").dtype)
      'float32'
    """
    return logits if precision == "float32" else jax.tree.map(_to_float32, logits)


def _to_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float32) if _is_floating(x) else x


def _is_floating(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)
