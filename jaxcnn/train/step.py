"""The pure functions that a run consists of: one training step, one evaluation step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn import functional as F
from jaxcnn._checks import check_type
from jaxcnn.train.state import TrainState

Batch = Mapping[str, Any]
LossFn = Callable[..., jax.Array]
TrainStep = Callable[..., tuple[TrainState, dict[str, jax.Array]]]
EvalStep = Callable[..., dict[str, jax.Array]]


def to_float(images: jax.Array) -> jax.Array:
    """Scales uint8 images to 0..1 and leaves floating-point images as they are.

    Mirrors torchvision's `ToTensor`, without moving an axis.

    Raises:
      TypeError: If the images are neither.

    Example:
      >>> to_float(jnp.array([0, 255], jnp.uint8)).tolist()
      [0.0, 1.0]
    """
    if jnp.issubdtype(images.dtype, jnp.floating):
        return images
    dtype = str(images.dtype)
    check_type(dtype == "uint8", "to_float", "images must be uint8 or floating point", dtype=dtype)
    return images.astype(jnp.float32) / 255


def make_train_step(
    loss_fn: LossFn = F.cross_entropy,
    *,
    preprocess: Callable[[jax.Array], jax.Array] = to_float,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> TrainStep:
    """Builds the training step `(state, batch, axis_name=None) -> (state, metrics)`.

    With `axis_name` the step runs on every device of that axis with its own part of the batch:
    gradients are averaged; BatchNorm normalises per device and the running statistics are those of
    the first device, as with PyTorch's DistributedDataParallel.

    Args:
      loss_fn: `(logits, labels) -> scalar`, the mean over the batch.
      preprocess: Turns the batch's images into the model's input, inside the compiled step.
      augment: `(images, rng) -> images`, random changes such as `data.random_crop`, before
        `preprocess`; each step and device has its own key.

    Returns:
      The step. `batch` is `{"image": (n, h, w, c), "label": (n,)}`; metrics are `loss` (mean over
      the batch), `correct` and `count` (images).

    Example:
      >>> from jaxcnn import models, optim
      >>> from jaxcnn.train import create_state
      >>> batch = {"image": jnp.ones((4, 28, 28, 1)), "label": jnp.zeros(4, jnp.int32)}
      >>> state = create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), batch["image"])
      >>> state, metrics = jax.jit(make_train_step())(state, batch)
      >>> int(state.step), int(metrics["count"])
      (1, 4)
    """

    def train_step(
        state: TrainState, batch: Batch, axis_name: str | None = None
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        rng = jax.random.fold_in(state.rng, state.step)
        if axis_name is not None:
            rng = jax.random.fold_in(rng, lax.axis_index(axis_name))
        images, labels = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        if augment is not None:
            rng, augment_rng = jax.random.split(rng)
            images = augment(images, augment_rng)
        images = preprocess(images)

        def loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
            logits, updates = state.apply_fn(
                {**state.variables, "params": params},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": rng},
            )
            return loss_fn(logits, labels), (logits, updates.get("batch_stats", {}))

        (value, (logits, stats)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        metrics = {
            "correct": jnp.sum(jnp.argmax(logits, axis=-1) == labels),
            "count": jnp.asarray(labels.size),
        }
        if axis_name is not None:
            grads, value = lax.pmean((grads, value), axis_name)
            metrics = lax.psum(metrics, axis_name)
            stats = _of_first_device(stats, axis_name)
        updates, opt_state = state.tx.update(grads, state.opt_state, state.params)
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            batch_stats=stats,
            opt_state=opt_state,
        )
        return state, {"loss": value, **metrics}

    return train_step


def make_eval_step(
    loss_fn: LossFn = F.cross_entropy,
    *,
    preprocess: Callable[[jax.Array], jax.Array] = to_float,
) -> EvalStep:
    """Builds the evaluation step `(state, batch, axis_name=None) -> outputs`.

    Args:
      loss_fn: `(logits, labels, reduction="none") -> (n,)`.
      preprocess: Turns the batch's images into the model's input.

    Returns:
      The step; its outputs are `loss (n,)`, `prediction (n,)` (class) and `confidence (n,)` (its
      softmax probability), those of all devices.

    Example:
      >>> from jaxcnn import models, optim
      >>> from jaxcnn.train import create_state
      >>> batch = {"image": jnp.ones((4, 28, 28, 1)), "label": jnp.zeros(4, jnp.int32)}
      >>> state = create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), batch["image"])
      >>> make_eval_step()(state, batch)["loss"].shape
      (4,)
    """

    def eval_step(
        state: TrainState, batch: Batch, axis_name: str | None = None
    ) -> dict[str, jax.Array]:
        labels = jnp.asarray(batch["label"])
        logits = state.apply_fn(state.variables, preprocess(jnp.asarray(batch["image"])))
        outputs = {
            "loss": loss_fn(logits, labels, reduction="none"),
            "prediction": jnp.argmax(logits, axis=-1),
            "confidence": jnp.max(jax.nn.softmax(logits, axis=-1), axis=-1),
        }
        if axis_name is not None:
            outputs = lax.all_gather(outputs, axis_name, tiled=True)
        return outputs

    return eval_step


def scan_steps(step: TrainStep) -> TrainStep:
    """Turns a step into one that makes several: batches have a leading axis of steps.

    One dispatch then does the work of many, which is what small models wait for.

    Returns:
      `(state, batches, *shared, axis_name=None) -> (state, metrics)`, metrics with a leading axis
      of steps; what is `shared` is the same for every step.

    Example:
      >>> def count(state, batch, axis_name=None):
      ...     return state + batch, {"state": state}
      >>> state, metrics = scan_steps(count)(jnp.array(0), jnp.array([1, 2, 3]))
      >>> int(state), metrics["state"].tolist()
      (6, [0, 1, 3])
    """

    def steps(
        state: TrainState, batches: Any, *shared: Any, axis_name: str | None = None
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        one = lambda state, batch: step(state, batch, *shared, axis_name=axis_name)
        return lax.scan(one, state, batches)

    return steps


def on_rows(step: TrainStep) -> TrainStep:
    """Turns a step on a batch into one on the batch's places in a data set on the device.

    Returns:
      `(state, rows, dataset, axis_name=None) -> (state, metrics)`; `rows` are `(n,)`, `dataset` is
      `{"image": (images, h, w, c), "label": (images,)}`.

    Example:
      >>> def total(state, batch, axis_name=None):
      ...     return state + batch["label"].sum(), {}
      >>> dataset = {"label": jnp.array([10, 20, 30])}
      >>> state, _ = on_rows(total)(jnp.array(0), jnp.array([2, 0]), dataset)
      >>> int(state)
      40
    """

    def row_step(
        state: TrainState, rows: jax.Array, dataset: Batch, axis_name: str | None = None
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        batch = {name: jnp.take(x, rows, axis=0, mode="clip") for name, x in dataset.items()}
        # What follows compiles as for a batch that was sent: the same numbers, and no convolution
        # that gathers its pixels one by one.
        return step(state, lax.optimization_barrier(batch), axis_name=axis_name)

    return row_step


def _of_first_device(tree: Any, axis_name: str) -> Any:
    first = lax.axis_index(axis_name) == 0
    return lax.psum(jax.tree.map(lambda x: jnp.where(first, x, 0), tree), axis_name)
