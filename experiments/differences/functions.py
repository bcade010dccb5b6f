"""Activations, statistics, embeddings and losses."""

from __future__ import annotations

import warnings
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
from differences.common import ROWS, Difference, Values, initial

from jaxcnn import functional as F
from jaxcnn import nn

_LABELS = np.arange(16) % 8
_SOME = np.where(np.arange(16) % 3 == 0, -100, _LABELS)
_WEIGHTS = np.linspace(0.5, 2.0, 8, dtype=np.float32)


def functions() -> list[Difference]:
    """Activations, statistics, embeddings."""
    import torch
    import torch.nn.functional as TF

    torch.manual_seed(0)  # of the new Embedding
    rows = torch.from_numpy(ROWS)

    def torch_relu_gradient() -> Values:
        zeros = torch.zeros(4, requires_grad=True)
        torch.relu(zeros).sum().backward()
        return zeros.grad.numpy()  # pyright: ignore[reportOptionalMemberAccess]

    def gradient(function: Any) -> Values:
        return jax.grad(lambda x: function(x).sum())(jnp.zeros(4))

    return [
        Difference(
            "gelu",
            lambda: TF.gelu(rows).numpy(),
            lambda: jax.nn.gelu(ROWS),
            lambda: F.gelu(ROWS),
            "exact in PyTorch, tanh's approximation in jax.",
            ("torch.nn.functional.gelu(x)", "jax.nn.gelu(x)  # approximate=True"),
            "https://github.com/jax-ml/jax/issues/4428",
        ),
        Difference(
            "gradient of relu at 0",
            torch_relu_gradient,
            lambda: gradient(lambda x: jnp.maximum(x, 0)),
            lambda: gradient(F.relu),
            "jnp.maximum shares the gradient between equal arguments; jax.nn.relu does not.",
            ("torch.relu(x)", "jnp.maximum(x, 0)"),
            "https://github.com/jax-ml/jax/issues/37821",
        ),
        Difference(
            "PReLU, a new layer",
            lambda: torch.nn.PReLU()(rows).detach().numpy(),
            lambda: flax.linen.PReLU().init_with_output(jax.random.key(0), ROWS)[0],
            lambda: nn.PReLU().init_with_output(jax.random.key(0), ROWS)[0],
            "the slope starts at 0.25 in PyTorch, at 0.01 in Flax.",
            ("torch.nn.PReLU()", "flax.linen.PReLU()  # negative_slope_init=0.01"),
        ),
        Difference(
            "var of rows",
            lambda: rows.var(1).numpy(),
            lambda: jnp.var(ROWS, 1),
            lambda: jnp.var(ROWS, 1, ddof=1),
            "torch.var divides by n - 1, jnp.var by n.",
            ("x.var(1)", "jnp.var(x, 1)  # ddof=0"),
            "https://github.com/pytorch/pytorch/issues/50010",
        ),
        Difference(
            "Embedding, standard deviation of a new weight",
            lambda: torch.nn.Embedding(4096, 64).weight.std().item(),
            lambda: initial(flax.linen.Embed(4096, 64), jnp.array([0]), "embedding").std(),
            lambda: initial(nn.Embedding(4096, 64), jnp.array([0]), "weight").std(),
            "standard normal in PyTorch, divided by sqrt(features) in Flax.",
            ("torch.nn.Embedding(4096, 64)", "flax.linen.Embed(4096, 64)"),
            "https://github.com/pytorch/pytorch/issues/3121",
        ),
    ]


def losses() -> list[Difference]:
    """Reductions, and labels that do not count."""
    import torch
    import torch.nn.functional as TF

    rows, labels, some = (torch.from_numpy(x) for x in (ROWS, _LABELS, _SOME))
    weights = torch.from_numpy(_WEIGHTS)
    plain = optax.softmax_cross_entropy_with_integer_labels
    target = np.array(jax.nn.softmax(ROWS[::-1]))
    log = np.array(jax.nn.log_softmax(ROWS))

    def torch_kl_div() -> Values:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch too finds this mean surprising
            return TF.kl_div(torch.from_numpy(log), torch.from_numpy(target)).numpy()

    return [
        Difference(
            "cross_entropy, reduction",
            lambda: TF.cross_entropy(rows, labels).numpy(),
            lambda: plain(ROWS, _LABELS),
            lambda: F.cross_entropy(ROWS, _LABELS),
            "PyTorch takes the mean, optax gives a loss for each row.",
            (
                "torch.nn.functional.cross_entropy(x, labels)",
                "optax.softmax_cross_entropy_with_integer_labels(x, labels)",
            ),
        ),
        Difference(
            "cross_entropy, labels of -100",
            lambda: TF.cross_entropy(rows, some).numpy(),
            lambda: plain(ROWS, np.maximum(_SOME, 0)).mean(),
            lambda: F.cross_entropy(ROWS, _SOME),
            "they are left out of sum and divisor; optax has no ignore_index.",
            (
                "torch.nn.functional.cross_entropy(x, labels)  # ignore_index=-100",
                "optax.softmax_cross_entropy_with_integer_labels(x, labels).mean()",
            ),
            "https://github.com/unslothai/unsloth/issues/192",
        ),
        Difference(
            "cross_entropy(weight=...)",
            lambda: TF.cross_entropy(rows, labels, weights).numpy(),
            lambda: (plain(ROWS, _LABELS) * _WEIGHTS[_LABELS]).mean(),
            lambda: F.cross_entropy(ROWS, _LABELS, _WEIGHTS),
            "the divisor is the sum of the labels' weights, not their number.",
            (
                "torch.nn.functional.cross_entropy(x, labels, weights)",
                "(losses * weights[labels]).mean()",
            ),
        ),
        Difference(
            "kl_div",
            torch_kl_div,
            lambda: optax.kl_divergence(log, target).mean(),
            lambda: F.kl_div(log, target),
            "PyTorch's mean is over all numbers, optax sums each row ('batchmean').",
            ("torch.nn.functional.kl_div(x, target)", "optax.kl_divergence(x, target).mean()"),
            "https://github.com/pytorch/pytorch/issues/2259",
        ),
    ]
