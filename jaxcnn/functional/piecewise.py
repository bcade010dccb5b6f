"""Activations made of straight pieces. Mirrors those of torch.nn.functional.

Where the pieces meet, the gradient is PyTorch's.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_channels, check_floating
from jaxcnn.functional._numbers import elementwise, real, widened


def relu(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """max(x, 0), elementwise; the gradient at 0 is 0.

    Mirrors `torch.nn.functional.relu`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is boolean or complex.

    Example:
      >>> relu(jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """
    del inplace
    x = real("relu", input)
    return jnp.where(x <= 0, 0, x)


def relu6(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """min(max(x, 0), 6), elementwise; the gradient at 0 and at 6 is 0.

    Mirrors `torch.nn.functional.relu6`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is boolean or complex.

    Example:
      >>> relu6(jnp.array([-1.0, 2.0, 7.0])).tolist()
      [0.0, 2.0, 6.0]
    """
    del inplace
    return _clamped(real("relu6", input), 0, 6)


def hardtanh(
    input: ArrayLike, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> jax.Array:
    """min(max(x, min_val), max_val), elementwise; the gradient at both bounds is 0.

    Mirrors `torch.nn.functional.hardtanh`. `inplace` is accepted and changes nothing.

    Raises:
      ValueError: If `min_val` is greater than `max_val`.
      TypeError: If the input is boolean or complex.

    Example:
      >>> hardtanh(jnp.array([-2.0, 0.5, 2.0])).tolist()
      [-1.0, 0.5, 1.0]
    """
    del inplace
    rule = "min_val must not be greater than max_val"
    check(min_val <= max_val, "hardtanh", rule, min_val=min_val, max_val=max_val)
    return _clamped(real("hardtanh", input), min_val, max_val)


def threshold(input: ArrayLike, threshold: float, value: float, inplace: bool = False) -> jax.Array:
    """X where x > threshold, else `value`, elementwise; the gradient at the threshold is 0.

    Mirrors `torch.nn.functional.threshold`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is boolean or complex.

    Example:
      >>> threshold(jnp.array([0.5, 2.0]), 1.0, -3.0).tolist()
      [-3.0, 2.0]
    """
    del inplace
    x = real("threshold", input)
    return jnp.where(widened(x) <= threshold, jnp.asarray(value, x.dtype), x)


def leaky_relu(input: ArrayLike, negative_slope: float = 0.01, inplace: bool = False) -> jax.Array:
    """X where x > 0, else negative_slope * x; the gradient at 0 is `negative_slope`.

    Mirrors `torch.nn.functional.leaky_relu`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Maas et al., 2013.

    Example:
      >>> leaky_relu(jnp.array([-1.0, 2.0]), 0.25).tolist()
      [-0.25, 2.0]
    """
    del inplace
    return elementwise("leaky_relu", lambda x: _sloped(x, negative_slope), input)


def prelu(input: ArrayLike, weight: ArrayLike) -> jax.Array:
    """X where x > 0, else weight * x, with a weight for each channel or one for all.

    Mirrors `torch.nn.functional.prelu`; the channels are on the last axis.

    Args:
      input: `(n, *, c)`, or up to one axis with a single weight.
      weight: `(c,)`, `(1,)` or a number.

    Raises:
      ValueError: If the weight does not fit the channels.
      TypeError: If the input is not floating point.

    Source: He et al., 2015.

    Example:
      >>> prelu(jnp.array([[-1.0, -1.0]]), jnp.array([0.5, 0.25])).tolist()
      [[-0.5, -0.25]]
    """
    x, slope = jnp.asarray(input), jnp.asarray(weight)
    check_floating("prelu", x)
    check(slope.ndim <= 1, "prelu", "weight must be (c,), (1,) or a number", shape=slope.shape)
    if slope.size != 1:
        rule = "input without a channel axis, (n, *, c), takes a single weight"
        check(x.ndim >= 2, "prelu", rule, shape=x.shape, weights=slope.size)
        check_channels("prelu", x.shape, slope.size, x.ndim - 2)
    else:
        slope = slope.reshape(())
    return _sloped(widened(x), widened(slope)).astype(jnp.result_type(x, slope))


def rrelu(
    input: ArrayLike,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: jax.Array | None = None,
) -> jax.Array:
    """X where x > 0, else slope * x, with a random slope for each entry while training.

    Mirrors `torch.nn.functional.rrelu`; the random key is explicit.

    Args:
      input: An array of any shape.
      lower: Smallest slope.
      upper: Largest slope.
      training: Whether to draw slopes from U(lower, upper); otherwise all are their mean.
      inplace: Accepted and without effect.
      rng: The random key; needed when `training`.

    Raises:
      ValueError: If `lower` is greater than `upper`, or the key is missing.
      TypeError: If the input is not floating point.

    Source: Xu et al., 2015.

    Example:
      >>> rrelu(jnp.array([-1.0, 2.0]), 0.25, 0.75).tolist()
      [-0.5, 2.0]
    """
    del inplace
    check_slopes("rrelu", lower, upper)
    if not training:
        return elementwise("rrelu", lambda x: _sloped(x, (lower + upper) / 2), input)
    if rng is None:
        raise ValueError("rrelu: training needs a random key, got rng=None; pass rng=key.")
    draw = lambda x: jax.random.uniform(rng, x.shape, x.dtype, lower, upper)
    return elementwise("rrelu", lambda x: _sloped(x, draw(x)), input)


def hardsigmoid(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """relu6(x + 3) / 6, elementwise; the gradient at -3 and at 3 is 0.

    Mirrors `torch.nn.functional.hardsigmoid`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Howard et al., 2019 (MobileNetV3).

    Example:
      >>> hardsigmoid(jnp.array([-4.0, 0.0, 4.0])).tolist()
      [0.0, 0.5, 1.0]
    """
    del inplace
    return elementwise("hardsigmoid", lambda x: _ramp(x) / 6, input)


def hardswish(input: ArrayLike, inplace: bool = False) -> jax.Array:
    """X * relu6(x + 3) / 6, elementwise; the gradient is 0 at -3 and 1 at 3.

    Mirrors `torch.nn.functional.hardswish`. `inplace` is accepted and changes nothing.

    Raises:
      TypeError: If the input is not floating point.

    Source: Howard et al., 2019 (MobileNetV3).

    Example:
      >>> hardswish(jnp.array([-4.0, 0.0, 4.0])).tolist()
      [-0.0, 0.0, 4.0]
    """
    del inplace
    return elementwise("hardswish", lambda x: x * _ramp(x) / 6, input)


def hardshrink(input: ArrayLike, lambd: float = 0.5) -> jax.Array:
    """0 where -lambd <= x <= lambd, else x; the gradient at both bounds is 0.

    Mirrors `torch.nn.functional.hardshrink`.

    Raises:
      TypeError: If the input is not floating point.

    Example:
      >>> hardshrink(jnp.array([-1.0, 0.5, 2.0])).tolist()
      [-1.0, 0.0, 2.0]
    """
    inside = lambda x: (x >= -lambd) & (x <= lambd)
    return elementwise("hardshrink", lambda x: jnp.where(inside(x), 0, x), input)


def softshrink(input: ArrayLike, lambd: float = 0.5) -> jax.Array:
    """X moved towards 0 by `lambd`, and 0 where it would pass it; the gradient there is 0.

    Mirrors `torch.nn.functional.softshrink`.

    Raises:
      ValueError: If `lambd` is negative.
      TypeError: If the input is not floating point.

    Example:
      >>> softshrink(jnp.array([-1.0, 0.5, 2.0])).tolist()
      [-0.5, 0.0, 1.5]
    """
    check(lambd >= 0, "softshrink", "lambd must be at least 0", lambd=lambd)

    def function(x: jax.Array) -> jax.Array:
        moved = jnp.where(x > 0, x - lambd, x + lambd)
        return jnp.where((x >= -lambd) & (x <= lambd), 0, moved)

    return elementwise("softshrink", function, input)


def check_slopes(where: str, lower: float, upper: float) -> None:
    """Raises unless `lower` is at most `upper`."""
    rule = "lower must not be greater than upper"
    check(lower <= upper, where, rule, lower=lower, upper=upper)


# Written as selections rather than max and min: those share the gradient between both sides of a
# tie, PyTorch gives it to one.


def _clamped(x: jax.Array, low: float, high: float) -> jax.Array:
    ends = jnp.asarray(low, x.dtype), jnp.asarray(high, x.dtype)
    compared = widened(x)
    return jnp.where(compared <= low, ends[0], jnp.where(compared >= high, ends[1], x))


def _ramp(x: jax.Array) -> jax.Array:
    """relu6(x + 3); which piece is decided before the sum rounds."""
    return jnp.where(x <= -3, 0, jnp.where(x >= 3, 6, x + 3))


def _sloped(x: jax.Array, slope: jax.Array | float) -> jax.Array:
    # The slope must not meet an infinite x on the other side: its gradient would be 0 * inf.
    return jnp.where(x > 0, x, slope * jnp.where(x > 0, 0, x))
