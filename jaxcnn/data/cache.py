"""Prepared data sets, decoded once.

Decoding a prepared set example by example takes seconds, so the arrays of each split
are kept in one uncompressed .npz inside the prepared set's folder. The file appears
complete, by a rename, and zip's own checksums tell a damaged one.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxcnn._files import write_atomically
from jaxcnn.data.formats import broken
from jaxcnn.data.sources import FileSource, Source

try:
    import fcntl
except ImportError:  # Windows: preparing twice at once wastes work there, nothing more
    fcntl = None

_DECODE_AT_ONCE = 1000


def load_prepared(source: Source, split: str, data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the arrays of a split, downloading and preparing the set if need be.

    Args:
      source: The data set.
      split: `"train"` or `"test"`.
      data_dir: The TFDS folder.

    Returns:
      Images `(n, h, w, c)`, uint8, and labels `(n,)`, int32.

    Raises:
      DataError: If the set cannot be downloaded, or a file is broken.
    """
    decoded = data_dir / source.name / source.version / f"jaxcnn-{split}.npz"
    arrays = read_arrays(decoded)
    if arrays is not None:
        return arrays

    with _lock(data_dir / f".{source.name}.lock") as locked:
        # Whoever held the lock before may just have done the work.
        arrays = read_arrays(decoded)
        if arrays is not None:
            return arrays
        if locked:
            _remove_leftovers(source, data_dir)

        images, labels = _prepare_and_decode(source, split, data_dir)
        write_arrays(decoded, images, labels)
    return images, labels


def prepare_files(source: FileSource, data_dir: Path) -> Path:
    """Downloads and prepares a set whose images are one file each, unless that is done.

    Args:
      source: The data set.
      data_dir: The TFDS folder.

    Returns:
      The folder of the prepared set.

    Raises:
      DataError: If the set cannot be downloaded, or its archive is broken.
    """
    folder = data_dir / source.name / source.version
    if not folder.is_dir():
        from jaxcnn.data import builders

        with _lock(data_dir / f".{source.name}.lock") as locked, builders.quiet_tfds():
            if locked:
                _remove_leftovers(source, data_dir)
            builder = builders.builder_for(source, data_dir)
            builders.prepare(builder, data_dir / "downloads" / "manual" / source.name)
    return folder


def read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns decoded arrays that were kept.

    Args:
      path: The file.

    Returns:
      Images and labels, or None if there is no intact file.
    """
    try:
        # Opened here, because np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file) as arrays:
            return arrays["images"], arrays["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def write_arrays(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Keeps decoded arrays, if the folder can be written to.

    Args:
      path: The file.
      images: The images.
      labels: Their labels.
    """
    # The set may lie in a read-only folder that many people share.
    with contextlib.suppress(OSError):
        write_atomically(path, lambda file: np.savez(file, images=images, labels=labels))


def _prepare_and_decode(
    source: Source, split: str, data_dir: Path
) -> tuple[np.ndarray, np.ndarray]:
    from jaxcnn.data import builders

    with builders.quiet_tfds():
        builder = builders.builder_for(source, data_dir)
        builders.prepare(builder, data_dir / "downloads" / "manual" / source.name)
        try:
            return decode(builder, split, source.image_shape)
        except NotImplementedError as error:
            rule = "the set was prepared in a format that only TensorFlow reads"
            raise broken(rule, builder.data_dir, "pass another data_dir=") from error
        except MemoryError:
            raise
        except Exception as error:
            # The record reader, the protocol buffers and Pillow each raise kinds of their own.
            raise builders.damaged(Path(builder.data_dir), error) from error


def decode(builder: Any, split: str, image_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Decodes a prepared split whose images have one size.

    Args:
      builder: The TFDS builder.
      split: The split's name.
      image_shape: `(h, w, c)`.

    Returns:
      Images `(n, h, w, c)`, uint8, and labels `(n,)`, int32.
    """
    from tqdm.auto import tqdm

    records = builder.as_data_source(split)
    images = np.empty((len(records), *image_shape), np.uint8)
    labels = np.empty(len(records), np.int32)
    quiet = not sys.stderr.isatty()
    with tqdm(total=len(records), desc="Decoding", unit=" images", disable=quiet) as bar:
        for start in range(0, len(records), _DECODE_AT_ONCE):
            chunk = range(start, min(start + _DECODE_AT_ONCE, len(records)))
            for index, record in zip(chunk, records.__getitems__(chunk), strict=True):
                images[index] = record["image"]
                labels[index] = record["label"]
            bar.update(len(chunk))
    return images, labels


def _remove_leftovers(source: Source | FileSource, data_dir: Path) -> None:
    """Removes what killed runs left behind; nobody reads it, but it fills the disk."""
    patterns = (
        f"{source.name}/incomplete.*",
        f"{source.name}/{source.version}/jaxcnn-*.part",
        f"downloads/{source.name}/*.tmp.*",
    )
    for pattern in patterns:
        for path in data_dir.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Lets one process at a time prepare a set; the kernel frees it when that one dies.

    Args:
      path: The lock file.

    Yields:
      Whether the lock is held: not every platform, file system or folder allows it.
    """
    with contextlib.ExitStack() as stack:
        locked = False
        if fcntl is not None:
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                fcntl.flock(stack.enter_context(path.open("w")), fcntl.LOCK_EX)
                locked = True
        yield locked
