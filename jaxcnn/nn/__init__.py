"""Linen modules with torch.nn's names, arguments, defaults and state_dict keys."""

from jaxcnn.nn.activation import ReLU, Sigmoid
from jaxcnn.nn.container import Sequential
from jaxcnn.nn.conv import Conv1d, Conv2d, Conv3d
from jaxcnn.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxcnn.nn.dropout import Dropout
from jaxcnn.nn.flatten import Flatten
from jaxcnn.nn.fold import Fold, Unfold
from jaxcnn.nn.linear import Identity, Linear
from jaxcnn.nn.normalization import BatchNorm2d
from jaxcnn.nn.pooling import AvgPool2d, MaxPool2d
from jaxcnn.nn.vision import DeformConv2d

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DeformConv2d",
    "Dropout",
    "Flatten",
    "Fold",
    "Identity",
    "Linear",
    "MaxPool2d",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Unfold",
]
