"""The one-cycle schedule: learning rate up and down, momentum down and up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_int
from jaxcnn.optim._common import check_not_negative, check_number, check_share
from jaxcnn.optim.schedules import half_cosine


@dataclasses.dataclass(frozen=True)
class OneCycle:
    """What `one_cycle_lr` returns: a schedule of the learning rate that carries another.

    Attributes:
      lr: The schedule of the learning rate; calling the object calls it.
      momentum: The schedule of the momentum; None without `cycle_momentum`.
    """

    lr: optax.Schedule
    momentum: optax.Schedule | None

    def __call__(self, step: ArrayLike) -> Any:
        return self.lr(step)


def one_cycle_lr(
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 10000.0,
    three_phase: bool = False,
) -> OneCycle:
    """Takes the learning rate up to `max_lr` and far down again, and momentum the other way.

    Mirrors `torch.optim.lr_scheduler.OneCycleLR`, which starts from `max_lr / div_factor` whatever
    the optimiser's learning rate. It is a schedule by steps, not epochs. From the last step on the
    rate is held, where PyTorch raises. PyTorch writes the momentum into its optimiser; here the
    optimiser has to be given both schedules:

        cycle = one_cycle_lr(0.1, total_steps=1000)
        tx = optax.inject_hyperparams(optim.sgd)(lr=cycle, momentum=cycle.momentum)

    Args:
      max_lr: The highest learning rate.
      total_steps: Length of the cycle in steps.
      epochs: Length of the cycle in epochs, instead of `total_steps`.
      steps_per_epoch: Steps in an epoch, with `epochs`.
      pct_start: Share of the cycle in which the rate rises, from 0 to 1.
      anneal_strategy: "cos" along half a cosine, "linear" along a line.
      cycle_momentum: Whether there is a schedule of the momentum.
      base_momentum: Momentum at the highest learning rate.
      max_momentum: Momentum at the start and the end.
      div_factor: The rate starts at `max_lr / div_factor`.
      final_div_factor: The rate ends at the start's divided by this.
      three_phase: Whether the rate first falls to its start in as many steps as it rose.

    Raises:
      ValueError: If there is no length, or a value is out of its range.
      TypeError: If a value is not a number, or a length is not an int.

    Source: Smith and Topin, 2018.

    Example:
      >>> cycle = one_cycle_lr(1.0, total_steps=5, pct_start=0.4, div_factor=10.0)
      >>> [round(x, 3) for x in cycle(jnp.arange(5)).tolist()]
      [0.1, 1.0, 0.75, 0.25, 0.0]
      >>> [round(x, 3) for x in cycle.momentum(jnp.arange(5)).tolist()]
      [0.95, 0.85, 0.875, 0.925, 0.95]
    """
    where = "one_cycle_lr"
    total = _cycle_length(total_steps, epochs, steps_per_epoch)
    check_not_negative(where, max_lr=max_lr, div_factor=div_factor)
    check_not_negative(where, final_div_factor=final_div_factor)
    check(div_factor > 0, where, "div_factor must not be 0", div_factor=div_factor)
    ok = final_div_factor > 0
    check(ok, where, "final_div_factor must not be 0", final_div_factor=final_div_factor)
    check_share(where, "pct_start", pct_start)
    rule = "pct_start * total_steps must not be 1, which leaves no step to rise in"
    check(pct_start * total != 1, where, rule, pct_start=pct_start, total_steps=total)
    ok = anneal_strategy in ("cos", "linear")
    check(ok, where, "anneal_strategy must be 'cos' or 'linear'", anneal_strategy=anneal_strategy)
    check_number(where, "base_momentum", base_momentum)
    check_number(where, "max_momentum", max_momentum)

    first_lr = max_lr / div_factor
    ends = [pct_start * total - 1, total - 1]
    rates = [first_lr, max_lr, first_lr / final_div_factor]
    momenta = [max_momentum, base_momentum, max_momentum]
    if three_phase:
        ends.insert(1, 2 * pct_start * total - 2)
        rates.insert(2, first_lr)
        momenta.append(max_momentum)
    shape = half_cosine if anneal_strategy == "cos" else lambda left: left
    momentum = _phases(momenta, ends, shape) if cycle_momentum else None
    return OneCycle(_phases(rates, ends, shape), momentum)


def _phases(
    values: Sequence[Any], ends: Sequence[float], shape: Callable[[jax.Array], jax.Array]
) -> optax.Schedule:
    """From each value to the next along `shape`, which is a function of the share of time left."""

    def schedule(step: ArrayLike) -> jax.Array:
        step = jnp.minimum(step, ends[-1])
        starts = [0.0, *ends]
        result = values[-1]
        for i in reversed(range(len(ends))):
            length = ends[i] - starts[i]
            left = (ends[i] - step) / (length or 1.0)  # an empty phase is never chosen
            phase = values[i + 1] + (values[i] - values[i + 1]) * shape(left)
            result = jnp.where(step <= ends[i], phase, result)
        return jnp.asarray(result)

    return schedule


def _cycle_length(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    where = "one_cycle_lr"
    if total_steps is not None:
        check_int(where, "total_steps", total_steps, 1)
        return total_steps
    given = None not in (epochs, steps_per_epoch)
    rule = "total_steps, or epochs and steps_per_epoch, must be given"
    check(given, where, rule, epochs=epochs, steps_per_epoch=steps_per_epoch)
    check_int(where, "epochs", epochs, 1)
    check_int(where, "steps_per_epoch", steps_per_epoch, 1)
    return epochs * steps_per_epoch
