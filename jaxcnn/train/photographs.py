"""Settings of experiments on photographs: which set, at which size, with ImageNet's transforms."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any, Literal

import jax

from jaxcnn import data
from jaxcnn._checks import check, check_int
from jaxcnn.train.experiment import ExperimentSettings
from jaxcnn.train.step import to_float


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhotographSettings(ExperimentSettings):
    """Settings of experiments that train on photographs of any data set or folder.

    Images are decoded to `resize` x `resize` pixels (the shorter side first, then the centre).
    Training cuts random windows out of them and resizes these to `size`; evaluation takes the
    centre. torchvision cuts its windows out of the whole photograph.

    Example:
      >>> settings = PhotographSettings(dataset="digits", size=32, resize=40, epochs=1)
      >>> train_set, test_set = settings.load()
      >>> train_set.images.shape, settings.to_evaluate(train_set.images[:2]).shape
      ((1438, 40, 40, 3), (2, 32, 32, 3))
    """

    folder: Path | None = None
    """Folder of images, one subfolder for each class; may have train and val above them."""
    dataset: str | None = None
    """Name of a data set, instead of a folder."""
    validation: float = 0.2
    """Share of the images to test on, where the set has no split for that."""
    on_corrupt: Literal["raise", "skip"] = "raise"
    """What to do about broken images: end, or leave them out with a warning."""
    size: int = 224
    """Height and width of the model's input."""
    resize: int = 256
    """Height and width that images are decoded to."""
    crop_scale: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest share of an image that a random window covers."""
    flip: bool = True
    """Whether images are mirrored at random."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of the red, green and blue of the images, 0 to 1; ImageNet's."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Deviation of the same."""

    def check(self) -> None:
        """Checks all settings.

        Raises:
          ValueError: If one is out of range, sizes do not fit each other, or not exactly one of
            folder and dataset is given.
        """
        super().check()
        where = type(self).__name__
        check_int(where, "size", self.size, 1)
        rule = "resize must be at least size"
        check(self.resize >= self.size, where, rule, resize=self.resize, size=self.size)
        low, high = self.crop_scale
        rule = "crop_scale must be two shares from 0 to 1, in order"
        check(0 < low <= high <= 1, where, rule, crop_scale=self.crop_scale)
        rule = "either folder or dataset must be given"
        one = (self.folder is None) != (self.dataset is None)
        check(one, where, rule, folder=self.folder, dataset=self.dataset)

    def load(self) -> tuple[data.Dataset, data.Dataset]:
        """The images to train on and those to test on."""
        if self.folder is not None:
            read = functools.partial(
                data.load_folder, self.folder, size=self.resize, on_corrupt=self.on_corrupt
            )
            if any((self.folder / name).is_dir() for name in ("val", "validation")):
                return read("train"), read("validation")
            if (self.folder / "test").is_dir():
                return read("train"), read("test")
            share: dict[str, Any] = {"validation": self.validation, "seed": 0}
            return read("train", **share), read("validation", **share)
        assert self.dataset is not None
        test_split = {"imagenet2012": "validation", "cats_vs_dogs": None}.get(self.dataset, "test")
        if test_split is None:
            return data.hold_out(self._read("train"), self.validation)
        return self._read("train"), self._read(test_split)

    def _read(self, split: str) -> data.Dataset:
        assert self.dataset is not None
        data_dir, raw_dir = self.data_dir, self.raw_dir
        if self.dataset in ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "stl10"):
            dataset = data.load(self.dataset, split, data_dir=data_dir, raw_dir=raw_dir)
            return dataset.to_rgb().resize(self.resize)
        return data.load(self.dataset, split, data_dir=data_dir, raw_dir=raw_dir, size=self.resize)

    def random_window(self, images: jax.Array, rng: jax.Array) -> jax.Array:
        """The random change that brings images to the model's size, for training."""
        return data.random_resized_crop(images, rng, self.size, self.crop_scale)

    def to_train(self, images: jax.Array) -> jax.Array:
        """Bytes of the model's size as its input."""
        return data.normalize(to_float(images), self.mean, self.std)

    def to_evaluate(self, images: jax.Array) -> jax.Array:
        """The centre of decoded images as the model's input."""
        return self.to_train(data.center_crop(images, self.size))
