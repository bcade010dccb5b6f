"""Linen modules with torch.nn's names, arguments, defaults and state_dict keys."""

from jaxcnn.nn.activation import ReLU, Sigmoid
from jaxcnn.nn.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from jaxcnn.nn.avg_pooling import AvgPool1d, AvgPool2d, AvgPool3d
from jaxcnn.nn.batch_norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    SyncBatchNorm,
)
from jaxcnn.nn.container import Sequential
from jaxcnn.nn.conv import Conv1d, Conv2d, Conv3d
from jaxcnn.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from jaxcnn.nn.dropout import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from jaxcnn.nn.flatten import Flatten
from jaxcnn.nn.fold import Fold, Unfold
from jaxcnn.nn.fractional_pooling import FractionalMaxPool2d, FractionalMaxPool3d
from jaxcnn.nn.linear import Identity, Linear
from jaxcnn.nn.lp_pooling import LPPool1d, LPPool2d, LPPool3d
from jaxcnn.nn.max_pooling import MaxPool1d, MaxPool2d, MaxPool3d
from jaxcnn.nn.normalization import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from jaxcnn.nn.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from jaxcnn.nn.vision import DeformConv2d, DropPath

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AlphaDropout",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DeformConv2d",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "Flatten",
    "Fold",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LayerNorm",
    "Linear",
    "LocalResponseNorm",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SyncBatchNorm",
    "Unfold",
]
