"""What a comparison found."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn.interop.comparison.causes import Cause
from jaxcnn.interop.comparison.values import Error

if TYPE_CHECKING:
    from rich.table import Table

# What is measured of a layer, and how it is called in tables.
QUANTITIES = {
    "input": "input, between layers",
    "own_output": "output, of the layer alone",
    "output": "output, accumulated",
    "own_gradient": "gradient, of the layer alone",
    "gradient": "gradient, accumulated",
    "statistics": "statistics, of the layer alone",
    "parameters": "parameters after the steps",
}
_HEADINGS = {
    "input": "input",
    "own_output": "own output",
    "output": "output",
    "own_gradient": "own gradient",
    "gradient": "gradient",
    "statistics": "statistics",
    "parameters": "parameters",
}
_CAPTION = (
    "Relative L2 errors in float32 / float64. Own: of the layer alone, on the reference's input; "
    "input: of the code before it; output: with the errors of all layers before."
)
_WIDE = 120
# Those that show a layer's own fault, in the order in which they are judged.
JUDGED = ("input", "own_output", "statistics", "own_gradient", "parameters")


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """One layer of both models.

    Attributes:
      name: Its name in the reference; "(output)" is what the whole model returns.
      model_name: Its name in the model.
      type: The class of the reference's layer.
      shape: Of its first output in the model, channels last.
      float32: Errors in float32, by quantity: "output" as the model computes it, with all errors
        of earlier layers; "own_output", "own_gradient" and "statistics" of the layer alone, when
        it is given the reference's input; "input" of the code before it alone; "gradient" of its
        parameters; "parameters" after the steps of SGD.
      float64: The same in float64, where that is possible.
      diverges: The quantities that are further from the reference than rounding explains.
      cause: The tested cause, if one was found.
    """

    name: str
    model_name: str
    type: str
    shape: tuple[int, ...]
    float32: Mapping[str, Error]
    float64: Mapping[str, Error]
    diverges: tuple[str, ...] = ()
    cause: Cause | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of `compare`; `str` and `rich.print` show it as a table.

    Attributes:
      layers: The layers that both models have, in the reference's order.
      only_reference: Innermost layers of the reference without a counterpart.
      only_model: The same of the model. Neither is a fault: what they compute is compared at the
        next layer that both have.
      notes: What could not be compared, a sentence each.
      settings: How the comparison was made.
    """

    layers: tuple[LayerReport, ...]
    only_reference: tuple[str, ...] = ()
    only_model: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> LayerReport | None:
        """The first layer that diverges; None if none does.

        What is wrong forwards counts before statistics, those before gradients, which are followed
        from the last layer, and those before the parameters after the steps.
        """
        for group in (("input", "own_output"), ("statistics",), ("own_gradient",), ("parameters",)):
            found = [layer for layer in self.layers if set(group) & set(layer.diverges)]
            if found:
                return found[-1] if group == ("own_gradient",) else found[0]
        return None

    @property
    def equal(self) -> bool:
        """Whether no layer diverges."""
        return self.first is None

    @property
    def verdict(self) -> str:
        """One sentence: the first layer that diverges, and why."""
        first = self.first
        if first is None:
            return f"no layer diverges; {len(self.layers)} compared"
        name = (
            first.name
            if first.name == first.model_name
            else (f"{first.name} (in the model {first.model_name})")
        )
        what = " and ".join(QUANTITIES[q] for q in JUDGED if q in first.diverges)
        cause = str(first.cause) if first.cause else "no known cause explains it"
        return f"first layer that diverges: {name}, {first.type}: {what}; {cause}"

    def __str__(self) -> str:
        import io

        from rich.console import Console

        file = io.StringIO()
        Console(file=file, width=160, no_color=True).print(self)
        return file.getvalue().rstrip("\n")

    def __rich_console__(self, console: Any, options: Any) -> Any:
        del console
        from rich.text import Text

        yield self._table(options.max_width >= _WIDE)
        yield Text(_CAPTION, style="dim")
        style = "bold green" if self.equal else "bold red"
        yield Text(self.verdict, style=style)
        for side, names in (("reference", self.only_reference), ("model", self.only_model)):
            if names:
                yield Text(f"only in the {side}: {shortened(names)}")
        for note in self.notes:
            yield Text(f"note: {note}")

    def _table(self, wide: bool) -> Table:
        from rich.table import Table
        from rich.text import Text

        shown = [q for q in QUANTITIES if any(q in layer.float32 for layer in self.layers)]
        table = Table("layer", "type", *["shape"] * wide)
        for quantity in shown:
            table.add_column(_HEADINGS[quantity], no_wrap=wide)
        table.add_column("cause")
        for layer in self.layers:
            name = Text(layer.name, "bold red" if layer is self.first else "")
            cells = [
                Text(errors_text(layer, q), "red" if q in layer.diverges else "") for q in shown
            ]
            cause = Text(layer.cause.name if layer.cause else "")
            shape = [Text(str(layer.shape))] * wide
            table.add_row(name, Text(layer.type), *shape, *cells, cause)
        return table

    def to_json(self) -> str:
        """All figures as JSON; infinite ones, of other shapes, are null."""
        first = self.first
        tree = {
            "verdict": self.verdict,
            "equal": self.equal,
            "first": first.name if first else None,
            "cause": first.cause.name if first and first.cause else None,
            "settings": dict(self.settings),
            "only_reference": self.only_reference,
            "only_model": self.only_model,
            "notes": self.notes,
            "layers": [dataclasses.asdict(layer) for layer in self.layers],
        }
        return json.dumps(_finite(tree), indent=1)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Writes one page with table and plot, which needs no network and no other file.

        Args:
          path: The page; replaced if it exists.

        Returns:
          Its path.
        """
        from jaxcnn.interop.comparison.page import write_page

        return write_page(self, Path(path))


def errors_text(layer: LayerReport, quantity: str) -> str:
    """The relative errors in float32 and float64, as a table shows them."""
    texts = [
        "shape" if math.isinf(errors[quantity].relative) else f"{errors[quantity].relative:.0e}"
        for errors in (layer.float32, layer.float64)
        if quantity in errors
    ]
    return " / ".join(texts)


def shortened(names: Sequence[str], most: int = 12) -> str:
    """The first names, and how many more there are.

    Example:
      >>> shortened(["a", "b", "c"], 2)
      'a, b and 1 more'
    """
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _finite(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {name: _finite(value) for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree
