"""Loss and gradient of a batch, at once or in several parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxcnn._checks import check
from jaxcnn.train.frozen import check_frozen, in_evaluation, map_frozen
from jaxcnn.train.precision import cast, cast_params, layers_in, widen_logits
from jaxcnn.train.state import TrainState


class Examples(NamedTuple):
    """A batch as the model and the loss take it.

    Attributes:
      images: The model's input.
      targets: What the loss compares with: the labels, or probabilities.
      labels: The classes, which correct answers are counted by.
    """

    images: jax.Array
    targets: jax.Array
    labels: jax.Array


class Gradient(NamedTuple):
    """What a pass forward and back through a batch gives.

    Attributes:
      loss: Mean loss.
      grads: Its gradient, a tree like the parameters.
      batch_stats: The running statistics after it.
      correct: Right answers.
      loss_scale: The scale of the next loss; None if the loss is not scaled.
    """

    loss: jax.Array
    grads: Any
    batch_stats: Any
    correct: jax.Array
    loss_scale: Any


GradientFn = Callable[[TrainState, Examples, jax.Array], Gradient]


def make_gradient(
    loss_fn: Callable[..., jax.Array], precision: str, accumulate: int, frozen: str | None
) -> GradientFn:
    """Builds `(state, examples, rng) -> Gradient`; the arguments are `make_train_step`'s."""

    def gradient(state: TrainState, examples: Examples, rng: jax.Array) -> Gradient:
        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            params = cast_params(map_frozen(frozen, lax.stop_gradient, params), precision)
            with layers_in(precision), in_evaluation(frozen, state.variables):
                logits, updates = state.apply_fn(
                    {**state.variables, "params": params},
                    cast(examples.images, precision),
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": rng},
                )
            logits = widen_logits(logits, precision)
            return loss_fn(logits, examples.targets), (logits, updates.get("batch_stats", {}))

        loss_scale = state.loss_scale
        if loss_scale is None:
            (value, (logits, stats)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        else:
            result = loss_scale.value_and_grad(loss, has_aux=True)(state.params)
            loss_scale, _, (value, (logits, stats)), grads = result
        # Of a model with auxiliary heads the first output is the answer.
        answer = logits[0] if isinstance(logits, tuple) else logits
        correct = jnp.sum(jnp.argmax(answer, axis=-1) == examples.labels)
        return Gradient(value, grads, stats, correct, loss_scale)

    def checked(state: TrainState, examples: Examples, rng: jax.Array) -> Gradient:
        if frozen is not None:
            check_frozen("make_train_step", frozen, state.params)
        if accumulate == 1:
            return gradient(state, examples, rng)
        return _accumulated(gradient, accumulate, state, examples, rng)

    return checked


def _accumulated(
    gradient: GradientFn, parts: int, state: TrainState, examples: Examples, rng: jax.Array
) -> Gradient:
    """The mean over equal parts of the batch, one after the other."""
    size = len(examples.images)
    rule = "the batch of a device must divide evenly into micro-batches"
    check(size % parts == 0, "make_train_step", rule, batch=size, accumulate=parts)
    split = jax.tree.map(lambda x: x.reshape(parts, size // parts, *x.shape[1:]), examples)

    def add(carry: tuple[Any, Any], part: tuple[Examples, jax.Array]) -> Any:
        stats, total = carry
        examples, i = part
        result = gradient(state.replace(batch_stats=stats), examples, jax.random.fold_in(rng, i))
        total = jax.tree.map(jnp.add, total, result.grads)
        return (result.batch_stats, total), (result.loss, result.correct, result.loss_scale)

    start = (state.batch_stats, jax.tree.map(jnp.zeros_like, state.params))
    (stats, total), (losses, correct, scales) = lax.scan(add, start, (split, jnp.arange(parts)))
    return Gradient(
        loss=losses.mean(),
        grads=jax.tree.map(lambda g: g / parts, total),
        batch_stats=stats,
        correct=correct.sum(),
        # Where one part overflows, its lower scale and counter of steps are the smallest.
        loss_scale=jax.tree.map(lambda x: x.min(axis=0), scales),
    )


def over_devices(gradient: Gradient, axis_name: str) -> Gradient:
    """The gradient of all devices' parts of a batch; the statistics are the first device's."""
    grads, loss = lax.pmean((gradient.grads, gradient.loss), axis_name)
    return Gradient(
        loss=loss,
        grads=grads,
        batch_stats=_of_first_device(gradient.batch_stats, axis_name),
        correct=lax.psum(gradient.correct, axis_name),
        loss_scale=jax.tree.map(lambda x: lax.pmin(x, axis_name), gradient.loss_scale),
    )


def _of_first_device(tree: Any, axis_name: str) -> Any:
    first = lax.axis_index(axis_name) == 0
    return lax.psum(jax.tree.map(lambda x: jnp.where(first, x, 0), tree), axis_name)
