"""The pure functions that a run consists of: one training step, one evaluation step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxcnn import functional as F
from jaxcnn._checks import check, check_int, check_type
from jaxcnn.train.ema import average
from jaxcnn.train.frozen import map_frozen
from jaxcnn.train.gradient import Examples, Gradient, make_gradient, over_devices
from jaxcnn.train.precision import PRECISIONS
from jaxcnn.train.state import TrainState

Batch = Mapping[str, Any]
LossFn = Callable[..., jax.Array]
TrainStep = Callable[..., tuple[TrainState, dict[str, jax.Array]]]
EvalStep = Callable[..., dict[str, jax.Array]]

NONFINITE = ("keep", "skip")


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
    mix: Callable[..., tuple[jax.Array, jax.Array]] | None = None,
    precision: str = "float32",
    accumulate: int = 1,
    ema: float | None = None,
    nonfinite: str = "keep",
    frozen: str | None = None,
) -> TrainStep:
    r"""Builds the training step `(state, batch, axis_name=None) -> (state, metrics)`.

    With `axis_name` the step runs on every device of that axis with its own part of the batch:
    gradients are averaged; BatchNorm normalises per device and the running statistics are those of
    the first device, as with PyTorch's DistributedDataParallel.

    Label smoothing is the loss's argument and clipping part of the optimiser, as the example shows.

    Args:
      loss_fn: `(logits, labels) -> scalar`, the mean over the batch.
      preprocess: Turns the batch's images into the model's input, inside the compiled step.
      augment: `(images, rng) -> images`, random changes such as `data.random_crop`, before
        `preprocess`; each step and device has its own key.
      mix: `(images, labels, rng) -> (images, probabilities)`, such as mixup, after `preprocess`.
        The loss gets the probabilities; `correct` still counts by the labels.
      precision: "float32": the types of parameters and images as they are. "bfloat16" or "float16":
        layers take and hand on this type, norms compute in float32 between; parameters, statistics,
        optimiser and loss stay float32. Mirrors `torch.autocast`. With "float16" the state needs
        `create_state(..., loss_scale=...)`, and a gradient that is not finite leaves parameters and
        optimiser as they were, as with `torch.amp.GradScaler`.
      accumulate: Parts of the batch that are computed one after the other, which needs less memory.
        Gradients are averaged; BatchNorm sees each part for itself. `augment` and `mix` see the
        whole batch.
      ema: Decay of the average of the parameters in `state.ema`, 0 to 1; the state needs
        `create_state(..., ema=True)`. Mirrors `torch.optim.swa_utils.get_ema_multi_avg_fn`.
      nonfinite: What a step does whose loss or gradient is not finite: "keep" does what PyTorch
        does, "skip" changes nothing but `step` and the scale of the loss.
      frozen: Regular expression, searched in the parameters' dotted names, such as
        `r"^(conv1|layer[12])\."`: these are not trained, as after `requires_grad_(False)`. Layers
        all of whose parameters and statistics match run in evaluation mode, as after `eval()`.

    Returns:
      The step. `batch` is `{"image": (n, h, w, c), "label": (n,)}`; metrics are `loss` (mean over
      the batch), `correct` and `count` (images), and with `nonfinite="skip"` `skipped`, 0 or 1.

    Raises:
      ValueError: If a setting is unknown or out of range; in the step, before it is compiled, if
        the batch does not divide by `accumulate`, `frozen` matches none or all of the parameters,
        or the state lacks what a setting needs.
      TypeError: If `accumulate` is not an integer.

    Example:
      >>> from functools import partial
      >>> from jaxcnn import models, optim
      >>> from jaxcnn.train import create_state
      >>> batch = {"image": jnp.ones((4, 28, 28, 1)), "label": jnp.zeros(4, jnp.int32)}
      >>> tx = optax.chain(optim.clip_grad_norm(1.0), optim.sgd(0.1))
      >>> state = create_state(models.lenet(), tx, jax.random.key(0), batch["image"])
      >>> step = make_train_step(partial(F.cross_entropy, label_smoothing=0.1))
      >>> state, metrics = jax.jit(step)(state, batch)
      >>> int(state.step), int(metrics["count"])
      (1, 4)
    """
    where = "make_train_step"
    rule = f"precision must be one of {PRECISIONS}"
    check(precision in PRECISIONS, where, rule, precision=precision)
    check(nonfinite in NONFINITE, where, f"must be one of {NONFINITE}", nonfinite=nonfinite)
    check_int(where, "accumulate", accumulate, 1)
    check(ema is None or 0 <= ema <= 1, where, "ema must be from 0 to 1", ema=ema)
    prepare = _preparation(augment, preprocess, mix)
    gradient = make_gradient(loss_fn, precision, accumulate, frozen)

    def train_step(
        state: TrainState, batch: Batch, axis_name: str | None = None
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        _check_state(state, precision, ema)
        rng = jax.random.fold_in(state.rng, state.step)
        if axis_name is not None:
            rng = jax.random.fold_in(rng, lax.axis_index(axis_name))
        examples, rng = prepare(batch, rng)
        result = gradient(state, examples, rng)
        count = jnp.asarray(examples.labels.size)
        if axis_name is not None:
            result, count = over_devices(result, axis_name), lax.psum(count, axis_name)
        metrics = {"loss": result.loss, "correct": result.correct, "count": count}
        changed = _changed(state, result, ema, frozen)
        if nonfinite == "skip":
            finite = all_finite((result.loss, result.grads))
            changed = _choose(finite, changed, {name: getattr(state, name) for name in changed})
            metrics["skipped"] = 1 - finite.astype(jnp.int32)
        return state.replace(step=state.step + 1, loss_scale=result.loss_scale, **changed), metrics

    return train_step


def _preparation(
    augment: Callable[..., jax.Array] | None,
    preprocess: Callable[[jax.Array], jax.Array],
    mix: Callable[..., tuple[jax.Array, jax.Array]] | None,
) -> Callable[[Batch, jax.Array], tuple[Examples, jax.Array]]:
    """From a batch and a key to what is learned from and the key for the rest of the step."""

    def prepare(batch: Batch, rng: jax.Array) -> tuple[Examples, jax.Array]:
        images, labels = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        if augment is not None:
            rng, augment_rng = jax.random.split(rng)
            images = augment(images, augment_rng)
        images, targets = preprocess(images), labels
        if mix is not None:
            rng, mix_rng = jax.random.split(rng)
            images, targets = mix(images, labels, mix_rng)
        return Examples(images, targets, labels), rng

    return prepare


def _changed(
    state: TrainState, result: Gradient, ema: float | None, frozen: str | None
) -> dict[str, Any]:
    """The fields of the state that a step changes unless it is skipped."""
    # Zeros, so that no decay of a frozen parameter enters the optimiser's buffers.
    seen = map_frozen(frozen, jnp.zeros_like, state.params)
    updates, opt_state = state.tx.update(result.grads, state.opt_state, seen)
    updates = map_frozen(frozen, jnp.zeros_like, updates)
    params = optax.apply_updates(state.params, updates)
    if state.loss_scale is not None:
        finite, old = all_finite(result.grads), (state.params, state.opt_state)
        params, opt_state = _choose(finite, (params, opt_state), old)
    averaged = state.ema
    if averaged is not None and ema is not None:
        averaged = average(averaged, params, ema)
    return {
        "params": params,
        "batch_stats": result.batch_stats,
        "opt_state": opt_state,
        "ema": averaged,
    }


def _check_state(state: TrainState, precision: str, ema: float | None) -> None:
    where = "make_train_step"
    rule = "the state must have an average if and only if ema is set"
    fix = "use create_state(..., ema=True) and make_train_step(ema=...)"
    check((ema is None) == (state.ema is None), where, rule, fix, ema=ema)
    rule = "the state must have a loss_scale if and only if precision is 'float16'"
    fix = "use create_state(..., loss_scale=grad_scaler())"
    fits = (precision == "float16") == (state.loss_scale is not None)
    check(fits, where, rule, fix, precision=precision)


def all_finite(tree: Any) -> jax.Array:
    """Whether no number in a tree is infinite or NaN.

    Example:
      >>> bool(all_finite({"w": jnp.array([1.0, jnp.inf])}))
      False
    """
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def _choose(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)


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
