"""Data sets that TFDS, or this library with it, has prepared in a folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn._checks import check
from jaxcnn._files import write_atomically
from jaxcnn.data import cache
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.folder import load_files
from jaxcnn.data.formats import broken
from jaxcnn.data.image_files import Dataset, ImageFiles

_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Records(Sequence):
    """The encoded images of a prepared split, as files for `ImageFiles`.

    It can be sent to other processes, which open the records anew.

    Args:
      folder: The prepared set, with its version.
      split: The split's name.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.folder = folder
        self.split = split

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "split": self.split}

    @functools.cached_property
    def _source(self) -> Any:
        import tensorflow_datasets as tfds

        decoders = {"image": tfds.decode.SkipDecoding()}
        return _open(self.folder).as_data_source(self.split, decoders=decoders)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._source)

    def __getitem__(self, index: Any) -> Record:
        """Returns one image, not read yet."""
        return Record(self, index)

    def read(self, index: int) -> dict[str, Any]:
        """Returns a record, its image still encoded.

        Args:
          index: Its number.

        Returns:
          The record's features.
        """
        return self._source[index]


@dataclasses.dataclass(frozen=True)
class Record:
    """One encoded image.

    Attributes:
      records: Where it lies.
      index: Its number.
    """

    records: Records
    index: int

    def __str__(self) -> str:
        """Returns folder, split and number."""
        return f"{self.records.folder}:{self.records.split}[{self.index}]"

    def read_bytes(self) -> bytes:
        """Returns the bytes of the image file."""
        return self.records.read(self.index)["image"]


def find_prepared(name: str, data_dir: Path) -> Path | None:
    """Finds a prepared set.

    Args:
      name: Its name, `"name"` or `"name/config"`.
      data_dir: The TFDS folder.

    Returns:
      The folder of its newest version, or None.
    """
    folders = [info.parent for info in (data_dir / name).glob("*/dataset_info.json")]
    versions = {
        tuple(map(int, folder.name.split("."))): folder
        for folder in folders
        if _VERSION.fullmatch(folder.name)
    }
    return versions[max(versions)] if versions else None


def check_size(name: str, size: int | None) -> None:
    """Raises if no size is given.

    Args:
      name: A data set whose images differ in size.
      size: Height and width of the images.

    Raises:
      ValueError: If it is None.
    """
    fix = "pass size= for the height and width that they are to have"
    check(size is not None, "load", "the images differ in size", fix, name=name, size=size)


def load_prepared_folder(
    folder: Path,
    name: str,
    split: str,
    size: int | None,
    resize: int | None,
    memory_limit: int,
) -> Dataset:
    """Loads a split of a prepared set that has the features `image` and `label`.

    Args:
      folder: The set, with its version.
      name: The data set's name.
      split: One of the set's splits.
      size: Height and width of the images; None for sets whose images have one size.
      resize: The shorter side before the centre is cropped, see `ImageFiles`.
      memory_limit: Sets of more bytes stay in their records, if a size is given.

    Returns:
      The data set.

    Raises:
      ValueError: If the split is unknown, a feature is missing, or a size is needed.
      DataError: If the set is damaged or was prepared in another format than array_record.
    """
    with _reading(folder):
        builder = _open(folder)
        splits = tuple(builder.info.splits)
    image, label = _features(builder, name)
    rule = f"split must be one of {', '.join(splits)}"
    check(split in splits, "load", rule, name=name, split=split)
    if None in image.shape:
        check_size(name, size)
    if size is None:
        with _reading(folder):
            arrays = _arrays(builder, split, image.shape)
        return ImageDataset(*arrays, tuple(label.names), name, split)
    with _reading(folder):
        records = Records(folder, split)
        labels = _labels(records)
    files = ImageFiles(records, size=size, resize=resize)
    return load_files(
        files, labels, tuple(label.names), name, split, memory_limit=memory_limit, trusted=True
    )


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Keeps TFDS quiet and says which set is damaged."""
    from jaxcnn.data.builders import damaged, quiet_tfds

    try:
        with quiet_tfds():
            yield
    except NotImplementedError as error:
        rule = "the set was prepared in a format that only TensorFlow reads"
        raise broken(rule, folder, "prepare it with file_format='array_record'") from error
    except MemoryError:
        raise
    except Exception as error:
        # The record reader, the protocol buffers and Pillow each raise kinds of their own.
        raise damaged(folder, error) from error


def _open(folder: Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _features(builder: Any, name: str) -> tuple[Any, Any]:
    import tensorflow_datasets as tfds

    features = dict(builder.info.features or {})
    image, label = features.get("image"), features.get("label")
    usable = isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel)
    rule = "the set must have the features image and label"
    check(usable, "load", rule, name=name, features=sorted(features))
    return image, label


def _arrays(builder: Any, split: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns decoded images of one size, and keeps them for the next time."""
    path = Path(builder.data_dir) / f"jaxcnn-{split}.npz"
    arrays = cache.read_arrays(path)
    if arrays is None:
        arrays = cache.decode(builder, split, shape)
        cache.write_arrays(path, *arrays)
    return arrays


def _labels(records: Records) -> np.ndarray:
    """Returns all labels, and keeps them: to read them is to read all records."""
    path = records.folder / f"jaxcnn-{records.split}-labels.npy"
    with contextlib.suppress(OSError, EOFError, ValueError):
        labels = np.load(path)
        if labels.shape == (len(records),):
            return labels
    labels = np.array([records.read(i)["label"] for i in range(len(records))], np.int32)
    with contextlib.suppress(OSError):  # a folder that cannot be written to
        write_atomically(path, lambda file: np.save(file, labels))
    return labels
