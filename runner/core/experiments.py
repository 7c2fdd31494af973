"""Recorded runs as the rows of a table: what there is to show of each, which columns tell them apart, in what order."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.leaves import leaves
from runner.core.nouns import Address
from runner.core.records import RunFacts
from runner.values import dataclass

PARAMS, METRICS = "params.", "metrics."
"""How the names of columns of parameters and of metrics begin."""

FACTS = (
    *("record", "branch", "pipeline", "stage", "status", "started", "duration", "commit", "author", "subject"),
    *("actor", "host", "key"),
)
"""Columns that every run has."""
USUAL = ("record", "stage", "status", "started", "duration", "commit")
_WITH = ":with."
_TELLING = 3
"""A shorter part of a name stands in too many others to tell what was meant."""
OF_COMMITS = ("author", "subject")
"""Columns that the commit tells which a run was made for."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A recorded run, and where."""

    ref: str
    """The state branch."""
    branch: str
    """The branch that people know it by."""
    record: int
    name: str
    """What `runner runs show` takes for it: a number, with the branch before it where the ledger is another one."""
    run: RunFacts
    params: Mapping[str, Any]
    """Its own and those of the runs that made its inputs, each leaf under its name."""
    metrics: Mapping[str, Any]
    """Its metrics in the same way."""
    author: str = ""
    """Of the commit that it was made for."""
    subject: str = ""

    def cell(self, column: str) -> Any:
        """What stands in a column: a number, a text, True or False; None where there is nothing."""
        if column.startswith(PARAMS):
            return self.params.get(column.removeprefix(PARAMS))
        if column.startswith(METRICS):
            return self.metrics.get(column.removeprefix(METRICS))
        run = self.run
        facts: dict[str, Any] = {
            "record": self.record,
            "branch": self.branch,
            "pipeline": run.address.pipeline,
            "stage": run.address.stage,
            "status": "ok" if run.succeeded else run.reason,
            "started": run.started_at,
            "duration": run.seconds,
            "commit": run.desired,
            "author": self.author or None,
            "subject": self.subject or None,
            "actor": run.actor or None,
            "host": run.host.get("name"),
            "key": run.key,
        }
        return facts[column]


def metrics_of(run: RunFacts) -> dict[str, Any]:
    """The metrics of a run as `file:dotted.key` to value."""
    return {name: value for file, values in run.metrics.items() for name, value in leaves(file, values, ":")}


def own_params(address: Address, material: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a run was given: of files as `file:dotted.key`, of a stage of the library as
    `stage:with.name`, and its seed."""
    found: dict[str, Any] = {}
    for name, value in material.get("param", {}).items():
        found |= dict(leaves(name, value, "." if ":" in name else ":"))
    found |= {f"{address.stage}:{name}": value for name, value in arguments(material).items()}
    if "seed" in material:
        found[f"{address.stage}:seed"] = material["seed"]
    return found


def arguments(material: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage of the library was given, as `with.name`, each leaf under its name."""
    given = material.get("with", {})
    return {leaf: value for name, text in given.items() for leaf, value in leaves(f"with.{name}", _meant(text))}


@dataclass(frozen=True, slots=True)
class Made:
    """A result, as far as what made it matters to what was built on it."""

    address: Address
    material: Mapping[str, Any]
    commit: str = ""
    """What it was made for; empty where that is not known."""
    at: str = ""
    """When it began, as a record has it."""
    ref: str = ""
    """The state branch that it stood on."""


class Lineage:
    """Finds the parameters of the runs that made what a run reads, by path and digest."""

    def __init__(self) -> None:
        self._makers: dict[tuple[str, str], list[Made]] = {}

    def add(self, made: Made, outs: Iterable[tuple[str, str]]) -> None:
        """A result that was recorded, with its outputs as path and digest."""
        for out in outs:
            self._makers.setdefault(out, []).append(made)

    def params(self, run: Made) -> dict[str, Any]:
        """A run's own parameters and those behind its inputs; the nearer ones count."""
        found: dict[str, Any] = {}
        seen: set[tuple[str, str]] = set()
        level = [run]
        while level:
            later: list[Made] = []
            for made in level:
                found = own_params(made.address, made.material) | found
                for dep in made.material.get("dep", {}).items():
                    if dep not in seen and dep in self._makers:
                        seen.add(dep)
                        later.append(self._maker(dep, run))
            level = later
        return found

    def _maker(self, dep: tuple[str, str], run: Made) -> Made:
        """Of several that left the same bytes the one for the same commit, else the last one before the run."""
        makers = self._makers[dep]
        same = [made for made in makers if made.commit and made.commit == run.commit]
        before = sorted((made for made in makers if made.at and made.at <= run.at), key=lambda made: made.at)
        there = [made for made in before if made.ref == run.ref]
        return (same or there[-1:] or before[-1:] or makers)[0]


class UnknownColumn(ValueError):
    """A name that stands for no column, or for several: what to say, and what there is."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Columns:
    """The columns that some runs have, and how they are found by names that people type."""

    def __init__(self, rows: Sequence[Ran]) -> None:
        self._leaves: dict[str, dict[str, list[Any]]] = {PARAMS: {}, METRICS: {}}
        for row in rows:
            for kind, values in ((PARAMS, row.params), (METRICS, row.metrics)):
                for name, value in values.items():
                    self._leaves[kind].setdefault(name, []).append(value)
        self._count = len(rows)
        pipelines = Counter(row.run.address.pipeline for row in rows)
        main = pipelines.most_common(1)[0][0] if pipelines else ""
        self._of_main = Counter(name for row in rows if row.run.address.pipeline == main for name in row.metrics)

    def all(self) -> list[str]:
        """Every column, the facts first."""
        return [*FACTS, *self.of(METRICS), *self.of(PARAMS)]

    def of(self, kind: str) -> list[str]:
        """Columns of parameters, or of metrics."""
        return [kind + name for name in self._leaves[kind]]

    def varying(self, kind: str) -> list[str]:
        """Those of them with more than one value among the runs that have one.

        An argument of a stage of the library that only some runs of it were given differs, too.
        """
        given: dict[str, int] = {}
        for name, values in self._leaves[kind].items():
            stage = name.partition(_WITH)[0]
            given[stage] = max(len(values), given.get(stage, 0))

        def differs(name: str, values: list[Any]) -> bool:
            stage, is_argument, _ = name.partition(_WITH)
            return any(one != values[0] for one in values) or bool(is_argument and len(values) < given[stage])

        return [kind + name for name, values in self._leaves[kind].items() if differs(name, values)]

    def metrics(self) -> list[str]:
        """Columns of metrics, those first that tell runs apart best.

        Plain ones come before those inside others, such as slices; the pipeline with the most runs before what measures
        its results for a gate; those that differ before those that do not. Of what is worth the same the files have
        their turns, so that a part of them is not all of one file, each with those first that more runs have.
        """
        varying = set(self.varying(METRICS))

        def worth(column: str) -> tuple[int, bool, bool]:
            name = column.removeprefix(METRICS)
            return name.rpartition(":")[2].count("."), name not in self._of_main, column not in varying

        found = sorted(self.of(METRICS), key=lambda column: -self._of_main[column.removeprefix(METRICS)])
        turns: Counter[object] = Counter()
        ranked = []
        for column in found:
            of_file = (worth(column), column.rpartition(":")[0])
            ranked.append((worth(column), turns[of_file], column))
            turns[of_file] += 1
        return [column for *_, column in sorted(ranked, key=lambda row: row[:2])]

    def find(self, name: str) -> str:
        """The one column of a name; raises UnknownColumn."""
        found = self.found(name)
        if len(found) == 1:
            return found[0]
        if found:
            more = ", ..." if len(found) > 6 else ""
            raise UnknownColumn(f"`{name}` may be one of {len(found)} columns", f"say {', or '.join(found[:6])}{more}")
        raise self._unknown(name)

    def select(self, names: Iterable[str]) -> list[str]:
        """The columns of several names, in which `*` stands for anything; raises UnknownColumn."""
        chosen: dict[str, None] = {}
        for name in names:
            matching = self._matching(name) if "*" in name else self.found(name)
            if not matching:
                raise self._unknown(name)
            chosen |= dict.fromkeys(matching)
        return list(chosen)

    def found(self, name: str) -> list[str]:
        """The columns that a name stands for: as it is, without the file before it, or by its last parts alone."""
        if name in FACTS:
            return [name]
        for kind in (PARAMS, METRICS):
            if name.startswith(kind):
                return self._leaf(kind, name.removeprefix(kind))
        return self._leaf(METRICS, name) or self._leaf(PARAMS, name)

    def labels(self, columns: Sequence[str]) -> list[str]:
        """Names for people: as short as leaves them different, also from columns that are not shown."""
        names = [*self.of(METRICS), *self.of(PARAMS)]
        short, leaf = Counter(map(_short, names)), Counter(map(_leaf, names))

        def label(column: str) -> str:
            if column in FACTS:
                return column
            return next(
                (text for text, of in ((_short(column), short), (_leaf(column), leaf)) if text and of[text] < 2), column
            )

        return [label(column) for column in columns]

    def _leaf(self, kind: str, name: str) -> list[str]:
        known = self._leaves[kind]
        if name in known:
            return [kind + name]
        behind = [leaf for leaf in known if leaf.rpartition(":")[2] == name]
        ends = behind or [leaf for leaf in known if leaf.rpartition(":")[2].endswith(f".{name}")]
        return [kind + leaf for leaf in ends]

    def _matching(self, pattern: str) -> list[str]:
        return [
            column
            for column in self.all()
            if fnmatch.fnmatchcase(column, pattern)
            or (dotted(column) and fnmatch.fnmatchcase(f"{column.partition('.')[0]}.{_short(column)}", pattern))
        ]

    def _unknown(self, name: str) -> UnknownColumn:
        import difflib  # imported late: start-up

        if not self._count:
            return UnknownColumn(f"no run has a column `{name}`", "there are no such runs")
        known = self.all()
        kind = next((kind for kind in (PARAMS, METRICS) if name.startswith(kind)), "")
        # What people get wrong is most often the end, and all columns of a kind begin alike.
        ends = {_end(column): column for column in reversed(known) if column.startswith(kind)}
        end = _end(name)
        inside = [one for one in ends if len(end) >= _TELLING and (end in one or (one in end and len(one) >= _TELLING))]
        close = difflib.get_close_matches(end, inside, n=1, cutoff=0.0) or difflib.get_close_matches(end, ends, n=1)
        if close:
            return UnknownColumn(f"no run has a column `{name}`", f"did you mean `{ends[close[0]]}`?")
        some = [*USUAL, *self.of(METRICS)[:4], *self.of(PARAMS)[:4]]
        return UnknownColumn(f"no run has a column `{name}`", f"there are {', '.join(some)} and others")


def _leaf(column: str) -> str:
    """The name of a parameter or metric without what kind it is: `FILE:KEY`."""
    return column.partition(".")[2]


def _short(column: str) -> str:
    """The same without the file."""
    return _leaf(column).rpartition(":")[2]


def _end(column: str) -> str:
    """The last part of a column's name."""
    return column.rpartition(":")[2].rpartition(".")[2]


def dotted(column: str) -> bool:
    """Whether a column is of a parameter or a metric."""
    return column.startswith((PARAMS, METRICS))


def sorted_rows(rows: Sequence[Ran], columns: Sequence[tuple[str, bool]]) -> list[Ran]:
    """The rows by these columns, each with whether it goes down; what is missing comes last either way."""
    found = list(rows)
    for column, down in reversed(columns):
        found.sort(key=lambda row: _rank(row.cell(column)), reverse=down)
        found.sort(key=lambda row: row.cell(column) is None)
    return found


def _rank(value: Any) -> tuple[int, Any]:
    if isinstance(value, bool):
        return 1, str(value)
    if isinstance(value, (int, float)):
        return 0, value
    return 2, "" if value is None else str(value)


def _meant(text: str) -> Any:
    """An argument of a stage of the library: JSON where it is that, a text elsewhere."""
    import json  # imported late: only where a stage of the library ran

    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if value is None else value
