"""Containers. Mirrors the containers of torch.nn."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import weakref
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

import flax.linen as nn
from flax.linen.module import SetupState

from jaxcnn._checks import check, check_type, is_int

LINEN_FIELDS = {"parent", "name"}


@dataclasses.dataclass(frozen=True)
class _Layer:
    """A layer of a container.

    Attributes:
      name: Its name in PyTorch.
      key: The name that its parameters stand under: its first, if it has several.
      module: The layer as it was given; bound only if it belongs to another module.
    """

    name: str
    key: str
    module: nn.Module


@dataclasses.dataclass(frozen=True)
class _Layers:
    """Layers, hidden from linen, which would name them after the field that holds them."""

    items: tuple[_Layer, ...]

    def __iter__(self) -> Iterator[_Layer]:
        return iter(self.items)


def _cloneable(init: Any) -> Any:
    """`init`, or the container's own where linen clones it, which hands on its layers."""

    @functools.wraps(init)
    def __init__(self: _Container, *args: Any, **kwargs: Any) -> None:
        if isinstance(kwargs.get("layers"), _Layers):
            _Container.__init__(self, **kwargs)
        else:
            init(self, *args, **kwargs)

    return __init__


class _Container(nn.Module):
    """What the containers share: layers by name, of which a container makes its children."""

    layers: Any = ()

    def __init__(
        self, pairs: Iterable[tuple[Any, Any]] = (), *, layers: _Layers | None = None, **linen: Any
    ) -> None:
        set_linen_fields(self, linen)
        self.layers = _checked(type(self), tuple(pairs)) if layers is None else layers
        self.__post_init__()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Lets linen clone a subclass, by its layers, whatever its own `__init__` takes."""
        own_init = cls.__dict__.get("__init__")
        super().__init_subclass__(**kwargs)
        if own_init is None:
            del cls.__init__  # linen's, made from the fields
        else:
            cls.__init__ = _cloneable(own_init)

    def setup(self) -> None:
        for key, module in {layer.key: layer.module for layer in self.layers}.items():
            setattr(self, key, module)

    @nn.nowrap
    def clone(
        self, *, parent: Any = None, _deep_clone: Any = False, _reset_names: bool = False, **updates
    ) -> Self:
        """Linen's own, which does not see the layers and would untie those used elsewhere too."""
        if _deep_clone is not False:
            clones = weakref.WeakValueDictionary() if _deep_clone is True else _deep_clone
            names = {"name": None} if _reset_names else {}

            def copy(layer: _Layer) -> _Layer:
                key = layer.module._id
                module = clones.get(key)
                if module is None:
                    module = layer.module.clone(
                        _deep_clone=clones, _reset_names=_reset_names, **names
                    )
                    clones[key] = module
                return dataclasses.replace(layer, module=module)

            updates = {"layers": _Layers(tuple(map(copy, self.layers))), **updates}
            _deep_clone = clones
        return super().clone(
            parent=parent, _deep_clone=_deep_clone, _reset_names=_reset_names, **updates
        )

    @nn.nowrap
    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Yields (name, layer) in order; a layer that stands here twice comes twice."""
        for layer in self.layers:
            yield layer.name, self._child(layer)

    @nn.nowrap
    def __len__(self) -> int:
        return len(self.layers.items)

    @nn.nowrap
    def _child(self, layer: _Layer) -> nn.Module:
        return layer.module if self.scope is None else getattr(self, layer.key)

    @nn.nowrap
    def _at(self, index: Any) -> nn.Module:
        where, n = type(self).__name__, len(self)
        check_type(is_int(index), where, "index must be an int or a slice", index=index)
        if not -n <= index < n:
            raise IndexError(f"{where}: index must be in range({-n}, {n}), got index={index!r}.")
        return self._child(self.layers.items[index])

    @nn.nowrap
    def _slice(self, index: slice) -> tuple[_Layer, ...]:
        return tuple(
            dataclasses.replace(layer, module=self._child(layer))
            for layer in self.layers.items[index]
        )


class Sequential(_Container):
    """Calls layers one after the other.

    Mirrors `torch.nn.Sequential`: children are named "0", "1", ..., or by the keys of a mapping.
    `train` goes to every layer that takes it. A layer that is used twice is one set of parameters,
    under its first name only; PyTorch's state_dict lists it under each (`interop.tied_names`).
    Inside a method marked `@nn.compact` a new layer belongs to the Sequential that it is given to.

    `len`, iteration and indexing are PyTorch's. Of a model that holds no variables, `model[0]` is
    the layer as it was given; of a bound one, `model.bind(variables)[0]`, the layer with its
    variables. A slice is a Sequential whose layers keep their names, so that the whole model's
    variables are its variables too. Layers are not appended, replaced or deleted.

    A subclass may have an `__init__` of its own that calls `super().__init__(*layers)`. It keeps
    nothing else: linen copies modules, and copies a Sequential by its layers.

    Args:
      *layers: The layers, or one mapping from names to layers.

    Raises:
      TypeError: If something is not a linen module, a name is not a string, or an index is neither
        an integer nor a slice.
      ValueError: If a name is empty, holds a dot or is taken by linen.
      IndexError: If there is no such layer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
      >>> x = jnp.ones((1, 8, 8, 3))
      >>> variables = model.init(jax.random.key(0), x)
      >>> variables["params"]["0"]["weight"].shape
      (8, 3, 3, 3)
      >>> model[:2].apply(variables, x).shape
      (1, 6, 6, 8)
      >>> model[0].apply({"params": variables["params"]["0"]}, x).shape
      (1, 6, 6, 8)
      >>> model.bind(variables)[-1](jnp.ones((1, 288))).shape
      (1, 10)
    """

    def __init__(self, *args: Any, **linen: Any) -> None:
        one_mapping = len(args) == 1 and isinstance(args[0], Mapping)
        super().__init__(args[0].items() if one_mapping else _numbered(args), **linen)

    def __call__(self, x: Any, train: bool = False) -> Any:
        for layer in self.layers:
            child = self._child(layer)
            match train_argument(type(child)):
                case None:
                    x = child(x)
                case "second":
                    x = child(x, train)
                case "keyword":
                    x = child(x, train=train)
        return x

    @nn.nowrap
    def __iter__(self) -> Iterator[nn.Module]:
        return map(self._child, self.layers)

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    @nn.nowrap
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(layers=_Layers(self._slice(index)), parent=None)
        return self._at(index)


class ModuleList(_Container):
    """Holds layers in a list.

    Mirrors `torch.nn.ModuleList`: children are named "0", "1", .... It is a part of a module, made
    in its `setup` or in a method marked `@nn.compact`, and cannot be called; the module indexes it
    or iterates over it. A slice is a ModuleList over the same layers. A layer that stands in it
    twice is one set of parameters. Layers are not appended, replaced or deleted.

    Args:
      modules: The layers.

    Raises:
      TypeError: If `modules` is not an iterable of linen modules, or an index is neither an
        integer nor a slice.
      IndexError: If there is no such layer.

    Example:
      >>> import flax.linen as linen, jax, jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> class Net(linen.Module):
      ...     def setup(self):
      ...         self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
      ...
      ...     def __call__(self, x):
      ...         for layer in self.layers:
      ...             x = jax.nn.relu(layer(x))
      ...         return x
      >>> variables = Net().init(jax.random.key(0), jnp.ones((1, 3)))
      >>> variables["params"]["layers"]["1"]["weight"].shape
      (3, 3)
    """

    def __init__(self, modules: Iterable[nn.Module] | None = None, **linen: Any) -> None:
        rule = "modules must be an iterable of layers"
        iterable = modules is None or isinstance(modules, Iterable)
        check_type(iterable, type(self).__name__, rule, modules=modules)
        super().__init__(_numbered(modules or ()), **linen)

    @nn.nowrap
    def __iter__(self) -> Iterator[nn.Module]:
        return map(self._child, self.layers)

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    @nn.nowrap
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            layers = _layers(_numbered(layer.module for layer in self._slice(index)))
            return type(self)(layers=layers, parent=None)
        return self._at(index)


class ModuleDict(_Container):
    """Holds layers in a dictionary.

    Mirrors `torch.nn.ModuleDict`: children are named by its keys. It is a part of a module, made in
    its `setup` or in a method marked `@nn.compact`, and cannot be called; the module looks layers
    up or iterates over `keys()`, `values()` or `items()`. A layer that stands in it twice is one
    set of parameters. Layers are not added, replaced or deleted.

    Args:
      modules: A mapping from names to layers, or an iterable of pairs.

    Raises:
      TypeError: If `modules` is neither, something is not a linen module, or a name is not a
        string.
      ValueError: If a name is empty, holds a dot or is taken by linen.
      KeyError: If there is no such layer.

    Example:
      >>> import flax.linen as linen, jax, jax.numpy as jnp
      >>> from jaxcnn import nn
      >>> class Net(linen.Module):
      ...     activation: str
      ...
      ...     def setup(self):
      ...         self.activations = nn.ModuleDict({"relu": nn.ReLU(), "sigmoid": nn.Sigmoid()})
      ...
      ...     def __call__(self, x):
      ...         return self.activations[self.activation](x)
      >>> Net("relu").apply({}, jnp.array([-1.0, 2.0])).tolist()
      [0.0, 2.0]
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module] | Iterable[tuple[str, nn.Module]] | None = None,
        **linen: Any,
    ) -> None:
        rule = "modules must be a mapping or an iterable of pairs"
        iterable = modules is None or isinstance(modules, Iterable)
        check_type(iterable, type(self).__name__, rule, modules=modules)
        pairs = tuple(modules.items() if isinstance(modules, Mapping) else modules or ())
        are_pairs = all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
        check_type(are_pairs, type(self).__name__, rule, modules=modules)
        super().__init__(pairs, **linen)

    @nn.nowrap
    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    @nn.nowrap
    def __contains__(self, key: Any) -> bool:
        return key in self.keys()

    @nn.nowrap
    def __getitem__(self, key: str) -> nn.Module:
        for layer in self.layers:
            if layer.name == key:
                return self._child(layer)
        names = [layer.name for layer in self.layers]
        raise KeyError(f"{type(self).__name__}: key must be one of {names}, got key={key!r}.")

    @nn.nowrap
    def keys(self) -> KeysView[str]:
        """The names, in order."""
        return {layer.name: None for layer in self.layers}.keys()

    @nn.nowrap
    def values(self) -> ValuesView[nn.Module]:
        """The layers, in order."""
        return dict(self.named_children()).values()

    @nn.nowrap
    def items(self) -> ItemsView[str, nn.Module]:
        """(name, layer), in order."""
        return dict(self.named_children()).items()


def set_linen_fields(module: nn.Module, fields: Mapping[str, Any]) -> None:
    """Sets the two fields that linen gives to every module, for an `__init__` of our own.

    Raises:
      TypeError: If there is a field other than `parent` and `name`.
    """
    defaults = {f.name: f.default for f in dataclasses.fields(module) if f.name in LINEN_FIELDS}
    unknown = sorted(set(fields) - LINEN_FIELDS)
    rule = "keyword arguments must be linen's parent or name"
    check_type(not unknown, type(module).__name__, rule, unknown=unknown)
    for field, value in {**defaults, **fields}.items():
        setattr(module, field, value)


def _numbered(modules: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(i), module) for i, module in enumerate(modules))


def _layers(pairs: Iterable[tuple[str, nn.Module]]) -> _Layers:
    keys: dict[int, str] = {}
    return _Layers(
        tuple(_Layer(name, keys.setdefault(id(module), name), module) for name, module in pairs)
    )


def _checked(container: type[_Container], pairs: tuple[tuple[Any, Any], ...]) -> _Layers:
    """The layers, free of the compact method that linen has tied them to on construction."""
    where = container.__name__
    taken = {*dir(container), *LINEN_FIELDS}
    for name, module in pairs:
        check_type(isinstance(name, str), where, "a layer's name must be a string", name=name)
        rule = f"layer {name!r} must be a linen module"
        check_type(isinstance(module, nn.Module), where, rule, layer=module)
        rule = "a layer's name must not be empty or hold a dot"
        check(name != "" and "." not in name, where, rule, name=name)
        check(name not in taken, where, "a layer's name must not be linen's", name=name)
        parent = module.parent
        if isinstance(parent, nn.Module) and parent._state.in_compact_method and _is_new(module):
            parent._state.children.pop(module.name, None)
            for field in ("parent", "name", "scope"):
                object.__setattr__(module, field, None)
    return _layers(pairs)


def _is_new(layer: nn.Module) -> bool:
    return layer._state.setup_called == SetupState.NEW


@functools.cache
def train_argument(layer: type[nn.Module]) -> str | None:
    """How `layer` takes `train`: as its "second" argument, as a "keyword", or not at all.

    A lifted layer, such as `nn.remat(Sequential, static_argnums=2)`, takes a static `train` by
    position only.
    """
    parameters = inspect.signature(layer.__call__).parameters
    if "train" not in parameters:
        return None
    keyword_only = parameters["train"].kind is inspect.Parameter.KEYWORD_ONLY
    second = list(parameters).index("train") == 2 and not keyword_only
    return "second" if second else "keyword"
