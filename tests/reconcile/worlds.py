"""A user's clone, its bare remote, a DVC remote and hosts that run the runner: everything of one story in a folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.oracle.checkouts import repo as opened
from tests.repositories import Content, GitRepo, git, new_bare_remote, new_repository

STATE = "runner/state"
TRACE = "@TRACE@"
"""Stands in specs for the file that commands write their names to."""


STARTED: list[subprocess.Popen[str]] = []
"""Runners that were started; those that a failed test left behind are ended after it."""


@dataclass(frozen=True)
class Told:
    """What a reconcile said."""

    code: int
    value: Mapping[str, Any]
    err: str

    @property
    def commit(self) -> str | None:
        """The state commit it made, if any."""
        commit: str | None = self.value["commit"]
        return commit

    @property
    def actions(self) -> dict[str, str]:
        """Name of each stage to how it ended."""
        return {address.partition(":")[2]: action for address, action in self.value["actions"].items()}

    @property
    def ran(self) -> list[str]:
        """Names of the stages that have a run, sorted."""
        return sorted(run["stage"] for run in self.value["runs"])

    @property
    def outcomes(self) -> dict[str, str]:
        """Name of each stage that has a run to how that ended."""
        return {run["stage"]: run["outcome"] for run in self.value["runs"]}


@dataclass
class World:
    """One story's places; every method that runs the runner does so on the host that is named."""

    folder: Path
    repo: GitRepo
    remote: Path
    environ: dict[str, str] = field(default_factory=dict)
    """More environment for the runner."""

    @staticmethod
    def create(folder: Path, files: Mapping[str, Content], *, dvc: bool = False, dvc_root: str = ".") -> World:
        """A clone with one pushed commit; with `dvc` it has a `.dvc` with a local remote in `store`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trace").touch()
        (folder / "store").mkdir()
        repo = new_repository(folder / "repo")
        world = World(folder, repo, new_bare_remote(folder / "remote.git"))
        repo.git("remote", "add", "origin", str(world.remote))
        if dvc:
            prefix = "" if dvc_root == "." else f"{dvc_root}/"
            repo.write(
                {
                    f"{prefix}.dvc/config": f"[core]\n    remote = store\n"
                    f"['remote \"store\"']\n    url = {world.store}\n",
                    f"{prefix}.dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
                }
            )
        world.edit(files, "Start")
        return world

    @property
    def store(self) -> Path:
        """The DVC remote."""
        return self.folder / "store"

    def home(self, host: str) -> Path:
        """The runner's folder on a host."""
        return self.folder / f"host-{host}"

    def edit(
        self, files: Mapping[str, Content] | None = None, message: str = "Edit", *, delete: tuple[str, ...] = ()
    ) -> str:
        """Commit and push on the current branch; returns the commit."""
        sha = self.repo.commit(
            {name: self.text(content) for name, content in (files or {}).items()}, message, delete=delete
        )
        self.repo.push()
        return sha

    def text(self, content: Content) -> Content:
        """A text with the place of the trace in it."""
        return content.replace(TRACE, str(self.folder / "trace")) if isinstance(content, str) else content

    def command(self, *arguments: str) -> list[str]:
        """The words that start the runner."""
        return [sys.executable, "-m", "runner", *arguments]

    def environment(self, host: str) -> dict[str, str]:
        """The environment of the runner on a host."""
        return {**os.environ, **self.environ, "RUNNER_HOME": str(self.home(host))}

    def runner(
        self, *arguments: str, host: str = "a", ok: tuple[int, ...] = (0,), cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; an exit code that is not expected fails the test with all that was said."""
        done = _called(arguments, cwd or self.repo.path, self.environment(host))
        assert done.returncode in ok, f"runner {' '.join(arguments)}: {done.returncode}\n{_said(done)}"
        return done

    def start(
        self, *arguments: str, host: str = "a", cwd: Path | None = None, log: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start a command and return at once; with `log` all that it says goes to that file."""
        cwd, env = cwd or self.repo.path, self.environment(host)
        with contextlib.ExitStack() as stack:
            out = subprocess.PIPE if log is None else stack.enter_context(open(log, "w"))
            process = subprocess.Popen(self.command(*arguments), cwd=cwd, env=env, stdout=out, stderr=out, text=True)
        STARTED.append(process)
        return process

    def reconcile(self, *options: str, host: str = "a", ok: tuple[int, ...] = (0,), elsewhere: bool = False) -> Told:
        """Reconcile and return what it said; `elsewhere` names the repository by its URL, not by the clone."""
        if elsewhere:
            options = (*options, "--repo", str(self.remote))
        cwd = self.folder if elsewhere else None
        done = self.runner("reconcile", "--json", *options, host=host, ok=ok, cwd=cwd)
        return Told(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr)

    def plan(self, *options: str, host: str = "a") -> dict[str, str]:
        """Name of each stage to its planned action."""
        return {row["stage"]: row["action"] for row in self.plan_rows(*options, host=host)}

    def plan_rows(self, *options: str, host: str = "a") -> list[dict[str, Any]]:
        """Stages of the plan as JSON."""
        done = self.runner("plan", "--json", *options, host=host, ok=(0, 2))
        rows: list[dict[str, Any]] = json.loads(done.stdout)["stages"]
        return rows

    def trace(self) -> list[str]:
        """Words that commands wrote since the last look, sorted."""
        file = self.folder / "trace"
        words = sorted(file.read_text().split())
        file.write_text("")
        return words

    def tip(self, branch: str = STATE) -> str | None:
        """The commit of a branch of the remote."""
        return self.refs().get(f"refs/heads/{branch}")

    def refs(self) -> dict[str, str]:
        """Every ref of the remote."""
        lines = git(self.remote, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)

    def file(self, path: str, branch: str = STATE) -> str:
        """A file of a branch of the remote."""
        return git(self.remote, "cat-file", "blob", f"{branch}:{path}") + "\n"

    def files(self, branch: str = STATE) -> list[str]:
        """Paths on a branch of the remote."""
        return git(self.remote, "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", branch).splitlines()

    def output(self, path: str, *, host: str = "a") -> str:
        """The newest recorded bytes of a cached output, from the host's cache."""
        md5 = next(out["md5"] for run in reversed(self.runs()) for out in run["outs"] if out["path"] == path)
        caches = [*self.home(host).glob("r/*/cache"), *self.repo.path.glob("**/.dvc/cache")]
        found = [cache / "files/md5" / md5[:2] / md5[2:] for cache in caches]
        return next(file for file in found if file.exists()).read_text()

    def clone(self, name: str, branch: str = STATE) -> Path:
        """A fresh clone of the remote at a branch."""
        target = self.folder / name
        git(self.folder, "clone", "--quiet", "--branch", branch, str(self.remote), str(target))
        return target

    def forget_host(self, host: str = "a") -> None:
        """The host loses everything, and the user's clone its DVC cache."""
        shutil.rmtree(self.home(host), ignore_errors=True)
        self.forget_cache()

    def forget_cache(self, host: str = "a") -> None:
        """Every DVC cache that the host may use is gone, and nothing else."""
        for cache in [*self.home(host).glob("r/*/cache"), *self.repo.path.glob("**/.dvc/cache")]:
            shutil.rmtree(cache)

    def records(self, branch: str = STATE) -> list[dict[str, Any]]:
        """Predicates of all records of a state branch, the oldest first."""
        from tests.reconcile.ledgers import records_of

        return records_of(self.remote, branch)

    def runs(self, branch: str = STATE) -> list[dict[str, Any]]:
        """The runs among the records."""
        return [record["run"] for record in self.records(branch) if "run" in record]


def _called(arguments: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The entry point as a process would call it, within this one: no interpreter has to start."""
    from runner.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        for name in os.environ.keys() - environ.keys():
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return subprocess.CompletedProcess(list(arguments), code, out.getvalue(), err.getvalue())


def dvc(root: Path, *arguments: str) -> str:
    """Run a command line of DVC and return its output."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"dvc {' '.join(arguments)}: {done.returncode}\n{_said(done)}"
    return done.stdout


def dvc_pull(root: Path) -> None:
    """Bring the bytes of everything from the DVC remote."""
    with opened(root) as repo:
        repo.pull()


def dvc_status(root: Path) -> dict[str, Any]:
    """What DVC finds changed in a clone: stage to the reasons, empty where nothing is."""
    with opened(root) as repo:
        return dict(repo.status())


def dvc_repro(root: Path, **options: Any) -> list[str]:
    """`dvc repro` of all pipelines; returns the stages it ran or restored."""
    with opened(root) as repo:
        return [stage.addressing for stage in repo.reproduce(all_pipelines=True, **options)]


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for a condition; fails when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file of a folder to its size and time of change."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_size if path.is_file() else 0, status.st_mtime_ns)
    return found


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stderr[-3000:]}\n{done.stdout[-600:]}"


__all__ = ["STATE", "TRACE", "Told", "World", "dvc", "dvc_pull", "dvc_repro", "dvc_status", "snapshot", "until"]
