"""What test_distributed.py runs in two processes, and itself in one."""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn import nn, optim, train

BATCH, STEPS = 32, 4


def batches() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(STEPS, BATCH, 8, 8, 1)).astype(np.float32)
    return {"image": images, "label": rng.integers(0, 10, (STEPS, BATCH)).astype(np.int32)}


def model() -> nn.Sequential:
    return nn.Sequential(
        # A bias before BatchNorm has no gradient but rounding.
        nn.Conv2d(1, 4, 3, stride=2, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * 3 * 3, 10),
    )  # fmt: skip


def results() -> dict[str, np.ndarray]:
    """All numbers of a few steps and an evaluation, under both strategies."""
    found = {}
    data = batches()
    for strategy in ("pmap", "jit"):
        tx = optim.sgd(0.1, momentum=0.9)
        state = train.create_state(model(), tx, jax.random.key(0), data["image"][0])
        step = train.parallelize(train.scan_steps(train.make_train_step()), strategy, batch_axis=1)
        state, metrics = step(state, step.local_part(data))
        evaluate = train.parallelize(train.make_eval_step(), strategy, donate=False)
        first = evaluate.local_part({name: values[0] for name, values in data.items()})
        outputs = evaluate(state, first)
        arrays = {
            "params": state.params,
            "stats": state.batch_stats,
            "optimiser": state.opt_state,
            "metrics": metrics,
            "evaluation": outputs,
        }
        for path, x in jax.tree.leaves_with_path(arrays):
            found[strategy + jax.tree_util.keystr(path)] = np.asarray(x)
    return found


def check_errors(index: int) -> None:
    step = train.parallelize(lambda state, batch, axis_name=None: state)
    unequal = {"a": np.float32(index), "b": np.zeros(2), "key": jax.random.key(index)}
    with pytest.raises(ValueError, match=r"equal on all processes, got differ=.*'a'.*'key'"):
        step.replicate(unequal)
    with pytest.raises(ValueError, match=r"divide evenly .* got batch=7, devices=4"):
        step.shard(np.zeros(7))
    with pytest.raises(ValueError, match=r"divide evenly .* got batch=12, devices=8"):
        step.local_part(np.zeros(12))
    for devices in (jax.devices()[:5], jax.devices()[::-1][1:] + jax.devices()[-1:]):
        with pytest.raises(ValueError, match=r"equally many devices, next to one another"):
            train.parallelize(lambda state, batch: state, devices=devices)
    assert [d.process_index for d in train.even_devices(4)] == [0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"among the processes, got batch_size=3, processes=2"):
        train.even_devices(3)
    own = train.parallelize(lambda state, batch: state, "jit", devices=jax.local_devices())
    assert float(own(jnp.float32(index), np.zeros(4))) == index


def main(file: str) -> None:
    here = train.initialize()
    assert here == train.initialize() == (jax.process_index(), 2)
    check_errors(here.index)
    found = results()
    if train.is_main_process():
        np.savez(file, **found)
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
