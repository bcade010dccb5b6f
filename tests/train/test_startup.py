"""The start of a program: one program for the state, and compiled programs kept on disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import tyro

from jaxcnn import nn, optim, train

PROGRAM = """
import sys
import jax
from jaxcnn import data, nn, optim, train

events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
train.enable_compilation_cache(sys.argv[1])
digits = data.load("digits", "train").take(100)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
state = train.create_state(model, optim.sgd(0.1), jax.random.key(0), digits.images[:1])
state, history = train.fit(state, digits, epochs=1, batch_size=32, test_set=digits.take(10))
for name in ("cache_hits", "cache_misses"):
    print(events.count(f"/jax/compilation_cache/{name}"))
print(history[0]["train_loss"], history[0]["test_loss"])
"""


@pytest.fixture(autouse=True)
def same_cache_afterwards() -> Iterator[None]:
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    yield
    train.enable_compilation_cache(before)


def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "cache")]
    starts = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    (hits, misses, *numbers), (hits_again, misses_again, *numbers_again) = starts
    assert int(hits) == 0
    assert int(misses) >= 4, "the state, two training shapes, the evaluation"
    assert (hits_again, misses_again) == (misses, "0")
    assert numbers_again == numbers


def test_where_compiled_programs_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert train.RunSettings().compilation_cache == tmp_path / "jaxcnn" / "xla"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert train.default_compilation_cache() == Path.home() / ".cache" / "jaxcnn" / "xla"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "mine"))
    assert train.default_compilation_cache() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        pytest.param(["--compilation-cache", "{tmp}/here"], True, id="moved"),
        pytest.param(["--compilation-cache", "none"], False, id="off"),
    ],
)
def test_the_setting_moves_or_stops_it(arguments: list[str], kept: bool, tmp_path: Path) -> None:
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    train.enable_compilation_cache(tmp_path / "before")
    jax.jit(lambda x: x * 2)(np.float32(2))
    tyro.cli(train.RunSettings, args=arguments).prepare()
    jax.jit(lambda x: x * 3)(np.float32(2))
    files = {folder.name: len(list(folder.iterdir())) for folder in tmp_path.iterdir()}
    assert files == {"before": 1, **({"here": 1} if kept else {})}


def test_an_unwritable_folder_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"not kept: cannot write to .*file/cache"):
        train.enable_compilation_cache(tmp_path / "file" / "cache")
    assert jax.config.jax_compilation_cache_dir is None  # type: ignore[attr-defined]


def model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))


def new_state(key: jax.Array, **settings: Any) -> train.TrainState:
    sample = np.zeros((1, 8, 8, 1), np.uint8)
    return train.create_state(model(), optim.sgd(0.1, momentum=0.9), key, sample, **settings)


def test_the_state_is_one_program(caplog: pytest.LogCaptureFixture) -> None:
    key = jax.random.key(0)
    jax.block_until_ready(key)
    with jax.log_compiles():
        new_state(key)
    compiled = [text for text in caplog.messages if "Finished XLA compilation" in text]
    assert len(compiled) == 1


def test_the_state_can_be_made_inside_a_program() -> None:
    key = jax.random.key(3)
    for a, b in zip(
        jax.tree.leaves(new_state(key).variables),
        jax.tree.leaves(jax.jit(new_state)(key).variables),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_another_initialisation() -> None:
    def zeros(key: jax.Array, sample: jax.Array) -> Any:
        assert sample.dtype == "float32"
        return jax.tree.map(lambda leaf: 0 * leaf, model().init(key, sample))

    state = new_state(jax.random.key(0), initialize=zeros)
    assert all(not leaf.any() for leaf in jax.tree.leaves(state.params))
