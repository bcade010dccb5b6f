"""Reads the original files of the classic image sets: idx, CIFAR and STL-10 binary, zip.

The binary formats are arrays of bytes, some behind a tiny header, so a whole file is parsed by a
few NumPy views. Files may be plain, gzip or xz; CIFAR and STL-10 files may also lie in a tar
archive.

Sources: the idx format, http://yann.lecun.com/exdb/mnist/; the CIFAR binary version,
https://www.cs.toronto.edu/~kriz/cifar.html; STL-10, http://ai.stanford.edu/~acoates/stl10/.
"""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

# What the standard library's decompressors raise for bytes that are cut off or damaged.
_UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, tarfile.TarError)
_GZIP_MAGIC = b"\x1f\x8b"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_CHUNK = 1 << 20
_SUFFIXES = ("", ".gz", ".xz")
_CIFAR_IMAGE = (3, 32, 32)
_STL10_IMAGE = (3, 96, 96)
_CATS_VS_DOGS_NAME = re.compile(r"PetImages[\\/](Cat|Dog)[\\/]\d+\.jpg")
_CATS_VS_DOGS_HEAD = 512  # bytes in which the mark of a JPEG file must be


class DataError(ValueError):
    """A data file is broken, does not match its checksum, or could not be downloaded."""


class Blob(NamedTuple):
    """The unpacked bytes of one file.

    Attributes:
      data: The bytes, unpacked.
      origin: The file they come from, for error messages.
    """

    data: bytes
    origin: str


class Arrays(NamedTuple):
    """What the files of one split hold.

    Attributes:
      images: uint8, `(n, h, w, c)`.
      labels: int32 columns of length n by name; `"label"` is the class to predict.
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]


class Encoded(NamedTuple):
    """An image as the bytes of a file.

    Attributes:
      name: The file's name in the archive.
      data: The bytes.
      label: The class to predict.
    """

    name: str
    data: bytes
    label: str


def broken(rule: str, origin: str | Path, fix: str = "delete it and fetch it again") -> DataError:
    """Returns the error for a broken file, in the library's form.

    Args:
      rule: What is wrong.
      origin: The file.
      fix: What the reader can do.

    Returns:
      The error, to be raised.
    """
    return DataError(f"load: {rule}, got file={str(origin)!r}; {fix}.")


def read_file(path: Path) -> Blob:
    """Reads a plain, gzip or xz file.

    Args:
      path: The file. Its first bytes, not its suffix, say how it is packed: tools
        and caches rename files.

    Returns:
      The unpacked bytes.

    Raises:
      DataError: If the packed data is cut off or damaged.
    """
    data = path.read_bytes()
    try:
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
        elif data.startswith(_XZ_MAGIC):
            data = lzma.decompress(data)
    except _UNPACKING_ERRORS as error:
        raise broken(f"the compressed file is truncated or damaged ({error})", path) from error
    return Blob(data, str(path))


def read_tar(path: Path, names: Sequence[str]) -> list[Blob]:
    """Reads files out of a .tar.gz archive in one pass, wherever in it they lie.

    Args:
      path: The archive.
      names: The file names, without folders.

    Returns:
      The files' bytes, in the order of `names`.

    Raises:
      DataError: If the archive is cut off or damaged, or lacks a file.
    """
    found: dict[str, Blob] = {}
    try:
        # Not tarfile's own "r:gz" and "r|gz": they do not verify gzip's checksum to the end.
        with gzip.open(path) as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:
                for member in archive:
                    name = member.name.rpartition("/")[2]
                    file = archive.extractfile(member) if name in names else None
                    if file is not None:
                        found[name] = Blob(file.read(), f"{path}:{member.name}")
            while unpacked.read(_CHUNK):
                pass
    except _UNPACKING_ERRORS as error:
        raise broken(f"the archive is truncated or damaged ({error})", path) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise broken(f"the archive lacks {', '.join(missing)}", path)
    return [found[name] for name in names]


def find_files(
    folder: Path, names: Sequence[str], subfolder: str, archive: str | None
) -> list[Blob]:
    """Reads files that lie in a folder, in its usual subfolder or in an archive there.

    Args:
      folder: Where to look.
      names: File names without `.gz` or `.xz`; all must lie in the same place.
      subfolder: Where other tools unpack these files, below `folder`.
      archive: Name of the tar file in which they are published, if they are.

    Returns:
      The files' bytes, in the order of `names`.

    Raises:
      FileNotFoundError: If a file is missing.
      DataError: If a file is cut off or damaged.
    """
    for place in (folder, folder / subfolder):
        paths = {
            name: next(filter(Path.is_file, (place / (name + end) for end in _SUFFIXES)), None)
            for name in names
        }
        present = [path for path in paths.values() if path is not None]
        if len(present) == len(names):
            return [read_file(path) for path in present]
        if present:
            missing = next(name for name, path in paths.items() if path is None)
            raise FileNotFoundError(
                f"load: {missing!r} is missing, got raw_dir={str(folder)!r}; "
                f"put it (plain, .gz or .xz) into {str(place)!r}."
            )
    if archive is not None and (folder / archive).is_file():
        return read_tar(folder / archive, names)
    raise FileNotFoundError(
        f"load: {names[0]!r} is missing, got raw_dir={str(folder)!r}; the folder, or {subfolder!r} "
        f"in it, must hold {', '.join(names)} (plain, .gz or .xz)"
        + (f", or the folder must hold {archive!r}." if archive else ".")
    )


def parse_idx(blob: Blob, ndim: int) -> np.ndarray:
    """Parses an idx file of unsigned bytes.

    Args:
      blob: The file.
      ndim: How many axes it must have: 3 for images, 1 for labels.

    Returns:
      The array, uint8.

    Raises:
      DataError: If the magic number is wrong or the header does not fit the size.

    Example:
      >>> parse_idx(Blob(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), "labels"), 1)
      array([7, 8, 9], dtype=uint8)
    """
    header = 4 + 4 * ndim
    magic = 0x0800 + ndim
    if len(blob.data) < header:
        raise broken(f"an idx file cannot be only {len(blob.data)} bytes long", blob.origin)
    found, *shape = struct.unpack(f">{1 + ndim}I", blob.data[:header])
    if found != magic:
        raise broken(
            f"wrong magic number 0x{found:08x}, an idx file of this kind starts with 0x{magic:08x}",
            blob.origin,
        )
    values = np.frombuffer(blob.data, np.uint8, offset=header)
    # Python's integers, because a damaged header can overflow NumPy's.
    expected = shape[0]
    for side in shape[1:]:
        expected *= side
    if expected != values.size:
        raise broken(
            f"the header announces {expected} bytes (shape {tuple(shape)}) "
            f"but {values.size} follow",
            blob.origin,
        )
    return values.reshape(shape).copy()


def _column(values: np.ndarray, num_classes: int, origin: str) -> np.ndarray:
    """Returns labels as int32 after checking their range."""
    outside = values >= num_classes
    if outside.any():
        index = int(outside.argmax())
        raise broken(
            f"label {values[index]} of image {index} is out of range({num_classes})", origin
        )
    return values.astype(np.int32)


def parse_mnist(blobs: Sequence[Blob], labels: Mapping[str, Sequence[str]]) -> Arrays:
    """Parses a pair of idx files, images and labels.

    Args:
      blobs: The two files.
      labels: Class names by label; exactly one label.

    Returns:
      Images `(n, h, w, 1)` and labels.

    Raises:
      DataError: If a file is not what it should be, or the two do not fit.
    """
    images_blob, labels_blob = blobs
    ((key, class_names),) = labels.items()
    images = parse_idx(images_blob, ndim=3)[..., np.newaxis]
    values = parse_idx(labels_blob, ndim=1)
    if len(images) != len(values):
        raise broken(
            f"there are {len(values)} labels for the {len(images)} images of "
            f"{images_blob.origin!r}",
            labels_blob.origin,
        )
    return Arrays(images, {key: _column(values, len(class_names), labels_blob.origin)})


def parse_cifar(blobs: Sequence[Blob], labels: Mapping[str, Sequence[str]]) -> Arrays:
    """Parses CIFAR binary files, which are records of label bytes and one image.

    Args:
      blobs: The files of one split, in order.
      labels: Class names by label, in the order of a record's bytes.

    Returns:
      Images `(n, 32, 32, 3)` and labels.

    Raises:
      DataError: If a file is not a whole number of records or a label is out of range.
    """
    record = len(labels) + int(np.prod(_CIFAR_IMAGE))
    tables = []
    for blob in blobs:
        if not blob.data or len(blob.data) % record:
            raise broken(
                f"{len(blob.data)} bytes are not a whole number of {record}-byte records",
                blob.origin,
            )
        tables.append(np.frombuffer(blob.data, np.uint8).reshape(-1, record))

    columns = {
        key: np.concatenate(
            [_column(t[:, i], len(names), b.origin) for t, b in zip(tables, blobs, strict=True)]
        )
        for i, (key, names) in enumerate(labels.items())
    }
    images = np.empty((sum(map(len, tables)), 32, 32, 3), np.uint8)
    start = 0
    for table in tables:
        planes = table[:, len(labels) :].reshape(-1, *_CIFAR_IMAGE)
        images[start : start + len(table)] = planes.transpose(0, 2, 3, 1)
        start += len(table)
    return Arrays(images, columns)


def parse_stl10(blobs: Sequence[Blob], labels: Mapping[str, Sequence[str]]) -> Arrays:
    """Parses a pair of STL-10 binary files: planes of images by columns, and labels from 1.

    Args:
      blobs: The two files.
      labels: Class names by label; exactly one label.

    Returns:
      Images `(n, 96, 96, 3)` and labels from 0.

    Raises:
      DataError: If a file is not what it should be, or the two do not fit.
    """
    images_blob, labels_blob = blobs
    ((key, class_names),) = labels.items()
    image = int(np.prod(_STL10_IMAGE))
    count = len(labels_blob.data)
    if len(images_blob.data) != count * image or not count:
        raise broken(
            f"{len(images_blob.data)} bytes are not the {image} bytes of each of the {count} "
            f"images that {labels_blob.origin!r} has labels for",
            images_blob.origin,
        )
    values = np.frombuffer(labels_blob.data, np.uint8)
    if not values.all():
        raise broken("labels must start at 1, but there is a 0", labels_blob.origin)
    planes = np.frombuffer(images_blob.data, np.uint8).reshape(-1, *_STL10_IMAGE)
    images = np.ascontiguousarray(planes.transpose(0, 3, 2, 1))
    return Arrays(images, {key: _column(values - 1, len(class_names), labels_blob.origin)})


def read_cats_vs_dogs(path: Path) -> Iterator[Encoded]:
    """Yields the cats and dogs of their zip archive.

    As in TFDS, files without JFIF's mark near their beginning are left out: these 1,738 are broken.

    Args:
      path: The archive.

    Yields:
      The other images, in the archive's order.

    Raises:
      DataError: If the archive is damaged or holds no such image.
    """
    found = False
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                match = _CATS_VS_DOGS_NAME.fullmatch(member.filename)
                data = archive.read(member) if match else b""
                if match and b"JFIF" in data[:_CATS_VS_DOGS_HEAD]:
                    found = True
                    yield Encoded(member.filename, data, match[1].lower())
    except (*_UNPACKING_ERRORS, zipfile.BadZipFile) as error:
        raise broken(f"the archive is truncated or damaged ({error})", path) from error
    if not found:
        raise broken("the archive holds no image of a cat or a dog", path)
