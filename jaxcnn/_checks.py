"""Argument checks that fail with one clear line, before anything is compiled."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp


def check(ok: bool, where: str, rule: str, fix: str = "", /, **got: Any) -> None:
    """Raises ValueError "{where}: {rule}, got {name}={value!r}; {fix}." unless `ok`.

    Example:
      >>> check(3 % 2 == 0, "Conv2d", "in_channels must be divisible by groups",
      ...       in_channels=3, groups=2)
      Traceback (most recent call last):
      ValueError: Conv2d: in_channels must be divisible by groups, got in_channels=3, groups=2.
    """
    if not ok:
        values = ", ".join(f"{name}={value!r}" for name, value in got.items())
        raise ValueError(f"{where}: {rule}, got {values}{f'; {fix}' if fix else ''}.")


def check_type(ok: bool, where: str, rule: str, /, **got: Any) -> None:
    """Raises TypeError "{where}: {rule}, got {name}={value!r}." unless `ok`.

    Example:
      >>> check_type(is_int(0.5), "Linear", "in_features must be an int", in_features=0.5)
      Traceback (most recent call last):
      TypeError: Linear: in_features must be an int, got in_features=0.5.
    """
    if not ok:
        values = ", ".join(f"{name}={value!r}" for name, value in got.items())
        raise TypeError(f"{where}: {rule}, got {values}.")


def is_int(value: Any) -> bool:
    """Whether `value` counts as an integer: int and NumPy integers do, bool does not."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


def check_int(where: str, name: str, value: Any, minimum: int) -> None:
    """Raises unless `value` is an integer of at least `minimum`.

    Example:
      >>> check_int("Linear", "in_features", -1, 0)
      Traceback (most recent call last):
      ValueError: Linear: in_features must be at least 0, got in_features=-1.
    """
    check_type(is_int(value), where, f"{name} must be an int", **{name: value})
    check(value >= minimum, where, f"{name} must be at least {minimum}", **{name: value})


def check_floating(where: str, x: jax.Array) -> None:
    """Raises unless `x` is floating point.

    Example:
      >>> check_floating("batch_norm", jnp.ones(2, jnp.int32))
      Traceback (most recent call last):
      TypeError: batch_norm: input must be floating point, got dtype='int32'.
    """
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    check_type(floating, where, "input must be floating point", dtype=str(x.dtype))


def int_tuple(
    value: int | Sequence[int], n: int, where: str, name: str, minimum: int
) -> tuple[int, ...]:
    """One integer for each of `n` spatial axes, from an integer for all or a sequence of `n`.

    Raises:
      TypeError: If `value` is neither an integer nor a sequence of integers.
      ValueError: If the sequence is not `n` long or an entry is under `minimum`.

    Example:
      >>> int_tuple(3, 2, "Conv2d", "kernel_size", 1)
      (3, 3)
    """
    values: Any = (value,) * n if is_int(value) else value
    ok = isinstance(values, Sequence) and all(map(is_int, values))
    rule = f"{name} must be an int or a sequence of {n} ints"
    check_type(ok, where, rule, **{name: value})
    check(len(values) == n, where, rule, **{name: value})
    ints = tuple(operator.index(v) for v in values)
    check(min(ints) >= minimum, where, f"{name} must be at least {minimum}", **{name: value})
    return ints


def check_channels(where: str, shape: tuple[int, ...], channels: int, spatial_axes: int) -> None:
    """Raises unless the last axis holds `channels` entries; recognises channels-first input.

    Example:
      >>> check_channels("Conv2d", (8, 3, 32, 32), 3, 2)
      Traceback (most recent call last):
      ValueError: Conv2d: input must have 3 channels on its last axis, got shape=(8, 3, 32, 32); \
it looks channels-first: use jaxcnn.layout.to_channels_last.
    """
    channels_first = len(shape) > spatial_axes and shape[-spatial_axes - 1] == channels
    fix = "it looks channels-first: use jaxcnn.layout.to_channels_last" if channels_first else ""
    rule = f"input must have {channels} channels on its last axis"
    check(shape[-1] == channels, where, rule, fix, shape=shape)
