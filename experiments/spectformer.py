"""SpectFormer: any variant, on any folder of images or data set.

python experiments/spectformer.py --folder PHOTOS
    The hierarchical small model with the published recipe: AdamW, cosine with warm-up,
    RandAugment, mixup and cutmix, 310 epochs.
python experiments/spectformer.py --folder PHOTOS --token-label
    With a second loss that gives every place of the last feature map its image's label.
python experiments/spectformer.py --dataset imagenet2012 --variant spectformer_h_b
    ImageNet, from its archives (see `jaxcnn.data.load`).
python experiments/spectformer.py --smoke
    A minute: a small variant on scanned digits, to see that everything works.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import tyro

from jaxcnn import functional as F
from jaxcnn import models, train
from jaxcnn.cli import one_line_errors
from jaxcnn.models.families.spectformer import token_label_loss

_HIERARCHICAL = ("spectformer_h_s", "spectformer_h_b", "spectformer_h_l")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(train.PhotographSettings):
    """Settings; the defaults are the published recipe."""

    variant: Literal[
        "spectformer_h_s", "spectformer_h_b", "spectformer_h_l",
        "spectformer_t", "spectformer_xs", "spectformer_s", "spectformer_b",
    ] = "spectformer_h_s"  # fmt: skip
    """Which net."""
    token_label: bool = False
    """Whether every place of the last feature map learns the label too; not with mixup, cutmix."""
    epochs: int = 310
    """Epochs in all."""
    batch_size: int = 1024
    """Images in a step, over all devices."""
    optimizer: train.Optimizer = "adamw"
    """Update rule, PyTorch's."""
    lr: float = 1e-3
    """Highest learning rate; 0.0005 for 512 images in a step."""
    weight_decay: float = 0.05
    """Weight decay."""
    decay_vectors: bool = False
    """Whether biases and norms decay too."""
    schedule: train.Schedule = "cosine"
    """How the learning rate falls."""
    warmup_epochs: float = 5
    """Epochs in which the learning rate rises."""
    color_jitter: float = 0.4
    """Strength of random brightness, contrast and saturation."""
    rand_augment: int = 9
    """Magnitude of RandAugment's two operations."""
    random_erasing: float = 0.25
    """Probability of a painted rectangle."""
    label_smoothing: float = 0.1
    """Share of the label that goes to all classes."""
    mixup: float | None = None
    """Alpha of mixup; 0.8, or 0 with token labels."""
    cutmix: float | None = None
    """Alpha of cutmix; 1, or 0 with token labels."""
    smoke: bool = False
    """Train for a minute on scanned digits instead."""

    def __post_init__(self) -> None:
        """Fills in what depends on other settings."""
        changes: dict[str, Any] = {}
        if self.mixup is None:
            changes["mixup"] = 0 if self.token_label else 0.8
        if self.cutmix is None:
            changes["cutmix"] = 0 if self.token_label else 1.0
        if self.smoke:
            changes |= {"dataset": "digits", "folder": None, "epochs": 1, "warmup_epochs": 0}
            changes |= {"size": 32, "resize": 32, "batch_size": 32}
            changes |= {"rand_augment": 0, "color_jitter": 0}  # these take long to compile
            changes |= {} if self.token_label else {"variant": "spectformer_t"}
        for name, value in changes.items():
            object.__setattr__(self, name, value)

    def options(self, classes: int) -> dict[str, Any]:
        """The arguments of `models.create`."""
        options: dict[str, Any] = {"num_classes": classes, "img_size": self.size}
        if self.variant in _HIERARCHICAL:
            options["token_label"] = self.token_label
        elif self.token_label:
            raise ValueError(
                f"spectformer: token_label is for the hierarchical variants, got "
                f"variant={self.variant!r}."
            )
        if self.smoke:
            options |= {"depths": (1, 1, 1, 1)} if self.variant in _HIERARCHICAL else {"depth": 5}
        return options


def token_loss(
    outputs: Any, labels: jax.Array, label_smoothing: float = 0, reduction: str = "mean"
) -> jax.Array:
    """Cross entropy; in training with that of the tokens, all of which have the image's label."""
    if not isinstance(outputs, tuple):
        return F.cross_entropy(outputs, labels, reduction=reduction)
    classes = outputs[0].shape[-1]
    target = jax.nn.one_hot(labels, classes) * (1 - label_smoothing) + label_smoothing / classes
    return token_label_loss(outputs, target)


def main(settings: Settings) -> train.Evaluation:
    settings.prepare()
    train_set, test_set = settings.load()
    if settings.smoke:
        train_set, test_set = train_set.take(512), test_set.take(128)
    options = settings.options(len(train_set.class_names))
    return train.run_experiment(
        f"{settings.variant}-{train_set.name}",
        settings,
        models.create(settings.variant, **options),
        train_set,
        test_set,
        made_by=(settings.variant, options),
        loss_fn=token_loss if settings.token_label else F.cross_entropy,
        augment=settings.random_window,
        preprocess=settings.to_train,
        evaluation_preprocess=settings.to_evaluate,
    )


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Settings, description=__doc__))
