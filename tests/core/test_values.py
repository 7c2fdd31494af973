"""A value behaves as the standard library's dataclass would, whose methods are only made earlier."""

from __future__ import annotations

import copy
import dataclasses
import operator
import pickle
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest

from runner import values

Maker = Callable[..., Any]


def _classes(dataclass: Maker, field: Maker) -> dict[str, Any]:
    @dataclass(frozen=True, slots=True)
    class Frozen:
        """Every kind of field."""

        first: int
        second: str = "two"
        many: dict[str, int] = field(default_factory=dict)
        hidden: int = field(default=7, init=False)
        late: list[int] = field(default_factory=lambda: [1], init=False)

        @property
        def double(self) -> int:
            """Uses a field."""
            return self.first * 2

    @dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        """Compared as a tuple."""

        first: int
        second: str = ""

        def __repr__(self) -> str:
            return "its own"

    @dataclass
    class Open:
        """May be changed."""

        first: int = 1
        seen: list[int] = field(default_factory=list)

        def __post_init__(self) -> None:
            self.seen.append(self.first)

    @dataclass(frozen=True)
    class Lasting:
        """Frozen, with room for what is computed once."""

        first: int

        @cached_property
        def double(self) -> int:
            """Computed once."""
            return self.first * 2

    made = {"Frozen": Frozen, "Ordered": Ordered, "Open": Open, "Lasting": Lasting}
    for name, cls in made.items():
        cls.__qualname__ = name
    return made


OURS = _classes(values.dataclass, values.field)
THEIRS = _classes(dataclasses.dataclass, dataclasses.field)
Frozen = OURS["Frozen"]  # by these names `pickle` finds it


def _outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - which one it is, and its words, is what is compared
        return type(error), str(error).removeprefix("_classes.<locals>.") if isinstance(error, TypeError) else ""


QUESTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "repr": lambda made: repr(made["Frozen"](1, many={"a": 2})),
    "own repr": lambda made: repr(made["Ordered"](1)),
    "equal": lambda made: made["Frozen"](1) == made["Frozen"](1),
    "not equal": lambda made: made["Frozen"](1) == made["Frozen"](1, "three"),
    "other class": lambda made: made["Ordered"](1) == made["Lasting"](1),
    "hash": lambda made: hash(made["Ordered"](1, "x")),
    "no hash": lambda made: hash(made["Open"]()),
    "too few": lambda made: made["Frozen"](),
    "too many": lambda made: made["Ordered"](1, "x", 3),
    "unknown": lambda made: made["Ordered"](1, third=3),
    "not for __init__": lambda made: made["Frozen"](1, hidden=3),
    "changed": lambda made: setattr(made["Frozen"](1), "first", 2),
    "removed": lambda made: delattr(made["Lasting"](1), "first"),
    "another attribute": lambda made: setattr(made["Lasting"](1), "third", 2),
    "sorted": lambda made: [row.second for row in sorted([made["Ordered"](2, "b"), made["Ordered"](1, "a")])],
    "compared with another class": lambda made: operator.lt(made["Ordered"](1), 1),
    "post_init": lambda made: made["Open"](3).seen,
    "a list of its own": lambda made: made["Open"]().seen is made["Open"]().seen,
    "late fields": lambda made: (made["Frozen"](1).hidden, made["Frozen"](1).late),
    "property": lambda made: made["Frozen"](4).double,
    "computed once": lambda made: made["Lasting"](4).double,
    "no room for more": lambda made: hasattr(made["Frozen"](1), "__dict__"),
    "fields": lambda made: [(row.name, row.init) for row in dataclasses.fields(made["Frozen"])],
    "asdict": lambda made: dataclasses.asdict(made["Frozen"](1, many={"a": 1})),
    "replace of the library": lambda made: repr(dataclasses.replace(made["Frozen"](1), first=5)),
    "replaced what it may not": lambda made: dataclasses.replace(made["Ordered"](1), third=5),
    "match": lambda made: made["Frozen"].__match_args__,
    "copy": lambda made: repr(copy.deepcopy(made["Frozen"](1, many={"a": 1}))),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_value_answers_as_the_standard_library_would(question: str) -> None:
    ask = QUESTIONS[question]
    assert _outcome(lambda: ask(OURS)) == _outcome(lambda: ask(THEIRS))


def test_a_value_with_other_fields_is_a_new_one() -> None:
    before = Frozen(1, many={"a": 1})
    after = values.replace(before, second="else")
    assert (before.second, after.second, after.many) == ("two", "else", {"a": 1})
    with pytest.raises(TypeError, match="third"):
        values.replace(before, third=1)


def test_a_value_can_be_pickled() -> None:
    value = Frozen(1, many={"a": 1})
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_value_keeps_a_hash_of_its_own() -> None:
    @values.dataclass(frozen=True)
    class Named:
        name: str

        def __hash__(self) -> int:
            return 7

    assert hash(Named("a")) == 7


def test_a_value_that_would_inherit_fields_is_refused() -> None:
    # The fields above would be forgotten, and two values that differ in them be equal.
    with pytest.raises(TypeError, match="inherits no fields"):

        @values.dataclass(frozen=True, slots=True)
        class More(Frozen):
            last: int = 1
