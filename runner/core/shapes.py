"""Checks of plain JSON against a JSON Schema, compiled once and fast: thousands of records are checked in a second.

It knows the few keywords that the schemas of predicates use and refuses any other, so that nothing is overlooked.
Stricter than JSON Schema in one point: `1.0` is no integer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], str | None]
"""Takes a value and its place; says what is wrong, or None."""

_SILENT = {"$schema", "$id", "$defs", "title", "description", "examples"}


class UnknownKeyword(ValueError):
    """A schema uses a keyword that is not checked here."""


def compiled(schema: Mapping[str, Any]) -> Callable[[Any], str | None]:
    """A function that says the first thing that is wrong with a value, with its place; None where all is well."""
    check = _Compiler(schema).check(schema)
    return lambda value: check(value, "")


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": _is_integer,
    "number": _is_number,
}


class _Compiler:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[str, Check] = {}

    def check(self, schema: Mapping[str, Any] | bool) -> Check:
        if schema is True:
            return lambda value, place: None
        if schema is False:
            return lambda value, place: f"{place or 'it'} is not allowed"
        checks = [self._keyword(word, schema) for word in schema if word not in _SILENT]
        found = [check for check in checks if check is not None]
        if len(found) == 1:
            return found[0]

        def every(value: Any, place: str) -> str | None:
            for check in found:
                wrong = check(value, place)
                if wrong is not None:
                    return wrong
            return None

        return every

    def _keyword(self, word: str, schema: Mapping[str, Any]) -> Check | None:
        if word in ("properties", "required", "additionalProperties", "propertyNames"):
            # Handled together, once for each object.
            first = next(
                name for name in schema if name in ("properties", "required", "additionalProperties", "propertyNames")
            )
            return self._object(schema) if word == first else None
        maker = getattr(self, f"_{word.lstrip('$')}", None)
        if maker is None or word in ("object", "keyword", "check"):
            raise UnknownKeyword(word)
        made: Check = maker(schema[word])
        return made

    def _object(self, schema: Mapping[str, Any]) -> Check:
        properties = {name: self.check(inner) for name, inner in schema.get("properties", {}).items()}
        required = tuple(schema.get("required", ()))
        others = self.check(schema.get("additionalProperties", True))
        names = self.check(schema.get("propertyNames", True))

        def check(value: Any, place: str) -> str | None:
            if not isinstance(value, dict):
                return None
            for name in required:
                if name not in value:
                    return f"{place or 'it'} lacks {name!r}"
            for name, inner in value.items():
                at = f"{place}.{name}" if place else name
                wrong = names(name, at) or properties.get(name, others)(inner, at)
                if wrong is not None:
                    return wrong
            return None

        return check

    def _ref(self, name: str) -> Check:
        if not name.startswith("#/$defs/"):
            raise UnknownKeyword(f"$ref {name}")
        part = name.removeprefix("#/$defs/")

        def check(value: Any, place: str) -> str | None:
            # Compiled at the first use, so that a definition may refer to itself.
            if part not in self._known:
                self._known[part] = self.check(self._root["$defs"][part])
            return self._known[part](value, place)

        return check

    def _type(self, names: str | list[str]) -> Check:
        wanted = [names] if isinstance(names, str) else names
        tests = [_TYPES[name] for name in wanted]
        said = " or ".join(wanted)
        if len(tests) == 1:
            test = tests[0]
            return lambda value, place: None if test(value) else f"{place or 'it'} is not of type {said}"
        return lambda value, place: None if any(t(value) for t in tests) else f"{place or 'it'} is not of type {said}"

    def _enum(self, values: list[Any]) -> Check:
        return lambda value, place: (
            None if any(_same(value, known) for known in values) else f"{place} is none of {values}"
        )

    def _const(self, known: Any) -> Check:
        return lambda value, place: None if _same(value, known) else f"{place} is not {known!r}"

    def _pattern(self, text: str) -> Check:
        # `$` of Python also stands before a last newline, that of JSON Schema does not.
        search = re.compile(text[:-1] + r"\Z" if text.endswith("$") else text).search

        def check(value: Any, place: str) -> str | None:
            return None if not isinstance(value, str) or search(value) else f"{place} does not look like {text}"

        return check

    def _minimum(self, least: float) -> Check:
        return lambda value, place: f"{place} is below {least}" if _is_number(value) and value < least else None

    def _items(self, schema: Mapping[str, Any]) -> Check:
        inner = self.check(schema)

        def check(value: Any, place: str) -> str | None:
            for number, item in enumerate(value if isinstance(value, list) else ()):
                wrong = inner(item, f"{place}[{number}]")
                if wrong is not None:
                    return wrong
            return None

        return check

    def _minItems(self, least: int) -> Check:
        return lambda value, place: (
            f"{place} has too few items" if isinstance(value, list) and len(value) < least else None
        )

    def _minLength(self, least: int) -> Check:
        return lambda value, place: f"{place} is too short" if isinstance(value, str) and len(value) < least else None

    def _anyOf(self, schemas: list[Mapping[str, Any]]) -> Check:
        checks = [self.check(schema) for schema in schemas]

        def check(value: Any, place: str) -> str | None:
            said = [wrong for wrong in (one(value, place) for one in checks) if wrong is not None]
            return None if len(said) < len(checks) else said[0]

        return check


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
