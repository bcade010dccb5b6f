"""The command `jaxcnn compare`."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import flax.linen as linen
import jax
import numpy as np
import tyro

from jaxcnn import models
from jaxcnn._checks import check
from jaxcnn.interop._zoo import input_shape
from jaxcnn.interop.comparison.measure import compare
from jaxcnn.interop.comparison.report import Report
from jaxcnn.interop.comparison.state_dicts import compare_state_dicts
from jaxcnn.interop.files import read_state_dict
from jaxcnn.interop.state_dict import to_variables
from jaxcnn.interop.summary import tied_names

_WHERE = "compare"


def compare_models(
    reference: Annotated[str, tyro.conf.Positional],
    model: Annotated[str, tyro.conf.Positional],
    shape: tuple[int, ...] = (),
    input: Path | None = None,
    weights: Path | None = None,
    train: bool = False,
    backward: bool = False,
    steps: int = 0,
    json: Path | None = None,
    html: Path | None = None,
) -> None:
    """Find the first layer in which two models diverge, or the arrays that two files differ in.

    Ends with exit code 1 if they differ.

    Args:
      reference: A model by its dotted path, such as torchvision.models.resnet18 or my.file.model:
        an object, or something that makes one without arguments; or a name of jaxcnn.models. Or a
        checkpoint file.
      model: The linen model, in the same way. If both are checkpoint files, their arrays are
        compared.
      shape: Shape of the input, channels last, of random numbers; by default two images of the
        size that the jaxcnn model was made for.
      input: A .npy file with the input instead.
      weights: A checkpoint file that is loaded into both models first; by default the model is
        given the reference's weights.
      train: Compare in training mode.
      backward: Compare gradients too.
      steps: Compare the parameters after so many steps of SGD.
      json: Write all figures into this file.
      html: Write one page with table and plot into this file.
    """
    files = [Path(text) for text in (reference, model)]
    if all(file.is_file() for file in files):
        report = compare_state_dicts(*map(read_state_dict, files))
    else:
        report = _of_models(reference, model, shape, input, weights, train, backward, steps)
    _show(report, json, html)
    sys.exit(0 if report.equal else 1)


def _of_models(
    reference: str,
    model: str,
    shape: tuple[int, ...],
    input: Path | None,
    weights: Path | None,
    train: bool,
    backward: bool,
    steps: int,
) -> Report:
    theirs, ours = _model("reference", reference), _model("model", model)
    if input is None:
        shape = shape or (2, *input_shape(model))
        check(min(shape) > 0, _WHERE, "shape must be positive", shape=shape)
        x = np.random.RandomState(0).standard_normal(shape).astype(np.float32)
    else:
        x = np.load(input, allow_pickle=False)
    variables = None if weights is None else _loaded(weights, theirs, ours, x)
    if variables is None and isinstance(theirs, linen.Module):
        variables = theirs.init(jax.random.key(0), x)
    return compare(theirs, ours, variables, x, train=train, backward=backward, steps=steps)


def _loaded(weights: Path, theirs: Any, ours: linen.Module, x: np.ndarray) -> Any:
    """The variables of our model; PyTorch's is loaded in place."""
    state_dict = read_state_dict(weights)
    if hasattr(theirs, "load_state_dict"):
        import torch

        theirs.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state_dict.items()})
    like = jax.eval_shape(ours.init, jax.random.key(0), x)
    return to_variables(state_dict, like, tied=tied_names(ours, x))


def _model(argument: str, path: str) -> Any:
    """What a dotted path or the name of a model names; called, if it is no model yet."""
    if path in models.list_models():
        return models.create(path)
    found = _found(path)
    fix = "name a model by its dotted path, such as torchvision.models.resnet18"
    rule = f"{argument} must be a model, or both must be checkpoint files"
    check(found is not None, _WHERE, rule, fix, **{argument: path})
    makes_one = inspect.isclass(found) or inspect.isroutine(found) or inspect.isfunction(found)
    if not makes_one:
        return found
    try:
        return found()
    except TypeError as error:
        rule = f"{argument} must be made without arguments"
        check(False, _WHERE, rule, str(error), **{argument: path})


def _found(path: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `python -m` would look there too
    parts = path.replace(":", ".").split(".")
    for end in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:end])
        try:
            value: Any = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(f"{error.name}.")):
                continue
            raise ValueError(f"compare: {name} must be importable, got {error}.") from error
        except (ImportError, TypeError, ValueError):
            continue
        for part in parts[end:]:
            value = getattr(value, part, None)
        if value is not None:
            return value
    return None


def _show(report: Report, json: Path | None, html: Path | None) -> None:
    import rich

    rich.print(report)
    if json is not None:
        json.write_text(report.to_json() + "\n")
        print(json)
    if html is not None:
        print(report.to_html(html))
