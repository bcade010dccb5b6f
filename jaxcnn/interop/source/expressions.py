"""Calls of a program as Python expressions."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxcnn._checks import check
from jaxcnn.interop.program import Either, Rng, Train, resolve
from jaxcnn.interop.source.constants import Constants
from jaxcnn.interop.source.modules import Access, Index
from jaxcnn.interop.source.steps import Constant, Hole, Local, Own, SizeOf, Step
from jaxcnn.interop.source.text import Brackets, Text, call, flat, prefixed, value

# Precedence, weakest first.
CONDITION, COMPARISON, OR, XOR, AND, SUM, PRODUCT, SIGN, POWER, ATOM = range(10)
_INFIX = {
    "operator.add": ("+", SUM),
    "operator.sub": ("-", SUM),
    "operator.mul": ("*", PRODUCT),
    "operator.truediv": ("/", PRODUCT),
    "operator.matmul": ("@", PRODUCT),
    "operator.pow": ("**", POWER),
    "operator.eq": ("==", COMPARISON),
    "operator.ne": ("!=", COMPARISON),
    "operator.lt": ("<", COMPARISON),
    "operator.le": ("<=", COMPARISON),
    "operator.gt": (">", COMPARISON),
    "operator.ge": (">=", COMPARISON),
    "operator.and_": ("&", AND),
    "operator.or_": ("|", OR),
    "operator.xor": ("^", XOR),
}


@dataclasses.dataclass(frozen=True)
class Expression:
    """A Python expression.

    Attributes:
      text: Its text.
      strength: How strongly its outermost operator binds.
      reads: Numbers of the named values that it reads.
      depth: Calls inside of each other.
      weights: Whether a convolution or a linear layer is among them.
      calls_module: Whether a module that is no single layer is among them.
    """

    text: Text
    strength: int = ATOM
    reads: tuple[int, ...] = ()
    depth: int = 0
    weights: bool = False
    calls_module: bool = False

    def inside(self, strength: int) -> str:
        """The text as an operand of an operator."""
        text = flat(self.text)
        return text if self.strength >= strength else f"({text})"


@dataclasses.dataclass
class Names:
    """What the file imports, and its constants."""

    constants: Constants
    imports: set[str] = dataclasses.field(default_factory=set)
    functions: dict[Any, tuple[str, str]] = dataclasses.field(default_factory=dict)
    taken: set[str] = dataclasses.field(default_factory=set)

    def function(self, target: str | Callable[..., Any]) -> str:
        """How a function is called in the file."""
        if not isinstance(target, str):
            return self._own_function(target)
        head = target.partition(".")[0]
        self.imports.add("jax.scipy.special" if target.startswith("jax.scipy.") else head)
        return target

    def _own_function(self, function: Callable[..., Any]) -> str:
        name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
        found = sys.modules.get(module)
        importable = name.isidentifier() and getattr(found, name, None) is function
        rule = "a rule must be a function of a module that can be imported"
        fix = "define it at the top of a module"
        there = importable and module != "__main__"
        check(there, "to_source", rule, fix, rule=f"{module}.{name}")
        known = self.functions.setdefault(function, (module, name))
        if known == (module, name) and name in self.taken:
            self.functions[function] = (module, f"{name} as {name}_")
            return f"{name}_"
        return known[1].rpartition(" ")[2]


class Expressions:
    """Makes expressions in a method.

    Args:
      names: What the file imports.
      local: The expression for a value of the method, by its number.
      field: What comes before a field's name: "self.", or nothing in `__init__`.
    """

    def __init__(
        self, names: Names, local: Callable[[int], Expression], field: str = "self."
    ) -> None:
        self.names, self.local, self.field = names, local, field

    def leaf(self, x: Any) -> Expression:
        """An argument."""
        match x:
            case Local():
                return self.local(x.number)
            case Own():
                return Expression(f"self{access(x.access)}{'.value' if x.buffer else ''}")
            case Hole():
                return self._field(x)
            case SizeOf():
                return self._size(x)
            case Constant():
                return Expression(self._constant(x))
            case Train():
                return Expression("train")
            case Either():
                text = f"{flat(value(x.training))} if train else {flat(value(x.evaluation))}"
                return Expression(text, CONDITION)
            case Rng():
                return Expression('self.make_rng("dropout") if train else None', CONDITION)
        negative = isinstance(x, int | float) and not isinstance(x, bool) and x < 0
        return Expression(value(x), SIGN if negative else ATOM)

    def argument(self, x: Any) -> Expression:
        """An argument, which may be a sequence or a mapping."""
        if isinstance(x, dict):
            parts = {key: self.argument(y) for key, y in x.items()}
            items = tuple(
                prefixed(f"{flat(value(key))}: ", part.text) for key, part in parts.items()
            )
            return _around(Brackets("{", items, "}"), list(parts.values()))
        if isinstance(x, tuple | list):
            items = [self.argument(y) for y in x]
            start, end = ("(", ")") if isinstance(x, tuple) else ("[", "]")
            return _around(Brackets(start, tuple(i.text for i in items), end), items)
        if isinstance(x, slice):
            return self._slice(x, "slice({}, {}, {})")
        return self.leaf(x)

    def step(self, step: Step) -> Expression:
        """What a step computes."""
        if step.module is not None:
            return self._module(step)
        target = step.target
        if target in _INFIX and not step.kwargs:
            return self._infix(step)
        if target == "operator.neg":
            x = self.argument(step.args[0])
            return _around(f"-{x.inside(SIGN)}", [x], 0, SIGN)
        if target == "jnp.expand_dims" and isinstance(step.kwargs.get("axis"), int):
            axis = step.kwargs["axis"]
            if axis >= 0:
                return self._item(step.args[0], (*(slice(None),) * axis, None))
        if target == "operator.getitem":
            return self._item(*step.args)
        if target == "tensor.with_item":
            x, index, new = step.args
            item, new = self._item(x, index, ".at"), self.argument(new)
            return _around(
                prefixed("", Brackets(f"{flat(item.text)}.set(", (new.text,))), [item, new], 1
            )
        if target == "jnp.asarray" and len(step.args) == 1 and isinstance(step.args[0], Constant):
            return self._array(step.args[0])
        if isinstance(target, str) and target.startswith("."):
            return self._method(target, step)
        assert target is not None
        args = step.args if step.kwargs else _without_defaults(target, step.args)
        return self._call(self.names.function(target), args, step.kwargs)

    def _call(self, function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Expression:
        parts = [self.argument(x) for x in args]
        named = {key: self.argument(x) for key, x in kwargs.items()}
        items = [p.text for p in parts] + [prefixed(f"{k}=", p.text) for k, p in named.items()]
        return _around(call(function, items), [*parts, *named.values()], 1)

    def _module(self, step: Step) -> Expression:
        module = step.module
        read: tuple[int, ...] = ()
        if isinstance(module, Local):
            found = self.local(module.number)
            function, read = flat(found.text), found.reads
        else:
            assert isinstance(module, Own)
            function = f"self{access(module.access)}"
        return self.module_call(function, step, read)

    def module_call(self, function: str, step: Step, read: tuple[int, ...] = ()) -> Expression:
        """The call of a module."""
        if step.method:
            function += f".call{step.method + 1}"
        parts = [self.argument(x) for x in step.args]
        named = {key: self.argument(x) for key, x in step.kwargs.items()}
        items = [p.text for p in parts] + [prefixed(f"{k}=", p.text) for k, p in named.items()]
        if step.train:
            items.append("train" if step.train == "position" and not named else "train=train")
        found = _around(call(function, items), [*parts, *named.values()], 1)
        return dataclasses.replace(found, reads=(*read, *found.reads))

    def _infix(self, step: Step) -> Expression:
        sign, strength = _INFIX[str(step.target)]
        a, b = (self.argument(x) for x in step.args)
        # a ** b ** c is a ** (b ** c); comparisons chain.
        weak_a = strength + (strength in (POWER, COMPARISON))
        weak_b = strength + (strength != POWER)
        text = f"{a.inside(weak_a)} {sign} {b.inside(weak_b)}"
        return _around(text, [a, b], 0, strength)

    def _item(self, x: Any, index: Any, way: str = "") -> Expression:
        base = self.argument(x)
        entries = index if isinstance(index, tuple) else (index,)
        parts = [self._index(entry) for entry in entries]
        text = ", ".join(flat(part.text) for part in parts)
        return _around(f"{base.inside(ATOM)}{way}[{text or '()'}]", [base, *parts], 0)

    def _index(self, x: Any) -> Expression:
        if isinstance(x, slice):
            return self._slice(x, None)
        if isinstance(x, tuple | list):
            self.names.imports.add("jnp")
            inside = self.argument(list(x))
            return _around(call("jnp.array", [inside.text]), [inside])
        return self.argument(x)

    def _slice(self, x: slice, form: str | None) -> Expression:
        parts = [self.argument(y) for y in (x.start, x.stop, x.step)]
        texts = [flat(p.text) for p in parts]
        if form is not None:
            return _around(form.format(*texts), parts)
        texts = ["" if text == "None" else text for text in texts]
        texts = texts if texts[2] else texts[:2]
        # Black's rule: a colon is an operator, the weakest one.
        simple = all(re.fullmatch(r"-?\w*", text) for text in texts)
        return _around(":".join(texts) if simple else " : ".join(texts).strip(), parts)

    def _method(self, target: str, step: Step) -> Expression:
        base = self.argument(step.args[0])
        rest = step.args[1:]
        if target in (".reshape", ".transpose") and len(rest) == 1 and isinstance(rest[0], tuple):
            rest = rest[0] or rest
        name = base.inside(ATOM)
        if name.replace(".", "").isdigit():
            self.names.imports.add("jnp")
            name = f"jnp.asarray({name})"
        found = self._call(f"{name}{target}", rest, step.kwargs)
        return dataclasses.replace(
            found,
            reads=(*base.reads, *found.reads),
            depth=max(base.depth + 1, found.depth),
            weights=base.weights,
            calls_module=base.calls_module,
        )

    def _array(self, constant: Constant) -> Expression:
        text = self.names.constants.text(constant)
        array = self.names.constants.arrays[constant.number]
        if array.ndim == 0:
            return Expression(text, SIGN if text.startswith("-") else ATOM)
        self.names.imports.add("jnp")
        # Eight bytes are four in JAX: asking for them would warn.
        if text.startswith("np.") and (array.itemsize < 8 or array.dtype == np.bool_):
            return Expression(f"jnp.{text[3:]}")
        return Expression(f"jnp.asarray({self._constant(constant)})")

    def _constant(self, constant: Constant) -> str:
        text = self.names.constants.text(constant)
        if text.startswith("np."):
            self.names.imports.add("np")
        return text

    def _field(self, hole: Hole) -> Expression:
        text = hole.form.format(f"{self.field}{hole.field}")
        return Expression(text, ATOM if hole.form == "{}" else PRODUCT)

    def _size(self, size: SizeOf) -> Expression:
        of = self.leaf(size.of)
        text = f"{of.inside(ATOM)}.shape[{size.axis}]"
        strength = ATOM
        if size.factor != 1:
            text, strength = f"{size.factor} * {text}", PRODUCT
        if size.divisor != 1:
            text, strength = f"{text} // {size.divisor}", PRODUCT
        if size.offset:
            sign = "+" if size.offset > 0 else "-"
            text, strength = f"{text} {sign} {abs(size.offset)}", SUM
        return Expression(text, strength, of.reads)


def access(way: Access) -> str:
    """What follows `self`.

    Example:
      >>> access(("downs", Index(0), "conv"))
      '.downs[0].conv'
    """
    return "".join(f"[{value(x.index)}]" if isinstance(x, Index) else f".{x}" for x in way)


def _without_defaults(target: str | Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments without those at the end that are the function's defaults."""
    if not (isinstance(target, str) and target.startswith("F.")):
        return args
    defaults = [x.default for x in inspect.signature(resolve(target)).parameters.values()]
    while args and len(args) <= len(defaults) and isinstance(args[-1], int | float | None):
        if args[-1] != defaults[len(args) - 1] or len(args) == 1:
            break
        args = args[:-1]
    return args


def _around(
    text: Text, parts: list[Expression], deeper: int = 0, strength: int = ATOM
) -> Expression:
    return Expression(
        text,
        strength,
        tuple(n for part in parts for n in part.reads),
        deeper + max((part.depth for part in parts), default=0),
        any(part.weights for part in parts),
        any(part.calls_module for part in parts),
    )
