"""Attention: dropout, masks that leave nothing, and multi-head attention against PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn.functional.attention import simplified_attention

KEY = jax.random.key(0)
L, S, N, E, H = 3, 5, 2, 4, 2


def test_dropout_of_weights() -> None:
    """With the identity as values the output is the weights: dropped or scaled by 1 / (1 - p)."""
    q, k, p = jnp.zeros((50, 40, 8)), jnp.zeros((50, 16, 8)), 0.25
    dropped = F.scaled_dot_product_attention(q, k, jnp.eye(16), dropout_p=p, rng=KEY)
    kept = np.asarray(dropped) > 0
    np.testing.assert_allclose(np.asarray(dropped)[kept], 1 / 16 / (1 - p), rtol=1e-6)
    assert abs(kept.mean() - (1 - p)) < 4 * np.sqrt(p * (1 - p) / kept.size)


def test_dropout_of_everything() -> None:
    q = jnp.ones((2, 3, 4))
    assert not F.scaled_dot_product_attention(q, q, q, dropout_p=1.0).any()


def test_multi_head_weights_are_returned_after_dropout() -> None:
    x, w = jnp.ones((40, 8, 4)), jnp.eye(4)
    arguments = (x, x, x, 4, 2, jnp.ones((12, 4)), None, None, None, False, 0.5, w, None)
    _, weights = F.multi_head_attention_forward(*arguments, rng=KEY, average_attn_weights=False)
    assert set(np.unique(np.asarray(weights)).round(6)) == {0, np.float32(0.05).round(6)}
    assert abs(float(jnp.mean(weights == 0)) - 0.5) < 0.02
    _, weights = F.multi_head_attention_forward(*arguments, training=False)
    np.testing.assert_allclose(weights, 1 / 40, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_float32(dtype: str) -> None:
    q, k, v = jax.random.normal(KEY, (3, 2, 64, 16), dtype)
    y = F.scaled_dot_product_attention(q, k, v)
    wide = F.scaled_dot_product_attention(*(x.astype(jnp.float32) for x in (q, k, v)))
    assert y.dtype == dtype
    assert jnp.array_equal(y, wide.astype(dtype))


def test_nothing_to_attend_to() -> None:
    """Zeros, and no NaN in any gradient."""
    q, k, v = jax.random.normal(KEY, (3, 1, 4, 4))
    mask = jnp.array([True, False, True, False])[:, None] & jnp.ones((1, 4), bool)
    attend = lambda *x: F.scaled_dot_product_attention(*x, attn_mask=mask)
    assert not attend(q, k, v)[0, 1::2].any()
    grads = jax.grad(lambda *x: attend(*x).sum(), (0, 1, 2))(q, k, v)
    assert all(jnp.isfinite(g).all() for g in grads)


def test_simplified_attention_scales_then_masks() -> None:
    q, k, v = jax.random.normal(KEY, (3, 1, 3, 4))
    gain = jnp.full((1, 2, 3, 3), 2.0)
    hidden = jnp.zeros((3, 3), bool).at[:, 2].set(True)
    y = simplified_attention(q, k, v, 2, hidden, gain)
    halves = [
        F.scaled_dot_product_attention(
            q[..., part], k[..., part], v[..., part], attn_mask=~hidden, scale=2 / np.sqrt(2)
        )
        for part in (slice(0, 2), slice(2, 4))
    ]
    np.testing.assert_allclose(y, jnp.concatenate(halves, -1), rtol=1e-5)


def _mask(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.RandomState(3)
    if kind == "added":
        return rng.standard_normal(shape)
    mask = rng.random_sample(shape) < 0.3
    mask[..., 0] = False
    return mask


HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-weights": {"need_weights": False},
    "per-head": {"average_attn_weights": False},
    "no-bias": {"in_proj_bias": None, "out_proj_bias": None},
    "one-array": {"self": True},
    "one-array-no-bias": {"self": True, "in_proj_bias": None},
    "mask": {"attn_mask": _mask("hidden", (L, S))},
    "mask-added": {"attn_mask": _mask("added", (L, S)), "need_weights": False},
    "mask-per-head": {"attn_mask": _mask("hidden", (N * H, L, S)), "average_attn_weights": False},
    "padding": {"key_padding_mask": _mask("hidden", (N, S))},
    "padding-added": {"key_padding_mask": _mask("added", (N, S)), "need_weights": False},
    "both": {
        "attn_mask": _mask("hidden", (N * H, L, S)),
        "key_padding_mask": _mask("hidden", (N, S)),
    },
    "both-no-weights": {
        "attn_mask": _mask("hidden", (L, S)),
        "key_padding_mask": _mask("hidden", (N, S)),
        "need_weights": False,
    },
    "nothing-left": {"attn_mask": np.ones((L, S), bool), "need_weights": False},
    "nothing-left-weights": {"attn_mask": np.ones((L, S), bool), "nan": True},
    "causal": {"attn_mask": ~np.tri(L, S, dtype=bool), "is_causal": True},
    "causal-hint-replaces-mask": {
        "attn_mask": np.zeros((L, S), bool),
        "is_causal": True,
        "need_weights": False,
    },
    "causal-hint-with-padding": {
        "attn_mask": np.zeros((L, S), bool),
        "key_padding_mask": _mask("hidden", (N, S)),
        "is_causal": True,
        "need_weights": False,
    },
    "extra": {"bias_k": (1, 1, E), "bias_v": (1, 1, E), "attn_mask": _mask("hidden", (L, S))},
    "zero": {"add_zero_attn": True, "key_padding_mask": _mask("hidden", (N, S))},
    "extra-and-zero": {
        "bias_k": (1, 1, E),
        "bias_v": (1, 1, E),
        "add_zero_attn": True,
        "attn_mask": _mask("hidden", (N * H, L, S)),
        "key_padding_mask": _mask("hidden", (N, S)),
        "need_weights": False,
    },
    "separate": {
        "use_separate_proj_weight": True,
        "in_proj_weight": None,
        "key": (S, N, 3),
        "value": (S, N, 6),
        "q_proj_weight": (E, E),
        "k_proj_weight": (E, 3),
        "v_proj_weight": (E, 6),
    },
    "static": {"static_k": (N * H, S, E // H), "static_v": (N * H, S, E // H)},
    "static-zero": {"static_k": (N * H, S, E // H), "add_zero_attn": True},
    "unbatched": {"query": (L, E), "key": (S, E), "value": (S, E)},
    "unbatched-masks": {
        "query": (L, E),
        "key": (S, E),
        "value": (S, E),
        "attn_mask": _mask("hidden", (H, L, S)),
        "key_padding_mask": _mask("hidden", (S,)),
        "average_attn_weights": False,
    },
}


def _arguments(changes: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays that have a gradient, the rest)."""
    rng = np.random.RandomState(1)
    given: dict[str, Any] = {
        "query": (L, N, E),
        "key": (S, N, E),
        "value": (S, N, E),
        "embed_dim_to_check": E,
        "num_heads": H,
        "in_proj_weight": (3 * E, E),
        "in_proj_bias": (3 * E,),
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": (E, E),
        "out_proj_bias": (E,),
        **changes,
    }
    made = {k: rng.standard_normal(v) if isinstance(v, tuple) else v for k, v in given.items()}
    arrays = {k: v for k, v in made.items() if isinstance(v, np.ndarray) and v.dtype != bool}
    return arrays, {k: v for k, v in made.items() if k not in arrays}


@pytest.mark.torch
@pytest.mark.parametrize("id", HEADS)
def test_multi_head_attention_forward(id: str, x64: None) -> None:
    """Outputs, weights and gradients, under jit."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    changes = dict(HEADS[id])
    same, nan = changes.pop("self", False), changes.pop("nan", False)
    arrays, rest = _arguments(changes)

    def outputs_of(forward: Any, arrays: dict[str, Any], rest: dict[str, Any]) -> list[Any]:
        if same:
            arrays = {**arrays, "key": arrays["query"], "value": arrays["query"]}
        return [y for y in forward(**arrays, **rest) if y is not None]

    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in arrays.items()}
    masks = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in rest.items()}
    expected = outputs_of(torch.nn.functional.multi_head_attention_forward, tensors, masks)
    vs = [np.random.RandomState(2).standard_normal(tuple(y.shape)) for y in expected]
    grads = torch.autograd.grad(
        expected, list(tensors.values()), [torch.from_numpy(v) for v in vs], allow_unused=True
    )

    @jax.jit
    def ours(arrays: dict[str, Any], vs: list[Any]) -> Any:
        forward = lambda arrays: outputs_of(F.multi_head_attention_forward, arrays, rest)
        y, vjp = jax.vjp(forward, arrays)
        return y, vjp(vs)[0]

    actual, actual_grads = ours(arrays, vs)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e.detach().numpy(), 1e-7, 1e-9)
    assert np.isnan(actual[0]).all() == nan
    for name, e in zip(tensors, grads, strict=True):
        expected_grad = np.zeros_like(arrays[name]) if e is None else e.numpy()
        np.testing.assert_allclose(actual_grads[name], expected_grad, 1e-7, 1e-9, err_msg=name)
