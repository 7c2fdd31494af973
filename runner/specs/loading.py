"""One pipeline from its document: parsed, checked, resolved, read into stages; remembered by what it was made from.

What a pipeline is made from: the blob of its file, the folder and configuration it is read in, and the blobs of the
parameter files that its templates ask for. The first list is known without parsing; the second is noted when the
pipeline is resolved, and compared by blob id the next time, without importing DVC.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_digest
from runner.core.nouns import Notice, Pipeline, Stage, is_external
from runner.errors import Finding, Place, SpecError
from runner.git.tree import SUBMODULE, SYMLINK
from runner.specs import builtin_stages, left_out, params, places, render, schemas, yaml12
from runner.specs.documents import Document, locator_of, only_of_stages, without_stages
from runner.specs.grammar import GitFiles, Resolved, check_for_templates, resolve, uses_templates
from runner.specs.layout import Layout
from runner.specs.left_out import Faults
from runner.specs.parse_cache import ParseCache
from runner.specs.pipelines import DEFAULTED_FIELDS, StageReading, check_handwritten_name, read_stage
from runner.specs.places import Locator
from runner.specs.stage_rows import row_of, stages_of
from runner.values import dataclass, field, replace

if TYPE_CHECKING:
    from runner.specs.stage_code import StageCode

_CONSULTED_NAMESPACE = "consulted"
_PIPELINE_NAMESPACE = "pipelines"
_DEFINITION_NAMESPACE = "definitions"
_LINK_LIMIT_BYTES = 4096
_NOT_HANDLED_SECTIONS = ("on", "data")


@dataclass(frozen=True, slots=True)
class LoadedPipeline:
    """A pipeline, the digest of everything it was made from, and a way to find its parts in the text."""

    pipeline: Pipeline
    digest: str
    locator: Locator
    not_handled: tuple[str, ...] = ()
    """Sections of the document that this version does not act on."""
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Source:
    """A pipeline's definition before it is parsed."""

    name: str
    file: str
    base: str
    adopted: bool
    identity: list[Any]
    locator: Locator
    definition: Callable[[], tuple[Mapping[str, Any], Mapping[str, Any]]]
    """The mapping of the dvc.yaml or of the document's spec, and line and column of each stage."""
    place: Place
    origin: str
    """What people edit to change it."""
    is_whole: bool = True
    """Whether nothing of it was left out before."""
    faults: Faults = field(default_factory=Faults)
    project: Mapping[str, Any] = field(default_factory=dict)
    """What the Project says of its purpose, where a stage tells it on."""


def load_adopted(
    layout: Layout, file: str, cache: ParseCache, parsing: Mapping[str, Any], faults: Faults
) -> LoadedPipeline | None:
    """The pipeline of a `dvc.yaml`, without the stages that cannot be read; None where nothing can."""
    oid = layout.tree.files[file].oid
    locator = Locator(file, lambda: layout.blob(oid))
    source_faults = Faults()

    def definition() -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        known = cache.get(_DEFINITION_NAMESPACE, oid)
        if not isinstance(known, list):
            known = _parse_dvc_yaml(layout.blob(oid, file), file, locator, source_faults)
            if not source_faults.findings:
                cache.put(_DEFINITION_NAMESPACE, oid, known)
        return known[0], known[1]

    base = posixpath.dirname(file) or "."
    source = _Source(file, file, base, True, [oid], locator, definition, Place(file, 1, 1), file, faults=source_faults)
    return _load(source, layout, cache, parsing, faults)


def _parse_dvc_yaml(blob: bytes, file: str, locator: Locator, faults: Faults) -> list[Any]:
    """The mapping of a `dvc.yaml` and the places of its stages, without stages that are wrong, which are noted.

    Raises SpecError with every finding where the file as a whole is wrong.
    """
    try:
        documents = yaml12.load_all(blob, file=file, bounds=yaml12.DVC_YAML_BOUNDS, mark_depth=2)
    except SpecError:
        faults.leave_out(left_out.by_text(file, blob, "Pipeline"))
        raise
    if len(documents) > 1:
        place = (documents[1].line, documents[1].column)
        faults.leave_out(left_out.by_text(file, blob, "Pipeline"))
        raise SpecError(
            [Finding(file, *place, "a second YAML document starts here", "keep one document in a dvc.yaml")]
        )
    value = documents[0].value if documents and documents[0].value is not None else {}
    problems = schemas.check("dvc", value, locator)
    if problems and not only_of_stages(problems):
        faults.leave_out(left_out.by_document(file, value, "Pipeline"))
        raise SpecError([problem.finding for problem in problems])
    if problems:
        faults.findings.extend(problem.finding for problem in problems)
        value = without_stages(value, problems, (), file, faults)
    return [value, _stage_marks(documents[0]) if documents else {}]


def _stage_marks(document: yaml12.YamlDocument) -> dict[str, Any]:
    return {str(path[1]): mark for path, mark in document.marks.items() if path[0] == "stages" and len(path) == 2}


def load_document(
    layout: Layout,
    document: Document,
    cache: ParseCache,
    parsing: Mapping[str, Any],
    faults: Faults,
    project: Callable[[], Mapping[str, Any]] = dict,
) -> LoadedPipeline | None:
    """The pipeline of a Pipeline document, without the stages that cannot be read; None where nothing can.

    `project` gives what the Project says of its purpose, which some stages of the library tell on.
    """
    said = project() if builtin_stages.asks_project(document.spec) else {}
    source = _Source(
        name=document.name,
        file=document.file,
        base=layout.dvc_root,
        adopted=False,
        identity=[document.oid, document.index, said] if said else [document.oid, document.index],
        locator=locator_of(document, layout),
        definition=lambda: (document.spec, document.stage_marks),
        place=Place(document.file, document.line, document.column),
        origin=f"the Pipeline {document.name}",
        is_whole=document.is_whole,
        project=said,
    )
    return _load(source, layout, cache, parsing, faults)


def load_generated(
    layout: Layout,
    name: str,
    origin: str,
    definition: Mapping[str, Any],
    marks: Mapping[str, tuple[int, int]],
    locator: Locator,
    cache: ParseCache,
    faults: Faults,
) -> LoadedPipeline | None:
    """A pipeline that no document spells out, since another document asks for it; None where nothing can be read.

    `origin` is what people edit to change it, and `locator` finds that; `marks` are the line and column that each of
    its stages comes from.
    """
    source = _Source(
        name=name,
        file=locator.file,
        base=layout.dvc_root,
        adopted=False,
        identity=["generated", origin, definition, {stage: list(mark) for stage, mark in marks.items()}],
        locator=locator,
        definition=lambda: (definition, marks),
        place=locator.place(()),
        origin=origin,
    )
    return _load(source, layout, cache, {}, faults)


def _load(
    source: _Source, layout: Layout, cache: ParseCache, parsing: Mapping[str, Any], faults: Faults
) -> LoadedPipeline | None:
    key = canonical_digest([source.identity, source.name, source.base, layout.dvc_root, source.adopted, parsing])
    # What was left out of a document is in no key.
    consulted = cache.get(_CONSULTED_NAMESPACE, key) if source.is_whole else None
    if isinstance(consulted, list):
        digest = _digest(key, consulted, layout, cache)
        known = cache.get(_PIPELINE_NAMESPACE, digest)
        if isinstance(known, dict):
            return _loaded(source, layout, known, digest)
    made = _make(source, layout, cache, parsing)
    faults.findings.extend(dict.fromkeys(source.faults.findings))
    faults.left_out.extend(source.faults.left_out)
    if made is None:
        return None
    value, asked = made
    digest = _digest(key, asked, layout, cache)
    if source.is_whole and not source.faults.findings:
        cache.put(_CONSULTED_NAMESPACE, key, asked)
        cache.put(_PIPELINE_NAMESPACE, digest, value)
    return _loaded(source, layout, value, digest)


def _digest(key: str, consulted: list[Any], layout: Layout, cache: ParseCache) -> str:
    """Digest of a pipeline's key and of what each file that it asks for holds in this commit."""
    return canonical_digest([key, [_state(item, layout, cache) for item in consulted]])


def _state(item: Any, layout: Layout, cache: ParseCache) -> list[Any]:
    """What a pipeline's result depends on of a file: its blob, or for `[path]` only whether DVC can load it.

    Of code that a stage uses: which files that is.
    """
    if isinstance(item, dict):
        from runner.specs import stage_code  # imported late: few specs name code

        return stage_code.code_of(item, layout).as_json()
    path = item if isinstance(item, str) else item[0]
    entry = layout.tree.get(path)
    if entry is None:
        return [path, layout.tree.is_folder(path)]
    if isinstance(item, str) or entry.mode in (SYMLINK, SUBMODULE):
        return [path, *entry]
    try:
        check_for_templates(_load_params(layout, cache, path, entry.oid), path)
    except SpecError:
        return [path, *entry]
    return [path, "loads"]


def _loaded(source: _Source, layout: Layout, value: Mapping[str, Any], digest: str) -> LoadedPipeline:
    dvc_file = source.file if source.adopted else render.rendered_path(layout.dvc_root, source.name)
    pipeline = Pipeline(
        name=source.name,
        file=source.file,
        dvc_file=dvc_file,
        rendered=value["rendered"],
        stages=stages_of(value["stages"], source.name, source.file),
        extra_metrics=tuple(value["metrics"]),
        place=source.place,
    )
    notices = tuple(Notice(message, Place(source.file, line, column)) for message, line, column in value["notices"])
    return LoadedPipeline(pipeline, digest, source.locator, tuple(value["not_handled"]), notices)


def _make(
    source: _Source, layout: Layout, cache: ParseCache, parsing: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any]] | None:
    """The value for the cache and the files asked for; None where nothing can be read. What is wrong is noted."""
    faults = source.faults
    try:
        definition, marks = source.definition()
    except SpecError as error:
        faults.findings.extend(error.findings)
        return None
    definition = _without_odd_names(source, definition)
    if not source.adopted:
        definition = builtin_stages.with_inputs(definition)
    files = _git_files(layout, cache)
    bounds = yaml12.DVC_YAML_BOUNDS if source.adopted else yaml12.SPEC_BOUNDS
    resolved, problems = resolve(definition, source.base, files, parsing, source.locator, bounds)
    codes, requests = ({}, []) if source.adopted else _with_code(source, layout, resolved, marks)
    faults.findings.extend(problems)
    if source.project:
        told = {name: builtin_stages.with_project(stage, source.project) for name, stage in resolved.stages.items()}
        resolved = replace(resolved, stages=told)
    groups = definition.get("stages") or {}
    faults.left_out.extend(left_out.by_stages(source.file, [groups[name]]) for name in resolved.failed)
    stages = _read_stages(source, layout, definition, resolved, marks, codes)
    metrics = _top_metrics(source, resolved)
    text = None
    if not source.adopted and not faults.findings:
        has_params = layout.tree.get(posixpath.normpath(posixpath.join(source.base, "params.yaml"))) is not None
        settled = {**definition, "stages": render.settled(definition.get("stages") or {}, resolved)}
        text = render.render(settled, source.origin, has_default_params=has_params)
    value = {
        "stages": [row_of(stage) for stage in stages],
        "metrics": metrics,
        "notices": resolved.notices,
        "rendered": text,
        "not_handled": [] if source.adopted else [name for name in _NOT_HANDLED_SECTIONS if name in definition],
    }
    # Without a template the values of parameters do not matter: the commonest edit then costs no resolution.
    plain = not uses_templates(definition)
    return value, [*([path] if plain else path for path in resolved.consulted), *requests]


def _with_code(
    source: _Source, layout: Layout, resolved: Resolved, marks: Mapping[str, Any]
) -> tuple[dict[str, StageCode], list[dict[str, Any]]]:
    """Give stages the code that they use as dependencies; returns it by stage, and what was asked for it."""
    codes: dict[str, StageCode] = {}
    requests: list[dict[str, Any]] = []
    named = [(name, stage) for name, stage in resolved.stages.items() if builtin_stages.uses_code(stage.get("uses"))]
    if not named:
        return codes, requests
    from runner.specs import stage_code  # imported late: few specs name code

    stated = {name: stage_code.request_of(stage, source.base) for name, stage in named}
    asked = {name: request for name, request in stated.items() if request is not None}
    for name, code in stage_code.codes_of(asked, resolved.groups, layout).items():
        request = asked[name]
        requests.append(request)
        resolved.stages[name], codes[name] = stage_code.with_code(resolved.stages[name], code, request["wdir"])
        mark = marks.get(resolved.groups.get(name, name), (0, 0))
        notices = [(notice, *mark) for notice in code.notices]
        resolved.notices.extend(notice for notice in notices if notice not in resolved.notices)
    return codes, requests


def _without_odd_names(source: _Source, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition without stages whose names are not text, which are noted."""
    stages = definition.get("stages") or {}
    odd = {name: None for name in stages if not isinstance(name, str)}
    for name in odd:
        place = ("stages", name) if isinstance(name, int) else ("stages",)
        finding = source.locator.finding(place, f"the stage name `{name}` is not text", "put it in quotes")
        source.faults.leave_out(left_out.by_stages(source.file, [stages[name]]), [finding])
    if not odd:
        return definition
    return {**definition, "stages": {name: stage for name, stage in stages.items() if name not in odd}}


def _load_params(layout: Layout, cache: ParseCache, path: str, oid: str) -> Mapping[Any, Any]:
    known = params.load_params_cached(oid, None, path, cache)
    return known if known is not None else params.load_params_cached(oid, layout.blob(oid, path), path, cache) or {}


def _git_files(layout: Layout, cache: ParseCache) -> GitFiles:
    return GitFiles(
        file_of=layout.tree.get,
        is_folder=layout.tree.is_folder,
        target_of=lambda oid: layout.blob(oid, "", _LINK_LIMIT_BYTES).decode("utf-8", "replace"),
        load=functools.partial(_load_params, layout, cache),
    )


def _read_stages(
    source: _Source,
    layout: Layout,
    definition: Mapping[str, Any],
    resolved: Resolved,
    marks: Mapping[str, Any],
    codes: Mapping[str, StageCode],
) -> list[Stage]:
    reading = StageReading(
        pipeline=source.name,
        base=source.base,
        dvc_root=layout.dvc_root,
        adopted=source.adopted,
        locator=source.locator,
        defaults={} if source.adopted else {name: definition[name] for name in DEFAULTED_FIELDS if name in definition},
        findings=source.faults.findings,
        codes=codes,
    )
    for name in definition.get("stages") or {}:
        check_handwritten_name(reading, str(name))
    stages = []
    for name, data in resolved.stages.items():
        group = resolved.groups.get(name)
        line, column = marks.get(group or name, (0, 0))
        if "\0" in name or "\n" in name:
            reading.add(
                ("stages", group or name),
                f"the generated name {name!r} holds a line break",
                "use short values as items",
            )
            source.faults.leave_out(left_out.by_stages(source.file, [data]))
            continue
        stage = read_stage(reading, name, group, data, (line, column))
        if stage is not None:
            stages.append(stage)
        else:
            source.faults.leave_out(left_out.by_stages(source.file, [data]))
    return stages


def _top_metrics(source: _Source, resolved: Resolved) -> list[str]:
    found = []
    for index, path in enumerate(resolved.metrics):
        whole = places.joined(source.base, path) if isinstance(path, str) and not is_external(path) else None
        if whole is None:
            source.faults.add(
                source.locator.finding(
                    ("metrics", index), f"the metrics file `{path}` leaves the repository", "name a file inside it"
                )
            )
        else:
            found.append(whole)
    return found
