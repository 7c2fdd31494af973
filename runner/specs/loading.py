"""One pipeline from its document: parsed, checked, resolved, read into stages; remembered by what it was made from.

What a pipeline is made from: the blob of its file, the folder and configuration it is read in, and the blobs of the
parameter files that its templates ask for. The first list is known without parsing; the second is noted when the
pipeline is resolved, and compared by blob id the next time, without importing DVC.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from runner.core.canonical import canonical_digest
from runner.core.nouns import Notice, Pipeline
from runner.errors import Finding, Place, SpecError
from runner.git.tree import SUBMODULE, SYMLINK
from runner.specs import left_out, params, yaml12
from runner.specs.documents import Document, locator_of, only_of_stages, without_stages
from runner.specs.grammar import GitFiles, check_for_templates
from runner.specs.layout import Layout
from runner.specs.left_out import Faults
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator
from runner.specs.stage_rows import stages_of
from runner.values import dataclass, field

_CONSULTED_NAMESPACE = "consulted"
_PIPELINE_NAMESPACE = "pipelines"
_DEFINITION_NAMESPACE = "definitions"
_LINK_LIMIT_BYTES = 4096


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
class Source:
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
    source = Source(file, file, base, True, [oid], locator, definition, Place(file, 1, 1), file, faults=source_faults)
    return _load(source, layout, cache, parsing, faults)


def _parse_dvc_yaml(blob: bytes, file: str, locator: Locator, faults: Faults) -> list[Any]:
    """The mapping of a `dvc.yaml` and the places of its stages, without stages that are wrong, which are noted.

    Raises SpecError with every finding where the file as a whole is wrong.
    """
    from runner.specs import schemas  # imported late: most is remembered

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
    return {str(path[1]): list(mark) for path, mark in document.marks.items() if path[0] == "stages" and len(path) == 2}


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
    said = project() if _asks_project(document.spec) else {}
    source = Source(
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


def _asks_project(definition: Mapping[str, Any]) -> bool:
    stages = [stage for stage in (definition.get("stages") or {}).values() if isinstance(stage, Mapping)]
    if not any("uses" in stage or "uses" in (stage.get("do") or ()) for stage in stages):
        return False
    from runner.specs.builtin_stages import asks_project  # imported late: only where a stage of the library is used

    return asks_project(definition)


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
    source = Source(
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
    source: Source, layout: Layout, cache: ParseCache, parsing: Mapping[str, Any], faults: Faults
) -> LoadedPipeline | None:
    key = canonical_digest([source.identity, source.name, source.base, layout.dvc_root, source.adopted, parsing])
    # What was left out of a document is in no key.
    consulted = cache.get(_CONSULTED_NAMESPACE, key) if source.is_whole else None
    if isinstance(consulted, list):
        digest = _digest(key, consulted, layout, cache)
        known = cache.get(_PIPELINE_NAMESPACE, digest)
        if isinstance(known, dict):
            return _loaded(source, layout, known, digest)
    from runner.specs.making import make  # imported late: most is remembered

    made = make(source, layout, _git_files(layout, cache), parsing)
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
        check_for_templates(_load_params(layout, cache, path, entry.oid), Locator(path, lambda: b""))
    except SpecError:
        return [path, *entry]
    return [path, "loads"]


def _loaded(source: Source, layout: Layout, value: Mapping[str, Any], digest: str) -> LoadedPipeline:
    dvc_file = source.file if source.adopted else rendered_path(layout.dvc_root, source.name)
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


def rendered_path(dvc_root: str, name: str) -> str:
    """Where the rendered `dvc.yaml` of a pipeline goes, from the root of the repository."""
    path = f".runner/pipelines/{name}/dvc.yaml"
    return path if dvc_root == "." else f"{dvc_root}/{path}"


def _load_params(layout: Layout, cache: ParseCache, path: str, oid: str) -> Mapping[Any, Any]:
    known = params.load_params_cached(oid, None, path, cache)
    return known if known is not None else params.load_params_cached(oid, layout.blob(oid, path), path, cache) or {}


def _git_files(layout: Layout, cache: ParseCache) -> GitFiles:
    return GitFiles(
        file_of=layout.tree.get,
        is_folder=layout.tree.is_folder,
        target_of=lambda oid: layout.blob(oid, "", _LINK_LIMIT_BYTES).decode("utf-8", "replace"),
        load=functools.partial(_load_params, layout, cache),
        text_of=lambda path, oid: layout.blob(oid, path),
    )
