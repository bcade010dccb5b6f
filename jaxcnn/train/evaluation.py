"""Measuring a model on a whole data set."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np
from jax import lax

from jaxcnn._checks import check_int
from jaxcnn.data import Dataset
from jaxcnn.train.feed import AHEAD, batch_like, gather, image_bytes, most_steps, prefetch
from jaxcnn.train.parallel import Devices, all_devices, parallelize
from jaxcnn.train.state import TrainState
from jaxcnn.train.step import EvalStep


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's answers to a data set, in the data set's order.

    Attributes:
      losses: Loss of each image, `(n,)`.
      predictions: Predicted class of each image, `(n,)`.
      confidences: Softmax probability of the predicted class, `(n,)`.
      labels: True class of each image, `(n,)`.
      batch_size: Images in a batch, for `loss_sum`.
    """

    losses: np.ndarray
    predictions: np.ndarray
    confidences: np.ndarray
    labels: np.ndarray
    batch_size: int

    @property
    def loss(self) -> float:
        """Mean loss of an image."""
        return float(np.mean(self.losses, dtype=np.float64))

    @property
    def loss_sum(self) -> float:
        """Sum over the batches of each batch's mean loss, which many PyTorch programs print."""
        starts = range(0, len(self.losses), self.batch_size)
        means = [np.mean(self.losses[i : i + self.batch_size], dtype=np.float64) for i in starts]
        return float(np.sum(means))

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is the true one, 0 to 1."""
        return float(np.mean(self.predictions == self.labels))

    def confusion(self, classes: int) -> np.ndarray:
        """Counts of (true class, predicted class), `(classes, classes)`."""
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (self.labels, self.predictions), 1)
        return counts


class Evaluator:
    """Evaluates a state on a data set; compiles once.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import data, models, optim, train
      >>> test = data.load("digits", "test").take(10)
      >>> state = train.create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> result = train.Evaluator(train.make_eval_step(), batch_size=4)(state, test.resize(28))
      >>> result.losses.shape
      (10,)
    """

    def __init__(
        self,
        step: EvalStep,
        *,
        batch_size: int,
        strategy: str = "pmap",
        devices: Devices | None = None,
    ) -> None:
        check_int("Evaluator", "batch_size", batch_size, 1)
        self.devices = list(all_devices() if devices is None else devices)
        self.batch_size = batch_size
        self._step = parallelize(
            _several(step), strategy, devices=self.devices, batch_axis=1, donate=False
        )

    def __call__(self, state: TrainState, dataset: Dataset) -> Evaluation:
        """Evaluates every image once; the last batches are filled up and cut again."""
        state, outputs = self._step.replicate(state), []
        send = lambda rows: self._step.shard(gather(dataset, self._step.local_part(rows)))
        for batch in prefetch(send, self._dispatches(dataset)):
            outputs.append(self._step.run(state, batch))
            jax.block_until_ready(outputs[-1 - AHEAD : -AHEAD])
        joined = {
            name: np.concatenate([np.ravel(part[name]) for part in outputs])[: len(dataset)]
            for name in outputs[0]
        }
        return Evaluation(
            losses=joined["loss"],
            predictions=joined["prediction"],
            confidences=joined["confidence"],
            labels=dataset.labels,
            batch_size=self.batch_size,
        )

    def compile(self, state: TrainState, dataset: Dataset) -> None:
        """Compiles what a call with such a data set needs."""
        rows = self._dispatches(dataset)[0]
        rows = self._step.local_part(rows)
        self._step.compile(self._step.replicate(state), batch_like(dataset, rows.shape))

    def _dispatches(self, dataset: Dataset) -> np.ndarray:
        """Rows (dispatches, steps, batch): all of one shape, so that one program is compiled."""
        batch = self.batch_size + -self.batch_size % len(self.devices)
        steps = -(-len(dataset) // batch)
        most = most_steps(image_bytes(dataset), batch, self.devices[0].platform)
        dispatches = -(-steps // most)
        shape = (dispatches, -(-steps // dispatches), batch)
        return np.resize(np.arange(len(dataset)), shape)


def _several(step: EvalStep) -> EvalStep:
    """Turns an evaluation step into one of several batches, as `scan_steps` does for training."""

    def steps(state: TrainState, batches: Any, axis_name: str | None = None) -> Any:
        return lax.map(lambda batch: step(state, batch, axis_name=axis_name), batches)

    return steps
