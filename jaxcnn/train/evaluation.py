"""Measuring a model on a whole data set."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jaxcnn.data import ImageDataset, epoch_batches
from jaxcnn.train.parallel import Devices, parallelize
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
        self.devices = list(jax.local_devices() if devices is None else devices)
        self.batch_size = batch_size
        self.step = parallelize(step, strategy, devices=self.devices, donate=False)

    def __call__(self, state: TrainState, dataset: ImageDataset) -> Evaluation:
        """Evaluates every image once; a last batch that is not full is padded and cut again."""
        padded = self.batch_size + -self.batch_size % len(self.devices)
        outputs: dict[str, list[np.ndarray]] = {}
        for index in epoch_batches(len(dataset), self.batch_size, shuffle=False):
            rows = np.resize(index, padded)
            batch = {"image": dataset.images[rows], "label": dataset.labels[rows]}
            for name, values in self.step(state, batch).items():
                outputs.setdefault(name, []).append(np.asarray(values)[: len(index)])
        joined = {name: np.concatenate(parts) for name, parts in outputs.items()}
        return Evaluation(
            losses=joined["loss"],
            predictions=joined["prediction"],
            confidences=joined["confidence"],
            labels=dataset.labels,
            batch_size=self.batch_size,
        )
