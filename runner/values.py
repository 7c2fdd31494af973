"""Dataclasses whose methods are made when they are first needed, so that a command starts fast.

For the type checker, and to whoever uses them, these are the `dataclass`, `field` and `replace` of the standard
library. That one writes and compiles half a dozen methods for every class while it is imported (0.4 ms each), and the
module itself costs as much as a dozen classes. A command imports many values and makes few of them, so here `__init__`
is compiled for classes of which many are made, and the other methods are shared by all. The functions of `dataclasses`,
such as `fields`, work on them too.

Left out is what nothing here needs: inheritance of fields, `kw_only`, and comparing some fields only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "replace"]

_MISSING: Any = object()
_BY_HAND = 30
"""So many values of a class are made before its `__init__` is compiled."""
_FIELDS = "__dataclass_fields__"
"""By this attribute the standard library knows a dataclass."""


class _Field:
    """What `field()` says of one field."""

    __slots__ = ("default", "factory", "init")

    def __init__(self, default: Any, factory: Any, init: bool) -> None:
        self.default = default
        self.factory = factory
        self.init = init


class _Shape:
    """The fields of one class."""

    __slots__ = ("fields", "frozen", "notes")

    def __init__(self, cls: type, frozen: bool) -> None:
        self.notes: dict[str, Any] = cls.__dict__.get("__annotations__", {})  # noqa: RUF063 - `inspect` is slow to import
        self.frozen = frozen
        self.fields: dict[str, _Field] = {}
        for name in self.notes:
            stated = cls.__dict__.get(name, _MISSING)
            self.fields[name] = stated if isinstance(stated, _Field) else _Field(stated, _MISSING, True)


class _Listed:
    """A descriptor that makes the standard library's list of the fields when somebody asks for it."""

    __slots__ = ("shape",)

    def __init__(self, shape: _Shape) -> None:
        self.shape = shape

    def __get__(self, instance: object, owner: type) -> Any:
        import dataclasses  # imported late: start-up, which is what this module is for

        rows = []
        for name, row in self.shape.fields.items():
            options: dict[str, Any] = {"init": row.init}
            options |= {"default": row.default} if row.default is not _MISSING else {}
            options |= {"default_factory": row.factory} if row.factory is not _MISSING else {}
            rows.append((name, self.shape.notes[name], dataclasses.field(**options)))
        made = getattr(dataclasses.make_dataclass(owner.__name__, rows), _FIELDS)
        setattr(owner, _FIELDS, made)
        return made


def _dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, order: bool = False) -> Any:
    def made(cls: type) -> type:
        return _made(cls, frozen=frozen, slots=slots, order=order)

    return made if cls is None else made(cls)


def _field(*, default: Any = _MISSING, default_factory: Any = _MISSING, init: bool = True) -> Any:
    return _Field(default, default_factory, init)


def _replace(value: Any, /, **changes: Any) -> Any:
    fields = _shape_of(type(value)).fields
    stated = {name: getattr(value, name) for name, row in fields.items() if row.init and name not in changes}
    return type(value)(**stated, **changes)


def _made(cls: type, *, frozen: bool, slots: bool, order: bool) -> type:
    if any(hasattr(base, "__shape__") for base in cls.__bases__):
        raise TypeError(f"{cls.__qualname__}: a value inherits no fields")
    shape = _Shape(cls, frozen)
    own = cls.__dict__
    space = {name: value for name, value in _SHARED.items() if name not in own}
    space |= _ORDERED if order else {}
    if frozen:
        space |= _FROZEN if own.get("__hash__") is None else {**_FROZEN, "__hash__": own["__hash__"]}
        if slots:
            space |= _FROZEN_SLOTS
    elif "__hash__" not in own or own["__hash__"] is None:
        space["__hash__"] = None
    space["__match_args__"] = tuple(name for name, row in shape.fields.items() if row.init)
    space |= {"__shape__": shape, _FIELDS: _Listed(shape)}
    defaults = {name: row.default for name, row in shape.fields.items() if row.default is not _MISSING}
    if slots:
        kept = {name: value for name, value in own.items() if name not in shape.fields}
        dropped = ("__dict__", "__weakref__")
        space = {name: value for name, value in kept.items() if name not in dropped} | space
        cls = type(cls)(cls.__name__, cls.__bases__, space | {"__slots__": tuple(shape.fields)})
    else:
        for name, value in (space | defaults).items():
            setattr(cls, name, value)
        for name, row in shape.fields.items():
            if row.factory is not _MISSING:
                delattr(cls, name)
    cls.__init__ = _first_init(cls, shape)  # type: ignore[misc]
    return cls


def _first_init(cls: type, shape: _Shape) -> Any:
    """An `__init__` that sets the fields of the first values by hand, and then makes the real one in its own place.

    Compiling one costs as much as some forty values made by hand, and of most classes a command makes one or two.
    """
    rows = tuple(shape.fields.items())
    names = tuple(name for name, row in rows if row.init)
    known, later = frozenset(names), getattr(cls, "__post_init__", None)
    needed = {name for name, row in rows if row.default is _MISSING and row.factory is _MISSING}
    left = _BY_HAND

    def first(self: Any, *arguments: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        given = dict(zip(names, arguments, strict=False))
        is_sound = len(arguments) <= len(names) and known.issuperset(named) and given.keys().isdisjoint(named)
        given |= named
        if left < 0 or not is_sound or not needed.issubset(given):
            init = _init_of(cls, shape)  # which also says what is wrong with the arguments
            cls.__init__ = init  # type: ignore[misc]
            init(self, *arguments, **named)
            return
        for name, row in rows:
            value = given[name] if name in given else row.default if row.factory is _MISSING else row.factory()
            object.__setattr__(self, name, value)
        if later is not None:
            later(self)

    return first


def _init_of(cls: type, shape: _Shape) -> Any:
    """The `__init__` that the standard library would have written: same parameters, same defaults."""
    known: dict[str, Any] = {"_MISSING": _MISSING, "_set": object.__setattr__}
    parameters, body = ["self"], []
    for name, row in shape.fields.items():
        value = name
        if row.factory is not _MISSING:
            known[f"_make_{name}"] = row.factory
            value = f"_make_{name}() if {name} is _MISSING else {name}" if row.init else f"_make_{name}()"
        elif row.default is not _MISSING:
            known[f"_default_{name}"] = row.default
            value = name if row.init else f"_default_{name}"
        if row.init:
            default = "_MISSING" if row.factory is not _MISSING else f"_default_{name}"
            is_optional = row.factory is not _MISSING or row.default is not _MISSING
            parameters.append(f"{name}={default}" if is_optional else name)
        body.append(_assignment(cls, name, value, known, shape.frozen))
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    lines = "\n ".join(body or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n {lines}", known)
    init = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"  # which messages about arguments say
    return init


def _assignment(cls: type, name: str, value: str, known: dict[str, Any], frozen: bool) -> str:
    if not frozen:
        return f"self.{name} = {value}"
    if "__slots__" in cls.__dict__:
        known[f"_set_{name}"] = cls.__dict__[name].__set__  # faster than by the name
        return f"_set_{name}(self, {value})"
    return f"_set(self, {name!r}, {value})"


def _shape_of(cls: type) -> _Shape:
    shape: _Shape = cls.__shape__  # type: ignore[attr-defined]
    return shape


def _values(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in _shape_of(type(value)).fields])


def _same(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _shown(self: Any) -> str:
    rows = [f"{name}={getattr(self, name)!r}" for name in _shape_of(type(self)).fields]
    return f"{type(self).__qualname__}({', '.join(rows)})"


def _refuse_change(self: Any, name: str, *_: Any) -> None:
    from dataclasses import FrozenInstanceError  # imported late: a defect

    raise FrozenInstanceError(f"cannot change field {name!r}")


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(_shape_of(type(self)).fields, state, strict=True):
        object.__setattr__(self, name, value)


def _compared(name: str) -> Any:
    def compare(self: Any, other: Any) -> Any:
        same_kind = other.__class__ is self.__class__
        return getattr(_values(self), name)(_values(other)) if same_kind else NotImplemented

    return compare


_SHARED: dict[str, Any] = {"__repr__": _shown, "__eq__": _same}
_FROZEN: dict[str, Any] = {
    "__hash__": lambda self: hash(_values(self)),
    "__setattr__": _refuse_change,
    "__delattr__": _refuse_change,
}
_FROZEN_SLOTS: dict[str, Any] = {"__getstate__": lambda self: list(_values(self)), "__setstate__": _set_state}
_ORDERED: dict[str, Any] = {name: _compared(name) for name in ("__lt__", "__le__", "__gt__", "__ge__")}

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    dataclass, field, replace = _dataclass, _field, _replace
