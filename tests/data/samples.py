"""Small twins of the data sets, in the original formats."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np

from jaxcnn.data import sources

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"train": 25, "test": 10}


def idx(array: np.ndarray) -> bytes:
    """Returns an array of bytes as an idx file."""
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def cifar(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """Returns images and label columns as a CIFAR binary file."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([*(column[:, None] for column in labels), planes], axis=1).tobytes()


def stl10(images: np.ndarray, labels: np.ndarray) -> tuple[bytes, bytes]:
    """Returns images and labels as STL-10 binary files: planes by columns, labels from 1."""
    return images.transpose(0, 3, 2, 1).tobytes(), (labels + 1).astype(np.uint8).tobytes()


def tar(files: dict[str, bytes], folder: str) -> bytes:
    """Returns files as a .tar.gz with everything in one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class Sample:
    """A small set of random images with the names and formats of a real one.

    Attributes:
      source: The row of the real set.
      images: Images by split.
      labels: Labels by split and feature.
      files: The original files, unpacked, by name.
      packed: The files as they are published, by name.
    """

    source: sources.Source
    images: dict[str, np.ndarray]
    labels: dict[str, dict[str, np.ndarray]]
    files: dict[str, bytes]
    packed: dict[str, bytes]


@functools.cache
def make_sample(name: str) -> Sample:
    """Returns the small twin of a data set."""
    source = sources.SOURCES[name]
    draw = np.random.default_rng(list(name.encode()))
    images: dict[str, np.ndarray] = {}
    labels: dict[str, dict[str, np.ndarray]] = {}
    files: dict[str, bytes] = {}
    for split, names in source.files.items():
        count = COUNTS[split]
        images[split] = draw.integers(0, 256, (count, *source.image_shape), dtype=np.uint8)
        labels[split] = {
            key: draw.integers(0, len(classes), count, dtype=np.uint8)
            for key, classes in source.labels.items()
        }
        if name == "stl10":
            files |= zip(names, stl10(images[split], labels[split]["label"]), strict=True)
        elif source.archive:
            for part, file in zip(np.split(np.arange(count), len(names)), names, strict=True):
                columns = [column[part] for column in labels[split].values()]
                files[file] = cifar(images[split][part], *columns)
        else:
            files[names[0]] = idx(images[split][..., 0])
            files[names[1]] = idx(labels[split]["label"])
    if source.archive:
        packed = {source.archive: tar(files, source.subfolder)}
    else:
        packed = {f"{file}.gz": gzip.compress(data) for file, data in files.items()}
    return Sample(source, images, labels, files, packed)
