"""Reading ahead, in a thread and in processes: order, errors, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import DataError, ImageDataset, load
from jaxcnn.data.image_files import FileDataset, ImageFiles
from jaxcnn.data.workers import batches

# Arrays of two shapes; some rows twice.
DISPATCHES = [np.array([[0, 3], [2, 1]]), np.array([[4, 4], [0, 2]]), np.array([[3]])]


@pytest.fixture
def pets(tmp_path: Path) -> FileDataset:
    """Five images in files."""
    draw = np.random.default_rng(0)
    paths = [tmp_path / f"{index}.png" for index in range(5)]
    for path in paths:
        Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(path)
    labels = np.arange(5, dtype=np.int32) % 2
    return FileDataset(ImageFiles(paths, size=8, resize=9), labels, ("a", "b"), "pets", "train")


def assert_is(batch: dict[str, np.ndarray], dataset, rows: np.ndarray) -> None:
    assert batch.keys() == {"image", "label"}
    np.testing.assert_array_equal(batch["image"], dataset.images[rows])
    np.testing.assert_array_equal(batch["label"], dataset.labels[rows])
    assert {type(x) for x in batch.values()} == {np.ndarray}
    assert (batch["image"].dtype, batch["label"].dtype) == (np.uint8, np.int32)


def assert_nothing_runs() -> None:
    assert multiprocessing.active_children() == []
    end = time.monotonic() + 10  # grain does not wait for its idle thread to end
    while names := [t.name for t in threading.enumerate() if t.name.startswith(("grain", "dec"))]:
        assert time.monotonic() < end, names
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [0, 2])
def test_yields_each_dispatch_in_order(pets, workers):
    found = batches(pets, DISPATCHES, workers=workers)
    for rows, batch in zip(DISPATCHES, found, strict=True):
        assert_is(batch, pets, rows)
    assert_nothing_runs()


@pytest.mark.parametrize("workers", [0, 1])
def test_closing_ends_what_reads_ahead(pets, workers):
    found = batches(pets, DISPATCHES * 5, workers=workers)
    assert_is(next(found), pets, DISPATCHES[0])
    found.close()
    assert_nothing_runs()


@pytest.mark.parametrize("ahead", [1, 4])
def test_images_in_memory(ahead):
    digits = load("digits", "test")
    for rows, batch in zip(DISPATCHES, batches(digits, DISPATCHES, ahead=ahead), strict=True):
        assert_is(batch, digits, rows)


def test_takes_a_sequence_that_computes_its_entries(pets):
    class Epochs:
        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, index: int) -> np.ndarray:
            return np.array([index % 5])

    found = batches(pets, Epochs())  # pyright: ignore[reportArgumentType]
    for index in range(7):
        assert_is(next(found), pets, np.array([index % 5]))
    found.close()
    assert_nothing_runs()


@pytest.mark.parametrize("workers", [0, 1])
def test_error_arrives_where_its_batch_is_due(pets, workers):
    broken = str(pets.images.file(4))
    Path(broken).write_bytes(b"")
    found = batches(pets, DISPATCHES, workers=workers)
    assert_is(next(found), pets, DISPATCHES[0])
    with pytest.raises(DataError, match=rf"file is empty\), got file='{re.escape(broken)}'"):
        next(found)
    assert_nothing_runs()


def memory(pets: FileDataset) -> ImageDataset:
    return ImageDataset(pets.images[:], pets.labels, pets.class_names, "pets", "train")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"workers": -1}, ValueError, "batches: workers must be at least 0, got workers=-1."),
        ({"workers": 1.0}, TypeError, "batches: workers must be an int, got workers=1.0."),
        ({"ahead": 0}, ValueError, "batches: ahead must be at least 1, got ahead=0."),
    ],
)
def test_rejects(pets, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        batches(pets, DISPATCHES, **options)


def test_workers_are_for_files(pets):
    message = r"workers read images from files, got workers=2, dataset=ImageDataset\(.*\); leave th"
    with pytest.raises(ValueError, match=message):
        batches(memory(pets), DISPATCHES, workers=2)
