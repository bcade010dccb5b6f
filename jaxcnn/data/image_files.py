"""Images that stay in their files until a batch needs them."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxcnn._checks import check, check_int, check_type
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.formats import DataError

# How whole files of the formats of large sets end; zero bytes may follow.
_END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TAIL = 64


class Readable(Protocol):
    """A file, or a part of one: what `pathlib.Path` offers. Its `str` names it in errors."""

    def read_bytes(self) -> bytes:
        """Returns all bytes."""
        ...


@dataclasses.dataclass(frozen=True)
class FileRange:
    """A file that lies, unpacked, inside a larger one, such as a tar archive.

    Attributes:
      path: The larger file.
      start: Where it begins, in bytes.
      size: Its length in bytes.
      name: What it is called there.
    """

    path: Path
    start: int
    size: int
    name: str

    def __str__(self) -> str:
        """Returns archive and name."""
        return f"{self.path}:{self.name}"

    def read_bytes(self) -> bytes:
        """Returns all bytes."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images in files, read and decoded whenever they are indexed, as one uint8 array.

    Stands where `torchvision.datasets.ImageFolder` reads with its default loader and applies
    `Compose([Resize(resize), CenterCrop(size)])`, torchvision's transform for evaluation: the
    numbers are the same. Grey, palette, CMYK, 16-bit and transparent images become RGB as by
    `PIL.Image.open(file).convert("RGB")`; transparency is dropped and, as there, a camera's
    orientation mark (EXIF) is not applied. Several images are decoded by threads, in order.

    Attributes:
      files: A path each, or anything with `read_bytes()`.
      size: Height and width of an image in pixels.
      resize: The shorter side in pixels before the centre is cropped; `size` by default.
      threads: How many images to decode at a time; by default one for each processor.
      rows: Which of the files, in which order, `(n,)`; by default all.

    Shape:
      `files[rows]` is `(*rows.shape, size, size, 3)` for integers of any shape; slices and masks
      work as for a NumPy array.

    Raises:
      TypeError: If a size is not an integer.
      ValueError: If a size is not positive, or `resize` is less than `size`.
      DataError: On indexing, if an image is broken.
      OSError: On indexing, if a file cannot be read.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / "red.png"
      >>> Image.new("RGB", (40, 30), "red").save(path)
      >>> images = ImageFiles([path, path], size=16)
      >>> images.shape, images[np.array([[1, 0, 1]])].shape, images[0][0, 0].tolist()
      ((2, 16, 16, 3), (1, 3, 16, 16, 3), [255, 0, 0])
    """

    files: Sequence[str | os.PathLike[str] | Readable]
    size: int
    resize: int | None = None
    threads: int | None = None
    rows: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks the sizes and fills in the defaults."""
        sequence = isinstance(self.files, Sequence) and not isinstance(self.files, str)
        check_type(
            sequence, "ImageFiles", "files must be a sequence of paths", files=type(self.files)
        )
        check_int("ImageFiles", "size", self.size, 1)
        resize = self.size if self.resize is None else self.resize
        check_int("ImageFiles", "resize", resize, 1)
        rule = "resize must be at least size, or the centre could not be cropped"
        check(resize >= self.size, "ImageFiles", rule, resize=resize, size=self.size)
        threads = processors() if self.threads is None else self.threads
        check_int("ImageFiles", "threads", threads, 1)
        rows = np.arange(len(self.files)) if self.rows is None else self.rows
        for name, value in (("resize", resize), ("threads", threads), ("rows", rows)):
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(n, size, size, 3)`."""
        return (len(self), self.size, self.size, 3)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """The bytes of all decoded images together."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._rows)

    def __repr__(self) -> str:
        """Returns a short description."""
        return f"ImageFiles({len(self)} files, size={self.size}, resize={self.resize})"

    def __getitem__(self, key: Any) -> np.ndarray:
        """Returns the decoded images that `key` selects."""
        chosen = np.asarray(self._rows[key])
        images = np.empty((*chosen.shape, *self.shape[1:]), np.uint8)
        flat = images.reshape(-1, *self.shape[1:])

        def decode(place: int, row: int) -> None:
            flat[place] = self._decode(row)

        places, rows = range(chosen.size), chosen.ravel().tolist()
        threads = min(chosen.size, self.threads or 1)
        if threads <= 1:
            for place, row in zip(places, rows, strict=True):
                decode(place, row)
        else:
            with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
                # The results are nothing; asking for them raises the first error.
                for _ in pool.map(decode, places, rows):
                    pass
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all images, decoded: `np.asarray(images)`."""
        check(copy is not False, "ImageFiles", "an array of files is always a copy", copy=copy)
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)

    def take(self, key: Any) -> ImageFiles:
        """Returns the images that `key` selects along the first axis, without reading them.

        Args:
          key: A slice, mask or array of numbers.

        Returns:
          The chosen images, still in their files.
        """
        return dataclasses.replace(self, rows=self._rows[key])

    def file(self, row: int) -> Readable:
        """Returns the file of one image.

        Args:
          row: The number of the image.

        Returns:
          The file; its `str` is its path.
        """
        return _readable(self.files[int(self._rows[row])])

    @property
    def _rows(self) -> np.ndarray:
        assert self.rows is not None  # __post_init__ filled it in
        return self.rows

    def _decode(self, row: int) -> np.ndarray:
        file = _readable(self.files[row])
        data = file.read_bytes()
        try:
            return decode_image(data, self.size, self.resize or self.size)
        except MemoryError:
            raise
        except Exception as error:
            # Each of Pillow's decoders raises kinds of its own.
            raise broken_image(file, error, empty=not data) from error


def decode_image(data: bytes, size: int, resize: int) -> np.ndarray:
    """Decodes one image, resizes it and crops its centre.

    Args:
      data: The bytes of an image file, of any format that Pillow reads.
      size: Height and width of the result.
      resize: Its shorter side before cropping.

    Returns:
      The image, `(size, size, 3)`, uint8.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        # Pillow warns that it drops it, and nothing else depends on it.
        image.info.pop("transparency", None)
        picture = image.convert("RGB")
    short = min(picture.size)
    width, height = (int(resize * side / short) for side in picture.size)
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in picture.size)
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def check_image(file: str | os.PathLike[str] | Readable) -> None:
    """Raises if an image file is empty, cut off or not an image, mostly without decoding it.

    A JPEG or PNG file with a sound header that ends as it should is taken to be whole; every other
    file is decoded. (Pillow's own `verify` passes a truncated JPEG.)

    Args:
      file: The file.

    Raises:
      DataError: If the image is broken.
      OSError: If the file cannot be read.
    """
    file = _readable(file)
    stream = file.open("rb") if isinstance(file, Path) else io.BytesIO(file.read_bytes())
    with stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        try:
            _check_stream(stream, length)
        except MemoryError:
            raise
        except Exception as error:
            raise broken_image(file, error, empty=length == 0) from error


def _check_stream(stream: BinaryIO, length: int) -> None:
    with Image.open(stream) as image:
        end_mark = _END_MARKS.get(image.format or "")
        if end_mark:
            stream.seek(max(0, length - _TAIL))
            if stream.read().rstrip(b"\0").endswith(end_mark):
                return
        image.load()


def broken_image(file: Readable, error: Exception, *, empty: bool = False) -> DataError:
    """Returns the error for an image that cannot be decoded.

    Args:
      file: Its file.
      error: What the decoder said.
      empty: Whether the file has no bytes at all.

    Returns:
      The error, to be raised.
    """
    reason = str(error)
    if isinstance(error, UnidentifiedImageError):  # its message is the address of a buffer
        reason = "no image format that Pillow knows"
    reason = "the file is empty" if empty else reason
    return DataError(
        f"ImageFiles: the image is broken ({reason}), got file={str(file)!r}; "
        "replace or delete it, or load the folder with on_corrupt='skip'."
    )


def processors() -> int:
    """Returns how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def _readable(file: Any) -> Readable:
    return file if hasattr(file, "read_bytes") else Path(file)


@dataclasses.dataclass(frozen=True, eq=False)
class FileDataset:
    """Holds one split of an image classification set whose images stay in their files.

    Has what `ImageDataset` has, for sets that do not fit into memory.

    Attributes:
      images: The images; `images[rows]` decodes a batch.
      labels: int32 class numbers, indices into `class_names`.
      class_names: What each class is called, in the order of its number.
      name: The data set's name.
      split: `"train"`, `"validation"` or `"test"`.

    Shape:
      `images`: `(n, h, w, 3)`; `labels`: `(n,)`.

    Raises:
      TypeError: If `images` is not an ImageFiles or `labels` is not int32.
      ValueError: If the lengths differ, or a label has no class name.

    Example:
      >>> images = ImageFiles(["a.jpg", "b.jpg"], size=224, resize=256)
      >>> FileDataset(images, np.array([0, 1], np.int32), ("cat", "dog"), "pets", "train")
      FileDataset(name='pets', split='train', images=(2, 224, 224, 3), classes=2)
    """

    images: ImageFiles
    labels: np.ndarray
    class_names: tuple[str, ...]
    name: str
    split: str

    def __post_init__(self) -> None:
        """Checks the fields."""
        where, kind = "FileDataset", type(self.images).__name__
        is_files = isinstance(self.images, ImageFiles)
        check_type(is_files, where, "images must be an ImageFiles", images=kind)
        dtype = str(getattr(self.labels, "dtype", type(self.labels).__name__))
        rule = "labels must be a NumPy array of int32"
        check_type(dtype == "int32", where, rule, labels=dtype)
        rule = "there must be one label for each image"
        fits = self.labels.shape == (len(self.images),)
        check(fits, where, rule, labels=self.labels.shape, images=len(self.images))
        rule = f"labels must lie in range({len(self.class_names)}), the number of class_names"
        outside = self.labels[(self.labels < 0) | (self.labels >= len(self.class_names))]
        check(not outside.size, where, rule, label=int(outside[0]) if outside.size else None)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.images)

    def __repr__(self) -> str:
        """Returns a short description."""
        return (
            f"FileDataset(name={self.name!r}, split={self.split!r}, "
            f"images={self.images.shape}, classes={len(self.class_names)})"
        )

    def take(self, n: int) -> FileDataset:
        """Returns the first `n` images, in the same order, without reading them.

        Args:
          n: How many images to keep, from 1 to all.

        Returns:
          A data set of length `n`.

        Raises:
          ValueError: If there are fewer than `n` images, or `n` is less than 1.
        """
        check_int("FileDataset.take", "n", n, 1)
        rule = f"n must be at most the {len(self)} images that there are"
        check(n <= len(self), "FileDataset.take", rule, n=n)
        images = self.images.take(slice(n))
        return dataclasses.replace(self, images=images, labels=self.labels[:n])


Dataset = ImageDataset | FileDataset
