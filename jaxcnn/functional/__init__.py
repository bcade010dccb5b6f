"""Pure functions with torch.nn.functional's names, arguments and numbers, channels-last."""

from jaxcnn.functional.activation import relu, sigmoid
from jaxcnn.functional.conv import conv2d
from jaxcnn.functional.dropout import dropout
from jaxcnn.functional.linear import linear
from jaxcnn.functional.loss import cross_entropy
from jaxcnn.functional.normalization import batch_norm
from jaxcnn.functional.padding import pad
from jaxcnn.functional.pooling import avg_pool2d, max_pool2d
from jaxcnn.functional.resize import interpolate

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "interpolate",
    "linear",
    "max_pool2d",
    "pad",
    "relu",
    "sigmoid",
]
