"""What compare returns, and what it refuses."""

from __future__ import annotations

import base64
import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxcnn import nn
from jaxcnn.interop.comparison import (
    Cause,
    Error,
    LayerReport,
    Report,
    compare,
    compare_state_dicts,
)

EVIL = "<script>window.pwned=1</script>$x^{"


def report() -> Report:
    """One layer that agrees, one with a hostile name that does not, one of another shape."""
    small, large = Error(1e-7, 1e-6), Error(0.5, 2.0)
    other = Error(math.inf, math.inf)
    cause = Cause("eps", "it is <b>other</b>", 1e-16)
    return Report(
        (
            LayerReport("conv", "Conv_0", "Conv2d", (2, 3), {"own_output": small}, {}),
            LayerReport(EVIL, EVIL, "LayerNorm", (2, 3), {"own_output": large},
                        {"own_output": large}, ("own_output",), cause),
            LayerReport("fc", "fc", "Linear", (2,), {"own_output": other}, {}, ("own_output",)),
        ),
        ("relu",),
        (),
        ("dropout was left out",),
        {"reference": "Net", "model": "Net"},
    )  # fmt: skip


def test_first_and_verdict() -> None:
    first = report().first
    assert first is not None
    assert first.name == EVIL
    assert report().verdict == (
        f"first layer that diverges: {EVIL}, LayerNorm: output, of the layer alone; "
        "eps: it is <b>other</b>"
    )
    equal = Report(report().layers[:1])
    assert equal.equal
    assert equal.verdict == "no layer diverges; 1 compared"


@pytest.mark.parametrize(
    ("diverges", "first"),
    [
        ([("statistics",), ("own_output",), ()], "b"),
        ([("own_gradient",), ("statistics",), ()], "b"),
        ([("own_gradient",), ("own_gradient",), ()], "b"),
        ([("parameters",), ("parameters",), ("own_gradient",)], "c"),
        ([("parameters",), ("parameters",), ()], "a"),
        ([(), (), ()], None),
    ],
)
def test_the_order_of_faults(diverges: Any, first: str | None) -> None:
    rows = [LayerReport(n, n, "", (), {}, {}, d) for n, d in zip("abc", diverges, strict=True)]
    found = Report(tuple(rows)).first
    assert (found and found.name) == first


def test_text() -> None:
    text = str(report())
    assert "5e-01 / 5e-01" in text
    assert "only in the reference: relu" in text
    assert "note: dropout was left out" in text


def test_json() -> None:
    tree = json.loads(report().to_json())
    assert (tree["first"], tree["cause"], tree["equal"]) == (EVIL, "eps", False)
    assert tree["layers"][1]["float32"]["own_output"] == {"relative": 0.5, "absolute": 2.0}
    assert tree["layers"][2]["float32"]["own_output"]["relative"] is None


def test_html(tmp_path: Path) -> None:
    path = report().to_html(tmp_path / "new" / "page.html")
    text = path.read_text()
    assert "<script" not in text
    assert "<b>other" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    [picture] = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    svg = ET.fromstring(base64.b64decode(picture))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"


def test_state_dicts() -> None:
    a = {"conv.weight": np.arange(24.0).reshape(1, 2, 3, 4), "bn.bias": np.ones(3)}
    same = compare_state_dicts(a, {**a, "extra": np.ones(1)})
    assert same.equal
    assert same.only_model == ("extra",)
    turned = compare_state_dicts(a, {"conv.weight": a["conv.weight"].transpose(2, 3, 1, 0)})
    assert str(turned.first and turned.first.cause) == (
        "layout: the reference's numbers with axes (2, 3, 1, 0)"
    )
    assert turned.only_reference == ("bn.bias",)
    other = compare_state_dicts(a, {"bn.bias": np.ones(3) * 1.5})
    assert other.first is not None
    assert other.first.float32["parameters"] == Error(0.5, 0.5)
    with pytest.raises(
        ValueError, match=r"compare_state_dicts: the state_dicts must have names in"
    ):
        compare_state_dicts(a, {"other": np.ones(1)})


MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2))
X = np.ones((1, 6, 6, 3), np.float32)
VARIABLES = jax.eval_shape(MODEL.init, jax.random.key(0), X)
NUMBERS = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), VARIABLES)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (({"a": X}, MODEL, NUMBERS, X), TypeError, "reference must be a torch or linen"),
        ((MODEL, {"a": X}, NUMBERS, X), TypeError, "model must be a linen module, not a"),
        ((MODEL, "model.pth", NUMBERS, X), TypeError, ".*got model='str'"),
        ((MODEL, MODEL, None, X), TypeError, "variables must be a mapping, got varia"),
        ((MODEL, MODEL, NUMBERS), ValueError, "there must be at least one input"),
        ((MODEL, MODEL, NUMBERS, "x"), TypeError, "inputs must be arrays of NumPy or JAX"),
        ((MODEL, MODEL, NUMBERS, X * np.nan), ValueError, "inputs must be finite"),
        (
            (MODEL, MODEL, NUMBERS, X.transpose(0, 3, 1, 2)),
            ValueError,
            r"the reference must take the inputs \(images channels last\), got shapes=\[\(1, 3",
        ),
        (
            ((MODEL, NUMBERS), nn.Sequential({"a": nn.Tanh()}), {"params": {}}, X),
            ValueError,
            "the models must have layers in common, by name or by kind and size, got ref",
        ),
    ],
    ids=[
        "checkpoint", "state_dict", "path", "variables", "inputs", "text", "nan", "shape", "common",
    ],
)  # fmt: skip
def test_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"compare: {message}"):
        compare(*arguments)


def test_a_model_that_takes_other_inputs() -> None:
    wide = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(64, 2))
    shapes = jax.eval_shape(wide.init, jax.random.key(0), np.ones((1, 6, 6, 4), np.float32))
    numbers = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    message = r"compare: the model must take the inputs .*Conv2d: input must have 4 channels"
    with pytest.raises(ValueError, match=message):
        compare((MODEL, NUMBERS), wide, numbers, X)


def test_wrong_steps() -> None:
    with pytest.raises(ValueError, match="compare: steps must be at least 0, got steps=-1"):
        compare(MODEL, MODEL, NUMBERS, X, steps=-1)


@pytest.mark.torch
def test_errors_with_torch() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(64, 2)
    )
    with pytest.raises(ValueError, match=r"compare: the reference must take the inputs .*Runtime"):
        compare(theirs, MODEL, NUMBERS, X[:, :5])
    with pytest.raises(
        ValueError, match="variables must be a tree of collections, not a state_dict"
    ):
        compare(theirs, MODEL, theirs.state_dict(), X)
    small = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(80, 2))
    with pytest.raises(ValueError, match="to_variables: the state_dict must fit the model"):
        compare(theirs, small, None, X)
