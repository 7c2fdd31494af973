"""The facts that `runner doctor` judges: git objects, configuration and what this host has to give.

Nothing of the repository runs, and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner.core.doctor import Diagnosis, Facts
from runner.core.nouns import Desired, Project
from runner.core.practices import diagnosis
from runner.data.config import DvcConfig
from runner.errors import HostError, InputError
from runner.git.command import environment, run
from runner.git.read import Reader, small_file
from runner.ledger.state import State
from runner.process import secrets
from runner.process.isolation import OVERRIDE, Isolation, wanted_isolation
from runner.process.signing import KEY, KEY_DATA
from runner.report.style import size
from runner.specs import yaml12
from runner.specs.builtin_stages import BUILTINS
from runner.specs.desired import read_specs
from runner.specs.layout import PROJECT_FILE
from runner.values import dataclass
from runner.wiring.clone import Clone, open_clone
from runner.wiring.data import dvc_folder_of
from runner.wiring.home import home_folder

_LEAST_GIT = (2, 36)
_LEAST_FREE_BYTES = 2 << 30
_LOCK_FILE = re.compile(r"(?:^|/)requirements[\w.-]*(?:\.lock|[.-]lock\.txt)$")
_CONFIG_LIMIT_BYTES = 1 << 20
_NAMESPACES = (
    ("user.max_user_namespaces", b"0"),
    ("kernel.unprivileged_userns_clone", b"0"),
    ("kernel.apparmor_restrict_unprivileged_userns", b"1"),
)
"""Settings of the kernel, each with the value that keeps users from having namespaces."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a project lacks, and the commit that it was looked at."""

    commit: str | None
    """None for the files of the working tree, and where there is no repository."""
    diagnosis: Diagnosis


def examined(folder: Path, rev: str | None, environ: Mapping[str, str], trust: str | None = None) -> Examined:
    """What the project lacks at a revision, or else in the working tree, with what this host lacks."""
    if not _is_repository(folder):
        return Examined(None, diagnosis(Facts(host_lacks=tuple(_host_lacks(environ, None)))))
    clone = open_clone(folder, environ, trust)
    if rev is None and clone.reader.worktree is not None:
        from runner.git.draft import draft_commit  # imported late: only the working tree needs it

        with draft_commit(clone.reader) as (reader, commit):
            return Examined(None, diagnosis(_facts(clone, reader, commit, None, environ)))
    try:
        commit = clone.reader.resolve(rev or "HEAD")
    except InputError:
        if rev is not None:
            raise
        nothing = Desired("", Project(), (), {}, {})  # a bare repository without a commit
        return Examined(None, diagnosis(_outside(clone, nothing, None, environ)))
    return Examined(commit, diagnosis(_facts(clone, clone.reader, commit, rev, environ)))


def _is_repository(folder: Path) -> bool:
    """Whether git takes the folder for one, or says of it that something is wrong with it."""
    try:
        Reader.discover(folder).close()
    except InputError:
        above = (folder.absolute(), *folder.absolute().parents)
        return any(os.path.lexists(one / ".git") for one in above) or (folder / "HEAD").is_file()
    return True


def _facts(clone: Clone, reader: Reader, commit: str, rev: str | None, environ: Mapping[str, str]) -> Facts:
    from runner.values import replace

    reading = read_specs(reader, commit, clone.apart)
    desired = reading.desired
    paths = reader.tree(commit).paths
    root = "" if desired.dvc_root == "." else f"{desired.dvc_root}/"
    return replace(
        _outside(clone, desired, rev, environ),
        mistakes=len(reading.findings),
        has_project=_has_project(reader.file(commit, PROJECT_FILE)),
        storage=_has_storage(clone, reader.file(commit, f"{root}.dvc/config"), environ),
        groups=dict(_groups(reader, commit, desired)),
        lock_files=tuple(sorted((path for path in paths if _LOCK_FILE.search(path)), key=len)),
    )


def _groups(reader: Reader, commit: str, desired: Desired) -> Iterator[tuple[tuple[str, str], bool]]:
    """Groups of stages, each with whether it is a `foreach`, whose stages' fields stand below `do`."""
    for pipeline in desired.pipelines:
        names = {name for name, at, _ in (stage.address.stage.partition("@") for stage in pipeline.stages) if at}
        blob = reader.file(commit, pipeline.file) if names else None
        if blob is None:
            continue
        try:
            rows = yaml12.load_all(blob, file=pipeline.file, bounds=yaml12.DVC_YAML_BOUNDS)
        except InputError:
            continue  # the specs have a finding there
        adopted = pipeline.rendered is None
        values = [row.value for row in rows if adopted or row.line == pipeline.place.line]
        for value in values[:1]:
            stages = (value if adopted else value["spec"])["stages"]  # which has been read once
            yield from (((pipeline.name, name), "do" in stages[name]) for name in sorted(names))


def _outside(clone: Clone, desired: Desired, rev: str | None, environ: Mapping[str, str]) -> Facts:
    """What does not stand in the commit."""
    state = _state(clone, rev)
    return Facts(
        desired=desired,
        git_remote=clone.has_remote,
        state=state is not None or bool(clone.states.tips),
        is_signed=state is not None and state.is_signed,
        signs=bool(environ.get(KEY) or environ.get(KEY_DATA)),
        trusts=clone.trust is not None,
        missing_secrets=tuple(_missing_secrets(desired, environ)),
        host_lacks=tuple(_host_lacks(environ, desired.project.shell)),
        builtins=frozenset(BUILTINS),
    )


def _state(clone: Clone, rev: str | None) -> State | None:
    """What is recorded for a revision as far as this clone knows; None in a repository without a commit."""
    try:
        clone.reader.resolve(rev or "HEAD")
    except InputError:
        return None
    return clone.state(rev)


def _has_project(blob: bytes | None) -> bool:
    try:
        documents = [] if blob is None else yaml12.load_all(blob, file=PROJECT_FILE)
    except InputError:
        return False  # the specs have a finding there
    return any(isinstance(row.value, dict) and row.value.get("kind") == "Project" for row in documents)


def _has_storage(clone: Clone, committed: bytes | None, environ: Mapping[str, str]) -> bool:
    """Whether there is a default DVC remote, as a reconcile from here would find it."""
    folder = dvc_folder_of(clone.reader)
    local = None if folder is None else small_file(folder / "config.local", _CONFIG_LIMIT_BYTES, follow=False)
    named = environ.get("RUNNER_DVC_CONFIG")
    try:
        config = DvcConfig.load(committed, local, Path(named) if named else None, base=folder)
    except InputError:
        return False  # for a committed one a finding says so, and any other is told by the reconcile
    return config.default_remote is not None and config.default_remote.lower() in config.remotes


def _missing_secrets(desired: Desired, environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({name for stage in desired.stages() for name in stage.secrets}):
        try:
            secrets.resolve([name], environ)
        except (InputError, HostError):
            yield name


def _host_lacks(environ: Mapping[str, str], shell: str | None) -> Iterator[str]:
    """What this host lacks, a sentence each."""
    answer = run(["version"], env=environment(), cwd=Path(tempfile.gettempdir()))
    version = re.search(rb"(\d+)\.(\d+)", answer.out)
    if version is not None and (int(version[1]), int(version[2])) < _LEAST_GIT:
        yield f"git {version[0].decode()} is older than {'.'.join(map(str, _LEAST_GIT))}."
    if shell is not None and shutil.which(shell, path=environ.get("PATH", os.defpath)) is None:
        yield f"The shell {shell!r} is not on this host."
    home = home_folder(environ)
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    with contextlib.suppress(OSError):  # a file system that does not tell
        free = shutil.disk_usage(place).free
        if free < _LEAST_FREE_BYTES:
            yield f"Only {size(free)} are free in {place}, where results are kept."
    yield from _isolation_lacks(environ)


def _isolation_lacks(environ: Mapping[str, str]) -> Iterator[str]:
    """What keeps stages from being kept apart; the kernel's own words, since trying it would start processes."""
    try:
        wanted = wanted_isolation(environ)
    except InputError as error:
        yield f"{error.line}."
        return
    if wanted in (Isolation.PID, Isolation.GROUP):
        yield f"{OVERRIDE} asks for less isolation of stages than there is (isolation: {wanted})."
    for name, refused in _NAMESPACES if wanted is None and os.geteuid() != 0 else ():
        if small_file(Path("/proc/sys") / name.replace(".", "/")).strip() == refused:
            yield f"Stages have no namespaces of their own: {name} is {refused.decode()}."
