"""Runs the module inputs of PyTorch's own module tests through torch.nn's and jaxcnn's classes."""

from __future__ import annotations

import functools
import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcnn
from jaxcnn import nn

from .case import assert_gradient, assert_output, cotangent
from .opinfo.entry import channels, classes, images
from .opinfo.pooling import unpool

# jaxcnn's call in PyTorch's layout, where it is not the same. Other classes with 1d, 2d, 3d in
# their names take images; `dim` and trailing axes count in the array as given.
LAYOUTS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    **dict.fromkeys(["BatchNorm1d", "GroupNorm", "LocalResponseNorm", "PReLU"], channels),
    **dict.fromkeys(["SyncBatchNorm", "Upsample", "UpsamplingNearest2d"], channels),
    **dict.fromkeys(["UpsamplingBilinear2d", "PixelShuffle", "PixelUnshuffle"], channels),
    **dict.fromkeys(["ChannelShuffle", "Flatten", "Unflatten", "Fold", "Unfold"], channels),
    **dict.fromkeys(["CrossEntropyLoss", "NLLLoss"], classes),
    **{f"MaxUnpool{n}d": functools.partial(unpool, n=n) for n in (1, 2, 3)},
}


# Float32 gradients where PyTorch's own are no closer to float64: inputs up to 9 saturate the
# softmax, and what is left of its gradient has cancelled.
ATOL = {"MultiheadAttention": 2e-4}

# Classes that PyTorch's module tests lack: (constructor's arguments, shape of the input).
EXTRA: dict[str, list[tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]]] = {
    "AlphaDropout": [((0.0,), {}, (2, 3)), ((), {}, (2, 3))],
    "ChannelShuffle": [((2,), {}, (2, 6, 3, 4))],
    "CosineSimilarity": [((), {}, (2, 5, 3)), ((), {"dim": 0, "eps": 0.1}, (4, 3))],
    "Dropout": [((0.0,), {}, (2, 3)), ((1.0,), {"inplace": True}, (2, 3)), ((), {}, (2, 3))],
    "Dropout1d": [((0.0,), {}, (2, 3, 4)), ((), {}, (2, 3, 4))],
    "Dropout2d": [((0.0,), {}, (2, 3, 4, 5)), ((), {}, (2, 3, 4, 5))],
    "Dropout3d": [((0.0,), {}, (2, 3, 4, 5, 2)), ((), {}, (2, 3, 4, 5, 2))],
    "FeatureAlphaDropout": [((0.0,), {}, (2, 3, 4, 5)), ((), {}, (2, 3, 4, 5))],
    "Flatten": [((), {}, (2, 3, 4, 5)), ((1, 2), {}, (2, 3, 4))],
    "Fold": [(((4, 5), 2), {}, (2, 12, 12)), ((4, 2), {"stride": 2}, (2, 8, 4))],
    "Hardsigmoid": [((), {}, (5, 6)), ((True,), {}, (5, 6))],
    "Identity": [((), {}, (2, 3)), ((5,), {"a": 1}, (2, 3))],
    "MaxUnpool1d": [((2,), {}, (2, 3, 6)), ((3, 2, 1), {}, (2, 3, 7))],
    "MaxUnpool2d": [((2,), {}, (2, 3, 6, 4)), ((3, (2, 1), 1), {}, (2, 3, 7, 5))],
    "MaxUnpool3d": [((2,), {}, (2, 3, 6, 4, 4)), ((3,), {"stride": 2}, (1, 2, 7, 5, 5))],
    "PairwiseDistance": [((), {}, (3, 5)), ((1.0,), {"keepdim": True}, (3, 5))],
    "PixelShuffle": [((2,), {}, (2, 12, 3, 4))],
    "PixelUnshuffle": [((2,), {}, (2, 3, 4, 6))],
    "RReLU": [((0.2, 0.2), {}, (5, 6))],
    "SyncBatchNorm": [((3,), {}, (2, 3, 4, 5)), ((3,), {"affine": False}, (2, 3, 4))],
    "TripletMarginLoss": [((), {}, (4, 5)), ((), {"swap": True, "p": 1.5}, (4, 5))],
    "TripletMarginWithDistanceLoss": [((), {"margin": 2.0, "reduction": "sum"}, (4, 5))],
    "Unflatten": [((1, (3, 4, 5)), {}, (2, 60)), ((1, (2, 3)), {}, (2, 6))],
    "Unfold": [((2,), {}, (2, 3, 4, 5)), ((2,), {"dilation": 2, "padding": 1}, (2, 3, 4, 5))],
    "Upsample": [
        ((), {"scale_factor": 2}, (2, 3, 4, 5)),
        (((7, 6), None, "bicubic"), {"align_corners": True}, (2, 3, 4, 5)),
        ((None, 1.7, "linear"), {"recompute_scale_factor": True}, (2, 3, 5)),
    ],
    "UpsamplingBilinear2d": [((), {"scale_factor": 2}, (2, 3, 4, 5))],
    "UpsamplingNearest2d": [(((7, 6),), {}, (2, 3, 4, 5))],
}


@functools.cache
def module_infos() -> Mapping[str, Any]:
    """PyTorch's ModuleInfo by class name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, on import
        from torch.testing._internal.common_modules import module_db
    return {info.name.removeprefix("nn."): info for info in module_db}


def in_torch_layout(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` on arrays in PyTorch's layout."""
    if name in LAYOUTS:
        return LAYOUTS[name](call)
    axes = re.search(r"([123])d$", name)
    return images(call, int(axes[1])) if axes else call


class Pair:
    """One class with one set of arguments, in PyTorch and in jaxcnn, with the same state.

    Attributes:
      theirs, ours: The two modules.
      variables: jaxcnn's, holding PyTorch's numbers.
      inputs: Arguments of the call, in PyTorch's layout.
    """

    def __init__(
        self,
        name: str,
        constructor: tuple[Sequence[Any], Mapping[str, Any]],
        inputs: tuple[Sequence[Any], Mapping[str, Any]],
        train: bool,
    ) -> None:
        import torch

        args, kwargs = constructor
        kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "dtype")}
        # By position: the first argument is called `x` in jaxcnn.
        forward = inspect.signature(getattr(torch.nn, name).forward)
        bound = forward.bind(None, *inputs[0], **inputs[1])
        self.name, self.train = name, train
        self.inputs = (bound.args[1:], bound.kwargs)
        torch.manual_seed(0)
        self.theirs = getattr(torch.nn, name)(*args, **kwargs)
        args, kwargs = jax.tree.map(_array, (tuple(args), dict(kwargs)))
        self.ours = getattr(nn, name)(*args, **kwargs)
        dtypes = {t.dtype for t in jax.tree.leaves(inputs) if _floating(t)}
        self.theirs.to(max(dtypes, key=lambda d: d.itemsize, default=torch.float32)).train(train)
        like = self._like()
        self.variables = jaxcnn.to_variables(self.theirs.state_dict(), like)

    def _like(self) -> Any:
        """The shapes of jaxcnn's variables, in PyTorch's dtypes."""

        def init(*args: Any, **kwargs: Any) -> Any:
            variables: list[Any] = []

            def traced(*args: Any, **kwargs: Any) -> Any:
                y, new = self.ours.init_with_output(jax.random.key(0), *args, **kwargs)
                variables.append(new)
                return y

            in_torch_layout(self.name, traced)(*args, **kwargs)
            return variables[0]

        args, kwargs = jax.tree.map(_array, self.inputs)
        shapes = jax.eval_shape(lambda: init(*args, **kwargs))
        theirs = self.theirs.state_dict()
        names = {name: str(t.dtype)[6:] for name, t in theirs.items()}

        def typed(path: Any, leaf: Any) -> Any:
            dtype = names.get(".".join(e.key for e in path[1:]), leaf.dtype)
            return jax.ShapeDtypeStruct(leaf.shape, "int32" if dtype == "int64" else dtype)

        return jax.tree.map_with_path(typed, shapes)

    def call(self, variables: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """jaxcnn's outputs and variables after the call, in PyTorch's layout."""
        after: list[Any] = [variables]
        mode = {"train": self.train} if _takes_train(self.ours) else {}

        def applied(*args: Any, **kwargs: Any) -> Any:
            y, new = self.ours.apply(
                variables,
                *args,
                **kwargs,
                **mode,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )
            after[0] = {**variables, **new}
            return y

        outputs = in_torch_layout(self.name, applied)(*args, **kwargs)
        return jax.tree.leaves(outputs), after[0]

    def check(self) -> None:
        """Outputs, gradients, state after the call, state_dict and printed form are equal."""
        assert self.shown() == self.expected_shown()
        ours, theirs = self._run_ours(), self._run_theirs()
        for i, (a, e) in enumerate(zip(ours[0], theirs[0], strict=True)):
            assert_output(
                np.asarray(a), e, str(e.dtype) if e.dtype.kind == "f" else "float32", f"output {i}"
            )
        for name, e in theirs[1].items():
            message = f"gradient of {name}"
            if e.dtype == np.float32 and self.name in ATOL:
                limit = ATOL[self.name] * np.abs(e).max(initial=0.0)
                np.testing.assert_allclose(ours[1][name], e, 0, limit or ATOL[self.name])
            else:
                assert_gradient(np.asarray(ours[1][name]), e, str(e.dtype), message)
        after = jaxcnn.to_state_dict(ours[2])
        assert set(after) == set(self.theirs.state_dict())
        for name, t in self.theirs.state_dict().items():
            e = t.numpy()
            assert_output(after[name], e, str(e.dtype) if e.dtype.kind == "f" else "float32", name)

    def shown(self) -> str:
        """jaxcnn's module as PyTorch prints it, without its children."""
        return f"{self.name}({getattr(self.ours, 'extra_repr', str)()})"

    def expected_shown(self) -> str:
        """PyTorch's, as releases before 2.13 print it: norms show their bias only if missing."""
        without_children = str(self.theirs).partition("\n")[0]
        text = without_children if without_children[-1] == ")" else f"{without_children})"
        text = re.sub(r"(Norm\w*\(.*), bias=True", r"\1", text)
        return re.sub(r"(Norm\w*\(.*affine=False), bias=\w+", r"\1", text)

    def _run_theirs(self) -> tuple[list[np.ndarray], dict[str, np.ndarray], None]:
        import torch
        from torch.utils import _pytree as pytree

        leaves, spec = pytree.tree_flatten(self.inputs)
        wanted: dict[str, Any] = {}
        for i, t in enumerate(leaves):
            if _differentiable(t):
                wanted[f"input {i}"] = t.detach().clone().requires_grad_()
                leaves[i] = wanted[f"input {i}"].clone()  # what inplace=True may overwrite
        args, kwargs = pytree.tree_unflatten(leaves, spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = [y for y in pytree.tree_leaves(self.theirs(*args, **kwargs)) if y is not None]
        wanted |= dict(self.theirs.named_parameters())
        wanted = {k: v for k, v in wanted.items() if v.requires_grad}
        roots = [y for y in outputs if y.requires_grad]
        vs = [torch.tensor(cotangent(tuple(y.shape)), dtype=y.dtype) for y in roots]
        grads = (
            torch.autograd.grad(roots, list(wanted.values()), vs, allow_unused=True)
            if roots
            else []
        )
        values = {
            name: np.zeros(tuple(t.shape), str(t.dtype)[6:]) if g is None else g.numpy()
            for (name, t), g in zip(wanted.items(), grads, strict=bool(roots))
        }
        return [y.detach().numpy() for y in outputs], values, None

    def _run_ours(self) -> tuple[list[Any], dict[str, Any], Any]:
        leaves, tree = jax.tree.flatten(self.inputs)
        wanted = {
            i: jnp.asarray(t.detach().numpy()) for i, t in enumerate(leaves) if _differentiable(t)
        }
        params = self.variables.get("params", {})

        def outputs_of(params: Any, wanted: Any) -> Any:
            arrays = [wanted.get(i, _array(leaf)) for i, leaf in enumerate(leaves)]
            args, kwargs = jax.tree.unflatten(tree, arrays)
            variables = {**self.variables, "params": params}
            outputs, after = self.call(variables, *args, **kwargs)
            floats = [y for y in outputs if jnp.issubdtype(y.dtype, jnp.floating)]
            return floats, (outputs, after)

        floats, vjp, (outputs, after) = jax.vjp(outputs_of, params, wanted, has_aux=True)
        g_params, g_inputs = vjp([jnp.asarray(cotangent(y.shape), y.dtype) for y in floats])
        grads = {f"input {i}": g for i, g in g_inputs.items()}
        return outputs, grads | jaxcnn.to_state_dict({"params": g_params}), after


def _array(x: Any) -> Any:
    import torch

    if not isinstance(x, torch.Tensor):
        return x
    return jnp.asarray(x.detach().numpy())


def _floating(x: Any) -> bool:
    import torch

    return isinstance(x, torch.Tensor) and x.is_floating_point()


def _differentiable(x: Any) -> bool:
    return _floating(x) and x.requires_grad


def _takes_train(module: Any) -> bool:
    return "train" in inspect.signature(type(module).__call__).parameters


def rows(name: str) -> list[tuple[Any, Any, bool]]:
    """(constructor, inputs, train) of PyTorch's module inputs, or of the rows of EXTRA."""
    import torch

    make = _extra_inputs if name in EXTRA else _module_inputs
    found = []
    for train in (False, True):
        for dtype in (torch.float32, torch.float64):
            torch.manual_seed(0)
            found += [(*row, train) for row in make(name, dtype, train)]
    return found


def _module_inputs(name: str, dtype: Any, train: bool) -> list[tuple[Any, Any]]:
    info = module_infos()[name]
    made = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=train
    )
    both = [(m.constructor_input, m.forward_input) for m in made if m.forward_input is not None]
    return [((c.args, c.kwargs), (f.args, f.kwargs)) for c, f in both]


def _extra_inputs(name: str, dtype: Any, train: bool) -> list[tuple[Any, Any]]:
    """Random modes are tested by their statistics, SyncBatchNorm's on several devices."""
    import torch

    found = []
    for args, kwargs, shape in EXTRA[name]:
        random = "Dropout" in name and not args
        if train and (random or name == "SyncBatchNorm"):
            continue
        draw = lambda shape=shape: torch.randn(shape, dtype=dtype, requires_grad=True)
        inputs: tuple[Any, ...] = (draw(),)
        if name.startswith("MaxUnpool"):
            pool = getattr(torch.nn, f"MaxPool{name[-2]}d")(*args, **kwargs, return_indices=True)
            values, indices = pool(inputs[0].detach())
            inputs = (values.requires_grad_(), indices)
        elif name.startswith(("CosineSim", "Pairwise", "Triplet")):
            inputs = tuple(draw() for _ in range(3 if name.startswith("Triplet") else 2))
        found.append(((args, kwargs), (inputs, {})))
    return found
