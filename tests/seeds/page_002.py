"""Page 002: convolution, pooling, upsampling and the normalisations, as classes and functions."""

from __future__ import annotations

from typing import Any

import jax

from jaxcnn import nn

from .example import Code, Function, Layer, first, last, numbers

IMAGE = (1, 16, 7, 7)
INTERPOLATIONS = {
    "nearest": {"mode": "nearest"},
    "bilinear": {"mode": "bilinear"},
    "bilinear-corners": {"mode": "bilinear", "align_corners": True},
    "area": {"mode": "area"},
}


def normalized_torch(torch: Any) -> Any:
    """What is averaged over, in PyTorch's (n, c, l)."""
    x = torch.tensor(numbers("x", (6, 3, 784)))
    return {
        "batch": torch.nn.BatchNorm1d(3, affine=False).double()(x),
        "layer": torch.nn.LayerNorm((3, 784), elementwise_affine=False)(x),
        "instance": torch.nn.InstanceNorm1d(3)(x),
    }


def normalized() -> Any:
    x = last(numbers("x", (6, 3, 784)))
    batch, _ = nn.BatchNorm1d(3, affine=False).init_with_output(jax.random.key(0), x, train=True)
    return {
        "batch": first(batch),
        "layer": first(nn.LayerNorm((784, 3), elementwise_affine=False).apply({}, x)),
        "instance": first(nn.InstanceNorm1d(3).apply({}, x)),
    }


def modes_torch(torch: Any) -> Any:
    layer = torch.nn.BatchNorm2d(3).double()
    x = torch.tensor(numbers("x", (4, 3, 5, 5)))
    trained = layer(x)
    return {"trained": trained, "evaluated": layer.eval()(x), "mean": layer.running_mean}


def modes() -> Any:
    layer, x = nn.BatchNorm2d(3), last(numbers("x", (4, 3, 5, 5)))
    variables = layer.init(jax.random.key(0), x)
    trained, new = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    evaluated = layer.apply({**variables, **new}, x)
    return {
        "trained": first(trained),
        "evaluated": first(evaluated),
        "mean": new["batch_stats"]["running_mean"],
    }


EXAMPLES = {
    "conv2d-layer": Layer(
        "from 1 to 3 channels with stride 2: half the size; weights are (out, in, h, w)",
        lambda nn: nn.Conv2d(1, 3, kernel_size=3, stride=2, padding=1),
        (1, 1, 28, 28),
        {"output": (1, 3, 14, 14), "weight": (3, 1, 3, 3), "bias": (3,)},
    ),
    "conv2d-kernel-not-square": Layer(
        "kernel and stride as pairs",
        lambda nn: nn.Conv2d(1, 2, kernel_size=(2, 3), stride=(2, 3)),
        (1, 1, 8, 9),
        {"output": (1, 2, 4, 3), "weight": (2, 1, 2, 3)},
    ),
    "conv2d-function": Function(
        "sixteen kernels of 5 x 5 made by hand",
        lambda F, x, w, b: F.conv2d(x, w, b, stride=1, padding=1),
        [(1, 3, 28, 28), (16, 3, 5, 5), (16,)],
        {"output": (1, 16, 26, 26)},
    ),
    "conv2d-function-stride": Function(
        "the same with stride 2",
        lambda F, x, w, b: F.conv2d(x, w, b, stride=2, padding=2),
        [(1, 3, 28, 28), (16, 3, 5, 5), (16,)],
        {"output": (1, 16, 14, 14)},
    ),
    "max-pool-layer": Layer(
        "max pooling halves the size and keeps the channels",
        lambda nn: nn.MaxPool2d(2, stride=2),
        (1, 16, 14, 14),
        {"output": IMAGE},
    ),
    "avg-pool-function": Function(
        "so does the average",
        lambda F, x: F.avg_pool2d(x, 2, stride=2),
        [(1, 16, 14, 14)],
        {"output": IMAGE},
    ),
    "adaptive-pool": Layer(
        "an average over the whole image",
        lambda nn: nn.AdaptiveAvgPool2d((1, 1)),
        IMAGE,
        {"output": (1, 16, 1, 1)},
    ),
    "adaptive-pool-any-size": Layer(
        "or to any other size, larger ones too",
        lambda nn: nn.AdaptiveAvgPool2d((3, 9)),
        IMAGE,
        {"output": (1, 16, 3, 9)},
    ),
    **{
        f"interpolate-{name}": Function(
            "upsampling by a factor",
            lambda F, x, options=options: F.interpolate(x, scale_factor=2, **options),
            [IMAGE],
            {"output": (1, 16, 14, 14)},
        )
        for name, options in INTERPOLATIONS.items()
    },
    "interpolate-size": Function(
        "upsampling to a size",
        lambda F, x: F.interpolate(x, size=(10, 12), mode="bilinear"),
        [IMAGE],
        {"output": (1, 16, 10, 12)},
    ),
    "interpolate-linear": Function(
        "of a signal",
        lambda F, x: F.interpolate(x, scale_factor=2, mode="linear"),
        [(1, 3, 7)],
        {"output": (1, 3, 14)},
    ),
    "interpolate-trilinear": Function(
        "of a volume",
        lambda F, x: F.interpolate(x, scale_factor=2, mode="trilinear"),
        [(1, 2, 3, 4, 5)],
        {"output": (1, 2, 6, 8, 10)},
    ),
    "relu-layer": Layer(
        "ReLU as a layer",
        lambda nn: nn.ReLU(inplace=True),
        (1, 16, 14, 14),
        {"output": (1, 16, 14, 14)},
    ),
    "relu-function": Function(
        "and as a function",
        lambda F, x: F.relu(x),
        [(1, 16, 14, 14)],
        {"output": (1, 16, 14, 14)},
    ),
    "what-is-averaged": Code(
        "batch, layer and instance normalisation average over different axes",
        normalized_torch,
        normalized,
        {"batch": (6, 3, 784), "layer": (6, 3, 784), "instance": (6, 3, 784)},
    ),
    "batch-norm-1d": Layer(
        "flattened images; one batch moves the running statistics a tenth of the way",
        lambda nn: nn.BatchNorm1d(16),
        (100, 16, 784),
        {"output": (100, 16, 784), "running_mean": (16,), "running_var": (16,)},
        train=True,
    ),
    "batch-norm-2d": Layer(
        "one image; the layer's parameters and buffers",
        lambda nn: nn.BatchNorm2d(16),
        IMAGE,
        {
            "output": IMAGE,
            "weight": (16,),
            "bias": (16,),
            "running_mean": (16,),
            "running_var": (16,),
            "num_batches_tracked": (),
        },
        train=True,
    ),
    "batch-norm-no-affine": Layer(
        "affine=False leaves no parameters",
        lambda nn: nn.BatchNorm2d(16, affine=False),
        IMAGE,
        {"output": IMAGE, "running_mean": (16,)},
        train=True,
    ),
    "train-and-eval": Code(
        "evaluation uses the running statistics, training the batch's",
        modes_torch,
        modes,
        {"trained": (4, 3, 5, 5), "evaluated": (4, 3, 5, 5), "mean": (3,)},
    ),
}
