"""Small PyTorch nets with what files of converted modules are made of."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import pytest

torch = pytest.importorskip("torch")
nn, TF = torch.nn, torch.nn.functional


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))

    def forward(self, x: Any) -> Any:
        y = self.bn(self.conv(x))
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(y + identity)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(Block(3, 3), Block(3, 3), Block(3, 3))
        self.layer2 = nn.Sequential(Block(3, 6, 2), Block(6, 6))
        self.fc = nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(TF.adaptive_avg_pool2d(x, 1), 1))


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.table = nn.Parameter(0.1 * torch.randn(16, heads))
        self.register_buffer("index", (torch.arange(256) * 7 % 16))
        self.rate = 0.1

    def forward(self, x: Any) -> Any:
        n, length, dim = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) * 0.5
        scores = scores + self.table[self.index].view(16, 16, -1).permute(2, 0, 1)[None]
        scores = TF.dropout(scores.softmax(-1), self.rate, self.training)
        return (scores @ v).transpose(1, 2).reshape(n, length, dim)


class Layer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.scale = nn.Parameter(1e-2 * torch.ones(dim))

    def forward(self, x: Any) -> Any:
        x = x + self.attn(self.norm(x))
        return x + self.scale * self.mlp(x)


class Transformer(nn.Module):
    """Attention, parameters and buffers of its own, dropout, a list that is gone through."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, 2)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.unused = nn.Parameter(torch.ones(3))
        self.head = nn.Module()
        self.head.spare = nn.Linear(8, 2)
        self.blocks = nn.ModuleList(Layer(8, 2) for _ in range(3))

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        token = self.token.expand(len(x), -1, -1)
        x = torch.cat([token, x[:, 1:]], 1)
        for block in self.blocks:
            x = block(x)
        return x.mean(1)


class Down(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.pool, self.conv = nn.MaxPool2d(2), nn.Conv2d(inputs, 2 * inputs, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return TF.relu(self.conv(self.pool(x)))


class Up(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2)
        self.conv = nn.Conv2d(inputs, inputs // 2, 3, padding=1)

    def forward(self, x: Any, skip: Any) -> Any:
        return TF.relu(self.conv(torch.cat([skip, self.up(x)], 1)))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.downs = nn.ModuleList([Down(4), Down(8)])
        self.ups = nn.ModuleList([Up(16), Up(8)])

    def forward(self, x: Any) -> Any:
        skips = [self.stem(x)]
        for down in self.downs:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for up in self.ups:
            x = up(x, skips.pop())
        return {"map": x, "sizes": [x.mean((2, 3)), x.shape[0]]}


class Gate(nn.Module):
    def __init__(self, shared: Any) -> None:
        super().__init__()
        self.shared = [shared]

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.shared[0](x)) * x


class Stem(nn.Sequential):
    def __init__(self, outputs: int, act: Any) -> None:
        super().__init__(nn.Conv2d(4, outputs, 1), nn.BatchNorm2d(outputs), *act)


class Odd(nn.Module):
    """Shared modules, odd names, several calls, constants, a shortcut that some have."""

    def __init__(self) -> None:
        super().__init__()
        self.stems = nn.ModuleDict(
            {"a-b": Stem(4, [nn.ReLU()]), "c": Stem(4, [nn.SiLU()]), "d": Stem(4, [])}
        )
        self.add_module("conv-1", nn.Conv2d(3, 4, 1))
        self.init = nn.Linear(4, 4)
        self.gate = Gate(self.init)
        self.act = nn.Hardtanh()
        self.twin = nn.Linear(4, 4)
        self.twin.weight = nn.Parameter(0.2 * torch.randn(4, 4))
        self.mixed = nn.ModuleList(Mixed(k) for k in (False, True))
        self.offset = torch.arange(4.0)
        self.mask = torch.tensor([[1.0, 0.5], [0.25, 0.0]])

    def forward(self, x: Any) -> Any:
        x = self.get_submodule("conv-1")(x)
        x = self.act(self.stems["a-b"](x)) + self.stems["c"](x) - self.stems["d"](self.act(x))
        x = self.mixed[1](self.mixed[0](x))
        x = x.flatten(2).transpose(1, 2)
        x = self.init(x) ** 2 + self.gate(x) / -(x + 3).abs() + self.offset
        x = TF.linear(TF.linear(x, self.twin.weight), self.twin.weight.t(), self.twin.bias)
        return x.unfold(1, 2, 2) @ self.mask


class Mixed(nn.Module):
    def __init__(self, residual: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.residual = residual

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.residual else self.conv(x)


class Tree(nn.Module):
    """A class of itself."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.left = Tree(depth - 1) if depth else nn.Conv2d(4, 4, 1)
        self.right = nn.Conv2d(4, 4, 1)

    def forward(self, x: Any) -> Any:
        return self.right(self.left(x)) + x


class Head(nn.Module):
    """Its sizes are those of its input, which differ between its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        return self.fc(x.new_ones(n, 1, 1) + x.reshape(n, c, h * w).transpose(1, 2)).mean(1)


class Dense(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2, 1)

    def forward(self, xs: Any) -> Any:
        return self.conv(self.norm(torch.cat(xs, 1)))


class Narrow(nn.Module):
    def __init__(self, inputs: int, middle: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, middle, 1), nn.Conv2d(middle, outputs, 1)

    def forward(self, x: Any) -> Any:
        return self.conv2(TF.relu(self.conv1(x)))


class Nested(nn.Module):
    """Classes of themselves, several methods of a class, lists that grow, shared weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tree, self.head = Tree(2), Head()
        for i in range(4):
            self.add_module(f"dense{i + 1}", Dense(3 + 2 * i))
        self.last = nn.Conv2d(11, 4, 1)
        self.first, self.again = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again.weight = self.first.weight
        self.narrow = nn.Sequential(Narrow(4, 3, 5), Narrow(5, 2, 4))
        self.parts = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))
        self.scales = nn.ParameterList([nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))])

    def forward(self, x: Any) -> Any:
        xs = [x]
        for i in range(4):
            xs.append(self.get_submodule(f"dense{i + 1}")(xs))
        x = self.narrow(self.tree(self.last(torch.cat(xs, 1))))
        x = self.head(x) + self.head(TF.avg_pool2d(x, 2))
        for part in self.parts[:3]:
            x = part(x)
        x = self.parts[3](x - (x.sigmoid() - x / (3 * x.exp())))
        return self.again(self.first(x) * self.scales[1])


NETS = {
    "residual": (Residual, (1, 3, 8, 8)),
    "transformer": (Transformer, (1, 3, 8, 8)),
    "unet": (UNet, (1, 3, 8, 8)),
    "nested": (Nested, (1, 3, 4, 4)),
    "odd": (Odd, (1, 3, 4, 4)),
    "sequential": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()),
        (1, 3, 6, 6),
    ),
    "layer": (lambda: nn.Conv2d(3, 4, 3), (1, 3, 6, 6)),
}


def logcumsumexp(x: Any, dim: int) -> Any:
    return jnp.log(jnp.cumsum(jnp.exp(x), dim))
