"""A linen model's side of a comparison: jaxcnn's or plain Flax's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
from flax.core.tracers import current_trace

from jaxcnn import optim
from jaxcnn._names import named_leaves
from jaxcnn.interop.comparison.trace import Arrays, Call, Key, Trace
from jaxcnn.interop.comparison.values import Value, is_random

# What a port calls its mode, and whether it is True in training.
_MODES = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}
# Gradients run once or twice: XLA need not look for fast programs. What runs forwards is not
# compiled as a whole at all, because its parts are the same in every run.
_OPTIONS: Any = {"xla_backend_optimization_level": 0}
SGD: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}

_Pairs = Mapping[Key, Call]


class LinenModel:
    """A linen module with its variables, run with a record of its layers.

    Args:
      module: The module.
      variables: Its variables.
    """

    def __init__(self, module: linen.Module, variables: Mapping[str, Any]) -> None:
        self.module, self.variables = module, variables

    framework = "jax"

    def arrays(self) -> Arrays:
        """Parameters and statistics by dotted name."""
        return _named(self.variables)

    def run(
        self,
        inputs: Sequence[np.ndarray],
        dtype: str,
        train: bool,
        cotangents: Sequence[np.ndarray] | None = None,
    ) -> Trace:
        """Runs the model in `dtype`; with `cotangents`, backwards too."""
        recorder = _Recorder()
        trace = self._run(recorder, inputs, dtype, train)
        if cotangents is None or trace.failure is not None:
            return trace
        zeros = {
            call.key: (_zeros(call.inputs), _zeros(call.outputs or ())) for call in trace.calls
        }

        def loss(outputs: list[Any], calls: Sequence[Call]) -> Any:
            del calls
            pairs = zip(outputs, cotangents, strict=True)
            total = sum(jnp.sum(y * jnp.asarray(c, y.dtype)) for y, c in pairs)
            return total / sum(y.size for y in outputs)

        self._differentiate(trace, _Recorder(shifts=True), loss, inputs, dtype, train, zeros)
        return trace

    def follow(
        self,
        inputs: Sequence[np.ndarray],
        dtype: str,
        train: bool,
        reference: _Pairs,
        upstream: Mapping[Key, list[np.ndarray]] | None = None,
    ) -> Trace:
        """Runs each layer on the input that its counterpart had, and goes on with its output.

        So what a layer does wrong is seen in its own output alone, and what is wrong between
        layers in the inputs that a layer is given.

        Args:
          inputs: The model's inputs.
          dtype: What it runs in.
          train: Whether in training mode.
          reference: The counterpart's call for each call of this model that has one.
          upstream: The counterparts' gradients of the loss with respect to their outputs.
        """
        trace = self._run(_Recorder(reference), inputs, dtype, train)
        if upstream is None or trace.failure is not None:
            return trace

        def loss(outputs: list[Any], calls: Sequence[Call]) -> Any:
            del outputs
            total: Any = 0.0
            for call in calls:
                given = upstream.get(call.key, [])
                values = reference[call.key].outputs if given else []
                for y, g, value in zip(call.outputs or (), given, values or (), strict=False):
                    g = Value(g, value.channels_first).like(y.array.shape)
                    if g.shape == y.array.shape:
                        total = total + jnp.sum(y.array * jnp.asarray(g, y.array.dtype))
            return total

        zeros = {c.key: (_zeros(c.inputs), []) for c in trace.calls if c.key in reference}
        recorder = _Recorder(reference, shifts=True)
        self._differentiate(trace, recorder, loss, inputs, dtype, train, zeros)
        return trace

    def train(
        self, inputs: Sequence[np.ndarray], dtype: str, train: bool, steps: int, cotangents: Any
    ) -> Arrays:
        """Parameters and statistics after some steps of SGD."""
        variables, inputs = _cast(self.variables, dtype), _cast(list(inputs), dtype)
        tx = optim.sgd(**SGD)

        def loss(params: Any, rest: Any) -> Any:
            output, new = self._apply({"params": params, **rest}, inputs, train, _Recorder())
            leaves = _arrays_in(output)
            pairs = zip(leaves, cotangents, strict=True)
            total: Any = sum(jnp.sum(y * jnp.asarray(c, y.dtype)) for y, c in pairs)
            return total / sum(y.size for y in leaves), {**rest, **new}

        def step(params: Any, rest: Any, state: Any) -> Any:
            gradients, rest = jax.grad(loss, has_aux=True)(params, rest)
            updates, state = tx.update(gradients, state, params)
            return jax.tree.map(jnp.add, params, updates), rest, state

        params = variables["params"]
        rest = {name: tree for name, tree in variables.items() if name != "params"}
        state, step = tx.init(params), jax.jit(step, compiler_options=_OPTIONS)
        for _ in range(steps):
            params, rest, state = step(params, rest, state)
        return _named({"params": params, **rest})

    def shapes(self, inputs: Sequence[np.ndarray], reference: _Pairs) -> Any:
        """Shapes of the variables, if each layer is given what its counterpart is given."""
        with linen.intercept_methods(_Recorder(reference)):
            return jax.eval_shape(self.module.init, jax.random.key(0), *inputs)

    def _run(
        self,
        recorder: _Recorder,
        inputs: Sequence[np.ndarray],
        dtype: str,
        train: bool,
    ) -> Trace:
        variables = _cast(self.variables, dtype)
        failure, new = None, {}
        try:
            _, new = self._apply(variables, _cast(list(inputs), dtype), train, recorder)
        except Exception as error:  # it may be the fault that is looked for
            failure = error
        for call in recorder.calls:
            call.inputs = [Value(np.asarray(x.array)) for x in call.inputs]
            if call.outputs is not None:
                call.outputs = [Value(np.asarray(y.array)) for y in call.outputs]
        return Trace(recorder.calls, statistics=_named({**variables, **new}), failure=failure)

    def _differentiate(
        self,
        trace: Trace,
        recorder: _Recorder,
        loss: Callable[[list[Any], Sequence[Call]], Any],
        inputs: Sequence[np.ndarray],
        dtype: str,
        train: bool,
        zeros: Any,
    ) -> None:
        variables, inputs = _cast(self.variables, dtype), _cast(list(inputs), dtype)
        rest = {name: tree for name, tree in variables.items() if name != "params"}

        def program(params: Any, zeros: Any) -> Any:
            recorder.start(zeros)
            output, _ = self._apply({"params": params, **rest}, inputs, train, recorder)
            return loss(_arrays_in(output), recorder.calls)

        program = jax.jit(jax.grad(program, argnums=(0, 1)), compiler_options=_OPTIONS)
        gradients, shifts = program(variables.get("params", {}), zeros)
        trace.gradients = _named({"params": gradients})
        trace.input_gradients = {k: [np.asarray(g) for g in s[0]] for k, s in shifts.items()}
        trace.output_gradients = {k: [np.asarray(g) for g in s[1]] for k, s in shifts.items()}

    def _apply(self, variables: Any, inputs: Any, train: bool, recorder: _Recorder) -> Any:
        parameters = inspect.signature(type(self.module).__call__).parameters
        modes: dict[str, Any] = {
            name: train == when for name, when in _MODES.items() if name in parameters
        }
        mutable = [name for name in variables if name != "params"] if train else []
        rngs = {"dropout": jax.random.key(0)} if train else {}
        with linen.intercept_methods(recorder):
            return self.module.apply(variables, *inputs, mutable=mutable, rngs=rngs, **modes)


class _Recorder:
    """An interceptor that notes what every layer takes and gives, and may put other arrays there.

    Args:
      reference: Calls whose inputs and outputs take the place of the model's own.
      shifts: Whether zeros are added to inputs and outputs, for the gradients there.
    """

    def __init__(self, reference: _Pairs | None = None, shifts: bool = False) -> None:
        self.calls: list[Call] = []
        self._reference, self._shifting = reference or {}, shifts
        self.start({})

    def start(self, shifts: Any) -> None:
        """Begins a run; `shifts` are the zeros to add."""
        self.calls.clear()
        self._shifts = shifts
        self._stack: list[int] = []
        self._counts: dict[str, int] = {}
        self._trace: Any = None

    def __call__(self, call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__" or not self._is_seen(module):
            return call(*args, **kwargs)
        name = ".".join(module.path)
        number = self._counts[name] = self._counts.get(name, -1) + 1
        noted = Call((name, number), module, self._stack[-1] if self._stack else None)
        position = len(self.calls)
        self.calls.append(noted)
        noted.inputs = [Value(x) for x in _arrays_in((args, kwargs))]
        args, kwargs = self._given(noted, (args, kwargs))
        self._stack.append(position)
        result = args[0] if is_random(type(module).__name__) else call(*args, **kwargs)
        self._stack.pop()
        result = self._shifted(noted.key, 1, result)
        noted.outputs = [Value(y) for y in _arrays_in(result)]
        return self._continued(noted, result)

    def _is_seen(self, module: linen.Module) -> bool:
        """Whether the call is one of its own, outside of transformed parts (nn.remat, nn.scan)."""
        if not self._stack:
            self._trace = current_trace()
            return True
        same = self.calls[self._stack[-1]].layer is module  # super().__call__
        return not same and current_trace() == self._trace

    def _given(self, noted: Call, arguments: Any) -> Any:
        """The arguments, with the reference's arrays where they fit."""
        if noted.key in self._reference:
            values = self._reference[noted.key].inputs
            arguments = _replaced(arguments, _like(values, noted.inputs))
        return self._shifted(noted.key, 0, arguments)

    def _continued(self, noted: Call, result: Any) -> Any:
        if noted.key not in self._reference:
            return result
        values = self._reference[noted.key].outputs or []
        return _replaced(result, _like(values, noted.outputs or []))

    def _shifted(self, key: Key, which: int, tree: Any) -> Any:
        if not self._shifting or key not in self._shifts:
            return tree
        zeros = self._shifts[key][which]
        arrays = [
            x + z if jnp.issubdtype(x.dtype, jnp.floating) and x.shape == z.shape else x
            for x, z in zip(_arrays_in(tree), zeros, strict=False)
        ]
        return _replaced(tree, arrays)


def _like(values: Sequence[Value], own: Sequence[Value]) -> list[Any]:
    """The reference's arrays in the model's layout."""
    pairs = zip(values, own, strict=False)
    return [jnp.asarray(value.like(mine.array.shape)) for value, mine in pairs]


def _is_array(leaf: Any) -> bool:
    numbers = isinstance(leaf, jax.Array | np.ndarray)
    return numbers and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _arrays_in(tree: Any) -> list[Any]:
    return [leaf for leaf in jax.tree.leaves(tree) if _is_array(leaf)]


def _replaced(tree: Any, arrays: Sequence[Any]) -> Any:
    """`tree` with its arrays replaced, in order; without a change if their number differs."""
    leaves, structure = jax.tree.flatten(tree)
    places = [i for i, leaf in enumerate(leaves) if _is_array(leaf)]
    if len(places) != len(arrays):
        return tree
    for place, array in zip(places, arrays, strict=True):
        leaves[place] = array
    return jax.tree.unflatten(structure, leaves)


def _zeros(values: Sequence[Value]) -> list[np.ndarray]:
    """Of floating arrays; of others, zeros that nothing is added to."""
    return [
        np.zeros(x.array.shape, x.array.dtype)
        if np.issubdtype(x.array.dtype, np.floating)
        else np.zeros((), np.float32)
        for x in values
    ]


def _cast(tree: Any, dtype: str) -> Any:
    def leaf(x: Any) -> Any:
        x = np.asarray(x)
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)


def _named(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in named_leaves("compare", variables).items()}
