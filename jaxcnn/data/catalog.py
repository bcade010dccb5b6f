"""The data sets by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import numpy as np

from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.formats import find_files
from jaxcnn.data.sources import DIGITS, SOURCES

_SPLITS = ("train", "test")
_DIGITS_SEED = 0


def list_datasets() -> list[str]:
    """Returns the names that `load` knows.

    Returns:
      The names, sorted.

    Example:
      >>> list_datasets()
      ['cifar10', 'cifar100', 'digits', 'fashion_mnist', 'mnist']
    """
    return sorted(["digits", *SOURCES])


def load(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    raw_dir: str | os.PathLike[str] | None = None,
) -> ImageDataset:
    """Loads one split of a data set into memory.

    Stands where one writes `torchvision.datasets.CIFAR10(root, train, download=True)`.

    `digits` are the 1,797 scans that scikit-learn ships, 8x8 pixels with 17 grey levels
    stretched to 0..255, split 80 to 20 within each class by a fixed seed. The others are
    downloaded once through TFDS, without TensorFlow, and checked against known
    checksums; images keep the order of the original files. (Sets that stock TFDS has
    prepared in `data_dir` are read too, in the order in which it shuffled them.)

    Args:
      name: One of `list_datasets()`.
      split: `"train"` or `"test"`.
      data_dir: TFDS folder to prepare the set in and to read it from. Defaults to
        `$XDG_CACHE_HOME/jaxcnn`, or `~/.cache/jaxcnn`.
      raw_dir: Folder that holds the set's original files; they are read directly, nothing
        is downloaded or cached, and `data_dir` is not used. MNIST style: the four idx
        files; CIFAR: the files of the binary version or its tar.gz. Files may be plain,
        .gz or .xz, in the folder or in its usual subfolder.

    Returns:
      The images, channels last, their labels and the class names. For `cifar100` these are
      the 100 fine classes.

    Raises:
      ValueError: If `name` or `split` is unknown, or `digits` is given a `raw_dir`.
      FileNotFoundError: If `raw_dir` lacks a file.
      DataError: If a file is broken, fails its checksum or cannot be downloaded.

    Shape:
      `images`: `(n, 8, 8, 1)` for digits, `(n, 28, 28, 1)` for the MNIST style,
      `(n, 32, 32, 3)` for CIFAR.

    Example:
      >>> load("digits", "train")
      ImageDataset(name='digits', split='train', images=(1438, 8, 8, 1), classes=10)
    """
    if name not in list_datasets():
        close = difflib.get_close_matches(str(name).lower().replace("-", "_"), list_datasets(), 1)
        fix = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(list_datasets())}."
        raise ValueError(f"load: unknown data set, got name={name!r}; {fix}")
    if split not in _SPLITS:
        raise ValueError(f"load: split must be 'train' or 'test', got split={split!r}.")
    if name == "digits":
        if raw_dir is not None:
            raise ValueError(
                f"load: 'digits' comes with scikit-learn and has no files, "
                f"got raw_dir={os.fspath(raw_dir)!r}; leave it out."
            )
        return ImageDataset(*_digits(split), DIGITS, name, split)

    source = SOURCES[name]
    if raw_dir is not None:
        folder = Path(raw_dir).expanduser()
        blobs = find_files(folder, source.files[split], source.subfolder, source.archive)
        images, columns = source.parse(blobs, source.labels)
        return ImageDataset(images, columns["label"], source.class_names, name, split)

    from jaxcnn.data.cache import load_prepared

    images, labels = load_prepared(source, split, _data_root(data_dir))
    return ImageDataset(images, labels, source.class_names, name, split)


def _data_root(data_dir: str | os.PathLike[str] | None) -> Path:
    if data_dir is not None:
        return Path(data_dir).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "jaxcnn"


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns scikit-learn's digits: every fifth of each class, drawn by lot, is a test image."""
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    # RandomState, because NumPy promises that its stream never changes.
    lots = np.random.RandomState(_DIGITS_SEED)
    is_test = np.zeros(len(labels), bool)
    for number in range(len(DIGITS)):
        members = lots.permutation(np.flatnonzero(labels == number))
        is_test[members[: round(len(members) / 5)]] = True
    chosen = is_test if split == "test" else ~is_test
    images = np.rint(values[chosen] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return images, labels[chosen].astype(np.int32)
