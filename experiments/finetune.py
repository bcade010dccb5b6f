"""Fine-tuning: any PyTorch checkpoint, a new head, any folder of images.

python experiments/finetune.py --checkpoint resnet18-f37072fd.pth --folder PETS
    Loads torchvision's weights (.pt, .pth, .safetensors), replaces the last layer by one for the
    folder's classes and trains everything. PETS holds one folder of images for each class, or
    train/ and val/ with them.
python experiments/finetune.py --checkpoint resnet18-f37072fd.pth --dataset cats_vs_dogs --freeze
    Cats and dogs, downloaded once; trains the new head alone. BatchNorm keeps its statistics.
python experiments/finetune.py --smoke
    A minute: a small net that has seen no photograph, on scanned digits, to see that everything
    works.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import tyro

import jaxcnn
from jaxcnn import models, train
from jaxcnn.cli import one_line_errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(train.PhotographSettings):
    """Settings."""

    model: str = "resnet18"
    """The net that the checkpoint is of; `jaxcnn models` lists them."""
    checkpoint: Path | None = None
    """PyTorch's file with the weights."""
    freeze: bool = False
    """Whether to train the new head alone."""
    epochs: int = 10
    """Epochs in all."""
    batch_size: int = 32
    """Images in a step, over all devices."""
    lr: float = 0.005
    """Highest learning rate."""
    schedule: train.Schedule = "cosine"
    """How the learning rate falls."""
    crop_scale: tuple[float, float] = (0.35, 1.0)
    """Smallest and largest share of an image that a random window covers."""
    smoke: bool = False
    """Train for a minute on scanned digits instead."""

    def __post_init__(self) -> None:
        """Fills in what --smoke means."""
        if self.smoke:
            small = {"dataset": "digits", "size": 32, "resize": 32, "model": "resnet20"}
            for name, value in {**small, "epochs": 1, "folder": None}.items():
                object.__setattr__(self, name, value)


def with_new_head(
    model: flax.linen.Module, sample: jax.Array, checkpoint: Path, seed: int
) -> tuple[dict[str, Any], str]:
    """The checkpoint's weights with a new head, and a regular expression of the head."""
    fresh = jax.jit(model.init)(jax.random.key(seed), sample)
    own, weights = jaxcnn.to_state_dict(fresh), jaxcnn.read_state_dict(checkpoint)
    differing = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    layers = {name.rpartition(".")[0] for name in differing or [list(own)[-1]]}
    if len(layers) > 1:
        raise ValueError(
            f"finetune: the checkpoint must differ from the model in its head alone, got "
            f"layers={sorted(layers)}; --model names the net that it is of."
        )
    head = rf"^{re.escape(layers.pop())}\."
    return jaxcnn.to_variables(weights, fresh, skip=head), head


def main(settings: Settings) -> train.Evaluation:
    settings.prepare()
    train_set, test_set = settings.load()
    options: dict[str, Any] = {"num_classes": len(train_set.class_names)}
    model = models.create(settings.model, **options)
    sample = settings.to_evaluate(jnp.asarray(train_set.images[:1]))
    checkpoint = settings.checkpoint
    with tempfile.TemporaryDirectory() as temporary:
        if settings.smoke:
            checkpoint = Path(temporary) / "weights.pt"
            other = models.create(settings.model, num_classes=7)
            variables = jax.jit(other.init)(jax.random.key(1), sample)
            jaxcnn.write_state_dict(checkpoint, jaxcnn.to_state_dict(variables))
        if checkpoint is None:
            raise ValueError("finetune: checkpoint must be given, got checkpoint=None.")
        variables, head = with_new_head(model, sample, checkpoint, settings.seed)
    if settings.freeze:
        settings = dataclasses.replace(settings, frozen=f"^(?!{head[1:]})")
    return train.run_experiment(
        f"finetune-{settings.model}-{train_set.name}",
        settings,
        model,
        train_set,
        test_set,
        made_by=(settings.model, options),
        augment=settings.random_window,
        preprocess=settings.to_train,
        evaluation_preprocess=settings.to_evaluate,
        variables=variables,
    )


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Settings, description=__doc__))
