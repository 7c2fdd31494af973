"""The remote and the hosts' copies of it: compare-and-swap at one place, a network that cuts and delays in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase as fnmatch

from runner.errors import HostError, InputError
from runner.git.commit import CommitRequest
from runner.git.push import PushResult, PushStatus
from tests.simulator.processes import Process
from tests.simulator.repository import Repository


@dataclass
class Remote:
    """A git server with one interesting property: a branch moves from one commit to another, or it does not."""

    repository: Repository
    takes_claims: bool = True
    """Whether refs beside branches may be pushed, and branches for claims."""
    watchers: list[Callable[[str, str], None]] = field(default_factory=list)

    def compare_and_swap(self, branch: str, expected: str | None, sha: str) -> bool:
        if self.repository.refs.get(branch) != expected:
            return False
        self.move(branch, sha)
        return True

    def move(self, branch: str, sha: str) -> None:
        self.repository.receive(sha)
        self.repository.refs[branch] = sha
        for watcher in self.watchers:
            watcher(branch, sha)


class SimulatedCopy:
    """A host's copy of the remote; implements `runner.record.publish.Copy` as `runner.git.mirror.Mirror` does."""

    def __init__(self, remote: Remote, reader: Repository, process: Process) -> None:
        self.remote = remote
        self.reader = reader
        self._process = process
        self.made: list[str] = []
        """Commits of this process that the remote accepted."""

    def fetch(self) -> None:
        self._process.step("fetch")
        self._may_fail()
        for sha in self.remote.repository.refs.values():
            self.reader.receive(sha)
        self.reader.refs = dict(self.remote.repository.refs)

    def tip(self, branch: str) -> str | None:
        return self.reader.refs.get(branch)

    def write_commit(self, request: CommitRequest, *, pack: bool = True) -> str:
        self._process.step("write a commit")
        for oid in [*request.parents, *request.trees.values()]:
            if not self.reader.exists(oid):
                raise AssertionError(f"{oid} is named and not there")
        sha = self.reader.store.make(request)
        self.reader.has.update(self.reader.store.packs[sha])
        return sha

    def push(self, sha: str, branch: str, expected: str | None, *, drop: Sequence[str] = ()) -> PushResult:
        if expected is not None and not self.reader.is_ancestor(expected, sha):
            raise InputError(f"{sha} does not descend from {expected}")
        self._process.step("push")
        fault = self._process.take("git cut", "refuse", "lost answer")
        if fault == "git cut":
            return PushResult(PushStatus.UNKNOWN)
        for ref in drop:
            self.remote.repository.refs.pop(ref, None)
        if fault == "refuse":
            return PushResult(PushStatus.REFUSED, "not today")
        is_accepted = self.swap(branch, expected, sha)
        self.made += [sha] if is_accepted else []
        self._process.say(f"push {sha[:8]} on {(expected or 'nothing')[:8]}: {'accepted' if is_accepted else 'race'}")
        self._process.step("hear what came of the push")
        if fault == "lost answer":
            return PushResult(PushStatus.UNKNOWN)
        if not is_accepted:
            return PushResult(PushStatus.LOST_RACE)
        self.reader.refs[branch] = sha
        return PushResult(PushStatus.ACCEPTED)

    # Claims

    def listed(self, *patterns: str) -> dict[str, str]:
        self._process.step("list refs")
        self._may_fail()
        full = {_full(name): sha for name, sha in self.remote.repository.refs.items()}
        return {name: sha for name, sha in full.items() if any(fnmatch(name, pattern) for pattern in patterns)}

    def fetch_refs(self, refs: Sequence[str]) -> None:
        self._process.step("fetch refs")
        self._may_fail()
        for ref in refs:
            if ref not in self.remote.repository.refs:
                raise HostError(f"{ref} is gone")
            self.reader.receive(self.remote.repository.refs[ref])

    def place(self, sha: str, ref: str) -> PushResult:
        self._process.step("place a claim")
        fault = self._process.take("git cut", "lost answer")
        if not self.remote.takes_claims:
            return PushResult(PushStatus.REFUSED, "no such refs here")
        if fault != "git cut":
            self.remote.repository.receive(sha)
            self.remote.repository.refs[ref] = sha
        return PushResult(PushStatus.UNKNOWN if fault else PushStatus.ACCEPTED)

    def drop(self, ref: str, expected: str) -> PushResult:
        self._process.step("drop a claim")
        if self._process.take("git cut"):
            return PushResult(PushStatus.UNKNOWN)
        if self.remote.repository.refs.get(ref) != expected:
            return PushResult(PushStatus.LOST_RACE)
        del self.remote.repository.refs[ref]
        return PushResult(PushStatus.ACCEPTED)

    def _may_fail(self) -> None:
        if self._process.take("git cut"):
            raise HostError("the remote cannot be reached")

    def swap(self, branch: str, expected: str | None, sha: str) -> bool:
        return self.remote.compare_and_swap(branch, expected, sha)


def _full(name: str) -> str:
    return name if name.startswith("refs/") else f"refs/heads/{name}"
