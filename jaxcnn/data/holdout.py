"""A share of each class, held out to test on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from jaxcnn._checks import check, check_int
from jaxcnn.data.image_files import Dataset

D = TypeVar("D", bound=Dataset)


def hold_out(dataset: D, share: float, *, seed: int = 0) -> tuple[D, D]:
    """Splits a data set in two, each class by the same share.

    Stands where one writes scikit-learn's `train_test_split(stratify=labels)`.

    Args:
      dataset: The data set.
      share: Share of each class to hold out, 0 to 1.
      seed: Seed of the draw.

    Returns:
      The rest and what is held out, in the order of `dataset`.

    Raises:
      ValueError: If a class would have no image in one of them.

    Example:
      >>> from jaxcnn.data import load
      >>> rest, held_out = hold_out(load("digits", "test"), 0.25)
      >>> len(rest), len(held_out)
      (269, 90)
    """
    chosen = draw_rows("hold_out", dataset.labels, dataset.class_names, share, seed)

    def part(rows: np.ndarray) -> D:
        images: Any = dataset.images
        images = images[rows] if isinstance(images, np.ndarray) else images.take(rows)
        return dataclasses.replace(dataset, images=images, labels=dataset.labels[rows])

    return part(~chosen), part(chosen)


def draw_rows(
    where: str, labels: np.ndarray, class_names: Sequence[str], share: float, seed: int
) -> np.ndarray:
    """A mask of a share of each class, drawn by lot.

    Raises:
      ValueError: If a class would have none inside or none outside; `where` begins the message.
    """
    check_int(where, "seed", seed, 0)
    chosen = np.zeros(len(labels), bool)
    for label, name in enumerate(class_names):
        members = np.flatnonzero(labels == label)
        count = round(len(members) * share)
        rule = "validation must leave every class an image in both splits"
        facts = {"validation": share, "name": name, "images": len(members)}
        check(0 < count < len(members), where, rule, **facts)
        # RandomState, because NumPy promises that its stream never changes; one a class, so
        # that more images of one class leave the draw of the others alone.
        lots = np.random.RandomState([seed, label])
        chosen[lots.permutation(members)[:count]] = True
    return chosen
