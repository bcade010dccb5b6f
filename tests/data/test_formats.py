"""Raw files: every place and packing they are found in, and every way they are broken."""

import gzip
import io
import lzma
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from jaxcnn.data import DataError, load

from .samples import COUNTS, cifar, idx, make_sample, tar

NAMES = ["mnist", "fashion_mnist", "cifar10", "cifar100", "stl10"]
PACK = {"": lambda data: data, ".gz": gzip.compress, ".xz": lzma.compress}
IMAGE = np.zeros((2, 28, 28), np.uint8)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def assert_is_sample(dataset, sample, split):
    np.testing.assert_array_equal(dataset.images, sample.images[split])
    np.testing.assert_array_equal(dataset.labels, sample.labels[split]["label"])
    assert dataset.images.flags.c_contiguous
    assert dataset.images.flags.writeable
    assert (dataset.name, dataset.split) == (sample.source.name, split)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("place", ["folder", "subfolder"])
@pytest.mark.parametrize("suffix", PACK, ids=["plain", "gz", "xz"])
@pytest.mark.parametrize("name", NAMES)
def test_reads_loose_files(tmp_path, name, suffix, place, split):
    sample = make_sample(name)
    folder = tmp_path if place == "folder" else tmp_path / sample.source.subfolder
    write(folder, {file + suffix: PACK[suffix](data) for file, data in sample.files.items()})
    assert_is_sample(load(name, split, raw_dir=tmp_path), sample, split)
    assert sum(1 for path in tmp_path.rglob("*") if path.is_file()) == len(sample.files)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_reads_the_published_archive(tmp_path, name, split):
    sample = make_sample(name)
    write(tmp_path, sample.packed)
    assert_is_sample(load(name, split, raw_dir=str(tmp_path)), sample, split)
    assert [path.name for path in tmp_path.iterdir()] == [sample.source.archive]


def test_needs_only_the_files_of_the_split(tmp_path):
    sample = make_sample("cifar10")
    write(tmp_path, {"test_batch.bin": sample.files["test_batch.bin"]})
    assert len(load("cifar10", "test", raw_dir=tmp_path)) == COUNTS["test"]


def test_takes_idx_images_of_any_size(tmp_path):
    files = {
        "t10k-images-idx3-ubyte": idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4)),
        "t10k-labels-idx1-ubyte": idx(np.array([9, 0], np.uint8)),
    }
    images = load("mnist", "test", raw_dir=write(tmp_path, files)).images
    np.testing.assert_array_equal(images.ravel(), np.arange(24))
    assert images.shape == (2, 3, 4, 1)


@pytest.mark.parametrize(
    ("name", "split", "present", "message"),
    [
        pytest.param(
            "mnist", "train", [], "'train-images-idx3-ubyte' is missing, got raw_dir=", id="none"
        ),
        pytest.param(
            "mnist",
            "train",
            ["train-images-idx3-ubyte"],
            "'train-labels-idx1-ubyte' is missing, got raw_dir=",
            id="labels",
        ),
        pytest.param(
            "cifar10",
            "train",
            ["data_batch_1.bin", "data_batch_2.bin", "data_batch_4.bin", "data_batch_5.bin"],
            "'data_batch_3.bin' is missing, got raw_dir=",
            id="one-batch",
        ),
        pytest.param(
            "cifar100",
            "test",
            ["train.bin"],
            "or the folder must hold 'cifar-100-binary.tar.gz'",
            id="split",
        ),
    ],
)
def test_missing_file(tmp_path, name, split, present, message):
    sample = make_sample(name)
    write(tmp_path, {file: sample.files[file] for file in present})
    with pytest.raises(FileNotFoundError, match=re.escape(message)) as caught:
        load(name, split, raw_dir=tmp_path)
    assert repr(str(tmp_path)) in str(caught.value)


def test_missing_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"'test_batch\.bin' is missing, got raw_dir='.*nope"
    ):
        load("cifar10", "test", raw_dir=tmp_path / "nope")


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 255]) + data[position + 1 :]


BROKEN_IMAGES = {
    "truncated-gzip": (gzip.compress(idx(IMAGE))[:-12], "truncated or damaged"),
    "truncated-gzip-header": (gzip.compress(idx(IMAGE))[:7], "truncated or damaged"),
    "flipped-gzip-checksum": (flip(gzip.compress(idx(IMAGE)), -6), "truncated or damaged"),
    "flipped-gzip-body": (flip(gzip.compress(idx(IMAGE)), 14), "truncated or damaged"),
    "truncated-xz": (lzma.compress(idx(IMAGE))[:-12], "truncated or damaged"),
    "flipped-xz": (flip(lzma.compress(idx(IMAGE)), 30), "truncated or damaged"),
    "empty": (b"", "cannot be only 0 bytes long"),
    "short-header": (idx(IMAGE)[:15], "cannot be only 15 bytes long"),
    "labels-for-images": (idx(np.zeros(20, np.uint8)), "wrong magic number 0x00000801"),
    "web-page": (b"<!DOCTYPE html><html></html>", "wrong magic number 0x3c21444f"),
    "floats": (struct.pack(">4I", 0x0D03, 2, 28, 28), "wrong magic number 0x00000d03"),
    "too-few-bytes": (idx(IMAGE)[:-1], "announces 1568 bytes (shape (2, 28, 28)) but 1567 follow"),
    "too-many-bytes": (idx(IMAGE) + b"\0", "announces 1568 bytes"),
    "giant-header": (struct.pack(">4I", 0x0803, *[2**32 - 1] * 3), "but 0 follow"),
    "wrapping-header": (struct.pack(">4I", 0x0803, 2**31, 2**31, 4), "but 0 follow"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN_IMAGES.values(), ids=BROKEN_IMAGES)
def test_broken_idx_images(tmp_path, data, message):
    files = {
        "t10k-images-idx3-ubyte": data,
        "t10k-labels-idx1-ubyte": idx(np.zeros(2, np.uint8)),
    }
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load("mnist", "test", raw_dir=write(tmp_path, files))
    assert f"got file={str(tmp_path / 't10k-images-idx3-ubyte')!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param(
            idx(np.zeros(3, np.uint8)), "there are 3 labels for the 2 images", id="too-many"
        ),
        pytest.param(
            idx(np.array([3, 10], np.uint8)), "label 10 of image 1 is out of range(10)", id="range"
        ),
        pytest.param(idx(IMAGE), "wrong magic number 0x00000803", id="images-for-labels"),
    ],
)
def test_broken_idx_labels(tmp_path, labels, message):
    files = {"t10k-images-idx3-ubyte": idx(IMAGE), "t10k-labels-idx1-ubyte": labels}
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load("mnist", "test", raw_dir=write(tmp_path, files))
    assert "t10k-labels-idx1-ubyte" in str(caught.value)


RECORD = cifar(np.zeros((2, 32, 32, 3), np.uint8), np.array([3, 4], np.uint8))
BROKEN_BATCHES = {
    "empty": (b"", "0 bytes are not a whole number of 3073-byte records"),
    "cut": (RECORD[:-1], "6145 bytes are not a whole number"),
    "long": (RECORD + b"\0", "6147 bytes are not a whole number"),
    "label": (flip(RECORD, 3073), "label 251 of image 1 is out of range(10)"),
    "truncated-xz": (lzma.compress(RECORD)[:-9], "truncated or damaged"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN_BATCHES.values(), ids=BROKEN_BATCHES)
def test_broken_cifar_batch(tmp_path, data, message):
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load("cifar10", "test", raw_dir=write(tmp_path, {"test_batch.bin": data}))
    assert f"got file={str(tmp_path / 'test_batch.bin')!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        pytest.param(0, "label 20 of image 0 is out of range(20)", id="coarse"),
        pytest.param(1, "label 100 of image 0 is out of range(100)", id="fine"),
    ],
)
def test_cifar100_label_out_of_range(tmp_path, column, message):
    labels = [np.array([19], np.uint8), np.array([99], np.uint8)]
    labels[column] += 1
    files = {"test.bin": cifar(np.zeros((1, 32, 32, 3), np.uint8), *labels)}
    with pytest.raises(DataError, match=re.escape(message)):
        load("cifar100", "test", raw_dir=write(tmp_path, files))


def broken_archive(kind: str) -> bytes:
    sample = make_sample("cifar10")
    whole = sample.packed["cifar-10-binary.tar.gz"]
    if kind == "truncated":
        return whole[: len(whole) // 3]
    if kind == "flipped":
        return flip(whole, len(whole) // 3)
    if kind == "cut-tar":
        return gzip.compress(gzip.decompress(whole)[:60_000])
    if kind == "flipped-end":
        return flip(whole, -5)
    if kind == "not-a-gzip":
        return b"hello " * 1000
    if kind == "not-a-tar":
        return gzip.compress(b"hello " * 1000)
    if kind == "empty":
        return b""
    if kind == "other-files":
        return tar({"data_batch_1.bin": RECORD}, "cifar-10-batches-bin")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        folder = tarfile.TarInfo("test_batch.bin")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "truncated or damaged"),
        ("flipped", "truncated or damaged"),
        ("flipped-end", "truncated or damaged"),
        ("not-a-gzip", "truncated or damaged"),
        ("cut-tar", "truncated or damaged"),
        ("not-a-tar", "truncated or damaged"),
        ("empty", "truncated or damaged"),
        ("other-files", "the archive lacks test_batch.bin"),
        ("folder-of-that-name", "the archive lacks test_batch.bin"),
    ],
)
def test_broken_archive(tmp_path, kind, message):
    write(tmp_path, {"cifar-10-binary.tar.gz": broken_archive(kind)})
    with pytest.raises(DataError, match=message) as caught:
        load("cifar10", "test", raw_dir=tmp_path)
    assert str(tmp_path / "cifar-10-binary.tar.gz") in str(caught.value)


PIXELS = bytes(2 * 96 * 96 * 3)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (PIXELS[:-1], b"\1\2", "55295 bytes are not the 27648 bytes of each of the 2 images that"),
        (PIXELS, b"\1", "55296 bytes are not the 27648 bytes of each of the 1 images that"),
        (b"", b"", "0 bytes are not the 27648 bytes of each of the 0 images that"),
        (PIXELS, b"\0\1", "labels must start at 1, but there is a 0, got file='"),
        (PIXELS, b"\1\x0b", "label 10 of image 1 is out of range(10), got file='"),
    ],
    ids=["cut", "labels", "empty", "zero", "range"],
)
def test_broken_stl10(tmp_path, images, labels, message):
    write(tmp_path, {"train_X.bin": images, "train_y.bin": labels})
    with pytest.raises(DataError, match=re.escape(message)):
        load("stl10", "train", raw_dir=tmp_path)


def test_stl10_planes_go_by_columns(tmp_path):
    """The first 96 bytes are the red values of the leftmost column, from the top."""
    images = bytes(range(96)) + bytes(3 * 96 * 96 - 96)
    write(tmp_path, {"test_X.bin": images, "test_y.bin": b"\x0a"})
    found = load("stl10", "test", raw_dir=tmp_path)
    assert found.images[0, :, 0, 0].tolist() == list(range(96))
    assert not found.images[0, :, 1:].any()
    assert found.class_names[found.labels[0]] == "truck"
