"""ImageDataset: what it accepts, and its two views."""

import re

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import ImageDataset, load

IMAGES = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)
LABELS = np.array([0, 1, 1, 0], np.int32)


def make(images=IMAGES, labels=LABELS, class_names=("a", "b")) -> ImageDataset:
    return ImageDataset(images, labels, class_names, "name", "train")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        pytest.param(
            {"images": IMAGES.astype(np.float32)},
            TypeError,
            "images must be a NumPy array of uint8, got images of float32",
            id="float-images",
        ),
        pytest.param(
            {"images": IMAGES.tolist()}, TypeError, "got images of list", id="list-images"
        ),
        pytest.param(
            {"labels": LABELS.astype(np.int64)},
            TypeError,
            "labels must be a NumPy array of int32, got labels of int64",
            id="long-labels",
        ),
        pytest.param(
            {"images": IMAGES[..., 0]},
            ValueError,
            "must have the shape (n, h, w, c), got images.shape=(4, 2, 3)",
            id="no-channel-axis",
        ),
        pytest.param(
            {"labels": LABELS[:3]},
            ValueError,
            "one label for each image, got images.shape=(4, 2, 3, 3), labels.shape=(3,)",
            id="too-few-labels",
        ),
        pytest.param(
            {"labels": LABELS[:, None]}, ValueError, "labels.shape=(4, 1)", id="label-matrix"
        ),
        pytest.param(
            {"class_names": ("a",)},
            ValueError,
            "must lie in range(1), the number of class_names, got labels[1]=1",
            id="label-without-name",
        ),
        pytest.param({"labels": -LABELS}, ValueError, "got labels[1]=-1", id="negative-label"),
    ],
)
def test_rejects(fields, error, message):
    with pytest.raises(error, match=re.escape(f"{message}.")):
        make(**fields)


def test_length_and_repr():
    assert len(make()) == 4
    assert repr(make()) == (
        "ImageDataset(name='name', split='train', images=(4, 2, 3, 3), classes=2)"
    )


def test_take_is_a_view_of_the_first_images():
    few = make().take(3)
    assert len(few) == 3
    assert np.shares_memory(few.images, IMAGES)
    np.testing.assert_array_equal(few.images, IMAGES[:3])
    np.testing.assert_array_equal(few.labels, LABELS[:3])
    assert (few.name, few.split, few.class_names) == ("name", "train", ("a", "b"))


@pytest.mark.parametrize("n", [0, -1, 5])
def test_take_rejects(n):
    with pytest.raises(ValueError, match=rf"between 1 and the 4 images that there are, got n={n}"):
        make().take(n)


def test_take_rejects_a_fraction():
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        make().take(1.5)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("size", [7, (5, 9), (1, 2)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_pillows_bilinear(size, channels):
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 4, channels), dtype=np.uint8)
    resized = make(images, LABELS[:3]).resize(size)
    height, width = (size, size) if isinstance(size, int) else size
    for old, new in zip(images, resized.images, strict=True):
        picture = Image.fromarray(old[..., 0] if channels == 1 else old)
        expected = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(new, expected.reshape(height, width, channels))
    np.testing.assert_array_equal(resized.labels, LABELS[:3])


def test_resize_brings_digits_to_28_pixels():
    digits = load("digits", "test").resize(28)
    assert digits.images.shape == (359, 28, 28, 1)
    assert digits.images.dtype == np.uint8
    assert digits.resize((28, 28)) is digits


@pytest.mark.parametrize("size", [0, -3, (4, 0)], ids=str)
def test_resize_rejects(size):
    with pytest.raises(ValueError, match=re.escape(f"at least 1 pixel, got size={size!r}.")):
        make().resize(size)
