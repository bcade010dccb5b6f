"""Small PyTorch modules, converted and held against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn

torch = pytest.importorskip("torch")
nn = torch.nn


class Calls(nn.Module):
    """A module of one function and the layers that it calls."""

    def __init__(self, function: Callable[..., Any], **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


def random_state(module: Any) -> Any:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for x in module.state_dict().values():
            if x.is_floating_point():
                x.copy_(0.3 * torch.randn(x.shape, generator=generator))
        for name, x in module.state_dict().items():
            if name.endswith("running_var"):
                x.copy_(x.abs() + 0.5)
    return module.eval()


def last(x: Any) -> np.ndarray:
    return np.moveaxis(x, 1, -1) if x.ndim > 3 else x


def image(n: int = 2, c: int = 3, h: int = 8, w: int = 6) -> Any:
    return torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(n))


def assert_equal(ours: Any, theirs: Any) -> None:
    error = np.linalg.norm(np.asarray(ours) - theirs) / max(np.linalg.norm(theirs), 1e-3)
    assert np.shape(ours) == theirs.shape
    assert error < 1e-5, error


def compare(module: Any, x: Any, **options: Any) -> Any:
    """Evaluation with two batch sizes, and a training step, against PyTorch."""
    module = random_state(module)
    model, variables = jaxcnn.from_torch(module, x[:1], **options)
    assert jaxcnn.to_state_dict(variables, tied=model.tied).keys() == module.state_dict().keys()
    for n in (1, 2):
        with torch.no_grad():
            theirs = module(x[:n]).numpy()
        assert_equal(jax.jit(model.apply)(variables, last(x[:n].numpy())), last(theirs))
    module.train()
    module(x).square().sum().backward()

    def loss(params: Any) -> Any:
        others = {key: value for key, value in variables.items() if key != "params"}
        y, new = model.apply(
            {"params": params, **others}, last(x.numpy()), train=True, mutable=["batch_stats"]
        )
        return jnp.sum(jnp.square(y)), new

    gradient, new = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    named = jaxcnn.to_state_dict({"params": gradient})
    for name, p in module.named_parameters():
        assert_equal(named[name], np.zeros(p.shape) if p.grad is None else p.grad.numpy())
    for name, value in jaxcnn.to_state_dict(new).items():
        assert_equal(value, module.state_dict()[name].numpy())
    return model


def refused(function: Callable[..., Any], x: Any = None, **layers: Any) -> str:
    x = image(c=6) if x is None else x
    with pytest.raises(jaxcnn.interop.ConversionError, match=r"^from_torch: ") as error:
        jaxcnn.from_torch(Calls(function, **layers), x)
    return str(error.value)
