"""ImageNet (ILSVRC 2012), read from its published archives where they lie, without unpacking them.

A tar archive holds its files uncompressed, so each image is a range of bytes of the archive.

Source: https://image-net.org/challenges/LSVRC/2012/; the development kit's readme.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jaxcnn.data.formats import broken, read_tar
from jaxcnn.data.image_files import FileRange

NAME = "imagenet2012"
VERSION = "5.1.0"
_TRAIN = "ILSVRC2012_img_train.tar"
_VALIDATION = "ILSVRC2012_img_val.tar"
_KIT = "ILSVRC2012_devkit_t12.tar.gz"
ARCHIVES = {"train": (_TRAIN,), "validation": (_VALIDATION, _KIT)}


class Member(NamedTuple):
    """A file in a tar archive.

    Attributes:
      name: Its name.
      start: Where its bytes begin.
      size: How many there are.
    """

    name: str
    start: int
    size: int


class TarFiles(Sequence):
    """Files in one tar archive, for `ImageFiles`; a million of them take little memory.

    Args:
      path: The archive.
      members: The files.
    """

    def __init__(self, path: Path, members: Sequence[Member]) -> None:
        self._path = path
        self._names = [member.name for member in members]
        self._starts = np.array([member.start for member in members], np.int64)
        self._sizes = np.array([member.size for member in members], np.int64)

    def __len__(self) -> int:
        """Returns the number of files."""
        return len(self._names)

    def __getitem__(self, index: Any) -> FileRange:
        """Returns one file."""
        start, size = int(self._starts[index]), int(self._sizes[index])
        return FileRange(self._path, start, size, self._names[index])


class ImageNet(NamedTuple):
    """One split.

    Attributes:
      files: The images, sorted by class, then by name.
      labels: Their classes, int32.
      class_names: The 1,000 WordNet numbers (`n01440764`, …), sorted, as in TFDS.
    """

    files: TarFiles
    labels: np.ndarray
    class_names: tuple[str, ...]


def open_imagenet(folder: Path, split: str) -> ImageNet:
    """Finds the images of a split in ImageNet's archives.

    Labels and order are those of `torchvision.datasets.ImageNet`. The archives are too large to
    compute their checksums each time; they are found damaged where they are cut off.

    Args:
      folder: Where the archives lie.
      split: `"train"` or `"validation"`.

    Returns:
      The split.

    Raises:
      FileNotFoundError: If an archive is missing.
      DataError: If an archive is cut off or damaged, or the labels do not fit the images.
    """
    paths = [folder / name for name in ARCHIVES[split]]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"load: {' and '.join(missing)} missing, got name={NAME!r}, split={split!r}; get them "
            f"from https://image-net.org/download-images and put them into {str(folder)!r}, or "
            "pass their folder as raw_dir=."
        )
    return _train(*paths) if split == "train" else _validation(*paths)


def _train(path: Path) -> ImageNet:
    """The train archive holds one archive for each class."""
    with path.open("rb") as file:
        classes = sorted(_members(file, path, 0, path.stat().st_size))
        if not classes:
            raise broken("the archive is empty", path)
        members, counts = [], []
        for inner in classes:
            images = sorted(_members(file, path, inner.start, inner.start + inner.size))
            members += images
            counts.append(len(images))
    class_names = tuple(inner.name.removesuffix(".tar") for inner in classes)
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return ImageNet(TarFiles(path, members), labels, class_names)


def _validation(path: Path, kit: Path) -> ImageNet:
    """The development kit holds the classes of the validation images, by the images' order."""
    class_names, labels = _read_kit(kit)
    with path.open("rb") as file:
        members = sorted(_members(file, path, 0, path.stat().st_size))
    if len(members) != len(labels):
        rule = (
            f"the archive holds {len(members)} images for the {len(labels)} labels of {str(kit)!r}"
        )
        raise broken(rule, path)
    order = np.argsort(labels, kind="stable")
    return ImageNet(TarFiles(path, [members[i] for i in order]), labels[order], class_names)


def _members(file: BinaryIO, path: Path, start: int, stop: int) -> Iterator[Member]:
    """Yields the files of the archive at these bytes."""
    file.seek(start)
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.offset_data + member.size > stop:
                    raise broken(f"the archive is truncated in {member.name}", path)
                if member.isfile():
                    yield Member(member.name, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise broken(f"the archive is truncated or damaged ({error})", path) from error


def _read_kit(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the sorted names of the classes, and the validation images' labels."""
    from scipy.io import loadmat

    names = ("meta.mat", "ILSVRC2012_validation_ground_truth.txt")
    meta, truth = read_tar(path, names)
    try:
        synsets = loadmat(io.BytesIO(meta.data), squeeze_me=True)["synsets"]
        # A synset with children is a group of classes.
        leaves = synsets[synsets["num_children"] == 0]
        numbers = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in leaves}
        class_names = tuple(sorted(numbers.values()))
        label_of = {number: class_names.index(name) for number, name in numbers.items()}
        labels = np.array([label_of[int(line)] for line in truth.data.split()], np.int32)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise broken(f"the development kit is damaged ({error!r})", path) from error
    return class_names, labels
