"""A parity case: one computation written once for PyTorch and once for jaxcnn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

Arrays = dict[str, np.ndarray]

# (rtol, atol): torch.testing's own.
TOLERANCES = {
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """Moves one array between PyTorch's layout and jaxcnn's.

    Attributes:
      channel: PyTorch's channel axis; it is last in jaxcnn. None: both have the same layout.
    """

    channel: int | None = None

    def last(self, x: np.ndarray) -> np.ndarray:
        return x if self.channel is None else np.moveaxis(x, self.channel, -1)

    def first(self, x: np.ndarray) -> np.ndarray:
        return x if self.channel is None else np.moveaxis(x, -1, self.channel)


SAME, IMAGES, IMAGE = Layout(), Layout(1), Layout(0)


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
      id: Unique name.
      inputs: Makes the inputs, in PyTorch's layout, float64 or int64, always the same numbers.
      torch: `(torch, **tensors) -> tensor or tuple`.
      jax: `(**arrays) -> array or tuple`.
      layouts: The inputs that are images; every other has one layout.
      outputs: Layout of each output.
      golden: Whether PyTorch's values are stored in tests/golden.
      model: Whether outputs are a whole model's, held to a relative L2 error of 1e-5.
      constant: Float inputs without gradient; running statistics never have one.
      module: For a layer: `(build torch's module, build jaxcnn's, shape of jaxcnn's input)`.
    """

    id: str
    inputs: Callable[[], Arrays]
    torch: Callable[..., Any]
    jax: Callable[..., Any]
    layouts: Mapping[str, Layout] = dataclasses.field(default_factory=dict)
    outputs: Sequence[Layout] = (IMAGES,)
    golden: bool = False
    model: bool = False
    constant: frozenset[str] = frozenset()
    module: tuple[Callable[[Any], Any], Callable[[], Any], tuple[int, ...]] | None = None

    def differentiable(self) -> list[str]:
        return [
            name
            for name, x in self.inputs().items()
            if x.dtype.kind == "f"
            and name not in self.constant
            and not name.endswith(("running_mean", "running_var"))
        ]


@dataclasses.dataclass(frozen=True)
class Values:
    """Outputs and gradients, all in PyTorch's layout, float64."""

    outputs: list[np.ndarray]
    gradients: Arrays


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    """What an output's gradient is multiplied with: fixed numbers, none of them special."""
    return np.random.RandomState(1).uniform(-1, 1, shape)


def run_torch(case: Case, dtype: str, gradients: bool = True) -> Values:
    """PyTorch's values."""
    import torch

    def tensor(x: np.ndarray) -> Any:
        floating = x.dtype.kind == "f"
        return torch.tensor(x, dtype=getattr(torch, dtype) if floating else torch.int64)

    tensors = {name: tensor(x) for name, x in case.inputs().items()}
    wanted = case.differentiable() if gradients else []
    for name in wanted:
        tensors[name].requires_grad_()
    outputs = _as_tuple(case.torch(torch, **tensors))
    grads: Arrays = {}
    if wanted:
        roots = [y for y in outputs if y.requires_grad]
        found = torch.autograd.grad(
            roots,
            [tensors[name] for name in wanted],
            [tensor(cotangent(tuple(y.shape))) for y in roots],
        )
        grads = {name: g.double().numpy() for name, g in zip(wanted, found, strict=True)}
    return Values([y.detach().double().numpy() for y in outputs], grads)


def run_jax(case: Case, dtype: str, jit: bool = False, gradients: bool = True) -> Values:
    """jaxcnn's values."""
    arrays = {}
    for name, x in case.inputs().items():
        x = case.layouts.get(name, SAME).last(x)
        arrays[name] = jax.numpy.asarray(x, dtype if x.dtype.kind == "f" else "int32")
    wanted = case.differentiable() if gradients else []
    fixed = {name: x for name, x in arrays.items() if name not in wanted}

    def outputs_of(inputs: dict[str, jax.Array]) -> tuple[jax.Array, ...]:
        outputs = _as_tuple(case.jax(**fixed, **inputs))
        assert len(outputs) == len(case.outputs)
        return outputs

    def both(inputs: dict[str, jax.Array]) -> tuple[Any, Any]:
        outputs, vjp = jax.vjp(outputs_of, inputs)
        cotangents = [
            np.asarray(layout.last(cotangent(layout.first(np.empty(y.shape)).shape)), y.dtype)
            if jax.numpy.issubdtype(y.dtype, jax.numpy.floating)
            else np.zeros(y.shape, jax.dtypes.float0)
            for y, layout in zip(outputs, case.outputs, strict=True)
        ]
        return outputs, vjp(tuple(cotangents))[0]

    function = both if wanted else lambda inputs: (outputs_of(inputs), {})
    outputs, grads = (jax.jit(function) if jit else function)({k: arrays[k] for k in wanted})
    return Values(
        [
            layout.first(np.asarray(y, np.float64))
            for y, layout in zip(outputs, case.outputs, strict=True)
        ],
        {
            name: case.layouts.get(name, SAME).first(np.asarray(g, np.float64))
            for name, g in grads.items()
        },
    )


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)


def assert_output(actual: np.ndarray, expected: np.ndarray, dtype: str, message: str) -> None:
    """Within DESIGN.md's tolerance of the type."""
    rtol, atol = TOLERANCES[dtype]
    np.testing.assert_allclose(actual, expected, rtol, atol, err_msg=message)


def assert_gradient(actual: np.ndarray, expected: np.ndarray, dtype: str, message: str) -> None:
    """The same, scaled by the largest entry."""
    assert actual.shape == expected.shape, message
    scale = np.abs(expected).max(initial=0.0) or 1.0
    assert_output(actual / scale, expected / scale, dtype, message)


def assert_close_l2(actual: np.ndarray, expected: np.ndarray, limit: float, message: str) -> None:
    """Relative L2 error under `limit`."""
    assert actual.shape == expected.shape, message
    norm = np.linalg.norm(expected) or 1.0
    error = np.linalg.norm(actual - expected) / norm
    assert error < limit, f"{message}: relative L2 error {error:.2e}, limit {limit:.0e}"


def assert_values(case: Case, actual: Values, expected: Values, dtype: str) -> None:
    """Every output and gradient of `case` at its tolerance."""
    assert actual.gradients.keys() == expected.gradients.keys()
    for i, (a, e) in enumerate(zip(actual.outputs, expected.outputs, strict=True)):
        message = f"{case.id}, {dtype}, output {i}"
        if case.model and dtype == "float32":
            assert_close_l2(a, e, 1e-5, message)
        else:
            assert_output(a, e, dtype, message)
    for name, e in expected.gradients.items():
        message = f"{case.id}, {dtype}, gradient of {name}"
        assert_gradient(actual.gradients[name], e, dtype, message)
