"""Parameter groups: other settings for some of the parameters, chosen by their names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxcnn._checks import check
from jaxcnn._names import dotted, named_leaves
from jaxcnn.optim._common import check_lr, check_not_negative, check_share

_FROZEN = "frozen"
_STEM, _HEAD = (-math.inf,), (math.inf,)
_Group = tuple[float, bool]  # the factor of its learning rate, and whether it decays


def grouped(
    make: Callable[..., optax.GradientTransformation],
    *,
    lr: float | optax.Schedule,
    weight_decay: float = 0,
    decay_vectors: bool = False,
    no_decay: str | None = None,
    lr_factors: Mapping[str, float] | None = None,
    layer_decay: float | None = None,
    stem: str | None = None,
    blocks: str | None = None,
    frozen: str | None = None,
) -> optax.GradientTransformation:
    r"""An optimiser with PyTorch's parameter groups, as one setting.

    Mirrors `torch.optim`'s list of groups, each with its own `lr` and `weight_decay`; `make`
    is called once for each group. Every pattern is a regular expression that is searched in the
    parameters' dotted names, and must match one.

    With `layer_decay` a layer learns the slower the nearer it is to the input, as timm's recipes
    do: its factor is `layer_decay ** (depth_max - depth)`. What matches `stem` has depth 0. What
    matches `blocks` has the depth 1, 2, ... of its block, in the order of the numbers that the
    pattern's groups capture (a group that takes part in no match is left out). All the rest is the
    head, a depth after the last block, which learns at the full rate. For `models.resnet18`:
    `stem=r"^(conv1|bn1)\."`, `blocks=r"^layer(\d+)\.(\d+)\."`.

    Args:
      make: The optimiser, called with `lr` and `weight_decay`, such as `optim.adamw` or
        `functools.partial(optim.sgd, momentum=0.9)`.
      lr: Learning rate, or an optax schedule from the step number.
      weight_decay: Decay of what is not left out.
      decay_vectors: Whether arrays of one axis decay too: biases, scales and shifts of norms.
      no_decay: Pattern of further parameters that do not decay, such as `r"pos_embed|layer_scale"`.
      lr_factors: Factors of the learning rate by pattern; the first that matches counts, and it is
        multiplied by that of the layer.
      layer_decay: Factor of the learning rate from one layer to the one before it, 0 to 1.
      stem: Pattern of what comes before the blocks.
      blocks: Pattern of the blocks, with one or more groups that capture numbers.
      frozen: Pattern of parameters that stay as they are; they have no state in the optimiser.

    Raises:
      ValueError: If a value is negative or out of range, `layer_decay` and `blocks` do not come
        together; when the optimiser is initialised, if a pattern matches no parameter, or `blocks`
        captures what is not a number.
      TypeError: If a value is not a number.

    Source: Clark et al., 2020 (layer-wise decay).

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import optim
      >>> tx = grouped(optim.sgd, lr=0.5, weight_decay=0.5, lr_factors={"^fc": 0.5})
      >>> params = {"conv": {"weight": jnp.ones((1, 1))}, "fc": {"bias": jnp.ones(1)}}
      >>> updates, _ = tx.update(params, tx.init(params), params)
      >>> updates["conv"]["weight"].item(), updates["fc"]["bias"].item()
      (-0.75, -0.25)
    """
    where = "grouped"
    check_lr(where, lr)
    check_not_negative(where, weight_decay=weight_decay)
    for pattern, factor in (lr_factors or {}).items():
        check_not_negative(where, **{f"lr_factors[{pattern!r}]": factor})
    if layer_decay is not None:
        check_share(where, "layer_decay", layer_decay)
    together = (layer_decay is None) == (blocks is None) and (stem is None or blocks is not None)
    rule = "layer_decay needs blocks, and blocks and stem need layer_decay"
    check(together, where, rule, layer_decay=layer_decay, blocks=blocks, stem=stem)
    captures = blocks is None or re.compile(blocks).groups > 0
    check(captures, where, "blocks must capture a number, as in r'^layer(\\d+)'", blocks=blocks)

    patterns = [no_decay, stem, blocks, frozen, *(lr_factors or {})]

    def group_of(name: str, leaf: Any, depth: float) -> _Group | None:
        if _matches(frozen, name):
            return None
        found = (factor for p, factor in (lr_factors or {}).items() if _matches(p, name))
        factor = next(found, 1.0) * (1.0 if layer_decay is None else layer_decay**depth)
        vector = np.ndim(leaf) <= 1
        return factor, (decay_vectors or not vector) and not _matches(no_decay, name)

    def build(params: Any) -> optax.GradientTransformation:
        leaves = named_leaves(where, {"params": params})
        for pattern in patterns:
            used = pattern is None or any(_matches(pattern, name) for name in leaves)
            check(used, where, "a pattern must match a parameter", pattern=pattern)
        depths = _depths(list(leaves), stem, blocks)
        groups = {name: group_of(name, leaf, depths[name]) for name, leaf in leaves.items()}
        # Numbered, as PyTorch's are: a change of a rate does not change the state's structure.
        numbers = {g: str(i) for i, g in enumerate(sorted({g for g in groups.values() if g}))}
        rules = {
            number: make(lr=_scaled(lr, factor), weight_decay=weight_decay if decays else 0)
            for (factor, decays), number in numbers.items()
        }
        label = lambda path, leaf: _FROZEN if (g := groups[dotted(path)]) is None else numbers[g]
        labels = jax.tree.map_with_path(label, params)
        return optax.multi_transform({**rules, _FROZEN: optax.set_to_zero()}, labels)

    return optax.GradientTransformation(
        lambda params: build(params).init(params),
        lambda updates, state, params=None: build(updates).update(updates, state, params),
    )


def _matches(pattern: str | None, name: str) -> bool:
    return pattern is not None and re.search(pattern, name) is not None


def _scaled(lr: Any, factor: float) -> Any:
    if factor == 1:
        return lr
    if not callable(lr):
        return factor * lr
    schedule: Any = lr
    return lambda step: factor * schedule(step)


def _depths(names: list[str], stem: str | None, blocks: str | None) -> dict[str, int]:
    """Of each parameter how many layers it is away from the head."""
    places = {name: _place(name, stem, blocks) for name in names}
    order = {place: depth for depth, place in enumerate(sorted({_STEM, *places.values(), _HEAD}))}
    return {name: order[_HEAD] - order[place] for name, place in places.items()}


def _place(name: str, stem: str | None, blocks: str | None) -> tuple[float, ...]:
    """Sorts by depth: the stem, the blocks by their numbers, the head."""
    if _matches(stem, name):
        return _STEM
    match = re.search(blocks, name) if blocks is not None else None
    if match is None:
        return _HEAD
    captured = [text for text in match.groups() if text is not None]
    numbers = len(captured) > 0 and all(text.isdecimal() for text in captured)
    check(numbers, "grouped", "blocks must capture numbers", captured=captured, name=name)
    return tuple(map(int, captured))
