"""OpInfo's dropouts: what is left to chance has tests of its own in tests/functional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn import functional as F

from .entry import Entry, Skip, channels, images

_OFF_BY_DEFAULT = ("alpha_dropout", "feature_alpha_dropout")


def _random(name: str) -> Skip:
    def when(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        training = kwargs.get("training", name not in _OFF_BY_DEFAULT)
        return training and 0 < kwargs.get("p", 0.5) < 1

    return Skip("random: PyTorch draws other numbers", when)


def _entry(name: str, call: Any, variant: str = "") -> Entry:
    return Entry(f"nn.functional.{name}", call, variant, skips=(_random(name),))


ENTRIES = [
    _entry("dropout", F.dropout),
    _entry("dropout2d", images(F.dropout2d, 2)),
    _entry("dropout3d", images(F.dropout3d, 3)),
    _entry("alpha_dropout", F.alpha_dropout),
    _entry("feature_alpha_dropout", channels(F.feature_alpha_dropout), "with_train"),
    _entry("feature_alpha_dropout", channels(F.feature_alpha_dropout), "without_train"),
]
