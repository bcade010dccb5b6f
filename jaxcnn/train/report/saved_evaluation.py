"""The file evaluation.npz: what a model answered to every test image, and some of the images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from jaxcnn._checks import check
from jaxcnn._files import write_atomically
from jaxcnn.data import Dataset
from jaxcnn.train.evaluation import Evaluation

_FIRST = 16
_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class SavedEvaluation:
    """An evaluation with what is needed to show it, apart from its data set.

    Attributes:
      result: The answers.
      class_names: What each class is called.
      title: Name and split of the data set.
      first_images: The first images, uint8 `(k, h, w, c)`.
      mistakes: Rows of the wrong answers with the highest loss, the highest first, `(m,)`.
      mistake_images: Their images, uint8 `(m, h, w, c)`.

    Raises:
      ValueError: If the arrays do not fit each other.

    Example:
      >>> from jaxcnn import data
      >>> digits = data.load("digits", "test").take(3)
      >>> result = Evaluation(np.ones(3), np.zeros(3, int), np.ones(3), digits.labels, 1)
      >>> saved = SavedEvaluation.of(digits, result)
      >>> saved.title, saved.first_images.shape
      ('digits test', (3, 8, 8, 1))
    """

    result: Evaluation
    class_names: tuple[str, ...]
    title: str
    first_images: np.ndarray
    mistakes: np.ndarray
    mistake_images: np.ndarray

    def __post_init__(self) -> None:
        """Checks the fields."""
        where, count = "SavedEvaluation", len(self.result.labels)
        for name in ("losses", "predictions", "confidences", "labels"):
            shape = getattr(self.result, name).shape
            check(shape == (count,), where, f"{name} must be one for each image", shape=shape)
        for name in ("predictions", "labels"):
            outside = _outside(getattr(self.result, name), len(self.class_names))
            check(not outside, where, f"{name} must have class names", outside=outside)
        outside = _outside(self.mistakes, count)
        check(not outside, where, "mistakes must be rows of the answers", outside=outside)
        for name in ("first_images", "mistake_images"):
            images = getattr(self, name)
            ok = images.ndim == 4 and images.dtype == np.uint8
            rule = f"{name} must be uint8 of the shape (n, h, w, c)"
            check(ok, where, rule, shape=images.shape, dtype=str(images.dtype))
        shown = len(self.mistake_images)
        rule = "mistakes must have an image each"
        check(shown == len(self.mistakes), where, rule, mistakes=len(self.mistakes), images=shown)

    @classmethod
    def of(cls, dataset: Dataset, result: Evaluation) -> SavedEvaluation:
        """The evaluation of a model on `dataset`, with 16 first images and 24 mistakes."""
        wrong = np.flatnonzero(result.predictions != result.labels)
        mistakes = wrong[np.argsort(-result.losses[wrong], kind="stable")][:_MISTAKES]
        return cls(
            result=result,
            class_names=tuple(dataset.class_names),
            title=f"{dataset.name} {dataset.split}",
            first_images=dataset.images[:_FIRST],
            mistakes=mistakes,
            mistake_images=dataset.images[mistakes],
        )

    def write(self, path: Path) -> None:
        """Writes the file."""
        fields = {name: value for name, value in vars(self).items() if name != "result"}
        arrays = {name: np.asarray(value) for name, value in (fields | vars(self.result)).items()}
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def read(cls, path: Path) -> SavedEvaluation:
        """Reads the file.

        Raises:
          KeyError: If an array is missing.
          ValueError: If the arrays do not fit each other.
        """
        # Without pickle a file from elsewhere runs nothing.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            answers = ("losses", "predictions", "confidences", "labels")
            return cls(
                result=Evaluation(
                    **{name: arrays[name] for name in answers},
                    batch_size=int(arrays["batch_size"]),
                ),
                class_names=tuple(map(str, arrays["class_names"].tolist())),
                title=str(arrays["title"]),
                first_images=arrays["first_images"],
                mistakes=arrays["mistakes"],
                mistake_images=arrays["mistake_images"],
            )


def _outside(indices: np.ndarray, count: int) -> list[int]:
    """The first few of `indices` that are not in range(count)."""
    return indices[(indices < 0) | (indices >= count)][:3].tolist()
