"""How images reach the devices: the same numbers either way, ahead of time, and nothing leaks."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import data, nn, optim, train
from jaxcnn.train import feed as feeds
from jaxcnn.train import loop, meter

DIGITS = data.load("digits", "train").take(150)
TEST = data.load("digits", "test").take(20)
STRATEGIES = ["pmap", "jit"]


def new_state() -> train.TrainState:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.25),
        nn.Linear(144, 10),
    )  # fmt: skip
    return train.create_state(model, optim.sgd(0.1), jax.random.key(0), DIGITS.images[:1])


def fit(devices: int = 1, epochs: int = 2, **settings: Any) -> tuple[train.TrainState, list[Any]]:
    """Batches of 32, two in a dispatch, the last one of 22 (24 on eight devices)."""
    settings = {"batch_size": 32, "steps_per_dispatch": 2, **settings}
    devices_ = jax.local_devices()[:devices]
    return train.fit(new_state(), DIGITS, epochs=epochs, devices=devices_, **settings)


def make_feed(resident: bool | None, strategy: str = "pmap") -> feeds.Feed:
    return feeds.Feed(train.make_train_step(), DIGITS, strategy, jax.local_devices(), resident)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "prefetch" in thread.name]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_resident_or_sent_the_run_is_bit_identical(strategy: str, devices: int) -> None:
    runs = [fit(devices, strategy=strategy, resident=resident) for resident in (True, False)]
    (state, history), (other, other_history) = runs
    assert [row["step"] for row in history] == [5, 10]
    for row, other_row in zip(history, other_history, strict=True):
        for name in ("train_loss", "train_loss_sum", "train_accuracy"):
            assert row[name] == other_row[name]
    leaves, other_leaves = jax.tree.leaves(state.variables), jax.tree.leaves(other.variables)
    for leaf, other_leaf in zip(leaves, other_leaves, strict=True):
        np.testing.assert_array_equal(leaf, other_leaf)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_resident_set_is_told_rows_and_another_is_sent_bytes(strategy: str) -> None:
    rows = np.arange(32, dtype=np.int32).reshape(2, 16)
    (told,) = make_feed(True, strategy).batches([rows])
    (sent,) = make_feed(False, strategy).batches([rows])
    assert told.dtype == np.int32
    np.testing.assert_array_equal(np.reshape(told, (2, 16)), rows)
    assert {name: x.dtype for name, x in sent.items()} == {"image": np.uint8, "label": np.int32}
    np.testing.assert_array_equal(np.reshape(sent["image"], (2, 16, 8, 8, 1)), DIGITS.images[rows])
    for x in (told, *sent.values()):
        shards = x.addressable_shards
        assert [shard.device for shard in shards] == jax.local_devices()
        assert {shard.data.size for shard in shards} == {x.size // 8}


def test_size_decides_what_is_resident(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_feed(None).resident
    size = DIGITS.images.nbytes + DIGITS.labels.nbytes
    monkeypatch.setattr(feeds, "_RESIDENT_BYTES", size - 1)
    assert not make_feed(None).resident
    assert make_feed(True).resident


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_is_compiled_before_the_first_epoch(
    strategy: str, devices: int, resident: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    late: list[list[str]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Finished XLA compilation" in record.getMessage():
                compiled.append(record.getMessage())

    def compile_and_forget(*arguments: Any) -> float:
        seconds = compile_all(*arguments)
        late.append(compiled.copy())
        compiled.clear()
        return seconds

    compile_all = loop._Loop._compile
    monkeypatch.setattr(loop._Loop, "_compile", compile_and_forget)
    logger, listener = logging.getLogger("jax"), Listener()
    logger.addHandler(listener)
    monkeypatch.setattr(logger, "propagate", False)
    try:
        with jax.log_compiles():
            _, history = fit(devices, strategy=strategy, resident=resident, test_set=TEST)
    finally:
        logger.removeHandler(listener)
    assert len(late) == 1
    assert len(late[0]) >= 4, "two training shapes, one evaluation, one initialisation"
    assert compiled == []
    assert history[0]["compile_seconds"] > 0
    assert history[1]["compile_seconds"] == 0


def test_metrics_are_read_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, where no bar is drawn."""
    reads: list[int] = []
    device_get = jax.device_get

    def counted(tree: list[Any]) -> Any:
        reads.append(len(tree))
        return device_get(tree)

    monkeypatch.setattr(jax, "device_get", counted)
    fit(steps_per_dispatch=1)
    assert reads == [5, 5]


class Bar:
    """A progress bar that only counts."""

    def __init__(self, disable: bool) -> None:
        self.disable, self.n, self.postfix = disable, 0, {}

    def set_postfix(self, refresh: bool, **postfix: str) -> None:
        self.postfix = postfix

    def update(self, n: int) -> None:
        self.n += n

    def close(self) -> None:
        pass


def new_meter(bar: Bar, monkeypatch: pytest.MonkeyPatch, totals: Any = None) -> meter.Meter:
    monkeypatch.setattr(meter, "tqdm", lambda **settings: bar)
    return meter.Meter("epoch 1/1", 0, 0, totals or {})


@pytest.mark.parametrize("disable", [True, False])
def test_thousands_of_losses_are_summed_exactly(
    disable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "_REDRAW_SECONDS", 0)
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.1, 3, (3000, 2)).astype(np.float32)
    losses[0] = 1e6  # in float32 it would swallow digits of every loss after it
    counts, bar, rows = np.array([32, 16]), Bar(disable), np.zeros((2, 32), int)
    whole = new_meter(bar, monkeypatch)
    first, second = new_meter(Bar(True), monkeypatch), None
    for i, loss in enumerate(losses):
        metrics: Any = {"loss": loss, "correct": counts // 4, "count": counts}
        whole.add(rows, metrics)
        if i == 1000:  # an epoch that is interrupted and resumed has the same sums
            second = new_meter(Bar(True), monkeypatch, first.totals())
        (second or first).add(rows, metrics)
    row = whole.row()
    exact = losses.astype(np.float64)
    assert row["train_loss"] == pytest.approx((exact @ counts).sum() / (3000 * 48), rel=1e-13)
    assert row["train_loss_sum"] == pytest.approx(exact.sum(), rel=1e-13)
    assert row["train_accuracy"] == 0.25
    assert bar.n == (0 if disable else 48 * (3000 - feeds.AHEAD))
    assert bar.postfix == ({} if disable else {**bar.postfix, "accuracy": "25.00%"})
    assert second is not None
    for name in ("train_loss", "train_loss_sum", "train_accuracy"):
        assert second.row()[name] == row[name]


def test_skipped_steps_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    epoch, rows = new_meter(Bar(True), monkeypatch), np.arange(8).reshape(2, 4)
    counts = {"correct": np.array([1, 2]), "count": np.array([4, 4])}
    losses: Any = {"loss": np.array([2.0, np.nan]), "skipped": np.array([0, 1])}
    epoch.add(rows, losses | counts)
    row = epoch.row()
    assert (row["train_loss"], row["train_loss_sum"], row["skipped"]) == (2.0, 2.0, 1)
    assert row["train_accuracy"] == 3 / 8
    epoch.add(rows, losses | counts | {"skipped": np.array([0, 0])})
    with pytest.raises(meter.NonFiniteLossError, match=r"at step 4, on the images \[4, 5, 6, 7\]"):
        epoch.row()


def test_few_dispatches_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a dispatch is made, all but the `AHEAD` before it have been waited for."""
    waited: list[int] = []
    monkeypatch.setattr(jax, "block_until_ready", lambda tree: waited.extend(x["i"] for x in tree))
    epoch: Any = new_meter(Bar(disable=True), monkeypatch)
    for i in range(10):
        epoch.add(np.zeros((1, 1)), {"i": i})
        assert waited == list(range(i + 1 - feeds.AHEAD))


def test_prefetch_keeps_the_order_and_stays_a_little_ahead() -> None:
    made: list[int] = []

    def make(item: int) -> int:
        made.append(item)
        return item * item

    results = feeds.prefetch(make, range(10), ahead=2)
    assert next(results) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3:
        assert time.monotonic() < deadline, "it must work ahead"
        time.sleep(0.001)
    time.sleep(0.05)
    assert made == [0, 1, 2]
    assert list(results) == [i * i for i in range(1, 10)]
    assert threads() == []


def test_an_error_comes_where_its_result_was_due() -> None:
    def make(item: int) -> float:
        return 1 / item

    results = feeds.prefetch(make, [1, 2, 0, 4])
    assert [next(results), next(results)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        next(results)
    assert threads() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_leaving_an_epoch_ends_the_thread(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def stop(*_: Any) -> None:
        seen.append(threads())
        raise error("enough")

    monkeypatch.setattr(feeds.Feed, "run", stop)
    with pytest.raises(error, match="enough") as caught:
        fit(steps_per_dispatch=1, resident=False)
    assert len(seen[0]) == 1
    assert threads() == [], "also while the traceback keeps the epoch's generator alive"
    assert caught.traceback


def test_an_unreadable_image_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: Any) -> None:
        raise OSError("no such image")

    monkeypatch.setattr(feeds, "gather", unreadable)
    with pytest.raises(OSError, match="no such image"):
        fit(resident=False)


@pytest.mark.parametrize(
    ("size", "platform", "batch_size", "steps"),
    [
        (28 * 28, "cpu", 32, 32),
        (28 * 28, "cpu", 2000, 1),
        (32 * 32 * 3, "cpu", 128, 8),
        (224 * 224 * 3, "cpu", 2, 10),
        (28 * 28, "gpu", 32, 256),
        (2048 * 2048 * 3, "gpu", 1, 2),
        (2048 * 2048 * 3, "gpu", 64, 1),
        (28 * 28, "new", 1, 8192),
    ],
)
def test_steps_of_a_dispatch(size: int, platform: str, batch_size: int, steps: int) -> None:
    assert feeds.most_steps(size, batch_size, platform) == steps
