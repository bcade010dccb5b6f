"""Equal models in PyTorch and here: as many ways of writing a network as fit on a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import models, nn
from jaxcnn.models.families.cifar_resnet import ResNet
from tests.interop import compare_pairs
from tests.models import twins


def images(*shape: int) -> np.ndarray:
    return np.random.RandomState(1).standard_normal(shape).astype(np.float32)


def in_torch(forward: Callable[[Any, Any], Any], **layers: Any) -> Any:
    """A module with these layers."""
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, layer in layers.items():
                self.add_module(name, layer)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Net()


class Net(linen.Module):
    """The same in linen."""

    forward: Callable[..., Any]
    make: Callable[[], dict[str, Any]]

    def setup(self) -> None:
        for name, layer in self.make().items():
            setattr(self, name, layer)

    def __call__(self, x: Any, train: bool = False) -> Any:
        return self.forward(self, x, train)


def mobile() -> tuple[Any, Any]:
    """Depthwise convolution, squeeze and excitation, one activation used twice."""
    import torch

    def layers(n: Any) -> dict[str, Any]:
        return {
            "expand": n.Conv2d(4, 8, 1, bias=False),
            "bn": n.BatchNorm2d(8),
            "act": n.Hardswish(),
            "depthwise": n.Conv2d(8, 8, 3, 2, 1, groups=8),
            "squeeze": n.AdaptiveAvgPool2d(1),
            "fc": n.Conv2d(8, 8, 1),
            "gate": n.Hardsigmoid(),
        }

    def theirs(m: Any, x: Any) -> Any:
        x = m.act(m.depthwise(m.act(m.bn(m.expand(x)))))
        return (x * m.gate(m.fc(m.squeeze(x)))).mean((2, 3))

    def ours(m: Any, x: Any, train: bool) -> Any:
        x = m.act(m.depthwise(m.act(m.bn(m.expand(x), train))))
        return (x * m.gate(m.fc(m.squeeze(x)))).mean((1, 2))

    return in_torch(theirs, **layers(torch.nn)), Net(ours, lambda: layers(nn))


def convnext() -> tuple[Any, Any]:
    """Rows of channels in the middle of images whose axes are all of one length."""
    import torch

    def layers(n: Any) -> dict[str, Any]:
        return {
            "conv": n.Conv2d(4, 8, 3, padding=1),
            "norm": n.LayerNorm(8, eps=1e-6),
            "up": n.Linear(8, 16),
            "act": n.GELU(),
            "down": n.Linear(16, 8),
            "last": n.Conv2d(8, 8, 1),
        }

    class LayerNorm2d(torch.nn.LayerNorm):
        def forward(self, input: Any) -> Any:
            return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def theirs(m: Any, x: Any) -> Any:
        x = m.first(m.conv(x))
        y = m.down(m.act(m.up(m.norm(x.permute(0, 2, 3, 1)))))
        return m.last(x + y.permute(0, 3, 1, 2))

    def ours(m: Any, x: Any, train: bool) -> Any:
        x = m.first(m.conv(x))
        return m.last(x + m.down(m.act(m.up(m.norm(x)))))

    return (
        in_torch(theirs, first=LayerNorm2d(8), **layers(torch.nn)),
        Net(ours, lambda: {"first": nn.LayerNorm(8), **layers(nn)}),
    )


def sequence() -> tuple[Any, Any]:
    """One spatial axis."""
    import torch

    def layers(n: Any) -> list[Any]:
        return [n.Conv1d(4, 8, 3), n.BatchNorm1d(8), n.ELU(), n.MaxPool1d(2), n.Flatten()]

    def head(n: Any) -> Any:
        return n.Sequential(*layers(n), n.Linear(24, 5), n.Softmax(-1))

    return head(torch.nn), head(nn)


def volume() -> tuple[Any, Any]:
    """Three spatial axes."""
    import torch

    def net(n: Any) -> Any:
        pools = [n.AvgPool3d(2), n.ReflectionPad3d(1)]
        return n.Sequential(n.Conv3d(2, 4, 3, padding=1), n.InstanceNorm3d(4), n.PReLU(4), *pools)

    return net(torch.nn), net(nn)


def decoder() -> tuple[Any, Any]:
    """Everything that makes images larger."""
    import torch

    def net(n: Any) -> Any:
        up = n.ConvTranspose2d(4, 8, 3, stride=2, padding=1, output_padding=1, groups=2)
        return n.Sequential(up, n.SiLU(), n.PixelShuffle(2), n.Upsample(None, 2, "nearest"))

    return net(torch.nn), net(nn)


def attention() -> tuple[Any, Any]:
    """Attention and a residual sum; the inner projection is called on one side only."""
    import torch

    def layers(n: Any) -> dict[str, Any]:
        heads = n.MultiheadAttention(8, 2, batch_first=True)
        return {"norm": n.LayerNorm(8), "heads": heads, "fc": n.Linear(8, 3)}

    def theirs(m: Any, x: Any) -> Any:
        y = m.norm(x)
        return m.fc((x + m.heads(y, y, y)[0]).mean(1))

    def ours(m: Any, x: Any, train: bool) -> Any:
        y = m.norm(x)
        return m.fc((x + m.heads(y, y, y)[0]).mean(1))

    return in_torch(theirs, **layers(torch.nn)), Net(ours, lambda: layers(nn))


class FlaxNet(linen.Module):
    """Plain Flax, as one writes it who knows PyTorch's defaults; its layers have other names."""

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Conv(8, (3, 3), (2, 2), padding=1)(x)
        norm = linen.BatchNorm(not train, momentum=0.9, epsilon=1e-5, use_fast_variance=False)
        x = jax.nn.relu(norm(x))
        x = linen.max_pool(x, (2, 2), (2, 2))
        x = linen.Dense(16)(jnp.transpose(x, (0, 3, 1, 2)).reshape(x.shape[0], -1))
        x = linen.LayerNorm(epsilon=1e-5)(jax.nn.gelu(x, approximate=False))
        return linen.Dense(3)(x)


def plain() -> Any:
    """PyTorch's side of `FlaxNet`."""
    import torch

    t = torch.nn
    layers = {
        "conv": t.Conv2d(4, 8, 3, 2, 1),
        "bn": t.BatchNorm2d(8),
        "pool": t.MaxPool2d(2),
        "fc1": t.Linear(32, 16),
        "norm": t.LayerNorm(16),
        "fc2": t.Linear(16, 3),
    }

    def forward(m: Any, x: Any) -> Any:
        x = m.pool(m.bn(m.conv(x)).relu()).flatten(1)
        return m.fc2(m.norm(t.functional.gelu(m.fc1(x))))

    return in_torch(forward, **layers)


def flax_variables(module: Any) -> dict[str, Any]:
    """PyTorch's arrays as `FlaxNet` holds them."""
    a = {name: np.asarray(value) for name, value in module.state_dict().items()}
    return {
        "params": {
            "Conv_0": {"kernel": a["conv.weight"].transpose(2, 3, 1, 0), "bias": a["conv.bias"]},
            "BatchNorm_0": {"scale": a["bn.weight"], "bias": a["bn.bias"]},
            "Dense_0": {"kernel": a["fc1.weight"].T, "bias": a["fc1.bias"]},
            "LayerNorm_0": {"scale": a["norm.weight"], "bias": a["norm.bias"]},
            "Dense_1": {"kernel": a["fc2.weight"].T, "bias": a["fc2.bias"]},
        },
        "batch_stats": {"BatchNorm_0": {"mean": a["bn.running_mean"], "var": a["bn.running_var"]}},
    }


def with_flax() -> tuple[Any, Any]:
    return plain(), FlaxNet()


# (PyTorch's model, ours), and the shape of an input, channels last.
PAIRS: dict[str, tuple[Callable[[], tuple[Any, Any]], tuple[int, ...]]] = {
    "sequential": (
        lambda: (compare_pairs.torch_net(), nn.Sequential(*compare_pairs.layers())),
        (4, 8, 8, 4),
    ),
    "lenet": (lambda: (twins.lenet(), models.create("lenet_relu")), (2, 28, 28, 1)),
    "resnet": (lambda: (twins.cifar_resnet((1, 1, 1)), ResNet((1, 1, 1))), (2, 8, 8, 3)),
    "mobile": (mobile, (2, 8, 8, 4)),
    "convnext": (convnext, (8, 8, 8, 4)),
    "sequence": (sequence, (2, 8, 4)),
    "volume": (volume, (2, 4, 4, 4, 2)),
    "decoder": (decoder, (2, 4, 4, 4)),
    "attention": (attention, (2, 5, 8)),
    "flax": (with_flax, (4, 8, 8, 4)),
}
