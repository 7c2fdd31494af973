"""Checks of plain JSON against a JSON Schema, compiled once and fast: thousands of records are checked in a second.

It knows the few keywords that the schemas in `schemas/` use and refuses any other, so that nothing is overlooked.
Stricter than JSON Schema in three points: `1.0` is no integer, a number is finite, and the end of a pattern is the end
of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], str | None]
"""Says what is wrong with a value, or None. A message begins with the place, put together only on the way up."""

_SILENT = {"$schema", "$id", "$defs", "title", "description", "examples", "default", "then", "else"}
_OF_OBJECTS = ("properties", "required", "additionalProperties", "propertyNames")


class UnknownKeyword(ValueError):
    """A schema uses a keyword that is not checked here."""


def compiled(schema: Mapping[str, Any]) -> Check:
    """A function that says the first thing that is wrong with a value, with its place; None where all is well."""
    check = _Compiler(schema).check(schema)

    def checked(value: Any) -> str | None:
        wrong = check(value)
        return None if wrong is None else wrong.removeprefix(".").strip()

    return checked


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
"""What `json.loads` makes of each type; `bool` is no number, since the type itself is compared."""
_NO_NUMBERS = (float("inf"), float("-inf"))


def _anything(_value: Any) -> str | None:
    return None


def _nothing(_value: Any) -> str | None:
    return " is not allowed"


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[str, Check] = {}

    def check(self, schema: Mapping[str, Any] | bool) -> Check:
        if isinstance(schema, bool):
            return _anything if schema else _nothing
        words = [word for word in schema if word not in _SILENT and word not in _OF_OBJECTS]
        if words == ["type"] and schema["type"] == "object":
            return self._object(schema, otherwise=" is not of type object")
        checks = [self._if(schema) if word == "if" else self._keyword(word, schema[word]) for word in words]
        if any(word in schema for word in _OF_OBJECTS):
            checks.append(self._object(schema, otherwise=None))
        if len(checks) == 1:
            return checks[0]
        if len(checks) == 2:
            first, second = checks
            return lambda value: first(value) or second(value)
        found = tuple(checks)

        def every(value: Any) -> str | None:
            for check in found:
                wrong = check(value)
                if wrong is not None:
                    return wrong
            return None

        return every

    def _keyword(self, word: str, value: Any) -> Check:
        makers: Mapping[str, Callable[[Any], Check]] = {
            "$ref": self._ref,
            "type": _type,
            "enum": _enum,
            "const": _const,
            "pattern": _pattern,
            "minimum": _minimum,
            "maximum": _maximum,
            "exclusiveMinimum": _above,
            "exclusiveMaximum": _below,
            "minItems": _least_items,
            "maxItems": _most_items,
            "uniqueItems": _unique_items,
            "minLength": _least_length,
            "minProperties": _least_properties,
            "items": self._items,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
        }
        if word not in makers:
            raise UnknownKeyword(word)
        return makers[word](value)

    def _object(self, schema: Mapping[str, Any], *, otherwise: str | None) -> Check:
        properties = {name: self.check(inner) for name, inner in schema.get("properties", {}).items()}
        required = tuple(schema.get("required", ()))
        others = self.check(schema.get("additionalProperties", True))
        names = self.check(schema.get("propertyNames", True))

        def check(value: Any) -> str | None:
            if type(value) is not dict:
                return otherwise
            for name in required:
                if name not in value:
                    return f" lacks {name!r}"
            for name, inner in value.items():
                wrong = properties.get(name, others)(inner)
                if wrong is None and names is not _anything:
                    wrong = names(name)
                if wrong is not None:
                    return f".{name}{wrong}"
            return None

        return check

    def _ref(self, name: str) -> Check:
        if not name.startswith("#/$defs/"):
            raise UnknownKeyword(f"$ref {name}")
        part = name.removeprefix("#/$defs/")

        def check(value: Any) -> str | None:
            # Compiled at the first use, so that a definition may refer to itself.
            known = self._known.get(part)
            if known is None:
                known = self._known[part] = self.check(self._root["$defs"][part])
            return known(value)

        return check

    def _items(self, schema: Mapping[str, Any]) -> Check:
        inner = self.check(schema)

        def check(value: Any) -> str | None:
            for number, item in enumerate(value if type(value) is list else ()):
                wrong = inner(item)
                if wrong is not None:
                    return f"[{number}]{wrong}"
            return None

        return check

    def _any_of(self, schemas: list[Mapping[str, Any]]) -> Check:
        checks = [self.check(schema) for schema in schemas]

        def check(value: Any) -> str | None:
            first = None
            for one in checks:
                wrong = one(value)
                if wrong is None:
                    return None
                first = first or wrong
            return first

        return check

    def _one_of(self, schemas: list[Mapping[str, Any]]) -> Check:
        checks = [self.check(schema) for schema in schemas]

        def check(value: Any) -> str | None:
            wrong = [one(value) for one in checks]
            fitting = wrong.count(None)
            return None if fitting == 1 else " fits more than one form" if fitting else wrong[0]

        return check

    def _if(self, schema: Mapping[str, Any]) -> Check:
        condition = self.check(schema["if"])
        then, otherwise = (self.check(schema.get(word, True)) for word in ("then", "else"))
        return lambda value: (then if condition(value) is None else otherwise)(value)


def _type(names: str | list[str]) -> Check:
    wanted = [names] if isinstance(names, str) else names
    said = f" is not of type {' or '.join(wanted)}"
    types = frozenset(kind for name in wanted for kind in _TYPES[name])
    if float in types:
        return lambda value: None if type(value) in types and value not in _NO_NUMBERS and value == value else said
    return lambda value: None if type(value) in types else said


def _enum(values: list[Any]) -> Check:
    said = f" is none of {', '.join(map(str, values))}"
    return lambda value: None if any(_same(value, known) for known in values) else said


def _const(known: Any) -> Check:
    return lambda value: None if _same(value, known) else f" is not {known!r}"


def _pattern(text: str) -> Check:
    # `$` of Python also stands before a last newline.
    search = re.compile(text[:-1] + r"\Z" if text.endswith("$") else text).search
    said = f" does not look like {text}"
    return lambda value: None if type(value) is not str or search(value) is not None else said


def _minimum(least: float) -> Check:
    return lambda value: f" is below {least}" if type(value) in (int, float) and value < least else None


def _maximum(most: float) -> Check:
    return lambda value: f" is above {most}" if type(value) in (int, float) and value > most else None


def _above(limit: float) -> Check:
    return lambda value: f" is not above {limit}" if type(value) in (int, float) and value <= limit else None


def _below(limit: float) -> Check:
    return lambda value: f" is not below {limit}" if type(value) in (int, float) and value >= limit else None


def _least_properties(least: int) -> Check:
    return lambda value: " has too few members" if type(value) is dict and len(value) < least else None


def _least_items(least: int) -> Check:
    return lambda value: " has too few items" if type(value) is list and len(value) < least else None


def _most_items(value: int) -> Check:
    return lambda found: f" has more than {value} items" if isinstance(found, list) and len(found) > value else None


def _unique_items(value: bool) -> Check:
    def check(found: Any) -> str | None:
        is_twice = value and isinstance(found, list) and any(item in found[:at] for at, item in enumerate(found))
        return " has an item twice" if is_twice else None

    return check


def _least_length(least: int) -> Check:
    return lambda value: " is too short" if type(value) is str and len(value) < least else None


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
