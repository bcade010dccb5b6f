"""SpectFormer: its parts, its options and other sizes. Numbers: test_spectformer_golden.py."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models, nn
from jaxcnn._modules import inspect_called, named_modules
from jaxcnn._names import named_leaves
from jaxcnn.models.families import spectformer

from .spectformers import (
    KEY,
    TINY,
    TINY_VANILLA,
    abstract,
    checkpoint,
    normal,
    outputs_of,
    random_variables,
)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "auxiliary", "spectral"),
    [
        ("spectformer_h_s", {}, 21_777_928, 449_000, 1_053_696),
        ("spectformer_h_s", {"token_label": False, "num_classes": 6}, 21_331_622, 0, 1_053_696),
        ("spectformer_h_b", {}, 32_539_880, 513_000, 1_053_696),
        ("spectformer_h_l", {}, 54_162_792, 513_000, 1_903_104),
        ("spectformer_h_s_seed", {}, 13_888_422, 0, 1_053_696),
        ("spectformer_t", {}, 9_158_376, 0, 4 * 14 * 8 * 256 * 2),
        ("spectformer_xs", {}, 20_028_520, 0, 4 * 14 * 8 * 384 * 2),
        ("spectformer_s", {}, 32_449_768, 0, 4 * 14 * 8 * 384 * 2),
        ("spectformer_b", {}, 57_159_656, 0, 4 * 14 * 8 * 512 * 2),
    ],
)
def test_parameters(
    name: str, options: Any, parameters: int, auxiliary: int, spectral: int
) -> None:
    variables = abstract(models.create(name, **options))
    sizes = {k: x.size for k, x in named_leaves("test", {"params": variables["params"]}).items()}
    assert sum(n for key, n in sizes.items() if key.startswith("aux_head")) == auxiliary
    assert sum(sizes.values()) == parameters + auxiliary
    assert sum(n for key, n in sizes.items() if key.endswith("complex_weight")) == spectral


def test_printed_tree_of_the_seed() -> None:
    """The checksum is that of ../shared/golden/spect_seed_repr.txt; the text is compared there."""
    tree = jaxcnn.torch_repr(models.spectformer_h_s_seed(), (1, 224, 224, 3))
    assert len(tree.splitlines()) == 145
    assert hashlib.sha256(f"{tree}\n".encode()).hexdigest()[:16] == "8da1924da840644a"


def test_published_blocks_print_in_the_origins_order() -> None:
    model = models.spectformer_h_s(**TINY, img_size=32, drop_path_rate=0.1)
    lines = jaxcnn.torch_repr(model, (1, 32, 32, 3)).splitlines()
    block = lines.index("    (0): Block(")
    children = [line.split(":")[0].strip() for line in lines[block:] if line[:7] == "      ("]
    assert children[:5] == ["(norm1)", "(norm2)", "(attn)", "(mlp)", "(drop_path)"]
    assert lines[-2:] == [
        "  (aux_head): Linear(in_features=32, out_features=5, bias=True)",
        ")",
    ]


@pytest.fixture(scope="module")
def tiny() -> tuple[Any, Any, jax.Array]:
    """With token labels; the last stage has (3, 4) pixels."""
    model = models.spectformer_h_s(**TINY, img_size=(96, 128), drop_path_rate=0)
    x = jnp.asarray(normal(0, 3, 96, 128, 3), jnp.float32)
    return model, random_variables(model, x), x


def test_evaluation_with_token_labels(tiny: Any) -> None:
    model, variables, x = tiny
    y, names = jax.jit(outputs_of, static_argnums=0)(model, variables, x)
    assert names["norm4"].shape == (3, 1 + 12, 32)
    assert names["aux_head"].shape == (3, 12, 5)
    expected = names["head"] + 0.5 * np.max(names["aux_head"], axis=1)
    np.testing.assert_allclose(y, expected, 1e-6, 1e-6)
    plain = models.spectformer_h_s(**TINY, img_size=(96, 128), token_label=False)
    rest = {k: v for k, v in variables["params"].items() if k != "aux_head"}
    logits = jax.jit(plain.apply)({**variables, "params": rest}, x)
    np.testing.assert_allclose(logits, names["head"], 1e-5, 1e-5)


def test_training_with_token_labels(tiny: Any) -> None:
    """The box of the stem's map comes from the flipped batch, and the pixels' logits go back."""
    model, variables, x = tiny

    @jax.jit
    def step(key: jax.Array) -> Any:
        call = {"train": True, "mutable": ["batch_stats"], "rngs": {"dropout": key}}
        return outputs_of(model, variables, x, **call)

    boxes = set()
    for seed in range(6):
        ((logits, labels, box), _), names = step(jax.random.key(seed))
        top, left, bottom, right = map(int, box)
        boxes.add((top, left, bottom, right))
        mixed = np.array(names["patch_embed1"])
        large = slice(8 * top, 8 * bottom), slice(8 * left, 8 * right)
        mixed[:, *large] = mixed[::-1][:, *large]
        block = names["block1.0"] - names["block1.0.mlp"] - names["block1.0.attn"]
        np.testing.assert_allclose(block, mixed, 1e-4, 1e-4)
        back = np.array(names["aux_head"]).reshape(3, 3, 4, 5)
        back[:, top:bottom, left:right] = back[::-1][:, top:bottom, left:right]
        np.testing.assert_array_equal(labels, back.reshape(3, 12, 5))
        np.testing.assert_array_equal(logits, names["head"])
    assert sum(bottom > top and right > left for top, left, bottom, right in boxes) > 1


def test_token_label_loss() -> None:
    logits, tokens = normal(0, 3, 5), normal(1, 3, 6, 5)
    target, labels = (np.exp(normal(seed, *shape)) for seed, shape in ((2, (3, 5)), (3, (3, 6, 5))))
    target, labels = (t / t.sum(-1, keepdims=True) for t in (target, labels))

    def entropy(logits: np.ndarray, target: np.ndarray) -> float:
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return float(-(target * log_p).sum(-1).mean())

    mixed = 4 / 6 * target + 2 / 6 * target[::-1]
    box = jnp.array([1, 0, 2, 2])
    loss = spectformer.token_label_loss((logits, tokens, box), target, labels)
    assert float(loss) == pytest.approx(entropy(logits, mixed) + 0.5 * entropy(tokens, labels))
    loss = spectformer.token_label_loss((logits, tokens, box), target)
    labels = np.repeat(target[:, None], 6, axis=1)
    assert float(loss) == pytest.approx(entropy(logits, mixed) + 0.5 * entropy(tokens, labels))


@pytest.mark.parametrize(
    ("target", "labels", "message"),
    [
        ((3, 4), None, r"target must have the shape of the logits, got target=\(3, 4\)"),
        ((3, 5), (3, 5), r"token_target must have the shape of the pixels' logits, got token_tar"),
    ],
)
def test_token_label_loss_errors(target: Any, labels: Any, message: str) -> None:
    outputs = jnp.zeros((3, 5)), jnp.zeros((3, 6, 5)), jnp.zeros(4, int)
    with pytest.raises(ValueError, match=f"^token_label_loss: {message}"):
        spectformer.token_label_loss(
            outputs, jnp.zeros(target), None if labels is None else jnp.zeros(labels)
        )


@pytest.mark.parametrize(
    "model",
    [
        models.spectformer_h_s(**TINY, img_size=32, drop_path_rate=0.4, token_label=False),
        models.spectformer_t(**TINY_VANILLA, img_size=8, drop_path_rate=0.4),
    ],
    ids=["hierarchical", "vanilla"],
)
def test_drop_path_rises_evenly(model: Any) -> None:
    x = jnp.zeros((1, *model.img_size, 3))

    def rates(bound: Any) -> list[float]:
        modules = dict(named_modules(bound))
        return [getattr(m, "drop_prob", 0.0) for k, m in modules.items() if k.endswith("drop_path")]

    found = inspect_called(model, rates, x)
    np.testing.assert_allclose(found, np.linspace(0, 0.4, len(found)), 1e-6)
    assert found[-1] == 0.4


def test_drop_path_drops_each_branch_of_each_image_on_its_own() -> None:
    setting = spectformer._Setting(8, 1, 1, 0.5, nn.LayerNorm, (4, 4), None, 8)
    block, x = spectformer.Block(setting), jnp.asarray(normal(0, 200, 4, 4, 8), jnp.float32)
    variables = random_variables(block, x)
    y, names = outputs_of(block, variables, x, train=True, rngs={"dropout": KEY})
    # What is kept is doubled, so that neither, one or both branches are in the output.
    first = np.asarray(y - x)
    gate, mlp = 2 * np.asarray(names["attn"]), 2 * np.asarray(names["mlp"])
    distances = {
        (a, b): np.abs(first - a * gate - b * mlp).max((1, 2, 3)) for a in (0, 1) for b in (0, 1)
    }
    chosen = [min(distances, key=lambda k, i=i: distances[k][i]) for i in range(200)]
    assert max(distances[k][i] for i, k in enumerate(chosen)) < 1e-4
    assert all(30 < chosen.count(k) < 70 for k in distances)


@pytest.mark.parametrize(
    ("name", "stds"),
    [
        (
            "spectformer_h_s",
            {
                "patch_embed1.conv.3.weight": math.sqrt(2 / (9 * 32)),
                "patch_embed2.proj.weight": math.sqrt(2 / (9 * 128)),
                "patch_embed2.proj.bias": 0,
                "block1.0.attn.complex_weight": 0.02,
                "block1.0.mlp.dwconv.dwconv.weight": math.sqrt(2 / 9),
                "block1.0.mlp.fc1.weight": 0.02,
                "block1.0.mlp.fc1.bias": 0,
            },
        ),
        ("spectformer_t", {"pos_embed": 0.02, "blocks.4.attn.qkv.weight": 0.02, "head.bias": 0}),
    ],
)
def test_start(name: str, stds: dict[str, float]) -> None:
    """The distributions of the origin."""
    model = models.create(name, img_size=64)

    @jax.jit  # which leaves out what is not returned
    def start() -> dict[str, jax.Array]:
        params = model.init(KEY, jnp.zeros((1, 64, 64, 3)))["params"]
        arrays = named_leaves("test", {"params": params})
        return {key: arrays[key] for key in stds}

    for key, value in start().items():
        assert float(value.std()) == pytest.approx(stds[key], rel=0.06), key


@pytest.mark.parametrize("name", ["spectformer_h_s", "spectformer_h_s_seed", "spectformer_t"])
def test_other_sizes(name: str) -> None:
    model = models.create(name, img_size=(64, 96), num_classes=3)
    variables = abstract(model, (64, 96))
    shapes = {k: x.shape for k, x in named_leaves("test", variables).items()}
    gates = {s[:2] for k, s in shapes.items() if k.endswith("complex_weight")}
    assert gates == ({(4, 4)} if name == "spectformer_t" else {(16, 13), (8, 7)})
    assert shapes.get("pos_embed", (1, 24, 256)) == (1, 24, 256)
    y = jax.eval_shape(model.apply, variables, jnp.zeros((2, 64, 96, 3)))
    assert y.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        (
            "spectformer_h_s",
            {
                "norm1": (2, 16, 24, 64),
                "norm2": (2, 8, 12, 128),
                "norm3": (2, 4, 6, 320),
                "block4.2": (2, 2, 3, 448),
            },
        ),
        ("spectformer_s", {f"blocks.{i}": (2, 4, 6, 384) for i in (4, 9, 14, 18)}),
    ],
)
def test_features(name: str, maps: dict[str, tuple[int, ...]]) -> None:
    backbone = models.create(name, features_only=True, img_size=(64, 96))
    x = jnp.zeros((2, 64, 96, 3))
    found, _ = jax.eval_shape(backbone.init_with_output, KEY, x)
    assert {k: y.shape for k, y in found.items()} == maps


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: models.spectformer_h_s(img_size=200), r"img_size must be a multiple of 32, got "),
        (lambda: models.spectformer_t(img_size=(64, 40)), r"img_size must be a multiple of 16, "),
        (lambda: models.spectformer_t(img_size=(64, 64, 64)), "img_size must be an int or a seq"),
        (lambda: models.spectformer_h_s(depths=(3, 4)), r"depths must have four entries, got "),
        (lambda: models.spectformer_h_s(num_heads=(1, 1, 7, 7)), "channels must be divisible by "),
        (lambda: models.spectformer_b(num_heads=6), r"channels must be divisible by num_heads, "),
        (lambda: models.spectformer_h_s_seed(fold="sum"), r"fold must be None or one of \('mean'"),
        (
            lambda: models.spectformer_h_s_seed(embed_dims=(64, 96, 320, 448)),
            r"fold needs a second stage with a multiple of the first one's channels, got ",
        ),
        (lambda: models.spectformer_t(depth=0), r"depth must be at least 1, got depth=0\."),
        (lambda: models.spectformer_t(patch_size=0), r"patch_size must be at least 1, got "),
        (lambda: models.spectformer_t(num_heads=0), r"num_heads must be at least 1, got "),
    ],
)
def test_errors(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^SpectFormer: {message}"):
        build()


@pytest.mark.parametrize("name", ["spectformer_h_s", "spectformer_t"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (1, 64, 96, 3),
            r"images must have the model's size \(64, 64\), got shape=\(1, 64, 96, 3\); "
            r"build the model with img_size=\(64, 96\)",
        ),
        ((1, 3, 64, 64), r".*it looks channels-first: use jaxcnn\.layout\.to_channels_last"),
        ((64, 64, 3), r"input must be \(n, h, w, c\), got shape=\(64, 64, 3\)\."),
    ],
)
def test_image_errors(name: str, shape: tuple[int, ...], message: str) -> None:
    model = models.create(name, img_size=64)
    with pytest.raises(ValueError, match=f"^SpectFormer: {message}"):
        jax.eval_shape(model.init, KEY, jnp.zeros(shape))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "options", "old", "new"),
    [
        ("spectformer_h_s", TINY, (64, 64), (96, 32)),
        ("spectformer_h_s", TINY, (32, 64), (64, 64)),
        ("spectformer_t", TINY_VANILLA, (12, 20), (24, 16)),
        ("spectformer_t", TINY_VANILLA, (16, 16), (12, 12)),
    ],
)
def test_resample_is_pytorchs(name: str, options: Any, old: Any, new: Any) -> None:
    torch = pytest.importorskip("torch")
    start = checkpoint(models.create(name, img_size=old, **options), old)
    like = abstract(models.create(name, img_size=new, **options), new)
    resampled = spectformer.resample(start, like)
    shapes = {k: x.shape for k, x in named_leaves("test", like).items()}
    assert {k: x.shape for k, x in resampled.items()} == shapes
    jaxcnn.to_variables(resampled, like)
    for key, value in start.items():
        if not key.endswith(("complex_weight", "pos_embed")):
            assert resampled[key] is value
            continue
        spectral = key.endswith("complex_weight")
        before = value.shape[:2] if spectral else tuple(side // 4 for side in old)
        after = shapes[key][:2] if spectral else tuple(side // 4 for side in new)
        images = torch.tensor(value).reshape(1, *before, -1).permute(0, 3, 1, 2)
        resized = torch.nn.functional.interpolate(
            images, after, mode="bicubic", align_corners=spectral
        )
        expected = resized.permute(0, 2, 3, 1).reshape(shapes[key]).numpy()
        np.testing.assert_allclose(resampled[key], expected, 1e-5, 1e-5)


def test_resample_leaves_what_fits_and_what_size_does_not_explain() -> None:
    model = models.spectformer_t(**TINY_VANILLA, img_size=16)
    start = checkpoint(model, (16, 16)) | {"extra.complex_weight": np.zeros((2, 2, 3, 2))}
    same = spectformer.resample(start, abstract(model, (16, 16)))
    assert all(same[key] is value for key, value in start.items())
    wider = models.spectformer_t(**TINY_VANILLA | {"embed_dim": 16}, img_size=32)
    same = spectformer.resample(start, abstract(wider, (32, 32)))
    assert all(same[key] is value for key, value in start.items())


def test_resample_without_a_grid() -> None:
    model = models.spectformer_t(**TINY_VANILLA, img_size=16)
    message = (
        r"^resample: pos_embed needs a complex_weight whose rows divide it evenly, "
        r"got positions=9, rows=0\.$"
    )
    with pytest.raises(ValueError, match=message):
        spectformer.resample({"pos_embed": np.zeros((1, 9, 8))}, abstract(model, (16, 16)))
