"""The documents of a commit: which files hold specs, and what each of them says, checked against its schema."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runner.errors import Finding, SpecError
from runner.patterns import regex
from runner.specs import left_out, places, yaml12
from runner.specs.guesses import nearest
from runner.specs.layout import PROJECT_FILE, Layout
from runner.specs.left_out import Faults
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator
from runner.values import dataclass

if TYPE_CHECKING:
    from runner.specs.schemas import Problem

API_VERSION = "runner/v1"
DEFAULT_FOLDERS = ("pipelines", "deployments", "monitors")
"""Folders whose YAML files are read where no `specs` say otherwise."""

GUIDING_FIELDS = frozenset(["specs", "dvcRoot", "trust", "record"])
"""Fields of a Project that decide which other files are read, and how."""

_CACHE_NAMESPACE = "documents"
_MOST_GLOBS = 500


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
    part: str | None = None
    """Its own text, at its lines, where the rest of the file cannot be read."""
    in_doubt: frozenset[str] = frozenset()
    """Fields of a Project that it may have meant to state, and did not in a way that can be read."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with it; what that concerns was left out."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it was left out, nor of its file."""
        return self.part is None and not self.findings


@dataclass(frozen=True, slots=True)
class SpecFiles:
    """Which files of the commit hold specs."""

    documents: tuple[str, ...]
    """Files of runner documents, beside `runner.yaml`."""
    pipelines: tuple[str, ...]
    """`dvc.yaml` files that are adopted."""
    lenient: frozenset[str]
    """Files found by a default alone: passed over where they hold no runner document."""


def find_files(layout: Layout, globs: list[Any] | None, locator: Locator | None, faults: Faults) -> SpecFiles:
    """The spec files that the globs name, or the defaults; a glob that names nothing is a finding."""
    if globs is None:
        lenient = [
            path
            for folder in DEFAULT_FOLDERS
            for path in layout.tree.below(folder)
            if path.endswith((".yaml", ".yml")) and not path.endswith("/dvc.yaml")
        ]
        for path in layout.linked_pipeline_files:
            message, hint = (
                f"`{path}` is {layout.link_at(path)}, and none is followed",
                "commit the file itself in its place",
            )
            faults.leave_out(left_out.anything(path, "Pipeline"), [places.file_finding(path, message, hint)])
        return SpecFiles(tuple(lenient), tuple(layout.pipeline_files), frozenset(lenient))
    found: dict[str, None] = {}
    if len(globs) > _MOST_GLOBS and locator is not None:
        finding = locator.finding(("specs",), f"more than {_MOST_GLOBS} patterns", "name folders instead of files")
        faults.leave_out(left_out.anything(PROJECT_FILE, "Pipeline"), [finding])
        globs = globs[:_MOST_GLOBS]
    for index, pattern in enumerate(globs):
        is_text = isinstance(pattern, str) and pattern != ""
        matches = _matches(layout, pattern) if is_text else []
        problem = _glob_problem(layout, pattern, matches) if is_text else None
        if problem and locator is not None:
            faults.add(locator.finding(("specs", index), *problem))
        if not matches:
            faults.left_out.append(left_out.anything(PROJECT_FILE))
        found.update(dict.fromkeys(matches or ()))
    found.pop(PROJECT_FILE, None)
    pipelines = tuple(path for path in found if path.rpartition("/")[2] == "dvc.yaml")
    for path in pipelines:
        reason = layout.why_not_adopted(path)
        if reason and locator is not None:
            message = f"`{path}` cannot be adopted: {reason}"
            finding = locator.finding(("specs",), message, "remove it from `specs`")
            faults.leave_out(left_out.anything(path, "Pipeline"), [finding])
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
    close = nearest(pattern, yaml_files)
    return (
        f"`{pattern}` names no file of this commit",
        f"did you mean `{close}`?" if close else "is the file committed?",
    )


# ---------------------------------------------------------------------------------------------------------------


def read_documents(
    layout: Layout, file: str, cache: ParseCache, faults: Faults, *, lenient: bool = False
) -> list[Document]:
    """The runner documents of a file; what is wrong with it is noted and left out, the rest of it is read.

    `lenient`: a file without any runner document is passed over.
    """
    entry = layout.tree.get(file)
    if entry is None:
        return []
    what = layout.link_at(file)
    if what is not None:
        if not lenient:
            finding = places.file_finding(file, f"`{file}` is {what}, not a file", "put the file itself there")
            faults.leave_out(left_out.anything(file), [finding])
        return []
    key = f"{entry.oid}:{'lenient' if lenient else 'strict'}"
    rows = cache.get(_CACHE_NAMESPACE, key)
    if rows is not None:
        return [_document(row, file, entry.oid) for row in rows]
    count = len(faults.findings)
    try:
        blob = layout.blob(entry.oid, file, yaml12.SPEC_BOUNDS.size_bytes)
    except SpecError as error:
        if not lenient:  # what lies in a folder that nobody named is no spec because of that
            faults.leave_out(left_out.anything(file), error)
        return []
    documents = _FileReading(file, entry.oid, blob, faults).documents(lenient)
    if len(faults.findings) == count:
        cache.put(_CACHE_NAMESPACE, key, [_row(document) for document in documents])
    return documents


def _document(row: list[Any], file: str, oid: str) -> Document:
    kind, name, index, line, column, spec, marks = row
    return Document(kind, name, file, oid, index, line, column, spec, marks)


def _row(document: Document) -> list[Any]:
    marks = {name: list(mark) for name, mark in document.stage_marks.items()}
    place = (document.index, document.line, document.column)
    return [document.kind, document.name, *place, document.spec, marks]


class _FileReading:
    """One file being read."""

    def __init__(self, file: str, oid: str, blob: bytes, faults: Faults) -> None:
        self._file = file
        self._oid = oid
        self._blob = blob
        self._faults = faults

    def documents(self, lenient: bool) -> list[Document]:
        """The documents that can be read."""
        try:
            parsed = _load(self._blob, self._file)
        except SpecError as error:
            if lenient and b"apiVersion" not in self._blob:
                return []
            return self._parts(error)
        if lenient and not any(_is_runner_document(document.value) for document in parsed):
            return []
        several = len(parsed) > 1
        found = [self._document(document, index, None, several) for index, document in enumerate(parsed)]
        return [document for document in found if document is not None]

    def _parts(self, error: SpecError) -> list[Document]:
        """The documents of a file that cannot be read as a whole, each by itself."""
        parts = _split(self._blob)
        found: list[Document | None] = []
        count = len(self._faults.findings)
        for index, part in enumerate(parts):
            try:
                parsed = _load(part, self._file)
            except SpecError as problem:
                self._faults.leave_out(left_out.by_text(self._file, part), problem)
                continue
            if len(parsed) == 1:
                found.append(self._document(parsed[0], index, part, len(parts) > 1))
            elif parsed:  # `...` ends documents, too; nobody writes that
                self._faults.leave_out(left_out.by_text(self._file, part))
        if not parts or len(self._faults.findings) == count:
            self._faults.leave_out(left_out.by_text(self._file, self._blob), error)
            return []
        return [document for document in found if document is not None]

    def _document(self, document: yaml12.YamlDocument, index: int, part: str | None, several: bool) -> Document | None:
        """A document without what is wrong in it; None where nothing is left."""
        value = document.value
        locator = Locator(self._file, lambda: self._blob if part is None else part, 0 if part else index)
        if value is None:
            if several:
                hint = "write a document, or remove one of the `---` lines"
                finding = Finding(self._file, document.line, document.column, "this document is empty", hint)
                self._faults.add(finding)
            return None
        problems = _check(value, locator)
        self._faults.findings.extend(problem.finding for problem in problems)
        kind = _kind_of(value)
        spec = value.get("spec") or {} if isinstance(value, dict) else {}
        in_doubt: frozenset[str] = frozenset()
        if problems and kind == "Pipeline" and all(_is_of_stage(problem, ("spec",)) for problem in problems):
            spec = without_stages(spec, problems, ("spec",), self._file, self._faults)
        elif problems and _is_project(value):
            in_doubt = _fields_in_doubt(problems, spec) if isinstance(spec, dict) else GUIDING_FIELDS
            spec = {key: item for key, item in spec.items() if key not in in_doubt} if isinstance(spec, dict) else {}
        elif problems:
            self._faults.leave_out(left_out.by_document(self._file, value, kind))
            return None
        marks = {
            str(path[2]): mark
            for path, mark in document.marks.items()
            if path[:2] == ("spec", "stages") and len(path) == 3
        }
        metadata = value.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        return Document(
            kind=str(kind),
            name=str(name),
            file=self._file,
            oid=self._oid,
            index=index,
            line=document.line,
            column=document.column,
            spec=spec,
            stage_marks=marks,
            part=part,
            in_doubt=in_doubt,
            findings=tuple(problem.finding for problem in problems),
        )


def _load(text: str | bytes, file: str) -> list[yaml12.YamlDocument]:
    return yaml12.load_all(text, file=file, bounds=yaml12.SPEC_BOUNDS, mark_depth=3)


def _split(blob: bytes) -> list[str]:
    """The text of each document of a file, at the lines where it stands; empty where that is not worth while."""
    try:
        text = blob.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    starts = [0, *(match.start() for match in _BORDER.finditer(text)), len(text)]
    if len(blob) > yaml12.SPEC_BOUNDS.size_bytes or len(starts) > _MAX_PARTS or _DIRECTIVE.search(text):
        return []
    parts = [(text.count("\n", 0, start), text[start:end]) for start, end in pairwise(starts)]
    return ["\n" * line + part for line, part in parts if part.strip()]


_BORDER = regex(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = regex(r"^%", re.MULTILINE)
_MAX_PARTS = 50
"""More documents than this in a broken file are not read one by one."""


def _is_runner_document(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("apiVersion", "")).startswith("runner/")


def _is_project(value: Any) -> bool:
    return isinstance(value, dict) and (value.get("apiVersion"), value.get("kind")) == (API_VERSION, "Project")


def _kind_of(value: Any) -> str | None:
    """The kind of a document, or the one that a misspelled kind is taken for."""
    from runner.specs import schemas  # imported late: most is remembered

    kind = value.get("kind") if isinstance(value, dict) else None
    return kind if kind is None or kind in schemas.KINDS else _nearest_kind(kind)


def _nearest_kind(kind: Any) -> str | None:
    from runner.specs import schemas  # imported late: most is remembered

    return nearest(str(kind).capitalize(), schemas.KINDS)


def _is_of_stage(problem: Problem, prefix: yaml12.Path) -> bool:
    """Whether a problem concerns one stage alone."""
    depth = len(prefix) + 1
    return len(problem.path) > depth and problem.path[:depth] == (*prefix, "stages")


def only_of_stages(problems: list[Problem]) -> bool:
    """Whether all problems of a `dvc.yaml` concern single stages."""
    return all(_is_of_stage(problem, ()) for problem in problems)


def without_stages(
    definition: Mapping[str, Any], problems: list[Problem], prefix: yaml12.Path, file: str, faults: Faults
) -> dict[str, Any]:
    """A definition without the stages that have problems, which are noted as left out."""
    broken = {problem.path[len(prefix) + 1] for problem in problems}
    stages = definition["stages"]
    faults.left_out.extend(left_out.by_stages(file, [stage]) for name, stage in stages.items() if name in broken)
    return {**definition, "stages": {name: stage for name, stage in stages.items() if name not in broken}}


def _fields_in_doubt(problems: list[Problem], spec: Mapping[str, Any]) -> frozenset[str]:
    """The fields of a Project's spec that are wrong, or not stated and perhaps what an unknown key stands for."""
    unstated = GUIDING_FIELDS - spec.keys()
    found: set[str] = set()
    for problem in problems:
        in_spec = problem.path[:1] == ("spec",)
        if problem.unknown_key and len(problem.path) == 1 + in_spec:
            meant = {problem.meant} if in_spec and problem.meant in unstated else set()
            found |= meant if in_spec and problem.meant is not None else unstated
        elif in_spec and len(problem.path) > 1 and (problem.path[1] != "specs" or len(problem.path) == 2):
            found.add(str(problem.path[1]))  # of a list of globs, those that are right are used
    return frozenset(found)


def _check(value: Any, locator: Locator) -> list[Problem]:
    from runner.specs import schemas  # imported late: most is remembered

    if not isinstance(value, dict):
        said = ((), "this is not a runner document", f"start with `apiVersion: {API_VERSION}` and `kind:`")
        return [_problem(locator, *said)]
    version = value.get("apiVersion")
    if version is None:
        return [_problem(locator, (), "the key `apiVersion` is missing", f"start with `apiVersion: {API_VERSION}`")]
    if version != API_VERSION:
        hint = f"this runner reads `{API_VERSION}`"
        return [_problem(locator, ("apiVersion",), f"unknown apiVersion `{version}`", hint)]
    kind = value.get("kind")
    if kind is None:
        return [_problem(locator, (), "the key `kind` is missing", f"one of: {', '.join(schemas.KINDS)}")]
    if kind not in schemas.KINDS:
        close = _nearest_kind(kind)
        hint = f"did you mean `{close}`?" if close else f"one of: {', '.join(schemas.KINDS)}"
        return [_problem(locator, ("kind",), f"unknown kind `{kind}`", hint)]
    return schemas.check(str(kind), value, locator)


def _problem(locator: Locator, path: yaml12.Path, message: str, hint: str) -> Problem:
    from runner.specs.schemas import Problem  # imported late: most is remembered

    return Problem(locator.finding(path, message, hint), path)


def locator_of(document: Document, layout: Layout, prefix: yaml12.Path = ("spec",)) -> Locator:
    """Finds places in a document."""
    part = document.part
    if part is not None:
        return Locator(document.file, lambda: part, prefix=prefix)
    return Locator(document.file, functools.partial(layout.blob, document.oid), document.index, prefix)


def check_names(documents: Iterable[Document], layout: Layout, faults: Faults) -> list[Document]:
    """The documents without those that cannot be beside others: a second Project, a second one of a kind and name."""
    seen: dict[tuple[str, str], Document] = {}
    kept = []
    for document in documents:
        key = ("Project", "") if document.kind == "Project" else (document.kind, document.name)
        first = seen.setdefault(key, document)
        locator = locator_of(document, layout, ())
        where = f"{first.file}:{first.line}"
        if first is document and (document.kind != "Project" or document.file == PROJECT_FILE):
            kept.append(document)
            continue
        if first is document:
            message, hint = f"a Project outside `{PROJECT_FILE}` is not read", f"move it to `{PROJECT_FILE}`"
            finding = locator.finding(("kind",), message, hint)
        elif document.kind == "Project":
            message = f"a second Project; the first is in {where}"
            finding = locator.finding(("kind",), message, "keep one Project a repository")
        else:
            message = f"a second {document.kind} named `{document.name}`; the first is in {where}"
            finding = locator.finding(("metadata", "name"), message, "rename one of them")
        faults.leave_out(left_out.by_document(document.file, document.spec, document.kind), [finding])
    return kept
