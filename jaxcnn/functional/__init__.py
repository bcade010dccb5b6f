"""Pure functions with torch.nn.functional's names, arguments and numbers, channels-last."""

from jaxcnn.functional.activation import relu, sigmoid
from jaxcnn.functional.conv import conv1d, conv2d, conv3d
from jaxcnn.functional.conv_transpose import (
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from jaxcnn.functional.dropout import dropout
from jaxcnn.functional.fold import fold, unfold
from jaxcnn.functional.linear import linear
from jaxcnn.functional.loss import cross_entropy
from jaxcnn.functional.normalization import batch_norm
from jaxcnn.functional.padding import pad
from jaxcnn.functional.pooling import avg_pool2d, max_pool2d
from jaxcnn.functional.resize import interpolate
from jaxcnn.functional.vision import deform_conv2d

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "deform_conv2d",
    "dropout",
    "fold",
    "interpolate",
    "linear",
    "max_pool2d",
    "pad",
    "relu",
    "sigmoid",
    "unfold",
]
