"""Download and preparation from a local server, and the cache they leave."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from jaxcnn.data import DataError, builders, load, sources

from .samples import make_sample

NAMES = list(sources.SOURCES)


def version_dir(sample, data_dir: Path) -> Path:
    return data_dir / sample.source.name / sample.source.version


def assert_nothing_prepared(sample, data_dir: Path):
    assert not version_dir(sample, data_dir).exists()
    assert not list(data_dir.glob(f"{sample.source.name}/incomplete.*"))


def assert_is_sample(dataset, sample, split):
    np.testing.assert_array_equal(dataset.images, sample.images[split])
    np.testing.assert_array_equal(dataset.labels, sample.labels[split]["label"])
    assert dataset.class_names == sample.source.class_names


@pytest.mark.parametrize("name", NAMES)
def test_prepares_and_stock_tfds_reads_it(tmp_path, offer, server, name):
    sample = offer(name)
    for split in ("train", "test"):
        assert_is_sample(load(name, split, data_dir=tmp_path), sample, split)
    assert sorted(server.fetched) == sorted(sample.packed)

    for split, source in tfds.data_source(name, data_dir=tmp_path).items():
        records = list(source)
        np.testing.assert_array_equal([r["image"] for r in records], sample.images[split])
        for key, column in sample.labels[split].items():
            np.testing.assert_array_equal([r[key] for r in records], column)
        if sample.source.ids:
            ids = [r["id"].decode() for r in records]
            assert ids == [f"{split}_{i:05d}" for i in range(len(records))]
    features = tfds.builder(name, data_dir=tmp_path).info.features
    for key, names in sample.source.labels.items():
        assert features[key].names == list(names)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_stock_builder(tmp_path, name):
    stock = tfds.builder(name, data_dir=tmp_path / "stock")
    own = builders.builder_for(sources.SOURCES[name], tmp_path / "own")
    assert (own.name, str(own.version)) == (stock.name, str(stock.version))
    assert own.info.features.to_json() == stock.info.features.to_json()
    assert own.info.supervised_keys == stock.info.supervised_keys
    assert own.url_infos == stock.url_infos
    assert Path(own.data_dir).relative_to(tmp_path / "own") == Path(stock.data_dir).relative_to(
        tmp_path / "stock"
    )


def test_the_private_names_behind_the_time_limits_exist():
    assert downloader.MAX_RETRIES == 10
    assert callable(downloader._open_url)


def test_second_load_needs_neither_network_nor_tfds(tmp_path, offer, server, monkeypatch):
    sample = offer("cifar10")
    load("cifar10", "test", data_dir=tmp_path)
    server.fetched.clear()
    shutil.rmtree(tmp_path / "downloads")
    load("cifar10", "train", data_dir=tmp_path)  # prepared, but not decoded yet
    monkeypatch.delitem(sys.modules, "jaxcnn.data.builders")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for split in ("train", "test"):
        assert_is_sample(load("cifar10", split, data_dir=tmp_path), sample, split)
    assert server.fetched == []


def test_downloads_are_kept_for_a_new_preparation(tmp_path, offer, server):
    sample = offer("mnist")
    load("mnist", "test", data_dir=tmp_path)
    server.fetched.clear()
    shutil.rmtree(tmp_path / "mnist")
    assert_is_sample(load("mnist", "test", data_dir=tmp_path), sample, "test")
    assert server.fetched == []


def test_manual_folder_replaces_the_download(tmp_path, offer, server):
    sample = offer("cifar100")
    manual = tmp_path / "downloads" / "manual" / "cifar100"
    manual.mkdir(parents=True)
    (manual / "cifar-100-binary.tar.gz").write_bytes(sample.packed["cifar-100-binary.tar.gz"])
    assert_is_sample(load("cifar100", "train", data_dir=tmp_path), sample, "train")
    assert server.fetched == []


def test_quiet_without_a_terminal(tmp_path, offer, capfd):
    offer("mnist")
    load("mnist", "test", data_dir=tmp_path)
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


def test_shows_bars_on_a_terminal(tmp_path, offer, capsys, monkeypatch):
    offer("mnist")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    load("mnist", "test", data_dir=tmp_path)
    output = capsys.readouterr()
    assert output.out == ""
    assert "Dl Size" in output.err
    assert "Decoding" in output.err
    assert "WARNING" not in output.err


def test_checksum_mismatch(tmp_path, offer, server):
    sample = offer("mnist")
    good = dict(server.files)
    server.files["t10k-images-idx3-ubyte.gz"] = make_sample("fashion_mnist").packed[
        "t10k-images-idx3-ubyte.gz"
    ]
    with pytest.raises(DataError, match=r"wrong checksum, got name='mnist'.*t10k-images.*Expected"):
        load("mnist", "train", data_dir=tmp_path)
    assert_nothing_prepared(sample, tmp_path)

    server.files = good
    assert_is_sample(load("mnist", "train", data_dir=tmp_path), sample, "train")
    assert not list(tmp_path.glob("downloads/mnist/*.tmp.*"))


def test_checksum_mismatch_in_the_manual_folder(tmp_path, offer):
    sample = offer("cifar10")
    manual = tmp_path / "downloads" / "manual" / "cifar10"
    manual.mkdir(parents=True)
    (manual / "cifar-10-binary.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"wrong checksum, got name='cifar10'.*manual"):
        load("cifar10", "train", data_dir=tmp_path)
    assert_nothing_prepared(sample, tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "data", "message"),
    [
        ("mnist", "t10k-labels-idx1-ubyte.gz", b"", "cannot be only 0 bytes long"),
        ("cifar10", "cifar-10-binary.tar.gz", b"no archive", "the archive is truncated or damaged"),
    ],
    ids=["idx", "cifar"],
)
def test_broken_file_with_the_right_checksum(tmp_path, offer, name, file, data, message):
    sample = offer(name, {file: data})
    with pytest.raises(DataError, match=message) as caught:
        load(name, "train", data_dir=tmp_path)
    assert str(tmp_path / "downloads" / name) in str(caught.value)
    assert_nothing_prepared(sample, tmp_path)


def closed(server):
    server.close()


def lost(server):
    server.files = {}


def cut(server):
    server.cut = True


@pytest.mark.parametrize("accident", [closed, lost, cut], ids=["no-server", "404", "cut"])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_no_network(tmp_path, offer, server, name, accident):
    sample = offer(name)
    accident(server)
    with pytest.raises(DataError, match=f"could not download the data set, got name='{name}'") as e:
        load(name, "train", data_dir=tmp_path)
    assert sample.source.downloads[0].url in str(e.value)
    assert repr(str(tmp_path / "downloads" / "manual" / name)) in str(e.value)
    assert "raw_dir=" in str(e.value)
    assert_nothing_prepared(sample, tmp_path)


def test_recovers_when_the_network_is_back(tmp_path, offer, server):
    sample = offer("cifar10")
    server.cut = True
    with pytest.raises(DataError, match="could not download"):
        load("cifar10", "train", data_dir=tmp_path)
    server.cut = False
    assert_is_sample(load("cifar10", "train", data_dir=tmp_path), sample, "train")
    assert not list(tmp_path.glob("downloads/cifar10/*.tmp.*"))


def test_damaged_decoded_file_is_made_again(tmp_path, offer):
    sample = offer("mnist")
    load("mnist", "train", data_dir=tmp_path)
    path = version_dir(sample, tmp_path) / "jaxcnn-train.npz"
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", whole[:-1], whole[: len(whole) // 2], flipped):
        path.write_bytes(damaged)
        assert_is_sample(load("mnist", "train", data_dir=tmp_path), sample, "train")
        assert path.read_bytes() == whole


def damage_records(folder: Path):
    (path,) = folder.glob("*-train.array_record-*")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def damage_description(folder: Path):
    (folder / "dataset_info.json").write_text("{")


def change_format(folder: Path):
    path = folder / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "tfrecord"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_records, r"the prepared set is damaged .*; delete the folder and load it again\."),
        (
            damage_description,
            r"the prepared set is damaged .*; delete the folder and load it again\.",
        ),
        (change_format, r"a format that only TensorFlow reads.*; pass another data_dir=\."),
    ],
    ids=["records", "description", "tfrecord"],
)
def test_unreadable_prepared_set(tmp_path, offer, damage, message):
    sample = offer("mnist")
    load("mnist", "test", data_dir=tmp_path)
    folder = version_dir(sample, tmp_path)
    damage(folder)
    with pytest.raises(DataError, match=message) as caught:
        load("mnist", "train", data_dir=tmp_path)
    assert f"got file={str(folder)!r}" in str(caught.value)


def test_decoded_file_that_cannot_be_written_is_no_error(tmp_path, offer, monkeypatch):
    sample = offer("mnist")

    def refuse(*args, **kwargs):
        raise PermissionError("read-only folder")

    monkeypatch.setattr(np, "savez", refuse)
    assert_is_sample(load("mnist", "train", data_dir=tmp_path), sample, "train")
    assert not list(version_dir(sample, tmp_path).glob("jaxcnn-*"))
