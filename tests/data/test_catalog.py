"""Names, splits, the embedded digits, and the real files of ../shared/data."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxcnn.data import catalog, list_datasets, load
from jaxcnn.data.sources import SOURCES

from .samples import ROOT

NAMES = ["cats_vs_dogs", "cifar10", "cifar100", "digits", "fashion_mnist", "imagenet2012"]
NAMES += ["mnist", "stl10"]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")


def test_list_datasets():
    assert list_datasets() == NAMES


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("fashion-mnist", "did you mean 'fashion_mnist'?"),
        ("FashionMNIST", "did you mean 'fashion_mnist'?"),
        ("CIFAR-10", "did you mean 'cifar10'?"),
        ("digit", "did you mean 'digits'?"),
        ("ImageNet-2012", "did you mean 'imagenet2012'?"),
        ("svhn_cropped", f"known are {', '.join(NAMES)}, and what TFDS has prepared in "),
        ("", "known are cats_vs_dogs"),
    ],
)
def test_unknown_name(name, fix):
    message = re.escape(f"load: unknown data set, got name={name!r}; {fix}")
    with pytest.raises(ValueError, match=message):
        load(name, "train")


@pytest.mark.parametrize("name", ["digits", "mnist"])
@pytest.mark.parametrize("split", ["validation", "Train", "train[:10]", ""])
def test_unknown_split(name, split):
    message = re.escape(f"load: split must be 'train' or 'test', got split={split!r}.")
    with pytest.raises(ValueError, match=message):
        load(name, split)


@pytest.mark.parametrize(
    ("name", "expected"), [("cats_vs_dogs", "'train'"), ("imagenet2012", "'train' or 'validation'")]
)
def test_unknown_split_of_files(name, expected, tmp_path):
    message = re.escape(f"load: split must be {expected}, got split='test'.")
    with pytest.raises(ValueError, match=message):
        load(name, "test", size=8, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["digits", "mnist"])
@pytest.mark.parametrize("field", ["size", "resize"])
def test_sizes_are_for_sets_whose_images_differ(name, field):
    message = (
        rf"{field} is for sets whose images differ in size, got name='{name}', {field}=8; call"
    )
    with pytest.raises(ValueError, match=message):
        load(name, "train", **{field: 8})


@pytest.mark.parametrize("name", ["cats_vs_dogs", "imagenet2012"])
def test_sets_whose_images_differ_need_a_size(name, tmp_path):
    message = rf"load: the images differ in size, got name='{name}', size=None; pass size= for"
    with pytest.raises(ValueError, match=message):
        load(name, "train", data_dir=tmp_path)


def test_digits_have_no_raw_files(tmp_path):
    with pytest.raises(ValueError, match="'digits' comes with scikit-learn and has no files, got"):
        load("digits", "train", raw_dir=tmp_path)


def test_digits_are_split_within_each_class_and_nothing_is_lost():
    from sklearn.datasets import load_digits

    train, test = load("digits", "train"), load("digits", "test")
    counts = np.bincount(train.labels), np.bincount(test.labels)
    total = counts[0] + counts[1]
    np.testing.assert_array_equal(counts[1], np.rint(total / 5))
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.shape == (1438, 8, 8, 1)
    assert (train.images.min(), train.images.max()) == (0, 255)

    values, labels = load_digits(return_X_y=True)

    def rows(images, numbers):
        levels = np.rint(images.reshape(len(images), 64) / 255 * 16)
        return sorted(map(tuple, np.column_stack([levels, numbers]).astype(int).tolist()))

    ours = rows(train.images, train.labels) + rows(test.images, test.labels)
    assert sorted(ours) == rows(values / 16 * 255, labels)


def test_digits_never_change():
    digest = hashlib.sha256()
    for split in ("train", "test"):
        digits = load("digits", split)
        digest.update(digits.images.tobytes() + digits.labels.tobytes())
    assert digest.hexdigest() == (
        "b2dc6bc80dc3dabceea408739f5b50e0ea9509bb043e8f4b7a3f89bea5dddba2"
    )


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("mnist", [10]),
        ("fashion_mnist", [10]),
        ("cifar10", [10]),
        ("cifar100", [20, 100]),
        ("stl10", [10]),
    ],
)
def test_every_class_has_a_name(name, counts):
    assert [len(set(names)) for names in SOURCES[name].labels.values()] == counts


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/home/me"}, "/caches/jaxcnn"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/jaxcnn"),
    ],
    ids=["xdg", "home"],
)
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")
def test_default_folder(monkeypatch, variables, expected):
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert catalog._data_root(None) == Path(expected)
    assert catalog._data_root("~/sets") == Path("/home/me/sets")


def test_import_is_cheap():
    code = "import sys, jaxcnn.data; print('tensorflow_datasets' in sys.modules, end='')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert run.stdout == b"False"


@needs_shared
@pytest.mark.shared_data
@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_real_fashion_mnist(split, count):
    real = load("fashion_mnist", split, raw_dir=SHARED / "fashion_mnist")
    assert real.images.shape == (count, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(real.labels), [count // 10] * 10)
    if split == "train":  # the first one is known: https://github.com/zalandoresearch/fashion-mnist
        assert real.class_names[real.labels[0]] == "Ankle boot"
        assert abs(real.images.mean() / 255 - 0.2860) < 5e-5  # the mean that everybody uses


@needs_shared
@pytest.mark.shared_data
def test_real_cifar10():
    real = load("cifar10", "test", raw_dir=SHARED / "cifar10")
    assert real.images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(real.labels), [1000] * 10)
    planes = real.images.transpose(0, 3, 1, 2).reshape(10_000, -1)
    records = np.column_stack([real.labels.astype(np.uint8), planes])
    assert hashlib.sha256(records.tobytes()).hexdigest() == (
        "c78cfcb5349f476f27a989271ab3b99f7d9d7ca9c905595fb0b67589d3ca9ce8"
    )
    # Frogs are greener than ships, ships bluer than frogs: the planes are R, G, B.
    frog, ship = (
        real.images[real.labels == real.class_names.index(name)].mean((0, 1, 2))
        for name in ("frog", "ship")
    )
    assert frog[1] - frog[2] > 0 > ship[1] - ship[2]


@needs_shared
@pytest.mark.shared_data
@pytest.mark.parametrize("file", sorted(d.filename for d in SOURCES["fashion_mnist"].downloads))
def test_real_files_have_the_checksums_of_the_table(file):
    row = next(d for d in SOURCES["fashion_mnist"].downloads if d.filename == file)
    data = (SHARED / "fashion_mnist" / file).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (row.size, row.sha256)
