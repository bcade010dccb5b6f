"""The commands `jaxcnn report` and `jaxcnn inspect-run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def report(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path = Path("report.html")
) -> None:
    """Write one page that shows and compares runs. It needs no network and no other file.

    Args:
      runs: Run folders.
      out: The page; replaced if it exists.
    """
    from jaxcnn.train.report.page import write_html_report

    print(write_html_report(runs, out))


def inspect_run(run: Annotated[Path, tyro.conf.Positional], images: int = 4) -> None:
    """Draw a finished run's first-layer kernels and feature maps into its folder.

    Args:
      run: The run folder.
      images: How many of the first test images to show, at most 16.
    """
    from jaxcnn.train.report.inspection import write_inspection

    print(*write_inspection(run, images), sep="\n")
