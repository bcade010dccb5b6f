"""Runs the table and writes docs/parity.md and docs/parity.json: what `jaxcnn parity` does."""

from __future__ import annotations

import concurrent.futures
import json
import multiprocessing
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import tqdm

import jaxcnn

from .entry import CHECKS
from .harness import Measured, Report, run
from .sample import forget, samples
from .table import ENTRIES

# Samples that one process takes at a time: neighbours share compiled programs.
PORTION = 96
HEADER = """# Parity with PyTorch

`jaxcnn parity` runs PyTorch's own operator test database (OpInfo) through both libraries, on the
same samples, in PyTorch's layout, and writes this page; `parity.json` holds the same figures.

Made with PyTorch {torch}, jax {jax}, jaxcnn {jaxcnn} on {machine}: {samples} float32 samples of
{functions} functions. {verdict}

Each cell is the largest error over all samples: of outputs |a - e| / max(1, |e|), of gradients
|a - e| / max|e|, against PyTorch on the same processor at highest matmul precision; "-" means that
no sample has one. Every sample must be within torch.testing's tolerance of its type, gradients
scaled by their largest entry. *jit* is output under `jax.jit`; *vmap* two samples at once against
one after the other; *float64* output and gradient; *float16* and *bfloat16* the output against
PyTorch's float32 on the rounded inputs. *errors* counts samples of wrong input that raise
`ValueError` or `TypeError` with a message in jaxcnn's form.

"""


def measure(ids: Sequence[str], most: int | None = None, processes: int | None = None) -> Any:
    """Runs entries of the table side by side in several processes.

    Args:
      ids: Entries of the table.
      most: How many samples of each; all if None.
      processes: How many; one for each processor if None.

    Returns:
      `{id: {check: Measured}}`, in the table's order.
    """
    work = [(id, at) for id in ids for at in _portions(id, most)]
    reports: dict[str, Report] = {id: {check: Measured() for check in CHECKS} for id in ids}
    spawn = multiprocessing.get_context("spawn")  # forking a process that runs JAX may hang
    with concurrent.futures.ProcessPoolExecutor(processes or os.cpu_count(), spawn) as pool:
        for id, report in tqdm.tqdm(pool.map(_run, work), total=len(work), unit="portion"):
            for check, measured in report.items():
                reports[id][check].add(measured)
    return reports


def _portions(id: str, most: int | None) -> Iterator[range]:
    count = min(len(samples(ENTRIES[id], "float32")), most or 10**9)
    return (range(i, min(i + PORTION, count)) for i in range(0, max(count, 1), PORTION))


def _run(work: tuple[str, range]) -> tuple[str, Report]:
    id, at = work
    checks = CHECKS if at.start == 0 else [check for check in CHECKS if check != "errors"]
    report = run(ENTRIES[id], checks=checks, at=at)
    forget()
    return id, report


def failures(reports: dict[str, Report]) -> list[str]:
    """One line for each check that a sample failed."""
    return [line for r in reports.values() for m in r.values() for line in m.failures]


def write(reports: dict[str, Report], folder: Path) -> None:
    """Writes parity.md and parity.json."""
    import torch

    total = sum(report["forward"].samples for report in reports.values())
    failed = failures(reports)
    made_with = {
        "torch": torch.__version__,
        "jax": jax.__version__,
        "jaxcnn": jaxcnn.__version__,
        "machine": f"{jax.default_backend().upper()}, {platform.machine()}",
        "samples": total,
        "functions": len(reports),
    }
    folder.mkdir(parents=True, exist_ok=True)
    rows = {id: {check: vars(m) for check, m in report.items()} for id, report in reports.items()}
    data = {"made with": made_with, "functions": rows}
    (folder / "parity.json").write_text(json.dumps(data, indent=1) + "\n")
    verdict = f"{len(failed)} checks failed." if failed else "All of them pass every check."
    text = HEADER.format(**made_with, verdict=verdict) + _table(reports) + _left_out(reports)
    if failed:
        text += "\n## Failures\n\n" + "".join(f"- `{line}`\n" for line in failed)
    (folder / "parity.md").write_text(text)


def _table(reports: dict[str, Report]) -> str:
    checks = [check for check in CHECKS if check != "errors"]
    lines = ["function", "samples", *checks, "errors"]
    text = f"| {' | '.join(lines)} |\n|{'---|' * len(lines)}\n"
    for id, report in reports.items():
        cells = [_cell(report[check]) for check in checks]
        errors = report["errors"]
        refused = errors.samples - len(errors.failures)
        cells.append(f"{refused} of {errors.samples}" if errors.samples else "-")
        text += f"| {id} | {report['forward'].samples} | {' | '.join(cells)} |\n"
    return text


def _cell(measured: Measured) -> str:
    if measured.failures:
        return f"**{len(measured.failures)} failed**"
    return f"{measured.largest:.0e}" if measured.samples else "-"


def _left_out(reports: dict[str, Report]) -> str:
    """The skip list, one row for each reason."""
    rows: dict[tuple[str, str], dict[str, int]] = {}
    for id, report in reports.items():
        for check, measured in report.items():
            for reason, count in measured.skipped.items():
                rows.setdefault((id, reason), {})[check] = count
    text = "\n## Left out\n\n| function | samples | checks | reason |\n|---|---|---|---|\n"
    for (id, reason), counts in rows.items():
        checks = "all" if len(counts) >= len(CHECKS) - 1 else ", ".join(counts)
        text += f"| {id} | {max(counts.values())} | {checks} | {reason} |\n"
    if not rows:
        text += "| - | 0 | - | nothing |\n"
    loose = [f"- {e.id}: {dict(e.tolerances)}: {e.why}\n" for e in ENTRIES.values() if e.tolerances]
    if loose:
        text += "\n## Other tolerances (rtol, atol)\n\n" + "".join(loose)
    return text
