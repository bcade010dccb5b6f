"""OpInfo's samples, run by PyTorch and by jaxcnn."""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..case import cotangent
from .entry import Entry


@functools.cache
def op_info(entry_name: str, variant: str) -> Any:
    """PyTorch's OpInfo; of two with one name, the first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, on import
        from torch.testing._internal.common_methods_invocations import op_db

    found = [op for op in op_db if (op.name, op.variant_test_name) == (entry_name, variant)]
    assert found, f"PyTorch has no OpInfo {entry_name} {variant}"
    return found[0]


class Sample:
    """A sample's arguments, with its tensors apart from the rest.

    Attributes:
      args, kwargs: As the function takes them.
      tensors: The tensors (or, of a stored sample, arrays) among them, in order.
      wanted: Positions in `tensors` of those that have a gradient.
    """

    def __init__(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], wanted: Sequence[int] | None = None
    ) -> None:
        self.args, self.kwargs = tuple(args), dict(kwargs)
        self._leaves, self._tree = jax.tree.flatten((self.args, self.kwargs))
        self._at = [i for i, leaf in enumerate(self._leaves) if hasattr(leaf, "ndim")]
        self.tensors = [self._leaves[i] for i in self._at]
        if wanted is None:
            wanted = [i for i, t in enumerate(self.tensors) if t.requires_grad]
        self.wanted = wanted

    def key(self) -> tuple[Any, ...]:
        """What two samples share that differ in their tensors alone."""
        at = set(self._at)
        rest = tuple(repr(leaf) for i, leaf in enumerate(self._leaves) if i not in at)
        return self._tree, rest, tuple(self.wanted)

    def rebuilt(self, tensors: Sequence[Any]) -> tuple[Any, Any]:
        """(args, kwargs) with other tensors in their places."""
        leaves = list(self._leaves)
        for i, tensor in zip(self._at, tensors, strict=True):
            leaves[i] = tensor
        return jax.tree.unflatten(self._tree, leaves)

    def arrays(self, dtype: str | None = None) -> list[np.ndarray]:
        """The tensors as NumPy arrays, floats in `dtype`."""
        arrays = [to_numpy(t) for t in self.tensors]
        return [a.astype(jnp.dtype(dtype)) if dtype and a.dtype.kind == "f" else a for a in arrays]


def to_numpy(x: Any) -> np.ndarray:
    """A tensor's values; bfloat16, which NumPy lacks, as float32."""
    if isinstance(x, np.ndarray):
        return x
    x = x.detach().float() if str(x.dtype) == "torch.bfloat16" else x.detach()
    return x.resolve_conj().resolve_neg().numpy()


def samples(entry: Entry, dtype: str) -> list[Sample]:
    """All of OpInfo's samples, always the same."""
    raw = _raw_samples(entry, dtype, gradients=True)
    # A few operators have more samples when no gradient is asked for.
    raw += _raw_samples(entry, dtype, gradients=False)[len(raw) :]
    prepare = entry.prepare or (lambda s: ((s.input, *s.args), s.kwargs))
    return [Sample(*prepare(s)) for s in raw]


def _raw_samples(entry: Entry, dtype: str, gradients: bool) -> list[Any]:
    import torch

    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    op = op_info(entry.name, entry.variant)
    gradients = gradients and op.supports_autograd
    return list(op.sample_inputs("cpu", getattr(torch, dtype), requires_grad=gradients))


def torch_values(entry: Entry, sample: Sample) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """PyTorch's outputs and gradients."""
    import torch

    inputs = [
        t.detach().clone().requires_grad_(i in sample.wanted) for i, t in enumerate(sample.tensors)
    ]
    args, kwargs = sample.rebuilt(inputs)
    function = entry.torch or op_info(entry.name, entry.variant).op
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated arguments are among the samples
        outputs = _tensors(function(*args, **kwargs))
    roots = [y for y in outputs if y.requires_grad]
    grads: list[np.ndarray] = []
    wanted = [inputs[i] for i in sample.wanted]
    if roots and wanted:
        vs = [torch.tensor(cotangent(tuple(y.shape)), dtype=y.dtype) for y in roots]
        found = torch.autograd.grad(roots, wanted, vs, allow_unused=True)
        grads = [
            np.zeros(tuple(x.shape)) if g is None else to_numpy(g)
            for g, x in zip(found, wanted, strict=True)
        ]
    return [to_numpy(y) for y in outputs], grads


def _tensors(outputs: Any) -> list[Any]:
    import torch
    from torch.utils import _pytree as pytree

    return [y for y in pytree.tree_leaves(outputs) if isinstance(y, torch.Tensor)]


_FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def jax_function(
    entry: Entry, sample: Sample, way: Callable[..., Any] = lambda function: function
) -> Callable[..., Any]:
    """(arrays with gradient, others) -> outputs, changed by `way`, such as `jax.jit`.

    Samples that differ in their tensors alone get the same function, so that it compiles once.
    """
    key = (entry.id, way, *sample.key())
    if key not in _FUNCTIONS:
        _FUNCTIONS[key] = way(_function(entry, sample))
    return _FUNCTIONS[key]


def _function(entry: Entry, sample: Sample) -> Callable[..., list[Any]]:
    fixed = [i for i in range(len(sample.tensors)) if i not in sample.wanted]

    def function(wanted: Sequence[Any], others: Sequence[Any]) -> list[Any]:
        at = {
            **dict(zip(sample.wanted, wanted, strict=True)),
            **dict(zip(fixed, others, strict=True)),
        }
        args, kwargs = sample.rebuilt([at[i] for i in range(len(at))])
        return jax.tree.leaves(entry.call(*args, **kwargs))

    return function


def forget() -> None:
    """Frees the compiled functions: thousands of them fill the memory."""
    _FUNCTIONS.clear()
    jax.clear_caches()


def two_rows(function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """The same function, compiled, on rows of the arrays that have a gradient."""
    return jax.jit(jax.vmap(function, (0, None)))


def jax_inputs(sample: Sample, dtype: str | None = None) -> tuple[list[Any], list[Any]]:
    arrays = [jnp.asarray(a) for a in sample.arrays(dtype)]
    wanted = [arrays[i] for i in sample.wanted]
    return wanted, [a for i, a in enumerate(arrays) if i not in sample.wanted]


def with_gradients(function: Callable[..., list[Any]]) -> Callable[..., Any]:
    """The same function, compiled, that returns also the gradients of its first argument."""

    def both(wanted: Sequence[Any], others: Sequence[Any]) -> Any:
        outputs, vjp = jax.vjp(lambda wanted: function(wanted, others), wanted)
        vs = [
            jnp.asarray(cotangent(y.shape), y.dtype)
            if jnp.issubdtype(y.dtype, jnp.floating)
            else np.zeros(y.shape, jax.dtypes.float0)
            for y in outputs
        ]
        return outputs, vjp(vs)[0]

    return jax.jit(both)
