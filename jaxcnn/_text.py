"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]], right: Iterable[int] = ()) -> str:
    """Rows of cells as aligned columns; integers get thousands separators.

    Args:
      rows: The cells of each row.
      right: Columns whose cells end, instead of start, at the same place.

    Example:
      >>> print(columns([("layer", "size"), ("fc", 1200)], right=[1]))
      layer   size
      fc     1,200
    """
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    align = [">" if i in set(right) else "<" for i in range(len(widths))]
    return "\n".join(
        "  ".join(f"{t:{a}{w}}" for t, a, w in zip(row, align, widths, strict=True)).rstrip()
        for row in texts
    )
