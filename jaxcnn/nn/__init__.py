"""Linen modules with torch.nn's names, arguments, defaults and state_dict keys."""

from jaxcnn.nn.activation import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
    Tanhshrink,
)
from jaxcnn.nn.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
)
from jaxcnn.nn.attention import MultiheadAttention, SimplifiedScaledDotProductAttention
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
from jaxcnn.nn.embedding import Embedding
from jaxcnn.nn.flatten import Flatten
from jaxcnn.nn.fold import Fold, Unfold
from jaxcnn.nn.fractional_pooling import FractionalMaxPool2d, FractionalMaxPool3d
from jaxcnn.nn.linear import Bilinear, Identity, Linear
from jaxcnn.nn.lp_pooling import LPPool1d, LPPool2d, LPPool3d
from jaxcnn.nn.max_pooling import MaxPool1d, MaxPool2d, MaxPool3d
from jaxcnn.nn.normalization import GroupNorm, LayerNorm, LocalResponseNorm, RMSNorm
from jaxcnn.nn.piecewise import (
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Softshrink,
    Threshold,
)
from jaxcnn.nn.sk_attention import SKAttention
from jaxcnn.nn.softmax import LogSoftmax, Softmax, Softmax2d, Softmin
from jaxcnn.nn.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from jaxcnn.nn.vision import DeformConv2d, DropPath

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
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
    "Bilinear",
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
    "Embedding",
    "FeatureAlphaDropout",
    "Flatten",
    "Fold",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "GroupNorm",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RMSNorm",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SKAttention",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SimplifiedScaledDotProductAttention",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "SyncBatchNorm",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Unfold",
]
