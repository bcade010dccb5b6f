"""torch.optim.lr_scheduler's schedules: functions from the step number to the learning rate.

A PyTorch scheduler changes its optimiser each time `scheduler.step()` is called; a schedule here
has no state. `schedule(n)` is the learning rate after `n` such calls, 0 being the first, and an
optimiser asks for it at each of its steps: that is a PyTorch loop which calls `scheduler.step()`
after every `optimizer.step()`. For a schedule by epochs pass on the epoch:

    by_epoch = step_lr(0.1, step_size=30)
    tx = optim.sgd(lambda step: by_epoch(step // steps_per_epoch), momentum=0.9)

PyTorch's `optimizer` argument is the learning rate to start from, `lr`; `last_epoch` is where
`schedule` is asked. A step may be a number or an array, traced or not. PyTorch multiplies its way
from rate to rate where there is a formula here; both agree but for rounding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int, check_type, is_int
from jaxcnn.optim._common import check_not_negative, check_number, check_share

_LAST_STEP = np.iinfo(np.int32).max


def step_lr(lr: float, step_size: int, gamma: float = 0.1) -> optax.Schedule:
    """Multiplies the learning rate by `gamma` every `step_size` steps.

    Mirrors `torch.optim.lr_scheduler.StepLR`.

    Args:
      lr: Learning rate at the start.
      step_size: Steps from one change to the next.
      gamma: The factor.

    Raises:
      ValueError: If `lr` is negative or `step_size` is less than 1.
      TypeError: If a value is not a number, or `step_size` is not an int.

    Example:
      >>> step_lr(1.0, step_size=2, gamma=0.5)(jnp.arange(5)).tolist()
      [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    check_not_negative("step_lr", lr=lr)
    check_int("step_lr", "step_size", step_size, 1)
    check_number("step_lr", "gamma", gamma)
    return lambda step: lr * gamma ** (jnp.asarray(step) // step_size)


def multi_step_lr(lr: float, milestones: Iterable[int], gamma: float = 0.1) -> optax.Schedule:
    """Multiplies the learning rate by `gamma` at each milestone.

    Mirrors `torch.optim.lr_scheduler.MultiStepLR`; a milestone that is listed twice counts twice.

    Args:
      lr: Learning rate at the start.
      milestones: Steps at which it changes, in any order.
      gamma: The factor.

    Raises:
      ValueError: If `lr` or a milestone is negative.
      TypeError: If a value is not a number, or a milestone is not an int.

    Example:
      >>> multi_step_lr(1.0, [2, 3], gamma=0.5)(jnp.arange(5)).tolist()
      [1.0, 1.0, 0.5, 0.25, 0.25]
    """
    check_not_negative("multi_step_lr", lr=lr)
    check_number("multi_step_lr", "gamma", gamma)
    ordered = np.asarray(sorted(_steps("multi_step_lr", milestones)), np.int32)
    return lambda step: lr * gamma ** jnp.searchsorted(ordered, jnp.asarray(step), side="right")


def exponential_lr(lr: float, gamma: float) -> optax.Schedule:
    """Multiplies the learning rate by `gamma` every step.

    Mirrors `torch.optim.lr_scheduler.ExponentialLR`.

    Args:
      lr: Learning rate at the start.
      gamma: The factor.

    Raises:
      ValueError: If `lr` is negative.
      TypeError: If a value is not a number.

    Example:
      >>> exponential_lr(1.0, gamma=0.5)(jnp.arange(4)).tolist()
      [1.0, 0.5, 0.25, 0.125]
    """
    check_not_negative("exponential_lr", lr=lr)
    check_number("exponential_lr", "gamma", gamma)
    return lambda step: lr * gamma ** jnp.asarray(step)


def linear_lr(
    lr: float, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5
) -> optax.Schedule:
    """Changes the learning rate in equal steps, then holds it: the usual warm-up.

    Mirrors `torch.optim.lr_scheduler.LinearLR`. With `total_iters` 0 the rate stays at the start,
    as in PyTorch.

    Args:
      lr: Learning rate that the factors multiply.
      start_factor: Factor at step 0.
      end_factor: Factor from step `total_iters` on.
      total_iters: Steps from the one to the other.

    Raises:
      ValueError: If `lr` or `total_iters` is negative, `start_factor` is not above 0 and at most 1,
        or `end_factor` is not from 0 to 1.
      TypeError: If a value is not a number, or `total_iters` is not an int.

    Example:
      >>> linear_lr(1.0, start_factor=0.5, total_iters=2)(jnp.arange(4)).tolist()
      [0.5, 0.75, 1.0, 1.0]
    """
    check_not_negative("linear_lr", lr=lr)
    check_share("linear_lr", "start_factor", start_factor)
    check_share("linear_lr", "end_factor", end_factor)
    check(start_factor > 0, "linear_lr", "start_factor must not be 0", start_factor=start_factor)
    check_int("linear_lr", "total_iters", total_iters, 0)
    left = _time_left(total_iters)
    return lambda step: lr * (end_factor + (start_factor - end_factor) * left(step))


def polynomial_lr(lr: float, total_iters: int = 5, power: float = 1.0) -> optax.Schedule:
    """Takes the learning rate to 0 along a polynomial.

    Mirrors `torch.optim.lr_scheduler.PolynomialLR`. With `total_iters` 0 the rate stays, as in
    PyTorch.

    Args:
      lr: Learning rate at the start.
      total_iters: Steps until it is 0.
      power: Power of the time left.

    Raises:
      ValueError: If `lr` or `total_iters` is negative.
      TypeError: If a value is not a number, or `total_iters` is not an int.

    Example:
      >>> polynomial_lr(1.0, total_iters=4, power=2.0)(jnp.arange(5)).tolist()
      [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    check_not_negative("polynomial_lr", lr=lr)
    check_int("polynomial_lr", "total_iters", total_iters, 0)
    check_number("polynomial_lr", "power", power)
    left = _time_left(total_iters)
    return lambda step: lr * left(step) ** power


def cosine_annealing_lr(lr: float, T_max: int, eta_min: float = 0.0) -> optax.Schedule:
    """Takes the learning rate down to `eta_min` along half a cosine, then up again, and so on.

    Mirrors `torch.optim.lr_scheduler.CosineAnnealingLR`.

    Args:
      lr: Learning rate at the start.
      T_max: Steps until the lowest.
      eta_min: The lowest learning rate.

    Raises:
      ValueError: If `lr` is negative or `T_max` is less than 1.
      TypeError: If a value is not a number, or `T_max` is not an int.

    Source: Loshchilov and Hutter, 2017.

    Example:
      >>> cosine_annealing_lr(1.0, T_max=2)(jnp.arange(5)).round(3).tolist()
      [1.0, 0.5, 0.0, 0.5, 1.0]
    """
    check_not_negative("cosine_annealing_lr", lr=lr)
    check_int("cosine_annealing_lr", "T_max", T_max, 1)
    check_number("cosine_annealing_lr", "eta_min", eta_min)

    def schedule(step: ArrayLike) -> jax.Array:
        left = (T_max - jnp.asarray(step) % (2 * T_max)) / float(T_max)
        return eta_min + (lr - eta_min) * half_cosine(left)

    return schedule


def cosine_annealing_warm_restarts(
    lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> optax.Schedule:
    """Takes the learning rate towards `eta_min` along half a cosine, then starts again.

    Mirrors `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`. A step may be a fraction, as
    there: `lambda step: schedule(step / steps_per_epoch)` changes within an epoch.

    Args:
      lr: Learning rate after each start.
      T_0: Steps from the first start to the second.
      T_mult: Each round is so many times as long as the one before.
      eta_min: What the learning rate goes towards.

    Raises:
      ValueError: If `lr` is negative, or `T_0` or `T_mult` is less than 1.
      TypeError: If a value is not a number, or `T_0` or `T_mult` is not an int.

    Source: Loshchilov and Hutter, 2017.

    Example:
      >>> cosine_annealing_warm_restarts(1.0, T_0=2)(jnp.arange(5)).round(3).tolist()
      [1.0, 0.5, 1.0, 0.5, 1.0]
    """
    where = "cosine_annealing_warm_restarts"
    check_not_negative(where, lr=lr)
    check_int(where, "T_0", T_0, 1)
    check_int(where, "T_mult", T_mult, 1)
    check_number(where, "eta_min", eta_min)

    def anneal(passed: jax.Array, length: Any) -> jax.Array:
        return eta_min + (lr - eta_min) * half_cosine((length - passed) / length)

    if T_mult == 1:
        return lambda step: anneal(jnp.asarray(step) % T_0, float(T_0))
    lengths = [T_0 * T_mult**n for n in range(31)]  # 31 doublings fill the int32 that a step is
    starts = [start for start in itertools.accumulate(lengths, initial=0) if start <= _LAST_STEP]

    def schedule(step: ArrayLike) -> jax.Array:
        step, table = jnp.asarray(step), jnp.asarray(starts, jnp.int32)
        n = jnp.searchsorted(table, step, side="right") - 1
        return anneal(step - table[n], jnp.asarray(lengths[: len(starts)], float)[n])

    return schedule


def lambda_lr(lr: float, lr_lambda: Callable[[Any], Any]) -> optax.Schedule:
    """Multiplies the learning rate by a function of the step.

    Mirrors `torch.optim.lr_scheduler.LambdaLR`. The function also gets traced steps, so it must
    not branch on them with `if`. PyTorch's list of functions, one for each parameter group, is
    `optax.multi_transform` over several optimisers.

    Args:
      lr: Learning rate that the function multiplies.
      lr_lambda: From the step to the factor.

    Raises:
      ValueError: If `lr` is negative.
      TypeError: If `lr` is not a number, or `lr_lambda` is not a function.

    Example:
      >>> lambda_lr(2.0, lambda step: 1 / (1 + step))(jnp.arange(2)).tolist()
      [2.0, 1.0]
    """
    check_not_negative("lambda_lr", lr=lr)
    ok = callable(lr_lambda)
    check_type(ok, "lambda_lr", "lr_lambda must be a function", lr_lambda=lr_lambda)
    return lambda step: lr * lr_lambda(jnp.asarray(step))


def sequential_lr(
    schedulers: Sequence[optax.Schedule], milestones: Sequence[int]
) -> optax.Schedule:
    """Follows one schedule after another; each starts at its own step 0.

    Mirrors `torch.optim.lr_scheduler.SequentialLR`.

    Args:
      schedulers: The schedules.
      milestones: Steps at which the next one takes over, in order.

    Raises:
      ValueError: If there is no schedule, or the milestones are not one fewer than the schedules,
        not in order, or negative.
      TypeError: If a schedule is not a function, or a milestone is not an int.

    Example:
      >>> warm_up = linear_lr(1.0, start_factor=0.5, total_iters=2)
      >>> schedule = sequential_lr([warm_up, exponential_lr(1.0, gamma=0.5)], [2])
      >>> schedule(jnp.arange(5)).tolist()
      [0.5, 0.75, 1.0, 0.5, 0.25]
    """
    where = "sequential_lr"
    schedules = list(schedulers)
    ok = all(map(callable, schedules))
    check_type(ok, where, "schedulers must be functions", schedulers=schedulers)
    check(len(schedules) > 0, where, "schedulers must not be empty", schedulers=schedulers)
    steps = _steps(where, milestones)
    fits = len(steps) == len(schedules) - 1
    rule = "milestones must be one fewer than schedulers"
    check(fits, where, rule, milestones=milestones, schedulers=len(schedules))
    check(steps == sorted(steps), where, "milestones must be in order", milestones=milestones)
    joined = optax.join_schedules(schedules, steps)
    return lambda step: joined(jnp.asarray(step))


def half_cosine(left: jax.Array) -> jax.Array:
    """From 1 to 0 along half a cosine, by the share of time left."""
    # Near 0, `(1 + cos) / 2` would lose a float32's digits.
    return jnp.sin(0.5 * jnp.pi * left) ** 2


def _time_left(total: int) -> Callable[[ArrayLike], jax.Array]:
    """Share of `total` steps that is left: from 1 to 0."""
    if total == 0:
        return lambda step: jnp.ones(jnp.shape(step))
    # By a float: int32 steps would give float32 shares also where float64 is on.
    return lambda step: (total - jnp.minimum(step, total)) / float(total)


def _steps(where: str, milestones: Iterable[int]) -> list[int]:
    steps = list(milestones)
    check_type(all(map(is_int, steps)), where, "milestones must be ints", milestones=milestones)
    ok = all(step >= 0 for step in steps)
    check(ok, where, "milestones must not be negative", milestones=milestones)
    return steps
