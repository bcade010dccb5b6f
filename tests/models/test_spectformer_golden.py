"""SpectFormer against its origin's numbers, computed with PyTorch from a recipe of weights.

Few of them are stored in tests/golden/spectformer.npz, which this file writes where ../shared has
all: `python -m tests.models.test_spectformer_golden`.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import models
from jaxcnn._names import named_leaves

FEW = Path(__file__).parents[1] / "golden" / "spectformer.npz"
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
MODELS = {
    "hs_official": functools.partial(models.spectformer_h_s, token_label=False),
    "seed_variant": models.spectformer_h_s_seed,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "trained" in metafunc.fixturenames:
        cases = [("seed_variant", "float64"), ("seed_variant", "float32")]
        # A minute; the blocks are the same.
        cases += [("hs_official", "float64")] if metafunc.config.getoption("full") else []
        metafunc.parametrize(("trained", "dtype_of_step"), cases)


def weight(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The recipe: random numbers that depend on the key alone."""
    rng, kind = np.random.default_rng(zlib.crc32(key.encode())), key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if kind == "running_var":
        return (0.5 + rng.random(shape)).astype(np.float32)
    x = rng.standard_normal(shape)
    if kind in ("running_mean", "bias"):
        x = 0.1 * x
    elif kind == "complex_weight":
        x = 0.5 * x
    else:
        x = 1 + 0.1 * x if len(shape) == 1 else x * np.sqrt(1 / np.prod(shape[1:]))
    return x.astype(np.float32)


def images(n: int) -> np.ndarray:
    """The first of two images."""
    x = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    return x.transpose(0, 2, 3, 1)[:n]


def build(name: str, dtype: str, **options: Any) -> tuple[Any, Any]:
    """The model and the recipe's variables. Nothing is dropped, so that training is exact."""
    model = MODELS[name](drop_path_rate=0, **options)
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    start = {key: weight(key, x.shape) for key, x in named_leaves("test", like).items()}
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, dtype if x.dtype.kind == "f" else x.dtype), like
    )
    return model, jaxcnn.to_variables(start, like)


def close(actual: Any, expected: Any, tolerance: float) -> None:
    """Within `tolerance` of the largest entry."""
    largest = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, 0, tolerance * largest)


@pytest.mark.parametrize(
    ("name", "options", "stored"),
    [
        ("hs_official", {}, "logits"),
        ("seed_variant", {}, "logits"),
        ("seed_variant", {"fold": "first"}, "logits_fold_first"),
    ],
    ids=["published", "seed", "seed-first"],
)
def test_few_logits(name: str, options: Any, stored: str, x64: None) -> None:
    model, variables = build(name, "float64", **options)
    logits = jax.jit(model.apply)(variables, jnp.asarray(images(1), jnp.float64))
    close(thin(logits[0]), np.load(FEW)[f"{name}/{stored}"], 1e-9)


def thin(logits: Any) -> np.ndarray:
    """What is stored of one image's logits."""
    return np.asarray(logits)[:: -(-len(logits) // 50)]


def write() -> None:
    """Writes the few numbers."""
    arrays: dict[str, Any] = {}
    for name in MODELS:
        full = np.load(GOLDEN / f"{name}.npz")
        for key in ("logits", "logits_fold_first"):
            if f"{key}_f64" in full:
                arrays[f"{name}/{key}"] = thin(full[f"{key}_f64"][0])
    provenance = {name: provenance_of(name) for name in MODELS}
    np.savez_compressed(FEW, allow_pickle=False, provenance=json.dumps(provenance), **arrays)


def description(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def provenance_of(name: str) -> dict[str, Any]:
    """Where the numbers come from."""
    whole = description(name)
    return {key: whole[key] for key in ("provenance", "made_with", "weights_sha256")}


shared = pytest.mark.shared_data
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason="needs ../shared/golden")


@shared
@needs_golden
def test_the_few_numbers_are_the_origins() -> None:
    few = np.load(FEW)
    assert json.loads(str(few["provenance"])) == {name: provenance_of(name) for name in MODELS}
    for key in set(few) - {"provenance"}:
        name, _, stored = key.partition("/")
        full = np.load(GOLDEN / f"{name}.npz")[f"{stored}_f64"]
        np.testing.assert_array_equal(few[key], thin(full[0]))


@shared
@needs_golden
@pytest.mark.parametrize("name", MODELS)
def test_state_dict(name: str) -> None:
    model, _ = build(name, "float32")
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    theirs = description(name)
    expected = {key: tuple(shape) for key, shape, _ in theirs["state_dict"]}
    assert {key: x.shape for key, x in named_leaves("test", like).items()} == expected
    for key, first in theirs["recipe_samples_first4"].items():
        assert weight(key, expected[key]).ravel()[:4].tolist() == first


@shared
@needs_golden
def test_printed_tree_of_the_seed() -> None:
    tree = jaxcnn.torch_repr(models.spectformer_h_s_seed(num_classes=6), (1, 224, 224, 3))
    expected = (GOLDEN / "spect_seed_repr.txt").read_text()
    assert tree.splitlines() == expected.splitlines()


@shared
@needs_golden
@pytest.mark.parametrize("name", MODELS)
def test_evaluation(name: str) -> None:
    """float32: the logits and what every stage and block returns."""
    stored = np.load(GOLDEN / f"{name}.npz")
    model, variables = build(name, "float32")
    names = {key.split("/")[1] for key in stored if key.startswith("eval/")}
    backbone = models.FeatureExtractor(model, (*sorted(names), "head"))
    outputs = jax.jit(backbone.apply)(variables, jnp.asarray(images(2)))
    close(outputs.pop("head"), stored["logits"], 2e-6)
    for module, y in outputs.items():
        # PyTorch's are tokens, (n, h*w, c), but for the stem's images.
        y = np.asarray(y, np.float64)
        y = y.transpose(0, 3, 1, 2) if module == "patch_embed1.conv" else y
        check_probes(y[0], {k: stored[f"eval/{module}/{k}"] for k in ("first64", "strided64")}, 64)
        spread = float(stored[f"eval/{module}/std"])
        assert abs(y.mean() - stored[f"eval/{module}/mean"]) < 1e-5 * spread
        assert y.std() == pytest.approx(spread, rel=1e-5)
        assert y.size == np.prod(stored[f"eval/{module}/shape"])


def check_probes(y: np.ndarray, probes: Mapping[str, np.ndarray], n: int) -> None:
    """The first `n` values and as many evenly strided ones."""
    flat = y.reshape(-1)
    strided = flat[np.linspace(0, flat.size - 1, n).astype(np.int64)]
    for part, values in ((f"first{n}", flat[:n]), (f"strided{n}", strided)):
        np.testing.assert_allclose(values, probes[part], 0, 1e-5 * np.abs(flat).max())


@shared
@needs_golden
def test_training(trained: str, dtype_of_step: str) -> None:
    """One step: the loss, the logits, every gradient's norm, running statistics."""
    stored, keys = np.load(GOLDEN / f"{trained}.npz"), description(trained)["param_keys"]
    wide = dtype_of_step == "float64"
    suffix = "_f64" if wide else ""
    with jax.enable_x64(wide):
        model, variables = build(trained, dtype_of_step)
        x, labels = jnp.asarray(images(2), dtype_of_step), jnp.array([3, 1])

        def loss(params: Any) -> Any:
            variable = {**variables, "params": params}
            logits, new = model.apply(variable, x, train=True, mutable=["batch_stats"])
            return F.cross_entropy(logits, labels), (logits, new)

        step = jax.jit(jax.value_and_grad(loss, has_aux=True))
        (value, (logits, new)), grads = step(variables["params"])
        gradients = jaxcnn.to_state_dict({"params": grads})
        statistics = jaxcnn.to_state_dict(new)
    tolerance = 1e-9 if wide else 2e-6
    close(value, stored[f"train/loss{suffix}"], tolerance)
    close(logits, stored[f"train/logits{suffix}"], tolerance)
    norms = [np.linalg.norm(gradients[key].astype(np.float64)) for key in keys]
    np.testing.assert_allclose(norms, stored[f"train/grad_l2{suffix}"], 1e-9 if wide else 1e-5)
    assert len(keys) == len(gradients)
    for key in {k.split("/")[2] for k in stored if k.startswith("train/grad/")}:
        probes = {k: stored[f"train/grad/{key}/{k}"] for k in ("first16", "strided16")}
        check_probes(gradients[key], probes, 16)
    for key in (k.removeprefix("train/bn/") for k in stored if k.startswith("train/bn/")):
        close(statistics[key], stored[f"train/bn/{key}"], 2e-6)


if __name__ == "__main__":
    write()
