"""Every error of the losses and distances, in DESIGN.md's form."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import functional as F

X = np.ones((5, 4), np.float32)
ROW = np.ones(5, np.float32)
CLASSES = np.zeros(5, np.int32)
INTS = np.ones((5, 4), np.int32)
FIX = "it looks channels-first: use jaxcnn.layout.to_channels_last."

TWO = {"input": X, "target": X}
CLASSIFIED = {"input": X, "target": CLASSES}
LABELLED = {"input": X, "target": INTS}
PAIRED = {"input1": X, "input2": X, "target": ROW}
RANKED = {"input1": X, "input2": X, "target": X}
TRIPLET = {"anchor": X, "positive": X, "negative": X}
VECTORS = {"x1": X, "x2": X}

GOOD: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "binary_cross_entropy": (F.binary_cross_entropy, TWO),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, TWO),
    "cosine_embedding_loss": (F.cosine_embedding_loss, PAIRED),
    "gaussian_nll_loss": (F.gaussian_nll_loss, {**TWO, "var": X}),
    "hinge_embedding_loss": (F.hinge_embedding_loss, TWO),
    "huber_loss": (F.huber_loss, TWO),
    "kl_div": (F.kl_div, TWO),
    "l1_loss": (F.l1_loss, TWO),
    "margin_ranking_loss": (F.margin_ranking_loss, RANKED),
    "mse_loss": (F.mse_loss, TWO),
    "multi_margin_loss": (F.multi_margin_loss, CLASSIFIED),
    "multilabel_margin_loss": (F.multilabel_margin_loss, LABELLED),
    "multilabel_soft_margin_loss": (F.multilabel_soft_margin_loss, TWO),
    "nll_loss": (F.nll_loss, CLASSIFIED),
    "poisson_nll_loss": (F.poisson_nll_loss, TWO),
    "smooth_l1_loss": (F.smooth_l1_loss, TWO),
    "soft_margin_loss": (F.soft_margin_loss, TWO),
    "triplet_margin_loss": (F.triplet_margin_loss, TRIPLET),
    "triplet_margin_with_distance_loss": (F.triplet_margin_with_distance_loss, TRIPLET),
}
# PyTorch too takes integers here.
TAKE_INTEGERS = (
    "cosine_embedding_loss",
    "margin_ranking_loss",
    "poisson_nll_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
)
UNBROADCAST = "the shapes must broadcast, got input=(5, 4), target=(5,)."

VALUE_ERRORS: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {"target": ROW}, UNBROADCAST)
        for name in (
            "gaussian_nll_loss",
            "hinge_embedding_loss",
            "huber_loss",
            "kl_div",
            "l1_loss",
            "mse_loss",
            "poisson_nll_loss",
            "smooth_l1_loss",
            "soft_margin_loss",
        )
    ),
    *(
        (
            name,
            {"target": ROW},
            "input and target must have the same shape, got input=(5, 4), target=(5,).",
        )
        for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits")
    ),
    *(
        (name, {"weight": ROW}, "weight must broadcast to the input's (5, 4), got shape=(5,).")
        for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits")
    ),
    (
        "binary_cross_entropy_with_logits",
        {"pos_weight": X[None]},
        "pos_weight must broadcast to the input's (5, 4), got shape=(1, 5, 4).",
    ),
    *(
        (
            name,
            {"weight": X[:1]},
            "input and weight must have the same shape, got input=(5, 4), weight=(1, 4).",
        )
        for name in ("mse_loss", "l1_loss", "huber_loss")
    ),
    ("smooth_l1_loss", {"beta": -0.5}, "beta must not be negative, got beta=-0.5."),
    ("huber_loss", {"delta": 0}, "delta must be positive, got delta=0."),
    ("gaussian_nll_loss", {"var": -1.0}, "var must not be negative, got var=-1.0."),
    (
        "gaussian_nll_loss",
        {"var": X[:, :2]},
        "var must be a number, (5, 4), that with one axis of 1, or (5,), got shape=(5, 2).",
    ),
    (
        "gaussian_nll_loss",
        {"var": X[:1, :1]},
        "var must be a number, (5, 4), that with one axis of 1, or (5,), got shape=(1, 1).",
    ),
    (
        "cosine_embedding_loss",
        {"target": X},
        "inputs and target must be (n, features) and (n,), or (features,) and (), got "
        "input1=(5, 4), input2=(5, 4), target=(5, 4).",
    ),
    (
        "cosine_embedding_loss",
        {"input2": X[:, :3]},
        "the shapes must broadcast, got input1=(5, 4), input2=(5, 3).",
    ),
    (
        "cosine_embedding_loss",
        {"target": ROW[:3]},
        "the shapes must broadcast, got cosine=(5,), target=(3,).",
    ),
    (
        "margin_ranking_loss",
        {"target": ROW},
        "input1, input2, target must have as many axes, got input1=(5, 4), input2=(5, 4), "
        "target=(5,).",
    ),
    (
        "margin_ranking_loss",
        {"input2": X[:3]},
        "the shapes must broadcast, got input1=(5, 4), input2=(3, 4), target=(5, 4).",
    ),
    ("multi_margin_loss", {"p": 3}, "p must be 1 or 2, got p=3."),
    ("multi_margin_loss", {"weight": ROW}, "weight must be (4,), got shape=(5,)."),
    ("multi_margin_loss", {"target": INTS}, "target must be (5,) indices, got shape=(5, 4)."),
    *(
        (
            name,
            {"input": np.ones(shape, np.float32)},
            f"input must be (n, classes) or (classes,) with at least one class, got shape={shape}.",
        )
        for name in ("multi_margin_loss", "multilabel_margin_loss")
        for shape in ((5, 0), (1, 5, 4))
    ),
    (
        "multilabel_margin_loss",
        {"target": CLASSES},
        "input and target must have the same shape, got input=(5, 4), target=(5,).",
    ),
    (
        "multilabel_soft_margin_loss",
        {"weight": ROW},
        "the shapes must broadcast, got input=(5, 4), target=(5, 4), weight=(5,).",
    ),
    (
        "multilabel_soft_margin_loss",
        {"input": np.float32(1), "target": 1},
        "input must be (*batch, classes), got shape=().",
    ),
    ("nll_loss", {"target": CLASSES[:3]}, "target must be (5,) indices, got shape=(3,)."),
    ("nll_loss", {"weight": ROW}, "weight must be (4,), got shape=(5,)."),
    ("nll_loss", {"input": np.float32(1)}, "input must be (n, *spatial, classes), got shape=()."),
    ("nll_loss", {"input": X[:, :, None], "target": INTS[:, :1]}, f"got shape=(5, 1); {FIX}"),
    *(
        (name, {"margin": 0}, "margin must be positive, got margin=0.")
        for name in ("triplet_margin_loss", "triplet_margin_with_distance_loss")
    ),
    *(
        (
            name,
            {"negative": ROW},
            "anchor, positive, negative must have as many axes, got anchor=(5, 4), "
            "positive=(5, 4), negative=(5,).",
        )
        for name in ("triplet_margin_loss", "triplet_margin_with_distance_loss")
    ),
    (
        "triplet_margin_loss",
        {"positive": X[:3]},
        "the shapes must broadcast, got anchor=(5, 4), positive=(3, 4), negative=(5, 4).",
    ),
]
TYPE_ERRORS: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, {"input": INTS}, "input must be floating point, got dtype='int32'.")
        for name in GOOD
        if name not in TAKE_INTEGERS
    ),
    ("nll_loss", {"target": ROW}, "class indices must be integers, got dtype='float32', shape="),
    ("multi_margin_loss", {"target": ROW}, "target must hold integers, got dtype='float32'."),
    ("multilabel_margin_loss", {"target": X}, "target must hold integers, got dtype='float32'."),
]


def _ids(rows: list[tuple[str, dict[str, Any], str]]) -> list[str]:
    return [f"{name}-{'-'.join(bad)}" for name, bad, _ in rows]


def _exactly(name: str, message: str) -> str:
    return f"^{name}: .*{re.escape(message)}"


@pytest.mark.parametrize("name", GOOD)
def test_good_arguments(name: str) -> None:
    """What the rows below spoil is accepted as it is."""
    function, arguments = GOOD[name]
    assert function(**arguments).shape == ()


@pytest.mark.parametrize("name", GOOD)
def test_reduction(name: str) -> None:
    function, arguments = GOOD[name]
    words = ("none", "mean", "sum") + ("batchmean",) * (name == "kl_div")
    message = f"reduction must be one of {words}, got reduction='avg'."
    with pytest.raises(ValueError, match=_exactly(name, message)):
        function(**arguments, reduction="avg")


@pytest.mark.parametrize(("name", "bad", "message"), VALUE_ERRORS, ids=_ids(VALUE_ERRORS))
def test_value_error(name: str, bad: dict[str, Any], message: str) -> None:
    function, arguments = GOOD[name]
    with pytest.raises(ValueError, match=_exactly(name, message)) as info:
        function(**arguments | bad)
    assert str(info.value).endswith(".")


@pytest.mark.parametrize(("name", "bad", "message"), TYPE_ERRORS, ids=_ids(TYPE_ERRORS))
def test_type_error(name: str, bad: dict[str, Any], message: str) -> None:
    function, arguments = GOOD[name]
    with pytest.raises(TypeError, match=_exactly(name, message)) as info:
        function(**arguments | bad)
    assert str(info.value).endswith(".")


def test_cross_entropy_ignores_no_probability() -> None:
    message = "cross_entropy: probabilities take no ignore_index, got ignore_index=1."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.cross_entropy(X, X, ignore_index=1)


@pytest.mark.parametrize(
    ("function", "bad", "error", "message"),
    [
        (F.cosine_similarity, {"dim": 2}, ValueError, "dim must be an axis of (5, 4), got dim=2."),
        (F.cosine_similarity, {"x2": X[:, :3]}, ValueError, "must broadcast, got x1=(5, 4), x2="),
        (
            F.cosine_similarity,
            {"x1": INTS, "x2": INTS},
            TypeError,
            "x1 or x2 must be floating point, got dtype='int32'.",
        ),
        (F.pairwise_distance, {"x2": X[:, :3]}, ValueError, "must broadcast, got x1=(5, 4), x2="),
        (
            F.pairwise_distance,
            {"x1": 1.0, "x2": 1.0},
            ValueError,
            "x1 and x2 must be (*batch, features), got shape=().",
        ),
    ],
    ids=["axis", "cosine-shapes", "integers", "distance-shapes", "numbers"],
)
def test_distance_error(
    function: Callable[..., Any], bad: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=_exactly(function.__name__, message)):
        function(**VECTORS | bad)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_broadcasting_warns(name: str) -> None:
    """The (n, 1) predictions against (n,) targets that make an (n, n) loss unseen."""
    message = re.escape(
        f"{name}: input and target should have the same shape, got input=(5, 1), target=(5,); "
        "they are broadcast."
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        losses = getattr(F, name)(X[:, :1], ROW, reduction="none")
    assert losses.shape == (5, 5)


@pytest.mark.parametrize("index", [-1, 4])
@pytest.mark.parametrize("name", ["nll_loss", "multi_margin_loss"])
def test_unknown_class_is_nan(name: str, index: int) -> None:
    """Values are unknown under jit, so what PyTorch refuses shows in the loss."""
    losses = getattr(F, name)(X, np.array([index, 0, 0, 0, 0]), reduction="none")
    assert jnp.isnan(losses).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("index", [-2, 4])
def test_unknown_label_is_nan(index: int) -> None:
    labels = np.array([[0, index, 1, -1], [0, -1, 2, 3]])
    losses = F.multilabel_margin_loss(X[:2], labels, reduction="none")
    assert jnp.isnan(losses).tolist() == [True, False]


def test_impossible_probability_is_nan() -> None:
    chances = jnp.array([-0.1, 0.5, 1.1, 0.5, 0.5])
    targets = jnp.array([0.0, 0.5, 1.0, -0.1, 1.1])
    losses = F.binary_cross_entropy(chances, targets, reduction="none")
    assert jnp.isnan(losses).tolist() == [True, False, True, True, True]


def test_negative_variance_is_nan() -> None:
    losses = F.gaussian_nll_loss(ROW[:2], ROW[:2], jnp.array([-1.0, 0.0]), reduction="none")
    assert jnp.isnan(losses).tolist() == [True, False]
