"""Preparations in processes of their own: killed, several at once, offline."""

import shutil
import signal
import sys

import numpy as np
import pytest

from jaxcnn.data import builders, load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and file locks")

MOMENTS = {
    "file-fetched": ("tensorflow_datasets.core.download.resource:write_info_file", 1),
    "second-file-fetched": ("tensorflow_datasets.core.download.resource:write_info_file", 2),
    "writing-records": ("jaxcnn.data.builders:encode_png", 30),
    "writing-description": (
        "tensorflow_datasets.core.dataset_info:DatasetInfo.write_to_directory",
        1,
    ),
    "prepared": ("jaxcnn.data.cache:decode", 1),
    "decoded": ("numpy:savez", 1),
}


def kill(child):
    child.send_signal(signal.SIGKILL)
    child.wait(10)


def assert_recovers(sample, data_dir):
    name, version = sample.source.name, sample.source.version
    for split in ("train", "test"):
        dataset = load(name, split, data_dir=data_dir)
        np.testing.assert_array_equal(dataset.images, sample.images[split])
        np.testing.assert_array_equal(dataset.labels, sample.labels[split]["label"])
    assert [path.name for path in (data_dir / name).iterdir()] == [version]
    assert not list(data_dir.glob("downloads/*/*.tmp.*"))
    assert not list((data_dir / name / version).glob("*.part"))


@pytest.mark.parametrize(("stop_at", "after"), MOMENTS.values(), ids=MOMENTS)
def test_killed_at(tmp_path, offer, spawn, stop_at, after):
    sample = offer("mnist")
    child = spawn(sample, tmp_path, stop_at=stop_at, after=after)
    assert child.stdout.readline() == "STOPPED\n"
    kill(child)
    folder = tmp_path / "mnist" / sample.source.version
    assert folder.exists() == (stop_at in ("jaxcnn.data.cache:decode", "numpy:savez"))
    assert not list(folder.glob("*.npz"))
    assert_recovers(sample, tmp_path)


def test_killed_while_downloading(tmp_path, offer, server, spawn):
    sample = offer("cifar10")
    server.stall = True
    child = spawn(sample, tmp_path)
    assert server.stalled.wait(30)
    kill(child)
    server.stall = False
    assert list(tmp_path.glob("downloads/cifar10/*.tmp.*"))
    assert not (tmp_path / "cifar10" / sample.source.version).exists()
    assert_recovers(sample, tmp_path)


def test_several_processes_at_once_share_one_download(tmp_path, offer, server, spawn):
    sample = offer("cifar100")
    children = [spawn(sample, tmp_path) for _ in range(3)]
    expected = f"LOADED {sample.images['train'].astype(int).sum()}\n"
    assert [child.communicate(timeout=60)[0] for child in children] == [expected] * 3
    assert server.fetched == ["cifar-100-binary.tar.gz"]
    assert_recovers(sample, tmp_path)


def test_a_program_without_our_lock_finishes_first(tmp_path, offer, monkeypatch):
    sample = offer("mnist")
    load("mnist", "train", data_dir=tmp_path / "other")
    encode = builders.encode_png

    def encode_while_the_other_finishes(image):
        theirs, ours = (
            tmp_path / part / "mnist" / sample.source.version for part in ("other", "own")
        )
        if not ours.exists():
            shutil.copytree(theirs, ours, ignore=shutil.ignore_patterns("*.npz"))
        return encode(image)

    monkeypatch.setattr(builders, "encode_png", encode_while_the_other_finishes)
    assert_recovers(sample, tmp_path / "own")


def test_two_processes_without_locks(tmp_path, offer, spawn):
    sample = offer("mnist")
    children = [spawn(sample, tmp_path, unlocked=True) for _ in range(2)]
    expected = f"LOADED {sample.images['train'].astype(int).sum()}\n"
    assert [child.communicate(timeout=60)[0] for child in children] == [expected] * 2
    assert_recovers(sample, tmp_path)


def test_the_error_is_all_that_an_offline_user_sees(tmp_path, offer, server, spawn):
    sample = offer("mnist")
    server.close()
    output = spawn(sample, tmp_path).communicate(timeout=60)[0]
    assert output.count("jaxcnn.data.formats.DataError: load: could not download the data set") == 1
    assert "WARNING" not in output
    assert "Downloading and preparing" not in output
