"""Attention layers: against PyTorch, dropout, errors."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn

KEY = jax.random.key(0)
N, L, S, E = 2, 3, 5, 8


def hidden(*shape: int) -> np.ndarray:
    mask = np.random.RandomState(3).random_sample(shape) < 0.3
    mask[..., 0] = False
    return mask


# id -> (constructor, call); a `self` in the call: query, key and value are one array.
LAYERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {}),
    "batch-first": ({"batch_first": True}, {"attn_mask": hidden(L, S)}),
    "batch-first-self": ({"batch_first": True}, {"self": True}),
    "self": ({}, {"self": True, "need_weights": False}),
    "no-bias": ({"bias": False}, {"key_padding_mask": hidden(N, S)}),
    "extra": ({"add_bias_kv": True}, {"attn_mask": hidden(N * 2, L, S)}),
    "zero": ({"add_zero_attn": True}, {"average_attn_weights": False}),
    "sizes": ({"kdim": 3, "vdim": 6}, {"need_weights": False, "attn_mask": hidden(L, S)}),
    "kdim": ({"kdim": 3, "bias": False, "batch_first": True}, {}),
    "everything": (
        {"add_bias_kv": True, "add_zero_attn": True, "vdim": 6, "batch_first": True},
        {"key_padding_mask": hidden(N, S), "attn_mask": hidden(L, S), "need_weights": False},
    ),
    "causal": ({}, {"attn_mask": ~np.tri(L, S, dtype=bool), "is_causal": True}),
    "causal-no-weights": (
        {"batch_first": True},
        {"attn_mask": ~np.tri(L, S, dtype=bool), "is_causal": True, "need_weights": False},
    ),
    "dropout-in-evaluation": ({"dropout": 0.5}, {}),
}


@pytest.mark.torch
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("id", LAYERS)
def test_multihead_attention(id: str, batched: bool, x64: None) -> None:
    """Outputs, weights, gradients of inputs and of parameters, with PyTorch's parameters."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    constructor, call = LAYERS[id][0], dict(LAYERS[id][1])
    same = call.pop("self", False)
    if not batched:
        if np.ndim(call.get("attn_mask")) == 3:
            call["attn_mask"] = call["attn_mask"][:2]
        if "key_padding_mask" in call:
            call["key_padding_mask"] = call["key_padding_mask"][0]
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(E, 2, **constructor).double().eval()
    for p in theirs.parameters():  # the biases start at 0, which would hide them
        torch.nn.init.normal_(p, std=0.5)
    rng = np.random.RandomState(4)
    features = (E, constructor.get("kdim", E), constructor.get("vdim", E))
    inputs = []
    for length, size in zip((L, S, S), features, strict=True):
        shape = (N, length, size) if constructor.get("batch_first") else (length, N, size)
        inputs.append(rng.standard_normal(shape if batched else (length, size)))
    inputs = inputs[:1] if same else inputs
    spread = lambda xs: list(xs) * 3 if same else list(xs)

    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    masks = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in call.items()}
    expected = [y for y in theirs(*spread(tensors), **masks) if y is not None]
    vs = [rng.standard_normal(tuple(y.shape)) for y in expected]
    names, parameters = zip(*theirs.named_parameters(), strict=True)
    grads = torch.autograd.grad(expected, [*tensors, *parameters], [torch.tensor(v) for v in vs])

    layer = nn.MultiheadAttention(E, 2, **constructor, param_dtype=jnp.float64)
    like = jax.eval_shape(lambda *x: layer.init(KEY, *x, **call), *spread(inputs))
    variables = jaxcnn.to_variables(theirs.state_dict(), like)

    def outputs_of(inputs: Any, variables: Any) -> Any:
        outputs = layer.apply(variables, *spread(inputs), **call)
        return [y for y in outputs if y is not None]

    actual, vjp = jax.vjp(outputs_of, inputs, variables)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e.detach().numpy(), 1e-7, 1e-9)
    input_grads, variable_grads = vjp(vs)
    found = [*input_grads, *(jaxcnn.to_state_dict(variable_grads)[name] for name in names)]
    for a, e in zip(found, grads, strict=True):
        np.testing.assert_allclose(a, e.numpy(), 1e-7, 1e-9)


@pytest.mark.torch
@pytest.mark.parametrize("id", LAYERS)
def test_state_dict_is_torchs(id: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    constructor = LAYERS[id][0]
    theirs = torch.nn.MultiheadAttention(E, 2, **constructor).state_dict()
    layer = nn.MultiheadAttention(E, 2, **constructor)
    kv = [jnp.ones((S, N, constructor.get(k, E))) for k in ("kdim", "vdim")]
    q = jnp.ones((N, L, E) if constructor.get("batch_first") else (L, N, E))
    if constructor.get("batch_first"):
        kv = [x.swapaxes(0, 1) for x in kv]
    ours = jaxcnn.to_state_dict(layer.init(KEY, q, *kv))
    assert {k: v.shape for k, v in ours.items()} == {k: tuple(v.shape) for k, v in theirs.items()}


def test_default_init() -> None:
    x = jnp.ones((1, 1, 256))
    params = nn.MultiheadAttention(256, 4, add_bias_kv=True).init(KEY, x, x, x)["params"]
    bound = np.sqrt(6 / (256 + 768))
    weight = np.asarray(params["in_proj_weight"])
    assert 0.99 * bound < np.abs(weight).max() <= bound
    assert abs(weight.var() / (bound**2 / 3) - 1) < 0.02
    for name in ("bias_k", "bias_v"):
        assert abs(np.std(params[name]) * 16 - 1) < 0.2
    assert 0.99 / 16 < np.abs(params["out_proj"]["weight"]).max() <= 1 / 16
    assert not params["in_proj_bias"].any()
    assert not params["out_proj"]["bias"].any()


def test_dropout_of_weights() -> None:
    layer, x = nn.MultiheadAttention(8, 2, dropout=0.25), jax.random.normal(KEY, (40, 20, 8))
    variables = layer.init(KEY, x, x, x)
    call = lambda seed: layer.apply(
        variables,
        x,
        x,
        x,
        average_attn_weights=False,
        train=True,
        rngs={"dropout": jax.random.key(seed)},
    )
    (y, weights), (other, _) = call(0), call(1)
    share = float(jnp.mean(weights == 0))
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / weights.size)
    assert not jnp.array_equal(y, other)
    _, plain = layer.apply(variables, x, x, x, average_attn_weights=False)
    kept = weights != 0
    np.testing.assert_allclose(weights[kept], plain[kept] / 0.75, rtol=1e-5)


def test_dtype_is_the_computation_s() -> None:
    layer, x = nn.MultiheadAttention(8, 2, dtype=jnp.bfloat16), jnp.ones((2, 3, 8))
    (y, weights), variables = layer.init_with_output(KEY, x, x, x)
    assert (y.dtype, weights.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert {p.dtype for p in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


BUILD_ERRORS: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any], str]] = [
    (
        ValueError,
        "MultiheadAttention",
        (8, 3),
        {},
        "embed_dim must be divisible by num_heads, got embed_dim=8, num_heads=3.",
    ),
    (
        ValueError,
        "MultiheadAttention",
        (0, 1),
        {},
        "embed_dim must be at least 1, got embed_dim=0.",
    ),
    (
        ValueError,
        "MultiheadAttention",
        (8, 0),
        {},
        "num_heads must be at least 1, got num_heads=0.",
    ),
    (ValueError, "MultiheadAttention", (8, 2), {"kdim": 0}, "kdim must be at least 1, got kdim=0."),
    (TypeError, "MultiheadAttention", (8, 2), {"vdim": 2.0}, "vdim must be an int, got vdim=2.0."),
    (
        ValueError,
        "MultiheadAttention",
        (8, 2, 1.5),
        {},
        "dropout must be between 0 and 1, got dropout=1.5.",
    ),
    (
        ValueError,
        "SimplifiedScaledDotProductAttention",
        (8, 3),
        {},
        "d_model must be divisible by h, got d_model=8, h=3.",
    ),
    (
        TypeError,
        "SimplifiedScaledDotProductAttention",
        (8, None),
        {},
        "h must be an int, got h=None.",
    ),
    (
        ValueError,
        "SimplifiedScaledDotProductAttention",
        (8, 2, -0.1),
        {},
        "dropout must be between 0 and 1, got dropout=-0.1.",
    ),
    (ValueError, "SKAttention", (0,), {}, "channel must be at least 1, got channel=0."),
    (
        ValueError,
        "SKAttention",
        (8,),
        {"group": 3},
        "channel must be divisible by group, got channel=8, group=3.",
    ),
    (TypeError, "SKAttention", (8, 3), {}, "kernels must be a sequence of ints, got kernels=3."),
    (
        ValueError,
        "SKAttention",
        (8, (1, 2)),
        {},
        "kernels must be one or more odd sizes, got kernels=(1, 2).",
    ),
    (
        ValueError,
        "SKAttention",
        (8, ()),
        {},
        "kernels must be one or more odd sizes, got kernels=().",
    ),
]
X = jnp.ones((2, 3, 8))
CALL_ERRORS: list[tuple[type[Exception], Any, tuple[Any, ...], str]] = [
    (
        ValueError,
        nn.MultiheadAttention(8, 2, kdim=3),
        (X, X, X),
        "key must have 3 features, got shape=(2, 3, 8).",
    ),
    (
        TypeError,
        nn.MultiheadAttention(8, 2),
        (X, X, X.astype(int)),
        "query, key and value must be floating point, got query='float32', key='float32', "
        "value='int32'.",
    ),
    (
        ValueError,
        nn.MultiheadAttention(8, 2, batch_first=True),
        (X, X[:1], X[:1]),
        "query and key must be equally many, got query=(2, 3, 8), key=(1, 3, 8).",
    ),
    (
        ValueError,
        nn.SimplifiedScaledDotProductAttention(8, 2),
        (X, X[0], X),
        "keys must be (n, length, 8), got shape=(3, 8).",
    ),
    (ValueError, nn.SKAttention(8), (X,), "input must be (n, h, w, c), got shape=(2, 3, 8)."),
    (
        ValueError,
        nn.SKAttention(8),
        (jnp.ones((2, 8, 5, 5)),),
        "input must have 8 channels on its last axis, got shape=(2, 8, 5, 5); it looks "
        "channels-first: use jaxcnn.layout.to_channels_last.",
    ),
]


@pytest.mark.parametrize(("error", "name", "args", "kwargs", "message"), BUILD_ERRORS)
def test_error_on_construction(
    error: type[Exception], name: str, args: Any, kwargs: Any, message: str
) -> None:
    with pytest.raises(error, match=rf"^{name}: {re.escape(message)}$"):
        getattr(nn, name)(*args, **kwargs)


@pytest.mark.parametrize(("error", "layer", "inputs", "message"), CALL_ERRORS)
def test_error_on_call(error: type[Exception], layer: Any, inputs: Any, message: str) -> None:
    with pytest.raises(error, match=rf"^{type(layer).__name__}: {re.escape(message)}(\n|$)"):
        layer.init(KEY, *inputs)
