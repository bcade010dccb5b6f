"""Folders of images, one subfolder for each class."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from jaxcnn._checks import check, check_int
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.formats import DataError
from jaxcnn.data.holdout import draw_rows
from jaxcnn.data.image_files import Dataset, FileDataset, ImageFiles, check_image

# The endings and, below, the order of files are those of torchvision.datasets.ImageFolder.
_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_FOLDERS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}
_AT_ONCE = 1000  # images that wait for a thread: a million would take a gigabyte to queue
MEMORY_LIMIT = 2**30


def load_folder(
    path: str | os.PathLike[str],
    split: str,
    *,
    size: int,
    resize: int | None = None,
    validation: float = 0.0,
    seed: int = 0,
    on_corrupt: str = "raise",
    memory_limit: int = MEMORY_LIMIT,
) -> Dataset:
    """Loads one split of a folder of images, one subfolder for each class.

    Mirrors `torchvision.datasets.ImageFolder`: the same classes (sorted by name), labels and order
    of images. The folder holds either `train`, `val` (or `validation`) and `test`, with the
    classes in them, or the classes themselves, of which a share becomes the validation split.

    Args:
      path: The folder.
      split: `"train"`, `"validation"` (or `"val"`) or `"test"`.
      size: Height and width of the images in pixels, see `ImageFiles`.
      resize: The shorter side in pixels before the centre is cropped; `size` by default, 256 for
        torchvision's ImageNet recipe with size 224.
      validation: Share of each class's images in the validation split, where the folder has
        none; 0 to 1.
      seed: Seed of the draw of these images.
      on_corrupt: What to do about images that are broken or empty: `"raise"`, or `"skip"` to
        leave them out with one warning that names them.
      memory_limit: Sets of at most so many bytes, decoded, are decoded now and kept in memory.
        Larger ones stay in their files, each of which is checked now for being whole.

    Returns:
      An `ImageDataset`, or a `FileDataset` for a larger set; both have images, labels, class_names.

    Raises:
      TypeError: If a size is not an integer.
      ValueError: If an argument is out of range, there are less than two classes, a class has no
        image in the split, or the splits' classes differ.
      FileNotFoundError: If the folder or the split is missing.
      DataError: If an image is broken and `on_corrupt` is `"raise"`.

    Example:
      >>> import tempfile
      >>> from PIL import Image
      >>> folder = Path(tempfile.mkdtemp())
      >>> for name in ("cat", "dog"):
      ...     (folder / "train" / name).mkdir(parents=True)
      ...     Image.new("RGB", (40, 30)).save(folder / "train" / name / "1.png")
      >>> pets = load_folder(folder, "train", size=32)
      >>> pets.images.shape, pets.class_names
      ((2, 32, 32, 3), ('cat', 'dog'))
    """
    splits = sorted({*_FOLDERS, "val"})
    check(split in splits, "load_folder", f"split must be one of {', '.join(splits)}", split=split)
    split = "validation" if split == "val" else split
    rule = "validation must be a share from 0 to less than 1"
    check(0 <= validation < 1, "load_folder", rule, validation=validation)
    check_int("load_folder", "seed", seed, 0)
    rule = "on_corrupt must be 'raise' or 'skip'"
    check(on_corrupt in ("raise", "skip"), "load_folder", rule, on_corrupt=on_corrupt)
    check_int("load_folder", "memory_limit", memory_limit, 0)

    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"load_folder: there is no such folder, got path={str(root)!r}.")
    folder, draw = _split_folder(root, split, validation)
    class_names, paths, labels = list_images(folder)
    rows = np.arange(len(paths))
    if draw:
        held_out = draw_rows("load_folder", labels, class_names, validation, seed)
        rows = np.flatnonzero(held_out if split == "validation" else ~held_out)
    files = ImageFiles(paths, size=size, resize=resize, rows=rows)
    return load_files(
        files,
        labels[rows],
        class_names,
        root.resolve().name,
        split,
        memory_limit=memory_limit,
        on_corrupt=on_corrupt,
    )


def load_files(
    files: ImageFiles,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    name: str,
    split: str,
    *,
    memory_limit: int,
    on_corrupt: str = "raise",
    trusted: bool = False,
) -> Dataset:
    """Decodes a set that fits into memory; of a larger one checks the files.

    Args:
      files: The images.
      labels: Their classes, int32.
      class_names: What each class is called.
      name: The data set's name.
      split: The split's name.
      memory_limit: The most bytes to keep in memory.
      on_corrupt: `"raise"` or `"skip"`, see `load_folder`.
      trusted: Whether the files of a larger set are known to be whole.

    Returns:
      The data set.

    Raises:
      DataError: If an image is broken, or all of a class's images are.
    """
    if files.nbytes > memory_limit and trusted:
        return FileDataset(files, labels, class_names, name, split)
    if files.nbytes > memory_limit:
        whole = _each(lambda row: check_image(files.file(row)), files, "Checking", on_corrupt)
        _check_all_classes(labels[whole], class_names)
        return FileDataset(files.take(whole), labels[whole], class_names, name, split)

    images = np.empty(files.shape, np.uint8)

    def decode(row: int) -> None:
        images[row] = files[row]

    whole = _each(decode, files, "Decoding", on_corrupt)
    if not whole.all():
        images, labels = images[whole], labels[whole]
    _check_all_classes(labels, class_names)
    return ImageDataset(images, labels, class_names, name, split)


def list_images(folder: Path) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """Lists the images of a folder of classes as `torchvision.datasets.ImageFolder` does.

    Args:
      folder: It holds one subfolder for each class; images may lie in folders below.

    Returns:
      The classes' names, the images' paths, and their int32 labels.

    Raises:
      ValueError: If there are less than two classes, or one without images.
    """
    class_names = tuple(_subfolders(folder))
    rule = "there must be at least two classes, each a subfolder with its images"
    check(len(class_names) > 1, "load_folder", rule, path=str(folder), classes=class_names)
    paths: list[str] = []
    counts = []
    for name in class_names:
        before = len(paths)
        # Sorted as a whole, which is not the order in which os.walk descends.
        for parent, _, names in sorted(os.walk(folder / name, followlinks=True)):
            paths += [os.path.join(parent, n) for n in sorted(names) if _is_image(n)]
        counts.append(len(paths) - before)
        rule = f"every class must have images ({', '.join(_ENDINGS)})"
        check(counts[-1] > 0, "load_folder", rule, path=str(folder), empty=name)
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return class_names, paths, labels


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())


def _is_image(name: str) -> bool:
    return name.lower().endswith(_ENDINGS)


def _split_folder(root: Path, split: str, validation: float) -> tuple[Path, bool]:
    """Returns the folder of a split's classes, and whether its images are to be drawn."""
    folders = _split_folders(root)
    if validation > 0:
        rule = "validation must be 0 where the folder has a validation split"
        check("validation" not in folders, "load_folder", rule, validation=validation)
    if validation > 0 and split != "test" and "train" in folders:
        return folders["train"], True
    if split not in folders:
        options = " or ".join(map(repr, _FOLDERS[split]))
        draw = ", or pass validation= for a share of the images" if split == "validation" else ""
        raise FileNotFoundError(
            f"load_folder: the split is missing, got split={split!r}, path={str(root)!r}; "
            f"put its classes into a subfolder {options}{draw}."
        )
    if "train" in folders:
        differing = sorted({*_subfolders(folders["train"])} ^ {*_subfolders(folders[split])})
        rule = "the splits must have the same classes, or labels would differ"
        check(not differing, "load_folder", rule, split=split, differing=differing)
    return folders[split], False


def _split_folders(root: Path) -> dict[str, Path]:
    """Returns the folder of each split; where the classes themselves lie in it, it is train's."""
    names = _subfolders(root)
    found = {split: root / n for split, options in _FOLDERS.items() for n in options if n in names}
    # A class may have a split's name too, but only folders of splits hold folders.
    if found and (len(found) == len(names) or any(map(_subfolders, found.values()))):
        return found
    return {"train": root}


def _each(do: Callable[[int], None], files: ImageFiles, title: str, on_corrupt: str) -> np.ndarray:
    """Calls `do` for every image, in threads; returns the mask of those that are whole."""
    from tqdm.auto import tqdm

    def attempt(row: int) -> DataError | None:
        try:
            do(row)
        except DataError as error:
            return error
        return None

    whole = np.ones(len(files), bool)
    quiet = not sys.stderr.isatty()
    with (
        ThreadPoolExecutor(files.threads, thread_name_prefix="decode") as pool,
        tqdm(total=len(files), desc=title, unit=" images", disable=quiet) as bar,
    ):
        for start in range(0, len(files), _AT_ONCE):
            rows = range(start, min(start + _AT_ONCE, len(files)))
            for row, error in zip(rows, pool.map(attempt, rows), strict=True):
                if error is not None and on_corrupt == "raise":
                    pool.shutdown(cancel_futures=True)
                    raise error
                whole[row] = error is None
                bar.update()
    if not whole.all():
        _warn([str(files.file(int(row))) for row in np.flatnonzero(~whole)], len(files))
    return whole


def _warn(broken: Sequence[str], total: int) -> None:
    message = f"load_folder: left out {len(broken)} of {total} images that are broken:"
    warnings.warn("\n".join([message, *broken]), UserWarning, stacklevel=5)


def _check_all_classes(labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    missing = set(range(len(class_names))) - set(labels.tolist())
    if missing:
        names = [class_names[label] for label in sorted(missing)]
        raise DataError(f"load_folder: every image of a class is broken, got classes={names!r}.")
