"""`compare`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn._checks import check, check_int, check_type
from jaxcnn.interop.comparison.explain import Explainer
from jaxcnn.interop.comparison.linen_model import LinenModel
from jaxcnn.interop.comparison.passes import Pass, Settings, run_pass, variable_shapes
from jaxcnn.interop.comparison.report import Report
from jaxcnn.interop.comparison.torch_model import TorchModel
from jaxcnn.interop.comparison.values import is_random
from jaxcnn.interop.state_dict import to_variables
from jaxcnn.interop.summary import tied_names

_WHERE = "compare"


def compare(
    reference: Any,
    model: linen.Module,
    variables: Mapping[str, Any] | None,
    *inputs: Any,
    train: bool = False,
    backward: bool = False,
    steps: int = 0,
) -> Report:
    """Runs two models on the same numbers and finds the first layer that diverges, and why.

    Layers are paired by name, those that are left over by order, kind and size. Every layer is run
    twice: as the model runs it, with all errors of the layers before it, and on the reference's own
    input, which shows what the layer alone does wrong. The code between layers (functional
    activations, reshaping, sums) is judged by the input that it gives to the next layer when all
    layers before it give the reference's output.

    A layer diverges if its relative L2 error is above 1e-9 in float64, or in float32 above 1e-5
    and ten times what PyTorch's own float32 is off from its float64. Both models are run in both
    dtypes, in float64 where they can. For each divergence the usual causes are tested by running
    the reference's layer again with the alternative: eps, momentum, padding, layout, GELU form,
    align_corners, biased variance, flatten order, train/eval, TF32, stride, dilation, groups,
    ceil_mode, count_include_pad, slope, bias, activation, dtype, parameters.

    float32 runs at the precision that is set where this is called, so that TF32 is seen; under
    `jax.default_matmul_precision("highest")` it does not come up.

    Args:
      reference: A `torch.nn.Module`; or a linen module, jaxcnn's or Flax's, with `variables` of
        its own as the pair `(module, variables)`, else those of `model`. It stays as it is.
      model: The linen module, jaxcnn's or Flax's.
      variables: Its variables; None takes the reference's state_dict, for names as PyTorch's.
      *inputs: What the models take, images channels last; PyTorch is given them channels first
        (arrays of four axes or more, and of three if it has layers for sequences).
      train: Compare in training mode: the batch's statistics, and the running ones after a step.
        Dropout draws other numbers on both sides and is left out; functional dropout cannot be,
        and is noted.
      backward: Compare gradients too, of the mean of the outputs times fixed random numbers.
      steps: Compare the parameters after so many steps of SGD on that mean, with a learning rate
        of 0.01, momentum 0.9 and weight decay 1e-4.

    Returns:
      A Report: `report.first` is the first layer that diverges, `report.first.cause` the cause.

    Raises:
      TypeError: If one of the models is none, such as a checkpoint.
      ValueError: If a model does not take the inputs, the variables do not fit, or the models have
        no layer in common.

    Example:
      >>> from jaxcnn import nn
      >>> ours, theirs = nn.LayerNorm(4, eps=1e-6), nn.LayerNorm(4)
      >>> x = jnp.arange(8.0).reshape(2, 4)
      >>> variables = ours.init(jax.random.key(0), x)
      >>> print(compare(theirs, ours, variables, x).first.cause.name)
      eps
    """
    arrays = _checked_inputs(inputs)
    check_int(_WHERE, "steps", steps, 0)
    side, mine = _sides(reference, model, variables, arrays)
    settings, notes = Settings(train, backward, steps), []
    single = run_pass(side, mine, arrays, "float32", settings)
    double: Pass | None = None
    try:
        double = run_pass(side, mine, arrays, "float64", settings)
    except Exception as error:
        notes.append(f"float64 is not possible: {' '.join(str(error).split())[:200]}")
    notes += _notes(single, settings)
    explainer = Explainer(side, mine, arrays, single, double)
    layers = explainer.layers()
    if single.followed.failure is not None and not any(layer.diverges for layer in layers):
        raise ValueError(
            f"compare: the model must take the inputs (images channels last), got shapes="
            f"{[x.shape for x in arrays]}; {single.followed.failure}"
        ) from single.followed.failure
    alignment = single.alignment
    return Report(
        tuple(layers),
        alignment.only_reference,
        alignment.only_model,
        (*notes, *explainer.notes),
        {
            "reference": type(side.module).__name__,
            "model": type(mine.module).__name__,
            "inputs": [list(x.shape) for x in arrays],
            "train": train,
            "backward": backward,
            "steps": steps,
            "float64": double is not None,
        },
    )


def _checked_inputs(inputs: Sequence[Any]) -> list[np.ndarray]:
    check(len(inputs) > 0, _WHERE, "there must be at least one input", inputs=inputs)
    for i, x in enumerate(inputs):
        array = hasattr(x, "shape") and hasattr(x, "dtype") and not hasattr(x, "data_ptr")
        check_type(array, _WHERE, "inputs must be arrays of NumPy or JAX", index=i, input=_name(x))
    arrays = [np.asarray(x) for x in inputs]
    for i, x in enumerate(arrays):
        finite = not jnp.issubdtype(x.dtype, jnp.floating) or bool(np.all(np.isfinite(x)))
        check(finite, _WHERE, "inputs must be finite", index=i, shape=x.shape)
    return arrays


def _sides(
    reference: Any, model: Any, variables: Any, inputs: Sequence[np.ndarray]
) -> tuple[Any, LinenModel]:
    fix = "build the model and load the checkpoint into it"
    is_model = isinstance(model, linen.Module)
    rule = f"model must be a linen module, not a checkpoint: {fix}"
    check_type(is_model, _WHERE, rule, model=_name(model))
    if _is_torch(reference):
        theirs: Any = TorchModel(reference)
        return theirs, LinenModel(model, _variables(theirs, model, variables, inputs))
    pair = isinstance(reference, tuple) and len(reference) == 2
    module: Any
    module, own = reference if pair else (reference, variables)
    rule = f"reference must be a torch or linen module, not a checkpoint: {fix}"
    check_type(isinstance(module, linen.Module), _WHERE, rule, reference=_name(reference))
    rule = "variables must be a mapping"
    for value in (own, variables):
        check_type(isinstance(value, Mapping), _WHERE, rule, variables=_name(value))
    return LinenModel(module, own), LinenModel(model, variables)


def _variables(
    theirs: TorchModel, model: linen.Module, variables: Any, inputs: Sequence[np.ndarray]
) -> Mapping[str, Any]:
    if variables is None:
        try:
            like = jax.eval_shape(model.init, jax.random.key(0), *inputs)
            tied = tied_names(model, *inputs)
        except (ValueError, TypeError):  # a wrong shape may be the fault that is looked for
            like, tied = variable_shapes(theirs, model, inputs), {}
        return to_variables(theirs.arrays(), like, tied=tied)
    rule = "variables must be a mapping, such as model.init or jaxcnn.to_variables return"
    check_type(isinstance(variables, Mapping), _WHERE, rule, variables=_name(variables))
    flat = any(hasattr(value, "shape") for value in variables.values())
    rule = "variables must be a tree of collections, not a state_dict"
    check(not flat, _WHERE, rule, "use jaxcnn.to_variables", names=list(variables)[:3])
    return variables


def _is_torch(module: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(module, torch.nn.Module)


def _name(value: Any) -> str:
    return type(value).__name__


def _notes(single: Pass, settings: Settings) -> list[str]:
    notes = []
    calls = [*single.reference.calls, *single.followed.calls]
    random = sorted({call.class_name for call in calls if is_random(call.class_name)})
    if settings.train and random:
        notes.append(f"{', '.join(random)}: left out on both sides, their numbers are random")
    if single.reference.draws:
        notes.append("the reference draws random numbers outside its layers: it differs by chance")
    if single.free.failure is not None:
        text = " ".join(str(single.free.failure).split())[:300]
        notes.append(f"the model as it is ends with an error: {text}")
    elif (
        (settings.backward or settings.steps)
        and not single.model_steps
        and not single.free.gradients
    ):
        notes.append("no gradients: the models' outputs have other shapes")
    return notes
