"""Recordings of a PyTorch module become a linen module with its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import torch

import jaxcnn.nn as nn
from jaxcnn._checks import check, check_type
from jaxcnn.interop.convert import rules as _rules  # noqa: F401  (registers them)
from jaxcnn.interop.convert.align import Aligned, align
from jaxcnn.interop.convert.calls import Call, Recording, State
from jaxcnn.interop.convert.errors import ConversionError, NoRuleError
from jaxcnn.interop.convert.layers import layer_class, layer_settings
from jaxcnn.interop.convert.lower import (
    Graph,
    Value,
    channels_last,
    identity,
    lower,
    resolved_output,
)
from jaxcnn.interop.convert.record import record, shapes_alone
from jaxcnn.interop.converted import Converted
from jaxcnn.interop.program import (
    Layer,
    Leaf,
    Program,
    Var,
    map_leaves,
    variables_in,
)

Mode = Literal["eval", "train"]
# Batch sizes of the recordings. If the module takes none of them, multiples of the example's.
_BATCHES = (2, 3, 5)


def convert(
    module: torch.nn.Module, example_inputs: tuple[torch.Tensor, ...], mode: Mode | None
) -> tuple[Converted, dict[str, Any]]:
    """`from_torch`."""
    _check_arguments(module, example_inputs, mode)
    recorder = _Recordings(module, example_inputs, mode)
    with _left_as_it_is(module):
        aligned = recorder.aligned()
        fixed_size = recorder.needs_its_size(aligned)
    program = _program(module, example_inputs, aligned, fixed_size)
    return Converted(program), _variables(module, program)


def _check_arguments(module: Any, inputs: Sequence[Any], mode: Any) -> None:
    where = "from_torch"
    rule = "module must be a torch.nn.Module"
    check_type(isinstance(module, torch.nn.Module), where, rule, module=type(module).__name__)
    check(len(inputs) > 0, where, "there must be an example input", inputs=0)
    for x in inputs:
        rule = "example inputs must be tensors of PyTorch"
        check_type(isinstance(x, torch.Tensor), where, rule, input=type(x).__name__)
        fix = "pass a batch of one"
        check(x.ndim > 0 and len(x) > 0, where, "inputs must have a batch", fix, shape=(*x.shape,))
    ok = mode in (None, "eval", "train")
    check(ok, where, "mode must be None, 'eval' or 'train'", mode=mode)


@contextlib.contextmanager
def _left_as_it_is(module: torch.nn.Module) -> Iterator[None]:
    """Restores modes, buffers and random numbers, which running in training mode changes."""
    modes = [(m, m.training) for m in module.modules()]
    buffers = [(m, name, x, x.clone()) for m in module.modules() for name, x in _buffers(m)]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for m, training in modes:
            m.training = training
        with torch.no_grad():
            for m, name, x, saved in buffers:
                m._buffers[name] = x
                x.copy_(saved)


def _buffers(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [(name, x) for name, x in module._buffers.items() if x is not None]


class _Recordings:
    """Runs the module with several batch sizes, in evaluation and in training."""

    def __init__(
        self, module: torch.nn.Module, example: Sequence[torch.Tensor], mode: Mode | None
    ) -> None:
        self.module, self.example, self.mode = module, example, mode
        self.shapes_alone = shapes_alone()
        # Layers whose weights other calls read too.
        self.not_layers: frozenset[str] = frozenset()

    def aligned(self) -> Aligned:
        """What all of them have in common."""
        n = len(self.example[0])
        try:
            return self._aligned(_BATCHES)
        except RuntimeError as error:
            if n > 1:
                with contextlib.suppress(RuntimeError):
                    return self._aligned((n, 2 * n, 3 * n))
            text = str(error).splitlines()[0]
            shapes = [tuple(x.shape) for x in self.example]
            raise ConversionError(
                f"from_torch: the module must run on the example, got shapes={shapes}: {text}"
            ) from error

    def needs_its_size(self, aligned: Aligned) -> bool:
        """Whether images of another size would need another program."""
        if len(self.example) != 1 or self.example[0].ndim != 4:
            return True
        n, c, h, w = self.example[0].shape
        other = self.example[0].new_zeros(n, c, h + h // 2, w + w // 2)
        try:
            run = self._record((other,), _BATCHES[0], self.mode == "train")
        except Exception:  # whatever a module says to a size that it does not take
            return True
        return not aligned.same_but_for_sizes(run)

    def _aligned(self, sizes: Sequence[int]) -> Aligned:
        while True:
            training = self.mode == "train"
            runs = [(size, self._record(self.example, size, training)) for size in sizes]
            shared = _shared_layers(self.module, runs[0][1].calls) - self.not_layers
            if shared:
                self.not_layers |= shared
                continue
            other = self._record(self.example, sizes[0], True) if self.mode is None else None
            return align(runs, other)

    def _record(self, example: Sequence[torch.Tensor], size: int, training: bool) -> Recording:
        self.module.train(training)
        inputs = tuple(map(self.shapes_alone, _batch(example, size)))
        return record(self.module, inputs, self.not_layers)


def _batch(example: Sequence[torch.Tensor], size: int) -> tuple[torch.Tensor, ...]:
    """The example with `size` rows; an input with another number of rows stays."""
    n = len(example[0])
    rows = torch.arange(size) % n
    return tuple(x[rows].clone() if len(x) == n else x.clone() for x in example)


def _shared_layers(module: torch.nn.Module, calls: Sequence[Call]) -> frozenset[str]:
    """Layers with a parameter that another layer holds, or that a function reads."""
    called = {call.layer for call in calls if call.layer is not None}
    holders: dict[int, set[str]] = {}
    for name in called:
        for x in module.get_submodule(name).parameters():
            holders.setdefault(id(x), set()).add(name)
    shared = {name for names in holders.values() if len(names) > 1 for name in names}
    read: set[str] = set()

    def note(x: Any) -> None:
        if isinstance(x, State):
            read.add(x.name)

    for call in calls:
        map_leaves(note, (call.args, call.kwargs))
    state = dict(module.named_parameters(remove_duplicate=False))
    for name in read & state.keys():
        shared |= holders.get(id(state[name]), set())
    return frozenset(shared)


def _program(
    module: torch.nn.Module, example: Sequence[torch.Tensor], aligned: Aligned, fixed_size: bool
) -> Program:
    graph = Graph(aligned, len(example), module.state_dict(keep_vars=True))
    inputs = []
    for i, (ref, x) in enumerate(zip(aligned.inputs, example, strict=True)):
        shape = aligned.shapes[ref.number]
        order = _input_order(aligned, ref, x.ndim)
        graph.values[ref.number] = Value(Var(i), shape.sizes, order, shape.dtype)
        dtype = jax.dtypes.canonicalize_dtype(str(x.dtype).removeprefix("torch."))
        inputs.append(jax.ShapeDtypeStruct([x.shape[axis] for axis in order], dtype))
    _lower_all(graph, aligned)
    output = resolved_output(graph, aligned.output)
    statements = _used(graph.statements, output)
    called = {s.layer for s in statements if s.layer is not None}
    layers = {
        name: Layer((layer_class(m) or nn.BatchNorm2d).__name__, layer_settings(m))
        for name, m in module.named_modules()
        if name in called
    }
    params, buffers, tied = _loose_state(module, called)
    return Program(
        type(module).__name__,
        tuple(statements),
        layers,
        params,
        buffers,
        output,
        tuple(inputs),
        fixed_size,
        tied,
        {name: type(m).__name__ for name, m in module.named_modules()},
        sum(not graph.layout_changes.isdisjoint(s.outputs) for s in statements),
    )


def _lower_all(graph: Graph, aligned: Aligned) -> None:
    """Adds every call to the graph; one error lists all that have no rule."""
    unknown: dict[str, str] = {}
    for call in aligned.calls:
        numbers = list(call.shapes)
        if numbers and all(number in aligned.values for number in numbers):
            continue  # a constant
        try:
            lower(graph, call)
        except NoRuleError as error:
            unknown.setdefault(f"{call.name} {error}".rstrip(), call.line)
            for number in numbers:
                shape = aligned.shapes[number]
                order = identity(len(shape.sizes))
                graph.values[number] = Value(Var(-1), shape.sizes, order, shape.dtype)
    if unknown:
        lines = "".join(f"\n  {name}: {line}" for name, line in unknown.items())
        raise ConversionError(
            f"from_torch: every call must have a rule, got {len(unknown)} without one; register "
            f"them with @jaxcnn.interop.rule(torch.some_function):{lines}"
        )


def _input_order(aligned: Aligned, ref: Any, ndim: int) -> tuple[int, ...]:
    """Images are channels-last; three axes are if the first call that takes them says so."""
    if ndim != 3:
        return channels_last(ndim) if ndim in (4, 5) else identity(ndim)
    for call in aligned.calls:
        if any(x == ref for x in call.args):
            of_sequences = call.name.lower().endswith("1d")
            return channels_last(3) if of_sequences else identity(3)
    return identity(3)


def _used(statements: Sequence[Any], output: Any) -> list[Any]:
    """The statements whose results are used, directly or not."""
    needed = set(variables_in(output))
    kept = []
    for statement in reversed(statements):
        # A layer may write its running statistics, whoever reads its output.
        if statement.layer is not None or needed.intersection(statement.outputs):
            kept.append(statement)
            needed.update(variables_in((statement.args, dict(statement.kwargs))))
    return kept[::-1]


def _loose_state(
    module: torch.nn.Module, called: set[str]
) -> tuple[dict[str, Leaf], dict[str, Leaf], dict[str, str]]:
    """Parameters and buffers that no called layer holds, and further names of the same ones."""
    state = module.state_dict(keep_vars=True)
    parameters = {id(x) for x in module.parameters()}
    first: dict[int, str] = {}
    params, buffers, tied = {}, {}, {}
    for name, x in state.items():
        if id(x) in first:
            tied[name] = first[id(x)]
            continue
        first[id(x)] = name
        if _holder(name, called) is None:
            (params if id(x) in parameters else buffers)[name] = _leaf(x, id(x) in parameters)
    return params, buffers, tied


def _holder(name: str, called: set[str]) -> str | None:
    """The called layer that holds a parameter or buffer."""
    parts = name.split(".")
    prefixes = (".".join(parts[:i]) for i in range(len(parts) - 1, -1, -1))
    return next((prefix for prefix in prefixes if prefix in called), None)


def _leaf(x: torch.Tensor, is_parameter: bool) -> Leaf:
    x = x.detach()
    dtype = str(x.dtype).removeprefix("torch.")
    if not is_parameter or not x.is_floating_point():
        return Leaf(tuple(x.shape), dtype, value=_array(x))
    spread = x.double().std().item() if x.numel() > 1 else 0.0
    mean = x.double().mean().item() if x.numel() else 0.0
    return Leaf(tuple(x.shape), dtype, mean, spread)


def _array(x: torch.Tensor) -> np.ndarray:
    x = x.detach().cpu()
    if x.dtype == torch.bfloat16:
        return np.asarray(x.float().numpy(), jnp.bfloat16)
    return np.array(x.numpy())


def _variables(module: torch.nn.Module, program: Program) -> dict[str, Any]:
    parameters = {id(x) for x in module.parameters()}
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, x in module.state_dict(keep_vars=True).items():
        if name in program.tied:
            continue
        tree = variables["params" if id(x) in parameters else "batch_stats"]
        holder = _holder(name, set(program.layers))
        path = [name]
        if holder is not None:
            path = [holder, *name.removeprefix(f"{holder}.").split(".")]
        for part in path[:-1]:
            tree = tree.setdefault(part, {})
        tree[path[-1]] = jax.device_put(_array(x))
    return {name: tree for name, tree in variables.items() if tree or name == "params"}
