"""Why a layer differs from its counterpart.

Each possible cause is tested: the reference's layer, rebuilt in jaxcnn, runs again on the same
input with the alternative. A cause is named only if that gives what the model's layer gave.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcnn.interop.comparison.functions import GELU, flattened_otherwise, matching_activations
from jaxcnn.interop.comparison.layers import Layer
from jaxcnn.interop.comparison.permutations import misread, permutation
from jaxcnn.interop.comparison.values import error_between, kind

# What a setting's cause is called, where that is not the setting's own name.
_CAUSES = {
    "approximate": "GELU form",
    "negative_slope": "slope",
    "num_groups": "groups",
    "dim": "axis",
    "mode": "interpolation mode",
    "track_running_stats": "train/eval",
}
# Values that a setting is often given, and the constants of other frameworks.
_USUAL: dict[str, tuple[Any, ...]] = {
    "eps": (1e-5, 1e-6, 1e-3, 1e-12, 1e-8, 1e-4, 1e-7, 0.0),
    "negative_slope": (0.01, 0.2, 0.1, 0.3, 0.05, 0.0),
    "approximate": ("none", "tanh"),
    "align_corners": (False, True),
    "mode": ("nearest", "nearest-exact", "bilinear", "bicubic"),
    "ceil_mode": (False, True),
    "count_include_pad": (True, False),
    "stride": (1, 2, 3, 4),
    "padding": (0, 1, 2, 3),
    "dilation": (1, 2, 3, 4),
    "output_padding": (0, 1),
    "padding_mode": ("zeros", "reflect", "replicate", "circular"),
    "groups": (1, 2, 4, 8, 16, 32),
    "num_groups": (1, 2, 4, 8, 16, 32),
    "alpha": (1.0, 0.1, 1e-4),
    "beta": (1.0, 0.75),
    "threshold": (20.0, 0.0),
    "dim": (-1, -2, -3, 0, 1),
}


@dataclasses.dataclass(frozen=True)
class Cause:
    """A tested reason for a difference.

    Attributes:
      name: One word or two, such as "eps" or "flatten order".
      text: What was found, in a sentence.
      error: Relative error that is left when the alternative is taken.

    Example:
      >>> print(Cause("eps", "with eps=1e-06 instead of 1e-05 the reference's layer gives it", 0.0))
      eps: with eps=1e-06 instead of 1e-05 the reference's layer gives it
    """

    name: str
    text: str
    error: float

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclasses.dataclass(frozen=True)
class Attempt:
    """An alternative, and how to run it."""

    cause: str
    text: str
    run: Callable[[], Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Divergence:
    """What is known of a layer whose own output differs.

    Attributes:
      layer: The reference's layer.
      counterpart: The model's, where it is known, with its own arrays.
      inputs: What both were given, channels last.
      expected: What the reference gave.
      actual: What the model's layer gave.
      channels: Numbers of channels of earlier images, which may have been flattened.
    """

    layer: Layer
    counterpart: Layer | None
    inputs: Sequence[np.ndarray]
    expected: np.ndarray
    actual: np.ndarray
    channels: Sequence[int] = ()


def first_that_explains(
    attempts: Iterator[Attempt], actual: np.ndarray, own_error: float, limit: float
) -> Cause | None:
    """The first alternative that gives `actual`."""
    for attempt in attempts:
        try:
            outputs = attempt.run()
        except Exception:  # this alternative does not fit the layer; linen has errors of its own
            continue
        if len(outputs) == 0:
            continue
        error = error_between(outputs[0], actual).relative
        if error <= limit and error <= own_error / 100:
            return Cause(attempt.cause, attempt.text, error)
    return None


def find_cause(found: Divergence, own_error: float, limit: float) -> Cause | None:
    """The tested cause of a layer's difference; None if no alternative explains it."""
    try:
        again = found.layer(*found.inputs)
    except Exception:  # linen has errors of its own
        return None
    if error_between(again[0], found.expected).relative > limit:
        return None  # the layer is not what it looks like; nothing can be tested with it
    return first_that_explains(_attempts(found), found.actual, own_error, limit)


def _attempts(found: Divergence) -> Iterator[Attempt]:
    yield from _arrays(found)
    yield from _settings_of_counterpart(found)
    yield from _mode(found)
    yield from _usual_settings(found)
    yield from _uneven_padding(found)
    yield from _moments(found)
    yield from _activations(found)
    yield from _layouts(found)
    yield from _all_at_once(found)


def _arrays(found: Divergence) -> Iterator[Attempt]:
    """Other parameters: left out, permuted, or not those of the reference."""
    layer, x = found.layer, found.inputs
    if "bias" in layer.arrays:
        zeros = layer.with_arrays(bias=np.zeros_like(layer.arrays["bias"]))
        yield Attempt("bias", "the model's layer adds no bias", lambda: zeros(*x))
    other = found.counterpart
    if other is None:
        return
    if "bias" in other.arrays and "bias" not in layer.arrays:
        added = layer.changed(bias=True).with_arrays(bias=other.arrays["bias"])
        yield Attempt("bias", "the model's layer adds a bias", lambda: added(*x))
    for name in differing(layer.arrays, other.arrays):
        changed = layer.with_arrays(**{name: other.arrays[name]})
        yield Attempt(*_named_change(name, layer, other), lambda changed=changed: changed(*x))
    names = differing(layer.arrays, other.arrays)
    if len(names) > 1:
        changed = layer.with_arrays(**{name: other.arrays[name] for name in names})
        text = f"the model holds other values in {', '.join(names)}"
        yield Attempt("parameters", text, lambda: changed(*x))


def differing(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> list[str]:
    """Names of arrays that both have, with other values."""
    return [
        name
        for name in ours
        if name in theirs
        and name != "num_batches_tracked"
        and error_between(theirs[name], ours[name]).relative > 1e-9
    ]


def _named_change(name: str, layer: Layer, other: Layer) -> tuple[str, str]:
    how = permutation(layer.arrays[name], other.arrays[name])
    if how:
        return "layout", f"the model's {name} is the reference's {how}"
    return "parameters", f"the model holds other values in {name}"


def _settings_of_counterpart(found: Divergence) -> Iterator[Attempt]:
    """The model's layer's own settings, one by one."""
    layer, other, x = found.layer, found.counterpart, found.inputs
    if other is None:
        return
    if other.class_name != layer.class_name:
        name = "layer type"
        if kind(layer.class_name).lower() in _PLAIN or kind(other.class_name).lower() in _PLAIN:
            name = "activation"
        text = f"the model has {other.class_name}, the reference {layer.class_name}"
        replaced = dataclasses.replace(other, arrays=layer.arrays)
        yield Attempt(name, text, lambda: replaced(*x))
        yield Attempt(name, text, lambda: other(*x))
        return
    for setting in differing_settings(layer, other):
        value = other.settings[setting]
        changed = layer.changed(**{setting: value})
        yield Attempt(*_described(layer, setting, value), lambda changed=changed: changed(*x))


_PLAIN = {
    "celu", "elu", "gelu", "glu", "hardsigmoid", "hardswish", "hardtanh", "identity", "leakyrelu",
    "logsoftmax", "mish", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softplus", "softsign", "tanh",
}  # fmt: skip


def differing_settings(layer: Layer, other: Layer) -> list[str]:
    """Settings of which both layers have other values."""
    return [
        name
        for name, value in layer.settings.items()
        if name in other.settings and not _same(value, other.settings[name])
    ]


def _same(a: Any, b: Any) -> bool:
    """2 and (2, 2) are one setting."""
    a, b = ((v,) if isinstance(v, int | float | str) or v is None else tuple(v) for v in (a, b))
    length = max(len(a), len(b))
    return (a * length if len(a) == 1 else a) == (b * length if len(b) == 1 else b)


def _described(layer: Layer, setting: str, value: Any) -> tuple[str, str]:
    own = layer.settings.get(setting)
    text = f"with {setting}={value!r} instead of {own!r} the reference's layer gives the same"
    return _CAUSES.get(setting, setting), text


def _mode(found: Divergence) -> Iterator[Attempt]:
    layer, x = found.layer, found.inputs
    if "running_mean" not in layer.arrays:
        return
    other = dataclasses.replace(layer, train=not layer.train)
    have = "the batch's statistics" if other.train else "running statistics"
    yield Attempt("train/eval", f"the model's layer uses {have}", lambda: other(*x))


def _usual_settings(found: Divergence) -> Iterator[Attempt]:
    layer, x, shape = found.layer, found.inputs, found.actual.shape
    for setting, values in _USUAL.items():
        if setting not in layer.settings:
            continue
        for value in values:
            changed = layer.changed(**{setting: value})
            if not _same(value, layer.settings[setting]) and changed.gives(shape, *x):
                text = _described(layer, setting, value)
                yield Attempt(*text, lambda changed=changed: changed(*x))
    if kind(layer.class_name) == "Upsample":
        modes = itertools.product(("bilinear", "bicubic"), (True, False))
        for mode, align in [("nearest", None), ("nearest-exact", None), *modes]:
            changed = layer.changed(mode=mode, align_corners=align)
            text = f"the model's layer is {mode!r} with align_corners={align}"
            yield Attempt("interpolation mode", text, lambda changed=changed: changed(*x))


def _uneven_padding(found: Divergence) -> Iterator[Attempt]:
    """XLA's SAME and other padding that no layer of PyTorch has."""
    layer, x = found.layer, found.inputs[0]
    if kind(layer.class_name) not in ("Conv", "MaxPool", "AvgPool") or x.ndim < 3:
        return
    axes = x.ndim - 2
    kernel, stride, dilation = (
        _tuple(layer.settings.get(name) or default, axes)
        for name, default in (
            ("kernel_size", 1),
            ("stride", layer.settings.get("kernel_size", 1)),
            ("dilation", 1),
        )
    )
    effective = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    same = tuple(lax.padtype_to_pads(x.shape[1:-1], effective, stride, "SAME"))
    patterns = {"'SAME'": same}
    for p in (1, 2, 3):
        patterns[f"{(0, p)}"] = ((0, p),) * axes
        patterns[f"{(p, 0)}"] = ((p, 0),) * axes
    patterns["causal"] = tuple((k - 1, 0) for k in effective)
    fill = -np.inf if layer.class_name.startswith("Max") else 0.0
    own, unpadded = layer.settings.get("padding"), layer.changed(padding=0)
    for name, pairs in patterns.items():
        padded = np.pad(x, ((0, 0), *pairs, (0, 0)), constant_values=fill)
        if not unpadded.gives(found.actual.shape, padded):
            continue
        text = f"padded {name} ({pairs} before and after) instead of {own!r} it gives the same"
        yield Attempt("padding", text, lambda padded=padded: unpadded(padded))


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _moments(found: Divergence) -> Iterator[Attempt]:
    """Norms with another variance, or eps in another place."""
    layer, x = found.layer, found.inputs[0]
    name, eps = kind(layer.class_name), layer.settings.get("eps")
    axes = {
        "BatchNorm": tuple(range(x.ndim - 1)),
        "InstanceNorm": tuple(range(1, x.ndim - 1)),
        "LayerNorm": tuple(range(-_trailing_axes(layer), 0)),
    }.get(name)
    if axes is None or eps is None or (name == "BatchNorm" and not layer.train):
        return
    weight, bias = (layer.arrays.get(part, default) for part, default in _AFFINE)
    mean = x.mean(axes, keepdims=True)
    for ddof, outside in ((1, False), (0, True)):
        deviation = x.var(axes, keepdims=True, ddof=ddof)
        root = np.sqrt(deviation) + eps if outside else np.sqrt(deviation + eps)
        y = (x - mean) / root * weight + bias
        text = "the model's layer " + ("adds eps to the root" if outside else "divides by n - 1")
        cause = "eps" if outside else "biased variance"
        yield Attempt(cause, text, lambda y=y: [y])


_AFFINE = (("weight", 1.0), ("bias", 0.0))


def _trailing_axes(layer: Layer) -> int:
    shape = layer.settings.get("normalized_shape", 1)
    return 1 if isinstance(shape, int) else len(shape)


def _activations(found: Divergence) -> Iterator[Attempt]:
    """An activation that one side has inside of the layer and the other has not."""
    x, y = found.inputs[0], found.expected
    plain = kind(found.layer.class_name).lower() in _PLAIN
    if plain:
        yield Attempt("activation", "the model leaves the activation out", lambda: [x])
    for name, values in matching_activations(x, found.actual) if plain else ():
        form = found.layer.class_name == "GELU" and name in GELU
        text = f"the model's layer is {name}"
        yield Attempt("GELU form" if form else "activation", text, lambda values=values: [values])
    for name, values in matching_activations(y, found.actual):
        text = f"the model's layer also has {name}"
        yield Attempt("activation", text, lambda values=values: [values])


def _layouts(found: Divergence) -> Iterator[Attempt]:
    """Axes of input, output or kernel in another order."""
    layer, x, y = found.layer, found.inputs[0], found.expected
    weight = layer.arrays.get("weight")
    if weight is not None and weight.ndim >= 2:
        changes = {
            "transposed in its last two axes": np.swapaxes(weight, -1, -2),
            "with its first two axes swapped": np.swapaxes(weight, 0, 1),
            "flipped": np.flip(weight, tuple(range(2, weight.ndim))),
            "read in another order": misread(weight),
        }
        for how, changed in changes.items():
            if changed.shape == weight.shape:
                other = layer.with_arrays(weight=changed)
                text = f"with its weight {how} the reference's layer gives the same"
                yield Attempt("layout", text, lambda other=other: other(x))
    if x.ndim > 3:
        text = "with height and width of the input swapped it gives the same"
        yield Attempt("layout", text, lambda: layer(np.swapaxes(x, 1, 2)))
        text = "the model's layer swaps height and width of the output"
        yield Attempt("layout", text, lambda: [np.swapaxes(y, 1, 2)])
    if x.ndim > 1:
        text = "with the channels in reverse (BGR for RGB) it gives the same"
        yield Attempt("layout", text, lambda: layer(x[..., ::-1]))
    if layer.class_name == "Flatten" and y.ndim == 2:
        text = "the model flattens channels last, the reference (c, h, w)"
        yield Attempt("flatten order", text, lambda: [x.reshape(y.shape)])
    if layer.class_name == "Linear" and x.ndim == 2:
        for how, rows in flattened_otherwise(x, found.channels):
            text = f"with the input flattened as {how} it gives the same"
            yield Attempt("flatten order", text, lambda rows=rows: layer(rows))


def _all_at_once(found: Divergence) -> Iterator[Attempt]:
    """The model's layer with all that is its own: several causes together."""
    layer, other = found.layer, found.counterpart
    if other is None or other.class_name != layer.class_name:
        return
    settings = [_CAUSES.get(name, name) for name in differing_settings(layer, other)]
    arrays = ["parameters"] * bool(differing(layer.arrays, other.arrays))
    bias = ["bias"] * (("bias" in layer.arrays) != ("bias" in other.arrays))
    names = list(dict.fromkeys([*settings, *arrays, *bias]))
    text = f"together they explain it: {', '.join(names)}"
    yield Attempt(" and ".join(names), text, lambda: other(*map(jnp.asarray, found.inputs)))
