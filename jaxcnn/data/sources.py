"""What is known about each downloadable data set: one row a set, no code.

Versions, features, addresses and checksums are those of the builders that
tensorflow-datasets ships under the same names, so that either library reads what the
other prepared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from jaxcnn.data.formats import (
    Arrays,
    Blob,
    Encoded,
    parse_cifar,
    parse_mnist,
    parse_stl10,
    read_cats_vs_dogs,
)


@dataclasses.dataclass(frozen=True)
class Download:
    """One file on the internet.

    Attributes:
      url: Its address.
      size: Its length in bytes.
      sha256: Its checksum, hexadecimal.
    """

    url: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from and how its files are read.

    Attributes:
      name: Name in the catalog and in TFDS.
      version: Version of the TFDS builder.
      homepage: Where its authors describe it.
      description: One sentence.
      image_shape: `(h, w, c)`.
      labels: Class names by TFDS feature, in the order of a record's bytes; `"label"` is the
        class to predict.
      files: The original, unpacked file names of each split.
      subfolder: Where other tools unpack them, below the folder a user names.
      parse: Turns the files of a split into arrays.
      downloads: The files to fetch; one archive, or every file of `files` as .gz.
      archive: File name of that archive; None if the files come one by one.
      ids: Whether TFDS numbers the images in a feature `id`.
    """

    name: str
    version: str
    homepage: str
    description: str
    image_shape: tuple[int, int, int]
    labels: Mapping[str, tuple[str, ...]]
    files: Mapping[str, tuple[str, ...]]
    subfolder: str
    parse: Callable[[Sequence[Blob], Mapping[str, tuple[str, ...]]], Arrays]
    downloads: tuple[Download, ...]
    archive: str | None = None
    ids: bool = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes to predict."""
        return self.labels["label"]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits."""
        return tuple(self.files)


@dataclasses.dataclass(frozen=True)
class FileSource:
    """Where a data set comes from whose images are one file each, of different sizes.

    Attributes:
      name: Name in the catalog and in TFDS.
      version: Version of the TFDS builder.
      homepage: Where its authors describe it.
      description: One sentence.
      class_names: The names of the classes to predict.
      filename_feature: What TFDS calls the feature with an image's file name.
      downloads: The one archive to fetch.
      read: Yields the images that belong to the set, from the archive.
      splits: The names of the splits; all images are in the one that there is.
    """

    name: str
    version: str
    homepage: str
    description: str
    class_names: tuple[str, ...]
    filename_feature: str
    downloads: tuple[Download]
    read: Callable[[Path], Iterator[Encoded]]
    splits: tuple[str] = ("train",)


_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR_URL = "https://www.cs.toronto.edu/~kriz/"
_IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
DIGITS = tuple("0123456789")
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
_STL10_CLASSES = "airplane bird car cat deer dog horse monkey ship truck"
_CIFAR100_GROUPS = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things
large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
_CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain
mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain
plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

_MNIST = Source(
    name="mnist",
    version="3.0.1",
    homepage="http://yann.lecun.com/exdb/mnist/",
    description="Handwritten digits: 60,000 and 10,000 grey images of 28x28 pixels.",
    image_shape=(28, 28, 1),
    labels={"label": DIGITS},
    files=_IDX_FILES,
    subfolder="MNIST/raw",
    parse=parse_mnist,
    downloads=(
        Download(
            _MNIST_URL + "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        Download(
            _MNIST_URL + "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        Download(
            _MNIST_URL + "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Download(
            _MNIST_URL + "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
)

_FASHION_MNIST = Source(
    name="fashion_mnist",
    version="3.0.1",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    description="Clothes from a shop: 60,000 and 10,000 grey images of 28x28 pixels.",
    image_shape=(28, 28, 1),
    labels={"label": _FASHION_CLASSES},
    files=_IDX_FILES,
    subfolder="FashionMNIST/raw",
    parse=parse_mnist,
    downloads=(
        Download(
            _FASHION_URL + "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        Download(
            _FASHION_URL + "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        Download(
            _FASHION_URL + "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        Download(
            _FASHION_URL + "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)

_CIFAR10 = Source(
    name="cifar10",
    version="3.0.2",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    description="Animals and vehicles: 50,000 and 10,000 colour images of 32x32 pixels.",
    image_shape=(32, 32, 3),
    labels={"label": tuple(_CIFAR10_CLASSES.split())},
    files={
        "train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test": ("test_batch.bin",),
    },
    subfolder="cifar-10-batches-bin",
    parse=parse_cifar,
    downloads=(
        Download(
            _CIFAR_URL + "cifar-10-binary.tar.gz",
            170052171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    archive="cifar-10-binary.tar.gz",
    ids=True,
)

_CIFAR100 = Source(
    name="cifar100",
    version="3.0.2",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    description="A hundred kinds of things: 50,000 and 10,000 colour images of 32x32 pixels.",
    image_shape=(32, 32, 3),
    labels={
        "coarse_label": tuple(_CIFAR100_GROUPS.split()),
        "label": tuple(_CIFAR100_CLASSES.split()),
    },
    files={"train": ("train.bin",), "test": ("test.bin",)},
    subfolder="cifar-100-binary",
    parse=parse_cifar,
    downloads=(
        Download(
            _CIFAR_URL + "cifar-100-binary.tar.gz",
            168513733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        ),
    ),
    archive="cifar-100-binary.tar.gz",
    ids=True,
)

_STL10 = Source(
    name="stl10",
    version="1.0.0",
    homepage="http://ai.stanford.edu/~acoates/stl10/",
    description="Animals and vehicles: 5,000 and 8,000 colour images of 96x96 pixels.",
    image_shape=(96, 96, 3),
    labels={"label": tuple(_STL10_CLASSES.split())},
    files={"train": ("train_X.bin", "train_y.bin"), "test": ("test_X.bin", "test_y.bin")},
    subfolder="stl10_binary",
    parse=parse_stl10,
    downloads=(
        Download(
            "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            2640397119,
            "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        ),
    ),
    archive="stl10_binary.tar.gz",
)

_CATS_VS_DOGS = FileSource(
    name="cats_vs_dogs",
    version="4.0.1",
    homepage="https://www.microsoft.com/en-us/download/details.aspx?id=54765",
    description="Cats and dogs: 23,262 photographs; another 1,738 files, broken, are left out.",
    class_names=("cat", "dog"),
    filename_feature="image/filename",
    downloads=(
        Download(
            "https://download.microsoft.com/download/3/E/1/"
            "3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
            824887076,
            "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
        ),
    ),
    read=read_cats_vs_dogs,
)

SOURCES = {s.name: s for s in (_MNIST, _FASHION_MNIST, _CIFAR10, _CIFAR100, _STL10)}
FILE_SOURCES = {s.name: s for s in (_CATS_VS_DOGS,)}
