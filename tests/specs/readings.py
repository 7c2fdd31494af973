"""What the tests of specs share: a commit read by the runner, and the same working tree read by DVC itself."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage

from runner.core.nouns import Desired, OutKind, Stage
from runner.errors import SpecError
from runner.git.read import Reader
from runner.specs.desired import read_desired
from runner.specs.parse_cache import ParseCache
from tests.repositories import GitRepo

DVC_PROJECT = {".dvc/config": ""}
"""The least that makes a folder a DVC project."""


def desired_of(repo: GitRepo, cache: Path | None = None, **options: Any) -> Desired:
    """What the specs at HEAD ask for."""
    with Reader.discover(repo.path) as reader:
        try:
            return read_desired(reader, reader.resolve("HEAD"), ParseCache(cache), **options)
        except SpecError as error:
            error.add_note("\n".join(map(str, error.findings)))
            raise


def findings_of(repo: GitRepo, cache: Path | None = None) -> list[str]:
    """Every finding at HEAD as people see it; empty if there is none."""
    try:
        desired_of(repo, cache)
    except SpecError as error:
        return [str(finding) for finding in error.findings]
    return []


@dataclass(frozen=True)
class Seen:
    """A stage in words that DVC and the runner share; paths from the root of the DVC project."""

    name: str
    cmd: Any
    wdir: str
    deps: frozenset[str]
    params: Mapping[str, frozenset[str] | None]
    outs: frozenset[tuple[Any, ...]]
    frozen: bool
    always_changed: bool
    desc: str


def seen_by_runner(stage: Stage) -> Seen:
    """A stage of the runner in those words."""
    params: dict[str, Any] = {}
    for param in stage.params:
        keys = params.setdefault(param.file, set())
        if param.key is not None:
            keys.add(param.key)
    return Seen(
        name=stage.address.stage,
        cmd=list(stage.cmd) if stage.cmd_is_list else stage.cmd[0],
        wdir=stage.wdir,
        deps=frozenset(stage.deps),
        params={file: frozenset(keys) or None for file, keys in params.items()},
        outs=frozenset((out.path, out.kind, out.cache, out.persist, out.push, out.remote) for out in stage.outs),
        frozen=stage.frozen,
        always_changed=stage.always_changed,
        desc=stage.desc,
    )


def seen_by_dvc(root: Path, prefix: str = "") -> dict[tuple[str, str], Seen]:
    """Every stage of every `dvc.yaml` as DVC loads it, by (path of the file, name); `prefix` leads to the DVC root."""
    with chdir(root), closing(Repo(str(root))) as repo:
        return {
            (_path(root, stage.path, prefix), stage.name): _seen(root, stage, prefix)
            for stage in repo.index.stages
            if isinstance(stage, PipelineStage)
        }


def _path(root: Path, path: str, prefix: str = "") -> str:
    return posixpath.normpath(posixpath.join(prefix, os.path.relpath(path, root)))


def _seen(root: Path, stage: Any, prefix: str) -> Seen:
    def where(item: Any) -> str:
        inside = item.protocol == "local" and not os.path.isabs(item.def_path)
        return _path(root, item.fs_path, prefix) if inside else item.def_path

    return Seen(
        name=stage.name,
        cmd=stage.cmd,
        wdir=_path(root, stage.wdir, prefix),
        deps=frozenset(where(dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)),
        params={where(dep): frozenset(dep.params) or None for dep in stage.params},
        outs=frozenset(
            (where(out), _kind(out), out.use_cache, out.persist, out.can_push, out.remote) for out in stage.outs
        ),
        frozen=bool(stage.frozen),
        always_changed=bool(stage.always_changed or stage.is_callback),
        desc=(stage.desc or "").strip(),
    )


def _kind(out: Any) -> OutKind:
    if out.metric:
        return OutKind.METRIC
    return OutKind.PLOT if out.plot else OutKind.OUT


def make_inputs_exist(repo: GitRepo) -> None:
    """Create every dependency that DVC knows, is inside the repository and is made by no stage."""
    with chdir(repo.path), closing(Repo(str(repo.path))) as dvc:
        outs = [out.fs_path for stage in dvc.index.stages for out in stage.outs]
        for stage in dvc.index.stages:
            for dep in stage.deps:
                path = dep.fs_path
                made = any(path == out or path.startswith(out + "/") or out.startswith(path + "/") for out in outs)
                if (
                    dep.protocol == "local"
                    and path.startswith(f"{repo.path}/")
                    and not made
                    and not Path(path).exists()
                ):
                    Path(path).parent.mkdir(parents=True, exist_ok=True)
                    Path(path).write_text("")
