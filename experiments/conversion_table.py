"""What `conversion.py` measures of an architecture, as a line and as a page."""

from __future__ import annotations

import dataclasses

from conversion_models import KINDS, NO_STEP, PIXELS_OF_A_STEP, REASONS, SIZES

# Relative L2 errors that are allowed, in float32 and float64. In float32 ten times PyTorch's own
# error is too, where that is larger.
FLOAT32, FLOAT64 = 1e-5, 1e-9


@dataclasses.dataclass
class Row:
    """What was measured of one architecture.

    Attributes:
      name: "timm:resnet18".
      pixels: Height and width of the images.
      convert: Seconds that the conversion took.
      layout_changes: How often an image's data moves between channels first and last.
      any_size: Whether the converted model takes images of other sizes.
      evaluation: Relative error of the output in evaluation.
      output: Relative error of the output of a training step.
      gradient: Of all gradients together.
      statistics: Of all running statistics together.
      allowed: {name of an error: what is allowed}, where it is not 1e-5.
      failure: Why it failed, if it did.
    """

    name: str
    pixels: int = 0
    convert: float = 0.0
    layout_changes: int = 0
    any_size: bool = False
    evaluation: float | None = None
    output: float | None = None
    gradient: float | None = None
    statistics: float | None = None
    allowed: dict[str, float] = dataclasses.field(default_factory=dict)
    failure: str = ""

    def fits(self, *names: str) -> bool:
        """Whether these errors were measured and are not larger than allowed."""
        errors = {name: getattr(self, name) for name in names}
        return all(
            error is not None and error <= self.allowed.get(name, FLOAT32)
            for name, error in errors.items()
        )

    def complete(self, train: bool) -> bool:
        """Whether all was measured."""
        trained = not train or self.output is not None or not self.has_step
        return self.evaluation is not None and trained

    @property
    def has_step(self) -> bool:
        """Whether its training step is compared: not of a hybrid, nor where memory is short."""
        return self.name not in KINDS["hybrid"] and self.name not in NO_STEP

    @property
    def pixels_of_a_step(self) -> int:
        """Height and width of the images of the training step."""
        return PIXELS_OF_A_STEP if self.any_size and self.name not in SIZES else self.pixels

    @property
    def evaluates(self) -> bool:
        """Whether the evaluation matches."""
        return self.fits("evaluation")

    @property
    def trains(self) -> bool:
        """Whether the training step matches."""
        return self.fits("output", "gradient", "statistics")


def line(row: Row) -> str:
    """A row, for the terminal."""
    errors = (row.evaluation, row.output, row.gradient, row.statistics)
    shown = " ".join("       -" if error is None else f"{error:8.1e}" for error in errors)
    rest = f"{row.convert:5.1f} s {row.layout_changes:3d} {row.failure[:150]}"
    return f"{row.name:45} {shown} {rest}"


def summary(rows: dict[str, Row]) -> str:
    """How many match, of each kind."""
    lines = []
    for kind, names in KINDS.items():
        of_kind = [rows[name] for name in names if name in rows]
        if of_kind:
            stepped = [row for row in of_kind if row.output is not None]
            lines.append(
                f"{kind}: {sum(r.evaluates for r in of_kind)} of {len(of_kind)} architectures "
                "match in evaluation"
            )
            if stepped:
                trained = sum(row.trains for row in stepped)
                lines[-1] += f", {trained} of {len(stepped)} in a training step"
    return "\n".join(lines)


def markdown(rows: dict[str, Row]) -> str:
    """The page with the table."""
    parts = [_INTRODUCTION, summary(rows).replace("\n", "\n\n"), ""]
    for kind, names in KINDS.items():
        parts += ["", f"## {kind}", "", _HEAD]
        parts += [_table_line(rows[name]) for name in names if name in rows]
    return "\n".join(parts) + "\n"


def _table_line(row: Row) -> str:
    errors = (row.evaluation, row.output, row.gradient, row.statistics)
    cells = ["" if error is None else f"{error:.0e}" for error in errors]
    size = f"{row.pixels}" if row.any_size else f"{row.pixels} only"
    why = row.failure.splitlines()[0].replace("|", "\\|") if row.failure else ""
    fits = row.evaluates and (row.trains or row.output is None)
    if not why and not fits:
        why = REASONS.get(row.name, "error too large")
    cells = [row.name.partition(":")[2], size, *cells, str(row.layout_changes), why]
    return f"| {' | '.join(cells)} |"


_INTRODUCTION = """# Conversion

What `jaxcnn.from_torch` makes of the architectures of torchvision and timm, the smallest of each
family. Written by `python experiments/conversion.py --markdown docs/conversion.md`.

Evaluation, and the output, the gradients and the running statistics of one training step, are
compared in float32: allowed is 1e-5, or ten times PyTorch's own error (against itself in float64)
where that is larger. Steps for which that is not enough are compared in float64: allowed is 1e-9.
Errors are relative, in the L2 norm. Running statistics, scales and biases are random. Convolutions
and pooling are the programs of GPU and TPU; those for CPU have tests of their own.
"Layout" counts how often an image's data moves between channels first and last. An empty cell was
not measured.
"""
_HEAD = """| model | pixels | evaluation | step | gradients | statistics | layout | failure |
| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"""
