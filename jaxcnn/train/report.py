"""What a run leaves to look at: pictures, weights and one table."""

from __future__ import annotations

import math
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.data import ImageDataset
from jaxcnn.interop import to_state_dict, write_state_dict
from jaxcnn.train.checkpoint import Row
from jaxcnn.train.evaluation import Evaluation, Evaluator
from jaxcnn.train.run import RunFolder
from jaxcnn.train.state import TrainState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "tab:green", "tab:red"


def write_report(
    path: Path,
    state: TrainState,
    history: Sequence[Row],
    dataset: ImageDataset,
    result: Evaluation,
) -> list[Path]:
    """Writes curves.png, confusion.png, predictions.png and model.safetensors into a run folder.

    Args:
      path: The run folder.
      state: The trained state; its weights are written under PyTorch's names.
      history: The rows that `fit` returned.
      dataset: The test images.
      result: The evaluation of `state` on `dataset`.

    Returns:
      The paths of the files.
    """
    figures = {
        "curves.png": _curves(history),
        "confusion.png": _confusion(dataset, result),
        "predictions.png": _predictions(dataset, result),
    }
    for name, figure in figures.items():
        save_figure(figure, path / name)
    weights = path / "model.safetensors"
    write_state_dict(weights, to_state_dict(state.variables))
    return [*(path / name for name in figures), weights]


def print_epoch(row: Row) -> None:
    """Prints one row of metrics as one line.

    Example:
      >>> row = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.9, "seconds": 2.0}
      >>> print_epoch({**row, "compile_seconds": 3.2})
      epoch   1   train loss 0.5000   train accuracy 90.00%   2.0 s   (compiled in 3.2 s)
    """
    parts = [f"epoch {row['epoch']:>3}"]
    for part in ("train", "test"):
        if f"{part}_loss" in row:
            parts.append(f"{part} loss {row[f'{part}_loss']:.4f}")
            parts.append(f"{part} accuracy {row[f'{part}_accuracy']:.2%}")
    parts.append(f"{row['seconds']:.1f} s")
    if row.get("compile_seconds"):
        parts.append(f"(compiled in {row['compile_seconds']:.1f} s)")
    print("   ".join(parts), flush=True)


def finish(
    run: RunFolder,
    state: TrainState,
    history: Sequence[Row],
    dataset: ImageDataset,
    evaluate: Evaluator,
    started: float,
) -> Evaluation:
    """Evaluates, writes the report and prints one table and the paths of the pictures.

    Args:
      run: The run's folder.
      state: The trained state.
      history: The rows that `fit` returned.
      dataset: The test images.
      evaluate: The evaluator.
      started: `time.perf_counter()` at the start of the program.
    """
    result = evaluate(state, dataset)
    files = write_report(run.path, state, history, dataset, result)
    last = history[-1]
    devices = evaluate.devices
    rows = {
        "data": f"{dataset.name}, {len(dataset):,} test images",
        "epochs": f"{last['epoch']} ({last['step']:,} steps)",
        "train loss": f"{last['train_loss']:.4f}",
        "train accuracy": f"{last['train_accuracy']:.2%}",
        "test loss": f"{result.loss:.4f}",
        "test accuracy": f"{result.accuracy:.2%}",
        "speed": f"{last['images_per_second']:,.0f} images/s in the last epoch",
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "compilation": f"{sum(row.get('compile_seconds', 0) for row in history):.1f} s",
        "time": f"{time.perf_counter() - started:.1f} s in all",
    }
    print("\n" + format_table(rows) + "\n")
    print("\n".join(str(file) for file in files))
    return result


def save_figure(figure: Figure, path: Path) -> None:
    """Draws a figure without a display and without matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120)


def format_table(rows: Mapping[str, Any]) -> str:
    """Two aligned columns.

    Example:
      >>> print(format_table({"epochs": 2, "test accuracy": "98.3 %"}))
      epochs         2
      test accuracy  98.3 %
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())


def _figure(width: float, height: float) -> Figure:
    # Here, because the first training step need not wait for it.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _curves(history: Sequence[Row]) -> Figure:
    figure = _figure(9, 3.6)
    epochs = [row["epoch"] for row in history]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part in ("train", "test"):
            values = [row.get(f"{part}_{quantity}") for row in history]
            if None not in values:
                axes.plot(epochs, values, marker="o", markersize=3, label=part)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def _confusion(dataset: ImageDataset, result: Evaluation) -> Figure:
    names = dataset.class_names
    counts = result.confusion(len(names))
    side = max(4.5, 0.55 * len(names))
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the true class")
    if len(names) <= 20:
        ticks = range(len(names))
        axes.set_xticks(ticks, names, rotation=45, ha="right")
        axes.set_yticks(ticks, names)
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            count = str(counts[row, column])
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=8)
    title = f"{dataset.name} {dataset.split}: accuracy {result.accuracy:.2%}"
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    return figure


def _predictions(dataset: ImageDataset, result: Evaluation, columns: int = 8) -> Figure:
    """The first images, and below them the mistakes that the model was surest of."""
    first = np.arange(min(2 * columns, len(dataset)))
    mistakes = np.flatnonzero(result.predictions != result.labels)
    worst = mistakes[np.argsort(-result.confidences[mistakes], kind="stable")][: 2 * columns]
    shown = {"first test images": first, "surest mistakes": worst}
    rows = [max(1, math.ceil(len(indices) / columns)) for indices in shown.values()]
    figure = _figure(1.35 * columns, 1.9 * sum(rows) + 0.8)
    parts: Any = figure.subfigures(len(rows), 1, height_ratios=[n + 0.2 for n in rows])
    for part, count, (title, indices) in zip(parts, rows, shown.items(), strict=True):
        part.suptitle(title)
        grid = part.subplots(count, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, index in zip(grid.flat, indices, strict=False):
            image = dataset.images[index]
            axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray")
            _caption(axes, dataset, result, int(index))
    return figure


def _caption(axes: Any, dataset: ImageDataset, result: Evaluation, index: int) -> None:
    predicted = dataset.class_names[result.predictions[index]]
    true = dataset.class_names[result.labels[index]]
    right = predicted == true
    text = predicted if right else f"{predicted}, not {true}"
    color = _RIGHT if right else _WRONG
    axes.set_title("\n".join(textwrap.wrap(text, 16)), fontsize=8, color=color)
