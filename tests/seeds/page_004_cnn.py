"""Page 004, notes on Dive into Deep Learning: convolution and pooling by hand, LeNet."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import nn, optim

from .example import Code, Layer, fill, fill_torch, first, last, numbers

GRID = np.arange(9.0).reshape(3, 3)
KERNEL = np.array([[0.0, 1.0], [2.0, 3.0]])
STRIPES = np.ones((6, 8))
STRIPES[:, 2:6] = 0


# Convolution and pooling by hand.


def corr2d(x: Any, k: Any) -> Any:
    """Cross-correlation of two matrices."""
    image, kernel = jnp.asarray(x)[None, :, :, None], jnp.asarray(k)[None, None]
    return F.conv2d(image, kernel)[0, :, :, 0]


def corr2d_torch(torch: Any, x: Any, k: Any) -> Any:
    """The page's double loop."""
    x, k = torch.as_tensor(x), torch.as_tensor(k)
    (h, w), (kh, kw) = x.shape, k.shape
    y = torch.zeros(h - kh + 1, w - kw + 1, dtype=torch.float64)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = (x[i : i + kh, j : j + kw] * k).sum()
    return y


def edges_torch(torch: Any) -> Any:
    k = np.array([[1.0, -1.0]])
    upright = corr2d_torch(torch, STRIPES, k)
    return {"upright": upright, "lying": corr2d_torch(torch, STRIPES.T.copy(), k)}


def edges() -> Any:
    k = jnp.array([[1.0, -1.0]])
    return {"upright": corr2d(STRIPES, k), "lying": corr2d(STRIPES.T, k)}


def learned_kernel_torch(torch: Any) -> Any:
    """Ten steps of gradient descent, the learning rate 0.03, on the sum of squares."""
    conv = fill_torch(torch, torch.nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False))
    x = torch.tensor(STRIPES).reshape(1, 1, 6, 8)
    y = corr2d_torch(torch, STRIPES, np.array([[1.0, -1.0]])).reshape(1, 1, 6, 7)
    losses = []
    for _ in range(10):
        loss = ((conv(x) - y) ** 2).sum()
        conv.zero_grad()
        loss.backward()
        conv.weight.data[:] -= 3e-2 * conv.weight.grad
        losses.append(loss.detach())
    return {"losses": torch.stack(losses), "kernel": conv.weight.reshape(1, 2)}


def learned_kernel() -> Any:
    conv = nn.Conv2d(1, 1, kernel_size=(1, 2), bias=False)
    x, y = STRIPES.reshape(1, 6, 8, 1), corr2d(STRIPES, [[1.0, -1.0]]).reshape(1, 6, 7, 1)
    variables = jax.tree.map(lambda p: p.astype(jnp.float64), fill(conv, x))
    tx = optim.sgd(3e-2)

    def step(carry: Any, _: None) -> Any:
        variables, state = carry
        loss_of = lambda v: ((conv.apply(v, x) - y) ** 2).sum()
        loss, gradients = jax.value_and_grad(loss_of)(variables)
        updates, state = tx.update(gradients, state)
        return (optax.apply_updates(variables, updates), state), loss

    (variables, _), losses = jax.lax.scan(step, (variables, tx.init(variables)), length=10)
    return {"losses": losses, "kernel": variables["params"]["weight"].reshape(1, 2)}


CHANNELS = np.stack([GRID, GRID + 1])
KERNELS = np.stack([KERNEL, KERNEL + 1])


def corr2d_multi_in(x: Any, k: Any) -> Any:
    """The sum over the input channels."""
    return sum(corr2d(a, b) for a, b in zip(x, k, strict=True))


def channels_torch(torch: Any) -> Any:
    """As the layer does it that the page's functions explain."""
    conv2d, x = torch.nn.functional.conv2d, torch.tensor(CHANNELS)[None]
    several = torch.tensor(np.stack([KERNELS, KERNELS + 1, KERNELS + 2]))
    image, weight = (torch.tensor(numbers(*a)) for a in (("x", (1, 3, 3, 3)), ("k", (2, 3, 1, 1))))
    return {
        "one": conv2d(x, several[:1])[0, 0],
        "several": conv2d(x, several)[0],
        "1x1": conv2d(image, weight)[0],
    }


def channels() -> Any:
    several = np.stack([KERNELS, KERNELS + 1, KERNELS + 2])
    image, weight = numbers("x", (1, 3, 3, 3)), numbers("k", (2, 3, 1, 1))
    matrix_product = weight.reshape(2, 3) @ image.reshape(3, 9)
    np.testing.assert_allclose(
        first(F.conv2d(last(image), jnp.asarray(weight)))[0], matrix_product.reshape(2, 3, 3)
    )
    return {
        "one": corr2d_multi_in(CHANNELS, KERNELS),
        "several": jnp.stack([corr2d_multi_in(CHANNELS, k) for k in several]),
        "1x1": matrix_product.reshape(2, 3, 3),
    }


def pools_torch(torch: Any) -> Any:
    layers = torch.nn
    x = torch.arange(16, dtype=torch.float64).reshape(1, 1, 4, 4)
    two = torch.cat((x, x + 1), 1)
    grid = torch.tensor(GRID)[None, None]
    return {
        "max": layers.functional.max_pool2d(grid, 2, 1)[0, 0],
        "mean": layers.functional.avg_pool2d(grid, 2, 1)[0, 0],
        "3": layers.MaxPool2d(3)(x),
        "padded": layers.MaxPool2d(3, padding=1, stride=2)(x),
        "rectangle": layers.MaxPool2d((2, 3), padding=(1, 1), stride=(2, 3))(x),
        "channels": layers.MaxPool2d(3, padding=1, stride=2)(two),
    }


def pools() -> Any:
    x = last(np.arange(16.0).reshape(1, 1, 4, 4))
    two = jnp.concatenate((x, x + 1), axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(GRID, (2, 2))
    call = lambda layer, x: first(layer.apply({}, x))
    return {
        "max": windows.max((2, 3)),
        "mean": windows.mean((2, 3)),
        "3": call(nn.MaxPool2d(3), x),
        "padded": call(nn.MaxPool2d(3, padding=1, stride=2), x),
        "rectangle": call(nn.MaxPool2d((2, 3), padding=(1, 1), stride=(2, 3)), x),
        "channels": call(nn.MaxPool2d(3, padding=1, stride=2), two),
    }


# LeNet.


def lenet(nn: Any) -> Any:
    """The page's network; `nn` is torch.nn or jaxcnn.nn."""
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        nn.Sigmoid(),
        nn.AvgPool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


LABELS = np.array([3, 1, 4, 1])


def lenet_step_torch(torch: Any) -> Any:
    """One step of training, the learning rate 0.9."""
    net = fill_torch(torch, lenet(torch.nn))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.9)
    x, y = torch.tensor(numbers("x", (4, 1, 28, 28))), torch.tensor(LABELS)
    logits = net(x)
    loss = torch.nn.CrossEntropyLoss()(logits, y)
    loss.backward()
    optimizer.step()
    correct = (logits.argmax(1) == y).sum()
    return {"loss": loss, "correct": correct, "0.weight": net[0].weight, "11.bias": net[11].bias}


def lenet_step() -> Any:
    net, x, y = lenet(nn), last(numbers("x", (4, 1, 28, 28))), jnp.asarray(LABELS)
    variables, tx = jax.tree.map(lambda p: p.astype(jnp.float64), fill(net, x)), optim.sgd(0.9)

    def loss_of(variables: Any) -> Any:
        logits = net.apply(variables, x)
        return F.cross_entropy(logits, y), (logits.argmax(-1) == y).sum()

    (loss, correct), gradients = jax.value_and_grad(loss_of, has_aux=True)(variables)
    updates, _ = tx.update(gradients, tx.init(variables))
    new = jaxcnn.to_state_dict(optax.apply_updates(variables, updates))
    return {"loss": loss, "correct": correct} | {k: new[k] for k in ("0.weight", "11.bias")}


def padded(shows: str, output: tuple[int, int], **settings: Any) -> Layer:
    """A convolution of an 8 x 8 image."""
    sizes = {"output": (1, 1, *output)}
    return Layer(shows, lambda nn: nn.Conv2d(1, 1, **settings), (1, 1, 8, 8), sizes)


EXAMPLES = {
    "corr2d": Code(
        "cross-correlation by hand and by the layer's function",
        lambda torch: {"output": corr2d_torch(torch, GRID, KERNEL)},
        lambda: {"output": corr2d(GRID, KERNEL)},
        {"output": (2, 2)},
    ),
    "edges": Code(
        "a kernel that finds upright edges only",
        edges_torch,
        edges,
        {"upright": (6, 7), "lying": (8, 5)},
    ),
    "learned-kernel": Code(
        "that kernel learned from input and output",
        learned_kernel_torch,
        learned_kernel,
        {"losses": (10,), "kernel": (1, 2)},
    ),
    "padding": padded("one pixel on all sides keeps the size", (8, 8), kernel_size=3, padding=1),
    "padding-uneven": padded("two rows and one column", (8, 8), kernel_size=(5, 3), padding=(2, 1)),
    "stride": padded("stride 2 halves", (4, 4), kernel_size=3, padding=1, stride=2),
    "stride-uneven": padded(
        "the complicated one", (2, 2), kernel_size=(3, 5), padding=(0, 1), stride=(3, 4)
    ),
    "channels": Code(
        "several channels in and out, and a 1 x 1 kernel as a matrix product",
        channels_torch,
        channels,
        {"one": (2, 2), "several": (3, 2, 2), "1x1": (2, 3, 3)},
    ),
    "pooling": Code(
        "pooling by hand and by the layer",
        pools_torch,
        pools,
        {
            "max": (2, 2),
            "mean": (2, 2),
            "3": (1, 1, 1, 1),
            "padded": (1, 1, 2, 2),
            "rectangle": (1, 1, 3, 2),
            "channels": (1, 2, 2, 2),
        },
    ),
    "lenet": Layer(
        "LeNet",
        lenet,
        (2, 1, 28, 28),
        {"output": (2, 10), "0.weight": (6, 1, 5, 5), "7.weight": (120, 400)},
    ),
    "lenet-step": Code(
        "a step of its training",
        lenet_step_torch,
        lenet_step,
        {"loss": (), "correct": (), "0.weight": (6, 1, 5, 5), "11.bias": (10,)},
    ),
}
