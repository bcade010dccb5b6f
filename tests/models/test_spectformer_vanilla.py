"""The vanilla SpectFormer against its architecture written in PyTorch, and its dropout."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models
from jaxcnn.models.families import spectformer_vanilla

from .spectformers import (
    KEY,
    TINY_VANILLA,
    abstract,
    checkpoint,
    normal,
    outputs_of,
    random_variables,
)


def vanilla_twin(torch: Any, x: Any, p: dict[str, Any], depth: int, heads: int) -> Any:
    """The vanilla architecture as functions of PyTorch, from its description."""
    f = torch.nn.functional

    def norm(x: Any, name: str) -> Any:
        return f.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-6)

    def linear(x: Any, name: str) -> Any:
        return f.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def mlp(x: Any, name: str) -> Any:
        return linear(f.gelu(linear(x, f"{name}.fc1")), f"{name}.fc2")

    def gate(x: Any, name: str) -> Any:
        weight = torch.view_as_complex(p[f"{name}.complex_weight"])
        images = x.reshape(len(x), *grid, -1)
        spectrum = torch.fft.rfft2(images, dim=(1, 2), norm="ortho") * weight
        y = torch.fft.irfft2(spectrum, s=grid, dim=(1, 2), norm="ortho")
        return y.reshape(x.shape)

    def attention(x: Any, name: str) -> Any:
        shape = (len(x), -1, heads, x.shape[-1] // heads)
        q, k, v = (
            y.reshape(shape).transpose(1, 2) for y in linear(x, f"{name}.qkv").chunk(3, dim=-1)
        )
        y = f.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return linear(y, f"{name}.proj")

    weight = p["patch_embed.proj.weight"]
    images = f.conv2d(x, weight, p["patch_embed.proj.bias"], weight.shape[2:])
    grid = images.shape[2:]
    x = images.flatten(2).transpose(1, 2) + p["pos_embed"]
    for i in range(depth):
        name = f"blocks.{i}"
        if i < 4:
            x = x + mlp(norm(gate(norm(x, f"{name}.norm1"), f"{name}.filter"), f"{name}.norm2"),
                        f"{name}.mlp")  # fmt: skip
        else:
            x = x + attention(norm(x, f"{name}.norm1"), f"{name}.attn")
            x = x + mlp(norm(x, f"{name}.norm2"), f"{name}.mlp")
    return linear(norm(x, "norm").mean(1), "head")


@pytest.mark.torch
@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_vanilla_is_its_twin(size: tuple[int, int], x64: None) -> None:
    torch = pytest.importorskip("torch")
    model = spectformer_vanilla.SpectFormer(img_size=size, **TINY_VANILLA)
    start = {k: x.astype(np.float64) for k, x in checkpoint(model, size).items()}
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), abstract(model, size))
    x = normal(0, 2, *size, 3)
    y = model.apply(jaxcnn.to_variables(start, like), jnp.asarray(x))
    p = {k: torch.tensor(v) for k, v in start.items()}
    expected = vanilla_twin(torch, torch.tensor(x.transpose(0, 3, 1, 2)), p, 6, 2)
    np.testing.assert_allclose(y, expected.numpy(), 1e-9, 1e-9)


def test_vanilla_prints_as_the_origin() -> None:
    lines = jaxcnn.torch_repr(models.spectformer_t(), (1, 224, 224, 3)).splitlines()
    assert "    (0-3): 4 x Block(" in lines
    assert "    (4-11): 8 x Block_attention(" in lines
    top = [line.split(":")[0].strip() for line in lines if line[:3] == "  ("]
    assert top == [
        *("(patch_embed)", "(pos_drop)", "(blocks)", "(norm)"),
        *("(pre_logits)", "(head)", "(final_dropout)"),
    ]


def test_vanilla_dropout() -> None:
    """Each of its places draws: the embedding, attention, its projection, and the layers."""
    model = models.spectformer_t(**TINY_VANILLA, img_size=8, drop_rate=0.5)
    x = jnp.asarray(normal(0, 2, 8, 8, 3), jnp.float32)
    variables = random_variables(model, x)
    _, names = outputs_of(model, variables, x, train=True, rngs={"dropout": KEY})
    for name in ("pos_drop", "blocks.0.mlp.drop", "blocks.5.attn.attn_drop"):
        assert 0.2 < float(np.mean(names[name] == 0)) < 0.8
    assert 0.2 < float(np.mean(names["blocks.5.attn.proj_drop"] == 0)) < 0.8
    plain = models.spectformer_t(**TINY_VANILLA, img_size=8)
    assert jnp.array_equal(model.apply(variables, x), plain.apply(variables, x))
