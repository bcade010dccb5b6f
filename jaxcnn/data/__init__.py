"""Image data sets as plain uint8 arrays: embedded, downloaded, or from files on disk."""

from jaxcnn.data.augment import random_crop, random_horizontal_flip
from jaxcnn.data.batches import epoch_batches
from jaxcnn.data.catalog import list_datasets, load
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.formats import DataError

__all__ = [
    "DataError",
    "ImageDataset",
    "epoch_batches",
    "list_datasets",
    "load",
    "random_crop",
    "random_horizontal_flip",
]
