"""ImageFiles: every kind of image, every kind of index, and broken files."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import DataError
from jaxcnn.data.image_files import FileDataset, FileRange, ImageFiles, check_image

DRAW = np.random.default_rng(0)


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    pixels = DRAW.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def palette_with_levels(path: Path) -> None:
    noise(20, 30).quantize(16).save(path, transparency=bytes(range(0, 256, 16)))


def sixteen_bits(path: Path) -> None:
    Image.fromarray(DRAW.integers(0, 65536, (20, 30), dtype=np.uint16)).save(path)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    noise(20, 30).save(path, exif=exif)


KINDS = {
    "grey.png": lambda path: noise(20, 30, 1).save(path),
    "grey.jpg": lambda path: noise(20, 30, 1).save(path),
    "grey-alpha.png": lambda path: noise(20, 30, 2).save(path),
    "rgb.jpg": lambda path: noise(20, 30).save(path),
    "rgb.webp": lambda path: noise(20, 30).save(path),
    "rgb.bmp": lambda path: noise(20, 30).save(path),
    "rgba.png": lambda path: noise(20, 30, 4).save(path),
    "rgba.tif": lambda path: noise(20, 30, 4).save(path),
    "palette.png": lambda path: noise(20, 30).quantize(16).save(path),
    "palette-levels.png": palette_with_levels,
    "palette.gif": lambda path: noise(20, 30).quantize(16).save(path),
    "bilevel.png": lambda path: noise(20, 30, 1).convert("1").save(path),
    "cmyk.jpg": lambda path: noise(20, 30).convert("CMYK").save(path),
    "16-bit.png": sixteen_bits,
    "16-bit.tif": sixteen_bits,
    "turned.jpg": turned,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind, and images of awkward sizes."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, save in KINDS.items():
        save(folder / name)
    for height, width in ((17, 40), (40, 17), (16, 16), (33, 47), (5, 7), (101, 99)):
        noise(height, width).save(folder / f"{height}x{width}.png")
    return folder


def paths(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_becomes_rgb_as_pillow_converts_it(folder, name):
    with warnings.catch_warnings(), Image.open(folder / name) as image:
        warnings.simplefilter("ignore")  # Pillow's own, for the palette with levels
        expected = np.asarray(image.convert("RGB"))[:, 5:25]
    np.testing.assert_array_equal(ImageFiles([folder / name], size=20)[0], expected)


def test_resizes_bilinearly_and_crops_the_centre(tmp_path):
    picture = noise(20, 43)
    picture.save(tmp_path / "wide.png")
    small = picture.resize((21, 10), Image.Resampling.BILINEAR)  # 43 * 10 / 20 = 21.5
    image = ImageFiles([tmp_path / "wide.png"], size=8, resize=10)[0]
    np.testing.assert_array_equal(image, np.asarray(small)[1:9, 6:14])  # 6.5 rounds to even


@pytest.mark.torchvision
@pytest.mark.parametrize(("size", "resize"), [(16, 16), (15, 16), (16, 19), (32, 37), (7, 50)])
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_equals_torchvisions_evaluation_transform(torchvision, folder, size, resize):
    transforms = torchvision.transforms
    transform = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(size)])
    images = ImageFiles(paths(folder), size=size, resize=resize)[:]
    for path, image in zip(paths(folder), images, strict=True):
        expected = transform(torchvision.datasets.folder.default_loader(str(path)))
        np.testing.assert_array_equal(image, np.asarray(expected), err_msg=path.name)


def test_indexes_like_an_array(folder):
    files = ImageFiles(paths(folder), size=8, threads=3)
    whole = np.asarray(files)
    n = len(paths(folder))
    assert (files.shape, files.dtype, files.nbytes) == ((n, 8, 8, 3), np.uint8, n * 192)
    assert (whole.shape, whole.dtype, len(files)) == (files.shape, files.dtype, n)
    assert len({image.tobytes() for image in whole}) == n  # or a wrong order would not show
    for key in (
        3,
        -1,
        np.int32(2),
        slice(2, 9, 3),
        np.array([[4, 0, 4], [1, -2, 3]]),
        np.array([], np.int64),
        np.arange(n) % 2 == 0,
        [5, 1],
    ):
        np.testing.assert_array_equal(files[key], whole[key])
    np.testing.assert_array_equal(np.asarray(files, np.float32), whole.astype(np.float32))
    with pytest.raises(IndexError, match="out of bounds"):
        files[n]


def test_take_reads_nothing_and_keeps_the_files_in_order(folder):
    files = ImageFiles([*paths(folder), "absent.jpg"], size=8)
    few = files.take([4, 1, 2]).take(slice(2))
    np.testing.assert_array_equal(few[:], files[[4, 1]])
    assert [str(few.file(i)) for i in range(2)] == [str(paths(folder)[i]) for i in (4, 1)]
    assert files.take([-1]).shape == (1, 8, 8, 3)


def test_survives_pickling(folder):
    files = ImageFiles(paths(folder), size=8).take([3, 2])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(files))[:], files[:])


def test_reads_a_part_of_a_file(folder, tmp_path):
    data = [path.read_bytes() for path in paths(folder)]
    (tmp_path / "all").write_bytes(b"".join(data))
    starts = np.cumsum([0, *map(len, data)])
    parts = [
        FileRange(tmp_path / "all", int(start), len(blob), path.name)
        for start, blob, path in zip(starts, data, paths(folder), strict=False)
    ]
    expected = ImageFiles(paths(folder), size=8)[:]
    np.testing.assert_array_equal(ImageFiles(parts, size=8)[:], expected)
    assert str(parts[1]) == f"{tmp_path / 'all'}:{paths(folder)[1].name}"


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got size=0"),
        ({"size": 1.5}, TypeError, "size must be an int, got size=1.5"),
        ({"resize": 7}, ValueError, "at least size, or the centre could not be cropped, got resi"),
        ({"resize": "8"}, TypeError, "resize must be an int"),
        ({"threads": 0}, ValueError, "threads must be at least 1"),
        (
            {"files": "a.jpg"},
            TypeError,
            "files must be a sequence of paths, got files=<class 'str'",
        ),
    ],
    ids=["size", "size-type", "resize", "resize-type", "threads", "one-path"],
)
def test_rejects(fields, error, message):
    with pytest.raises(error, match=re.escape(message)):
        ImageFiles(**({"files": ["a.jpg"], "size": 8} | fields))


def test_is_always_a_copy(folder):
    with pytest.raises(ValueError, match="an array of files is always a copy, got copy=False"):
        np.asarray(ImageFiles(paths(folder), size=8), copy=False)


def cut(name: str, keep: float):
    def make(folder: Path, path: Path) -> None:
        data = (folder / name).read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return make


def flip_a_byte(folder: Path, path: Path) -> None:
    data = bytearray((folder / "rgb.bmp").read_bytes())
    data[0] ^= 255
    path.write_bytes(data)


BROKEN = {
    "empty": (lambda folder, path: path.write_bytes(b""), "the file is empty"),
    "text": (lambda folder, path: path.write_text("<html>"), "no image format that Pillow knows"),
    "bmp": (flip_a_byte, "no image format that Pillow knows"),
    "half-jpeg": (cut("rgb.jpg", 0.5), "truncated"),
    "jpeg-without-end": (cut("rgb.jpg", 0.99), "truncated"),
    "jpeg-header": (cut("rgb.jpg", 0.02), ""),
    "half-png": (cut("rgba.png", 0.5), "truncated"),
    "half-webp": (cut("rgb.webp", 0.5), ""),
    "half-gif": (cut("palette.gif", 0.5), "truncated"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("see", ["decode", "check", "check-range"])
def test_broken_image_is_named(folder, tmp_path, kind, see):
    make, message = BROKEN[kind]
    path = tmp_path / "bad.jpg"
    make(folder, path)
    part = FileRange(path, 0, path.stat().st_size, "bad")
    look = {
        "decode": lambda: ImageFiles([*paths(folder), path], size=8)[:],
        "check": lambda: check_image(path),
        "check-range": lambda: check_image(part),
    }[see]
    where = re.escape(str(part if see == "check-range" else path))
    reason = rf"(?i)ImageFiles: the image is broken \(.*{message}.*\), got file='{where}'; replace"
    with pytest.raises(DataError, match=reason):
        look()


def test_whole_images_pass_the_check(folder, tmp_path):
    for path in paths(folder):
        check_image(path)
    padded = tmp_path / "padded.jpg"
    padded.write_bytes((folder / "rgb.jpg").read_bytes() + b"\0" * 10)
    check_image(padded)
    noted = tmp_path / "noted.jpg"  # decoded, as something follows the end mark
    noted.write_bytes((folder / "rgb.jpg").read_bytes() + b"made by a camera")
    check_image(noted)


def test_missing_file_is_not_a_broken_image(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg"):
        ImageFiles([tmp_path / "absent.jpg"], size=8)[0]
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg"):
        check_image(str(tmp_path / "absent.jpg"))


FILES = ImageFiles(["a.jpg", "b.jpg", "c.jpg"], size=8)
LABELS = np.array([0, 1, 1], np.int32)


def dataset(images=FILES, labels=LABELS, class_names=("a", "b")) -> FileDataset:
    return FileDataset(images, labels, class_names, "name", "train")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"images": LABELS}, TypeError, "images must be an ImageFiles, got images='ndarray'."),
        ({"labels": [0, 1, 1]}, TypeError, "labels must be a NumPy array of int32, got labels='l"),
        ({"labels": LABELS.astype(int)}, TypeError, "array of int32, got labels='int64'."),
        ({"labels": LABELS[:2]}, ValueError, "one label for each image, got labels=(2,), images=3"),
        ({"class_names": ("a",)}, ValueError, "must lie in range(1), the number of class_names, g"),
        ({"labels": -LABELS}, ValueError, "got label=-1."),
    ],
    ids=["images", "list", "long", "count", "name", "negative"],
)
def test_dataset_rejects(fields, error, message):
    with pytest.raises(error, match=re.escape(message)):
        dataset(**fields)


def test_dataset_takes_the_first(folder):
    few = FileDataset(ImageFiles(paths(folder)[:3], size=8), LABELS, ("a", "b"), "n", "train").take(
        2
    )
    assert (len(few), few.images.shape, few.labels.tolist()) == (2, (2, 8, 8, 3), [0, 1])
    np.testing.assert_array_equal(few.images[:], ImageFiles(paths(folder)[:2], size=8)[:])
    for n, message in (
        (0, "n must be at least 1, got n=0"),
        (3, "at most the 2 images that there"),
    ):
        with pytest.raises(ValueError, match=message):
            few.take(n)
    with pytest.raises(TypeError, match=r"n must be an int, got n=1\.5"):
        few.take(1.5)  # pyright: ignore[reportArgumentType]
