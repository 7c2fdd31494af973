"""What DVC says of a repository, stage by stage, in the words of this project's tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from tests.oracle.checkouts import repo
from tests.oracle.stages import Address


@dataclass(frozen=True)
class Answer:
    """What `dvc status` says of one stage in a clean clone, and where the stage stands in the graph."""

    status: tuple[Any, ...]
    """As DVC puts it: `changed deps`, `changed outs`, `changed command`, `always changed`; empty means unchanged."""
    frozen: bool
    upstream: frozenset[Address]
    """Stages whose outputs it reads directly."""
    missing: frozenset[str]
    """Deps that are neither in git nor in DVC nor made by a stage."""
    shrunk: bool
    """Whether `dvc.lock` has a dep, a parameter or an output that the stage no longer declares."""

    @property
    def changed(self) -> bool:
        """Whether DVC would run it for a reason of its own."""
        return bool(self.status)


def dvc_answers(root: Path) -> dict[Address, Answer]:
    """The answer for every stage of the clean clone at `root`; its own changes only, not what would follow."""
    with repo(root) as opened, opened.lock:
        graph = opened.index.graph
        return {
            address: Answer(
                status=tuple(next(iter(stage.status().values()), ())),
                frozen=stage.frozen,
                upstream=frozenset(_address(opened, other) for other in graph.successors(stage) if _is_stage(other)),
                missing=frozenset(_missing(opened, stage)),
                shrunk=_is_shrunk(stage),
            )
            for stage in graph
            if _is_stage(stage)
            for address in [_address(opened, stage)]
        }


def dvc_would_run(root: Path) -> set[Address]:
    """The stages that `dvc repro --dry` lists in the clone at `root`."""
    with repo(root) as opened:
        stages = opened.reproduce(all_pipelines=True, dry=True, on_error="ignore")
        return {_address(opened, stage) for stage in stages if _is_stage(stage)}


def _is_stage(stage: Any) -> bool:
    """Whether it is a stage of a `dvc.yaml`, not the `.dvc` file of a `dvc add`."""
    return stage.is_data_source is False and hasattr(stage, "name")


def _address(opened: Repo, stage: Any) -> Address:
    return Address(Path(stage.path).relative_to(opened.root_dir).as_posix(), stage.name)


def _missing(opened: Repo, stage: Any) -> list[str]:
    made = [out.fs_path for other in opened.index.stages for out in other.outs]
    return [
        Path(dep.fs_path).relative_to(opened.root_dir).as_posix()
        for dep in stage.deps
        if not dep.exists and not any(_overlap(dep.fs_path, path) for path in made)
    ]


def _is_shrunk(stage: Any) -> bool:
    lock = Path(stage.path).with_suffix(".lock")
    stages = yaml.safe_load(lock.read_text())["stages"] if lock.exists() else {}
    return bool(_recorded(stages.get(stage.name, {})) - _declared(stage))


def _recorded(entry: Mapping[str, Any]) -> set[tuple[str, ...]]:
    paths = {(kind, row["path"]) for kind in ("deps", "outs") for row in entry.get(kind, [])}
    return paths | {("params", file, key) for file, values in entry.get("params", {}).items() for key in values}


def _declared(stage: Any) -> set[tuple[str, ...]]:
    declared: set[tuple[str, ...]] = {("outs", out.def_path) for out in stage.outs}
    for dep in stage.deps:
        if not isinstance(dep, ParamsDependency):
            declared.add(("deps", dep.def_path))
        else:
            # a whole file declares whatever it holds
            keys = dep.params or dep.hash_info.value or {}
            declared |= {("params", dep.def_path, key) for key in keys}
    return declared


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
