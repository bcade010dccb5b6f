r"""ResNet-50 on ImageNet, by the recipe that PyTorch published.

python experiments/imagenet.py --raw-dir ARCHIVES --workers 8
    90 epochs of 1.28 million images. In PyTorch the recipe reached 76.1 % of the validation images,
    with windows cut out of whole photographs; here they come out of the middle 256 x 256 pixels,
    and it has not been run to its end. ARCHIVES holds ILSVRC2012_img_train.tar,
    ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz; images are read from where they lie.
    A batch is shared by all devices of all processes (docs/scaling.md).
python experiments/imagenet.py --raw-dir ARCHIVES --precision bfloat16 --batch-size 1024 --lr 0.4 \
        --warmup-epochs 5
    Larger batches on an accelerator: the rate grows with them.
python experiments/imagenet.py --smoke
    A minute: a smaller net on scanned digits, to see that everything works.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tyro

from jaxcnn import models, train
from jaxcnn.cli import one_line_errors


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(train.PhotographSettings):
    """Settings; the defaults are the published recipe."""

    model: str = "resnet50"
    """Which net; `jaxcnn models` lists them."""
    dataset: str | None = "imagenet2012"
    """Name of a data set; --folder FOLDER --dataset None reads a folder instead."""
    epochs: int = 90
    """Epochs in all."""
    batch_size: int = 256
    """Images in a step, over all devices."""
    schedule: train.Schedule = "step"
    """How the learning rate falls: a tenth every 30 epochs."""
    smoke: bool = False
    """Train for a minute on scanned digits instead."""

    def __post_init__(self) -> None:
        """Fills in what --smoke means."""
        if self.smoke:
            small: dict[str, Any] = {"dataset": "digits", "size": 64, "resize": 72, "epochs": 1}
            for name, value in {**small, "model": "squeezenet1_1", "batch_size": 32}.items():
                object.__setattr__(self, name, value)


def main(settings: Settings) -> train.Evaluation:
    settings.prepare()
    train_set, test_set = settings.load()
    if settings.smoke:
        train_set, test_set = train_set.take(256), test_set.take(64)
    options: dict[str, Any] = {"num_classes": len(train_set.class_names)}
    return train.run_experiment(
        f"{settings.model}-{train_set.name}",
        settings,
        models.create(settings.model, **options),
        train_set,
        test_set,
        made_by=(settings.model, options),
        augment=settings.random_window,
        preprocess=settings.to_train,
        evaluation_preprocess=settings.to_evaluate,
    )


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Settings, description=__doc__))
