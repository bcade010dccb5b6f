"""Random changes to a batch of images, as pure functions that run inside the compiled step."""

from jaxcnn.data.augment.auto_augment import rand_augment, trivial_augment_wide
from jaxcnn.data.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    color_jitter,
    normalize,
    random_grayscale,
)
from jaxcnn.data.augment.erasing import random_erasing
from jaxcnn.data.augment.geometry import (
    center_crop,
    random_crop,
    random_horizontal_flip,
    random_resized_crop,
    random_vertical_flip,
)
from jaxcnn.data.augment.mixing import cutmix, mixup, mixup_or_cutmix
from jaxcnn.data.augment.pipeline import compose
from jaxcnn.data.augment.tone import autocontrast, equalize, invert, posterize, solarize

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "center_crop",
    "color_jitter",
    "compose",
    "cutmix",
    "equalize",
    "invert",
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
