"""Every error of linear maps, look-up and attention, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F
from jaxcnn.functional.attention import simplified_attention

X1, X2, W3 = np.ones((2, 3)), np.ones((2, 4)), np.ones((5, 3, 4))
Q, K, V = np.ones((2, 6, 3, 4)), np.ones((2, 2, 5, 4)), np.ones((2, 2, 5, 8))
INT = np.ones((2, 3, 4), int)
SEQUENCE = np.ones((5, 2, 4), np.float32)  # (l, n, e)

BILINEAR = [
    ("weight", {"weight": X1}, "weight must be (out_features, in1_features, in2_features), got"),
    ("input1", {"input1": X2}, "input1 must have 3 entries on its last axis, got shape=(2, 4)."),
    ("input2", {"input2": X1}, "input2 must have 4 entries on its last axis, got shape=(2, 3)."),
    ("scalar", {"input1": np.float32(1)}, "input1 must have 3 entries on its last axis, got"),
    (
        "leading",
        {"input2": X2[0]},
        "input1 and input2 must have the same leading axes, got input1=(2, 3), input2=(4,).",
    ),
    ("bias", {"bias": np.ones(3)}, "bias must be (5,), got shape=(3,)."),
]
EMBEDDING = [
    ("weight", {"weight": np.ones(3)}, "weight must be (num_embeddings, embedding_dim), got shape"),
    ("padding", {"padding_idx": 2}, "padding_idx must be one of the 2 rows, got padding_idx=2."),
    ("padding-", {"padding_idx": -3}, "padding_idx must be one of the 2 rows, got padding_idx=-3."),
]
ATTENTION = [
    ("p", {"dropout_p": 1.5}, "dropout_p must be between 0 and 1, got dropout_p=1.5."),
    ("rng", {"dropout_p": 0.5}, "dropout_p=0.5 needs a random key, got rng=None; pass rng=key."),
    ("axes", {"query": np.ones(4)}, "query, key and value must have at least two axes, got query="),
    ("features", {"query": Q[..., :3]}, "query and key must have equally many features, got query"),
    ("length", {"value": V[:, :, :4]}, "key and value must be equally long, got key=(2, 2, 5, 4)"),
    ("leading", {}, "the leading axes of query, key and value must broadcast, got query=(2, 6, 3,"),
    (
        "causal",
        {"query": Q[:, :2], "is_causal": True, "attn_mask": np.ones((3, 5))},
        "attn_mask must be None when is_causal, got is_causal=True, shape=(3, 5).",
    ),
    (
        "mask",
        {"query": Q[:, :2], "attn_mask": np.ones((5, 3))},
        "attn_mask must broadcast to (2, 2, 3, 5), got shape=(5, 3).",
    ),
    (
        "mask-larger",
        {"query": Q[:, :2], "attn_mask": np.ones((4, 2, 2, 3, 5))},
        "attn_mask must broadcast to (2, 2, 3, 5), got shape=(4, 2, 2, 3, 5).",
    ),
    (
        "groups-axes",
        {"query": Q[0, 0], "key": K[0, 0], "value": V[0, 0], "enable_gqa": True},
        "enable_gqa needs heads on axis -3, got query=(3, 4), key=(5, 4), value=(5, 8).",
    ),
    (
        "groups-key",
        {"query": Q[:, :5], "enable_gqa": True},
        "the query's heads must be a multiple of the key's, got query=(2, 5, 3, 4), key=",
    ),
    (
        "groups-value",
        {"value": np.ones((2, 4, 5, 8)), "enable_gqa": True},
        "the query's heads must be a multiple of the value's, got query=(2, 6, 3, 4), value=",
    ),
]
SIMPLIFIED = [
    ("h", {"h": 0}, "h must be at least 1, got h=0."),
    ("p", {"dropout": -1}, "dropout must be between 0 and 1, got dropout=-1."),
    ("rng", {"dropout": 0.5}, "dropout=0.5 needs a random key, got rng=None; pass rng=key."),
    (
        "divisible",
        {"h": 3},
        "queries must be (n, length, d_model) with d_model divisible by h, got shape=(5, 2, 4), ",
    ),
    ("axes", {"keys": X1}, "keys must be (n, length, d_model) with d_model divisible by h, got"),
    (
        "mask",
        {"attention_mask": np.ones((3, 2), bool)},
        "attention_mask must broadcast to (5, 2, 2, 2), got shape=(3, 2).",
    ),
    (
        "weights",
        {"attention_weights": np.ones((3, 2))},
        "attention_weights must broadcast to (5, 2, 2, 2), got shape=(3, 2).",
    ),
]
HEADS = [
    ("embed", {"embed_dim_to_check": 8}, "query must have embed_dim_to_check=8 features, got"),
    ("heads", {"num_heads": 3}, "embed_dim must be divisible by num_heads, got embed_dim=4, num_h"),
    ("heads-zero", {"num_heads": 0}, "num_heads must be at least 1, got num_heads=0."),
    ("p", {"dropout_p": 2}, "dropout_p must be between 0 and 1, got dropout_p=2."),
    ("rng", {"dropout_p": 0.5}, "dropout_p=0.5 needs a random key, got rng=None; pass rng=key."),
    (
        "axes",
        {"key": SEQUENCE[0]},
        "query, key and value must all be (length, n, features) or all (length, features), got",
    ),
    (
        "length",
        {"value": SEQUENCE[:4]},
        "key and value must be equally long, and as many, got key=(5, 2, 4), value=(4, 2, 4).",
    ),
    (
        "many",
        {"query": SEQUENCE[:, :1]},
        "query and key must be equally many, got query=(5, 1, 4), key=(5, 2, 4); n is on axis 1 "
        "unless batch_first.",
    ),
    (
        "features",
        {"key": SEQUENCE[..., :3], "value": SEQUENCE[..., :3]},
        "key and value must have 4 features like the query, got key=3, value=3.",
    ),
    ("weight", {"in_proj_weight": None}, "in_proj_weight must be (12, 4), got shape=None."),
    ("bias", {"in_proj_bias": np.ones(4)}, "in_proj_bias must be (12,), got shape=(4,)."),
    (
        "separate",
        {"use_separate_proj_weight": True, "q_proj_weight": np.eye(4)},
        "k_proj_weight must be (4, 4), got shape=None.",
    ),
    (
        "causal",
        {"is_causal": True},
        "is_causal is a hint about attn_mask, which must be given, got",
    ),
    ("mask", {"attn_mask": np.ones((5, 4))}, "attn_mask must be (5, 5), got shape=(5, 4)."),
    ("mask-3d", {"attn_mask": np.ones((2, 5, 5))}, "attn_mask must be (4, 5, 5), got shape=(2,"),
    ("padding", {"key_padding_mask": np.ones(5)}, "key_padding_mask must be (2, 5), got shape=(5"),
    ("one-bias", {"bias_k": np.ones(4)}, "bias_k and bias_v must be given together, got bias_k=(4"),
    (
        "bias-entries",
        {"bias_k": np.ones(3), "bias_v": np.ones(4)},
        "bias_k must have 4 entries, got shape=(3,).",
    ),
    (
        "static-bias",
        {"bias_k": np.ones(4), "bias_v": np.ones(4), "static_v": np.ones((4, 5, 2))},
        "static_v takes no bias_v, got shape=(4,).",
    ),
    (
        "static",
        {"static_k": np.ones((2, 5, 4))},
        "static_k must be (4, 's', 2), got shape=(2, 5, 4",
    ),
]
FLOATING = "input must be floating point, got dtype='int"
MASK = "must be boolean or floating point, got dtype='int"

GOOD: dict[Any, dict[str, Any]] = {
    F.bilinear: {"input1": X1, "input2": X2, "weight": W3},
    F.embedding: {"input": np.array([0, 1]), "weight": X1},
    F.embedding_renorm: {"input": np.array([0, 1]), "weight": X1, "max_norm": 1.0},
    F.scaled_dot_product_attention: {"query": Q, "key": K, "value": V},
    simplified_attention: {"queries": SEQUENCE, "keys": SEQUENCE, "values": SEQUENCE, "h": 2},
    F.multi_head_attention_forward: {
        "query": SEQUENCE,
        "key": SEQUENCE,
        "value": SEQUENCE,
        "embed_dim_to_check": 4,
        "num_heads": 2,
        "in_proj_weight": np.ones((12, 4)),
        "in_proj_bias": None,
        "bias_k": None,
        "bias_v": None,
        "add_zero_attn": False,
        "dropout_p": 0.0,
        "out_proj_weight": np.eye(4),
        "out_proj_bias": None,
    },
}
VALUE_ERRORS = {
    F.bilinear: BILINEAR,
    F.embedding: EMBEDDING,
    F.embedding_renorm: EMBEDDING[:1],
    F.scaled_dot_product_attention: ATTENTION,
    simplified_attention: SIMPLIFIED,
    F.multi_head_attention_forward: HEADS,
}
TYPE_ERRORS = {
    F.embedding: [
        ("index", {"input": X1}, "indices must be integers, got dtype='float"),
        ("padding", {"padding_idx": 1.0}, "padding_idx must be an int, got padding_idx=1.0."),
    ],
    F.embedding_renorm: [("index", {"input": X1}, "indices must be integers, got dtype='float")],
    F.scaled_dot_product_attention: [
        ("query", {"query": Q.astype(int)}, FLOATING),
        ("value", {"value": V.astype(int)}, FLOATING),
        ("mask", {"query": Q[:, :2], "attn_mask": np.ones((3, 5), int)}, f"attn_mask {MASK}"),
    ],
    simplified_attention: [
        ("keys", {"keys": SEQUENCE.astype(int)}, FLOATING),
        ("mask", {"attention_mask": np.ones((2, 2))}, "attention_mask must be boolean, got dtype="),
        ("weights", {"attention_weights": np.ones((2, 2), int)}, f"attention_weights {MASK}"),
    ],
    F.multi_head_attention_forward: [
        ("query", {"query": SEQUENCE.astype(int)}, FLOATING),
        ("mask", {"attn_mask": np.ones((5, 5), int)}, f"attn_mask {MASK}"),
        ("padding", {"key_padding_mask": np.ones((2, 5), int)}, f"key_padding_mask {MASK}"),
        ("heads", {"num_heads": 2.0}, "num_heads must be an int, got num_heads=2.0."),
    ],
}


def _rows(table: dict[Any, list[Any]]) -> list[Any]:
    return [
        pytest.param(function, {**GOOD[function], **bad}, message, id=f"{function.__name__}-{id}")
        for function, rows in table.items()
        for id, bad, message in rows
    ]


def _check(error: type[Exception], function: Any, arguments: Any, message: str) -> None:
    """The function's name, the rule, the value, a full stop."""
    with pytest.raises(error, match=f"^{function.__name__}: {re.escape(message)}") as info:
        function(
            **{k: jnp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
        )
    assert str(info.value).endswith(".")


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(VALUE_ERRORS))
def test_value_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(ValueError, function, arguments, message)


@pytest.mark.parametrize(("function", "arguments", "message"), _rows(TYPE_ERRORS))
def test_type_error(function: Callable[..., Any], arguments: Any, message: str) -> None:
    _check(TypeError, function, arguments, message)
