"""torchvision's models as references: built, with nothing at its default, and run."""

from __future__ import annotations

import collections
import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxcnn import models

_OURS_ALONE = re.compile(r"lenet|cifar10_quick|unet|spectformer|resnet(20|32|44|56|110)$")
NAMES = [name for name in models.list_models() if not _OURS_ALONE.match(name)]

# (height, width), odd and unequal where the model allows it.
SIZE = (71, 65)
SIZES = {
    # The auxiliary heads need the maps of about 299 pixels.
    "inception_v3": (299, 303),
}
# Random while training; zero here, since the two frameworks draw different numbers.
RATES = ("dropout", "dropout_aux", "stochastic_depth_prob")


def rates(torchvision: Any, name: str) -> dict[str, float]:
    """The model's arguments that make training deterministic."""
    model = type(build(torchvision, name))
    return {rate: 0.0 for rate in RATES if rate in inspect.signature(model).parameters}


def build(torchvision: Any, name: str, **options: Any) -> Any:
    """The model without weights; the two with slow initialisers skip them."""
    fast = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **fast, **options)


def randomise(model: Any) -> None:
    """Moves statistics, scales and biases off their defaults, which hide mistakes."""
    import torch

    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, x in model.state_dict().items():
            noise = torch.randn(x.shape, generator=generator)
            if name.endswith("running_var"):
                x.copy_(1 + 0.5 * torch.tanh(noise))
            elif name.endswith("num_batches_tracked"):
                x.fill_(3)
            elif name.endswith("layer_scale"):
                x.copy_(0.5 + 0.1 * noise)
            elif x.ndim == 1:
                x.add_(0.1 * noise)


def load_state(model: Any, state: Mapping[str, Any]) -> None:
    """`load_state_dict` of all keys, as from a file: MNASNet asks for the version of the layout."""
    state = collections.OrderedDict(state)
    state._metadata = model.state_dict()._metadata  # pyright: ignore[reportAttributeAccessIssue]
    model.load_state_dict(state, strict=True)


def image(size: tuple[int, int], n: int) -> np.ndarray:
    """A batch of channels-last images."""
    return np.random.RandomState(0).standard_normal((n, *size, 3)).astype(np.float32)


def run(model: Any, x: np.ndarray, *, train: bool) -> list[np.ndarray]:
    """What the model returns of channels-last images; several outputs in order."""
    import torch

    images = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    images = images.to(next(model.parameters()).dtype)
    model.train(train)
    with torch.no_grad():
        outputs = model(images)
    return [y.numpy() for y in ([outputs] if isinstance(outputs, torch.Tensor) else outputs)]


def digest(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    """A checksum over all keys and shapes of a state_dict."""
    lines = sorted(f"{key} {tuple(shape)}" for key, shape in shapes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def relative_error(ours: Any, theirs: Any) -> float:
    """The L2 norm of the difference, by that of the reference."""
    ours, theirs = (np.asarray(y, np.float64) for y in (ours, theirs))
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def worst_statistic(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """The largest relative error among the running statistics of two state_dicts."""
    names = [name for name in theirs if "running_" in name]
    return max((relative_error(ours[name], theirs[name]) for name in names), default=0.0)
