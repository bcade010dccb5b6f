"""Linen modules with torch.nn's names, arguments, defaults and state_dict keys."""

from jaxcnn.nn.activation import ReLU, Sigmoid
from jaxcnn.nn.container import Sequential
from jaxcnn.nn.conv import Conv2d
from jaxcnn.nn.dropout import Dropout
from jaxcnn.nn.flatten import Flatten
from jaxcnn.nn.linear import Identity, Linear
from jaxcnn.nn.normalization import BatchNorm2d
from jaxcnn.nn.pooling import AvgPool2d, MaxPool2d

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Sequential",
    "Sigmoid",
]
