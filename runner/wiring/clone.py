"""A person's clone: what `plan`, `status` and the other reading commands stand on. Reads, and never uses the network."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.core.digests import md5_hex
from runner.core.nouns import Project, Trust
from runner.core.records import RunFacts
from runner.errors import InputError
from runner.git.read import Reader
from runner.ledger.state import State
from runner.observe import refs
from runner.observe.memo import DigestMemo
from runner.observe.observation import HostLimits, Observation, observe
from runner.record.journal import waiting_runs
from runner.report.style import duration
from runner.specs.parse_cache import ParseCache
from runner.wiring.home import RepositoryHome, home_folder, repository_home
from runner.wiring.states import StateRefs, clone_states, opened


@dataclass(frozen=True, slots=True)
class Clone:
    """A repository on this host as somebody works in it, with what the runner's mirror of it knows."""

    reader: Reader
    url: str
    """URL of its remote, or its own path where it has none."""
    home: RepositoryHome
    states: StateRefs
    cache: ParseCache
    memo: DigestMemo

    def state_for(self, rev: str | None) -> str | None:
        """The state branch that a plan of `rev` is compared with: its own proposal, its own state, or the first one."""
        name = rev if rev not in (None, "HEAD") else self.reader.current_branch()
        for branch in (refs.proposed_branch(name or ""), f"{refs.STATE_OF}/{name}", refs.STATE):
            if branch in self.states.tips:
                return branch
        return None

    def state(self, rev: str | None = None) -> State | None:
        """The recorded state for `rev`, None before the first reconcile."""
        branch = self.state_for(rev)
        return None if branch is None else State(self.reader, self.states.tips[branch], memo=self.cache)

    def observation(self, rev: str | None = None, policy: Project | None = None) -> Observation:
        """Desired at `rev` (HEAD by default) against what is recorded."""
        commit = self.reader.resolve(rev or "HEAD")
        own = self.state_for(rev)
        others = [name for name in (refs.STATE, *self.states.proposals()) if name != own]
        observed = observe(
            self.reader,
            commit,
            state=self.state(rev),
            others=opened(self.reader, self.states, others, self.cache),
            trust=Trust.TRUSTED,
            policy=policy,
            cache=self.cache,
            memo=self.memo,
            object_bytes=cached_bytes(self.dvc_cache()),
            limits=host_limits,
        )
        return observed

    def state_age(self, state: State | None) -> str | None:
        """How long ago the state was recorded, in words."""
        if state is None:
            return None
        seconds = max(0.0, time.time() - self.reader.commit(state.commit).committed_at)
        return f"{duration(seconds)} ago"

    def pending_runs(self, rev: str | None) -> list[RunFacts]:
        """Runs that finished on this host and are not published yet."""
        return waiting_runs(self.home.journal(self.state_for(rev) or refs.STATE))

    def dvc_cache(self) -> Path:
        """The DVC cache of this clone if it is a DVC repository, else the runner's own for it."""
        if self.reader.worktree is not None and (self.reader.worktree / ".dvc").is_dir():
            return self.reader.worktree / ".dvc" / "cache"
        return self.home.cache


@functools.cache
def host_limits() -> HostLimits:
    """What this host has to give."""
    from runner.process.host import host_resources  # imported late: start-up

    return HostLimits(*host_resources())


def open_clone(start: Path, environ: Mapping[str, str]) -> Clone:
    """The repository that a folder lies in; raises InputError where there is none."""
    reader = Reader.discover(start)
    url = reader.remote_url() or str(reader.worktree or reader.git_dir)
    home_root = home_folder(environ)
    home = repository_home(home_root, url)
    mirror: Reader | None = None
    if home.mirror.is_dir():
        mirror = Reader(home.mirror)
        reader = Reader(reader.git_dir, [home.mirror / "objects"], reader.worktree)
    return Clone(
        reader,
        url,
        home,
        clone_states(reader, mirror),
        ParseCache(home_root / "parsed"),
        DigestMemo(home_root / "digests.sqlite"),
    )


def cached_bytes(root: Path) -> Callable[[str], bytes | None]:
    """Small objects from a DVC cache, hashed before they are believed; None where they are missing or damaged."""

    def read(md5: str) -> bytes | None:
        file = root / "files" / "md5" / md5[:2] / md5[2:]
        try:
            data = file.read_bytes()
        except OSError:
            return None
        return data if md5_hex(data) == md5.removesuffix(".dir") else None

    return read


def working_folder(folder: str | None) -> Path:
    """The folder a command works in; raises InputError where there is none."""
    path = Path(folder or os.getcwd())
    if not path.is_dir():
        raise InputError(f"{path}: no such folder", "say another one with -C")
    return path
