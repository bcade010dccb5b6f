"""Optimisers, clipping and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from differences.common import RNG, ROWS, Difference, Values

from jaxcnn import optim

_GRADS = RNG.standard_normal((5, 8)).astype(np.float32)
_STEPS = range(15)


def _torch_steps(make: Callable[..., Any]) -> Values:
    import torch

    weight = torch.nn.Parameter(torch.from_numpy(ROWS[0].copy()))
    optimizer = make([weight])
    for grad in _GRADS:
        weight.grad = torch.from_numpy(grad.copy())
        optimizer.step()
    return weight.detach().numpy()


def _optax_steps(tx: optax.GradientTransformation) -> Values:
    weight: Any = jnp.asarray(ROWS[0])
    state = tx.init(weight)
    for grad in _GRADS:
        updates, state = tx.update(jnp.asarray(grad), state, weight)
        weight = optax.apply_updates(weight, updates)
    return weight


def _case(
    name: str,
    make: Any,
    plain: Any,
    ours: Any,
    explanation: str,
    looks_like: str,
    thread: str = "",
) -> Difference:
    return Difference(
        f"{name}, 5 steps",
        lambda: _torch_steps(make),
        lambda: _optax_steps(plain),
        lambda: _optax_steps(ours),
        explanation,
        (f"torch.optim.{name}", looks_like),
        thread,
    )


def optimizers() -> list[Difference]:
    """Defaults and orders of the optimisers."""
    import torch

    t = torch.optim
    issues = "https://github.com/google-deepmind/optax/issues"
    return [
        _case(
            "SGD(weight_decay=0.1)",
            lambda p: t.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
            optax.chain(optax.sgd(0.1, momentum=0.9), optax.add_decayed_weights(-0.1 * 0.1)),
            optim.sgd(0.1, momentum=0.9, weight_decay=0.1),
            "decay belongs before momentum; appended to optax.sgd it comes after.",
            "optax.chain(optax.sgd(0.1, 0.9), optax.add_decayed_weights(-0.1 * 0.1))",
            f"{issues}/308",
        ),
        _case(
            "Adam(weight_decay=0.1)",
            lambda p: t.Adam(p, 0.1, weight_decay=0.1),
            optax.adamw(0.1, weight_decay=0.1),
            optim.adam(0.1, weight_decay=0.1),
            "PyTorch's Adam adds the decay to the gradient, adamw to the step.",
            "optax.adamw(0.1, weight_decay=0.1)",
            f"{issues}/417",
        ),
        _case(
            "AdamW",
            lambda p: t.AdamW(p, 0.1),
            optax.adamw(0.1),
            optim.adamw(0.1),
            "weight_decay is 1e-2 in PyTorch, 1e-4 in optax.",
            "optax.adamw(0.1)  # weight_decay=1e-4",
        ),
        _case(
            "RMSprop",
            lambda p: t.RMSprop(p, 0.1),
            optax.rmsprop(0.1),
            optim.rmsprop(0.1),
            "alpha 0.99 and eps after the root, against 0.9 and eps before it.",
            "optax.rmsprop(0.1)  # decay=0.9",
            f"{issues}/532",
        ),
        _case(
            "Adagrad",
            lambda p: t.Adagrad(p, 0.1),
            optax.adagrad(0.1),
            optim.adagrad(0.1),
            "the sum starts at 0 in PyTorch, at 0.1 in optax.",
            "optax.adagrad(0.1)  # initial_accumulator_value=0.1",
            "https://github.com/pytorch/pytorch/pull/6616",
        ),
        _case(
            "NAdam",
            lambda p: t.NAdam(p, 0.1),
            optax.nadam(0.1),
            optim.nadam(0.1),
            "PyTorch's momentum grows with the steps (momentum_decay), optax's does not.",
            "optax.nadam(0.1)",
            "https://github.com/rwth-i6/returnn/issues/1440",
        ),
        _clipping(),
    ]


def _clipping() -> Difference:
    import torch

    small = ROWS[0] * np.float32(1e-3)
    limit = 1e-3

    def in_torch() -> Values:
        weight = torch.nn.Parameter(torch.zeros(8))
        weight.grad = torch.from_numpy(small.copy())
        torch.nn.utils.clip_grad_norm_([weight], limit)
        return weight.grad.numpy()

    def in_optax(tx: optax.GradientTransformation) -> Values:
        grad = jnp.asarray(small)
        return tx.update(grad, tx.init(grad))[0]

    return Difference(
        "clip_grad_norm_(1e-3)",
        in_torch,
        lambda: in_optax(optax.clip_by_global_norm(limit)),
        lambda: in_optax(optim.clip_grad_norm(limit)),
        "PyTorch adds 1e-6 to the norm, optax does not.",
        (
            "torch.nn.utils.clip_grad_norm_(parameters, 1e-3)",
            "optax.clip_by_global_norm(1e-3)",
        ),
        "https://github.com/goodfire-ai/spd/issues/643",
    )


def schedules() -> list[Difference]:
    """Learning rates over the steps."""
    import torch

    s = torch.optim.lr_scheduler

    def in_torch(make: Callable[[Any], Any], lr: float = 0.1) -> Values:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
        scheduler, rates = make(optimizer), []
        for _ in _STEPS:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return np.array(rates)

    def rates(schedule: Any) -> Values:
        return np.array([float(schedule(step)) for step in _STEPS])

    return [
        Difference(
            "CosineAnnealingLR(T_max=10), 15 steps",
            lambda: in_torch(lambda o: s.CosineAnnealingLR(o, 10)),
            lambda: rates(optax.cosine_decay_schedule(0.1, 10)),
            lambda: rates(optim.cosine_annealing_lr(0.1, 10)),
            "after T_max PyTorch's rate rises again, optax's stays.",
            ("CosineAnnealingLR(optimizer, T_max=10)", "optax.cosine_decay_schedule(0.1, 10)"),
            "https://github.com/allenai/allennlp/pull/1647",
        ),
        Difference(
            "OneCycleLR(total_steps=16), 15 steps",
            lambda: in_torch(lambda o: s.OneCycleLR(o, 0.1, 16)),
            lambda: rates(optax.cosine_onecycle_schedule(16, 0.1)),
            lambda: rates(optim.one_cycle_lr(0.1, 16)),
            "phases end a step earlier in PyTorch, and the last rate is another.",
            ("OneCycleLR(optimizer, 0.1, 16)", "optax.cosine_onecycle_schedule(16, 0.1)"),
        ),
    ]
