"""The one form in which every data set reaches a program."""

from __future__ import annotations

import dataclasses
import operator

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """Holds one split of an image classification set in memory.

    Stands where `torchvision.datasets` return PIL images one by one: here the
    whole split is two arrays, channels last, so that a batch is one slice.

    Attributes:
      images: uint8, 0 to 255, channels last; one channel keeps its axis.
      labels: int32 class numbers, indices into `class_names`.
      class_names: What each class is called, in the order of its number.
      name: The data set's name in the catalog.
      split: `"train"` or `"test"`.

    Shape:
      `images`: `(n, h, w, c)`; `labels`: `(n,)`.

    Raises:
      TypeError: If `images` is not uint8 or `labels` is not int32.
      ValueError: If the shapes do not fit each other, or a label has no class name.

    Example:
      >>> images = np.zeros((3, 8, 8, 1), np.uint8)
      >>> labels = np.array([0, 1, 1], np.int32)
      >>> data = ImageDataset(images, labels, ("cat", "dog"), "pets", "train")
      >>> len(data), data.class_names[data.labels[2]]
      (3, 'dog')
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    name: str
    split: str

    def __post_init__(self) -> None:
        """Checks the fields."""
        for field, dtype in (("images", np.uint8), ("labels", np.int32)):
            value = getattr(self, field)
            if not isinstance(value, np.ndarray) or value.dtype != dtype:
                got = getattr(value, "dtype", type(value).__name__)
                raise TypeError(
                    f"ImageDataset: {field} must be a NumPy array of {dtype.__name__}, "
                    f"got {field} of {got}."
                )
        if self.images.ndim != 4:
            raise ValueError(
                "ImageDataset: images must have the shape (n, h, w, c), "
                f"got images.shape={self.images.shape!r}."
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                "ImageDataset: there must be one label for each image, "
                f"got images.shape={self.images.shape!r}, labels.shape={self.labels.shape!r}."
            )
        outside = (self.labels < 0) | (self.labels >= len(self.class_names))
        if outside.any():
            index = int(outside.argmax())
            raise ValueError(
                f"ImageDataset: labels must lie in range({len(self.class_names)}), "
                f"the number of class_names, got labels[{index}]={int(self.labels[index])}."
            )

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Returns a short description; printing the arrays would help nobody."""
        return (
            f"ImageDataset(name={self.name!r}, split={self.split!r}, "
            f"images={self.images.shape}, classes={len(self.class_names)})"
        )

    def take(self, n: int) -> ImageDataset:
        """Returns the first `n` images, in the same order, without copying them.

        Args:
          n: How many images to keep, from 1 to all.

        Returns:
          A data set of length `n` that shares memory with this one.

        Raises:
          ValueError: If there are fewer than `n` images, or `n` is less than 1.

        Example:
          >>> from jaxcnn.data import load
          >>> load("digits", "test").take(5).images.shape
          (5, 8, 8, 1)
        """
        n = operator.index(n)
        if not 1 <= n <= len(self):
            raise ValueError(
                f"ImageDataset.take: n must be between 1 and the {len(self)} images "
                f"that there are, got n={n!r}."
            )
        return dataclasses.replace(self, images=self.images[:n], labels=self.labels[:n])

    def to_rgb(self) -> ImageDataset:
        """Returns the data set with three equal channels in place of a grey one.

        Mirrors `torchvision.transforms.Grayscale(3)` on grey images; colour images stay.

        Example:
          >>> from jaxcnn.data import load
          >>> load("digits", "test").take(5).to_rgb().images.shape
          (5, 8, 8, 3)
        """
        if self.images.shape[-1] != 1:
            return self
        return dataclasses.replace(self, images=np.repeat(self.images, 3, axis=-1))

    def resize(self, size: int | tuple[int, int]) -> ImageDataset:
        """Returns the data set with every image resized bilinearly.

        Mirrors `torchvision.transforms.Resize` on PIL images (Pillow's bilinear
        filter, which smooths when it shrinks), except that an int means a square.

        Args:
          size: New height and width in pixels; an int means both.

        Returns:
          A new data set; this one if it has that size already.

        Raises:
          ValueError: If a side is less than one pixel.

        Shape:
          `(n, h, w, c)` -> `(n, size[0], size[1], c)`.

        Example:
          >>> from jaxcnn.data import load
          >>> load("digits", "test").take(5).resize(28).images.shape
          (5, 28, 28, 1)
        """
        height, width = (size, size) if isinstance(size, int) else size
        if min(height, width) < 1:
            raise ValueError(
                f"ImageDataset.resize: both sides must be at least 1 pixel, got size={size!r}."
            )
        count, old_height, old_width, channels = self.images.shape
        if (height, width) == (old_height, old_width):
            return self

        from PIL import Image

        images = np.empty((count, height, width, channels), np.uint8)
        for old, new in zip(self.images, images, strict=True):
            for channel in range(channels):
                plane = Image.fromarray(old[..., channel])
                new[..., channel] = np.asarray(
                    plane.resize((width, height), Image.Resampling.BILINEAR)
                )
        return dataclasses.replace(self, images=images)
