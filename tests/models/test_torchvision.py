"""Every model that torchvision has, against torchvision: keys, printed tree, numbers.

Numbers of one model a family, of all with --full. Run with torchvision beside torch:
`pip install --no-deps torchvision==0.28.0`, then `pytest -m torchvision`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn._names import named_leaves

from . import torchvision_twins as twins

pytestmark = pytest.mark.torchvision

# The smallest of each family, and of each kind of block.
FEW = [
    *("alexnet", "vgg11", "vgg11_bn", "squeezenet1_0", "squeezenet1_1", "resnet18", "resnet50"),
    *("resnext50_32x4d", "densenet121", "googlenet", "inception_v3", "mobilenet_v2"),
    *("mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0"),
    *("efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny"),
]
# Those that are slow in float64 train with --full.
TRAINED = [
    *("alexnet", "vgg11_bn", "squeezenet1_1", "resnet18", "googlenet", "mobilenet_v2"),
    *("mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0"),
    *("regnet_x_400mf", "convnext_tiny"),
]
SAVED = ["resnet18", "densenet121", "efficientnet_b0", "convnext_tiny"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "measured" in metafunc.fixturenames:
        full = metafunc.config.getoption("full")
        names = twins.NAMES if full else FEW
        if "dtype" in metafunc.fixturenames:
            # float64 shows that the function is the same, float32 only how it rounds.
            cases = [(name, "float64") for name in (names if full else TRAINED)]
            cases += [(name, "float32") for name in FEW] if full else []
            metafunc.parametrize(("measured", "dtype"), cases)
        elif "ending" in metafunc.fixturenames:
            metafunc.parametrize("measured", names if full else SAVED)
        else:
            metafunc.parametrize("measured", names)


def abstract(model: Any, size: tuple[int, int]) -> Any:
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, *size, 3)))


def size_of(name: str) -> tuple[int, int]:
    return twins.SIZES.get(name, twins.SIZE)


@pytest.mark.parametrize("name", twins.NAMES)
def test_keys_shapes_and_printed_tree(name: str, torchvision: Any) -> None:
    theirs, ours = twins.build(torchvision, name), models.create(name)
    expected = {key: tuple(x.shape) for key, x in theirs.state_dict().items()}
    variables = abstract(ours, size_of(name))
    assert {key: x.shape for key, x in named_leaves("test", variables).items()} == expected
    published = torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]
    # Published without the auxiliary heads, which the class builds by default.
    heads = 6_379_984 if name == "googlenet" else 0
    assert jaxcnn.parameters.count_parameters(variables) == published + heads
    # PyTorch 2.13 prints `bias=True` in norms, older ones and jaxcnn only False.
    printed = re.sub(r"(Norm[^\n]*), bias=True", r"\1", str(theirs))
    assert jaxcnn.torch_repr(ours, (2, *size_of(name), 3)) == printed


def test_evaluation(measured: str, torchvision: Any, record_property: Any) -> None:
    x = twins.image(size_of(measured), 2)
    theirs = twins.build(torchvision, measured)
    twins.randomise(theirs)
    model = models.create(measured)
    variables = jaxcnn.to_variables(theirs.state_dict(), abstract(model, size_of(measured)))
    (expected,) = twins.run(theirs, x, train=False)
    error = twins.relative_error(jax.jit(model.apply)(variables, x), expected)
    record_property("evaluation", error)
    assert error < 1e-5


def test_training(measured: str, dtype: str, torchvision: Any, record_property: Any) -> None:
    """Logits and running statistics of a training step; in float32 as exact as torch's own."""
    x = twins.image(size_of(measured), 4)
    rates = twins.rates(torchvision, measured)
    theirs = twins.build(torchvision, measured, **rates)
    twins.randomise(theirs)
    start = {key: value.clone() for key, value in theirs.state_dict().items()}
    with jax.enable_x64(dtype == "float64"):
        outputs, state = run_training(models.create(measured, **rates), start, x, dtype)
    exact_outputs = twins.run(theirs.double(), x, train=True)
    exact_state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    errors = [
        twins.relative_error(y, exact) for y, exact in zip(outputs, exact_outputs, strict=True)
    ]
    statistics = twins.worst_statistic(state, exact_state)
    record_property(f"training {dtype}", max(errors))
    record_property(f"statistics {dtype}", statistics)
    if dtype == "float64":
        assert max(*errors, statistics) < 1e-9
        assert {k for k in state if k.endswith("tracked") and state[k] != 4} == set()
        return
    # Batch norm over few values amplifies rounding: PyTorch's own distance from float64 counts.
    theirs = twins.build(torchvision, measured, **rates)
    twins.load_state(theirs, start)
    their_outputs = twins.run(theirs, x, train=True)
    own = max(map(twins.relative_error, their_outputs, exact_outputs))
    own_state = {key: value.numpy() for key, value in theirs.state_dict().items()}
    assert max(errors) < max(1e-5, 10 * own)
    assert statistics < max(1e-5, 10 * twins.worst_statistic(own_state, exact_state))


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_round_trip(measured: str, ending: str, torchvision: Any, tmp_path: Path) -> None:
    """torch -> file -> variables -> file -> torch, bit by bit."""
    import safetensors.torch
    import torch

    theirs = twins.build(torchvision, measured)
    twins.randomise(theirs)
    start, file = theirs.state_dict(), tmp_path / f"theirs.{ending}"
    {"pt": torch.save, "safetensors": safetensors.torch.save_file}[ending](start, file)
    like = abstract(models.create(measured), size_of(measured))
    variables = jaxcnn.to_variables(jaxcnn.read_state_dict(file), like)
    file.unlink()
    back = tmp_path / f"ours.{ending}"
    jaxcnn.write_state_dict(back, jaxcnn.to_state_dict(variables))
    loaded = (
        torch.load(back, weights_only=True) if ending == "pt" else safetensors.torch.load_file(back)
    )
    again = twins.build(torchvision, measured)
    twins.load_state(again, loaded)
    assert all(torch.equal(x, start[key]) for key, x in again.state_dict().items())
    back.unlink()  # pytest keeps the folders of several runs


def run_training(
    model: Any, start: dict[str, Any], x: np.ndarray, dtype: str
) -> tuple[list[Any], dict[str, np.ndarray]]:
    """The outputs and the state_dict after one training step's forward pass."""

    def forward(variables: Any, x: Any) -> Any:
        return model.apply(variables, x, train=True, mutable=["batch_stats"])

    like = jax.tree.map(
        lambda s: jax.ShapeDtypeStruct(s.shape, dtype if s.dtype.kind == "f" else s.dtype),
        abstract(model, x.shape[1:3]),
    )
    variables = jaxcnn.to_variables(start, like)
    outputs, new = jax.jit(forward)(variables, x.astype(dtype))
    state = jaxcnn.to_state_dict({**variables, **new})
    return (list(outputs) if isinstance(outputs, tuple) else [outputs]), state
