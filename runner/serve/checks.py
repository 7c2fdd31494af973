"""The signature of a model, compiled into fast checks: of one row in plain Python, of many rows column by column.

Types, presence and the JSON Schema bounds of a column bind. What was merely seen in training binds only where the
server was told so, since a value outside of it is a surprise and no error.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.serve.refusals import Refused, wrong_value
from runner.values import dataclass

if TYPE_CHECKING:
    import numpy

_NAN = float("nan")
_INT64 = 1 << 63
FEW = 16
"""Rows that are cheaper as lists than as arrays."""
_KINDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "string": "a text",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a model."""

    name: str
    kind: str
    nullable: bool
    minimum: float | None
    maximum: float | None
    choices: frozenset[Any] | None
    expected: str
    """In words, for refusals."""


class Rows:
    """Rows that were found right: as lists of values where they are few, else as arrays of columns."""

    __slots__ = ("count", "few", "many")

    def __init__(
        self, count: int, few: list[list[Any]] | None = None, many: list[numpy.ndarray[Any, Any]] | None = None
    ) -> None:
        self.count = count
        self.few = few
        self.many = many


class Checks:
    """What the rows of one model have to be."""

    def __init__(self, signature: Mapping[str, Any], *, strict: bool, extra: bool, most_rows: int) -> None:
        """Raises KeyError or TypeError for a signature of another shape than a model folder holds."""
        properties = signature["input"]["properties"]
        self.columns = [_column(name, told, strict) for name, told in properties.items()]
        self.names = [column.name for column in self.columns]
        self.width = len(self.names)
        self.numeric = all(column.kind != "string" for column in self.columns)
        self._known = frozenset(self.names)
        self._extra = extra
        self._most = most_rows
        self._checks = [_check_of(column) for column in self.columns]
        self._pairs = list(zip(self.names, self._checks, strict=True))

    def record(self, row: Any, at: int) -> list[Any]:
        """The values of a row that is an object, in the order of the model; raises Refused."""
        if type(row) is not dict:
            raise Refused(f"row {at}: expected an object with the columns of the model", row=at)
        try:
            made = [check(row[name], at) for name, check in self._pairs]
        except KeyError:
            raise self._lacking(row, at) from None
        if len(row) != self.width and not self._extra:
            raise self._unknown(row)
        return made

    def listed(self, row: Any, at: int) -> list[Any]:
        """The values of a row that is a list in the order of the model; raises Refused."""
        if type(row) is not list or len(row) != self.width:
            found = f"{len(row)} values" if type(row) is list else "no list"
            text = f"row {at}: expected {self.width} values, one for each of {_some(self.names)}, found {found}"
            raise Refused(text, row=at)
        return [check(value, at) for check, value in zip(self._checks, row, strict=True)]

    def rows(self, given: Any) -> Rows:
        """Rows that are objects or lists; raises Refused."""
        if type(given) is not list:
            raise Refused("expected a list of rows")
        self.check_count(len(given))
        if given and type(given[0]) is list:
            return Rows(len(given), few=[self.listed(row, at) for at, row in enumerate(given)])
        return Rows(len(given), few=[self.record(row, at) for at, row in enumerate(given)])

    def split(self, names: Any, data: Any, *, bounded: bool = True) -> Rows:
        """Rows that are lists in the order of `names`; raises Refused.

        bounded: whether they are a client's, and may be no more than one request may have.
        """
        if type(names) is not list or type(data) is not list:
            raise Refused("expected `columns`, a list of names, and `data`, a list of rows")
        if not all(type(name) is str for name in names):
            raise Refused("expected `columns` to hold names, each a text")
        if bounded:
            self.check_count(len(data))
        order = self.order(names)
        width = len(names)
        for at, row in enumerate(data):
            if type(row) is not list or len(row) != width:
                raise Refused(f"row {at}: expected {width} values, one for each of `columns`", row=at)
        pairs = list(zip(order, self._checks, strict=True))
        return Rows(len(data), few=[[check(row[place], at) for place, check in pairs] for at, row in enumerate(data)])

    def by_column(self, given: Mapping[str, Any]) -> Rows:
        """Columns, each a list of values or an array, by name; raises Refused."""
        self.order(list(given))
        counts = {name: len(given[name]) for name in self.names}
        count = next(iter(counts.values()), 0)
        for name, found in counts.items():
            if found != count:
                text = f"column `{name}`: expected {count} values, as `{self.names[0]}` has, found {found}"
                raise Refused(text, column=name)
        self.check_count(count)
        if count <= FEW:
            listed = [given[name] if type(given[name]) is list else given[name].tolist() for name in self.names]
            checked = [
                [check(_null(value), at) for at, value in enumerate(values)]
                for check, values in zip(self._checks, listed, strict=True)
            ]
            return Rows(count, few=[list(row) for row in zip(*checked, strict=True)])
        return Rows(
            count,
            many=[
                array_of(column, check, given[column.name])
                for column, check in zip(self.columns, self._checks, strict=True)
            ],
        )

    def order(self, names: Sequence[str]) -> list[int]:
        """Where each column of the model stands among names; raises Refused for one too few, too many or twice."""
        places = {name: place for place, name in enumerate(names)}
        if len(places) != len(names):
            twice = next(name for place, name in enumerate(names) if places[name] != place)
            raise Refused(f"column `{twice[:80]}`: it is there twice", column=twice[:80])
        if not self._known <= places.keys():
            raise self._lacking(places, None)
        if len(places) != self.width and not self._extra:
            raise self._unknown(places)
        return [places[name] for name in self.names]

    def check_count(self, count: int) -> None:
        """Raise Refused for more rows than one request may have."""
        if count > self._most:
            raise Refused(f"expected at most {self._most} rows in one request, found {count}", status=413)

    def _lacking(self, given: Mapping[str, Any], at: int | None) -> Refused:
        lacking = next(column for column in self.columns if column.name not in given)
        place = "" if at is None else f"row {at}: "
        others = {name[:80].casefold(): name[:80] for name in given if name not in self._known}
        close = difflib.get_close_matches(lacking.name.casefold(), list(others)[:200], n=1)
        meant = f"; there is `{_utf8(others[close[0]])}`" if close else ""
        text = f"{place}column `{lacking.name}` is missing, {lacking.expected}{meant}"
        return Refused(text, column=lacking.name, row=at, expected=lacking.expected)

    def _unknown(self, given: Mapping[str, Any]) -> Refused:
        name = next(name for name in given if name not in self._known)[:80]
        close = difflib.get_close_matches(name, self.names, n=1)
        meant = f"did you mean `{close[0]}`?" if close else f"it knows {_some(self.names)}"
        return Refused(f"column `{_utf8(name)}`: the model does not know it; {meant}", column=_utf8(name))


def _null(value: Any) -> Any:
    """What is not a number stands for what is missing, in tensors, which have no other word for it."""
    return None if value != value else value


def array_of(column: Column, check: Callable[[Any, int], Any], values: Any) -> numpy.ndarray[Any, Any]:
    """A column as the model sees it; raises Refused for the first value that does not belong there."""
    import numpy

    if isinstance(values, numpy.ndarray):
        return _checked_array(column, check, values)
    if column.kind in ("number", "boolean") or (column.kind == "integer" and column.nullable):
        return numpy.array([check(value, at) for at, value in enumerate(values)], dtype=numpy.float64)
    if column.kind == "integer":
        return numpy.array([check(value, at) for at, value in enumerate(values)], dtype=numpy.int64)
    return objects([check(value, at) for at, value in enumerate(values)])


def arrays_of(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[numpy.ndarray[Any, Any]]:
    """Rows that were found right, as columns."""
    import numpy

    made = []
    for column, values in zip(columns, zip(*rows, strict=True), strict=True):
        if column.kind == "string":
            made.append(objects(values))
        elif column.kind == "integer" and not column.nullable:
            made.append(numpy.array(values, dtype=numpy.int64))
        else:
            made.append(numpy.array(values, dtype=numpy.float64))
    return made


def objects(values: Sequence[Any]) -> numpy.ndarray[Any, Any]:
    """An array of texts; what is missing is not a number, as pandas has it."""
    import numpy

    made = numpy.empty(len(values), dtype=object)
    made[:] = values
    return made


def _checked_array(
    column: Column, check: Callable[[Any, int], Any], values: numpy.ndarray[Any, Any]
) -> numpy.ndarray[Any, Any]:
    import numpy

    is_truth = values.dtype.kind == "b" and column.kind != "boolean"
    if column.kind == "string" or values.dtype == object or is_truth:
        return array_of(column, check, values.tolist())
    numbers = values.astype(numpy.float64)
    missing = numpy.isnan(numbers)
    wrong = numpy.isinf(numbers)
    if not column.nullable:
        wrong |= missing
    if column.kind == "integer":
        if values.dtype.kind in "iu":  # exactly, as numbers with a point do not have them all
            wrong |= values > numpy.iinfo(numpy.int64).max
        else:
            wrong |= ~missing & (numbers != numpy.floor(numbers))
            wrong |= (numbers >= _INT64) | (numbers < -_INT64)
    elif column.kind == "boolean":
        wrong |= ~missing & (numbers != 0) & (numbers != 1)
    if column.minimum is not None:
        wrong |= numbers < column.minimum
    if column.maximum is not None:
        wrong |= numbers > column.maximum
    if column.choices is not None:
        wrong |= ~missing & ~numpy.isin(numbers, [float(choice) for choice in column.choices])
    if wrong.any():
        at = int(wrong.argmax())
        found = values[at].item()
        raise wrong_value(column.name, at, column.expected, None if found != found else found)
    if column.kind == "integer" and not column.nullable:
        return values.astype(numpy.int64)
    return numbers


def _column(name: str, told: Mapping[str, Any], strict: bool) -> Column:
    kinds = [told["type"]] if isinstance(told["type"], str) else list(told["type"])
    kind, nullable = kinds[0], "null" in kinds
    if kind not in _KINDS:
        raise TypeError(f"column {name}: no kind of column is called {kind}")
    seen = told.get("x-seen", {}) if strict else {}
    minimum, maximum = told.get("minimum", seen.get("minimum")), told.get("maximum", seen.get("maximum"))
    listed = told.get("enum", seen.get("categories"))
    choices = None if listed is None else frozenset(value for value in listed if value is not None)
    expected = _KINDS[kind]
    if minimum is not None or maximum is not None:
        expected += f" from {_bound(minimum)} to {_bound(maximum)}"
    if choices is not None:
        expected += f" out of {_some(sorted(map(str, choices)))}"
    if nullable:
        expected += ", or null"
    return Column(name, kind, nullable, minimum, maximum, choices, expected)


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _check_of(column: Column) -> Callable[[Any, int], Any]:
    """A check of one value: gives it as the model sees it, or raises Refused."""
    makers = {"number": _number, "integer": _integer, "boolean": _boolean, "string": _string}
    plain = makers[column.kind](column)
    low, high, choices = column.minimum, column.maximum, column.choices
    if low is None and high is None and choices is None:
        return plain

    def bounded(value: Any, at: int) -> Any:
        made = plain(value, at)
        if value is None:
            return made
        if (low is not None and made < low) or (high is not None and made > high):
            raise wrong_value(column.name, at, column.expected, value)
        if choices is not None and value not in choices:
            raise wrong_value(column.name, at, column.expected, value)
        return made

    return bounded


def _number(column: Column) -> Callable[[Any, int], Any]:
    name, nullable, expected = column.name, column.nullable, column.expected

    def check(value: Any, at: int) -> float:
        kind = type(value)
        if kind is float:
            if value - value == 0.0:
                return value  # type: ignore[no-any-return]
        elif kind is int:
            if -_INT64 <= value < 2 * _INT64:
                return float(value)
        elif value is None and nullable:
            return _NAN
        raise wrong_value(name, at, expected, value)

    return check


def _integer(column: Column) -> Callable[[Any, int], Any]:
    name, nullable, expected = column.name, column.nullable, column.expected

    def check(value: Any, at: int) -> float | int:
        kind = type(value)
        if kind is int:
            if -_INT64 <= value < _INT64:
                return value  # type: ignore[no-any-return]
        elif kind is float:
            if value.is_integer() and -_INT64 <= value < _INT64:
                return int(value)
        elif value is None and nullable:
            return _NAN
        raise wrong_value(name, at, expected, value)

    return check


def _boolean(column: Column) -> Callable[[Any, int], Any]:
    name, nullable, expected = column.name, column.nullable, column.expected

    def check(value: Any, at: int) -> float:
        kind = type(value)
        if kind is bool:
            return 1.0 if value else 0.0
        if (kind is int or kind is float) and value in (0, 1):
            return float(value)
        if value is None and nullable:
            return _NAN
        raise wrong_value(name, at, expected, value)

    return check


def _string(column: Column) -> Callable[[Any, int], Any]:
    name, nullable, expected = column.name, column.nullable, column.expected

    def check(value: Any, at: int) -> Any:
        if type(value) is str:
            return value
        if value is None and nullable:
            return _NAN
        raise wrong_value(name, at, expected, value)

    return check


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{_utf8(name[:80])}`" for name in names[:10])
    return shown + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
