"""A recipe's settings become the schedule, optimiser, augmentation and step that they name."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import train

KEY = jax.random.key(0)


def rates(steps: list[int], **settings: Any) -> list[float]:
    schedule = train.Recipe(lr=1.0, epochs=10, **settings).learning_rate(steps_per_epoch=10)
    return [round(float(schedule(step)), 4) for step in steps]


@pytest.mark.parametrize(
    ("settings", "steps", "expected"),
    [
        ({"schedule": "constant"}, [0, 99], [1, 1]),
        ({"schedule": "step", "step_epochs": 3}, [0, 29, 30, 60], [1, 1, 0.1, 0.01]),
        ({"milestones": (2, 5), "gamma": 0.5}, [19, 20, 49, 50], [1, 0.5, 0.5, 0.25]),
        ({"schedule": "exponential", "gamma": 0.5}, [0, 10, 20], [1, 0.5, 0.25]),
        ({"schedule": "cosine"}, [0, 50, 100], [1, 0.5, 0]),
        ({"schedule": "polynomial"}, [0, 25, 100], [1, 0.75, 0]),
    ],
)
def test_schedules(settings: dict[str, Any], steps: list[int], expected: list[float]) -> None:
    assert rates(steps, **settings) == expected


def test_the_warm_up_comes_first_and_milestones_count_from_the_start() -> None:
    assert rates([0, 10, 20, 60, 100], schedule="cosine", warmup_epochs=2) == [
        0.05, 0.525, 1, 0.5, 0,
    ]  # fmt: skip
    assert rates([19, 20, 49, 50], milestones=(5,), warmup_epochs=2)[1:] == [1, 1, 0.1]


def test_the_optimiser_clips_groups_and_decays() -> None:
    params = {"conv": {"weight": jnp.ones((1, 1, 1, 1)), "bias": jnp.ones(1)}}
    grads = jax.tree.map(lambda x: 30.0 * x, params)
    for decays, bias in ((True, 1.0 + 1 / 2**0.5), (False, 1 / 2**0.5)):
        recipe = train.Recipe(
            lr=1.0, momentum=0, weight_decay=1.0, decay_vectors=decays, clip_norm=1.0,
            schedule="constant",
        )  # fmt: skip
        tx = recipe.make_optimizer(10)
        updates, _ = tx.update(grads, tx.init(params), params)
        np.testing.assert_allclose(updates["conv"]["weight"], -(1 + 1 / 2**0.5), rtol=1e-4)
        np.testing.assert_allclose(updates["conv"]["bias"], -bias, rtol=1e-4)


def test_augmentation_and_mixing() -> None:
    assert train.Recipe().augmentation() is None
    assert train.Recipe().mixing(3) is None
    images = jnp.asarray(np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3), np.uint8))
    everything = train.Recipe(
        crop_padding=1, flip=True, color_jitter=0.4, rand_augment=9, random_erasing=0.5
    ).augmentation()
    assert everything is not None
    changed = jax.eval_shape(everything, images, KEY)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    flipped = train.Recipe(flip=True).augmentation()
    assert flipped is not None
    same = [bool((a == b).all()) for a, b in zip(flipped(images, KEY), images, strict=True)]
    assert 0 < sum(same) < 4, "some of the images are mirrored"
    floats, labels = images / jnp.float32(255), jnp.arange(4) % 3
    for settings in ({"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}):
        mix = train.Recipe(**settings).mixing(3)
        assert mix is not None
        mixed, soft = mix(floats, labels, KEY)
        assert mixed.shape == floats.shape
        np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-6)


def test_a_step_with_label_smoothing_and_two_outputs() -> None:
    """The loss gets the recipe's smoothing, and of several outputs the first one is counted."""
    from jaxcnn import nn, optim

    class TwoHeads(nn.Linear):
        def __call__(self, x: Any, train: bool = False) -> Any:
            logits = super().__call__(x.reshape(len(x), -1))
            return (logits, -logits) if train else logits

    def loss(outputs: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
        return jnp.float32(label_smoothing) + 0 * outputs[1].sum()

    images, labels = np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3), np.arange(3)
    state = train.create_state(TwoHeads(3, 3), optim.sgd(0.1), KEY, images)
    state = state.replace(params={"weight": jnp.eye(3), "bias": jnp.zeros(3)})
    step = train.Recipe(label_smoothing=0.25).make_train_step(3, loss_fn=loss)
    _, metrics = jax.jit(step)(state, {"image": images, "label": labels})
    assert float(metrics["loss"]) == 0.25
    assert int(metrics["correct"]) == 3
