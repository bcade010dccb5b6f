"""Finds the state_dict among what a checkpoint holds beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jaxcnn.interop.files.checkpoint import Limits, Refused, require
from jaxcnn.interop.files.rebuild import is_array
from jaxcnn.interop.files.unpickle import Inert, Name

# Under these names training scripts keep the model. None of them is an optimizer's.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model_dict", "model", "module"),
    *("net", "net_state_dict", "network", "network_state_dict", "weights", "params", "parameters"),
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema"),
    *("checkpoint", "teacher", "student"),
)
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile
_LONGEST = 1000


def find_state_dict(
    root: Any, key: str | None, limits: Limits
) -> tuple[str, dict[str, Any], list[str]]:
    """Finds the state_dict in `root`.

    A module is one, and so is a dict of which at least half of the entries are tensors under
    strings. `root` is searched for the usual wrapper names, and these likewise; without any, `root`
    itself may be the state_dict. What `key` names may have any number of other entries.

    Args:
      root: What a pickle holds.
      key: Where to look, with dots; "" for `root` itself, None to search.
      limits: `depth`, `opcodes` (entries of modules seen) and `tensors`.

    Returns:
      The dotted key, the unread tensors by name, and notes.
    """
    start = _at(root, key, limits) if key else root
    if _module(start) is not None or (key is not None and _tensors(start)):
        return key or "", *_collect(start, limits)
    found = _search(start, limits)
    if not found and (_is_state_dict(start) or start == {}):
        return key or "", *_collect(start, limits)
    if len(found) != 1:
        raise _failure(start, [path for path, _ in found])
    path, value = found[0]
    tensors, notes = _collect(value, limits)
    others = [name for name, x in _candidates(_mapping(start)) if x is not value]
    if others and "." not in path:
        notes.append(f"entries that may be other state_dicts were left out: {_quote(others)}")
    return f"{key}.{path}" if key else path, tensors, notes


def strip_prefixes(tensors: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Removes the prefixes that wrappers of modules add, where every name carries them."""
    stripped, notes = dict(tensors), []
    while prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in stripped)), ""):
        if not stripped:
            break
        stripped = {name.removeprefix(prefix): x for name, x in stripped.items()}
        notes.append(f"the prefix {prefix!r} of every name was left out")
    return stripped, notes


def _mapping(value: Any) -> dict[Any, Any]:
    """The entries of a dict, of an object derived from dict, or of an object's `__dict__`."""
    if isinstance(value, Inert):
        value = value.state if value.items is None else value.items
    return value if isinstance(value, dict) else {}


def _tensors(value: Any) -> dict[str, Any]:
    """The tensors of a dict; those among an object's attributes are no state_dict."""
    if isinstance(value, Inert) and value.items is None:
        return {}
    return {k: x for k, x in _mapping(value).items() if isinstance(k, str) and is_array(x)}


def _is_state_dict(value: Any) -> bool:
    return 0 < len(_mapping(value)) <= 2 * len(_tensors(value))


def _at(root: Any, key: str, limits: Limits) -> Any:
    """The entry under a dotted key; names of entries may have dots themselves."""
    value, rest = root, key
    for _ in range(limits.depth):
        entries = _mapping(value)
        if rest in entries:
            return entries[rest]
        head, _, rest = rest.partition(".")
        if head not in entries:
            break
        value = entries[head]
    raise Refused("key must name an entry of the file", _listing(root), key=key)


def _search(start: Any, limits: Limits) -> list[tuple[str, Any]]:
    """The modules and state_dicts under wrapper names with their paths, each object once."""
    found, seen = [], {id(start)}
    queue = [("", start)]
    for path, value in queue:
        for name in _WRAPPERS:
            inner = _mapping(value).get(name)
            if id(inner) in seen or not isinstance(inner, dict | Inert):
                continue
            seen.add(id(inner))
            inner_path = f"{path}.{name}".removeprefix(".")
            if _module(inner) is not None or _is_state_dict(inner):
                found.append((inner_path, inner))
            elif inner_path.count(".") < limits.depth:
                queue.append((inner_path, inner))
    return found


def _candidates(entries: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """The entries of any name that may be a state_dict, each object once."""
    found, seen = [], set()
    for name, x in entries.items():
        if isinstance(name, str) and isinstance(x, dict | Inert) and id(x) not in seen:
            seen.add(id(x))
            if _module(x) is not None or _is_state_dict(x):
                found.append((name, x))
    return found


def _collect(value: Any, limits: Limits) -> tuple[dict[str, Any], list[str]]:
    """The tensors of a state_dict or a module, and notes."""
    if (body := _module(value)) is not None:
        cls = value.cls if isinstance(value.cls, Name) else "an unnamed class"
        return _walk(body, limits), [f"the file holds a whole pickled module, {cls}"]
    tensors = _tensors(value)
    others = [k for k in _mapping(value) if not isinstance(k, str) or k not in tensors]
    note = f"entries that are no tensors were left out: {_quote(others)}"
    return tensors, [note] if others else []


def _module(value: Any) -> dict[str, Any] | None:
    """The `__dict__` of a pickled torch.nn.Module."""
    if not isinstance(value, Inert):
        return None
    # A torch.fx.GraphModule gives its __dict__ as the first argument.
    args = value.args if isinstance(value.args, tuple) else ()
    parts = ("_parameters", "_buffers", "_modules")
    for body in (value.state, *args[:1]):
        if isinstance(body, dict) and all(isinstance(body.get(part), dict) for part in parts):
            return body
    return None


def _walk(root: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """The state_dict of a module, in PyTorch's order and under its names."""
    tensors: dict[str, Any] = {}
    seen = 0
    stack: list[Iterator[tuple[str, dict[str, Any]]]] = [iter([("", root)])]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            continue
        prefix, body = step
        seen += 1 + sum(len(body[part]) for part in ("_parameters", "_buffers", "_modules"))
        rule = f"modules must have at most {limits.opcodes} entries"
        require(seen <= limits.opcodes, rule, "raise limits.opcodes")
        rule = f"modules must nest at most {limits.depth} deep"
        require(len(stack) <= limits.depth, rule, "raise limits.depth")
        hidden = body.get("_non_persistent_buffers_set")
        hidden = hidden if isinstance(hidden, set) else set()
        for name, x in body["_parameters"].items():
            if is_array(x):
                tensors[_join(prefix, name)] = x
        for name, x in body["_buffers"].items():
            if is_array(x) and name not in hidden:
                tensors[_join(prefix, name)] = x
        stack.append(_children(prefix, body["_modules"]))
    return tensors


def _children(prefix: str, modules: dict[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, module in modules.items():
        if (body := _module(module)) is not None:
            yield f"{_join(prefix, name)}.", body


def _join(prefix: str, name: Any) -> str:
    rule = f"names in a module must be strings, of at most {_LONGEST} characters in all"
    require(isinstance(name, str) and len(prefix) + len(name) <= _LONGEST, rule)
    return prefix + name


def _quote(names: list[Any]) -> str:
    shown = [repr(name)[:80] if isinstance(name, str | int) else "..." for name in names[:8]]
    return ", ".join(shown) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _listing(value: Any) -> str:
    names = [name for name in _mapping(value) if isinstance(name, str)]
    return f"there are {_quote(names)}" if names else "there are none"


def _failure(start: Any, paths: list[str]) -> Refused:
    if paths:
        fix = f"choose one, such as key={paths[0]!r}"
        return Refused("the file must hold one state_dict", fix, candidates=paths)
    rule = "the file must hold a state_dict"
    if {"state", "param_groups"} <= _mapping(start).keys():
        return Refused(rule, holds="the state of an optimizer")
    if names := [name for name, _ in _candidates(_mapping(start))]:
        fix = f"choose one, such as key={names[0]!r}"
        return Refused("the state_dict must be under a usual name", fix, candidates=names[:50])
    if is_array(start):
        return Refused(rule, holds="one tensor")
    if isinstance(start, Inert):
        kind = str(start.cls) if isinstance(start.cls, Name) else "unnamed class"
        return Refused(rule, holds=f"an object of {kind}")
    return Refused(rule, *[_listing(start)][: isinstance(start, dict)], holds=type(start).__name__)
