"""The end of a run: its files, and one table in the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxcnn.data import Dataset
from jaxcnn.interop import to_state_dict, write_state_dict
from jaxcnn.train.checkpoint import Row
from jaxcnn.train.distributed import is_main_process
from jaxcnn.train.evaluation import Evaluation, Evaluator
from jaxcnn.train.report import figures
from jaxcnn.train.report.saved_evaluation import SavedEvaluation
from jaxcnn.train.run import RunFolder
from jaxcnn.train.state import TrainState


def write_report(
    path: Path,
    state: TrainState,
    history: Sequence[Row],
    dataset: Dataset,
    result: Evaluation,
) -> list[Path]:
    """Writes pictures, weights and the answers to every test image into a run folder.

    Pictures are curves.png, confusion.png and predictions.png, weights model.safetensors. From
    evaluation.npz `write_html_report` makes its page.

    Args:
      path: The run folder.
      state: The trained state; its weights are written under PyTorch's names.
      history: The rows that `fit` returned.
      dataset: The test images.
      result: The evaluation of `state` on `dataset`.

    Returns:
      The paths of the files.
    """
    # What cannot be made again comes first.
    weights, evaluation = path / "model.safetensors", path / "evaluation.npz"
    write_state_dict(weights, to_state_dict(state.variables))
    saved = SavedEvaluation.of(dataset, result)
    saved.write(evaluation)
    pictures = {
        "curves.png": figures.curves(history),
        "confusion.png": figures.confusion(result, saved.class_names, saved.title),
        "predictions.png": figures.predictions(saved),
    }
    for name, figure in pictures.items():
        figures.save_figure(figure, path / name)
    return [*(path / name for name in pictures), weights, evaluation]


def print_epoch(row: Row) -> None:
    """Prints one row of metrics as one line; of several processes the main one does.

    Example:
      >>> row = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.9, "seconds": 2.0}
      >>> print_epoch({**row, "compile_seconds": 3.2})
      epoch   1   train loss 0.5000   train accuracy 90.00%   2.0 s   (compiled in 3.2 s)
    """
    if not is_main_process():
        return
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
    dataset: Dataset,
    evaluate: Evaluator,
    started: float,
) -> Evaluation:
    """Evaluates, writes the report and prints one table and the paths of the files.

    Of several processes, all of which must call it, the main one writes and prints.

    Args:
      run: The run's folder.
      state: The trained state; its averaged weights count, if there are any.
      history: The rows that `fit` returned.
      dataset: The test images.
      evaluate: The evaluator.
      started: `time.perf_counter()` at the start of the program.
    """
    state = state.averaged
    result = evaluate(state, dataset)
    if not is_main_process():
        return result
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


def format_table(rows: Mapping[str, Any]) -> str:
    """Two aligned columns.

    Example:
      >>> print(format_table({"epochs": 2, "test accuracy": "98.3 %"}))
      epochs         2
      test accuracy  98.3 %
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
