"""Everything the specs at a commit ask for, read from git objects alone; or everything that is wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_digest, plain_digest
from runner.core.commands import leaning_line
from runner.core.nouns import Address, Desired, Holdout, LockEntry, Notice, Project, Stage, TrackedData
from runner.errors import Finding, Place, SpecError
from runner.git.tree import EXECUTABLE
from runner.specs import documents, dvcfiles, graph_checks, left_out, loading, params, places, yaml12
from runner.specs.documents import Document
from runner.specs.grammar import MAX_STAGES
from runner.specs.guesses import GUESSES, nearest
from runner.specs.layout import PROJECT_FILE, Layout
from runner.specs.left_out import Faults
from runner.specs.loading import LoadedPipeline
from runner.specs.parse_cache import ParseCache
from runner.specs.places import Locator
from runner.specs.projects import ProjectReading
from runner.values import dataclass, replace

if TYPE_CHECKING:
    from runner.core.gates import Deployment
    from runner.git.read import Reader
    from runner.specs.deployments import DeploymentReading

_TRACKED_NAMESPACE = "tracked"
_CONFIG_NAMESPACE = "dvc-config2"
_LOCK_NAMESPACE = "locks"
_CLEAN_NAMESPACE = "clean"
_CONFIG_LIMIT_BYTES = 64 << 10
_ALL_DATA_FILES_BYTES = 64 << 20
_ALL_SPECS_BYTES = 64 << 20
"""Of all spec files and `dvc.yaml` files of a commit: a stranger may bring any number of them."""
_ALL_LOCKS_BYTES = 64 << 20
_NOT_HANDLED_PROJECT_FIELDS = ("cost", "governance", "registry", "security", "docs", "notify")


@dataclass(frozen=True, slots=True)
class Reading:
    """What can be read of the specs at a commit, and everything that is wrong with them."""

    desired: Desired
    """All of it where there are no findings, else without what was left out."""
    findings: tuple[Finding, ...]
    """Sorted by place."""
    unvouched: frozenset[Address]
    """Stages whose committed evidence cannot be read, or may not count."""


def read_specs(
    reader: Reader, commit: str, cache: ParseCache, *, dvc_config: Mapping[str, Any] | None = None
) -> Reading:
    """What the specs at a commit ask for, as far as they can be read; `runner.specs.left_out` says how far that is.

    `dvc_config` is DVC's configuration, of which the `parsing` section counts; None reads the committed one.
    """
    return _Reader(reader, commit, cache, dvc_config).read()


def read_desired(
    reader: Reader, commit: str, cache: ParseCache, *, dvc_config: Mapping[str, Any] | None = None
) -> Desired:
    """What the specs at a commit ask for; raises SpecError with every finding, sorted by place."""
    reading = read_specs(reader, commit, cache, dvc_config=dvc_config)
    if reading.findings:
        raise SpecError(list(reading.findings))
    return reading.desired


def read_project(reader: Reader, commit: str, cache: ParseCache) -> Project:
    """The Project at a commit alone: what decides about others' commits must not depend on its pipelines.

    Raises SpecError with every finding about it, and about what might be it.
    """
    layout, faults = Layout(reader, commit, cache), Faults()
    for finding in layout.project_file_findings():
        faults.leave_out(left_out.anything(PROJECT_FILE), [finding])
    root_documents = documents.read_documents(layout, PROJECT_FILE, cache, faults)
    own = Faults()
    reading = ProjectReading.of(root_documents, layout, faults)
    project = replace(reading, faults=own).project()
    if reading.might_be_elsewhere:
        own.findings.extend(faults.findings)
    elif reading.document is not None:
        own.findings.extend(reading.document.findings)
    if own.findings:
        raise SpecError(list(dict.fromkeys(own.findings)))
    return project


def validate(reader: Reader, commit: str, cache: ParseCache) -> list[Finding]:
    """Everything that is wrong with the specs at a commit, sorted by place; empty if nothing is."""
    return list(read_specs(reader, commit, cache).findings)


class _Reader:
    """One reading of a commit."""

    def __init__(self, reader: Reader, commit: str, cache: ParseCache, dvc_config: Mapping[str, Any] | None) -> None:
        self._faults = Faults()
        self._reader = reader
        self._commit = commit
        self._cache = cache
        self._dvc_config = dvc_config
        self._layout = Layout(reader, commit, cache)
        self._not_handled: list[Notice] = []
        self._notices: list[Notice] = []

    def read(self) -> Reading:
        faults = self._faults
        for finding in self._layout.project_file_findings():
            faults.leave_out(left_out.anything(PROJECT_FILE), [finding])
        root_documents = documents.read_documents(self._layout, PROJECT_FILE, self._cache, faults)
        project = ProjectReading.of(root_documents, self._layout, faults)
        root = project.dvc_root()
        if project.is_known("record") and not project.records_on_branch:
            faults.findings.extend(self._layout.runner_folder_findings())
        if root is not None and root != self._layout.dvc_root:
            self._layout = Layout(self._reader, self._commit, self._cache, dvc_root=root)
        every = [*root_documents, *self._other_documents(project)]
        kept = documents.check_names(every, self._layout, faults)
        adopted = self._files.pipelines if root is not None else ()
        if root is None:
            # Where paths start is not known, so nothing can be said of any.
            faults.left_out.append(left_out.anything(PROJECT_FILE))
            pipelines: list[LoadedPipeline] = []
        else:
            self._note_sub_projects()
            pipelines = self._pipelines(adopted, every, kept, project.told)
        nouns = project.project()
        holdouts = self._holdouts(kept)
        deployments = self._deployments(kept, pipelines, holdouts) if root is not None else []
        self._note_unhandled(kept, pipelines, deployments)
        stages = (stage for loaded in pipelines for stage in loaded.pipeline.stages)
        self._notices += graph_checks.ignore_notices(stages, self._layout.link_at)
        tracked, partial = self._tracked() if root is not None else ({}, {})
        self._check(pipelines, tracked, partial)
        self._check_references(kept, pipelines)
        self._check_seal(pipelines, holdouts, [found.deployment for found in deployments], {*tracked, *partial})
        locks, unvouched = (
            self._locks(pipelines) if nouns.accept_dvc_lock and project.is_known("trust") else ({}, set())
        )
        if not project.is_known("trust"):
            unvouched = {stage.address for loaded in pipelines for stage in loaded.pipeline.stages}
        desired = Desired(
            commit=self._commit,
            project=nouns,
            pipelines=tuple(loaded.pipeline for loaded in pipelines),
            tracked=tracked,
            locks=locks,
            dvc_root=self._layout.dvc_root,
            has_dvc=self._layout.has_dvc,
            not_handled=tuple(self._not_handled),
            notices=tuple(self._notices),
            deployments=tuple(found.deployment for found in deployments),
            holdouts=tuple(holdouts),
        )
        return Reading(desired, tuple(sorted(set(faults.findings))), frozenset(unvouched))

    def _other_documents(self, project: ProjectReading) -> list[Document]:
        """The documents beside `runner.yaml`; none where it is not known which files hold them."""
        if not project.is_known("specs"):
            self._files = documents.SpecFiles((), (), frozenset())
            self._faults.left_out.append(left_out.anything(PROJECT_FILE))
            return []
        self._files = self._with_room(documents.find_files(self._layout, project.globs, project.locator, self._faults))
        found = []
        for file in self._files.documents:
            found += documents.read_documents(
                self._layout, file, self._cache, self._faults, lenient=file in self._files.lenient
            )
        return found

    def _with_room(self, files: documents.SpecFiles) -> documents.SpecFiles:
        """The files that may be read; from the one on that is too much for one commit, none is."""
        limits = dict.fromkeys(files.documents, yaml12.SPEC_BOUNDS.size_bytes)
        limits |= dict.fromkeys(files.pipelines, yaml12.DVC_YAML_BOUNDS.size_bytes)
        kept = self._within(limits, _ALL_SPECS_BYTES, "the spec files and dvc.yaml files")
        return replace(
            files,
            documents=tuple(file for file in files.documents if file in kept),
            pipelines=tuple(file for file in files.pipelines if file in kept),
        )

    def _within(self, limits: Mapping[str, int], room_bytes: int, what: str) -> set[str]:
        """The first of these files that are not larger in all than there is room; the one too many is a finding.

        `limits` are the files with the size above which each is refused by itself. Only sizes are asked for, also of
        files that are remembered, so that no cache decides what is found.
        """
        if sum(limits.values()) <= room_bytes:
            return set(limits)
        kept = set()
        left_bytes = room_bytes
        for file, limit in limits.items():
            entry = self._layout.file(file)
            size_bytes = self._reader.size(entry.oid) if entry is not None else 0
            left_bytes -= size_bytes if size_bytes <= limit else 0
            if left_bytes < 0:
                message = f"{what} of the commit are larger than {room_bytes >> 20} MiB in all"
                finding = places.file_finding(file, message, "generate fewer of them, or split the repository")
                self._faults.leave_out(left_out.anything(file), [finding])
                break
            kept.add(file)
        return kept

    def _note_sub_projects(self) -> None:
        for root in self._layout.sub_projects:
            if self._layout.has_dvc:
                self._notices.append(Notice(f"the DVC project in `{root}` is left alone", Place(root)))

    def _note_unhandled(
        self, every: list[Document], pipelines: list[LoadedPipeline], deployments: list[DeploymentReading]
    ) -> None:
        fields = {found.deployment.name: found.unhandled for found in deployments}
        for document in every:
            place = Place(document.file, document.line, document.column)
            if document.kind == "Monitor":
                self._not_handled.append(Notice(f"Monitor {document.name} is not handled yet", place))
            elif document.kind == "Deployment":
                for name in fields.get(document.name, ()):
                    message = f"`{name}` of the Deployment {document.name} is not handled yet"
                    self._not_handled.append(Notice(message, place))
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
                if (said := leaning_line(stage)) is not None:
                    self._notices.append(Notice(said, stage.place))
                for name in stage.not_handled:
                    self._not_handled.append(
                        Notice(f"`{name}` of the stage {stage.address} is not handled yet", stage.place)
                    )

    # ----- Pipelines

    def _pipelines(
        self,
        adopted: tuple[str, ...],
        every: list[Document],
        kept: list[Document],
        said: Callable[[], Mapping[str, Any]],
    ) -> list[LoadedPipeline]:
        """The pipelines; those of documents that are not kept are only read for what is wrong with them."""
        parsing = self._parsing()
        found: list[LoadedPipeline] = []
        room = MAX_STAGES
        sources: list[str | Document] = [*adopted, *(document for document in every if document.kind == "Pipeline")]
        for source in sources:
            if isinstance(source, str):
                loaded = loading.load_adopted(self._layout, source, self._cache, parsing, self._faults)
            else:
                loaded = loading.load_document(self._layout, source, self._cache, parsing, self._faults, said)
            if loaded is None:
                continue
            room -= len(loaded.pipeline.stages)
            if room < 0:
                message = f"the pipelines of the commit have more than {MAX_STAGES:,} stages in all"
                finding = places.file_finding(loaded.pipeline.file, message, "iterate over less")
                self._faults.leave_out(left_out.anything(loaded.pipeline.file), [finding])
                break
            found += [loaded] if isinstance(source, str) or source in kept else []
        return found

    def _parsing(self) -> Mapping[str, Any]:
        """The `parsing` section of DVC's configuration, which says how mappings become command-line flags."""
        if self._dvc_config is not None:
            return self._dvc_config.get("parsing") or {}
        root = self._layout.dvc_root
        file = ".dvc/config" if root == "." else f"{root}/.dvc/config"
        entry = self._layout.file(file)
        known = self._cache.get(_CONFIG_NAMESPACE, entry.oid) if entry is not None else {}
        if isinstance(known, dict) or entry is None:
            return known or {}
        data = self._layout.blob(entry.oid, ".dvc/config", _CONFIG_LIMIT_BYTES)
        from runner.data.config import fault  # imported late: start-up

        wrong = fault(data)
        if wrong is not None:
            self._faults.add(Finding(file, wrong[0], 1 if wrong[0] else 0, *wrong[1:]))
            return {}
        section = _parsing_section(data)
        self._cache.put(_CONFIG_NAMESPACE, entry.oid, section)
        return section

    # ----- Gates and the sealed hold-out

    def _holdouts(self, kept: list[Document]) -> list[Holdout]:
        named = [document for document in kept if document.kind == "Pipeline" and "holdout" in document.spec]
        if not named:
            return []
        from runner.specs.holdouts import read_holdout  # imported late: few have one

        root, faults = self._layout.dvc_root, self._faults
        located = ((document, documents.locator_of(document, self._layout)) for document in named)
        return [read_holdout(document.name, document.spec, locator, root, faults) for document, locator in located]

    def _deployments(
        self, kept: list[Document], pipelines: list[LoadedPipeline], holdouts: list[Holdout]
    ) -> list[DeploymentReading]:
        """The deployments; the stages that their gates ask for join the pipelines."""
        named = [document for document in kept if document.kind == "Deployment"]
        if not named:
            return []
        from runner.specs.deployments import Ground, read_deployment  # imported late: start-up

        made = [loaded.pipeline for loaded in pipelines]
        stages = [stage for pipeline in made for stage in pipeline.stages]
        names, tree = [pipeline.name for pipeline in made], self._layout.tree

        def id_of(path: str) -> str | None:
            entry = self._layout.file(path)
            return tree.folder(path) if entry is None else entry.oid

        def is_program(path: str) -> bool:
            entry = self._layout.file(path)
            return entry is not None and entry.mode == EXECUTABLE

        root, faults = self._layout.dvc_root, self._faults
        ground = Ground(root, stages, names, holdouts, faults, id_of=id_of, is_program=is_program)
        found = []
        for document in named:
            locator = documents.locator_of(document, self._layout)
            reading = read_deployment(document, locator, ground)
            found.append(reading)
            if reading.definition:
                gates = replace(locator, prefix=(*locator.prefix, "gates"))
                origin = f"the gates of the Deployment {document.name}"
                source = (reading.pipeline, origin, reading.definition, reading.marks, gates)
                loaded = loading.load_generated(self._layout, *source, self._cache, self._faults)
                pipelines += [loaded] if loaded is not None else []
        return found

    def _check_seal(
        self,
        pipelines: list[LoadedPipeline],
        holdouts: list[Holdout],
        deployments: list[Deployment],
        tracked: Collection[str],
    ) -> None:
        """Hold-outs are there, and nothing that trains, or that is trained on, reads them."""
        if not holdouts:
            return
        from runner.specs.holdouts import missing_findings, seal_findings  # imported late: few have one

        stages = [stage for loaded in pipelines for stage in loaded.pipeline.stages]

        def exists(path: str) -> bool:
            return self._has(path) or self._faults.might_make(path)

        self._faults.findings += [
            *missing_findings(holdouts, stages, tracked, exists, self._layout.tree.paths),
            *seal_findings(stages, holdouts, deployments, _place_finder(pipelines)),
        ]

    # ----- What DVC has written

    def _tracked(self) -> tuple[dict[str, TrackedData], dict[str, str]]:
        """Tracked data by path, and the files of imports that were never downloaded, by path."""
        files = self._layout.data_files
        if not files:
            return {}, {}
        key = canonical_digest([(file, self._layout.tree.files[file].oid) for file in files])
        rows = self._cache.get(_TRACKED_NAMESPACE, key)
        if not isinstance(rows, list):
            count = len(self._faults.findings)
            rows = self._parse_tracked(files)
            if len(self._faults.findings) == count:
                self._cache.put(_TRACKED_NAMESPACE, key, rows)
        items = dvcfiles.tracked_of(rows)
        tracked: dict[str, TrackedData] = {}
        for item in items:
            if isinstance(item, TrackedData):
                first = tracked.setdefault(item.path, item)
                if first is not item:
                    self._faults.add(
                        places.file_finding(
                            item.dvc_file,
                            f"`{item.path}` is also tracked by {first.dvc_file}",
                            "remove one of them (dvc remove)",
                        )
                    )
        partial = [item for item in items if isinstance(item, dvcfiles.PartialImport)]
        self._notices += dvcfiles.notices(items)
        return tracked, {item.path: item.dvc_file for item in partial}

    def _parse_tracked(self, files: list[str]) -> list[list[Any]]:
        oids = [self._layout.tree.files[file].oid for file in files]
        self._layout.prefetch(oids)
        rows: list[list[Any]] = []
        room_bytes = _ALL_DATA_FILES_BYTES
        for file, oid in zip(files, oids, strict=True):
            blob = b""
            try:
                blob = self._layout.blob(oid, file)
                room_bytes -= len(blob)
                if room_bytes < 0:
                    limit = f"{_ALL_DATA_FILES_BYTES >> 20} MiB"
                    raise SpecError([places.file_finding(file, f"the .dvc files are larger than {limit} in all")])
                rows += [dvcfiles.tracked_row(item) for item in dvcfiles.read_dvc_file(blob, file)]
            except SpecError as error:
                self._faults.leave_out(left_out.by_text(file, blob) if blob else left_out.anything(file), error)
            if room_bytes < 0:
                break
        return rows

    def _locks(self, pipelines: list[LoadedPipeline]) -> tuple[dict[Address, LockEntry], set[Address]]:
        """The committed evidence by stage, and the stages whose lock file cannot be read."""
        found: dict[Address, LockEntry] = {}
        unread: set[Address] = set()
        limits = {loaded.pipeline.lock_file: yaml12.DVC_LOCK_BOUNDS.size_bytes for loaded in pipelines}
        there = {file: limit for file, limit in limits.items() if self._layout.file(file) is not None}
        readable = self._within(there, _ALL_LOCKS_BYTES, "the dvc.lock files")
        for loaded in pipelines:
            entry = self._layout.file(loaded.pipeline.lock_file)
            if entry is None or not loaded.pipeline.stages:
                continue
            raw = (
                self._raw_lock(loaded.pipeline.lock_file, entry.oid) if loaded.pipeline.lock_file in readable else None
            )
            if raw is None:
                unread.update(stage.address for stage in loaded.pipeline.stages)
                continue
            entries, before_two = raw
            for stage in loaded.pipeline.stages:
                if stage.address.stage in entries:
                    evidence = dvcfiles.lock_entry(entries[stage.address.stage], stage.wdir, before_two=before_two)
                    if evidence is not None:
                        found[stage.address] = evidence
        return found, unread

    def _raw_lock(self, file: str, oid: str) -> tuple[Mapping[str, Any], bool] | None:
        known = self._cache.get(_LOCK_NAMESPACE, oid)
        if isinstance(known, list):
            return known[0], known[1]
        try:
            entries, before_two = dvcfiles.read_lock(
                self._layout.blob(oid, file, yaml12.DVC_LOCK_BOUNDS.size_bytes), file
            )
        except SpecError as error:
            self._faults.findings.extend(error.findings)
            return None
        self._cache.put(_LOCK_NAMESPACE, oid, [entries, before_two])
        return entries, before_two

    # ----- Between stages

    def _check(self, pipelines: list[LoadedPipeline], tracked: dict[str, TrackedData], partial: dict[str, str]) -> None:
        """Findings between stages; a commit whose tree and pipelines were clean once is clean."""
        tree, faults = self._layout.tree, self._faults
        definitions = [loaded.digest for loaded in pipelines]
        key = canonical_digest([definitions, tree.oid])
        if not faults.findings and self._cache.get(_CLEAN_NAMESPACE, key) is True:
            return
        stages = [stage for loaded in pipelines for stage in loaded.pipeline.stages]
        place_of = _place_finder(pipelines)
        outputs = graph_checks.Outputs(stages)
        known = tracked.keys() | partial.keys()
        faults.findings += graph_checks.pointer_findings(stages, outputs, known, self._layout.lfs_pointers, place_of)
        shape = plain_digest([definitions, self._shape(stages, known), partial])
        if not faults.findings and self._cache.get(_CLEAN_NAMESPACE, shape) is True:
            self._cache.put(_CLEAN_NAMESPACE, key, True)
            return

        def exists(path: str) -> bool:
            return self._has(path) or faults.might_make(path)

        def is_file(path: str) -> bool:
            return self._layout.file(path) is not None

        faults.findings += [
            *graph_checks.output_findings(stages, tracked, place_of),
            *graph_checks.git_findings(stages, lambda path: path in tree.files, tree.is_folder, place_of),
            *graph_checks.hidden_findings(stages, self._layout.hidden_outputs, place_of),
            *graph_checks.ignore_file_findings(stages, tree.is_folder, self._layout.ignore_files_in, place_of),
            *graph_checks.cycle_findings(stages, outputs),
            *graph_checks.link_findings(stages, outputs, known, self._layout.link_at, place_of),
            *graph_checks.way_findings(stages, self._layout.link_at, is_file, place_of),
            *graph_checks.environment_findings(stages, is_file, place_of),
            *graph_checks.missing_findings(stages, outputs, known, exists, tree.paths, place_of),
            *graph_checks.import_findings(stages, partial, place_of),
            *graph_checks.param_findings(stages, functools.cache(self._param_values), place_of),
        ]
        if not faults.findings:
            self._cache.put(_CLEAN_NAMESPACE, key, True)
            self._cache.put(_CLEAN_NAMESPACE, shape, True)

    def _shape(self, stages: list[Stage], known: Collection[str]) -> list[Any]:
        """All that the checks between stages ask of a commit, but for the content of LFS pointers: what the paths are
        that stages name and those above them, what DVC tracks, the parameters, and the `.dvcignore` files."""
        files, folders = self._layout.tree.files, self._layout.tree.folders
        named = {path for stage in stages for path in (*graph_checks.inputs(stage), *stage.out_paths, stage.wdir)}
        asked = named.union(*map(places.parents, named))
        asked |= {stage.environment.lock for stage in stages if stage.environment is not None}
        kinds = [(path, files[path].mode if path in files else path in folders) for path in sorted(asked)]
        params = {param.file for stage in stages for param in stage.params}.intersection(files)
        rows = [kinds, sorted(known), sorted((path, files[path].oid) for path in params)]
        return [*rows, dict(self._layout.ignore_files)] if self._layout.ignore_files else rows

    def _check_references(self, every: list[Document], pipelines: list[LoadedPipeline]) -> None:
        """Deployments name a pipeline and an output that exist, monitors a deployment."""
        outs = {
            loaded.pipeline.name: [path for stage in loaded.pipeline.stages for path in stage.out_paths]
            for loaded in pipelines
        }
        deployments = [document.name for document in every if document.kind == "Deployment"]
        for document in every:
            locator = documents.locator_of(document, self._layout)
            if document.kind == "Deployment":
                self._check_model(locator, document.spec["model"], outs)
            elif document.kind == "Monitor" and not self._faults.might_hold("Deployment", document.spec["deployment"]):
                self._check_name(locator, ("deployment",), document.spec["deployment"], deployments, "deployment")

    def _check_model(self, locator: Locator, model: Mapping[str, Any], outs: Mapping[str, list[str]]) -> None:
        name = model["pipeline"]
        if name not in outs and not self._faults.might_hold("Pipeline", name):
            self._check_name(locator, ("model", "pipeline"), name, list(outs), "pipeline")
        path = places.joined(self._layout.dvc_root, model["out"]) or model["out"]
        if name in outs and path not in outs[name] and not self._faults.might_make(path):
            self._check_name(locator, ("model", "out"), model["out"], outs[name], "output")

    def _check_name(self, locator: Locator, path: tuple[str, ...], name: str, known: list[str], what: str) -> None:
        if name not in known:
            close = nearest(name, known) if len(self._faults.findings) < GUESSES else None
            hint = f"did you mean `{close}`?" if close else f"there is: {', '.join(sorted(known)[:10]) or 'none'}"
            self._faults.add(locator.finding(path, f"there is no {what} `{name}`", hint))

    def _param_values(self, file: str) -> Mapping[Any, Any] | None:
        """The values of a parameter file of the commit; None for a link, a file that stages make, or a broken one."""
        entry = self._layout.file(file)
        if entry is None:
            return None
        try:
            return params.load_params_cached(entry.oid, self._layout.blob(entry.oid, file), file, self._cache)
        except SpecError as error:
            self._faults.findings.extend(error.findings)
            return None

    def _has(self, path: str) -> bool:
        """Whether git holds a file or folder there, or a link or submodule on the way."""
        tree = self._layout.tree
        if path in tree.files or path == "." or path in tree.folders:
            return True
        return any(part in tree.files for part in places.parents(path))


def _parsing_section(blob: bytes) -> dict[str, str]:
    """`[parsing]` of a DVC configuration; empty for one that cannot be read, which DVC itself will complain about."""
    if b"parsing" not in blob:
        return {}
    import configparser  # imported late: start-up

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
