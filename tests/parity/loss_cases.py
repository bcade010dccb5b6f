"""Losses and distances where PyTorch's own samples end: targets of 1 and -1, weights, kinks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn import functional as F

from .case import IMAGES, SAME, Case
from .functions import Spec, make_inputs


def _case(
    name: str,
    label: str,
    specs: Mapping[str, Spec],
    *,
    images: tuple[str, ...] = (),
    constant: tuple[str, ...] = (),
    golden: bool = True,
    **arguments: Any,
) -> Case:
    """A function with the same name and the same arguments on both sides."""
    id = f"{name}-{label}"
    reduced = arguments.get("reduction") != "none"
    return Case(
        id,
        lambda: make_inputs(id, specs),
        lambda torch, **x: getattr(torch.nn.functional, name)(**x, **arguments),
        lambda **x: getattr(F, name)(**x, **arguments),
        dict.fromkeys(images, IMAGES),
        (SAME if reduced or not images else IMAGES,),
        golden,
        constant=frozenset(constant),
    )


_SIGNS = np.array([1, -1, -1, 1, -1, 1, 1])
_FACTORS = np.array([[0.5, 2.0, 1.0, 0.0], [1.5, 0.25, 3.0, 1.0], [1.0, 0.75, 0.0, 2.0]])
# Errors of 0, of exactly beta or delta, and either side of them.
_KINKS = {
    "input": np.array([0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 0.25]),
    "target": np.zeros(8),
}
_PAIR = {"input": (3, 4), "target": (3, 4), "weight": _FACTORS}
_VECTORS = {"input1": (7, 5), "input2": (7, 5), "target": _SIGNS}
_SCORES = {"input1": (7,), "input2": (7,), "target": _SIGNS}
_TRIPLET = {"anchor": (6, 5), "positive": (6, 5), "negative": (6, 5)}
_POINTS = {"x1": np.array([[0.0, 2.0, -2.0, 1.0], [0.0] * 4]), "x2": np.zeros((2, 4))}
_LABELS = {
    "input": (4, 5),
    "target": np.array([[3, 0, -1, 1, 2], [-1, 0, 1, 2, 3], [2, 2, 4, -1, 0], [4, 3, 2, 1, 0]]),
}
# Probabilities at which a logarithm is clamped.
_CLAMPED = {"input": np.array([0.0, 1.0, 0.0, 1.0, 0.5]), "target": np.array([0.0, 1, 1, 0, 0.3])}
_YES = np.array([0.5, 1.0, 2.0, 4.0, 3.0])
_SPREAD = np.array([[1.0], [0.0], [1e-9], [2.0]])


def _bce_with_logits_of_images() -> Case:
    """The positive weight of a class stands on the class's axis."""
    id = "binary_cross_entropy_with_logits-images"
    name = "binary_cross_entropy_with_logits"
    chance = np.random.RandomState(3).uniform(size=(2, 5, 3, 4))
    specs: dict[str, Spec] = {"input": (2, 5, 3, 4), "target": chance}
    return Case(
        id,
        lambda: make_inputs(id, specs),
        lambda torch, **x: getattr(torch.nn.functional, name)(
            **x, pos_weight=torch.tensor(_YES, dtype=x["input"].dtype).reshape(5, 1, 1)
        ),
        lambda **x: getattr(F, name)(**x, pos_weight=_YES),
        {"input": IMAGES, "target": IMAGES},
        (SAME,),
        golden=True,
    )


CASES_LOSS: list[Case] = [
    *(_case(name, "weight", _PAIR) for name in ("mse_loss", "l1_loss", "huber_loss")),
    *(
        _case(name, f"weight-{reduction}", _PAIR, reduction=reduction, golden=False)
        for name in ("mse_loss", "l1_loss", "huber_loss")
        for reduction in ("sum", "none")
    ),
    _case("l1_loss", "kink", _KINKS, reduction="none"),
    *(
        _case("smooth_l1_loss", f"beta={beta}", _KINKS, reduction="none", beta=beta)
        for beta in (0, 0.5, 2.0)
    ),
    *(
        _case("huber_loss", f"delta={delta}", _KINKS, reduction="none", delta=delta)
        for delta in (0.5, 2.0)
    ),
    _case("binary_cross_entropy", "clamped", _CLAMPED, reduction="none", constant=("target",)),
    _bce_with_logits_of_images(),
    _case(
        "gaussian_nll_loss",
        "least-variance",
        {"input": (4, 3), "target": (4, 3), "var": _SPREAD},
        full=True,
        reduction="none",
    ),
    _case(
        "kl_div",
        "broadcast",
        {"input": (4, 3), "target": np.array([0.2, 0.3, 0.5])},
        reduction="batchmean",
    ),
    _case("margin_ranking_loss", "signs", _SCORES, margin=0.5),
    _case("margin_ranking_loss", "none", _SCORES, reduction="none", golden=False),
    _case(
        "margin_ranking_loss",
        "kink",
        {"input1": np.array([0.0, 1.0]), "input2": np.zeros(2), "target": np.array([1, -1])},
        reduction="none",
    ),
    _case("hinge_embedding_loss", "signs", {"input": (7,), "target": _SIGNS}, margin=0.75),
    _case(
        "hinge_embedding_loss",
        "kink",
        {"input": np.array([1.0, 1.0, 0.0]), "target": np.array([1, -1, 0])},
        reduction="none",
    ),
    _case(
        "soft_margin_loss", "signs", {"input": (7,), "target": _SIGNS * 1.0}, constant=("target",)
    ),
    _case("cosine_embedding_loss", "signs", _VECTORS, margin=0.1),
    _case("cosine_embedding_loss", "none", _VECTORS, reduction="none", margin=-0.3),
    _case(
        "cosine_embedding_loss",
        "zero",
        {"input1": np.zeros((2, 3)), "input2": (2, 3), "target": np.array([1, -1])},
    ),
    _case("triplet_margin_loss", "swap", _TRIPLET, p=1.5, swap=True, margin=2.0),
    _case("triplet_margin_loss", "infinite", _TRIPLET, p=float("inf"), reduction="none"),
    _case("triplet_margin_with_distance_loss", "default", _TRIPLET, swap=True),
    _case(
        "multi_margin_loss",
        "square-weight",
        {"input": (4, 5), "target": np.array([0, 4, 2, 2]), "weight": _YES},
        p=2,
        margin=0.3,
        reduction="none",
        constant=("weight",),
    ),
    _case(
        "multi_margin_loss",
        "kink",
        {"input": np.array([[1.0, 0.0, 0.5]]), "target": np.array([0])},
        reduction="none",
    ),
    _case("multilabel_margin_loss", "lists", _LABELS, reduction="none"),
    _case("multilabel_margin_loss", "mean", _LABELS, golden=False),
    _case(
        "multilabel_soft_margin_loss",
        "classes",
        {"input": (4, 5), "target": np.eye(4, 5), "weight": _YES},
        reduction="none",
    ),
    *(
        _case("pairwise_distance", f"p={p}", _POINTS, p=p, eps=0.0)
        for p in (0.5, 1, 1.5, 2, 3, -2, float("inf"), -float("inf"))
    ),
    _case("cosine_similarity", "short", {"x1": np.array([[3.0, 4.0], [0.0, 0.0]]), "x2": (2, 2)}),
    _case("cosine_similarity", "eps", {"x1": (3, 4), "x2": (3, 4)}, dim=0, eps=2.5),
]
