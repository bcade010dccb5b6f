"""The data sets by name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, cast, overload

import numpy as np

from jaxcnn._checks import check
from jaxcnn.data import cache, imagenet, prepared
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.folder import MEMORY_LIMIT, load_files
from jaxcnn.data.formats import find_files
from jaxcnn.data.image_files import Dataset, ImageFiles
from jaxcnn.data.sources import DIGITS, FILE_SOURCES, SOURCES

_DIGITS_SEED = 0


def list_datasets() -> list[str]:
    """Returns the names that `load` knows.

    Returns:
      The names, sorted.

    Example:
      >>> list_datasets()
      ['cats_vs_dogs', 'cifar10', 'cifar100', 'digits', 'fashion_mnist', 'imagenet2012', 'mnist',
      'stl10']
    """
    return sorted(["digits", imagenet.NAME, *SOURCES, *FILE_SOURCES])


@overload
def load(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    raw_dir: str | os.PathLike[str] | None = None,
) -> ImageDataset: ...


@overload
def load(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    raw_dir: str | os.PathLike[str] | None = None,
    size: int | None,
    resize: int | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset: ...


def load(
    name: str,
    split: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    raw_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    resize: int | None = None,
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset:
    """Loads one split of a data set.

    Stands where one writes `torchvision.datasets.CIFAR10(root, train, download=True)`.

    `digits` are the 1,797 scans that scikit-learn ships, 8x8 pixels with 17 grey levels
    stretched to 0..255, split 80 to 20 within each class by a fixed seed. The others are
    downloaded once through TFDS, without TensorFlow, and checked against known
    checksums; images keep the order of the original files. (Sets that stock TFDS has
    prepared in `data_dir` are read too, in the order in which it shuffled them.)

    `imagenet2012` cannot be downloaded: put `ILSVRC2012_img_train.tar`, or
    `ILSVRC2012_img_val.tar` and `ILSVRC2012_devkit_t12.tar.gz`, into
    `<data_dir>/downloads/manual/imagenet2012`, or pass their folder as `raw_dir`. They are read as
    they are, in `torchvision.datasets.ImageNet`'s order. Every other set that TFDS has prepared in
    `data_dir` is loaded by its name (`"name"` or `"name/config"`), if it has the features `image`
    and `label` and is stored as array_record.

    Args:
      name: One of `list_datasets()`, or a set that is prepared in `data_dir`.
      split: `"train"`, `"test"` or `"validation"`, as the set has it.
      data_dir: TFDS folder to prepare the set in and to read it from. Defaults to
        `$XDG_CACHE_HOME/jaxcnn`, or `~/.cache/jaxcnn`.
      raw_dir: Folder that holds the set's original files; they are read directly, nothing
        is downloaded or cached, and `data_dir` is not used. MNIST style: the four idx
        files; CIFAR and STL-10: the files of the binary version or its tar.gz; ImageNet: its
        archives. Files may be plain, .gz or .xz, in the folder or in its usual subfolder.
      size: Height and width of the images in pixels, for sets whose images differ in size
        (`cats_vs_dogs`, `imagenet2012`), see `ImageFiles`.
      resize: The shorter side in pixels before the centre is cropped; `size` by default.
      memory_limit: Sets whose images differ in size are decoded into memory if they have at most
        so many bytes then; of larger ones the images stay in their files.

    Returns:
      The images, channels last, their labels and the class names; a `FileDataset` if the images
      stay in their files. For `cifar100` these are the 100 fine classes.

    Raises:
      ValueError: If `name` or `split` is unknown, a set without files is given a `raw_dir`, or a
        size is missing or has no use.
      FileNotFoundError: If `raw_dir` lacks a file, or ImageNet's archives are missing.
      DataError: If a file is broken, fails its checksum or cannot be downloaded.

    Shape:
      `images`: `(n, 8, 8, 1)` for digits, `(n, 28, 28, 1)` for the MNIST style,
      `(n, 32, 32, 3)` for CIFAR, `(n, 96, 96, 3)` for STL-10, `(n, size, size, 3)` for the others.

    Example:
      >>> load("digits", "train")
      ImageDataset(name='digits', split='train', images=(1438, 8, 8, 1), classes=10)
    """
    root = _data_root(data_dir)
    if name == "digits" or name in SOURCES:
        for field, value in (("size", size), ("resize", resize)):
            rule = f"{field} is for sets whose images differ in size"
            fix = "call .resize() on the result"
            check(value is None, "load", rule, fix, name=name, **{field: value})
        return _load_arrays(name, split, root, raw_dir)

    sizes: dict[str, Any] = {"size": size, "resize": resize, "memory_limit": memory_limit}
    folder = prepared.find_prepared(name, root) if name else None
    if name == imagenet.NAME and (folder is None or raw_dir is not None):
        place = root / "downloads" / "manual" / name if raw_dir is None else Path(raw_dir)
        return _load_imagenet(split, place.expanduser(), **sizes)
    rule = "raw_dir is not for sets that must be prepared"
    check(raw_dir is None, "load", rule, name=name, raw_dir=raw_dir)
    if name in FILE_SOURCES:
        _check_split(split, FILE_SOURCES[name].splits)
        prepared.check_size(name, size)
        folder = folder or cache.prepare_files(FILE_SOURCES[name], root)
    if folder is None:
        raise _unknown(name, root)
    return prepared.load_prepared_folder(folder, name, split, **sizes)


def _load_arrays(
    name: str, split: str, root: Path, raw_dir: str | os.PathLike[str] | None
) -> ImageDataset:
    """Returns a set whose images have one size."""
    if name == "digits":
        _check_split(split, ("train", "test"))
        if raw_dir is not None:
            raise ValueError(
                f"load: 'digits' comes with scikit-learn and has no files, "
                f"got raw_dir={os.fspath(raw_dir)!r}; leave it out."
            )
        return ImageDataset(*_digits(split), DIGITS, name, split)

    source = SOURCES[name]
    _check_split(split, source.splits)
    if raw_dir is not None:
        folder = Path(raw_dir).expanduser()
        blobs = find_files(folder, source.files[split], source.subfolder, source.archive)
        images, columns = source.parse(blobs, source.labels)
        return ImageDataset(images, columns["label"], source.class_names, name, split)

    images, labels = cache.load_prepared(source, split, root)
    return ImageDataset(images, labels, source.class_names, name, split)


def _load_imagenet(
    split: str, folder: Path, size: int | None, resize: int | None, memory_limit: int
) -> Dataset:
    """Returns ImageNet from its archives."""
    name = imagenet.NAME
    _check_split(split, tuple(imagenet.ARCHIVES))
    prepared.check_size(name, size)
    files, labels, class_names = imagenet.open_imagenet(folder, split)
    images = ImageFiles(files, size=cast(int, size), resize=resize)
    return load_files(
        images, labels, class_names, name, split, memory_limit=memory_limit, trusted=True
    )


def _check_split(split: str, splits: tuple[str, ...]) -> None:
    check(split in splits, "load", f"split must be {' or '.join(map(repr, splits))}", split=split)


def _unknown(name: str, root: Path) -> ValueError:
    known = list_datasets()
    close = difflib.get_close_matches(str(name).lower().replace("-", "_"), known, 1)
    fix = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
    fix += "" if close else f", and what TFDS has prepared in {str(root)!r}."
    return ValueError(f"load: unknown data set, got name={name!r}; {fix}")


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
