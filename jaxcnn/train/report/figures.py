"""The pictures, drawn without a display and without matplotlib's global state."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.train.checkpoint import Row
from jaxcnn.train.evaluation import Evaluation
from jaxcnn.train.report.histograms import Histograms
from jaxcnn.train.report.saved_evaluation import SavedEvaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RIGHT, _WRONG = "tab:green", "tab:red"
_NAMED_CLASSES = 20
# Okabe and Ito's colours for every kind of sight, but black and yellow, which vanish on a page.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", "dashed", "dotted")


def save_figure(figure: Figure, path: Path) -> None:
    """Draws a figure without a display and without matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120)


def svg(figure: Figure) -> bytes:
    """A figure as an SVG file without a background."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    # Here, because the first training step need not wait for it.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain(text: str, longest: int = 24) -> str:
    r"""A name as a label: cut if long, and no formula, which matplotlib sees between dollars.

    Example:
      >>> print(plain("the class of all prices in $"), plain("$"))
      the class of all prices… \$
    """
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return text.replace("$", r"\$")


def line_style(index: int) -> tuple[str, str]:
    """Colour and dash of the line with this number; CSS has the same names for both."""
    return _COLORS[index % len(_COLORS)], _DASHES[index // len(_COLORS) % len(_DASHES)]


def curves(history: Sequence[Row]) -> Figure:
    """Loss and accuracy of one run, those of training and test together."""
    figure = new_figure(9, 3.6)
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


def compared_curves(
    metric: str, lines: Mapping[int, tuple[Sequence[float], Sequence[float]]]
) -> Figure:
    """One metric of several runs.

    Args:
      metric: What the axis says.
      lines: Epochs and values of each run by its number, which stands at the end of its line.
    """
    figure = new_figure(4, 2.6)
    axes: Any = figure.subplots()
    for index, (epochs, values) in lines.items():
        color, dash = line_style(index)
        axes.plot(epochs, values, color=color, linestyle=dash, marker="o", markersize=3)
        place = {"xytext": (5, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
        end = (epochs[-1], values[-1])
        if len(lines) > 1 and math.isfinite(values[-1]):
            axes.annotate(str(index + 1), end, color=color, **place)
    axes.set(xlabel="epoch", ylabel=plain(metric))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    return figure


def confusion(result: Evaluation, class_names: Sequence[str], title: str) -> Figure:
    """The share of each true class that each class was predicted for; counts if they fit."""
    classes = len(class_names)
    counts = result.confusion(classes)
    side = max(4.5, 0.55 * classes) if classes <= _NAMED_CLASSES else 7.0
    figure = new_figure(side + 1, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, label="share of the true class")
    if classes <= _NAMED_CLASSES:
        names = [plain(name) for name in class_names]
        axes.set_xticks(range(classes), names, rotation=45, ha="right")
        axes.set_yticks(range(classes), names)
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            count = str(counts[row, column])
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=8)
    title = f"{plain(title, longest=48)}: accuracy {result.accuracy:.2%}"
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    return figure


def predictions(saved: SavedEvaluation, columns: int = 8) -> Figure:
    """The first images, and below them the mistakes with the highest loss."""
    shown = 2 * columns
    first = saved.first_images[:shown]
    parts = {
        "first test images": (range(len(first)), first),
        "worst mistakes": (saved.mistakes[:shown], saved.mistake_images[:shown]),
    }
    rows = [max(1, math.ceil(len(images) / columns)) for _, images in parts.values()]
    figure = new_figure(1.35 * columns, 1.9 * sum(rows) + 0.8)
    subfigures: Any = figure.subfigures(len(rows), 1, height_ratios=[n + 0.2 for n in rows])
    for subfigure, count, (title, part) in zip(subfigures, rows, parts.items(), strict=True):
        subfigure.suptitle(title)
        grid = subfigure.subplots(count, columns, squeeze=False)
        for axes in grid.flat:
            axes.axis("off")
        for axes, index, image in zip(grid.flat, *part, strict=False):
            axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray")
            _caption(axes, saved, int(index))
    return figure


def _caption(axes: Any, saved: SavedEvaluation, index: int) -> None:
    predicted = saved.class_names[saved.result.predictions[index]]
    true = saved.class_names[saved.result.labels[index]]
    right = predicted == true
    text = plain(predicted if right else f"{predicted}, not {true}", longest=48)
    color = _RIGHT if right else _WRONG
    axes.set_title("\n".join(textwrap.wrap(text, 16)), fontsize=8, color=color)


def histograms(quantity: str, layers: Histograms) -> Figure:
    """One row for each layer, with its smallest and largest value at the ends."""
    rows = len(layers.names)
    figure = new_figure(4, 0.4 * rows + 0.5)
    axes = figure.subplots()
    edges = np.linspace(0, 1, layers.counts.shape[1] + 1)
    for row in range(rows):
        heights = layers.counts[row] / max(1, layers.counts[row].max())
        axes.stairs(row - 0.7 * heights, edges, baseline=row, fill=True, color=_COLORS[0])
        low, high = layers.ranges[row]
        zeros, broken = layers.zeros[row], layers.nonfinite[row]
        notes = [f"{zeros:.0%} zeros"] if zeros >= 0.005 else []
        notes += [f"{broken:.0%} not finite"] if broken > 0 else []
        for x, side, text in ((0, "left", f"{low:.2g}"), (1, "right", f"{high:.2g}")):
            axes.text(x, row + 0.03, text, ha=side, va="top", fontsize=7.5)
        axes.text(0.5, row + 0.03, ", ".join(notes), ha="center", va="top", fontsize=7.5)
    axes.set_yticks(range(rows), [plain(name) for name in layers.names], fontsize=8)
    axes.set(xticks=[], xlim=(0, 1), ylim=(rows - 0.5, -0.9), xlabel=quantity)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def kernels(name: str, weight: np.ndarray) -> Figure:
    """The kernels of a layer, `(out, in, kh, kw)`: in colour if they see three channels."""
    largest = float(np.max(np.abs(weight))) or 1.0
    color = weight.shape[1] == 3
    if color:
        tiles = np.moveaxis(weight, 1, -1) / (2 * largest) + 0.5
    else:
        tiles = weight.reshape(-1, *weight.shape[2:])
    tiles = tiles[:64]
    columns = min(len(tiles), 8)
    figure = new_figure(0.75 * columns + 1.2, 0.75 * math.ceil(len(tiles) / columns) + 0.6)
    axes = figure.subplots()
    picture = axes.imshow(mosaic(tiles, columns), cmap="RdBu_r", vmin=-largest, vmax=largest)
    if not color:
        figure.colorbar(picture, label="weight")
    axes.set_title(plain(f"kernels of {name}", longest=48), fontsize=9)
    axes.axis("off")
    return figure


def feature_maps(images: np.ndarray, maps: Mapping[str, np.ndarray], columns: int = 6) -> Figure:
    """For each layer the first channels' maps, a row for each image.

    Args:
      images: uint8 `(n, h, w, c)`.
      maps: `(n, h, w, c)` of each layer by name.
      columns: The most channels to show.
    """
    count = len(images)
    figure = new_figure(0.8 * columns, (0.8 * count + 0.3) * (len(maps) + 1))
    grid = figure.subplots(len(maps) + 1, 1, squeeze=False)[:, 0]
    tiles = images[..., 0] if images.shape[-1] != 3 else images
    blank = np.full((count, columns, *tiles.shape[1:]), np.nan)
    blank[:, 0] = tiles / 255
    titles = ["images"]
    blocks = [blank]
    for name, values in maps.items():
        channels = min(columns, values.shape[-1])
        low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
        scaled = (values - low) / np.where(high > low, high - low, 1)
        block = np.full((count, columns, *values.shape[1:3]), np.nan)
        block[:, :channels] = np.moveaxis(scaled[..., :channels], -1, 1)
        blocks.append(block)
        titles.append(f"{name}: {channels} of {values.shape[-1]} channels")
    for axes, block, title in zip(grid, blocks, titles, strict=True):
        cmap = "gray" if block is blank else "viridis"
        tiles = mosaic(block.reshape(-1, *block.shape[2:]), columns)
        axes.imshow(np.ma.masked_invalid(tiles), cmap=cmap, vmin=0, vmax=1)
        axes.set_title(plain(title, longest=48), fontsize=10, loc="left")
        axes.axis("off")
    return figure


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles `(n, h, w, ...)` side by side, `columns` a row, with a line of NaN between them.

    Example:
      >>> mosaic(np.ones((3, 2, 2)), columns=2).shape
      (5, 5)
    """
    rows = math.ceil(len(tiles) / columns)
    height, width = tiles.shape[1] + 1, tiles.shape[2] + 1
    whole = np.full((rows * height, columns * width, *tiles.shape[3:]), np.nan)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        whole[top : top + height - 1, left : left + width - 1] = tile
    return whole[:-1, :-1]
