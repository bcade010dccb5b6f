"""A training recipe as settings: optimiser, schedule, augmentation, regularisation."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import optax

from jaxcnn import data, optim
from jaxcnn import functional as F
from jaxcnn._checks import check, check_int
from jaxcnn.train.step import TrainStep, make_train_step, to_float

Optimizer = Literal["sgd", "adam", "adamw", "nadam", "rmsprop"]
Schedule = Literal["constant", "step", "multi_step", "exponential", "cosine", "polynomial"]
Precision = Literal["float32", "bfloat16", "float16"]
NonFinite = Literal["keep", "skip"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train; an experiment's settings inherit from it and change the defaults.

    Each setting is one of the field's standard terms; the defaults are ResNet's for CIFAR-10.

    Source: He et al., 2015 (the defaults).

    Example:
      >>> recipe = Recipe(lr=0.4, schedule="cosine", warmup_epochs=1, epochs=10)
      >>> rate = recipe.learning_rate(steps_per_epoch=100)
      >>> [round(float(rate(step)), 2) for step in (0, 50, 100, 1000)]
      [0.0, 0.2, 0.4, 0.0]
    """

    epochs: int = 164
    """Epochs in all."""
    batch_size: int = 128
    """Images in a step, over all devices."""
    optimizer: Optimizer = "sgd"
    """Update rule, PyTorch's."""
    lr: float = 0.1
    """Highest learning rate."""
    momentum: float = 0.9
    """Of sgd and rmsprop."""
    nesterov: bool = False
    """Of sgd."""
    weight_decay: float = 1e-4
    """Weight decay, coupled or not as the optimiser has it."""
    decay_vectors: bool = True
    """Whether biases and norms decay too, as in PyTorch."""
    no_decay: str | None = None
    """Regular expression of further parameters without decay."""
    layer_decay: float | None = None
    """Factor of the learning rate from one block to the one before it."""
    stem: str | None = None
    """Regular expression of what comes before the blocks, for layer_decay."""
    blocks: str | None = None
    """Regular expression of the blocks with their numbers as groups, for layer_decay."""
    frozen: str | None = None
    """Regular expression of parameters that are not trained; their layers run in evaluation."""
    schedule: Schedule = "multi_step"
    """How the learning rate falls, after the warm-up."""
    warmup_epochs: float = 0
    """Epochs in which the learning rate rises in equal steps."""
    milestones: tuple[float, ...] = (82, 123)
    """Epochs at which multi_step multiplies the rate by gamma."""
    gamma: float = 0.1
    """Factor of step, multi_step and, each epoch, exponential."""
    step_epochs: float = 30
    """Epochs from one change to the next of step."""
    clip_norm: float | None = None
    """Largest norm of the gradient."""
    label_smoothing: float = 0
    """Share of the label that goes to all classes."""
    crop_padding: int = 0
    """Pixels by which images are moved at random."""
    flip: bool = False
    """Whether images are mirrored at random."""
    color_jitter: float = 0
    """Strength of random brightness, contrast and saturation."""
    rand_augment: int = 0
    """Magnitude of RandAugment's two operations, up to 30; 0 for none."""
    random_erasing: float = 0
    """Probability of a painted rectangle."""
    mixup: float = 0
    """Alpha of mixup; 0 for none. With cutmix, each has half of the batches."""
    cutmix: float = 0
    """Alpha of cutmix; 0 for none."""
    precision: Precision = "float32"
    """What layers compute in."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other."""
    ema: float | None = None
    """Decay of the average of the weights, which is then what is evaluated."""
    nonfinite: NonFinite = "keep"
    """Whether steps with a NaN or infinite loss or gradient are skipped; else they end the run."""

    def check(self) -> None:
        """Checks all settings, before anything is loaded or compiled.

        Raises:
          ValueError: If one is out of range.
        """
        where = type(self).__name__
        for name in ("epochs", "batch_size", "accumulate"):
            check_int(where, name, getattr(self, name), 1)
        for name in ("crop_padding", "rand_augment"):
            check_int(where, name, getattr(self, name), 0)
        not_negative = ("lr", "momentum", "weight_decay", "warmup_epochs", "color_jitter")
        for name in (*not_negative, "mixup", "cutmix", "gamma"):
            value = getattr(self, name)
            check(value >= 0, where, f"{name} must not be negative", **{name: value})
        for name in ("label_smoothing", "random_erasing", "ema", "layer_decay"):
            value = getattr(self, name)
            ok = value is None or 0 <= value <= 1
            check(ok, where, f"{name} must be from 0 to 1", **{name: value})
        for name in ("clip_norm", "step_epochs"):
            value = getattr(self, name)
            ok = value is None or value > 0
            check(ok, where, f"{name} must be positive", **{name: value})
        rule = "rand_augment must be at most 30"
        check(self.rand_augment <= 30, where, rule, rand_augment=self.rand_augment)
        choices = {"optimizer": Optimizer, "schedule": Schedule}
        for name, kind in {**choices, "precision": Precision, "nonfinite": NonFinite}.items():
            value, known = getattr(self, name), get_args(kind)
            check(value in known, where, f"{name} must be one of {known}", **{name: value})
        for name in ("no_decay", "stem", "blocks", "frozen"):
            _check_pattern(where, name, getattr(self, name))
        rule = "warmup_epochs must be fewer than epochs"
        fits = self.warmup_epochs < self.epochs
        check(fits, where, rule, warmup_epochs=self.warmup_epochs, epochs=self.epochs)

    def learning_rate(self, steps_per_epoch: int) -> optax.Schedule:
        """The learning rate of each step."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        rest = max(self.epochs * steps_per_epoch - warmup, 1)
        steps = lambda epochs: round(epochs * steps_per_epoch)
        after: dict[str, Callable[[], optax.Schedule]] = {
            "constant": lambda: optim.lambda_lr(self.lr, lambda step: 1.0),
            "step": lambda: optim.step_lr(self.lr, steps(self.step_epochs), self.gamma),
            "multi_step": lambda: optim.multi_step_lr(
                self.lr, [max(steps(m) - warmup, 0) for m in self.milestones], self.gamma
            ),
            "exponential": lambda: optim.exponential_lr(
                self.lr, self.gamma ** (1 / steps_per_epoch)
            ),
            "cosine": lambda: optim.cosine_annealing_lr(self.lr, rest),
            "polynomial": lambda: optim.polynomial_lr(self.lr, rest),
        }
        schedule = after[self.schedule]()
        if not warmup:
            return schedule
        rise = optim.linear_lr(self.lr, 1 / warmup, 1.0, warmup)
        return optim.sequential_lr([rise, schedule], [warmup])

    def make_optimizer(self, steps_per_epoch: int) -> optax.GradientTransformation:
        """The optimiser with its schedule, parameter groups and clipping."""
        make: dict[str, Callable[..., optax.GradientTransformation]] = {
            "sgd": functools.partial(optim.sgd, momentum=self.momentum, nesterov=self.nesterov),
            "adam": optim.adam,
            "adamw": optim.adamw,
            "nadam": optim.nadam,
            "rmsprop": functools.partial(optim.rmsprop, momentum=self.momentum),
        }
        tx = optim.grouped(
            make[self.optimizer],
            lr=self.learning_rate(steps_per_epoch),
            weight_decay=self.weight_decay,
            decay_vectors=self.decay_vectors,
            no_decay=self.no_decay,
            layer_decay=self.layer_decay,
            stem=self.stem,
            blocks=self.blocks,
        )
        return (
            tx if self.clip_norm is None else optax.chain(optim.clip_grad_norm(self.clip_norm), tx)
        )

    def augmentation(self) -> Callable[[jax.Array, jax.Array], jax.Array] | None:
        """The random changes to a batch of images, or None."""
        jitter = self.color_jitter
        functions = (
            (self.crop_padding, functools.partial(data.random_crop, padding=self.crop_padding)),
            (self.flip, data.random_horizontal_flip),
            (jitter, functools.partial(
                data.color_jitter, brightness=jitter, contrast=jitter, saturation=jitter
            )),
            (self.rand_augment, functools.partial(data.rand_augment, magnitude=self.rand_augment)),
            (self.random_erasing, functools.partial(data.random_erasing, p=self.random_erasing)),
        )  # fmt: skip
        wanted = [function for asked, function in functions if asked]
        return data.compose(*wanted) if wanted else None

    def mixing(self, num_classes: int) -> Callable[..., tuple[jax.Array, jax.Array]] | None:
        """Mixup, cutmix or either in turn, or None."""
        alphas = {"mixup_alpha": self.mixup, "cutmix_alpha": self.cutmix}
        if self.mixup and self.cutmix:
            return functools.partial(data.mixup_or_cutmix, num_classes=num_classes, **alphas)
        if self.mixup:
            return functools.partial(data.mixup, num_classes=num_classes, alpha=self.mixup)
        if self.cutmix:
            return functools.partial(data.cutmix, num_classes=num_classes, alpha=self.cutmix)
        return None

    def make_train_step(
        self,
        num_classes: int,
        *,
        loss_fn: Callable[..., jax.Array] = F.cross_entropy,
        preprocess: Callable[[jax.Array], jax.Array] = to_float,
        augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    ) -> TrainStep:
        """The training step; `augment` comes before the recipe's own random changes.

        Args:
          num_classes: Classes of the data set.
          loss_fn: The loss, as `make_train_step` has it, with a `label_smoothing`.
          preprocess: Turns images into the model's input.
          augment: Random changes that the model needs, such as a random resized crop.
        """
        if self.label_smoothing:
            loss_fn = functools.partial(loss_fn, label_smoothing=self.label_smoothing)
        changes = [change for change in (augment, self.augmentation()) if change is not None]
        return make_train_step(
            loss_fn,
            preprocess=preprocess,
            augment=data.compose(*changes) if changes else None,
            mix=self.mixing(num_classes),
            precision=self.precision,
            accumulate=self.accumulate,
            ema=self.ema,
            nonfinite=self.nonfinite,
            frozen=self.frozen,
        )


def _check_pattern(where: str, name: str, pattern: Any) -> None:
    try:
        re.compile(pattern or "")
    except re.error as error:
        rule = f"{name} must be a regular expression ({error})"
        raise ValueError(f"{where}: {rule}, got {name}={pattern!r}.") from error
