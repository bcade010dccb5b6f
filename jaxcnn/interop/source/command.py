"""The command `jaxcnn convert-model`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxcnn._checks import check
from jaxcnn.interop._torchvision import import_torchvision
from jaxcnn.interop.files import read_state_dict, write_state_dict
from jaxcnn.interop.source import to_source
from jaxcnn.interop.state_dict import to_state_dict

_WHERE = "convert-model"


def convert_model(
    model: Annotated[str, tyro.conf.Positional],
    out: Path,
    weights: Path | None = None,
    shape: tuple[int, ...] = (),
    checkpoint: Path | None = None,
    pretrained: bool = False,
    force: bool = False,
) -> None:
    """Write a PyTorch model as a Python file of jaxcnn, and its weights. Needs PyTorch.

    Args:
      model: torchvision:NAME, timm:NAME, or package.module:NAME of something that makes the model
        without arguments.
      out: The new Python file.
      weights: The new file with the weights; its ending decides: .pt, .safetensors or .npz.
      shape: Shape of the images it is run on, channels last; by default one of the size that
        timm states, or of 224 x 224 pixels.
      checkpoint: A file with the state_dict that the PyTorch model has first.
      pretrained: Take the published weights of torchvision or timm, which are downloaded.
      force: Replace files that exist.
    """
    for path in (out, weights):
        free = path is None or force or not path.exists()
        rule = "the new files must not exist"
        check(free, _WHERE, rule, "pass --force to replace them", path=str(path))
    rule = "out must end in .py, as weights have a file of their own"
    check(out.suffix == ".py", _WHERE, rule, out=str(out))
    check(all(n > 0 for n in shape), _WHERE, "shape must be positive", shape=shape)
    rule = "shape must be that of images, batch first and channels last"
    check(len(shape) in (0, 3, 4, 5), _WHERE, rule, shape=shape)
    rule = "the model must be torchvision:NAME, timm:NAME or package.module:NAME"
    source, colon, name = model.partition(":")
    check(bool(source and colon and name), _WHERE, rule, model=model)
    _need("torch")
    torch_model, own_shape = _built(source, name, pretrained)
    if checkpoint is not None:
        _load(torch_model, checkpoint)
    text, state_dict = _converted(torch_model, shape or own_shape)
    if weights is not None:
        write_state_dict(weights, state_dict)
        print(f"{weights}: {len(state_dict):,} arrays, {weights.stat().st_size:,} bytes")
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {text.count(chr(10)):,} lines")


def _converted(torch_model: Any, shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    """The file's text, and the weights."""
    import torch

    from jaxcnn.interop.convert import from_torch

    images = torch.zeros(shape[0], shape[-1], *shape[1:-1])
    converted, variables = from_torch(torch_model, images)
    return to_source(converted), to_state_dict(variables)


def _built(source: str, name: str, pretrained: bool) -> tuple[Any, tuple[int, ...]]:
    """The PyTorch model, and the shape of an image for it."""
    shape = (1, 224, 224, 3)
    if source == "torchvision":
        models = _torchvision().models
        known = models.list_models()
        check(name in known, _WHERE, "torchvision must have the model", name=name)
        return models.get_model(name, weights="DEFAULT" if pretrained else None), shape
    if source == "timm":
        _check_installed("timm")
        _torchvision()  # which timm imports
        timm = _need("timm")
        known = timm.is_model(name)
        check(known, _WHERE, "timm must have the model", name=name)
        found = timm.create_model(name, pretrained=pretrained)
        channels, *sizes = found.default_cfg.get("input_size", (3, 224, 224))
        return found, (1, *sizes, channels)
    rule = "published weights are those of torchvision and timm"
    check(not pretrained, _WHERE, rule, "leave --pretrained out", model=f"{source}:{name}")
    return _called(source, name), shape


def _called(source: str, name: str) -> Any:
    import torch

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `python -m` would look there too
    try:
        module = importlib.import_module(source)
    except ImportError as error:
        raise ValueError(f"{_WHERE}: {source} must be importable, got {error}.") from error
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    check(callable(found), _WHERE, f"{source} must have a callable", name=name)
    if not isinstance(found, torch.nn.Module):
        found = found()
    is_model = isinstance(found, torch.nn.Module)
    check(is_model, _WHERE, f"{name} must make a torch.nn.Module", type=type(found).__name__)
    return found


def _load(torch_model: Any, checkpoint: Path) -> None:
    import torch

    state_dict = {k: torch.from_numpy(v.copy()) for k, v in read_state_dict(checkpoint).items()}
    try:
        torch_model.load_state_dict(state_dict)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{_WHERE}: the checkpoint must fit the model, got {str(checkpoint)!r}: {line}."
        ) from error


def _torchvision() -> Any:
    _check_installed("torchvision")
    return import_torchvision()


def _need(package: str) -> Any:
    _check_installed(package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(package)


def _check_installed(package: str) -> None:
    there = importlib.util.find_spec(package) is not None
    check(there, _WHERE, f"{package} must be installed", f"pip install {package}", found=None)
