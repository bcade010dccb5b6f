"""Image data sets, embedded, downloaded or from folders, and random changes to their images."""

from jaxcnn.data.augment import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    center_crop,
    color_jitter,
    compose,
    cutmix,
    equalize,
    invert,
    mixup,
    mixup_or_cutmix,
    normalize,
    posterize,
    rand_augment,
    random_crop,
    random_erasing,
    random_grayscale,
    random_horizontal_flip,
    random_resized_crop,
    random_vertical_flip,
    solarize,
    trivial_augment_wide,
)
from jaxcnn.data.batches import epoch_batches
from jaxcnn.data.catalog import list_datasets, load
from jaxcnn.data.dataset import ImageDataset
from jaxcnn.data.folder import load_folder
from jaxcnn.data.formats import DataError
from jaxcnn.data.holdout import hold_out
from jaxcnn.data.image_files import Dataset, FileDataset, ImageFiles
from jaxcnn.data.workers import batches

__all__ = [
    "DataError",
    "Dataset",
    "FileDataset",
    "ImageDataset",
    "ImageFiles",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "batches",
    "center_crop",
    "color_jitter",
    "compose",
    "cutmix",
    "epoch_batches",
    "equalize",
    "hold_out",
    "invert",
    "list_datasets",
    "load",
    "load_folder",
    "mixup",
    "mixup_or_cutmix",
    "normalize",
    "posterize",
    "rand_augment",
    "random_crop",
    "random_erasing",
    "random_grayscale",
    "random_horizontal_flip",
    "random_resized_crop",
    "random_vertical_flip",
    "solarize",
    "trivial_augment_wide",
]
