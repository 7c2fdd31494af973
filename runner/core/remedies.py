"""Lines that a person can put into a file of the repository, and where: what advice of `runner doctor` consists of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runner.core.lock import relative
from runner.core.nouns import Desired, OutKind, Pipeline, Stage
from runner.values import dataclass, replace

SPEC_FILE = "runner.yaml"
PROJECT, PIPELINE, DEPLOYMENT = "Project", "Pipeline", "Deployment"
DVC_FILE, DVC_CONFIG = "dvc.yaml", "dvc config"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*")
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off"])
_TRAINING = ("train", "tune")
_OF_DATA = ("fetch", "profile", "validate")
"""Stages of the library whose metrics are about data, and not about a model."""
PICKLES = (".joblib", ".pkl", ".pickle", ".pt", ".pth")
"""Files that run code when they are opened."""
_MODELS = (*PICKLES, ".h5", ".keras", ".onnx", ".safetensors", ".skops", ".cbm", ".bst")
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Lines:
    """What to add to a file: mappings are joined with those that are there, lists are extended."""

    file: str
    kind: str
    """The kind of the document they belong to, or `dvc.yaml`, or `dvc config`."""
    name: str
    """The document's name, where it has one."""
    body: str
    """The lines as they stand in that document, from its first level on."""
    is_new: bool = False
    """Whether the document does not exist yet."""

    @property
    def text(self) -> str:
        """All that is to be written; a new document begins with what makes it one."""
        if not self.is_new:
            return self.body
        name = f"metadata: {{name: {said(self.name)}}}\n" if self.name else ""
        return f"---\napiVersion: runner/v1\nkind: {self.kind}\n{name}{self.body}"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a pipeline makes."""

    path: str
    stage: Stage
    pipeline: Pipeline
    is_folder: bool
    """Whether a stage of the library writes it, so that those that judge models can read it."""


def said(value: str) -> str:
    """A text as YAML has it."""
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def flow(values: Mapping[str, Any]) -> str:
    """A mapping in one line."""
    return "{" + ", ".join(f"{key}: {_inline(value)}" for key, value in values.items()) + "}"


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return said(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return flow(value) if isinstance(value, Mapping) else json.dumps(value)


class Place:
    """Where lines go in a project as it is."""

    def __init__(
        self, desired: Desired, *, has_project: bool, groups: Mapping[tuple[str, str], bool] | None = None
    ) -> None:
        self.desired = desired
        self._groups = groups or {}
        self._has_project = has_project
        made = {f"{deployment.name}-evidence" for deployment in desired.deployments}
        self.pipelines = tuple(pipeline for pipeline in desired.pipelines if pipeline.name not in made)
        """Those that people wrote."""

    def stages(self) -> list[tuple[Pipeline, Stage]]:
        """The stages of these, each with its pipeline."""
        return [(pipeline, stage) for pipeline in self.pipelines for stage in pipeline.stages]

    def shown(self, path: str) -> str:
        """A path of the repository as a spec writes it."""
        return relative(path, self.desired.dvc_root)

    # ----- what is there

    def models(self) -> list[Model]:
        """What looks like a model: of a deployment, of a stage that trains, or by its name."""
        served = {deployment.out for deployment in self.desired.deployments}
        found = []
        for pipeline, stage in self.stages():
            trains = library(stage) in _TRAINING
            outs = [out.path for out in stage.outs if out.kind is OutKind.OUT]
            for number, path in enumerate(outs):
                by_use = number == 0 and (trains or stage.training)
                if by_use or path in served or path.lower().endswith(_MODELS):
                    found.append(Model(path, stage, pipeline, trains and number == 0))
        return sorted(found, key=lambda model: (model.path not in served, not model.is_folder))

    def tables(self) -> list[str]:
        """Tables that stages read and none makes, in the order in which they are named."""
        made = {out for _, stage in self.stages() for out in stage.out_paths}
        deps = dict.fromkeys(path for _, stage in self.stages() for path in stage.deps if is_table(path))
        return [path for path in deps if not made.intersection((path, *_folders(path)))]

    def unseen(self, model: Model) -> str | None:
        """A table that a model is read together with, and that nothing it builds on reads."""
        learned = {path for stage in self._before(model.stage) for path in stage.deps}
        for _, stage in self.stages():
            if model.path in stage.deps and library(stage) not in _TRAINING:
                for path in stage.deps:
                    if is_table(path) and path not in learned:
                        return path
        return None

    def metrics(self) -> list[str]:
        """Metrics files about models, those of stages that read one first."""
        models = {model.path for model in self.models()}
        rows = [
            (not models.intersection(stage.deps), out.path)
            for _, stage in self.stages()
            for out in stage.outs
            if out.kind is OutKind.METRIC and library(stage) not in _OF_DATA
        ]
        return [path for _, path in sorted(rows, key=lambda row: row[0])]

    def uses(self, name: str) -> bool:
        """Whether a stage of the library is used, also by what gates ask for."""
        return any(library(stage) == name for stage in self.desired.stages())

    def _before(self, last: Stage) -> list[Stage]:
        """A stage and all that it builds on."""
        makers = {out: stage for _, stage in self.stages() for out in stage.out_paths}
        below: dict[str, list[Stage]] = {}
        for out, stage in makers.items():
            for folder in _folders(out):
                below.setdefault(folder, []).append(stage)
        found, todo = {last.address: last}, [last]
        while todo:
            for path in todo.pop().deps:
                above = [makers[one] for one in (path, *_folders(path)) if one in makers]
                for stage in [*above, *below.get(path, ())]:
                    if stage.address not in found:
                        found[stage.address] = stage
                        todo.append(stage)
        return list(found.values())

    # ----- what to add

    def project(self, body: str) -> Lines:
        """Lines of the Project."""
        return Lines(SPEC_FILE, PROJECT, "", body, is_new=not self._has_project)

    def pipeline(self, near: Pipeline | None, body: str) -> Lines:
        """Lines of a pipeline that may hold stages of the library: this one, another, or a new one."""
        written = [pipeline for pipeline in self.pipelines if pipeline.rendered is not None]
        home = near if near is not None and near.rendered is not None else next(iter(written), None)
        if home is not None:
            return Lines(home.file, PIPELINE, home.name, body)
        name = free("checks", {pipeline.name for pipeline in self.desired.pipelines})
        extra = "" if "\n  stages:" in body else "  stages: {}\n"
        return Lines(SPEC_FILE, PIPELINE, name, body + extra, is_new=True)

    def stage(self, pipeline: Pipeline, stage: Stage, words: Sequence[str], *, beyond_dvc: bool) -> Lines | None:
        """Lines of a stage that is there; of one of a group, the lines of all of them, which are written once.

        None for one of a group that nobody can tell the form of.
        `beyond_dvc`: only the runner knows the field, so that in a `dvc.yaml` it stands below `meta`.
        """
        name, at, _ = stage.address.stage.partition("@")
        is_inside = self._groups.get((pipeline.name, name)) if at else False
        if is_inside is None:
            return None
        adopted = pipeline.rendered is None
        keys = [*(["stages"] if adopted else ["spec", "stages"]), said(name), *(["do"] if is_inside else [])]
        keys += ["meta", "runner"] if adopted and beyond_dvc else []
        head = "".join(_moved([f"{key}:"], 2 * depth) for depth, key in enumerate(keys))
        kind, document = (DVC_FILE, "") if adopted else (PIPELINE, pipeline.name)
        return Lines(pipeline.file, kind, document, head + _moved(words, 2 * len(keys)))

    def stage_name(self, wanted: str) -> str:
        """A name that no stage has yet."""
        return free(wanted, {stage.address.stage for _, stage in self.stages()})


def library(stage: Stage) -> str:
    """The name of the stage of the library that a stage is; empty for one of the team's own."""
    return stage.uses.partition("@")[0]


def is_table(path: str) -> bool:
    """Whether stages of the library can read a file as a table, by its name."""
    return path.lower().endswith(_TABLES)


def free(wanted: str, taken: Iterable[str]) -> str:
    """The name, with a number behind it where somebody has it."""
    known = set(taken)
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(known) + 3)))
    return next(name for name in names if name not in known)


def once(rows: Sequence[Lines], begun: set[tuple[str, str]]) -> tuple[Lines, ...]:
    """The lines, each new document begun once: what is added to it later is added to one that is there by then."""
    found = []
    for row in rows:
        key = (row.kind, row.name)
        found.append(replace(row, is_new=row.is_new and key not in begun))
        if row.is_new:
            begun.add(key)
    return tuple(found)


def _moved(words: Sequence[str], depth: int) -> str:
    return "".join(f"{' ' * depth}{word}\n" for word in words)


def _folders(path: str) -> list[str]:
    """The folders that a path lies in."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
