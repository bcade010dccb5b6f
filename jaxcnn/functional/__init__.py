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
from jaxcnn.functional.distance import cosine_similarity, pairwise_distance
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
from jaxcnn.functional.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    nll_loss,
)
from jaxcnn.functional.loss_embedding import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from jaxcnn.functional.loss_margin import (
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    soft_margin_loss,
)
from jaxcnn.functional.loss_regression import (
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
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
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
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
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "pad",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "rrelu",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
