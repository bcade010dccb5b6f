"""ImageNet, from archives of the published form with a handful of images."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from jaxcnn.data import DataError, load
from jaxcnn.data.image_files import FileDataset, decode_image

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
KIT = "ILSVRC2012_devkit_t12.tar.gz"
SIZES = {"size": 16, "resize": 18}
IN_FILES = {"memory_limit": 0}
# By the kit's numbers, which are not in the order of the names.
SYNSETS = {1: "n02", 2: "n03", 3: "n01"}
TRUTH = [2, 3, 1, 3]


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20 + seed, 31, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg")
    return buffer.getvalue()


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def kit(truth: list[int] = TRUTH) -> bytes:
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O")]
    fields += [("num_children", "O"), ("children", "O"), ("wordnet_height", "O")]
    rows = [(number, name, f"{name}, a word", "-", 0, [], 0) for number, name in SYNSETS.items()]
    rows.append((4, "n00", "a group", "-", 2, [1, 2], 1))
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, fields)})
    text = "".join(f"{number}\n" for number in truth)
    folder = "ILSVRC2012_devkit_t12/data"
    return tar(
        {
            f"{folder}/meta.mat": meta.getvalue(),
            f"{folder}/ILSVRC2012_validation_ground_truth.txt": text.encode(),
        },
        "w:gz",
    )


# Neither classes nor images in their order.
TRAIN_IMAGES = {
    "n03": {"n03_2.JPEG": jpeg(0), "n03_10.JPEG": jpeg(1)},
    "n01": {"n01_7.JPEG": jpeg(2)},
    "n02": {"n02_1.JPEG": jpeg(3), "n02_0.JPEG": jpeg(4)},
}
VALIDATION_IMAGES = {f"ILSVRC2012_val_{i:08d}.JPEG": jpeg(10 + i) for i in (2, 1, 4, 3)}
FILES = {
    TRAIN: tar({f"{name}.tar": tar(images) for name, images in TRAIN_IMAGES.items()}),
    VALIDATION: tar(VALIDATION_IMAGES),
    KIT: kit(),
}
# By class, then by name: the class, the file.
EXPECTED = {
    "train": [
        ("n01", "n01_7.JPEG"),
        ("n02", "n02_0.JPEG"),
        ("n02", "n02_1.JPEG"),
        ("n03", "n03_10.JPEG"),
        ("n03", "n03_2.JPEG"),
    ],
    "validation": [
        ("n01", "ILSVRC2012_val_00000002.JPEG"),
        ("n01", "ILSVRC2012_val_00000004.JPEG"),
        ("n02", "ILSVRC2012_val_00000003.JPEG"),
        ("n03", "ILSVRC2012_val_00000001.JPEG"),
    ],
}
BYTES = VALIDATION_IMAGES | {k: v for images in TRAIN_IMAGES.values() for k, v in images.items()}


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("place", ["raw", "manual"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_reads_the_archives_where_they_lie(tmp_path, place, split):
    manual = write(tmp_path / "downloads" / "manual" / "imagenet2012")
    where = {"raw_dir": manual} if place == "raw" else {"data_dir": str(tmp_path)}
    memory = load("imagenet2012", split, **where, **SIZES)
    files = load("imagenet2012", split, **where, **SIZES, **IN_FILES)
    assert isinstance(files, FileDataset)
    expected = np.stack([decode_image(BYTES[name], **SIZES) for _, name in EXPECTED[split]])
    for found in (memory, files):
        np.testing.assert_array_equal(found.images[:], expected)
        assert found.class_names == ("n01", "n02", "n03")
        assert [found.class_names[i] for i in found.labels] == [c for c, _ in EXPECTED[split]]
        assert (found.name, found.split) == ("imagenet2012", split)
    assert sorted(path.name for path in manual.iterdir()) == sorted(FILES)
    archive = manual / (TRAIN if split == "train" else VALIDATION)
    assert str(files.images.file(-1)) == f"{archive}:{EXPECTED[split][-1][1]}"


@pytest.mark.torchvision
@pytest.mark.parametrize("split", ["train", "val"])
def test_equals_torchvisions_imagenet(torchvision, tmp_path, monkeypatch, split):
    write(tmp_path)
    theirs = torchvision.datasets.imagenet
    for key, name in (("train", TRAIN), ("val", VALIDATION), ("devkit", KIT)):
        digest = hashlib.md5(FILES[name]).hexdigest()
        monkeypatch.setitem(theirs.ARCHIVE_META, key, (name, digest))
    reference = theirs.ImageNet(tmp_path, split)
    ours = load("imagenet2012", split.replace("val", "validation"), raw_dir=tmp_path, **SIZES)
    assert list(ours.class_names) == reference.wnids
    files = [Path(path) for path, _ in reference.samples]
    assert [(path.parent.name, path.name) for path in files] == EXPECTED[ours.split]
    assert ours.labels.tolist() == reference.targets


@pytest.mark.parametrize(
    ("split", "present", "missing"),
    [
        ("train", [VALIDATION, KIT], TRAIN),
        ("validation", [TRAIN, KIT], VALIDATION),
        ("validation", [VALIDATION], KIT),
        ("validation", [], f"{VALIDATION} and {KIT}"),
    ],
)
def test_missing_archive(tmp_path, split, present, missing):
    folder = write(tmp_path / "downloads/manual/imagenet2012", {n: FILES[n] for n in present})
    message = f"load: {missing} missing, got name='imagenet2012', split='{split}'; get them from "
    with pytest.raises(FileNotFoundError, match=re.escape(message)) as caught:
        load("imagenet2012", split, data_dir=tmp_path, size=8)
    assert repr(str(folder)) in str(caught.value)


def inner_cut() -> bytes:
    archives = {f"{name}.tar": tar(images) for name, images in TRAIN_IMAGES.items()}
    return tar(archives | {"n03.tar": tar(TRAIN_IMAGES["n03"])[:700]})


BROKEN = {
    "cut": ("train", {TRAIN: FILES[TRAIN][:20_000]}, "the archive is truncated"),
    "no-tar": ("train", {TRAIN: b"<html>" * 100}, "the archive is truncated or damaged"),
    "empty": ("train", {TRAIN: tar({})}, "the archive is empty"),
    "inner-cut": ("train", {TRAIN: inner_cut()}, "the archive is truncated in n03_2.JPEG"),
    "val-cut": ("validation", {VALIDATION: FILES[VALIDATION][:2000]}, "the archive is truncated"),
    "too-few": ("validation", {VALIDATION: tar({})}, "holds 0 images for the 4 labels of '"),
    "kit-cut": ("validation", {KIT: FILES[KIT][:100]}, "the archive is truncated or damaged"),
    "kit-number": ("validation", {KIT: kit([1, 2, 9, 3])}, "kit is damaged (KeyError(9))"),
    "kit-group": ("validation", {KIT: kit([1, 2, 4, 3])}, "kit is damaged (KeyError(4))"),
    "kit-empty": ("validation", {KIT: tar({"a": b""}, "w:gz")}, "lacks meta.mat, ILSVRC2012_valid"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_archive(tmp_path, kind):
    split, files, message = BROKEN[kind]
    write(tmp_path, FILES | files)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load("imagenet2012", split, raw_dir=tmp_path, size=8)
    (name,) = files
    assert f"got file={str(tmp_path / name)!r}" in str(caught.value)
