"""Finds the state_dict among what a checkpoint holds beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxcnn.interop._checkpoint import Limits, Refused, require
from jaxcnn.interop._pickle import Inert
from jaxcnn.interop._rebuild import is_array

# Under these names training scripts keep the model. None of them is an optimizer's.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model_dict", "model", "module", "net"),
    *("net_state_dict", "network", "network_state_dict", "weights", "params", "parameters"),
    *("ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema"),
    *("checkpoint", "backbone", "encoder", "teacher", "student", "state"),
)
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel, torch.compile


def find_state_dict(
    root: Any, key: str | None, limits: Limits
) -> tuple[str, dict[str, Any], list[str]]:
    """Finds the state_dict in `root`.

    A dict is a state_dict if at least half of its entries are tensors under string keys; a module
    is one too. Without `key`, the top level is searched for the usual wrapper names, and these
    likewise; then the top level itself counts.

    Returns:
      The dotted key, the unread tensors by name, and notes.
    """
    start = _at(root, key, limits) if key else root
    if key is not None and (found := _tensors_of(start, limits, 1)):
        return key, *found
    paths = _search(start, limits)
    if not paths and (found := _tensors_of(start, limits, 1 if key is not None else 0.5)):
        return key or "", *found
    if len(paths) != 1:
        _give_up(root, start, paths)
    path, value = paths[0]
    found = _tensors_of(value, limits, 0.5)
    assert found is not None
    return (f"{key}.{path}" if key else path), *found


def strip_prefixes(tensors: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Removes the prefixes that wrappers of modules add, where every name carries them."""
    notes = []
    while tensors and (
        prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in tensors)), "")
    ):
        tensors = {name.removeprefix(prefix): x for name, x in tensors.items()}
        notes.append(f"the prefix {prefix!r} of every name was left out")
    return tensors, notes


def _mapping(value: Any) -> dict[Any, Any]:
    """The entries of a dict, of an object derived from dict, or of an object's `__dict__`."""
    if isinstance(value, Inert):
        value = value.items if value.items is not None else value.state
    return value if isinstance(value, dict) else {}


def _at(root: Any, key: str, limits: Limits) -> Any:
    value, rest = root, key
    for _ in range(limits.depth):
        entries = _mapping(value)
        if rest in entries:
            return entries[rest]
        head, _, rest = rest.partition(".")
        if head not in entries:
            break
        value = entries[head]
    raise Refused("key must name an entry of the file", _listing(_mapping(root)), key=key)


def _search(start: Any, limits: Limits) -> list[tuple[str, Any]]:
    """The state_dicts under wrapper names, each object once."""
    found, seen = [], {id(start)}
    queue = [("", start)]
    if _module(start) or _is_optimizer(start):
        return []
    for path, value in queue:
        entries = _mapping(value)
        for name in _WRAPPERS:
            inner = entries.get(name)
            if inner is None or id(inner) in seen or _is_optimizer(inner):
                continue
            seen.add(id(inner))
            inner_path = f"{path}.{name}" if path else name
            if _module(inner) or _is_state_dict(inner):
                found.append((inner_path, inner))
            elif isinstance(inner, dict | Inert) and inner_path.count(".") < limits.depth:
                queue.append((inner_path, inner))
    return found


def _is_optimizer(value: Any) -> bool:
    return {"state", "param_groups"} <= _mapping(value).keys()


def _is_state_dict(value: Any) -> bool:
    entries = _mapping(value)
    arrays = sum(isinstance(name, str) and is_array(x) for name, x in entries.items())
    return 0 < len(entries) <= 2 * arrays and _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Whether it is a dict; tensors among an object's attributes are no state_dict."""
    return isinstance(value, dict) or (isinstance(value, Inert) and value.items is not None)


def _tensors_of(
    value: Any, limits: Limits, least: float
) -> tuple[dict[str, Any], list[str]] | None:
    """The tensors and notes of a module, or of a dict with so many of them.

    Args:
      value: What the file holds.
      limits: For modules.
      least: The part of the entries that must be tensors; 1 stands for one entry.
    """
    if (body := _module(value)) is not None:
        named = _walk(body, limits)
        return named, [f"the file holds a whole module, {_class_of(value)}"]
    entries = _mapping(value)
    if not (isinstance(value, dict) and not entries):
        tensors = {k: x for k, x in entries.items() if isinstance(k, str) and is_array(x)}
        few = not tensors or (least < 1 and not _is_state_dict(value))
        if few or not _is_plain(value):
            return None
        others = [k for k in entries if k not in tensors]
        note = f"entries that are no tensors were left out: {_names(others)}"
        return tensors, [note] if others else []
    return {}, []


def _module(value: Any) -> dict[str, Any] | None:
    """The `__dict__` of a pickled torch.nn.Module."""
    if not isinstance(value, Inert):
        return None
    # A torch.fx.GraphModule gives its __dict__ as the first argument.
    args = value.args if isinstance(value.args, tuple) else ()
    for body in (value.state, *args[:1]):
        if isinstance(body, dict) and all(
            isinstance(body.get(name), dict) for name in ("_parameters", "_buffers", "_modules")
        ):
            return body
    return None


def _walk(body: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """The state_dict of a module, in PyTorch's order and under its names."""
    tensors: dict[str, Any] = {}
    visits = 0
    todo: list[Iterator[tuple[str, dict[str, Any]]]] = [iter([("", body)])]
    while todo:
        step = next(todo[-1], None)
        if step is None:
            todo.pop()
            continue
        prefix, body = step
        visits += 1
        few = visits <= limits.tensors and len(tensors) <= limits.tensors
        require(few, f"a module must hold at most {limits.tensors} modules and tensors")
        require(len(todo) <= limits.depth, f"modules must nest at most {limits.depth} deep")
        hidden = body.get("_non_persistent_buffers_set")
        hidden = hidden if isinstance(hidden, set) else ()
        buffers = {k: x for k, x in body["_buffers"].items() if k not in hidden}
        for name, x in (*body["_parameters"].items(), *buffers.items()):
            if is_array(x):
                tensors[f"{prefix}{_text(name)}"] = x
        todo.append(_children(prefix, body["_modules"]))
    return tensors


def _children(prefix: str, modules: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, module in modules.items():
        if (body := _module(module)) is not None:
            yield f"{prefix}{_text(name)}.", body


def _text(name: Any) -> str:
    require(isinstance(name, str), "names in a module must be strings")
    return name


def _class_of(value: Inert) -> str:
    # copyreg's functions name the class as their argument.
    return str(value.cls)[:200]


def _names(names: list[Any]) -> str:
    shown = [repr(name)[:80] for name in names if isinstance(name, str | int)][:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if shown != names else "")


def _listing(entries: dict[Any, Any]) -> str:
    return f"there are {', '.join(repr(k)[:80] for k in entries if isinstance(k, str)) or 'none'}"[
        :1000
    ]


def _give_up(root: Any, start: Any, paths: list[tuple[str, Any]]) -> None:
    if paths:
        names = [path for path, _ in paths]
        rule = "the file must hold one state_dict"
        raise Refused(rule, f"choose one with key=, such as key={names[0]!r}", candidates=names)
    if _is_optimizer(start):
        raise Refused("the file must hold a state_dict", "it is an optimizer's state")
    others = [
        k
        for k, x in _mapping(start).items()
        if isinstance(k, str) and not _is_optimizer(x) and (_is_state_dict(x) or _module(x))
    ]
    if others:
        rule = "the state_dict must be under one of the usual names"
        raise Refused(rule, "choose one with key=", candidates=others[:50])
    raise Refused("the file must hold a state_dict", holds=_describe(root))


def _describe(root: Any) -> str:
    if isinstance(root, Inert) and not is_array(root):
        return f"an object of {_class_of(root)}"
    if isinstance(root, dict):
        return f"a dict; {_listing(root)}"
    return "one tensor" if is_array(root) else f"a {type(root).__name__}"
