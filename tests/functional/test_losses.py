"""Losses: what parity cases cannot show: deprecated arguments, dtypes, transforms, extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

RNG = np.random.RandomState(7)
X, Y, Z = RNG.standard_normal((3, 6, 4)).astype(np.float32)
CHANCE = RNG.uniform(0.1, 0.9, (2, 6, 4)).astype(np.float32)
CLASSES = np.array([0, 3, 1, 2, 2, 0])
SIGNS = np.array([1, -1, 1, 1, -1, -1])
LABELS = np.array([[3, 0, -1, 1]] * 6)

CALLS: dict[str, Callable[..., jax.Array]] = {
    "binary_cross_entropy": lambda x, **k: F.binary_cross_entropy(x, CHANCE[1], **k),
    "binary_cross_entropy_with_logits": lambda x, **k: F.binary_cross_entropy_with_logits(
        x, CHANCE[1], **k
    ),
    "cosine_embedding_loss": lambda x, **k: F.cosine_embedding_loss(x, Y, SIGNS, **k),
    "cross_entropy": lambda x, **k: F.cross_entropy(x, CLASSES, **k),
    "gaussian_nll_loss": lambda x, **k: F.gaussian_nll_loss(x, Y, CHANCE[0], **k),
    "hinge_embedding_loss": lambda x, **k: F.hinge_embedding_loss(x, SIGNS[:, None], **k),
    "huber_loss": lambda x, **k: F.huber_loss(x, Y, **k),
    "kl_div": lambda x, **k: F.kl_div(x, CHANCE[1], **k),
    "l1_loss": lambda x, **k: F.l1_loss(x, Y, **k),
    "margin_ranking_loss": lambda x, **k: F.margin_ranking_loss(x, Y, SIGNS[:, None], 0.2, **k),
    "mse_loss": lambda x, **k: F.mse_loss(x, Y, **k),
    "multi_margin_loss": lambda x, **k: F.multi_margin_loss(x, CLASSES, **k),
    "multilabel_margin_loss": lambda x, **k: F.multilabel_margin_loss(x, LABELS, **k),
    "multilabel_soft_margin_loss": lambda x, **k: F.multilabel_soft_margin_loss(x, CHANCE[1], **k),
    "nll_loss": lambda x, **k: F.nll_loss(x, CLASSES, **k),
    "poisson_nll_loss": lambda x, **k: F.poisson_nll_loss(x, CHANCE[1], **k),
    "smooth_l1_loss": lambda x, **k: F.smooth_l1_loss(x, Y, **k),
    "soft_margin_loss": lambda x, **k: F.soft_margin_loss(x, SIGNS[:, None], **k),
    "triplet_margin_loss": lambda x, **k: F.triplet_margin_loss(x, Y, Z, **k),
    "triplet_margin_with_distance_loss": lambda x, **k: F.triplet_margin_with_distance_loss(
        x, Y, Z, **k
    ),
}
WITHOUT_LEGACY = ("gaussian_nll_loss", "huber_loss", "triplet_margin_with_distance_loss")
LEGACY = [name for name in CALLS if name not in WITHOUT_LEGACY]


def _input(name: str) -> np.ndarray:
    return CHANCE[0] if name == "binary_cross_entropy" else X


@pytest.mark.parametrize("name", CALLS)
def test_reductions(name: str) -> None:
    losses = CALLS[name](_input(name), reduction="none")
    assert losses.ndim > 0
    assert float(jnp.sum(losses)) != 0
    for reduction in ("mean", "sum"):
        reduced = CALLS[name](_input(name), reduction=reduction)
        np.testing.assert_allclose(reduced, getattr(jnp, reduction)(losses), rtol=1e-6)


@pytest.mark.parametrize("name", LEGACY)
@pytest.mark.parametrize(
    ("size_average", "reduce", "reduction"),
    [(True, None, "mean"), (None, True, "mean"), (False, None, "sum"), (True, False, "none")],
)
def test_legacy_arguments(
    name: str, size_average: bool | None, reduce: bool | None, reduction: str
) -> None:
    """They win over `reduction`, as in PyTorch."""
    old = CALLS[name](_input(name), size_average=size_average, reduce=reduce, reduction="sum")
    assert jnp.array_equal(old, CALLS[name](_input(name), reduction=reduction))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "function",
    [F.mse_loss, F.l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits, F.soft_margin_loss],
    ids=lambda function: function.__name__,
)
def test_half_precision_accumulates_in_float32(function: Callable[..., Any], dtype: str) -> None:
    """The mean of 20,000 equal losses is that loss; a sum of halves would stall or overflow."""
    x, y = jnp.full(20_000, 3.0, dtype), jnp.full(20_000, 1.0, dtype)
    mean = function(x, y)
    assert mean.dtype == dtype
    assert mean == function(x[:1], y[:1])


@pytest.mark.parametrize(
    ("function", "arguments", "dtype"),
    [
        (F.mse_loss, (X.astype("bfloat16"), Y), "float32"),
        (F.mse_loss, (X.astype("bfloat16"), SIGNS[:4] * np.ones((6, 1), int)), "bfloat16"),
        (F.cross_entropy, (X.astype("bfloat16"), CLASSES, np.ones(4, np.float32)), "bfloat16"),
        (F.nll_loss, (X.astype("float16"), CLASSES, np.ones(4, np.float32)), "float16"),
        (F.cosine_embedding_loss, (X.astype("bfloat16"),) * 2 + (SIGNS * 1.0,), "bfloat16"),
        (F.hinge_embedding_loss, (X.astype("bfloat16"), SIGNS[:, None] * 1.0), "bfloat16"),
        (F.gaussian_nll_loss, (X.astype("bfloat16"), Y.astype("bfloat16"), 1.0), "bfloat16"),
        (F.poisson_nll_loss, (LABELS, LABELS), "float32"),
        (F.pairwise_distance, (LABELS, LABELS), "float32"),
    ],
    ids=["mixed", "integers", "weight", "nll", "signs", "hinge", "number", "poisson", "distance"],
)
def test_promotion(function: Callable[..., Any], arguments: tuple[Any, ...], dtype: str) -> None:
    """Floating arrays are promoted; indices, signs and class weights do not count."""
    arrays = [a if isinstance(a, float) else jnp.asarray(a) for a in arguments]
    assert function(*arrays).dtype == dtype


def test_everything_ignored() -> None:
    """0 / 0, as in PyTorch, and no gradient in the sum."""
    ignored = jnp.full(6, -100)
    assert jnp.isnan(jax.jit(F.nll_loss)(X, ignored))
    assert jnp.isnan(jax.jit(F.cross_entropy)(X, ignored))
    total = jax.jit(jax.grad(lambda x: F.cross_entropy(x, ignored, reduction="sum")))(X)
    assert not jnp.any(total)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_ignore_index_fits_narrow_labels(dtype: str) -> None:
    """-100 is no uint8, and 255, the usual one of bytes, is not -1."""
    labels = CLASSES.astype(dtype)
    np.testing.assert_array_equal(F.nll_loss(X, labels), F.nll_loss(X, CLASSES))
    if dtype == "uint8":
        some = labels.copy()
        some[:5] = 255
        np.testing.assert_array_equal(F.nll_loss(X, some, ignore_index=255), -X[5, 0])


def test_cross_entropy_is_nll_of_log_softmax() -> None:
    weight = np.array([0.5, 1.0, 2.0, 3.0], np.float32)
    arguments: dict[str, Any] = {"weight": weight, "ignore_index": 2}
    np.testing.assert_allclose(
        F.cross_entropy(X, CLASSES, **arguments),
        F.nll_loss(jax.nn.log_softmax(X), CLASSES, **arguments),
        rtol=1e-6,
    )


def test_logits_of_any_size() -> None:
    logits, targets = jnp.array([1e4, -1e4, 1e4, -1e4]), jnp.array([1.0, 0.0, 0.0, 1.0])
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert losses.tolist() == [0, 0, 1e4, 1e4]
    signs = 2 * targets - 1
    assert F.soft_margin_loss(logits, signs, reduction="none").tolist() == [0, 0, 1e4, 1e4]
    slope = jax.grad(lambda x: F.soft_margin_loss(x, signs, reduction="sum"))(logits)
    assert slope.tolist() == [0, 0, 1, -1]


def test_binary_cross_entropy_in_forward_mode() -> None:
    """The slope in the target, infinite at 0 and 1, must stay out where it is not asked for."""
    chance = jnp.array([0.0, 1.0, 0.5])
    target = jnp.array([0.0, 1.0, 1.0])
    loss = lambda x: F.binary_cross_entropy(x, target, reduction="none")
    _, slope = jax.jvp(loss, (chance,), (jnp.ones(3),))
    assert slope.tolist() == [0, 0, -2]


def test_binary_cross_entropy_second_derivative() -> None:
    slope = jax.grad(lambda x: F.binary_cross_entropy(x, jnp.array(1.0)))
    np.testing.assert_allclose(jax.grad(slope)(jnp.array(0.25)), 16, rtol=1e-6)


@pytest.mark.parametrize("name", CALLS)
def test_jit_grad_vmap(name: str) -> None:
    """The gradient of each row of a batch of inputs, against one row after the other."""
    rows = np.stack([_input(name), 0.5 * _input(name)])
    gradient = jax.grad(CALLS[name])
    batched = jax.jit(jax.vmap(gradient))(rows)
    for row, actual in zip(rows, batched, strict=True):
        np.testing.assert_allclose(actual, gradient(row), rtol=1e-5, atol=1e-7)
