"""Runs a PyTorch module once and writes down what it computes.

The module's own code runs, on tensors that have a shape and no values, so that every condition on
a shape is decided by Python itself and nothing is computed. A torch function mode sees each call of
PyTorch; a layer of `torch.nn` is one call.
"""

from __future__ import annotations

import contextlib
import linecache
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode

from jaxcnn.interop.convert.calls import (
    Call,
    Constant,
    Recording,
    Ref,
    Shape,
    State,
    function_name,
    map_tensors,
    refs_in,
)
from jaxcnn.interop.convert.errors import ConversionError
from jaxcnn.interop.convert.layers import is_layer, is_norm_with_activation

_TORCH = f"{Path(torch.__file__).parent}/"
# Read from a tensor without looking at its values.
_METADATA = {
    *("size", "dim", "ndimension", "numel", "nelement", "stride", "is_contiguous", "get_device"),
    *("is_floating_point", "is_complex", "is_signed", "is_same_size", "is_tensor", "__len__"),
    *("element_size", "storage_offset", "data_ptr", "type", "result_type", "__hash__", "_assert"),
    *("can_cast", "broadcast_shapes", "__repr__", "__format__", "requires_grad_", "is_nested"),
    *("untyped_storage", "register_hook", "is_inference", "is_pinned", "is_shared", "__dir__"),
}
# They keep the shape, which PyTorch finds out slowly.
_NORMS = (
    torch.nn.modules.batchnorm._BatchNorm,
    torch.nn.LayerNorm,
    torch.nn.GroupNorm,
)
_RANDOM = ("rand", "bernoulli", "normal", "uniform", "multinomial", "poisson", "exponential")


def record(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], not_layers: frozenset[str]
) -> Recording:
    """Runs `module` on `inputs` and returns what it computed.

    Args:
      module: The module.
      inputs: What it takes, made by one function of `shapes_alone` for all recordings.
      not_layers: Names of layers whose functions are recorded instead of the layer.

    Raises:
      ConversionError: If what the module does depends on the values of tensors, or it writes into
        its own state, or into memory that another tensor shares and is read later.
    """
    recorder = _Recorder(module, inputs, not_layers)
    # PyTorch prints there what it raises too.
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was_disabled, log.disabled = log.disabled, True
    try:
        with torch.no_grad(), recorder.layers(), recorder:
            output = module(*inputs)
    finally:
        log.disabled = was_disabled
    return Recording(
        recorder.calls,
        recorder.given,
        recorder.described(output),
        recorder.shapes,
        recorder.values,
    )


def shapes_alone() -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that makes tensors without values, which `record` runs the module on."""
    return FakeTensorMode(allow_non_fake_inputs=True).from_tensor


def _tensors(tree: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_tensors(found.append, tree)
    return found


class _Recorder(TorchFunctionMode):
    """Sees each call of PyTorch while the module runs."""

    def __init__(
        self,
        module: torch.nn.Module,
        inputs: tuple[torch.Tensor, ...],
        not_layers: frozenset[str],
    ) -> None:
        super().__init__()
        self.not_layers = not_layers
        self.calls: list[Call] = []
        self.shapes: dict[int, Shape] = {}
        self.values: dict[int, torch.Tensor] = {}
        self.names: dict[int, Ref] = {}  # by the tensor's id
        self.kept: list[torch.Tensor] = []  # no id is given twice
        self.sharing: dict[int, list[torch.Tensor]] = {}  # by the memory's id
        self.parts: dict[int, tuple[torch.Tensor, Any]] = {}  # by id: of which tensor, which part
        self.stale: dict[int, str] = {}  # by the tensor's id, where it was changed from
        self.dynamic: set[int] = set()  # numbers of what depends on inputs or state
        self.state = _state_names(module)
        self.modules = {id(m): name for name, m in module.named_modules()}
        self.scope: list[tuple[str, int]] = []
        self.entered = 0
        self.inside_layer = 0
        self.given = [self._name(x, dynamic=True) for x in inputs]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.inside_layer:
            return func(*args, **kwargs)
        return self._call(func, None, lambda: func(*args, **kwargs), args, kwargs)

    @contextlib.contextmanager
    def layers(self) -> Iterator[None]:
        """Makes each layer one call, for as long as the context lasts."""
        original = torch.nn.Module.__call__

        def call(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            name = self.modules.get(id(module))
            if self.inside_layer or name is None:
                return original(module, *args, **kwargs)
            if name not in self.not_layers and is_layer(module):
                run = lambda: self._inside(original, module, *args, **kwargs)
                if isinstance(module, _NORMS):
                    run = lambda: self._inside(torch.empty_like, *args)
                return self._call(module, name, run, args, kwargs)
            self.entered += 1
            self.scope.append((name, self.entered))
            try:
                follows: Any = module
                if name not in self.not_layers and is_norm_with_activation(module):
                    run = lambda: self._inside(torch.empty_like, *args)
                    x = self._call(module, name, run, args, kwargs)
                    return follows.act(follows.drop(x))
                return original(module, *args, **kwargs)
            finally:
                self.scope.pop()

        torch.nn.Module.__call__ = call
        try:
            yield
        finally:
            torch.nn.Module.__call__ = original

    def described(self, tree: Any) -> Any:
        """`tree` with a Ref, State or Constant in place of each tensor."""
        return map_tensors(self._describe, tree)

    def _inside(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.inside_layer += 1
        try:
            return function(*args, **kwargs)
        finally:
            self.inside_layer -= 1

    def _call(
        self,
        function: Any,
        layer: str | None,
        run: Callable[[], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        with torch._C.DisableTorchFunction():
            inputs = _tensors((args, kwargs))
            versions = [x._version for x in inputs]
            # Before the call, which may change its arguments.
            described = None
            if not _reads_metadata(function):
                described = tuple(self.described(list(args))), self.described(kwargs)
        try:
            out = run()
        except (DataDependentOutputException, DynamicOutputShapeException):
            self._refuse_values(function_name(function))
        with torch._C.DisableTorchFunction():
            mutated = [x for x, v in zip(inputs, versions, strict=True) if x._version != v]
            if not mutated and any(out is x for x in inputs):
                # What returns its argument in evaluation, such as dropout, may not in training.
                out = torch.ops.aten.alias.default(out)
            returned = _tensors(out)
            if returned or mutated:
                if described is None:
                    described = tuple(self.described(list(args))), self.described(kwargs)
                self._write(function, layer, described, inputs, out, mutated)
            elif described is not None and any(map(self._is_dynamic, inputs)):
                self._refuse_values(function_name(function))
        return out

    def _write(
        self,
        function: Any,
        layer: str | None,
        described: tuple[Any, Any],
        inputs: list[torch.Tensor],
        out: Any,
        mutated: list[torch.Tensor],
    ) -> None:
        line = _model_line()
        name = function_name(function)
        for x in mutated:
            if id(x) in self.state:
                raise ConversionError(
                    f"from_torch: the module must not write into its own state outside of a layer,"
                    f" got {name} on {self.state[id(x)]!r} at {line}."
                )
            self._mark_stale(x, line)
        dynamic = any(self._is_dynamic(x) for x in inputs) or layer is not None
        constant = not dynamic and not any(word in name for word in _RANDOM)
        # What changes its argument and returns nothing, such as x[i] = y, returns the argument.
        result = out if _tensors(out) else mutated[0]
        refs = map_tensors(lambda x: self._name(x, dynamic=not constant), result)
        numbers = [ref.number for ref in refs_in(refs)]
        if constant:
            for x, number in zip(_tensors(result), numbers, strict=True):
                self.values[number] = x.clone()
        for x in mutated:
            if not any(x is y for y in _tensors(result)):
                self.names[id(x)] = Ref(numbers[0])
        args, kwargs = described
        self._append(function, layer, args, kwargs, refs, line, constant)
        if name == "__getitem__" and isinstance(result, torch.Tensor):
            self.parts[id(result)] = inputs[0], args[1]
        for x in mutated:
            self._write_through(x, line, constant)

    def _append(
        self,
        function: Any,
        layer: str | None,
        args: Any,
        kwargs: Any,
        out: Any,
        line: str,
        constant: bool,
    ) -> None:
        shapes = {ref.number: self.shapes[ref.number] for ref in refs_in(out)}
        scope = tuple(self.scope)
        self.calls.append(Call(function, layer, args, kwargs, out, shapes, scope, line, constant))

    def _write_through(self, x: torch.Tensor, line: str, constant: bool) -> None:
        """Writes a part that was changed, as in `y[:, 1:].add_(1)`, into the whole."""
        whole, index = self.parts.get(id(x), (None, None))
        if whole is None or id(whole) not in self.names:
            return
        before, part = self.names[id(whole)], self.names[id(x)]
        after = self._name(whole, dynamic=not constant)
        if constant:
            self.values[after.number] = whole.clone()
        function = torch.Tensor.__setitem__
        self._append(function, None, (before, index, part), {}, after, line, constant)

    def _name(self, x: torch.Tensor, dynamic: bool) -> Ref:
        ref = Ref(len(self.shapes))
        self.names[id(x)] = ref
        self.stale.pop(id(x), None)
        self.kept.append(x)
        self.sharing.setdefault(x.untyped_storage()._cdata, []).append(x)
        self.shapes[ref.number] = Shape(tuple(x.shape), x.dtype)
        if dynamic:
            self.dynamic.add(ref.number)
        return ref

    def _describe(self, x: torch.Tensor) -> Any:
        if id(x) in self.stale:
            raise ConversionError(
                f"from_torch: a tensor must not be read after its memory was changed through "
                f"another one, got a change at {self.stale[id(x)]}, read at {_model_line()}; copy "
                f"it first."
            )
        if id(x) in self.names:
            return self.names[id(x)]
        if id(x) in self.state:
            return State(self.state[id(x)])
        self.kept.append(x)
        return Constant(x.detach().clone())

    def _is_dynamic(self, x: torch.Tensor) -> bool:
        ref = self.names.get(id(x))
        return ref.number in self.dynamic if ref is not None else id(x) in self.state

    def _mark_stale(self, changed: torch.Tensor, line: str) -> None:
        for x in self.sharing.get(changed.untyped_storage()._cdata, ()):
            if x is not changed and id(x) in self.names:
                self.stale[id(x)] = line

    def _refuse_values(self, name: str) -> NoReturn:
        raise ConversionError(
            f"from_torch: what the module does must not depend on the values of tensors, got "
            f"{name} at {_model_line()}; write it with torch.where."
        )


def _reads_metadata(function: Any) -> bool:
    is_property = getattr(function, "__name__", "") == "__get__"
    return is_property or function_name(function) in _METADATA


def _state_names(module: torch.nn.Module) -> dict[int, str]:
    """{id: first name} of parameters and of buffers that a state_dict holds."""
    names: dict[int, str] = {}
    kept = module.state_dict(keep_vars=True)
    for name, x in kept.items():
        if isinstance(x, torch.Tensor):
            names.setdefault(id(x), name)
    return names


def _model_line() -> str:
    """Where the model's own code is, outside of torch and of this package."""
    frame = sys._getframe(1)
    here = str(Path(__file__).parent)
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_TORCH, here)):
            break
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number).strip()
    return f"{Path(name).name}:{number}: {text}"
