"""Several augmentations as one, inside the compiled training step."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import data, nn, optim, train

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
KEY = jax.random.key(0)


def test_functions_are_applied_in_order_with_keys_of_their_own() -> None:
    seen = []

    def note(images: Any, rng: Any, add: int) -> Any:
        seen.append(jax.random.key_data(rng).tolist())
        return 2 * images + add

    augment = data.compose(functools.partial(note, add=1), functools.partial(note, add=5))
    assert augment(jnp.array(1), KEY) == 2 * (2 * 1 + 1) + 5
    assert seen[0] != seen[1]
    assert jax.random.key_data(KEY).tolist() not in seen
    np.testing.assert_array_equal(data.compose()(IMAGES, KEY), IMAGES)


def test_a_pipeline_runs_in_several_steps_of_one_dispatch() -> None:
    augment = data.compose(
        functools.partial(data.random_crop, padding=2),
        data.random_horizontal_flip,
        data.random_erasing,
    )
    preprocess = lambda images: data.normalize(train.to_float(images), 0.5, 0.25)
    model = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3, 2))
    state = train.create_state(model, optim.sgd(0.0), KEY, jnp.ones((1, 8, 8, 3)))
    step = train.make_train_step(augment=augment, preprocess=preprocess)
    batches = {"image": np.stack([IMAGES] * 3), "label": np.zeros((3, 4), np.int32)}
    _, metrics = jax.jit(train.scan_steps(step))(state, batches)
    losses = np.asarray(metrics["loss"])
    assert np.isfinite(losses).all()
    assert len(set(losses.tolist())) == 3, "each step has draws of its own"


def test_errors() -> None:
    with pytest.raises(TypeError, match=r"compose: functions must be callable, got function=4"):
        data.compose(4)  # pyright: ignore[reportArgumentType]
