"""Where plain Flax's and optax's defaults differ from PyTorch's, and jaxcnn does not.

python experiments/semantics.py
    Runs the same few numbers through PyTorch, plain Flax with its defaults and jaxcnn; prints the
    largest differences from PyTorch, and writes semantics.md, semantics.json and semantics.png.
    Half a minute; needs torch.
python experiments/semantics.py --markdown docs/semantics.md
    Writes the page with all differences, their examples and where people met them.
python experiments/semantics.py --smoke
    The same as without.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
import optax
import tyro
from differences import convolution, functions, normalization, training
from differences.common import Difference, Values

import jaxcnn
from jaxcnn import train
from jaxcnn.cli import one_line_errors

HEAD = """\
# Where PyTorch, plain Flax and jaxcnn differ

The same numbers through PyTorch, through plain Flax, jax or optax with the defaults that a port
would leave, and through jaxcnn. Errors are the largest difference from PyTorch in float32; "other
shape" is another number of rows, columns or pixels. jaxcnn's are rounding (of values around 1000 in
one case, of a sample of random numbers where it is the spread of new parameters). Each example
shows PyTorch's line and the line that looks like it. `jaxcnn compare` finds such a difference in a
model: see `jaxcnn.compare`.

Written by `python experiments/semantics.py --markdown docs/semantics.md` with {versions}.
"""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    out: Path = Path("runs/semantics")
    """Folder to write to."""
    markdown: Path | None = None
    """File for the page, instead."""
    smoke: bool = False
    """Takes half a minute anyway."""


def topics() -> dict[str, list[Difference]]:
    """All differences."""
    return {
        "Convolution": convolution.convolution(),
        "Pooling": convolution.pooling(),
        "Resizing": convolution.resizing(),
        "Normalisation": normalization.normalization(),
        "Functions": functions.functions(),
        "Losses": functions.losses(),
        "Optimisers": training.optimizers(),
        "Schedules": training.schedules(),
    }


def error(values: Values, reference: Values) -> float | None:
    """The largest difference; None where the shapes differ."""
    if np.shape(values) != np.shape(reference):
        return None
    wide = np.asarray(values, np.float64) - np.asarray(reference, np.float64)
    return float(np.abs(wide).max())


def measure() -> list[dict[str, Any]]:
    """A row for each difference: `flax` and `jaxcnn` are largest differences from PyTorch."""
    rows = []
    with jax.default_matmul_precision("highest"):
        for topic, differences in topics().items():
            for each in differences:
                reference, flax_values = each.torch(), each.flax()
                row = {"topic": topic, "name": each.name, "explanation": each.explanation}
                row |= {"flax": error(flax_values, reference)}
                row |= {"jaxcnn": error(each.jaxcnn(), reference)}
                row |= {"shapes": [np.shape(reference), np.shape(flax_values)]}
                rows.append(row | {"example": each.example, "thread": each.thread})
    return rows


def as_table(rows: list[dict[str, Any]]) -> str:
    """A table."""
    lines = ["| what | plain Flax | jaxcnn | why |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        lines.append(
            f"| {row['name']} | {shown(row['flax'])} | {shown(row['jaxcnn'])} | "
            f"{row['explanation']} |"
        )
    return "\n".join(lines) + "\n"


def shown(value: float | None) -> str:
    """An error as the tables show it."""
    return "other shape" if value is None else f"{value:.0e}"


def as_page(rows: list[dict[str, Any]]) -> str:
    """The page: every difference with its example and thread."""
    import torch

    versions = (
        f"PyTorch {torch.__version__}, flax {flax.__version__}, optax {optax.__version__}, "
        f"jax {jax.__version__}, jaxcnn {jaxcnn.__version__}, on CPU"
    )
    parts = [HEAD.format(versions=versions)]
    for topic in dict.fromkeys(row["topic"] for row in rows):
        parts.append(f"## {topic}\n")
        parts += [_section(row) for row in rows if row["topic"] == topic]
    return "\n".join(parts)


def _section(row: dict[str, Any]) -> str:
    why = row["explanation"]
    thread = f" Met in {_link(row['thread'])}." if row["thread"] else ""
    return (
        f"### {row['name']}\n\n"
        f"plain Flax **{shown(row['flax'])}**, jaxcnn {shown(row['jaxcnn'])}. "
        f"{why[:1].upper()}{why[1:]}{thread}\n\n"
        "```python\n" + "\n".join(row["example"]).replace("'", '"') + "\n```\n"
    )


def _link(url: str) -> str:
    owner, name, _, number = url.removeprefix("https://github.com/").split("/")
    return f"[{owner}/{name}#{number}]({url})"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of both errors, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.32 * len(rows) + 1.2), layout="constrained")
    axes, places = figure.subplots(), np.arange(len(rows))
    for name, shift, color in (("flax", -0.2, "tab:gray"), ("jaxcnn", 0.2, "tab:blue")):
        # A difference of shape is drawn to the end, none at all is left out.
        errors = [10.0 if row[name] is None else max(row[name], 1e-9) for row in rows]
        label = {"flax": "plain Flax, jax, optax", "jaxcnn": "jaxcnn"}[name]
        axes.barh(places + shift, errors, 0.4, label=label, color=color)
    axes.set_yticks(places, [row["name"] for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1e-9, 10)
    axes.set_xlabel("largest difference from PyTorch (to the right edge: another shape)")
    axes.legend(loc="lower right")
    train.save_figure(figure, path)


def main(settings: Settings) -> None:
    rows = measure()
    print(as_table(rows))
    if settings.markdown is not None:
        settings.markdown.write_text(as_page(rows))
        print(settings.markdown)
        return
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "semantics.json").write_text(json.dumps(rows, indent=1) + "\n")
    (settings.out / "semantics.md").write_text(as_table(rows))
    draw(rows, settings.out / "semantics.png")
    print(settings.out / "semantics.png")


if __name__ == "__main__":
    with one_line_errors():
        main(tyro.cli(Settings, description=__doc__))
