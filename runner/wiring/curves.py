"""Tables that runs recorded as plots: their bytes from git or from this host's cache, their axes from the specs."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.core.digests import parse_listing
from runner.core.experiments import Ran
from runner.core.recorded import OutFact
from runner.errors import HostError, InputError, RunnerError
from runner.ledger import layout
from runner.report.pictures import Curve
from runner.wiring.clone import Clone, cached_bytes

_LARGEST_BYTES = 32 << 20
_MOST_ROWS = 200_000
_TEMPLATE = re.compile(r"\$\{[^}]*\}")


def curve_of(clone: Clone, row: Ran, path: str) -> Curve:
    """The table at a path that a run recorded.

    Raises InputError where it recorded none there or it is no table, HostError where its bytes are not on this host.
    """
    data = _bytes(clone, row, path)
    if len(data) > _LARGEST_BYTES:
        raise InputError(f"{path} of record {row.name} is too large to draw", f"{_LARGEST_BYTES >> 20} MiB is the most")
    try:
        rows = list(_rows(path, data.decode("utf-8-sig")))
    except (ValueError, csv.Error, RecursionError) as error:
        raise InputError(
            f"{path} of record {row.name} is no table: {str(error)[:100]}",
            "CSV, TSV or a JSON list of objects is drawn",
        ) from error
    if not rows:
        raise InputError(f"{path} of record {row.name} has no rows", "name another file that the run recorded")
    return Curve(row.name, rows[:_MOST_ROWS])


def declared_axes(clone: Clone, row: Ran, path: str) -> tuple[str | None, str | None]:
    """The columns that the specs name for x and y of a plot; None for what they do not say, or not in one word."""
    for options in _declared(clone, row, path):
        axes = options.get("x"), options.get("y")
        x, y = (axis if isinstance(axis, str) else None for axis in axes)
        if x is not None or y is not None:
            return x, y
    return None, None


def _bytes(clone: Clone, row: Ran, path: str) -> bytes:
    fact, inside = _fact(row, path)
    if fact.git_id is not None and not fact.cached:
        data = _from_git(clone, fact.git_id, inside)
        if data is None:
            raise _not_here(row, path, "its commit was not fetched", "fetch the state branch")
        return data
    read = [cached_bytes(clone.dvc_cache()), cached_bytes(clone.home.cache)]

    def found(md5: str) -> bytes | None:
        return next((data for one in read if (data := one(md5)) is not None), None)

    md5 = fact.md5
    if inside:
        listing = found(md5)
        members = dict(parse_listing(listing)) if listing is not None else {}
        if listing is not None and inside not in members:
            raise _no_such(row, path)
        md5 = members.get(inside, md5)
    data = found(md5)
    if data is None or md5.endswith(".dir"):
        now = f"`runner pull {row.run.address.stage}` brings what stands now"
        hint = f"{now}; for older runs check out their state commit and `dvc pull` there"
        raise _not_here(row, path, "its bytes are not on this host", hint)
    return data


def _from_git(clone: Clone, git_id: str, inside: str) -> bytes | None:
    if not clone.reader.exists(git_id):
        return None
    if not inside:
        return clone.reader.blob(git_id, _LARGEST_BYTES)
    entry = clone.reader.tree(git_id).files.get(inside)
    return None if entry is None else clone.reader.blob(entry.oid, _LARGEST_BYTES)


def _fact(row: Ran, path: str) -> tuple[OutFact, str]:
    """The output that is a path, or holds it, and the path within it; raises InputError."""
    for out in row.run.outs:
        if out.path == path:
            return out, ""
    for out in row.run.outs:
        if path.startswith(f"{out.path}/"):
            return out, path.removeprefix(f"{out.path}/")
    raise _no_such(row, path)


def _no_such(row: Ran, path: str) -> InputError:
    outs = ", ".join(out.path for out in row.run.outs) or "nothing"
    return InputError(f"record {row.name} has no {path}", f"{row.run.address.stage} recorded {outs}")


def _not_here(row: Ran, path: str, why: str, hint: str) -> HostError:
    return HostError(f"{path} of record {row.name} cannot be drawn: {why}", hint)


def _rows(path: str, text: str) -> Iterator[Mapping[str, Any]]:
    if path.lower().endswith((".csv", ".tsv")):
        yield from csv.DictReader(io.StringIO(text), delimiter="\t" if path.lower().endswith(".tsv") else ",")
        return
    value = json.loads(text)
    if isinstance(value, dict):  # as DVC has it: the first list of objects in it
        value = next((item for item in value.values() if _is_table(item)), None)
    if not _is_table(value):
        raise ValueError("it holds no list of objects")
    yield from value


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _declared(clone: Clone, row: Ran, path: str) -> Iterator[Mapping[str, Any]]:
    """What the `dvc.yaml` of a stage says of a plot: at the stage, and at the top level."""
    pipeline, stage = row.run.address
    is_file = pipeline.endswith((".yaml", ".yml"))
    file = pipeline if is_file else f"{layout.PIPELINES}/{layout.encoded(pipeline)}/dvc.yaml"
    commit = row.run.desired if is_file else clone.states.tips.get(row.ref, "")
    document = _document(clone, commit, file)
    stages = document.get("stages")
    told = stages.get(stage.partition("@")[0]) if isinstance(stages, dict) else None
    if isinstance(told, dict):
        told = told["do"] if isinstance(told.get("do"), dict) else told
    for plots in (told.get("plots") if isinstance(told, dict) else None, document.get("plots")):
        for entry in plots if isinstance(plots, list) else [plots] if isinstance(plots, dict) else []:
            for name, options in entry.items() if isinstance(entry, dict) else ():
                if isinstance(options, dict) and _is_of(str(name), path):
                    yield options


def _document(clone: Clone, commit: str, file: str) -> Mapping[str, Any]:
    from runner.specs.yaml12 import load_all  # imported late: rare

    try:
        data = clone.reader.file(commit, file) if commit and clone.reader.exists(commit) else None
        documents: Sequence[Any] = load_all(data, file=file) if data is not None else []
    except RunnerError:
        return {}  # whoever plans that commit is told; the columns are guessed
    value = documents[0].value if documents else None
    return value if isinstance(value, dict) else {}


def _is_of(name: str, path: str) -> bool:
    pattern = _TEMPLATE.sub("*", name).removeprefix("./")
    return path == pattern or path.endswith(f"/{pattern}") or ("*" in pattern and fnmatch.fnmatchcase(path, pattern))
