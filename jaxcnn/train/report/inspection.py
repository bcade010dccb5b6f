"""What a trained model's layers have learned and what they see, as pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn import models
from jaxcnn._checks import check, check_int
from jaxcnn.interop import layer_table, read_state_dict, to_variables
from jaxcnn.train.report import figures
from jaxcnn.train.report.read import check_run_folder, read_run
from jaxcnn.train.step import to_float

_WHERE = "write_inspection"
_LAYERS = 8


def write_inspection(path: str | os.PathLike[str], images: int = 4) -> list[Path]:
    """Writes kernels.png and features.png into a finished run's folder.

    The run's config.json says which model made it: `model`, a name that `models.create` knows, and
    `model_options`, its arguments. The images are the first of evaluation.npz, scaled to 0..1; a
    run with another `preprocess` is not shown as it was trained.

    Args:
      path: The run folder.
      images: How many test images to show, at most the 16 that a run keeps.

    Returns:
      The paths of the files.

    Raises:
      FileNotFoundError: If it is no run folder, or has no model.safetensors.
      ValueError: If config.json does not name a model that fits the weights, or there are fewer
        images.
    """
    path = check_run_folder(_WHERE, path)
    check_int(_WHERE, "images", images, 1)
    run = read_run(path)
    settings = run.settings
    fix = 'write "model" and "model_options", the arguments of models.create, into it'
    rule = "config.json must say which model made the run"
    check(isinstance(settings.get("model"), str), _WHERE, rule, fix, keys=sorted(settings))
    options = settings.get("model_options") or {}
    ok = isinstance(options, dict)
    check(ok, _WHERE, "model_options in config.json must be an object", model_options=options)
    whole, kept = run.evaluation is not None, getattr(run.evaluation, "first_images", ())
    rule = "the run must have finished, with a whole evaluation.npz"
    check(whole, _WHERE, rule, problems=run.problems)
    rule = f"images must be at most the {len(kept)} that the run keeps"
    check(images <= len(kept), _WHERE, rule, images=images)

    model = models.create(settings["model"], **options)
    shown = np.asarray(kept)[:images]
    x = to_float(jnp.asarray(shown))
    like = jax.eval_shape(model.init, jax.random.key(0), x)
    weights = read_state_dict(path / "model.safetensors")
    variables = to_variables(weights, like)
    layers = [row.name for row in layer_table(model, x) if row.type == "Conv2d"]
    check(bool(layers), _WHERE, "the model must have a Conv2d", model=settings["model"])
    pictures = {
        "kernels.png": figures.kernels(layers[0], weights[f"{layers[0]}.weight"]),
        "features.png": figures.feature_maps(shown, _maps(model, variables, x, layers)),
    }
    for name, figure in pictures.items():
        figures.save_figure(figure, path / name)
    return [path / name for name in pictures]


def _maps(
    model: flax.linen.Module, variables: dict[str, Any], x: jax.Array, layers: list[str]
) -> dict[str, np.ndarray]:
    """The model's own choice of maps, or those of its convolutions, a few from first to last."""
    names = getattr(model, "feature_names", None) or layers
    chosen = np.unique(np.linspace(0, len(names) - 1, _LAYERS).round().astype(int))
    extractor = models.FeatureExtractor(model, tuple(names[i] for i in chosen))
    return jax.device_get(jax.jit(extractor.apply)(variables, x))
