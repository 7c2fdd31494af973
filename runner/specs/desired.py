"""Everything the specs at a commit ask for, read from git objects alone; or everything that is wrong with them."""

from __future__ import annotations

import configparser
import difflib
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_digest
from runner.core.nouns import Address, Desired, LockEntry, Notice, Project, Stage, TrackedData
from runner.errors import Finding, InputError, Place, SpecError
from runner.git.command import checked_branch
from runner.specs import documents, dvcfiles, graph_checks, loading, params, places, units
from runner.specs.documents import Document
from runner.specs.layout import Layout
from runner.specs.loading import LoadedPipeline
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator

if TYPE_CHECKING:
    from runner.git.read import Reader

_OWN_PREFIX, _STATE = "runner/", "runner/state"
_TRACKED_NAMESPACE = "tracked"
_LOCK_NAMESPACE = "locks"
_CLEAN_NAMESPACE = "clean"
_NOT_HANDLED_PROJECT_FIELDS = ("kpis", "cost", "governance", "registry", "security", "docs", "notify")


def read_desired(
    reader: Reader, commit: str, cache: ParseCache, *, dvc_config: Mapping[str, Any] | None = None
) -> Desired:
    """What the specs at a commit ask for.

    `dvc_config` is DVC's configuration, of which the `parsing` section counts; None reads the committed one.
    Raises SpecError with every finding, sorted by place.
    """
    reading = _Reading(reader, commit, cache, dvc_config)
    desired = reading.read()
    if reading.findings:
        raise SpecError(list(dict.fromkeys(reading.findings)))
    return desired


def read_project(reader: Reader, commit: str, cache: ParseCache) -> Project:
    """The Project at a commit alone: what decides about others' commits must not depend on its pipelines.

    Raises SpecError with every finding about it.
    """
    reading = _Reading(reader, commit, cache, None)
    project = reading.read_project()
    if reading.findings:
        raise SpecError(list(dict.fromkeys(reading.findings)))
    return project


def validate(reader: Reader, commit: str, cache: ParseCache) -> list[Finding]:
    """Everything that is wrong with the specs at a commit, sorted by place; empty if nothing is."""
    try:
        read_desired(reader, commit, cache)
    except SpecError as error:
        return error.findings
    return []


def _records_on_branch(document: Document | None) -> bool:
    """Whether results may be recorded on the watched branch, so that people's commits hold them too."""
    record = document.spec.get("record") if document is not None else None
    return isinstance(record, dict) and "branch" in record


class _Reading:
    """One reading of a commit."""

    def __init__(self, reader: Reader, commit: str, cache: ParseCache, dvc_config: Mapping[str, Any] | None) -> None:
        self.findings: list[Finding] = []
        self._reader = reader
        self._commit = commit
        self._cache = cache
        self._dvc_config = dvc_config
        self._layout = Layout(reader, commit, cache)
        self._not_handled: list[Notice] = []
        self._notices: list[Notice] = []

    def read(self) -> Desired:
        root_documents = documents.read_documents(self._layout, documents.PROJECT_FILE, self._cache, self.findings)
        globs, project_document = documents.project_specs(root_documents)
        self._choose_dvc_root(project_document)
        if not _records_on_branch(project_document):
            self.findings.extend(self._layout.runner_folder_findings())
        locator = self._locator(project_document) if project_document else None
        files = documents.find_files(self._layout, globs, locator, self.findings)
        every = [*root_documents]
        for file in files.documents:
            every += documents.read_documents(
                self._layout, file, self._cache, self.findings, lenient=file in files.lenient
            )
        documents.check_names(every, self._layout, self.findings)
        pipelines = self._pipelines(files.pipelines, every)
        project = self._project(project_document)
        self._note_unhandled(every, pipelines)
        tracked, partial = self._tracked()
        self._check(pipelines, tracked, partial)
        self._check_references(every, pipelines)
        return Desired(
            commit=self._commit,
            project=project,
            pipelines=tuple(loaded.pipeline for loaded in pipelines),
            tracked=tracked,
            locks=self._locks(pipelines) if project.accept_dvc_lock else {},
            dvc_root=self._layout.dvc_root,
            has_dvc=self._layout.has_dvc,
            not_handled=tuple(self._not_handled),
            notices=tuple(self._notices),
        )

    # ----- Project

    def read_project(self) -> Project:
        root_documents = documents.read_documents(self._layout, documents.PROJECT_FILE, self._cache, self.findings)
        return self._project(documents.project_specs(root_documents)[1])

    def _locator(self, document: Document) -> Locator:
        text = functools.partial(self._layout.blob, document.oid)
        return Locator(document.file, text, document=document.index, prefix=("spec",))

    def _choose_dvc_root(self, document: Document | None) -> None:
        stated = document.spec.get("dvcRoot") if document else None
        roots = self._layout.dvc_roots
        if stated is not None and document is not None:
            root = places.joined(".", stated)
            if root not in roots:
                hint = f"there is one in: {', '.join(roots)}" if roots else "run `dvc init --subdir` there"
                self.findings.append(
                    self._locator(document).finding(("dvcRoot",), f"`{stated}` holds no DVC project", hint)
                )
            else:
                self._layout = Layout(self._reader, self._commit, self._cache, dvc_root=root)
        elif roots and not self._layout.has_dvc:
            message = f"several DVC projects and none at the root: {', '.join(roots)}"
            self.findings.append(
                places.file_finding(
                    documents.PROJECT_FILE, message, f"choose one: a Project with `spec: {{dvcRoot: {roots[0]}}}`"
                )
            )
        for root in self._layout.sub_projects:
            if self._layout.has_dvc:
                self._notices.append(Notice(f"the DVC project in `{root}` is left alone", Place(root)))

    def _project(self, document: Document | None) -> Project:
        if document is None:
            return Project()
        spec = document.spec
        record, trust = spec.get("record") or {}, spec.get("trust") or {}
        return Project(
            name=document.name,
            branch=self._branch_name(document, ("branch",), spec.get("branch")),
            record_every_seconds=self._seconds(document, record.get("every"), 60.0),
            record_branch=self._branch_name(document, ("record", "branch"), record.get("branch")),
            accept_dvc_lock=trust.get("dvcLock", "accept") == "accept",
            reuse_proposed=trust.get("reuse", "members") == "members",
            strict=spec.get("strict", False),
            shell=spec.get("shell"),
            protect=spec.get("protect", False),
            objective=spec.get("objective", ""),
            owners=tuple(spec.get("owners", ())),
        )

    def _branch_name(self, document: Document, path: tuple[str, ...], name: str | None) -> str | None:
        if name is None:
            return None
        locator = self._locator(document)
        try:
            checked_branch(name)
        except InputError as error:
            self.findings.append(locator.finding(path, error.message, error.hint))
            return None
        if name.startswith(_OWN_PREFIX) and (name != _STATE or path == ("branch",)):
            message = f"branches below `{_OWN_PREFIX}` belong to the runner"
            self.findings.append(locator.finding(path, message, "choose another name"))
        return name

    def _seconds(self, document: Document, value: Any, default: float) -> float:
        seconds = default if value is None else units.seconds_of(value)
        if seconds is None:
            self.findings.append(
                self._locator(document).finding(
                    ("record", "every"), f"`{value}` is not a duration", "write `60s` or a number of seconds"
                )
            )
        return default if seconds is None else seconds

    def _note_unhandled(self, every: list[Document], pipelines: list[LoadedPipeline]) -> None:
        for document in every:
            place = Place(document.file, document.line, document.column)
            if document.kind in ("Deployment", "Monitor"):
                self._not_handled.append(Notice(f"{document.kind} {document.name} is not handled yet", place))
            elif document.kind == "Project":
                for name in _NOT_HANDLED_PROJECT_FIELDS:
                    if name in document.spec:
                        self._not_handled.append(Notice(f"`{name}` of the Project is not handled yet", place))
        for loaded in pipelines:
            self._notices.extend(loaded.notices)
            for name in loaded.not_handled:
                self._not_handled.append(
                    Notice(f"`{name}` of the Pipeline {loaded.pipeline.name} is not handled yet", loaded.pipeline.place)
                )
            for stage in loaded.pipeline.stages:
                for name in stage.not_handled:
                    self._not_handled.append(
                        Notice(f"`{name}` of the stage {stage.address} is not handled yet", stage.place)
                    )

    # ----- Pipelines

    def _pipelines(self, adopted: tuple[str, ...], every: list[Document]) -> list[LoadedPipeline]:
        parsing = self._parsing()
        loaded = [loading.load_adopted(self._layout, file, self._cache, parsing, self.findings) for file in adopted]
        loaded += [
            loading.load_document(self._layout, document, self._cache, parsing, self.findings)
            for document in every
            if document.kind == "Pipeline"
        ]
        return [item for item in loaded if item is not None]

    def _parsing(self) -> Mapping[str, Any]:
        """The `parsing` section of DVC's configuration, which says how mappings become command-line flags."""
        if self._dvc_config is not None:
            return self._dvc_config.get("parsing") or {}
        root = self._layout.dvc_root
        entry = self._layout.tree.get(".dvc/config" if root == "." else f"{root}/.dvc/config")
        known = self._cache.get("dvc-config", entry.oid) if entry is not None else {}
        if isinstance(known, dict) or entry is None:
            return known or {}
        section = _parsing_section(self._layout.blob(entry.oid))
        self._cache.put("dvc-config", entry.oid, section)
        return section

    # ----- What DVC has written

    def _tracked(self) -> tuple[dict[str, TrackedData], list[str]]:
        """Tracked data by path, and the paths of imports that were never downloaded."""
        files = self._layout.data_files
        if not files:
            return {}, []
        key = canonical_digest([(file, self._layout.tree.files[file].oid) for file in files])
        rows = self._cache.get(_TRACKED_NAMESPACE, key)
        if not isinstance(rows, list):
            rows = self._parse_tracked(files)
            if rows is None:
                return {}, []
            self._cache.put(_TRACKED_NAMESPACE, key, rows)
        items = dvcfiles.tracked_of(rows)
        tracked: dict[str, TrackedData] = {}
        for item in items:
            if isinstance(item, TrackedData):
                first = tracked.setdefault(item.path, item)
                if first is not item:
                    self.findings.append(
                        places.file_finding(
                            item.dvc_file,
                            f"`{item.path}` is also tracked by {first.dvc_file}",
                            "remove one of them (dvc remove)",
                        )
                    )
        partial = [item for item in items if isinstance(item, dvcfiles.PartialImport)]
        for item in partial:
            message = f"`{item.path}` was imported without its bytes; `dvc update {item.dvc_file}` fetches them"
            self._notices.append(Notice(message, Place(item.dvc_file)))
        return tracked, [item.path for item in partial]

    def _parse_tracked(self, files: list[str]) -> list[list[Any]] | None:
        oids = [self._layout.tree.files[file].oid for file in files]
        self._layout.prefetch(oids)
        rows: list[list[Any]] = []
        count = len(self.findings)
        for file, oid in zip(files, oids, strict=True):
            try:
                rows += [dvcfiles.tracked_row(item) for item in dvcfiles.read_dvc_file(self._layout.blob(oid), file)]
            except SpecError as error:
                self.findings.extend(error.findings)
        return rows if len(self.findings) == count else None

    def _locks(self, pipelines: list[LoadedPipeline]) -> dict[Address, LockEntry]:
        found: dict[Address, LockEntry] = {}
        for loaded in pipelines:
            entry = self._layout.tree.get(loaded.pipeline.lock_file)
            if entry is None or not loaded.pipeline.stages:
                continue
            raw = self._raw_lock(loaded.pipeline.lock_file, entry.oid)
            for stage in loaded.pipeline.stages:
                if stage.address.stage in raw:
                    evidence = dvcfiles.lock_entry(raw[stage.address.stage], stage.wdir)
                    if evidence is not None:
                        found[stage.address] = evidence
        return found

    def _raw_lock(self, file: str, oid: str) -> Mapping[str, Any]:
        known = self._cache.get(_LOCK_NAMESPACE, oid)
        if isinstance(known, dict):
            return known
        try:
            entries = dvcfiles.read_lock(self._layout.blob(oid), file)
        except SpecError as error:
            self.findings.extend(error.findings)
            return {}
        self._cache.put(_LOCK_NAMESPACE, oid, entries)
        return entries

    # ----- Between stages

    def _check(self, pipelines: list[LoadedPipeline], tracked: dict[str, TrackedData], partial: list[str]) -> None:
        """Findings between stages; a commit whose tree and pipelines were clean once is clean."""
        tree = self._layout.tree
        key = canonical_digest([[loaded.digest for loaded in pipelines], tree.oid])
        if self._cache.get(_CLEAN_NAMESPACE, key) is True:
            return
        stages = [stage for loaded in pipelines for stage in loaded.pipeline.stages]
        place_of = _place_finder(pipelines)
        outputs = graph_checks.Outputs(stages)
        known = tracked.keys() | set(partial)
        found = [
            *graph_checks.output_findings(stages, tracked, place_of),
            *graph_checks.git_findings(stages, lambda path: path in tree.files, tree.is_folder, place_of),
            *graph_checks.cycle_findings(stages, outputs),
            *graph_checks.environment_findings(stages, lambda path: path in tree.files, place_of),
        ]
        if not self.findings:
            # Only with every pipeline at hand is it known who makes what.
            found += graph_checks.missing_findings(stages, outputs, known, self._has, tree.paths, place_of)
            found += graph_checks.param_findings(stages, functools.cache(self._param_values), place_of)
        self.findings.extend(found)
        if not self.findings:
            self._cache.put(_CLEAN_NAMESPACE, key, True)

    def _check_references(self, every: list[Document], pipelines: list[LoadedPipeline]) -> None:
        """Deployments name a pipeline and an output that exist, monitors a deployment."""
        if self.findings:
            return
        outs = {
            loaded.pipeline.name: [path for stage in loaded.pipeline.stages for path in stage.out_paths]
            for loaded in pipelines
        }
        deployments = [document.name for document in every if document.kind == "Deployment"]
        for document in every:
            locator = self._locator(document)
            if document.kind == "Deployment":
                model = document.spec["model"]
                self._check_name(locator, ("model", "pipeline"), model["pipeline"], list(outs), "pipeline")
                if model["pipeline"] in outs:
                    path = places.joined(self._layout.dvc_root, model["out"])
                    if path not in outs[model["pipeline"]]:
                        self._check_name(locator, ("model", "out"), model["out"], outs[model["pipeline"]], "output")
            elif document.kind == "Monitor":
                self._check_name(locator, ("deployment",), document.spec["deployment"], deployments, "deployment")

    def _check_name(self, locator: Locator, path: tuple[str, ...], name: str, known: list[str], what: str) -> None:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there is: {', '.join(sorted(known)[:10]) or 'none'}"
            self.findings.append(locator.finding(path, f"there is no {what} `{name}`", hint))

    def _param_values(self, file: str) -> Mapping[Any, Any] | None:
        """The values of a parameter file of the commit; None for a link, a file that stages make, or a broken one."""
        entry = self._layout.tree.get(file)
        if entry is None or entry.mode == "120000":
            return None
        try:
            return params.load_params_cached(entry.oid, self._layout.blob(entry.oid), file, self._cache)
        except SpecError as error:
            self.findings.extend(error.findings)
            return None

    def _has(self, path: str) -> bool:
        """Whether git holds a file or folder there, or a link or submodule on the way."""
        tree = self._layout.tree
        if path in tree.files or path == "." or path in tree.folders:
            return True
        return any(part in tree.files for part in places.parents(path))


def _parsing_section(blob: bytes) -> dict[str, str]:
    """`[parsing]` of a DVC configuration; empty for one that cannot be read, which DVC itself will complain about."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(blob.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return {key: value.lower() for key, value in parser["parsing"].items()} if parser.has_section("parsing") else {}


def _place_finder(pipelines: list[LoadedPipeline]) -> Callable[[Stage, str], tuple[str, int, int]]:
    """Where a stage names a path: the item that is written so, else the stage."""
    locators = {loaded.pipeline.name: loaded.locator for loaded in pipelines}

    def place_of(stage: Stage, path: str) -> tuple[str, int, int]:
        locator = locators[stage.address.pipeline]
        place = locator.item_place(stage.address.stage, path, stage.wdir)
        return (
            (place.file, place.line, place.column)
            if place
            else (stage.place.file, stage.place.line, stage.place.column)
        )

    return place_of
