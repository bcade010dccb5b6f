"""PyTorch's side of a comparison. The only file here that uses torch, which it imports late."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxcnn.interop._arrays import as_array
from jaxcnn.interop.comparison.linen_model import SGD
from jaxcnn.interop.comparison.trace import Arrays, Call, Key, Trace
from jaxcnn.interop.comparison.values import Value, is_channels_first, is_random, to_channels_first


class TorchModel:
    """A PyTorch module that is run on copies and records its layers.

    Args:
      module: The module; it stays as it is.
    """

    framework = "torch"

    def __init__(self, module: Any) -> None:
        self.module = module
        names = [type(inner).__name__ for inner in module.modules()]
        self._sequences_first = any(name in ("Conv1d", "BatchNorm1d") for name in names)

    @property
    def random_layers(self) -> list[str]:
        """Names of the layers that draw random numbers in training."""
        return [n for n, m in self.module.named_modules() if is_random(type(m).__name__)]

    def arrays(self) -> Arrays:
        """The state_dict."""
        return _arrays(self.module)

    def run(
        self,
        inputs: Sequence[np.ndarray],
        dtype: str,
        train: bool,
        cotangents: Sequence[np.ndarray] | None = None,
    ) -> Trace:
        """Runs a copy in `dtype`; with `cotangents`, backwards too."""
        import torch

        module = self._copy(dtype, train)
        recorder = _Recorder(module)
        before = torch.get_rng_state()
        with torch.set_grad_enabled(cotangents is not None), torch.random.fork_rng(devices=[]):
            output = module(*self._tensors(inputs, dtype, module))
            draws = not torch.equal(before, torch.get_rng_state())
        recorder.remove()
        trace = Trace(recorder.calls, statistics=_arrays(module), draws=draws)
        if cotangents is not None:
            self._differentiate(module, recorder, output, cotangents, trace)
        return trace

    def train(
        self, inputs: Sequence[np.ndarray], dtype: str, train: bool, steps: int, cotangents: Any
    ) -> Arrays:
        """The state_dict after some steps of SGD."""
        import torch

        module = self._copy(dtype, train)
        optimizer = torch.optim.SGD(module.parameters(), **SGD)
        for _ in range(steps):
            optimizer.zero_grad()
            output = module(*self._tensors(inputs, dtype, module))
            leaves = [leaf for leaf in jax.tree.leaves(output) if _is_tensor(leaf)]
            _loss(leaves, cotangents).backward()
            optimizer.step()
        return _arrays(module)

    def _copy(self, dtype: str, train: bool) -> Any:
        import torch

        module = copy.deepcopy(self.module).to(getattr(torch, dtype)).train(train)
        for inner in module.modules():
            if is_random(type(inner).__name__):
                inner.eval()
            elif type(inner).__name__ == "MultiheadAttention":
                inner.dropout = 0.0
        return module

    def _tensors(self, inputs: Sequence[np.ndarray], dtype: str, module: Any) -> list[Any]:
        import torch

        first = next(iter([*module.parameters(), *module.buffers()]), None)
        device = "cpu" if first is None else first.device
        tensors = []
        for x in inputs:
            if np.issubdtype(x.dtype, np.floating):
                x = x.astype(dtype)
            if x.ndim > 3 or (x.ndim == 3 and self._sequences_first):
                x = to_channels_first(x)
            tensors.append(torch.from_numpy(np.array(x)).to(device))
        return tensors

    def _differentiate(
        self, module: Any, recorder: _Recorder, output: Any, cotangents: Any, trace: Trace
    ) -> None:
        import torch

        parameters = {k: p for k, p in module.named_parameters() if p.requires_grad}
        tensors = {
            (key, where): leaves
            for where, noted in (("outputs", recorder.outputs), ("inputs", recorder.inputs))
            for key, leaves in noted.items()
            if leaves and all(leaf.requires_grad for leaf in leaves)
        }
        loss = _loss([leaf for leaf in jax.tree.leaves(output) if _is_tensor(leaf)], cotangents)
        wanted = [*parameters.values(), *(t for group in tensors.values() for t in group)]
        found = torch.autograd.grad(loss, wanted, allow_unused=True)
        rest = iter(
            _numpy(torch.zeros_like(t) if g is None else g)
            for t, g in zip(wanted, found, strict=True)
        )
        trace.gradients = {name: next(rest) for name in parameters}
        gradients = {place: [next(rest) for _ in group] for place, group in tensors.items()}
        trace.output_gradients = {k: g for (k, where), g in gradients.items() if where == "outputs"}
        trace.input_gradients = {k: g for (k, where), g in gradients.items() if where == "inputs"}


class _Recorder:
    """Hooks that note what every layer takes and gives."""

    def __init__(self, module: Any) -> None:
        self.calls: list[Call] = []
        self.inputs: dict[Key, list[Any]] = {}
        self.outputs: dict[Key, list[Any]] = {}
        self._stack: list[int] = []
        self._counts: dict[str, int] = {}
        self._layouts: dict[tuple[Any, ...], bool] = {}
        self._alive: list[Any] = []  # a freed tensor's address would be another's
        self._handles = []
        for name, inner in module.named_modules():
            before = self._before(name)
            self._handles.append(inner.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(inner.register_forward_hook(self._after, with_kwargs=True))

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _before(self, name: str) -> Any:
        def hook(layer: Any, args: Any, kwargs: Any) -> Any:
            number = self._counts[name] = self._counts.get(name, -1) + 1
            parent = self._stack[-1] if self._stack else None
            self._stack.append(len(self.calls))
            call = Call((name, number), layer, parent)
            leaves = [leaf for leaf in jax.tree.leaves((args, kwargs)) if _is_tensor(leaf)]
            call.inputs = [self._value(call, leaf) for leaf in leaves]
            self.calls.append(call)
            if getattr(layer, "inplace", False):
                return None  # a copy would take what the caller may expect to be written to
            # What the layer alone gives back to its input is the gradient of a copy.
            args, kwargs = jax.tree.map(_cloned, (args, kwargs))
            leaves = [leaf for leaf in jax.tree.leaves((args, kwargs)) if _is_tensor(leaf)]
            self.inputs[call.key] = leaves
            for value, leaf in zip(call.inputs, leaves, strict=True):
                self._remember(leaf, value.channels_first)
            return args, kwargs

        return hook

    def _after(self, layer: Any, args: Any, kwargs: Any, output: Any) -> Any:
        del layer, args, kwargs
        call = self.calls[self._stack.pop()]
        leaves = [leaf for leaf in jax.tree.leaves(output) if _is_tensor(leaf)]
        self.outputs[call.key] = leaves
        call.outputs = [self._value(call, leaf) for leaf in leaves]
        # What follows may write in place, but not into what was noted.
        copied = jax.tree.map(_cloned, output)
        leaves = [leaf for leaf in jax.tree.leaves(copied) if _is_tensor(leaf)]
        for value, leaf in zip(call.outputs, leaves, strict=True):
            self._remember(leaf, value.channels_first)
        return copied

    def _value(self, call: Call, tensor: Any) -> Value:
        channels_first = is_channels_first(call.class_name, tensor.ndim)
        dims = list(getattr(call.layer, "dims", ()))
        if call.class_name == "Permute" and dims in ([0, 2, 3, 1], [0, 3, 1, 2]):
            given = call.inputs != []  # it is the output
            channels_first = (dims == [0, 2, 3, 1]) != given
        elif channels_first is None:
            channels_first = self._layouts.get(_address(tensor))
        if channels_first is None and call.outputs is None and call.inputs:
            same = [x for x in call.inputs if x.array.shape == tuple(tensor.shape)]
            channels_first = same[0].channels_first if same else None
        self._remember(tensor, channels_first)
        return Value(_numpy(tensor), channels_first)

    def _remember(self, tensor: Any, channels_first: bool | None) -> None:
        if channels_first is not None and _is_tensor(tensor):
            self._layouts[_address(tensor)] = channels_first
            self._alive.append(tensor)


def _address(tensor: Any) -> tuple[Any, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _cloned(leaf: Any) -> Any:
    return leaf.clone() if _is_tensor(leaf) else leaf


def _is_tensor(leaf: Any) -> bool:
    return hasattr(leaf, "data_ptr")


def _numpy(tensor: Any) -> np.ndarray:
    array = as_array("compare", "output", tensor)
    return np.array(array)  # a copy: the memory may be written to


def _arrays(module: Any) -> dict[str, np.ndarray]:
    state: Mapping[str, Any] = module.state_dict()
    return {name: _numpy(value) for name, value in state.items() if _is_tensor(value)}


def _loss(leaves: Sequence[Any], cotangents: Sequence[np.ndarray]) -> Any:
    """The mean of outputs times fixed numbers."""
    import torch

    total: Any = 0.0
    for leaf, cotangent in zip(leaves, cotangents, strict=True):
        weights = torch.from_numpy(np.array(cotangent)).to(leaf.device, leaf.dtype)
        total = total + (leaf * weights).sum()
    return total / sum(leaf.numel() for leaf in leaves)
