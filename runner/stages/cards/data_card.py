"""The data card: what the data of a model holds, what it has to be, and what nobody said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.stages.cards.figures import figure_table, share, shown
from runner.stages.cards.material import TOP, Material
from runner.stages.cards.parts import Card, Items, Part, Section, Table, Text, table
from runner.stages.cards.sources import Figures

HIDDEN = "hidden"
_LONGEST_VALUE = 40
_ALLOWED = {"extra": ("no extra columns", False), "duplicates": ("no duplicates", True)}
"""What a contract may allow of a table as a whole: what it asks for where it does not, and whether it does unsaid."""
_ASKED = {
    "order": "order of columns",
    "final_newline": "final newline",
    "rows": "rows",
    "primary_key": "primary key",
    "unique": "unique groups of columns",
    "leakage": "leakage",
    "freshness": "freshness",
}
"""What a contract may ask for of a table as a whole."""
_FEW = 20
"""So many different values of a text are no names of single rows, however short the table is."""
_NEARLY_ALL = 0.5
"""A text with more different values than this share of its rows is free text, or names rows."""


def data_card(material: Material, profile: Figures) -> Card:
    """The card of the data that `profile` describes."""
    sections = [
        _contents(profile),
        _columns(material, profile),
        _contract(material),
        *_validation(material),
        _people(material),
        Section("What is missing", (_missing(material),)),
    ]
    about = Text(f"What the data of the model {material.of_model.path} holds: counts and ranges, and no row of it.")
    return Card(f"Data card: {material.title}", (about,), tuple(sections))


def size_table(profile: Figures) -> Table:
    """How large the data is."""
    told = profile.value
    rows = [
        ("rows", shown(told.get("rows"))),
        ("columns", str(len(told["columns"]))),
        ("rows that are the same as one before", shown(told.get("duplicates"))),
        ("values that are missing", share(told.get("missing_share"))),
    ]
    return Table(("what", "how many"), tuple(rows))


def _contents(profile: Figures) -> Section:
    return Section("Contents", (size_table(profile),), (profile.source,))


def _columns(material: Material, profile: Figures) -> Section:
    rows = []
    described = {one.name: one for one in material.contract[1].columns} if material.contract else {}
    for name, told in profile.value["columns"].items():
        column = described.get(name)
        about = str(column.get("description", "")) if column is not None else ""
        about += f" ({column.get('unit')})" if column is not None and column.get("unit") else ""
        values = HIDDEN if name in material.hidden else values_of(told, profile.value.get("rows"))
        missing = share(told.get("missing_share"))
        rows.append((str(name), str(told["kind"]), missing, shown(told.get("distinct")), values, about.strip()))
    head = ("column", "kind", "missing", "different values", "values", "what it is")
    parts: list[Part] = [table(head, rows)]
    if material.hidden:
        told = "No value is shown of columns that are declared personal or hidden: "
        parts.append(Text(told + ", ".join(sorted(material.hidden)) + "."))
    named = (material.contract[0],) if material.contract else ()
    return Section("Columns", tuple(parts), (profile.source, *named))


def values_of(told: Mapping[str, Any], rows: Any = None) -> str:
    """The range of a column, or its most frequent values; nothing of a text that names rows or tells of them."""
    if told["kind"] == "text" and _is_of_rows(told, rows):
        return "not shown: nearly every row has its own"
    if told.get("min") is not None:
        if told["kind"] == "date":
            return f"{str(told['min'])[:10]} to {str(told.get('max'))[:10]}"
        return f"{_cut(told['min'])} to {_cut(told.get('max'))}"
    top = told.get("top")
    named = [_cut(one.get("value")) for one in top[:TOP] if isinstance(one, Mapping)] if isinstance(top, list) else []
    return ", ".join(named)


def _is_of_rows(told: Mapping[str, Any], rows: Any) -> bool:
    """Whether nearly each row has a value of its own, as free text, names and identifiers have."""
    distinct, missing = told.get("distinct"), told.get("missing_share") or 0
    if not isinstance(distinct, int) or not isinstance(rows, int) or distinct <= _FEW:
        return False
    return distinct > _NEARLY_ALL * rows * (1 - missing)


def _cut(value: Any) -> str:
    text = shown(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def contract_parts(material: Material) -> list[Part]:
    """What the data has to be."""
    if material.contract is None:
        return [Text("No data contract was given: nothing says what the data has to be.")]
    _, contract = material.contract
    parts: list[Part] = [Text(str(contract.get("description")))] if contract.get("description") else []
    of_all = [words for name, (words, allowed) in _ALLOWED.items() if not contract.get(name, allowed)]
    of_all += [words for name, words in _ASKED.items() if contract.get(name)]
    rows = [("columns that it describes", str(len(contract.columns)))]
    rows += [("of the table as a whole it asks for", ", ".join(of_all) or "nothing")]
    rows += [("owners", ", ".join(contract.get("owners", ())) or "none stated")]
    return [*parts, Table(("what", "value"), tuple(rows))]


def _contract(material: Material) -> Section:
    sources = (material.contract[0],) if material.contract else ()
    return Section("Contract", tuple(contract_parts(material)), sources)


def _validation(material: Material) -> list[Section]:
    if material.validation is None:
        return []
    value = material.validation.value
    verdict = {True: "The data was valid.", False: "The data was not valid."}
    parts: list[Part] = [Text(verdict[value["valid"]])] if isinstance(value.get("valid"), bool) else []
    shown_figures = {key: inner for key, inner in value.items() if key not in ("broken", "distributions")}
    return [Section("Validation", (*parts, *figure_table(shown_figures)), (material.validation.source,))]


def _people(material: Material) -> Section:
    owners = material.said("owners", [])
    return Section("Owners", (Items(tuple(owners)) if owners else Text("None are stated."),))


def _missing(material: Material) -> Part:
    lacks = [
        (material.contract is None, "No data contract was given."),
        (material.validation is None, "No validation was given: is the data what it should be?"),
        (not material.hidden, "No column is declared personal or hidden."),
        (not material.said("owners"), "No owners are stated."),
    ]
    told = [sentence for is_lacking, sentence in lacks if is_lacking]
    return Items(tuple(told)) if told else Text("Nothing that this card asks for.")
