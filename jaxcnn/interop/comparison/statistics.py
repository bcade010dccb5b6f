"""Why running statistics differ after a step of training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from jaxcnn import functional as F
from jaxcnn.interop.comparison.causes import Attempt, Cause, first_that_explains
from jaxcnn.interop.comparison.layers import Layer
from jaxcnn.interop.comparison.values import kind

_MOMENTA = (0.1, 0.9, 0.01, 0.99, 0.001, 0.999, 0.05, 0.03, 0.003)


def find_statistics_cause(
    layer: Layer,
    counterpart: Layer | None,
    inputs: Sequence[np.ndarray],
    actual: Mapping[str, np.ndarray],
    own_error: float,
    limit: float,
) -> Cause | None:
    """The tested cause of other running statistics; None if no alternative explains them.

    Args:
      layer: The reference's layer, with the statistics before the step.
      counterpart: The model's, where it is known.
      inputs: What both were given.
      actual: The statistics that the model's layer has after the step.
      own_error: How far they are from the reference's.
      limit: How far they may be from what an alternative gives.
    """
    if kind(layer.class_name) not in ("BatchNorm", "SyncBatchNorm"):
        return None
    both = [np.ravel(actual[name]) for name in ("running_mean", "running_var") if name in actual]
    if len(both) < 2:
        return None
    attempts = _attempts(layer, counterpart, inputs[0])
    return first_that_explains(attempts, np.concatenate(both), own_error, limit)


def _attempts(layer: Layer, counterpart: Layer | None, x: np.ndarray) -> Iterator[Attempt]:
    own = layer.settings.get("momentum")
    theirs = counterpart.settings.get("momentum", own) if counterpart else own
    momenta = [m for m in dict.fromkeys((own, theirs, *_MOMENTA)) if m is not None]
    old = [layer.arrays["running_mean"], layer.arrays["running_var"]]
    yield Attempt(
        "train/eval", "the model keeps its statistics as they were", lambda: [np.concatenate(old)]
    )
    for momentum, biased in itertools.product(momenta, (False, True)):
        names = ["momentum"] * (momentum != own) + ["biased variance"] * biased
        if not names:
            continue
        text = f"with momentum={momentum:g}" if momentum != own else "it stores"
        text += " and the biased variance" if biased and momentum != own else ""
        text = "the biased variance is stored" if names == ["biased variance"] else text
        run = lambda m=momentum, b=biased: [_stored(x, old, m, b)]
        yield Attempt(" and ".join(names), f"{text}; the reference has momentum={own}", run)


def _stored(x: np.ndarray, old: list[np.ndarray], momentum: float, biased: bool) -> np.ndarray:
    _, mean, var = F.batch_norm(
        jnp.asarray(x), jnp.asarray(old[0]), jnp.asarray(old[1]), training=True, momentum=momentum
    )
    n = x.size // x.shape[-1]
    if biased:
        kept = (1 - momentum) * jnp.asarray(old[1])
        var = kept + (var - kept) * ((n - 1) / n)
    return np.concatenate([np.asarray(mean), np.asarray(var)])
