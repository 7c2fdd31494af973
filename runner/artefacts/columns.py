"""The kinds of columns that a model knows, and tables brought into the form in which it saw them.

Training and every prediction go through `aligned()`, so that a model never sees the same value in two types: what a
CSV file holds as `1`, `1.0` or `true` does not depend on the other rows of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runner.errors import InputError

if TYPE_CHECKING:
    import pandas

NUMBER, INTEGER, BOOLEAN, STRING = "number", "integer", "boolean", "string"
"""Named as JSON Schema names them. The model sees whole numbers, numbers (also for booleans) and text."""
_TRUTH = {"true": 1.0, "false": 0.0, "True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0}


def kind_of(values: pandas.Series) -> str:
    """The kind of a column: by its type, and by its values where pandas left them as objects."""
    import pandas.api.types as types

    if types.is_bool_dtype(values.dtype):
        return BOOLEAN
    if types.is_integer_dtype(values.dtype):
        return INTEGER
    if types.is_numeric_dtype(values.dtype) and not types.is_complex_dtype(values.dtype):
        return NUMBER
    present = values.dropna()
    if values.dtype == object and len(present) and present.map(lambda value: isinstance(value, bool)).all():
        return BOOLEAN
    return STRING


def kinds_of(table: pandas.DataFrame) -> dict[str, str]:
    """The kind of each column, in the order of the table."""
    return {str(name): kind_of(table[name]) for name in table.columns}


def aligned(table: pandas.DataFrame, kinds: Mapping[str, str], where: str = "the table") -> pandas.DataFrame:
    """The columns that a model knows, in its order, with values as it saw them, and no other column.

    Raises InputError: a column is missing, or holds what is no value of its kind.
    """
    import pandas

    missing = [name for name in kinds if name not in table.columns]
    if missing:
        named = ", ".join(f"`{name}`" for name in missing[:10])
        raise InputError(
            f"{where}: there is no column {named}, which the model needs", "give every column it was trained with"
        )
    made = {name: _converted(table[name], kind, name, where) for name, kind in kinds.items()}
    return pandas.DataFrame(made, index=table.index, columns=list(kinds))


def _converted(values: pandas.Series, kind: str, name: str, where: str) -> Any:
    import numpy
    import pandas

    if kind == STRING:
        texts: Any = values.astype(object)
        return texts.where(texts.isna(), texts.map(str)).where(texts.notna(), numpy.nan)
    objects: Any = values.astype(object).where(values.notna(), numpy.nan)
    if kind == BOOLEAN and not pandas.api.types.is_numeric_dtype(values.dtype):
        objects = objects.map(lambda value: _TRUTH.get(str(value), value))
    numbers: Any = pandas.to_numeric(objects, errors="coerce")
    wrong = (numbers.isna() & values.notna()) | numbers.abs().eq(float("inf"))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        wanted = "truth value" if kind == BOOLEAN else "finite number"
        text = f"{where}: the column `{name}` holds no {wanted} in row {row + 1}: `{str(values.iloc[row])[:60]}`"
        raise InputError(text, "this column is one of numbers: mend such rows in a stage before")
    numbers = numbers.astype(float)
    if kind == INTEGER and not numbers.isna().any() and bool((numbers == numbers.round()).all()):
        return _whole(values, numbers)
    return numbers


def _whole(values: Any, numbers: Any) -> Any:
    """As int64; taken from the values themselves where these are whole numbers, since a float holds 53 bits of them."""
    import numpy
    import pandas

    if pandas.api.types.is_integer_dtype(values.dtype):
        return values.astype(numpy.int64)
    return numbers.astype(numpy.int64) if bool((numbers.abs() < 2**53).all()) else numbers


def plain(value: Any) -> Any:
    """A value of a table as JSON has it: None for what is missing or no finite number."""
    import math

    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, (bool, int, float, str)) else str(value)
