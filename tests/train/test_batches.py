"""Which images go into which batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxcnn.data import epoch_batches


def test_every_image_comes_once_in_each_epoch() -> None:
    for epoch in range(3):
        batches = epoch_batches(103, 10, seed=1, epoch=epoch)
        assert [len(batch) for batch in batches] == [10] * 10 + [3]
        assert sorted(np.concatenate(batches).tolist()) == list(range(103))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(50, 8, seed=seed, epoch=epoch)).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    assert np.concatenate(epoch_batches(7, 3, shuffle=False)).tolist() == list(range(7))


def test_drop_last_leaves_out_what_is_not_full() -> None:
    batches = epoch_batches(10, 4, drop_last=True)
    assert [len(batch) for batch in batches] == [4, 4]


def test_the_last_batch_is_filled_up_for_the_devices() -> None:
    batches = epoch_batches(13, 8, shuffle=False, multiple_of=8)
    assert [batch.tolist() for batch in batches] == [[*range(8)], [8, 9, 10, 11, 12, 0, 1, 2]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        pytest.param(dict(n=0, batch_size=1), r"there must be images, got n=0", id="empty"),
        pytest.param(dict(n=5, batch_size=0), r"at least 1, got batch_size=0", id="size"),
        pytest.param(
            dict(n=5, batch_size=4, multiple_of=3), r"got batch_size=4, devices=3", id="devices"
        ),
        pytest.param(dict(n=3, batch_size=4, drop_last=True), r"no batch is full", id="none_full"),
    ],
)
def test_errors(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        epoch_batches(**arguments)
