"""Page 003: the parts of a convolutional network, sampling, and two attention modules."""

from __future__ import annotations

import collections
from typing import Any

import jax.numpy as jnp

from jaxcnn import nn

from .example import Code, Function, Layer, fill, fill_torch, first, last, numbers

TOKENS = (2, 5, 16)
ACTIVATIONS = {
    "sigmoid": lambda nn: nn.Sigmoid(),
    "tanh": lambda nn: nn.Tanh(),
    "relu": lambda nn: nn.ReLU(),
    "leaky-relu": lambda nn: nn.LeakyReLU(0.1),
    "elu": lambda nn: nn.ELU(),
    "gelu": lambda nn: nn.GELU(),
}


def heads_torch(torch: Any) -> Any:
    x = torch.tensor(numbers("x", (2, 49, 64)))
    return {"output": x.view(2, 49, 8, 8).permute(0, 2, 1, 3)}


def heads() -> Any:
    x = jnp.asarray(numbers("x", (2, 49, 64)))
    return {"output": x.reshape(2, 49, 8, 8).transpose(0, 2, 1, 3)}


def ssdpa_torch(torch: Any) -> Any:
    """The module that the page names, from its description: no projections but the last."""
    d_model, h = 16, 4
    fc_o = fill_torch(torch, torch.nn.ModuleDict({"fc_o": torch.nn.Linear(d_model, d_model)}))
    x = torch.tensor(numbers("x", TOKENS))
    split = x.view(*TOKENS[:2], h, d_model // h).permute(0, 2, 1, 3)
    mixed = torch.nn.functional.scaled_dot_product_attention(split, split, split)
    return {"output": fc_o["fc_o"](mixed.permute(0, 2, 1, 3).reshape(TOKENS))}


def ssdpa() -> Any:
    x = jnp.asarray(numbers("x", TOKENS))
    module = nn.SimplifiedScaledDotProductAttention(d_model=16, h=4)
    return {"output": module.apply(fill(module, x, x, x), x, x, x)}


def sk_torch(torch: Any) -> Any:
    """The module that the page names, from its description, with kernels of 1 and 3."""
    layers = torch.nn

    def branch(k: int) -> Any:
        conv = layers.Conv2d(8, 8, k, padding=k // 2)
        named = {"conv": conv, "bn": layers.BatchNorm2d(8), "relu": layers.ReLU()}
        return layers.Sequential(collections.OrderedDict(named))

    parts = layers.ModuleDict(
        {
            "convs": layers.ModuleList(branch(k) for k in (1, 3)),
            "fc": layers.Linear(8, 4),
            "fcs": layers.ModuleList(layers.Linear(4, 8) for _ in range(2)),
        }
    )
    fill_torch(torch, parts).eval()
    x = torch.tensor(numbers("x", (2, 8, 5, 5)))
    branches = torch.stack([branch(x) for branch in parts["convs"]])
    z = parts["fc"](branches.sum(0).mean((-2, -1)))
    weights = torch.softmax(torch.stack([layer(z) for layer in parts["fcs"]]), 0)
    return {"output": (weights[..., None, None] * branches).sum(0)}


def sk() -> Any:
    x = last(numbers("x", (2, 8, 5, 5)))
    module = nn.SKAttention(channel=8, kernels=[1, 3], reduction=2, L=4)
    return {"output": first(module.apply(fill(module, x), x))}


EXAMPLES = {
    "conv2d-stride-3": Layer(
        "5 pixels, kernel 3, stride 3, padding 2: floor((5 + 2*2 - 3) / 3) + 1 = 3",
        lambda nn: nn.Conv2d(1, 1, kernel_size=3, stride=3, padding=2),
        (1, 1, 5, 5),
        {"output": (1, 1, 3, 3)},
    ),
    "max-pool": Layer(
        "max pooling", lambda nn: nn.MaxPool2d(2), (1, 2, 6, 6), {"output": (1, 2, 3, 3)}
    ),
    "avg-pool": Layer(
        "average pooling", lambda nn: nn.AvgPool2d(2), (1, 2, 6, 6), {"output": (1, 2, 3, 3)}
    ),
    "max-unpool": Function(
        "the largest go back to their places",
        lambda F, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
        [(1, 2, 6, 6)],
        {"output": (1, 2, 6, 6)},
    ),
    "linear": Layer(
        "y = x W^T + bias",
        lambda nn: nn.Linear(5, 3),
        (4, 5),
        {"output": (4, 3), "weight": (3, 5)},
    ),
    "normalised-linear": Layer(
        "batch normalisation after a linear layer",
        lambda nn: nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)),
        (4, 5),
        {"output": (4, 3)},
        train=True,
    ),
    "normalised-conv": Layer(
        "after a convolution",
        lambda nn: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)),
        (4, 2, 5, 5),
        {"output": (4, 3, 3, 3)},
        train=True,
    ),
    "normalised-sequence": Layer(
        "layer normalisation of a sequence",
        lambda nn: nn.LayerNorm((16,), eps=1e-6),
        TOKENS,
        {"output": TOKENS, "weight": (16,)},
        images=False,
    ),
    **{
        f"activation-{name}": Layer(
            "an activation", build, (2, 3, 4, 4), {"output": (2, 3, 4, 4)}, scale=3.0
        )
        for name, build in ACTIVATIONS.items()
    },
    "up-bilinear": Function(
        "upsampling by interpolation",
        lambda F, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        [(1, 2, 4, 4)],
        {"output": (1, 2, 8, 8)},
    ),
    "up-bicubic": Function(
        "with a cubic",
        lambda F, x: F.interpolate(x, scale_factor=2, mode="bicubic"),
        [(1, 2, 4, 4)],
        {"output": (1, 2, 8, 8)},
    ),
    "up-transposed": Layer(
        "upsampling that is learned",
        lambda nn: nn.ConvTranspose2d(2, 2, kernel_size=2, stride=2),
        (1, 2, 4, 4),
        {"output": (1, 2, 8, 8)},
    ),
    "down-strided": Layer(
        "a convolution with stride 2 samples down",
        lambda nn: nn.Conv2d(2, 2, kernel_size=3, stride=2, padding=1),
        (1, 2, 8, 8),
        {"output": (1, 2, 4, 4)},
    ),
    "view-permute": Code(
        "the features split into heads, which come before the tokens",
        heads_torch,
        heads,
        {"output": (2, 8, 49, 8)},
    ),
    "simplified-attention": Code(
        "SimplifiedScaledDotProductAttention called on queries, keys and values",
        ssdpa_torch,
        ssdpa,
        {"output": TOKENS},
    ),
    "sk-attention": Code(
        "SKAttention, softly choosing between kernels", sk_torch, sk, {"output": (2, 8, 5, 5)}
    ),
}
