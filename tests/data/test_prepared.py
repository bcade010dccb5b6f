"""Sets of images of different sizes that are prepared with TFDS: cats_vs_dogs, and any other."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import registered

from jaxcnn.data import DataError, ImageDataset, builders, load, sources
from jaxcnn.data.image_files import FileDataset, decode_image
from jaxcnn.data.prepared import find_prepared

SIZES = {"size": 16, "resize": 18}
IN_FILES = {"memory_limit": 0}
URL_NAME = "kagglecatsanddogs_5340.zip"


def jpeg(seed: int, jfif: bool = True) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20 + seed, 31, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg")
    data = buffer.getvalue()
    return data if jfif else data.replace(b"JFIF", b"JFXX")


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


PETS = {
    f"PetImages/{kind}/{i}.jpg": jpeg(i + 3 * (kind == "Dog"))
    for kind in ("Cat", "Dog")
    for i in range(3)
}
OTHERS = {
    "PetImages/Cat/666.jpg": b"",
    "PetImages/Dog/7.jpg": jpeg(7, jfif=False),
    "PetImages/Cat/Thumbs.db": b"JFIF",
    "PetImages/Bird/1.jpg": jpeg(8),
    "Old/PetImages/Cat/1.jpg": jpeg(9),
    "readme[1].txt": b"JFIF",
}
LABELS = [0, 0, 0, 1, 1, 1]


@pytest.fixture
def offer_pets(server, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts an archive on the server and in the catalog."""

    def offer(archive: bytes) -> None:
        server.files = {URL_NAME: archive}
        digest = hashlib.sha256(archive).hexdigest()
        file = sources.Download(f"{server.url}/{URL_NAME}", len(archive), digest)
        row = dataclasses.replace(sources.FILE_SOURCES["cats_vs_dogs"], downloads=(file,))
        monkeypatch.setitem(sources.FILE_SOURCES, "cats_vs_dogs", row)

    return offer


def expected() -> np.ndarray:
    return np.stack([decode_image(data, **SIZES) for data in PETS.values()])


def test_cats_vs_dogs_leaves_the_broken_files_out(tmp_path, offer_pets, server):
    offer_pets(zipped(OTHERS | PETS))
    for limit, kind in (({}, ImageDataset), (IN_FILES, FileDataset)):
        pets = load("cats_vs_dogs", "train", data_dir=tmp_path, **SIZES, **limit)
        assert isinstance(pets, kind)
        np.testing.assert_array_equal(pets.images[:], expected())
        assert (pets.labels.tolist(), pets.class_names) == (LABELS, ("cat", "dog"))
        assert (pets.name, pets.split, pets.labels.dtype) == ("cats_vs_dogs", "train", np.int32)
    assert server.fetched == [URL_NAME]
    copy = pickle.loads(pickle.dumps(pets))  # as sent to a worker
    np.testing.assert_array_equal(copy.images[[[5, 0]]], expected()[[[5, 0]]])
    assert str(copy.images.file(2)) == f"{tmp_path / 'cats_vs_dogs' / '4.0.1'}:train[2]"

    records = list(tfds.data_source("cats_vs_dogs", split="train", data_dir=tmp_path))
    assert [record["image/filename"].decode() for record in records] == list(PETS)
    assert [record["label"] for record in records] == LABELS
    first = Image.open(io.BytesIO(PETS["PetImages/Cat/0.jpg"]))
    np.testing.assert_array_equal(records[0]["image"], np.asarray(first))


def test_cats_vs_dogs_agrees_with_the_stock_builder(tmp_path):
    stock = tfds.builder("cats_vs_dogs", data_dir=tmp_path / "stock")
    own = builders.builder_for(sources.FILE_SOURCES["cats_vs_dogs"], tmp_path / "own")
    assert (own.name, str(own.version)) == (stock.name, str(stock.version))
    assert own.info.features.to_json() == stock.info.features.to_json()
    assert own.info.supervised_keys == stock.info.supervised_keys
    assert own.url_infos == stock.url_infos


def flip_the_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 9]) + data[middle + 9 :]


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zipped(PETS)[:-30], "the archive is truncated or damaged"),
        (flip_the_middle(zipped(PETS)), "the archive is truncated or damaged"),
        (zipped(OTHERS), "the archive holds no image of a cat or a dog"),
    ],
    ids=["cut", "flipped", "others"],
)
def test_broken_cats_vs_dogs(tmp_path, offer_pets, archive, message):
    offer_pets(archive)
    with pytest.raises(DataError, match=rf"load: {message}.*got file='.*downloads"):
        load("cats_vs_dogs", "train", data_dir=tmp_path, size=8)
    assert not (tmp_path / "cats_vs_dogs" / "4.0.1").exists()


def test_cats_vs_dogs_without_a_network(tmp_path, offer_pets, server):
    offer_pets(zipped(PETS))
    server.close()
    with pytest.raises(DataError, match="could not download the data set, got name='cats_vs_dogs'"):
        load("cats_vs_dogs", "train", data_dir=tmp_path, size=8)


def write_set(
    data_dir: Path, images: list[bytes], features: dict[str, Any], version: str = "1.0.0"
) -> Path:
    """Prepares a set with TFDS, one that no catalog knows."""

    def generate():
        for index, image in enumerate(images):
            label = {"label": index % 2} if "label" in features else {}
            yield index, {"image": io.BytesIO(image)} | label

    with registered.skip_registration():
        kind = type(
            "leaf_kinds",
            (tfds.core.GeneratorBasedBuilder,),
            {
                "name": "leaf_kinds",
                "VERSION": tfds.core.Version(version),
                "_info": lambda self: tfds.core.DatasetInfo(
                    builder=self,
                    features=tfds.features.FeaturesDict(features),
                    disable_shuffling=True,
                ),
                "_split_generators": lambda self, dl_manager: {"dev": generate()},
                "_generate_examples": lambda self: None,
            },
        )
    builder = kind(data_dir=data_dir)
    with builders.quiet_tfds():
        builder.download_and_prepare(file_format="array_record")
    return Path(builder.data_dir)


LABEL = tfds.features.ClassLabel(names=["oak", "elm"])
SEVERAL = {"image": tfds.features.Image(), "label": LABEL}
ONE_SIZE = {"image": tfds.features.Image(shape=(6, 5, 1)), "label": LABEL}
GREY = np.random.default_rng(0).integers(0, 256, (5, 6, 5, 1), dtype=np.uint8)
GREY_FILES = [builders.encode_png(image) for image in GREY]


def test_any_prepared_set_of_different_sizes(tmp_path):
    write_set(tmp_path, list(PETS.values()), SEVERAL)
    leaves = load("leaf_kinds", "dev", data_dir=tmp_path, **SIZES)
    np.testing.assert_array_equal(leaves.images, expected())
    assert (leaves.labels.tolist(), leaves.class_names) == ([0, 1] * 3, ("oak", "elm"))
    assert (leaves.name, leaves.split) == ("leaf_kinds", "dev")
    with pytest.raises(ValueError, match="the images differ in size, got name='leaf_kinds'"):
        load("leaf_kinds", "dev", data_dir=tmp_path)


@pytest.mark.parametrize("name", ["leaf_kinds", "group/leaf_kinds"])
def test_any_prepared_set_of_one_size(tmp_path, name):
    folder = write_set((tmp_path / name).parent, GREY_FILES, ONE_SIZE)
    for _ in range(2):  # the second time from what the first one kept
        leaves = load(name, "dev", data_dir=tmp_path)
        np.testing.assert_array_equal(leaves.images, GREY)
        assert (leaves.labels.tolist(), leaves.labels.dtype) == ([0, 1, 0, 1, 0], np.int32)
    assert (folder / "jaxcnn-dev.npz").is_file()


def test_newest_version_is_found(tmp_path):
    for version in ("1.9.0", "1.10.0"):
        newest = write_set(tmp_path, GREY_FILES, ONE_SIZE, version)
    assert find_prepared("leaf_kinds", tmp_path) == newest
    assert find_prepared("leaf_kind", tmp_path) is None


def test_labels_are_kept_and_made_again(tmp_path):
    folder = write_set(tmp_path, list(PETS.values()), SEVERAL)
    kept = folder / "jaxcnn-dev-labels.npy"
    other = io.BytesIO()
    np.save(other, np.zeros(7, np.int32))
    for damage in (None, b"", b"\x93NUMPY", pickle.dumps([1]), other.getvalue()):
        if damage is not None:
            kept.write_bytes(damage)
        leaves = load("leaf_kinds", "dev", data_dir=tmp_path, size=8, **IN_FILES)
        assert leaves.labels.tolist() == [0, 1] * 3
        np.testing.assert_array_equal(np.load(kept), leaves.labels)


def damage_records(folder: Path) -> None:
    (path,) = folder.glob("*-dev.array_record-*")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def damage_description(folder: Path) -> None:
    (folder / "dataset_info.json").write_text("{")


def change_format(folder: Path) -> None:
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "tfrecord"}))


@pytest.mark.parametrize("options", [{"size": 8}, {}], ids=["files", "arrays"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_records, "the prepared set is damaged"),
        (damage_description, "the prepared set is damaged"),
        (change_format, "a format that only TensorFlow reads.*; prepare it with file_format='arr"),
    ],
)
def test_damaged_set(tmp_path, damage, message, options):
    folder = write_set(tmp_path, GREY_FILES, ONE_SIZE)
    damage(folder)
    with pytest.raises(DataError, match=f"load: .*{message}") as caught:
        load("leaf_kinds", "dev", data_dir=tmp_path, **options)
    assert repr(str(folder)) in str(caught.value)


def test_rejects(tmp_path):
    write_set(tmp_path, GREY_FILES, ONE_SIZE)
    with pytest.raises(
        ValueError, match="split must be one of dev, got name='leaf_kinds', split='"
    ):
        load("leaf_kinds", "train", data_dir=tmp_path)
    with pytest.raises(
        ValueError, match="raw_dir is not for sets that must be prepared, got name="
    ):
        load("leaf_kinds", "dev", raw_dir=tmp_path)
    message = re.escape(
        "must have the features image and label, got name='leaf_kinds', features=['i"
    )
    write_set(tmp_path, GREY_FILES, {"image": ONE_SIZE["image"]}, "2.0.0")
    with pytest.raises(ValueError, match=message):
        load("leaf_kinds", "dev", data_dir=tmp_path)
