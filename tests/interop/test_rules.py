from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jaxcnn

torch = pytest.importorskip("torch")
from tests.interop.converting import (  # noqa: E402
    Calls,
    assert_equal,
    compare,
    image,
    last,
    refused,
)

nn, TF = torch.nn, torch.nn.functional
pytestmark = pytest.mark.torch


def weighted(parts: Any, dim: int) -> Any:
    """The parts joined again, so that each place has its own factor."""
    return torch.cat([part * i for i, part in enumerate(parts, 1)], dim)


def from_rows(x: Any) -> Any:
    """(n, 6, h, w) as (n, 2, 3) matrices whose axes do not lie in that order."""
    return x.mean((2, 3)).view(-1, 3, 2).transpose(1, 2)


def counted(x: Any, *args: int, **kwargs: int) -> Any:
    return x + 0.1 * torch.arange(*args, **kwargs).float()[:, None, None, None]


def written(x: Any, at: Any) -> Any:
    first = x[:, :2]
    return x.scatter(1, at, first * 2) + x.scatter(1, at[:, :1], 0.5).scatter_add(1, at, first)


RULES: dict[str, Callable[[Any], Any]] = {
    "split": lambda x: weighted(torch.split(x, split_size_or_sections=4, dim=1), 1),
    "chunk": lambda x: weighted(x.chunk(4, -1), -1),
    "tensor_split in parts": lambda x: weighted(torch.tensor_split(x, 4, dim=1), 1),
    "tensor_split at": lambda x: weighted(torch.tensor_split(x, indices=(1, 3), dim=1), 1),
    "norms": lambda x: torch.norm(x, p=1, dim=1) + x.norm(float("-inf"), 1) + x.norm(dim=1),
    "linalg norms": lambda x: torch.linalg.norm(x, dim=1) + torch.linalg.vector_norm(x, 3, 1),
    "std_mean": lambda x: sum(torch.std_mean(x, dim=[2, 3], unbiased=False)),
    "argmin": lambda x: x * x.argmin(1, keepdim=True),
    "cosine_similarity": lambda x: TF.cosine_similarity(x, x.roll(1, 1).flip(2), dim=1),
    "threshold": lambda x: TF.threshold(x, 0.1, 0.3),
    "affine_grid": lambda x: TF.grid_sample(
        *(x, TF.affine_grid(0.3 * from_rows(x), list(x.shape), align_corners=False)),
        align_corners=False,
    ),
    "arange to": lambda x: counted(x, end=x.shape[0]),
    "arange by": lambda x: counted(x, 0, 3 * x.shape[0], step=3),
    "copy": lambda x: x + torch.zeros(x.shape, dtype=torch.int32).copy_(5 * x) * 0.5,
    "tile": lambda x: x.tile((1, 2)),
    "scatter": lambda x: written(x, x[:, :2].gt(0) * 3 + torch.arange(2)[:, None, None]),
}


@pytest.mark.parametrize("name", RULES)
def test_equals_torch(name: str) -> None:
    compare(Calls(lambda self, x: RULES[name](self.conv(x)), conv=nn.Conv2d(6, 6, 1)), image(c=6))


def test_gather_from_images_of_any_size() -> None:
    net = Calls(lambda self, x: x.gather(1, x[..., ::2].argmax(1, keepdim=True)))
    model, variables = jaxcnn.from_torch(net, image(w=6))
    for width in (6, 10):
        x = image(w=width)
        assert_equal(model.apply(variables, last(x.numpy())), last(net(x).numpy()))


FORMS: dict[str, Callable[[Any], Any]] = {
    "view as another dtype": lambda x: x.view(torch.int32),
    "norm with ord=0": lambda x: x.norm(0, 1),
    "norm with out": lambda x: torch.norm(x, out=torch.zeros(())),
    "linalg_norm of matrices": lambda x: torch.linalg.norm(x, ord=2, dim=(2, 3)),
    "max_pool2d of 3 axes; add a batch": lambda x: TF.max_pool2d(x[0], 2),
    "pad of 3 axes; add a batch": lambda x: TF.pad(x[0], (1, 1, 1, 1), "reflect"),
    "pixel_shuffle of 5 axes": lambda x: TF.pixel_shuffle(x.view(-1, 1, 24, 1, 12), 2),
    "addmm with missing a required argument: 'b'": lambda x: torch.addmm(
        *(x[:, 0, 0, :2], x[:, :, 0, 0]), mat2=x[0, :, 0, :2]
    ),
    "repeat_interleave with a tensor of repeats": lambda x: x.repeat_interleave(
        torch.tensor([1, 2, 1, 1, 1, 0]), dim=1, output_size=6
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_without_a_rule(form: str) -> None:
    text = refused(lambda self, x: FORMS[form](x))
    assert "got 1 without one" in text
    assert f"  {form}" in text


def test_one_image_without_a_batch_is_refused_by_layers() -> None:
    text = refused(lambda self, x: self.conv(x[0]), conv=nn.Conv2d(6, 2, 1))
    assert "Conv2d of 3 axes; add a batch: test_rules.py:" in text


@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input")
def test_layers_for_images_that_take_sequences_too() -> None:
    net = nn.Sequential(nn.Conv1d(6, 4, 1), nn.BatchNorm1d(4), nn.Dropout2d(0.5)).eval()
    x = image(c=6).flatten(2)
    model, variables = jaxcnn.from_torch(net, x)
    theirs = net(x).detach().numpy().swapaxes(1, 2)
    assert_equal(model.apply(variables, x.numpy().swapaxes(1, 2)), theirs)
