"""A comparison as one page, without a script and without another file."""

from __future__ import annotations

import base64
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxcnn._files import write_atomically
from jaxcnn.interop.comparison.report import QUANTITIES, LayerReport, Report, errors_text, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
# The plot has no background: inverted it suits a dark page, and turning the hues back by half a
# circle leaves a blue line blue.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem;
  background: #fff; color: #1a1a1a; }
h1, h2 { line-height: 1.2; overflow-wrap: anywhere; }
.verdict { border-left: .25rem solid #009e73; padding-left: .75rem; overflow-wrap: anywhere; }
.verdict.differs { border-color: #d55e00; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #8884;
  vertical-align: top; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.cause { white-space: normal; min-width: 14rem; }
td.differs { background: #d55e0040; font-weight: 600; }
tr.first th { border-left: .25rem solid #d55e00; }
img { max-width: 100%; height: auto; }
.scroll img { min-width: 26rem; width: 100%; }
@media (prefers-color-scheme: dark) {
  body { background: #121212; color: #e8e8e8; }
  img.plot { filter: invert(1) hue-rotate(180deg); }
}
"""
_LINES = {"own_output": "#0072B2", "output": "#56B4E9", "input": "#D55E00"}
_LOWEST = 1e-18
_LABELLED = 60


def write_page(report: Report, path: Path) -> Path:
    """Writes the page; see `Report.to_html`."""
    text = b"<!DOCTYPE html>\n" + ET.tostring(_page(report), encoding="utf-8", method="html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(text))
    return path


def _page(report: Report) -> ET.Element:
    page = ET.Element("html", lang="en")
    head = _add(page, "head")
    _add(head, "meta", charset="utf-8")
    _add(head, "meta", content=_POLICY, **{"http-equiv": "Content-Security-Policy"})
    _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    title = f"{report.settings.get('model', 'model')} against {report.settings.get('reference')}"
    _add(head, "title", title)
    _add(head, "style", _STYLE)
    main = _add(_add(page, "body"), "main")
    _add(main, "h1", title)
    state = "verdict" if report.equal else "verdict differs"
    _add(main, "p", _capital(report.verdict), **{"class": state})
    _add(main, "h2", "Error against depth")
    plot = base64.b64encode(_svg(report)).decode()
    _add(
        _add(main, "div", tabindex="0", **{"class": "scroll"}),
        "img",
        alt="relative errors of each layer, from the first to the last",
        src=f"data:image/svg+xml;base64,{plot}",
        **{"class": "plot"},
    )
    _add(main, "h2", "Layers")
    _add(main, "p", "Relative L2 errors in float32 / float64.")
    _table(main, report)
    notes = [
        *(f"{name}: {value}" for name, value in report.settings.items()),
        *(f"note: {note}" for note in report.notes),
    ]
    for side, names in (("reference", report.only_reference), ("model", report.only_model)):
        notes += [f"only in the {side}: {shortened(names)}"] * bool(names)
    _add(main, "h2", "Settings and notes")
    items = _add(main, "ul")
    for note in notes:
        _add(items, "li", note)
    return page


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A new element at the end of `parent`; names of layers are escaped when it is written."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _table(main: ET.Element, report: Report) -> None:
    table = _add(_add(main, "div", tabindex="0", **{"class": "scroll"}), "table")
    shown = [q for q in QUANTITIES if any(q in layer.float32 for layer in report.layers)]
    head = _add(_add(table, "thead"), "tr")
    for text in ("layer", "type", "shape", *(QUANTITIES[q] for q in shown), "cause"):
        _add(head, "th", text, scope="col")
    body = _add(table, "tbody")
    for layer in report.layers:
        row = _add(body, "tr", **({"class": "first"} if layer is report.first else {}))
        _add(row, "th", layer.name, scope="row")
        _add(row, "td", layer.type)
        _add(row, "td", " x ".join(map(str, layer.shape)))
        for quantity in shown:
            differs = {"class": "differs"} if quantity in layer.diverges else {}
            _add(row, "td", errors_text(layer, quantity), **differs)
        _add(row, "td", str(layer.cause) if layer.cause else "", **{"class": "cause"})


def _svg(report: Report) -> bytes:
    from jaxcnn.train.report.figures import new_figure, svg

    figure = new_figure(11, 4.2)
    _draw(figure, report)
    return svg(figure)


def _draw(figure: Figure, report: Report) -> None:
    """Lines of the errors over the layers, on a logarithmic scale."""
    axes: Any = figure.subplots()
    places = range(len(report.layers))
    for quantity, color in _LINES.items():
        for dtype, dash in (("float32", "solid"), ("float64", "dashed")):
            errors = [_height(layer, dtype, quantity) for layer in report.layers]
            if not all(math.isnan(error) for error in errors):
                label = f"{QUANTITIES[quantity]}, {dtype}"
                axes.plot(places, errors, linestyle=dash, color=color, label=label, marker=".")
    first = report.first
    if first is not None:
        place = report.layers.index(first)
        axes.axvline(place, color="#CC79A7", label="first layer that diverges")
    axes.set_yscale("log")
    axes.set(ylabel="relative error", ylim=(_LOWEST / 2, 20))
    step = max(1, len(report.layers) // _LABELLED)
    names = [_label(layer.name) for layer in report.layers]
    axes.set_xticks(list(places)[::step], names[::step], rotation=90, fontsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2)


def _height(layer: LayerReport, dtype: str, quantity: str) -> float:
    """No error at all is drawn at the lower edge, another shape at the upper."""
    errors = getattr(layer, dtype)
    if quantity not in errors:
        return math.nan
    return min(max(errors[quantity].relative, _LOWEST), 10.0)


def _label(name: str) -> str:
    """A name without what matplotlib would take for a formula."""
    return name[-30:].replace("$", r"\$")
