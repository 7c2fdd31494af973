"""The documents of a commit: which files hold specs, and what each of them says, checked against its schema."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import Finding, SpecError
from runner.specs import places, schemas, yaml12
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator

if TYPE_CHECKING:
    from runner.specs.layout import Layout

PROJECT_FILE = "runner.yaml"
API_VERSION = "runner/v1"
DEFAULT_FOLDERS = ("pipelines", "deployments", "monitors")
"""Folders whose YAML files are read where no `specs` say otherwise."""

_CACHE_NAMESPACE = "documents"


@dataclass(frozen=True, slots=True)
class Document:
    """One runner document."""

    kind: str
    name: str
    file: str
    oid: str
    """Blob id of the file."""
    index: int
    """Which document of the file, from 0."""
    line: int
    column: int
    spec: Mapping[str, Any]
    stage_marks: Mapping[str, tuple[int, int]]
    """Line and column of each key of `spec.stages`."""


@dataclass(frozen=True, slots=True)
class SpecFiles:
    """Which files of the commit hold specs."""

    documents: tuple[str, ...]
    """Files of runner documents, beside `runner.yaml`."""
    pipelines: tuple[str, ...]
    """`dvc.yaml` files that are adopted."""
    lenient: frozenset[str]
    """Files found by a default alone: passed over where they hold no runner document."""


def project_specs(documents: Iterable[Document]) -> tuple[list[str] | None, Document | None]:
    """The globs of the Project document, None without any, and the document."""
    for document in documents:
        if document.kind == "Project":
            specs = document.spec.get("specs")
            return (list(specs) if isinstance(specs, list) else None), document
    return None, None


def find_files(layout: Layout, globs: list[str] | None, locator: Locator | None, findings: list[Finding]) -> SpecFiles:
    """The spec files that the globs name, or the defaults; a glob that names nothing is a finding."""
    if globs is None:
        lenient = [
            path
            for folder in DEFAULT_FOLDERS
            for path in layout.tree.below(folder)
            if path.endswith((".yaml", ".yml")) and not path.endswith("/dvc.yaml")
        ]
        return SpecFiles(tuple(lenient), tuple(layout.pipeline_files), frozenset(lenient))
    found: dict[str, None] = {}
    for index, pattern in enumerate(globs):
        matches = _matches(layout, pattern)
        problem = _glob_problem(layout, pattern, matches)
        if problem and locator is not None:
            findings.append(locator.finding(("specs", index), *problem))
        found.update(dict.fromkeys(matches or ()))
    found.pop(PROJECT_FILE, None)
    pipelines = tuple(path for path in found if path.rpartition("/")[2] == "dvc.yaml")
    for path in pipelines:
        reason = layout.why_not_adopted(path)
        if reason and locator is not None:
            findings.append(
                locator.finding(("specs",), f"`{path}` cannot be adopted: {reason}", "remove it from `specs`")
            )
    documents = tuple(path for path in found if path.rpartition("/")[2] != "dvc.yaml")
    return SpecFiles(documents, tuple(path for path in pipelines if not layout.why_not_adopted(path)), frozenset())


def _matches(layout: Layout, pattern: str) -> list[str] | None:
    """Files that a pattern names; a folder stands for the YAML files below it. None: it leaves the repository."""
    folder = pattern.rstrip("/").removeprefix("./")
    if layout.tree.is_folder(folder):
        return [path for path in layout.tree.below(folder) if path.endswith((".yaml", ".yml"))]
    glob = places.Glob.of(pattern)
    return None if glob is None else glob.matches(layout.tree.paths)


def _glob_problem(layout: Layout, pattern: str, matches: list[str] | None) -> tuple[str, str] | None:
    if matches is None:
        return f"`{pattern}` leaves the repository", "use a path or glob inside it"
    if matches:
        return None
    yaml_files = [path for path in layout.tree.paths if path.endswith((".yaml", ".yml"))]
    close = difflib.get_close_matches(pattern, yaml_files[:5000], n=1)
    return (
        f"`{pattern}` names no file of this commit",
        f"did you mean `{close[0]}`?" if close else "is the file committed?",
    )


# ---------------------------------------------------------------------------------------------------------------


def read_documents(
    layout: Layout, file: str, cache: ParseCache, findings: list[Finding], *, lenient: bool = False
) -> list[Document]:
    """The runner documents of a file; what is wrong with them goes to `findings` and nothing is returned.

    `lenient`: a file without any runner document is passed over.
    """
    entry = layout.tree.get(file)
    if entry is None:
        return []
    key = f"{entry.oid}:{'lenient' if lenient else 'strict'}"
    rows = cache.get(_CACHE_NAMESPACE, key)
    if rows is None:
        try:
            rows = _parse(layout.blob(entry.oid), file, lenient)
        except SpecError as error:
            findings.extend(error.findings)
            return []
        cache.put(_CACHE_NAMESPACE, key, rows)
    documents = [_document(row, file, entry.oid) for row in rows]
    return documents


def _document(row: list[Any], file: str, oid: str) -> Document:
    kind, name, index, line, column, spec, marks = row
    return Document(kind, name, file, oid, index, line, column, spec, marks)


def _parse(blob: bytes, file: str, lenient: bool) -> list[list[Any]]:
    """Rows of the documents of a file; raises SpecError with every finding."""
    try:
        parsed = yaml12.load_all(blob, file=file, bounds=yaml12.SPEC_BOUNDS, mark_depth=3)
    except SpecError:
        if lenient and b"apiVersion" not in blob:
            return []
        raise
    if lenient and not any(_is_runner_document(document.value) for document in parsed):
        return []
    findings: list[Finding] = []
    rows: list[list[Any]] = []
    for index, document in enumerate(parsed):
        if document.value is None:
            continue
        locator = Locator(file, lambda: blob, document=index)
        problems = _check(document.value, locator)
        findings.extend(problems)
        if not problems:
            rows.append(_row(document, index))
    if findings:
        raise SpecError(findings)
    return rows


def _row(document: yaml12.YamlDocument, index: int) -> list[Any]:
    value = document.value
    name = (value.get("metadata") or {}).get("name", "")
    marks = {
        path[2]: list(mark)
        for path, mark in document.marks.items()
        if path[:2] == ("spec", "stages") and len(path) == 3
    }
    return [value["kind"], name, index, document.line, document.column, value.get("spec") or {}, marks]


def _is_runner_document(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("apiVersion", "")).startswith("runner/")


def _check(value: Any, locator: Locator) -> list[Finding]:
    if not isinstance(value, dict):
        return [
            locator.finding((), "this is not a runner document", f"start with `apiVersion: {API_VERSION}` and `kind:`")
        ]
    version = value.get("apiVersion")
    if version is None:
        return [locator.finding((), "the key `apiVersion` is missing", f"start with `apiVersion: {API_VERSION}`")]
    if version != API_VERSION:
        return [
            locator.finding(("apiVersion",), f"unknown apiVersion `{version}`", f"this runner reads `{API_VERSION}`")
        ]
    kind = value.get("kind")
    if kind is None:
        return [locator.finding((), "the key `kind` is missing", f"one of: {', '.join(schemas.KINDS)}")]
    if kind not in schemas.KINDS:
        close = difflib.get_close_matches(str(kind).capitalize(), schemas.KINDS, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"one of: {', '.join(schemas.KINDS)}"
        return [locator.finding(("kind",), f"unknown kind `{kind}`", hint)]
    return schemas.check(str(kind), value, locator)


def check_names(documents: Iterable[Document], layout: Layout, findings: list[Finding]) -> None:
    """Note findings for two Projects, and for two documents of one kind with one name."""
    seen: dict[tuple[str, str], Document] = {}
    for document in documents:
        key = ("Project", "") if document.kind == "Project" else (document.kind, document.name)
        first = seen.setdefault(key, document)
        if first is document:
            continue
        locator = Locator(document.file, functools.partial(layout.blob, document.oid), document=document.index)
        where = f"{first.file}:{first.line}"
        if document.kind == "Project":
            findings.append(
                locator.finding(
                    ("kind",), f"a second Project; the first is in {where}", "keep one Project a repository"
                )
            )
        else:
            message = f"a second {document.kind} named `{document.name}`; the first is in {where}"
            findings.append(locator.finding(("metadata", "name"), message, "rename one of them"))
