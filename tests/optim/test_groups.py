"""Parameter groups against PyTorch's, live, and their rules."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxcnn import models, optim

STEPS = 20
SHAPES = {
    "conv1": {"weight": (2, 1, 3, 3)},
    "bn1": {"weight": (2,), "bias": (2,)},
    "layer1.0": {"conv": {"weight": (2, 2)}, "scale": (2, 1, 1)},
    "layer1.1": {"conv": {"weight": (2, 2)}},
    "layer2.0": {"conv": {"weight": (2, 2), "bias": (2,)}},
    "fc": {"weight": (3, 2), "bias": (3,)},
}
STEM, BLOCKS = r"^(conv1|bn1)\.", r"^layer(\d+)\.(\d+)\."
LAYERS = {"layer_decay": 0.5, "stem": STEM, "blocks": BLOCKS}
# Of each parameter the factor of its learning rate and whether it decays, by hand.
GROUPS: dict[str, tuple[dict[str, Any], dict[str, tuple[float, bool]]]] = {
    "vectors": (
        {"no_decay": "scale$"},
        {
            "conv1.weight": (1, True),
            "bn1.weight": (1, False),
            "bn1.bias": (1, False),
            "layer1.0.conv.weight": (1, True),
            "layer1.0.scale": (1, False),
            "layer1.1.conv.weight": (1, True),
            "layer2.0.conv.weight": (1, True),
            "layer2.0.conv.bias": (1, False),
            "fc.weight": (1, True),
            "fc.bias": (1, False),
        },
    ),
    "layers": (
        {**LAYERS, "decay_vectors": True, "lr_factors": {r"^fc\.": 3.0, "bias$": 2.0}},
        {
            "conv1.weight": (0.0625, True),
            "bn1.weight": (0.0625, True),
            "bn1.bias": (0.125, True),
            "layer1.0.conv.weight": (0.125, True),
            "layer1.0.scale": (0.125, True),
            "layer1.1.conv.weight": (0.25, True),
            "layer2.0.conv.weight": (0.5, True),
            "layer2.0.conv.bias": (1, True),
            "fc.weight": (3, True),
            "fc.bias": (3, True),
        },
    ),
    "frozen": (
        {"frozen": r"^(conv1|bn1|layer1)\b", "decay_vectors": True},
        {
            "layer2.0.conv.weight": (1, True),
            "layer2.0.conv.bias": (1, True),
            "fc.weight": (1, True),
            "fc.bias": (1, True),
        },
    ),
}
OPTIMIZERS = {
    "SGD": (functools.partial(optim.sgd, momentum=0.9, nesterov=True), 0.05, 0.3),
    "AdamW": (functools.partial(optim.adamw, betas=(0.8, 0.95)), 0.03, 0.2),
}
SETTINGS = {"SGD": {"momentum": 0.9, "nesterov": True}, "AdamW": {"betas": (0.8, 0.95)}}


def tree(rng: np.random.RandomState, *lead: int) -> Any:
    is_shape = lambda x: isinstance(x, tuple)
    draw = lambda shape: rng.standard_normal((*lead, *shape))
    return jax.tree.map(draw, SHAPES, is_leaf=is_shape)


def flat(params: Any) -> dict[str, np.ndarray]:
    name = lambda path: ".".join(key.key for key in path)
    return {name(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(params)}


def train(tx: optax.GradientTransformation, params: Any, grads: Any) -> Any:
    def step(carry: Any, grads: Any) -> Any:
        params, state = carry
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    run = lambda params, grads: jax.lax.scan(step, (params, tx.init(params)), grads)[0]
    return jax.jit(run)(params, grads)


def half(step: Any) -> Any:
    """The learning rate's factor: a half from step 7 on."""
    return 1 - 0.5 * (step >= 7)


@pytest.mark.torch
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("id", GROUPS)
def test_groups_equal_torch(id: str, name: str, x64: None, rng: np.random.RandomState) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    (settings, groups), (make, lr, decay) = GROUPS[id], OPTIMIZERS[name]
    params, grads = tree(rng), tree(rng, STEPS)
    twins = {name: torch.tensor(value) for name, value in flat(params).items()}
    optimizer = getattr(torch.optim, name)(
        [
            {"params": [twins[n]], "lr": lr * factor, "weight_decay": decay if decays else 0}
            for n, (factor, decays) in groups.items()
        ],
        **SETTINGS[name],
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, half)
    for i in range(STEPS):
        for n in groups:
            twins[n].grad = torch.tensor(flat(grads)[n][i])
        optimizer.step()
        scheduler.step()
    tx = optim.grouped(make, lr=lambda s: lr * half(s), weight_decay=decay, **settings)
    after, _ = train(tx, params, grads)
    for n, value in flat(after).items():
        np.testing.assert_allclose(value, twins[n], rtol=1e-9, atol=1e-9, err_msg=n)
        assert np.array_equal(value, flat(params)[n]) == (n not in groups), n


def test_frozen_parameters_have_no_state(rng: np.random.RandomState) -> None:
    params = tree(rng)
    count = lambda tx: sum(leaf.size for leaf in jax.tree.leaves(tx.init(params)))
    make = functools.partial(optim.sgd, momentum=0.9)
    everything = count(optim.grouped(make, lr=0.1, decay_vectors=True))
    trained = count(optim.grouped(make, lr=0.1, decay_vectors=True, frozen="conv1"))
    assert everything - trained == params["conv1"]["weight"].size


def test_changed_rates_keep_the_structure(rng: np.random.RandomState) -> None:
    """So that a checkpoint of the optimiser can go on with other rates."""
    states = [
        optim.grouped(optim.adamw, lr=0.1, weight_decay=0.1, lr_factors={"^fc": f}).init(tree(rng))
        for f in (2.0, 5.0)
    ]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])


def test_layers_of_a_resnet() -> None:
    """ResNet-18 has a stem, eight blocks and a head: timm's factors for its order of groups."""
    model = models.create("resnet18", num_classes=2)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 32, 32, 3)))["params"]
    names = list(flat(jax.tree.map(lambda x: 0, shapes)))
    made: list[float] = []

    def make(lr: float, weight_decay: float) -> optax.GradientTransformation:
        made.append(lr)
        return optim.sgd(lr, weight_decay=weight_decay)

    tx = optim.grouped(make, lr=1.0, decay_vectors=True, **LAYERS)
    jax.eval_shape(tx.init, shapes)
    assert made == [0.5**k for k in range(9, -1, -1)]
    assert any(name.startswith("layer4.1.") for name in names)


def test_clipping_goes_before_all_groups(rng: np.random.RandomState) -> None:
    params, grads = jax.tree.map(np.float32, (tree(rng), tree(rng)))
    tx = optax.chain(
        optim.clip_grad_norm(1.0), optim.grouped(optim.sgd, lr=1.0, lr_factors={"^fc": 1.5})
    )
    updates, _ = tx.update(grads, tx.init(params), params)
    ratio = {n: (flat(updates)[n] / flat(grads)[n]).mean() for n in flat(grads)}
    norm = np.sqrt(sum((g**2).sum() for g in flat(grads).values()))
    np.testing.assert_allclose(ratio["conv1.weight"], -1 / norm, rtol=1e-5)
    np.testing.assert_allclose(ratio["fc.bias"], -1.5 / norm, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"lr": -1.0}, ValueError, "grouped: lr must not be negative, got lr=-1.0"),
        ({"lr": "1"}, TypeError, "grouped: lr must be a number, got lr='1'"),
        (
            {"weight_decay": -1},
            ValueError,
            "weight_decay must not be negative, got weight_decay=-1",
        ),
        (
            {"lr_factors": {"fc": -2}},
            ValueError,
            r"lr_factors\['fc'\] must not be negative, got lr_factors\['fc'\]=-2",
        ),
        (
            {**LAYERS, "layer_decay": 1.5},
            ValueError,
            "layer_decay must be from 0 to 1, got layer_decay=1.5",
        ),
        ({"layer_decay": 0.5}, ValueError, "layer_decay needs blocks, .* got layer_decay=0.5"),
        ({"stem": STEM}, ValueError, "stem need layer_decay, got layer_decay=None"),
        (
            {**LAYERS, "blocks": "^layer1"},
            ValueError,
            r"blocks must capture a number, as in r'\^layer\(\\d\+\)', got blocks='\^layer1'",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_errors(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        optim.grouped(optim.sgd, **{"lr": 0.1, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"no_decay": "nothing"}, "a pattern must match a parameter, got pattern='nothing'"),
        ({"frozen": "nothing"}, "a pattern must match a parameter, got pattern='nothing'"),
        ({"lr_factors": {"no": 2.0}}, "a pattern must match a parameter, got pattern='no'"),
        ({**LAYERS, "stem": "nothing"}, "a pattern must match a parameter, got pattern='nothing'"),
        (
            {**LAYERS, "blocks": r"^(layer)\d"},
            r"blocks must capture numbers, got captured=\['layer'\], name='layer1.0",
        ),
    ],
    ids=["no_decay", "frozen", "lr_factors", "stem", "blocks"],
)
def test_errors_of_patterns(
    settings: dict[str, Any], message: str, rng: np.random.RandomState
) -> None:
    with pytest.raises(ValueError, match=message):
        optim.grouped(optim.sgd, lr=0.1, **settings).init(tree(rng))
