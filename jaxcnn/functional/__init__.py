"""Pure functions with torch.nn.functional's names, arguments and numbers, channels-last."""

from jaxcnn.functional.activation import (
    celu,
    elu,
    gelu,
    glu,
    logsigmoid,
    mish,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
    tanhshrink,
)
from jaxcnn.functional.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from jaxcnn.functional.attention import scaled_dot_product_attention
from jaxcnn.functional.avg_pooling import avg_pool1d, avg_pool2d, avg_pool3d
from jaxcnn.functional.batch_norm import batch_norm, instance_norm
from jaxcnn.functional.conv import conv1d, conv2d, conv3d
from jaxcnn.functional.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from jaxcnn.functional.dropout import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from jaxcnn.functional.embedding import embedding, embedding_renorm
from jaxcnn.functional.fold import fold, unfold
from jaxcnn.functional.fractional_pooling import fractional_max_pool2d, fractional_max_pool3d
from jaxcnn.functional.grid import affine_grid, grid_sample
from jaxcnn.functional.linear import bilinear, linear
from jaxcnn.functional.loss import cross_entropy
from jaxcnn.functional.lp_pooling import lp_pool1d, lp_pool2d, lp_pool3d
from jaxcnn.functional.max_pooling import max_pool1d, max_pool2d, max_pool3d
from jaxcnn.functional.multi_head_attention import multi_head_attention_forward
from jaxcnn.functional.normalization import (
    group_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)
from jaxcnn.functional.padding import pad
from jaxcnn.functional.piecewise import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
    rrelu,
    softshrink,
    threshold,
)
from jaxcnn.functional.pixelshuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from jaxcnn.functional.resize import interpolate, upsample, upsample_bilinear, upsample_nearest
from jaxcnn.functional.softmax import log_softmax, softmax, softmin
from jaxcnn.functional.unpooling import max_unpool1d, max_unpool2d, max_unpool3d
from jaxcnn.functional.vision import deform_conv2d, drop_path

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "deform_conv2d",
    "drop_path",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "embedding_renorm",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "instance_norm",
    "interpolate",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "multi_head_attention_forward",
    "normalize",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
