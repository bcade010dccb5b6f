"""docs/performance.md and its bar chart, from the figures that the benchmarks wrote.

python experiments/bench/report.py docs
    Reads docs/performance/*.json and writes docs/performance.md and docs/performance/train.png.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import tyro

FILES = ("train", "layers", "input", "startup", "train_gpu")
# Operations a second of dense products by the maker's data sheets; float32 runs in TF32.
PEAKS = {
    "NVIDIA H100": {"bfloat16": 989e12, "float32": 495e12},
    "NVIDIA H200": {"bfloat16": 989e12, "float32": 495e12},
}
INTRODUCTION = """# Performance

jaxcnn against plain flax.linen and PyTorch on the same machine: {machine}.

Contestants run in turn, each in a process of its own, on the same cores; figures are medians.
A ratio is jaxcnn's speed divided by the other's, in one run: over 1, jaxcnn is faster. PyTorch is
the fastest of eager, channels_last and `torch.compile`. Plain Flax is the same net with
flax.linen's own layers and optax. Everything is float32. To measure again, from a checkout with
`pip install torch`:

```bash
jaxcnn bench                # everything; about 40 minutes on two cores
jaxcnn bench --only train   # or train, layers, input, startup
```

`python experiments/bench/train.py --gpu` measures training steps on a GPU.
"""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings."""

    docs: Annotated[Path, tyro.conf.Positional] = Path("docs")
    """Folder of performance.md, with the figures in performance/."""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---", *("---:",) * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def best(found: dict[str, Any], name: str) -> tuple[float, str]:
    """The shortest time of the contestants of this name, and which one it was."""
    return min((v["seconds"], key) for key, v in found.items() if key.startswith(name))


def machine_of(reports: dict[str, Any]) -> str:
    machine = next(iter(reports.values()))["machine"]
    versions = ", ".join(f"{k} {machine[k]}" for k in ("jax", "flax", "torch") if k in machine)
    return f"{machine['processor']}, {machine['cores']} cores, {versions}"


def train_section(results: dict[str, Any]) -> str:
    rows = []
    for case, found in results.items():
        own = found["jaxcnn"]
        torch, which = best(found, "torch")
        memory = own["peak_bytes"] / found[which]["peak_bytes"]
        rows.append(
            (
                case,
                f"{1 / own['seconds']:.2f}",
                f"{1 / torch:.2f} ({which.partition('-')[2]})",
                f"{1 / found['flax']['seconds']:.2f}",
                f"**{torch / own['seconds']:.2f}**",
                f"**{found['flax']['seconds'] / own['seconds']:.2f}**",
                f"{own['seconds'] / found['jaxcnn-step']['seconds']:.2f}",
                f"{memory:.2f}",
            )
        )
    head = (
        "model",
        "jaxcnn, steps/s",
        "PyTorch",
        "Flax",
        "/ PyTorch",
        "/ Flax",
        "scan / plain step",
        "memory / PyTorch",
    )
    return (
        "## Training steps\n\nForward, backward and SGD with momentum. jaxcnn makes several steps "
        "in one dispatch, as `train.fit` does; `scan / plain step` is the time of such a step "
        "against one alone. Memory is the peak of the whole process.\n\n"
        "![Speed of training steps](performance/train.png)\n\n" + table(head, rows)
    )


def layers_section(results: dict[str, Any]) -> str:
    rows = []
    for case, found in results.items():
        (own, _), (torch, _), flax = best(found, "jaxcnn"), best(found, "torch"), found["flax"]
        rows.append(
            (
                case,
                f"{found['jaxcnn']['seconds'] * 1e3:.1f}",
                f"{found['jaxcnn-call']['seconds'] * 1e3:.1f}",
                f"{torch * 1e3:.1f}",
                f"{flax['seconds'] * 1e3:.1f}",
                f"**{torch / own:.2f}**",
                f"**{flax['seconds'] / own:.2f}**",
            )
        )
    head = ("layer", "jaxcnn, ms", "one a call", "PyTorch", "Flax", "/ PyTorch", "/ Flax")
    return (
        "## Layers\n\nForward and gradient of one layer. jaxcnn runs several times in one "
        "dispatch, as `train.fit` does (which costs copies of the input here), and once a call "
        "(with new memory for what it returns). The faster way counts, as with PyTorch's orders "
        "of axes.\n\n" + table(head, rows)
    )


def input_section(results: dict[str, Any]) -> str:
    images = 10_000
    rows = [(name, f"{images / found['seconds']:,.0f}") for name, found in results.items()]
    return (
        "## Input\n\nCIFAR-sized images into a step that does almost nothing, batch 128.\n\n"
        + table(("input", "images/s"), rows)
    )


def startup_section(results: dict[str, Any]) -> str:
    rows = [
        (
            name,
            f"{times['first']:.1f}",
            f"{times['second']:.1f}",
            f"**{times['second'] / times['first']:.2f}**",
        )
        for name, times in results.items()
    ]
    return (
        "## Start\n\nSeconds from the start of the process until the first training steps are "
        "done, with an empty and with a filled compilation cache.\n\n"
        + table(("model", "first start", "second start", "second / first"), rows)
    )


def gpu_section(report: dict[str, Any]) -> str:
    machine, rows = report["machine"], []
    for case, found in report["train"].items():
        size, own = report["sizes"][case], found["jaxcnn"]["seconds"]
        torch, which = best(found, "torch")
        eager = found["torch-eager"]["seconds"]
        speed = lambda seconds, size=size: f"{size['batch'] / seconds:,.0f}"
        # Two operations a multiply-add, forward and twice as many backward.
        work = 6 * size["multiply_adds"] * size["batch"] / own
        peak = next((v for k, v in PEAKS.items() if machine["device"].startswith(k)), None)
        rows.append(
            (
                case,
                speed(own),
                f"{speed(torch)} ({which.partition('-')[2]})",
                speed(eager),
                f"**{torch / own:.2f}**",
                f"**{eager / own:.2f}**",
                f"{work / peak[case.split()[1]]:.1%}" if peak else "",
            )
        )
    head = (
        "model",
        "jaxcnn, images/s",
        "PyTorch",
        "PyTorch eager",
        "/ PyTorch",
        "/ eager",
        "jaxcnn, of the peak",
    )
    versions = ", ".join(f"{k} {machine[k]}" for k in ("jax", "torch") if k in machine)
    return (
        f"## Training steps on a GPU\n\n{machine['device']}, {versions}. Images lie on the card. "
        "float32 is TF32 in convolutions and products on both sides. bfloat16 is "
        '`make_train_step(precision="bfloat16")` and `torch.autocast`. PyTorch is the fastest of '
        "eager, channels_last, compiled in channels_last (with the fused optimiser, `compile`) and "
        "that with CUDA graphs (`graphs`); cuDNN's fastest algorithms are sought "
        "on both sides. The share of the peak counts the convolutions' and linear layers' "
        "operations, against the card's dense rate by its data sheet.\n\n"
        "```bash\npython experiments/bench/train.py --gpu --rounds 3 --seconds 1 "
        "--out docs/performance/train_gpu.json\npython experiments/bench/report.py docs\n```\n\n"
        + table(head, rows)
        + (f"\n\n{report['note']}" if "note" in report else "")
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """A bar for each contestant and model, as a multiple of PyTorch's best."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    places = np.arange(len(results))
    for i, (name, color) in enumerate(
        (("jaxcnn", "tab:blue"), ("torch", "tab:orange"), ("flax", "tab:gray"))
    ):
        speeds = [best(found, "torch")[0] / best(found, name)[0] for found in results.values()]
        label = {"torch": "PyTorch, fastest", "flax": "plain Flax"}.get(name, name)
        bars = axes.bar(places + (i - 1) * 0.27, speeds, 0.27, label=label, color=color)
        axes.bar_label(bars, fmt="%.2f", fontsize=7)
    axes.set_xticks(places, [case.replace("-", "\nbatch ") for case in results], fontsize=8)
    axes.set_ylabel("training steps per second\n(PyTorch = 1)")
    axes.set_yscale("log")
    lowest, highest = axes.get_ylim()
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if lowest < tick < highest]
    axes.set_yticks(ticks, map(str, ticks))
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def write(docs: Path) -> None:
    """Writes the page and the chart from what figures there are."""
    folder = docs / "performance"
    reports = {
        name: json.loads((folder / f"{name}.json").read_text())
        for name in FILES
        if (folder / f"{name}.json").exists()
    }
    sections = {
        "train": train_section,
        "layers": layers_section,
        "input": input_section,
        "startup": startup_section,
    }
    parts = [INTRODUCTION.format(machine=machine_of(reports))]
    parts += [
        sections[name](report[name]) + "\n" for name, report in reports.items() if name in sections
    ]
    if "train_gpu" in reports:
        parts.append(gpu_section(reports["train_gpu"]) + "\n")
    (docs / "performance.md").write_text("\n".join(parts))
    if "train" in reports:
        draw(reports["train"]["train"], folder / "train.png")


def main(settings: Settings) -> None:
    write(settings.docs)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
