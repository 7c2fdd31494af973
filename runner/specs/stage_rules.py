"""What a schema cannot say of `with` of a stage of the library: fields that do not go together.

`validate` and `plan` ask, with the place of each fault, and the stage itself asks again before it reads anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from runner.specs import yaml12

Fault = tuple[yaml12.Path, str, str]
"""Path in the stage, what is wrong, what to do."""
Given = Mapping[str, Any]
MOST_POINTS = 10_000
"""Of a grid."""
_TOLERANCE = 1e-9
_WAYS = ("stratify", "groups", "time")
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_GROUPED, _REPEATED = ("group", "stratified_group"), ("kfold", "stratified")
_OF_TASK = {"bins": "classification", "quantile": "regression", "top": "ranking"}
_SHAP_ROWS = 50_000
"""shap takes numbers for equal that differ by a hundred thousandth, and gets values by their numbers."""


def faults_of(name: str, given: Given, outs: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with a `with` that its schema takes; outs: the paths of `outs`, in order."""
    for rule in _RULES.get(name, ()):
        yield from rule(given, outs)


# ----- split


def _split(given: Given, outs: Sequence[str]) -> Iterator[Fault]:
    parts = [float(part) for part in given["parts"]]
    if abs(sum(parts) - 1) > _TOLERANCE:
        yield ("with", "parts"), f"the parts add up to {sum(parts):g}, not to 1", "give each row to one part"
    if len(parts) != len(outs):
        yield ("outs",), f"there are {len(parts)} parts and {len(outs)} outputs", "name an output for each part"
    ending = PurePosixPath(given["data"]).suffix.lower()
    for index, out in enumerate(outs if ending in _TABLES else ()):
        path = PurePosixPath(out)
        if path.suffix.lower() != ending:
            text = f"{out}: a part is written as the table is, which ends with `{ending}`"
            yield ("outs", index), text, f"call it {path.with_suffix(ending) if path.name else ending}"
    ways = [way for way in _WAYS if way in given]
    if len(ways) > 1:
        text = f"{' and '.join(f'`{way}`' for way in ways)} exclude each other"
        yield ("with", ways[1]), text, "choose one way to cut"


# ----- train, tune


def _cv(given: Given, _outs: Sequence[str]) -> Iterator[Fault]:
    said = given.get("cv", {})
    groups, time = said.get("groups"), said.get("time")
    kind = said.get("kind", "group" if groups else "time" if time else None)
    if (kind in _GROUPED) != (groups is not None):
        hint = "name the column in `groups`" if kind in _GROUPED else "leave `groups` out, or say `kind: group`"
        yield ("with", "cv"), f"`cv`: {kind} and `groups` do not go together", hint
    if (kind == "time") != (time is not None):
        hint = "name the column in `time`" if kind == "time" else "leave `time` out, or say `kind: time`"
        yield ("with", "cv"), f"`cv`: {kind} and `time` do not go together", hint
    if said.get("repeats", 1) > 1 and kind not in (*_REPEATED, None):
        yield ("with", "cv", "repeats"), f"`cv`: {kind} cannot be repeated with other parts", "leave `repeats` out"
    if said.get("gap") and kind != "time":
        text = f"`cv`: `gap` means nothing in {kind}" if kind else "`cv`: `gap` means nothing without `time`"
        yield ("with", "cv", "gap"), text, "leave `gap` out, or say `kind: time`"
    if kind == "none" and "seeds" in given:
        hint = "leave out `seeds`, or `kind: none`"
        yield ("with", "seeds"), "`seeds` repeats the cross-validation, and there is none", hint


def _columns(given: Given, _outs: Sequence[str]) -> Iterator[Fault]:
    target, features = given["target"], given.get("features")
    if features is not None and target in features:
        yield ("with", "features", features.index(target)), f"`features` names the target `{target}`", "take it out"
    for name, said in given.get("columns", {}).items():
        way, impute = (said, None) if isinstance(said, str) else (said["as"], said.get("impute"))
        if way != "drop" and (name == target or (features is not None and name not in features)):
            hint = "take it out, or name it in `features`"
            yield ("with", "columns", name), f"`columns` prepares `{name}`, which is no feature", hint
        if impute in ("mean", "median") and way != "number":
            hint = "use most_frequent or constant"
            yield ("with", "columns", name, "impute"), f"`columns`: `impute: {impute}` is for numbers", hint


def _code(given: Given, _outs: Sequence[str]) -> Iterator[Fault]:
    for index, file in enumerate(given.get("code", ())):
        if not is_module(file):
            yield ("with", "code", index), f"`code`: {file} cannot be imported", "name a file such as src/models.py"


def is_module(file: str) -> bool:
    """Whether a path has a name that can be imported: `src/models.py` is `src.models`."""
    path = PurePosixPath(file)
    parts = path.with_suffix("").parts if path.name else ()
    return path.suffix == ".py" and not path.is_absolute() and all(part.isidentifier() for part in parts)


def name_of(candidate: Given) -> str:
    """What a candidate of a search is called."""
    return str(candidate.get("name") or candidate["estimator"].rpartition(".")[2])


def _candidates(given: Given, _outs: Sequence[str]) -> Iterator[Fault]:
    names = [name_of(candidate) for candidate in given["candidates"]]
    points = 0.0
    for index, candidate in enumerate(given["candidates"]):
        at: yaml12.Path = ("with", "candidates", index)
        if names[index] in names[:index]:
            text = f"two of `candidates` are called `{names[index]}`"
            yield (*at, *(("name",) if "name" in candidate else ())), text, "give each a `name` of its own"
        space = candidate.get("space", {})
        found = [
            ((*at, "space", name), *fault)
            for name, span in space.items()
            for fault in _range(names[index], name, span, candidate, given.get("search", "tpe"))
        ]
        yield from found
        if not found:
            points += math.prod(len(span) if isinstance(span, list) else steps_of(span) for span in space.values())
    if given.get("search") == "grid" and points > MOST_POINTS:
        text = f"the grid has more than {MOST_POINTS:,} points"
        yield ("with", "candidates"), text, "give fewer values, or search: tpe"


def _range(candidate: str, name: str, span: Any, stated: Given, search: str) -> Iterator[tuple[str, str]]:
    where = f"`space` of {candidate}: `{name}`"
    if name in stated.get("params", {}):
        yield f"{where} stands in `params`, too", "leave it out of one of them"
    if isinstance(span, list):
        return
    if span["low"] >= span["high"]:
        yield f"{where}: low is {span['low']}, and high {span['high']}", "give a range from low to high"
    if span.get("log") and (span["low"] <= 0 or "step" in span):
        yield f"{where}: `log` goes with a range above 0 and without `step`", "leave `log` or the other out"
    if is_whole(span) and not isinstance(span.get("step", 1), int):
        yield f"{where}: a step between whole numbers is one, too", "write low and high with a point: 1.0"
    if search == "grid" and step_of(span) is None:
        yield f"{where} has no end of values in a grid", "give a list or a `step`, or another `search`"


def is_whole(span: Given) -> bool:
    """Whether a range is one of whole numbers."""
    return isinstance(span["low"], int) and isinstance(span["high"], int)


def step_of(span: Given) -> Any:
    """The distance between the values of a range; None where there are values without end."""
    return span.get("step", 1 if is_whole(span) and not span.get("log") else None)


def steps_of(span: Given) -> int:
    """How many values a range with steps has, counted in decimals; 1 without steps."""
    step = step_of(span)
    if step is None:
        return 1
    from decimal import Decimal  # imported late: start-up

    low, high, wide = (Decimal(str(number)) for number in (span["low"], span["high"], step))
    return int((high - low) / wide) + 1


# ----- evaluate, explain, validate


def _evaluate(given: Given, _outs: Sequence[str]) -> Iterator[Fault]:
    task = given.get("task")
    if task == "ranking" and "groups" not in given:
        yield ("with", "task"), "a ranking is judged within groups", "name the column of the groups in `groups`"
    for field, fitting in _OF_TASK.items():
        if field in given and task not in (fitting, None if fitting != "ranking" else fitting):
            what = f"a {task}" if task else "anything but `task: ranking`"
            yield ("with", field), f"`{field}` means nothing for {what}", "leave it out"
    seen: set[str] = set()
    for index, part in enumerate(given.get("slices", ())):
        if isinstance(part, str):
            continue
        at: yaml12.Path = ("with", "slices", index)
        if part["name"] in seen:
            yield (*at, "name"), f"two slices are named `{part['name']}`", "rename one of them"
        seen.add(part["name"])


def _explain(given: Given, outs: Sequence[str]) -> Iterator[Fault]:
    by_shap = given.get("method") == "shap"
    field = "scoring" if by_shap else "background"
    if field in given:
        hint = "leave it out" if by_shap else "leave it out, or write `method: shap`"
        yield ("with", field), f"`{field}` means nothing for `method: {'shap' if by_shap else 'permutation'}`", hint
    if by_shap and isinstance(given.get("rows"), int) and given["rows"] > _SHAP_ROWS:
        yield ("with", "rows"), f"with `method: shap` at most {_SHAP_ROWS} rows can be looked at", "name fewer"
    for index, out in enumerate(outs):
        if not out.lower().endswith((".json", ".html")):
            yield ("outs", index), f"{out}: an explanation is written as .json or .html", "name it so"


def _validate(given: Given, outs: Sequence[str]) -> Iterator[Fault]:
    text = given.get("as_of", "now")
    if text != "now" and not _is_time(text):
        hint = "write 2026-01-31, with a time of day or without, or now"
        yield ("with", "as_of"), f"`as_of` is no time: `{text}`", hint
    pages = sum(out.lower().endswith((".html", ".md")) for out in outs)
    if len(outs) - pages > 2 or pages > 1:
        hint = "name at most a table of good rows, one of bad rows, and a page .html or .md"
        yield ("outs",), f"there are {len(outs) - pages} tables and {pages} pages to write", hint


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_RULES: Mapping[str, Sequence[Callable[[Given, Sequence[str]], Iterator[Fault]]]] = {
    "evaluate": (_evaluate, _code),
    "explain": (_explain, _code),
    "fairness": (_code,),
    "robustness": (_code,),
    "split": (_split,),
    "train": (_cv, _columns, _code),
    "tune": (_cv, _columns, _code, _candidates),
    "validate": (_validate,),
}
