"""The losses and distances; the class axis is last in jaxcnn, second in PyTorch."""

from __future__ import annotations

from typing import Any

from jaxcnn import functional as F

from .entry import Entry, classes


def _triplet_margin_with_distance_loss(*args: Any, **kwargs: Any) -> Any:
    """The samples' distance function is always PyTorch's PairwiseDistance()."""
    kwargs["distance_function"] = F.pairwise_distance
    return F.triplet_margin_with_distance_loss(*args, **kwargs)


def _without_noise(sample: Any) -> Any:
    """Leaves out a gradient that is 0 in exact arithmetic, so that PyTorch's is rounding alone.

    Broadcasting makes the vectors of `x2` constant: their length does not change a cosine.
    """
    x2 = sample.args[0]
    constant = sample.kwargs.get("dim") == -2 and x2.shape[-2] == 1
    return (sample.input, x2.detach() if constant else x2), sample.kwargs


ENTRIES = [
    Entry("nn.functional.binary_cross_entropy", F.binary_cross_entropy),
    Entry("nn.functional.binary_cross_entropy_with_logits", F.binary_cross_entropy_with_logits),
    Entry("nn.functional.cosine_embedding_loss", F.cosine_embedding_loss),
    Entry("nn.functional.cosine_similarity", F.cosine_similarity, prepare=_without_noise),
    Entry("nn.functional.cross_entropy", classes(F.cross_entropy)),
    Entry("nn.functional.gaussian_nll_loss", F.gaussian_nll_loss),
    Entry("nn.functional.hinge_embedding_loss", F.hinge_embedding_loss),
    Entry("nn.functional.huber_loss", F.huber_loss),
    Entry("nn.functional.kl_div", F.kl_div),
    Entry("nn.functional.l1_loss", F.l1_loss),
    Entry("nn.functional.margin_ranking_loss", F.margin_ranking_loss),
    Entry("nn.functional.mse_loss", F.mse_loss),
    Entry("nn.functional.multi_margin_loss", F.multi_margin_loss),
    Entry("nn.functional.multilabel_margin_loss", F.multilabel_margin_loss),
    Entry("nn.functional.multilabel_soft_margin_loss", F.multilabel_soft_margin_loss),
    Entry("nn.functional.nll_loss", classes(F.nll_loss)),
    Entry("nn.functional.pairwise_distance", F.pairwise_distance),
    Entry("nn.functional.poisson_nll_loss", F.poisson_nll_loss),
    Entry("nn.functional.smooth_l1_loss", F.smooth_l1_loss),
    Entry("nn.functional.soft_margin_loss", F.soft_margin_loss),
    Entry("nn.functional.triplet_margin_loss", F.triplet_margin_loss),
    Entry("nn.functional.triplet_margin_with_distance_loss", _triplet_margin_with_distance_loss),
]
