"""load_folder: where splits are found, what lies in them, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import DataError, ImageDataset, load
from jaxcnn.data.folder import load_folder
from jaxcnn.data.image_files import FileDataset, ImageFiles

from .samples import ROOT

SHARED = ROOT.parent / "shared" / "data" / "cifar10"
IN_FILES = {"memory_limit": 0}


def write(folder: Path, classes: dict[str, int], shade: int = 0) -> Path:
    """Writes images of single, differing shades; the shade tells which image it is."""
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.new("RGB", (12, 9), (shade, len(name), index)).save(
                folder / name / f"{index}.png"
            )
            shade += 1
    return folder


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """A folder with three splits."""
    write(tmp_path / "train", {"cat": 3, "dog": 4})
    write(tmp_path / "val", {"cat": 2, "dog": 1}, 100)
    write(tmp_path / "test", {"cat": 1, "dog": 2}, 200)
    return tmp_path


def shades(dataset) -> list[int]:
    return np.asarray(dataset.images)[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("limit", [{}, IN_FILES], ids=["memory", "files"])
@pytest.mark.parametrize(
    ("split", "name", "expected", "labels"),
    [
        ("train", "train", range(7), [0, 0, 0, 1, 1, 1, 1]),
        ("val", "validation", range(100, 103), [0, 0, 1]),
        ("validation", "validation", range(100, 103), [0, 0, 1]),
        ("test", "test", range(200, 203), [0, 1, 1]),
    ],
)
def test_finds_the_splits(splits, split, name, expected, labels, limit):
    found = load_folder(str(splits), split, size=8, **limit)
    assert isinstance(found, FileDataset if limit else ImageDataset)
    assert (found.name, found.split, found.class_names) == (splits.name, name, ("cat", "dog"))
    assert (shades(found), found.labels.tolist()) == (list(expected), labels)
    assert found.images.shape == (len(found), 8, 8, 3)
    assert found.labels.dtype == np.int32


def test_the_limit_is_that_of_the_decoded_images(splits):
    size = 7 * 8 * 8 * 3
    assert isinstance(load_folder(splits, "train", size=8, memory_limit=size), ImageDataset)
    assert isinstance(load_folder(splits, "train", size=8, memory_limit=size - 1), FileDataset)


def test_both_kinds_hold_the_same_numbers(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            pixels = draw.integers(0, 256, (20 + i, 31, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.jpg")
    memory = load_folder(tmp_path, "train", size=16, resize=18)
    files = load_folder(tmp_path, "train", size=16, resize=18, **IN_FILES)
    np.testing.assert_array_equal(memory.images, files.images[:])
    np.testing.assert_array_equal(memory.labels, files.labels)
    paths = sorted(tmp_path.glob("*/*.jpg"))
    expected = ImageFiles(paths, size=16, resize=18)[:]
    np.testing.assert_array_equal(memory.images, expected)


@pytest.mark.torchvision
def test_has_the_classes_labels_and_order_of_image_folder(torchvision, tmp_path):
    write(tmp_path, {"b": 11, "B": 2, "a b": 1, "ä": 1})
    write(tmp_path / "b" / "deeper", {"x": 2, "0": 1})
    write(tmp_path / "b" / "deeper-not", {"x": 1})
    (tmp_path / "b" / "notes.txt").write_text("not an image")
    (tmp_path / "readme.md").write_text("not a class")
    (tmp_path / "b" / "0.png").rename(tmp_path / "b" / "Z.PNG")
    (tmp_path / "linked").symlink_to(tmp_path / "B")
    (tmp_path / "a b" / "linked").symlink_to(tmp_path / "b" / "deeper")
    theirs = torchvision.datasets.ImageFolder(tmp_path)
    ours = load_folder(tmp_path, "train", size=4, **IN_FILES)
    assert isinstance(ours, FileDataset)
    assert list(ours.class_names) == theirs.classes
    files = [str(ours.images.file(row)) for row in range(len(ours))]
    assert list(zip(files, ours.labels.tolist(), strict=True)) == theirs.samples


@pytest.mark.parametrize("place", ["classes", "train"])
def test_a_share_of_each_class_is_held_out(tmp_path, place):
    counts = {"cat": 20, "dog": 10, "eel": 5}
    write(tmp_path if place == "classes" else tmp_path / "train", counts)
    drawn = {
        (split, seed): load_folder(tmp_path, split, size=4, validation=0.2, seed=seed)
        for split in ("train", "validation")
        for seed in (0, 1)
    }
    everything = shades(load_folder(tmp_path, "train", size=4))
    assert sorted(everything) == list(range(35))
    for seed in (0, 1):
        train, held_out = drawn["train", seed], drawn["validation", seed]
        assert np.bincount(held_out.labels).tolist() == [4, 2, 1]
        assert sorted(shades(train) + shades(held_out)) == list(range(35))
        for part in (train, held_out):
            assert shades(part) == [shade for shade in everything if shade in shades(part)]
    assert shades(drawn["validation", 0]) != shades(drawn["validation", 1])
    assert shades(load_folder(tmp_path, "val", size=4, validation=0.2)) == shades(
        drawn["validation", 0]
    )


def test_the_draw_never_changes(tmp_path):
    write(tmp_path, {"cat": 10, "dog": 10})
    assert shades(load_folder(tmp_path, "val", size=4, validation=0.3)) == [3, 6, 7, 10, 14, 19]


def test_a_class_may_have_the_name_of_a_split(tmp_path):
    write(tmp_path, {"plane": 1, "train": 2})
    assert load_folder(tmp_path, "train", size=4).class_names == ("plane", "train")


def break_some(folder: Path) -> list[str]:
    (folder / "train" / "cat" / "1.png").write_bytes(b"")
    whole = (folder / "train" / "dog" / "0.png").read_bytes()
    (folder / "train" / "dog" / "0.png").write_bytes(whole[: len(whole) // 2])
    return [str(folder / "train" / "cat" / "1.png"), str(folder / "train" / "dog" / "0.png")]


@pytest.mark.parametrize("limit", [{}, IN_FILES], ids=["memory", "files"])
def test_broken_images_are_named(splits, limit):
    first, _ = break_some(splits)
    with pytest.raises(DataError, match=rf"the file is empty.*got file='{re.escape(first)}'"):
        load_folder(splits, "train", size=8, **limit)


@pytest.mark.parametrize("limit", [{}, IN_FILES], ids=["memory", "files"])
def test_broken_images_are_left_out_with_one_warning(splits, limit):
    broken = break_some(splits)
    with pytest.warns(UserWarning, match="left out 2 of 7 images that are broken:") as caught:
        found = load_folder(splits, "train", size=8, on_corrupt="skip", **limit)
    assert len(caught) == 1
    assert str(caught[0].message).splitlines()[1:] == broken
    assert caught[0].filename == __file__
    assert (shades(found), found.labels.tolist()) == ([0, 2, 4, 5, 6], [0, 0, 1, 1, 1])


@pytest.mark.parametrize("limit", [{}, IN_FILES], ids=["memory", "files"])
def test_a_class_of_broken_images(tmp_path, limit):
    write(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "dog" / "0.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="left out 1 of 2"),
        pytest.raises(DataError, match=r"every image of a class is broken, got classes=\['dog'\]"),
    ):
        load_folder(tmp_path, "train", size=8, on_corrupt="skip", **limit)


def test_whole_folders_warn_of_nothing(splits, recwarn):
    load_folder(splits, "train", size=8, on_corrupt="skip")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("classes", "split", "options", "error", "message"),
    [
        ({}, "train", {}, ValueError, "at least two classes, each a subfolder with its images, "),
        ({"a": 1}, "train", {}, ValueError, "got path='PATH', classes=('a',)."),
        ({"a": 1, "b": 0}, "train", {}, ValueError, "every class must have images (.jpg, .jpeg,"),
        ({"a": 1, "b": 0}, "train", {}, ValueError, "got path='PATH', empty='b'."),
        ({"train": 0}, "train", {}, ValueError, "got path='PATH/train', classes=()."),
        (
            {"a": 1, "b": 1},
            "test",
            {},
            FileNotFoundError,
            "the split is missing, got split='test', path='PATH'; put its classes into a subfolder "
            "'test'.",
        ),
        (
            {"train/a": 1, "train/b": 1},
            "validation",
            {},
            FileNotFoundError,
            "got split='validation', path='PATH'; put its classes into a subfolder 'val' or "
            "'validation', or pass validation= for a share of the images.",
        ),
        ({"test/a": 1}, "train", {}, FileNotFoundError, "into a subfolder 'train'."),
        (
            {"train/a": 1, "train/b": 1, "val/b": 1, "val/c": 1},
            "val",
            {},
            ValueError,
            "the splits must have the same classes, or labels would differ, got split='validation',"
            " differing=['a', 'c'].",
        ),
        (
            {"train/a": 1, "train/b": 1, "val/a": 1, "val/b": 1},
            "train",
            {"validation": 0.5},
            ValueError,
            "validation must be 0 where the folder has a validation split, got validation=0.5.",
        ),
        (
            {"a": 3, "b": 1},
            "train",
            {"validation": 0.4},
            ValueError,
            "leave every class an image in both splits, got validation=0.4, name='b', images=1.",
        ),
        ({}, "all", {}, ValueError, "split must be one of test, train, val, validation, got split"),
        ({}, "train", {"validation": 1}, ValueError, "a share from 0 to less than 1, got valida"),
        ({}, "train", {"validation": -0.1}, ValueError, "got validation=-0.1."),
        ({}, "train", {"seed": -1}, ValueError, "seed must be at least 0, got seed=-1."),
        ({}, "train", {"on_corrupt": "skp"}, ValueError, "'raise' or 'skip', got on_corrupt='skp'"),
        ({}, "train", {"memory_limit": -1}, ValueError, "memory_limit must be at least 0, got mem"),
        ({"a": 1, "b": 1}, "train", {"size": 0}, ValueError, "size must be at least 1, got size=0"),
        ({"a": 1, "b": 1}, "train", {"size": 2.0}, TypeError, "size must be an int, got size=2.0."),
    ],
)
def test_rejects(tmp_path, classes, split, options, error, message):
    write(tmp_path, classes)
    with pytest.raises(error, match=re.escape(message.replace("PATH", str(tmp_path)))):
        load_folder(tmp_path, split, **({"size": 8} | options))


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no such folder, got path='.*nope'"):
        load_folder(tmp_path / "nope", "train", size=8)


def test_quiet_without_a_terminal(splits, capfd):
    load_folder(splits, "train", size=8)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
@pytest.mark.shared_data
def test_real_images_as_files(tmp_path):
    cifar = load("cifar10", "test", raw_dir=SHARED).take(200)
    paths = []
    for index, (image, label) in enumerate(zip(cifar.images, cifar.labels, strict=True)):
        folder = tmp_path / cifar.class_names[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:03}.png")
        paths.append((int(label), index))
    order = [index for _, index in sorted(paths)]
    for limit in ({}, IN_FILES):
        found = load_folder(tmp_path, "train", size=32, **limit)
        assert found.class_names == cifar.class_names
        np.testing.assert_array_equal(found.images[:], cifar.images[order])
        np.testing.assert_array_equal(found.labels, cifar.labels[order])
