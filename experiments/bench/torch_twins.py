"""The nets of the training benchmark in PyTorch, as its users write them.

They have the state_dict keys and shapes of `jaxcnn.models.create(name)`, for SpectFormer with
`token_label=False, drop_path_rate=0`, and start from PyTorch's own initial values.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LayerNorm = partial(nn.LayerNorm, eps=1e-6)


def build(name: str) -> nn.Module:
    return NETS[name]()


def named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * 5 * 5, 120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def cifar10_quick() -> nn.Module:
    layers = nn.Sequential(
        *(nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 5, padding=2), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 5, padding=2), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(64 * 4 * 4, 64), nn.Linear(64, 10)),
    )
    return named(model1=layers)


class Subsample(nn.Module):
    """The shortcut without parameters: every second pixel, and zeros for the new channels."""

    def forward(self, x: Tensor) -> Tensor:
        zeros = x.shape[1] // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, zeros, zeros))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; wider outputs are half as high and wide."""

    def __init__(self, inputs: int, outputs: int, project: bool):
        super().__init__()
        stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 and project:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))
        elif stride > 1:
            self.downsample = Subsample()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut; outputs are 4 times as wide."""

    def __init__(self, inputs: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if inputs != 4 * width:
            conv = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def bottlenecks(inputs: int, width: int, depth: int, stride: int = 2) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, 1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


def stage(inputs: int, outputs: int, depth: int, project: bool) -> nn.Sequential:
    rest = (BasicBlock(outputs, outputs, project) for _ in range(depth - 1))
    return nn.Sequential(BasicBlock(inputs, outputs, project), *rest)


def resnet20() -> nn.Module:
    return named(
        conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(16),
        relu=nn.ReLU(inplace=True),
        layer1=stage(16, 16, 3, project=False),
        layer2=stage(16, 32, 3, project=False),
        layer3=stage(32, 64, 3, project=False),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(64, 10),
    )


def resnet18() -> nn.Module:
    return named(
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        layer1=stage(64, 64, 2, project=True),
        layer2=stage(64, 128, 2, project=True),
        layer3=stage(128, 256, 2, project=True),
        layer4=stage(256, 512, 2, project=True),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(512, 1000),
    )


def resnet50() -> nn.Module:
    return named(
        conv1=nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(inplace=True),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
        layer1=bottlenecks(64, 64, 3, stride=1),
        layer2=bottlenecks(256, 128, 4),
        layer3=bottlenecks(512, 256, 6),
        layer4=bottlenecks(1024, 512, 3),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(2048, 1000),
    )


def conv_norm_act(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: type = nn.ReLU6
) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), act(inplace=True))


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise 3x3 one and a linear 1x1 one."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            *([conv_norm_act(inputs, hidden, 1)] if expansion > 1 else []),
            conv_norm_act(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


def mobilenet_v2() -> nn.Module:
    features: list[nn.Module] = [conv_norm_act(3, 32, 3, stride=2)]
    inputs, expansion = 32, 1
    widths, depths = (16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1)
    for outputs, depth, stride in zip(widths, depths, (1, 2, 2, 2, 1, 2, 1), strict=True):
        for i in range(depth):
            features.append(InvertedResidual(inputs, outputs, stride if i == 0 else 1, expansion))
            inputs, expansion = outputs, 6
    return named(
        features=nn.Sequential(*features, conv_norm_act(320, 1280, 1)),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        classifier=nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000)),
    )


class ToTokens(nn.Module):
    """`(n, c, h, w)` -> `(n, h * w, c)`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class ToMap(nn.Module):
    """`(n, side * side, c)` -> `(n, c, side, side)`."""

    def forward(self, x: Tensor) -> Tensor:
        side = int(x.shape[1] ** 0.5)
        return x.transpose(1, 2).unflatten(2, (side, side))


class SpectralGate(nn.Module):
    """Scales and shifts the phase of each spatial frequency of each channel."""

    def __init__(self, dim: int, side: int):
        super().__init__()
        self.side = side
        self.complex_weight = nn.Parameter(0.02 * torch.randn(side, side // 2 + 1, dim, 2))

    @torch.compiler.disable  # its Triton programs know no complex numbers
    def forward(self, x: Tensor) -> Tensor:
        size = (self.side, self.side)
        spectrum = torch.fft.rfft2(x.unflatten(1, size), dim=(1, 2), norm="ortho")
        # channels_last reorders every parameter with four axes.
        spectrum = spectrum * torch.view_as_complex(self.complex_weight.contiguous())
        return torch.fft.irfft2(spectrum, s=size, dim=(1, 2), norm="ortho").flatten(1, 2)


class Attention(nn.Module):
    """Attention of all tokens, or of the first `queries`, to all tokens."""

    def __init__(self, dim: int, heads: int, queries: int | None = None):
        super().__init__()
        self.heads, self.queries = heads, queries
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q = self.q(x[:, : self.queries]).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A mixer and a feed-forward network with a depthwise convolution, each beside a shortcut."""

    def __init__(self, dim: int, hidden: int, mixer: nn.Module):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = mixer
        self.norm2 = LayerNorm(dim)
        self.mlp = named(
            fc1=nn.Linear(dim, hidden),
            map=ToMap(),
            dwconv=named(dwconv=nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)),
            tokens=ToTokens(),
            act=nn.GELU(),
            fc2=nn.Linear(hidden, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ClassBlock(nn.Module):
    """A class token, which starts as the mean of all tokens and attends to them: `(n, dim)`."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = Attention(dim, heads, queries=1)
        self.norm2 = LayerNorm(dim)
        self.mlp = named(fc1=nn.Linear(dim, 4 * dim), act=nn.GELU(), fc2=nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1)
        first = x[:, :1] + self.attn(self.norm1(x))
        return (first + self.mlp(self.norm2(first))).squeeze(1)


def stem() -> nn.Sequential:
    convs = ((3, 32, 7, 2), (32, 32, 3), (32, 32, 3))
    return nn.Sequential(*(layer for conv in convs for layer in conv_norm_act(*conv, act=nn.ReLU)))


def embed(inputs: int, outputs: int, first: nn.Module) -> nn.Sequential:
    """A convolution of the map that `first` returns, and a norm."""
    proj = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return named(conv=first, proj=proj, tokens=ToTokens(), norm=nn.LayerNorm(outputs))


def blocks(depth: int, dim: int, hidden: int, mixer: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(*(Block(dim, hidden, mixer()) for _ in range(depth)))


def spectformer_h_s() -> nn.Module:
    return named(
        patch_embed1=embed(32, 64, stem()),
        block1=blocks(3, 64, 512, lambda: SpectralGate(64, 56)),
        norm1=LayerNorm(64),
        patch_embed2=embed(64, 128, ToMap()),
        block2=blocks(4, 128, 1024, lambda: SpectralGate(128, 28)),
        norm2=LayerNorm(128),
        patch_embed3=embed(128, 320, ToMap()),
        block3=blocks(6, 320, 1280, lambda: Attention(320, 10)),
        norm3=LayerNorm(320),
        patch_embed4=embed(320, 448, ToMap()),
        block4=blocks(3, 448, 1792, lambda: Attention(448, 14)),
        post_network=nn.Sequential(ClassBlock(448, 14)),
        norm4=LayerNorm(448),
        head=nn.Linear(448, 1000),
    )


NETS = {
    net.__name__: net
    for net in (lenet, cifar10_quick, resnet20, resnet18, resnet50, mobilenet_v2, spectformer_h_s)
}
