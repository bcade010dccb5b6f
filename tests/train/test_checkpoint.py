"""Checkpoints: verified, few, never half of one, never of another model."""

from __future__ import annotations

import functools
import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import jaxcnn
from jaxcnn import nn, optim, train

ADAMW = optim.adamw(0.1)


@functools.cache
def new_state(width: int = 3, tx: optax.GradientTransformation = ADAMW) -> train.TrainState:
    model = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width))
    return train.create_state(model, tx, jax.random.key(0), np.ones((2, 8, 8, 1), np.float32))


def at(value: float) -> train.TrainState:
    """A state whose numbers are all `value`."""
    state = new_state()
    fill = lambda tree: jax.tree.map(lambda x: np.full_like(x, value), tree)
    return state.replace(params=fill(state.params), opt_state=fill(state.opt_state))


def assert_equal(a: train.TrainState, b: train.TrainState) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


def saved(path: Path, steps: int = 3, **settings: object) -> train.Checkpoints:
    checkpoints = train.Checkpoints(path, **settings)
    for step in range(1, steps + 1):
        row = {"epoch": step, "test_accuracy": step % 3, "test_loss": 0.1 + (step - 2) ** 2}
        checkpoints.save(step, at(step), train.Progress([row], totals={"loss": 1 / 3}))
    checkpoints.wait()
    return checkpoints


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    state, progress = train.Checkpoints(tmp_path).restore(new_state())
    assert_equal(state, at(3))
    assert progress.history[0]["test_accuracy"] == 0
    assert progress.totals == {"loss": 1 / 3}
    assert checkpoints.newest() == tmp_path / "3"
    # Beside it, what PyTorch loads.
    weights = jaxcnn.read_state_dict(tmp_path / "3" / "model.safetensors")
    assert weights.keys() == jaxcnn.to_state_dict(state.variables).keys()
    np.testing.assert_array_equal(weights["0.weight"], np.full((3, 1, 3, 3), 3))


def test_what_is_saved_does_not_change_with_the_memory_of_the_state(tmp_path: Path) -> None:
    state = at(1)
    step = jax.jit(lambda s: jax.tree.map(lambda x: x * 0, s.params), donate_argnums=0)
    state = state.replace(params=jax.device_put(state.params))
    checkpoints = train.Checkpoints(tmp_path)
    checkpoints.save(1, state, train.Progress())
    jax.block_until_ready(step(state))
    restored, _ = checkpoints.restore(new_state())
    assert_equal(restored, at(1))


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    assert saved(tmp_path / "high", 4, keep=1, keep_best="test_accuracy").steps() == [2, 4]
    assert saved(tmp_path / "low", 4, keep=2, keep_best="test_loss").steps() == [2, 3, 4]
    assert saved(tmp_path / "few", 3, keep=2).steps() == [2, 3]
    with pytest.raises(ValueError, match=r"Checkpoints: keep must be at least 1, got keep=0"):
        train.Checkpoints(tmp_path, keep=0)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints of the steps 1 and 2."""
    return saved(tmp_path_factory.mktemp("two"), 2).path


@pytest.fixture
def checkpoints(two: Path, tmp_path: Path) -> train.Checkpoints:
    """A copy of `two`."""
    return train.Checkpoints(shutil.copytree(two, tmp_path, dirs_exist_ok=True))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(flip, "has changed"), (halve, "bytes instead of"), (Path.unlink, "is missing")],
)
@pytest.mark.parametrize("name", ["arrays/_METADATA", "progress.json", "model.safetensors", "data"])
def test_damage_is_found_and_the_one_before_taken(
    damage: Callable[[Path], None], reason: str, name: str, checkpoints: train.Checkpoints
) -> None:
    folder = checkpoints.path / "2"
    files = [file for file in folder.rglob("*") if file.is_file()]
    file = max(files, key=lambda f: f.stat().st_size) if name == "data" else folder / name
    damage(file)
    with pytest.warns(UserWarning, match=rf"/2 is left out: {file.relative_to(folder)} .*{reason}"):
        state, progress = checkpoints.restore(new_state())
    assert_equal(state, at(1))
    assert progress.history[0]["epoch"] == 1


def test_going_on_replaces_a_damaged_one(checkpoints: train.Checkpoints) -> None:
    (checkpoints.path / "2" / "manifest.json").unlink()
    checkpoints.save(2, at(7), train.Progress())
    assert_equal(checkpoints.restore(new_state())[0], at(7))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 1, "arrays": {}}', '{"files": {}}'])
def test_a_broken_manifest(text: str, checkpoints: train.Checkpoints) -> None:
    (checkpoints.path / "2" / "manifest.json").write_text(text)
    with pytest.warns(UserWarning, match=r"manifest\.json is broken"):
        assert_equal(checkpoints.restore(new_state())[0], at(1))


def test_all_damaged(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    (tmp_path / "1" / "manifest.json").unlink()
    with (
        pytest.warns(UserWarning, match="manifest.json is missing"),
        pytest.raises(OSError, match=r"Checkpoints: one must be undamaged, got path="),
    ):
        checkpoints.restore(new_state())


def test_what_a_killed_save_left_is_neither_read_nor_kept(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 1)
    (tmp_path / "1").rename(tmp_path / "2.part")
    assert checkpoints.steps() == []
    assert train.Checkpoints(tmp_path).restore(new_state())[1] == train.Progress()
    checkpoints.save(3, at(3), train.Progress())
    checkpoints.wait()
    assert [child.name for child in tmp_path.iterdir()] == ["3"]


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (lambda: new_state(width=4), "params.0.weight"),
        (lambda: new_state(tx=optim.sgd(0.1)), "opt_state"),
        (lambda: new_state(tx=optim.sgd(0.1, momentum=0.9)), "opt_state"),
    ],
    ids=["model", "optimiser", "momentum"],
)
def test_of_another_model_or_optimiser(
    other: Callable[[], train.TrainState], name: str, checkpoints: train.Checkpoints
) -> None:
    rule = r"a checkpoint must be of the same model and optimiser, got path='.*/2', differ=\["
    with pytest.raises(ValueError, match=rf"{rule}.*{name}"):
        checkpoints.restore(other())
    assert checkpoints.steps() == [1, 2]


def test_another_dtype_is_refused(checkpoints: train.Checkpoints) -> None:
    """Orbax alone would cast without a word."""
    state = new_state()
    half = jax.tree.map(lambda x: x.astype(jax.numpy.bfloat16), state.params)
    with pytest.raises(ValueError, match=r"same model .*differ=\['params.0.bias', "):
        checkpoints.restore(state.replace(params=half))


FULL = """
import resource, signal, sys
import jax, numpy as np
from pathlib import Path
from jaxcnn import nn, optim, train
path = Path(sys.argv[1])
model = nn.Sequential(nn.Flatten(), nn.Linear(4096, 64))
tx = optim.sgd(0.1)
state = train.create_state(model, tx, jax.random.key(0), np.ones((1, 64, 64, 1), np.float32))
draw = lambda x: np.random.RandomState(0).randn(*x.shape).astype(x.dtype)
random = jax.tree.map(draw, state.params)
checkpoints = train.Checkpoints(path)
checkpoints.save(1, state, train.Progress())
checkpoints.wait()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
checkpoints.save(2, state.replace(params=random), train.Progress())
try:
    checkpoints.wait()
except OSError as error:
    print(error)
bias = checkpoints.restore(state)[0].params["1"]["bias"]
print([child.name for child in path.iterdir()], bias.sum())
"""


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path) -> None:
    """Files that may not grow past 100 kB stand for a disk without room."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    error, left = result.stdout.splitlines()[-2:]
    assert re.search(r"^Checkpoints: step 2 could not be written to .* \(.*", error), result.stdout
    assert error.endswith(f"the last good checkpoint is {tmp_path / '1'}.")
    assert left.startswith("['1'] ")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    checkpoints = train.Checkpoints(tmp_path / "file" / "checkpoints")
    checkpoints.save(1, new_state(), train.Progress())
    with pytest.raises(OSError, match=r"step 1 could not be written .* last good .* is none"):
        checkpoints.wait()
    run = train.RunFolder(tmp_path / "file" / "run", {})
    with pytest.raises(OSError, match="Not a directory"):
        run.restore(new_state())


def test_the_manifest_names_every_array(two: Path) -> None:
    arrays = json.loads((two / "1" / "manifest.json").read_text())["arrays"]
    assert arrays["params.0.weight"] == "float32[3,1,3,3]"
    assert arrays["batch_stats.1.num_batches_tracked"] == "int32[]"
    assert arrays["step"] == "int32[]"
    assert len(arrays) == len(jax.tree.leaves(new_state()))
