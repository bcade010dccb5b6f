"""The table's layers and models."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxcnn import models, nn

from .case import IMAGE, IMAGES, SAME, Arrays, Case, Layout
from .functions import make_inputs

COUNTER = "num_batches_tracked"


def variables_from(like: Any, arrays: Arrays) -> Any:
    """The variables tree with the structure of `like`, out of arrays by PyTorch name."""
    return jax.tree.map_with_path(lambda path, _: arrays[dotted(path)], like)


def dotted(path: tuple[Any, ...]) -> str:
    """PyTorch's name of a leaf: its path without the collection."""
    return ".".join(entry.key for entry in path[1:])


def _make_state(id: str, like: Any, input: tuple[int, ...]) -> Arrays:
    """Numbers for the input and every parameter and buffer; products stay of the order of one."""
    specs: dict[str, Any] = {"input": input}
    for path, leaf in jax.tree.leaves_with_path(like):
        counter = dotted(path).endswith(COUNTER)
        specs[dotted(path)] = np.array(3) if counter else leaf.shape
    made = make_inputs(id, specs)
    for name, x in made.items():
        if name != "input" and x.ndim > 1:
            made[name] = x / np.sqrt(np.prod(x.shape[1:]))
    return made


def _layer(
    id: str,
    build: Callable[[Any], Any],
    input: tuple[int, ...],
    *,
    twin: Callable[[], Any] | None = None,
    steps: int = 0,
    output: Layout | None = None,
    golden: bool = False,
    model: bool = False,
) -> Case:
    """A layer in evaluation, or trained for some steps when `steps` is not zero.

    Args:
      id: The case's name.
      build: Makes the layer from a namespace, `torch.nn` or `jaxcnn.nn`.
      input: Shape of the input in PyTorch's layout; the first axis counts steps if there are any.
      twin: Makes jaxcnn's layer where `build` cannot.
      steps: Training steps; outputs are then each step's, and the final statistics.
      output: The output's layout; the input's if None.
      golden: Whether PyTorch's values are stored.
      model: Whether outputs are logits.
    """
    make = twin or (lambda: build(nn))
    one = input[1:] if steps else input
    layout = (IMAGE if len(one) == 3 else IMAGES) if len(one) > 2 else SAME
    shape = layout.last(np.empty(one)).shape

    @functools.cache
    def like() -> Any:
        sample = jax.ShapeDtypeStruct(shape, np.float32)
        return jax.eval_shape(make().init, jax.random.key(0), sample)

    def in_torch(torch: Any, input: Any, **state: Any) -> Any:
        layer = build(torch.nn).to(input.dtype).train(bool(steps))
        call = functools.partial(torch.func.functional_call, layer)
        if not steps:
            return call(state, (input,))
        statistics = _statistics(like())
        state |= {name: state[name].clone() for name in statistics}
        y = torch.stack([call(state, (x,)) for x in input])
        return (y, *(state[name] for name in statistics))

    def in_jax(input: jax.Array, **state: Any) -> Any:
        layer, variables = make(), variables_from(like(), state)
        if not steps:
            return layer.apply(variables, input)
        outputs = []
        for x in input:
            y, new = layer.apply(variables, x, train=True, mutable=["batch_stats"])
            variables = {**variables, **new}
            outputs.append(y)
        final = {dotted(p): v for p, v in jax.tree.leaves_with_path(variables)}
        return (jax.numpy.stack(outputs), *(final[name] for name in _statistics(like())))

    statistics = 3 if steps else 0
    return Case(
        id,
        lambda: _make_state(id, like(), input),
        in_torch,
        in_jax,
        {"input": Layout(layout.channel + 1) if steps and layout.channel is not None else layout},
        (Layout(2), *(SAME,) * statistics) if steps else (output or layout,),
        golden,
        model,
        module=(build, make, shape),
    )


def _statistics(like: Any) -> list[str]:
    names = (dotted(path) for path, _ in jax.tree.leaves_with_path(like))
    return [name for name in names if name.rpartition(".")[2].startswith(("running", "num_"))]


def torch_lenet(nn: Any, activation: str = "Sigmoid", pool: str = "AvgPool2d") -> Any:
    """d2l's LeNet, from its book."""
    act, pool2d = getattr(nn, activation), getattr(nn, pool)
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5, padding=2),
        act(),
        pool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5),
        act(),
        pool2d(kernel_size=2, stride=2),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        act(),
        nn.Linear(120, 84),
        act(),
        nn.Linear(84, 10),
    )


def torch_tudui(nn: Any) -> Any:
    """The tutorial's CIFAR-10 network, from its PyTorch source; its class is called Tudui."""

    class Tudui(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model1 = nn.Sequential(
                nn.Conv2d(3, 32, 5, stride=1, padding=2),
                nn.MaxPool2d(2),
                nn.Conv2d(32, 32, 5, stride=1, padding=2),
                nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 5, stride=1, padding=2),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(1024, 64),
                nn.Linear(64, 10),
            )

        def forward(self, x: Any) -> Any:
            return self.model1(x)

    return Tudui()


def _lenet(activation: str, pool: str) -> Case:
    names = {"sigmoid": "Sigmoid", "relu": "ReLU", "avg": "AvgPool2d", "max": "MaxPool2d"}
    return _layer(
        f"lenet-{activation}-{pool}",
        lambda nn: torch_lenet(nn, names[activation], names[pool]),
        (3, 1, 28, 28),
        twin=lambda: models.lenet(activation=activation, pool=pool),
        output=SAME,
        golden=True,
        model=True,
    )


def _conv_layer(label: str, input: tuple[int, ...], *args: Any, **kwargs: Any) -> Case:
    golden = kwargs.pop("golden", False)
    return _layer(f"Conv2d-{label}", lambda nn: nn.Conv2d(*args, **kwargs), input, golden=golden)


def _batch_norm_layer(label: str, input: tuple[int, ...], steps: int, **kwargs: Any) -> Case:
    build = lambda nn: nn.BatchNorm2d(3, **kwargs)
    return _layer(f"BatchNorm2d-{label}", build, input, steps=steps, golden=steps > 1)


_WRAPS = ("zeros", "reflect", "replicate", "circular")

LAYERS = [
    _conv_layer("plain", (2, 3, 9, 8), 3, 4, 3),
    *(
        _conv_layer(m, (2, 3, 9, 8), 3, 4, (3, 5), (2, 1), (1, 3), padding_mode=m, golden=True)
        for m in _WRAPS
    ),
    *(
        _conv_layer(f"same-{m}", (2, 3, 7, 8), 3, 4, 4, padding="same", padding_mode=m)
        for m in _WRAPS
    ),
    _conv_layer("same-dilation", (2, 3, 9, 8), 3, 4, (2, 3), padding="same", dilation=(3, 2)),
    _conv_layer("valid", (2, 3, 9, 8), 3, 4, 3, padding="valid"),
    _conv_layer("dilation", (1, 3, 9, 8), 3, 4, 3, dilation=2, padding=(2, 1)),
    _conv_layer("groups", (2, 6, 7, 8), 6, 4, 3, groups=2, bias=False),
    _conv_layer("depthwise-reflect", (2, 4, 7, 8), 4, 8, 3, 2, 1, 1, 4, True, "reflect"),
    _conv_layer("no-bias", (2, 3, 9, 8), 3, 4, 3, bias=False),
    _conv_layer("unbatched", (3, 9, 8), 3, 4, 3, padding=1),
    _conv_layer("unbatched-circular", (3, 9, 8), 3, 4, 3, padding=1, padding_mode="circular"),
    _batch_norm_layer("eval", (2, 3, 5, 4), 0),
    _batch_norm_layer("eval-eps", (2, 3, 5, 4), 0, eps=1e-2),
    _batch_norm_layer("eval-not-affine", (2, 3, 5, 4), 0, affine=False),
    _batch_norm_layer("eval-no-bias", (2, 3, 5, 4), 0, bias=False),
    _batch_norm_layer("eval-untracked", (2, 3, 5, 4), 0, track_running_stats=False),
    _batch_norm_layer("train", (4, 2, 3, 5, 4), 4),
    _batch_norm_layer("train-cumulative", (4, 2, 3, 5, 4), 4, momentum=None),
    _batch_norm_layer("train-momentum0", (2, 2, 3, 5, 4), 2, momentum=0.0),
    _batch_norm_layer("train-not-affine", (3, 2, 3, 5, 4), 3, affine=False, momentum=0.5),
    _layer("Linear-plain", lambda nn: nn.Linear(5, 4), (3, 5)),
    _layer("Linear-no-bias", lambda nn: nn.Linear(5, 4, bias=False), (1, 5)),
    _layer("MaxPool2d-plain", lambda nn: nn.MaxPool2d(2), (2, 3, 9, 8)),
    _layer(
        "MaxPool2d-all",
        lambda nn: nn.MaxPool2d((3, 2), (2, 3), (1, 0), 2, False, True),
        (2, 3, 9, 8),
    ),
    _layer("AvgPool2d-plain", lambda nn: nn.AvgPool2d(2), (2, 3, 9, 8)),
    _layer(
        "AvgPool2d-all",
        lambda nn: nn.AvgPool2d((3, 2), (2, 3), (1, 0), True, False, 5),
        (2, 3, 9, 8),
    ),
    _layer("Flatten-features", lambda nn: nn.Flatten(), (2, 3, 4, 5), output=SAME),
    _layer("Flatten-everything", lambda nn: nn.Flatten(0), (2, 3, 4, 5), output=SAME),
    _layer("ReLU-plain", lambda nn: nn.ReLU(inplace=False), (2, 3, 4, 5)),
    _layer("Sigmoid-plain", lambda nn: nn.Sigmoid(), (2, 3, 4, 5)),
    _layer("Dropout-eval", lambda nn: nn.Dropout(0.3), (2, 3, 4, 5)),
    _layer("Identity-plain", lambda nn: nn.Identity(54, unused=True), (2, 3, 4, 5)),
    _layer(
        "Sequential-conv-bn-linear",
        lambda nn: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(4 * 3 * 2, 5),
        ),
        (2, 3, 9, 7),
        output=SAME,
        golden=True,
    ),
    *(_lenet(a, p) for a in ("sigmoid", "relu") for p in ("avg", "max")),
    _layer(
        "cifar10_quick",
        torch_tudui,
        (2, 3, 32, 32),
        twin=models.cifar10_quick,
        output=SAME,
        golden=True,
        model=True,
    ),
]
