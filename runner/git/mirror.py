"""The runner's own bare copy of a remote: fetched into, committed in, pushed from, and thrown away when it breaks."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import HostError, InputError, RunnerError
from runner.failpoints import reached
from runner.git.command import (
    Answer,
    TookTooLong,
    checked_branch,
    checked_oid,
    config_variables,
    environment,
    path_text,
    run,
)
from runner.git.commit import CommitRequest, commit_object, fast_import_stream
from runner.git.network import (
    PROTOCOLS,
    NetworkConfig,
    checked_url,
    network_failure,
    no_answer,
    patience_seconds,
    shortened,
)
from runner.git.occupancy import occupied, remove_stale_locks
from runner.git.push import PushResult, PushStatus, push_result
from runner.git.read import Reader
from runner.git.seen_refs import SeenRefs
from runner.patterns import regex

if TYPE_CHECKING:
    from runner.core.release_tags import Tag

_MARKER = "runner-mirror"
"""A file that says that this folder is ours, and may be dropped."""
_TRUSTED = "runner-safe-directories"
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
_HEADS = "+refs/heads/*:refs/heads/*"
_PLACES = ("refs/heads/", "refs/runner/claims/")
"""Where the refs are that a fetch brings."""
_PULLS = "+refs/pull/*/head:refs/pull/*/head"
_CLAIMS = "+refs/runner/claims/*:refs/runner/claims/*"
_PUSH = ("push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no")
_PACKS_LIMIT = 40
_LOOSE_LIMIT = 27
"""Loose objects in one of 256 folders before it is time to pack them: about 7,000 in all, as git itself has it."""
_FEW_OBJECTS = "100"
"""So many objects at once are no reason for a pack: claims are renewed all day, and each would leave one."""
_FETCH_FEW = (
    *("-c", f"transfer.unpackLimit={_FEW_OBJECTS}", "fetch", "--quiet", "--no-tags", "--force"),
    *("--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules"),
)
_FILTER = ("--filter=blob:none",)
_WRITE_CONFIG = (
    ("gc.auto", "0"),
    ("gc.cruftPacks", "true"),  # unreachable objects stay in one pack until they are old
    ("maintenance.auto", "false"),
    ("core.fsync", "all"),
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.logAllRefUpdates", "false"),
    ("fastimport.unpackLimit", "0"),  # one pack and one fsync for a commit, instead of one for each object
    ("transfer.unpackLimit", "1"),
    # With bitmaps a push looks at every object that is newer than they are: five times the work of one without.
    ("pack.useBitmaps", "false"),
    ("repack.writeBitmaps", "false"),
    ("submodule.recurse", "false"),
    ("push.followTags", "false"),
    ("http.lowSpeedLimit", "1000"),  # bytes a second, for a minute: then the connection counts as dead
    ("http.lowSpeedTime", "60"),
    ("protocol.allow", "never"),
    *((f"protocol.{name}.allow", "always") for name in PROTOCOLS),
)
_BROKEN = regex(
    r"is corrupt|bad object|bad config|invalid object|unable to read|packfile .* (?:does not match|cannot|corrupt)|"
    r"did not send all necessary objects|inflate:|object file .* is empty|missing (?:blob|tree|commit)|"
    r"not a git repository|unresolved deltas|bad (?:ref|tree)|could not parse|invalid sha1 pointer|not a valid object"
    r"|bad signature|broken (?:ref|link)|unterminated line in|unexpected line in|malformed packed-refs",
    re.IGNORECASE,
)
_THEIRS = regex(r"could not read from remote repository|hung up unexpectedly|early EOF", re.IGNORECASE)
_LOCKED = regex(r"unable to create '[^']*\.lock': file exists|could not lock config file", re.IGNORECASE)
_OTHER_FORMAT = regex(r"mismatched algorithms: client \w+; server (\w+)")


class Mirror:
    """A bare repository with all branches of one remote.

    One process at a time changes it; others wait. It holds nothing that the remote does not, beside commits that are
    about to be pushed.
    """

    def __init__(self, path: Path, url: str, network_config: NetworkConfig = ()) -> None:
        self.path = path.absolute()
        self.url = checked_url(url)
        self.reader = Reader(self.path)
        self._network = network_config
        self._default_branch: str | None = None
        self._has_asked_for_head = False
        self._brought: set[str] = set()
        self._is_new = False
        """Whether this one was made just now, and nothing was brought here."""
        self.is_worked_in = False
        """Whether the other side is a person's own repository: what is checked out there is not what is watched."""

    @classmethod
    def open(cls, path: Path, url: str, network_config: NetworkConfig = ()) -> Mirror:
        """The mirror at this path, made (empty) when there is none; talks to no host.

        InputError for a URL that is not allowed, and for a folder that holds something else.
        """
        mirror = cls(path, url, network_config)
        if not mirror._is_whole():
            with mirror._alone():
                if not mirror._is_whole():
                    mirror._make()
        return mirror

    def close(self) -> None:
        """End the processes that read."""
        self.reader.close()

    def fetch(self, *, pulls: bool = False) -> None:
        """Bring all branches up to date and drop those that are gone; with `pulls` the heads of pull requests too.

        HostError when the remote cannot be reached or refuses. A mirror that is broken is made again first.
        """
        specs = [_HEADS, _CLAIMS, _PULLS] if pulls else [_HEADS, _CLAIMS]
        command = [
            *("fetch", "--quiet", "--prune", "--no-tags", "--force", "--no-write-fetch-head", "--update-shallow"),
            *("--no-auto-maintenance", "--no-recurse-submodules", "origin", *specs),
        ]
        self._fetched(command)
        reached("fetched")

    def catch_up(self, soon: tuple[str, ...] = ()) -> SeenRefs:
        """As `fetch`, but asks first where the branches are, and fetches only where one of them moved.

        Gives the refs as they are here now; `soon` are those that will be asked for.
        """
        answer = self._ask(["--symref", "origin", "HEAD", *(f"{place}*" for place in _PLACES)])
        if answer.code and not _is_our_fault(answer.error):
            raise self._failure(answer)
        there = {} if answer.code else self._heard(answer)
        if answer.code or self._is_new or not self._is_at(there):
            self.fetch()
            return SeenRefs(self.reader, soon)
        reached("fetched")
        return SeenRefs(self.reader, known=(there, _PLACES))

    def branch_tips(self) -> dict[str, str]:
        """The remote's branches and their commits as they are now, without fetching anything."""
        answer = self._ask(["--symref", "origin", "HEAD", "refs/heads/*"])
        if answer.code:
            raise self._failure(answer)
        heads = {name: oid for name, oid in self._heard(answer).items() if name.startswith("refs/heads/")}
        return {name.removeprefix("refs/heads/"): oid for name, oid in heads.items()}

    def default_branch(self) -> str | None:
        """The branch that the remote's HEAD names; None when it names none. Asks the remote the first time."""
        if not self._has_asked_for_head:
            self.branch_tips()
        return self._default_branch

    def tip(self, branch: str) -> str | None:
        """The commit of a branch as of the last fetch or push."""
        return self.reader.ref(f"refs/heads/{checked_branch(branch)}")

    def has_remote_commit(self, sha: str) -> bool:
        """Whether a commit is on any branch (or fetched pull request) of the remote, as of the last fetch."""
        return self.reader.is_reachable(sha, "refs/heads/", "refs/pull/")

    def write_commit(self, request: CommitRequest, *, pack: bool = True) -> str:
        """Make a commit, on disk for good before this returns; no ref names it yet. Returns its id.

        Not as a `pack` where there are many of one object each. HostError when git cannot write, InputError for an
        impossible path.
        """
        alone = None if pack else commit_object(request)
        if alone is not None and not all(map(self.reader.has_commit, request.parents)):
            alone = None  # fast-import says what is wrong
        if alone is None:
            words, stream = ["fast-import", "--quiet", "--date-format=raw"], fast_import_stream(request)
        else:
            words, stream = ["hash-object", "-t", "commit", "-w", "--stdin"], alone
        command = [f"--git-dir={self.path}", *words]
        with self._alone():
            env = self._environment(() if pack else (("fastimport.unpackLimit", _FEW_OBJECTS),))
            answer = run(command, env=env, cwd=self.path, stdin=stream)
            if _is_locked(answer) and remove_stale_locks(self.path):
                answer = run(command, env=env, cwd=self.path, stdin=stream)
        self.reader.counts["processes"] += 1
        sha = answer.out.decode("ascii", "replace").strip()
        if answer.code:
            self._forget_crash_reports()
            raise HostError(
                f"{self.path}: git could not write a commit (git: {shortened(answer.error)})", _hint(answer)
            )
        reached("commit-built")
        return checked_oid(sha)

    def listed(self, *patterns: str) -> dict[str, str]:
        """Refs of the remote as they are now, by full name, without fetching anything; HostError where it fails."""
        answer = self._ask(["origin", *patterns])
        if answer.code:
            raise self._failure(answer)
        rows = (line.partition("\t") for line in path_text(answer.out).splitlines())
        return {name: oid for oid, _, name in rows}

    def fetch_refs(self, refs: Sequence[str], *, filtered: bool = False) -> None:
        """Bring these refs, given by their full names, under the same names; HostError where that fails.

        `filtered`: without the contents of files, where the remote can; `bring` gets those that matter.
        """
        self._fetched([*_FETCH_FEW, *(_FILTER if filtered else ()), "origin", *(f"+{ref}:{ref}" for ref in refs)])

    def follow(self, branches: Sequence[str], *, filtered: bool) -> tuple[str, str] | None:
        """The first of these branches that the remote has, and its commit, which is brought here where it moved.

        None where the remote has none of them. Nothing but this branch is brought. HostError as for `fetch`.
        """
        names = [f"refs/heads/{checked_branch(branch)}" for branch in branches]
        there = self.listed(*names)
        ref = next((name for name in names if name in there), None)
        if ref is None:
            return None
        if self._noted(ref) != there[ref]:
            self.fetch_refs([ref], filtered=filtered)
        return ref.removeprefix("refs/heads/"), self.reader.ref(ref) or there[ref]

    def bring(self, oids: Iterable[str]) -> None:
        """Have these objects here that a filtered fetch left out; HostError where that fails."""
        # Git gives up where it is asked whether it has an object that it may not fetch by itself.
        missing = [oid for oid in dict.fromkeys(oids) if oid not in self._brought]
        if missing:
            self._fetched(["-c", "fetch.negotiationAlgorithm=noop", *_FETCH_FEW, *_FILTER, "origin", *missing])
            self._brought.update(missing)

    def place(self, sha: str, ref: str) -> PushResult:
        """Put a ref that is this runner's alone, given by its full name, to a commit, wherever it was."""
        with self._alone():
            answer = self._talk([*_PUSH, "origin", f"+{checked_oid(sha)}:{ref}"])
        return push_result(answer.code, path_text(answer.out), answer.error, ref)

    def forget(self, refs: Iterable[str]) -> None:
        """Remove refs of the remote from this copy alone: what is not there any more, and was fetched before."""
        with self._alone():
            for ref in refs:
                self._run_locally(["update-ref", "-d", ref])

    def take(self, clone: Reader, ref: str) -> None:
        """Bring what a ref of a person's clone holds, to be pushed; no ref of this mirror names it yet."""
        flags = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--update-shallow")
        more = ("--no-auto-maintenance", "--no-recurse-submodules", "--", str(clone.common_dir), ref)
        with self._alone():
            self._run_locally(["fetch", *flags, *more])

    def drop(self, ref: str, expected: str) -> PushResult:
        """Remove a ref of the remote if it still is at this commit."""
        with self._alone():
            answer = self._talk([*_PUSH, f"--force-with-lease={ref}:{checked_oid(expected)}", "origin", f":{ref}"])
        return push_result(answer.code, path_text(answer.out), answer.error, ref)

    def push(self, sha: str, branch: str, expected: str | None, *, drop: Sequence[str] = ()) -> PushResult:
        """Move a branch of the remote from `expected` (None: it must not exist) to a descendant of it; never by force.

        In the same conversation the refs `drop` of this runner's own are removed, whatever comes of the branch.

        The lease makes it a compare-and-swap against `expected` also where the remote moved to an ancestor of `sha`;
        since a lease would allow a rewind, descent is checked here first. InputError when `sha` does not descend.
        """
        target = f"refs/heads/{checked_branch(branch)}"
        if expected is not None and not self.reader.is_ancestor(expected, sha):
            raise InputError(f"{sha} does not descend from {expected}", "only fast-forward pushes are made")
        lease = f"--force-with-lease={target}:{expected or ''}"
        dropped = [f":{ref}" for ref in drop]
        reached("push-begun")
        with self._alone():
            answer = self._talk([*_PUSH, lease, "origin", f"{checked_oid(sha)}:{target}", *dropped])
            reached("pushed")
            result = push_result(answer.code, path_text(answer.out), answer.error, target)
            if result.status is PushStatus.ACCEPTED and self.tip(branch) != sha:
                self._run_locally(["update-ref", target, sha])
        return result

    def tag(self, tags: Sequence[tuple[Tag, str]]) -> dict[str, PushResult]:
        """Make annotated tags, each at a commit, and put them on the remote; one that is there is never moved.

        Gives what came of each by its name. HostError where git cannot write here.
        """
        specs = {tag.name: f"{self._made_tag(tag, commit)}:refs/tags/{tag.name}" for tag, commit in tags}
        with self._alone():
            answer = self._talk([*_PUSH, "origin", *specs.values()], rarely=True)
        out = path_text(answer.out)
        return {name: push_result(answer.code, out, answer.error, f"refs/tags/{name}") for name in specs}

    def _made_tag(self, tag: Tag, commit: str) -> str:
        when = int(datetime.datetime.fromisoformat(tag.at).timestamp())
        head = f"object {checked_oid(commit)}\ntype commit\ntag {tag.name}\ntagger runner <runner@> {when} +0000\n\n"
        command = [f"--git-dir={self.path}", "mktag"]
        with self._alone():
            answer = run(command, env=self._environment(()), cwd=self.path, stdin=f"{head}{tag.message}\n".encode())
        self.reader.counts["processes"] += 1
        if answer.code:
            raise HostError(f"{self.path}: git could not make a tag (git: {shortened(answer.error)})", _hint(answer))
        return checked_oid(answer.out.decode("ascii", "replace").strip())

    def update_tracking(self, clone: Reader, branch: str, remote: str = "origin") -> bool:
        """Copy a branch of this mirror to `refs/remotes/<remote>/` of a user's clone, so that it sees what was pushed.

        False when the mirror has no such branch. Nothing else of the clone changes.
        """
        if self.tip(branch) is None:
            return False
        spec = f"+refs/heads/{branch}:refs/remotes/{checked_branch(remote)}/{branch}"
        flags = ("--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--refmap=", "--update-shallow")
        more = ("--no-auto-maintenance", "--no-recurse-submodules", "--", str(self.path), spec)
        answer = run(
            [f"--git-dir={clone.git_dir}", "fetch", *flags, *more],
            env=environment(local=True) | config_variables(_WRITE_CONFIG),
            cwd=clone.git_dir,
        )
        if answer.code:
            raise HostError(f"{clone.git_dir}: cannot update {remote}/{branch} (git: {shortened(answer.error)})")
        return True

    def tidy(self) -> bool:
        """Pack what has gathered since the last time, when it is much; keeps unreachable objects for two weeks."""
        objects = self.path / "objects"
        few_packs = len(list((objects / "pack").glob("*.pack"))) <= _PACKS_LIMIT
        if few_packs and len(list(objects.glob("17/*"))) <= _LOOSE_LIMIT:
            return False
        with self._alone():
            self._run_locally(["gc", "--quiet", "--force", "--prune=2.weeks.ago"])  # nobody else is at it: we are alone
        return True

    def rebuild(self) -> None:
        """Drop the copy and fetch it again: what to do when an object turned out to be damaged."""
        with self._alone():
            self._make()
        self.fetch()

    # How

    def _is_whole(self) -> bool:
        return all((self.path / name).exists() for name in (_MARKER, "HEAD", "objects", "config", "refs"))

    def _make(self, object_format: str = "sha1") -> None:
        self.reader.close()
        if self.path.exists() and any(self.path.iterdir()) and not (self.path / _MARKER).exists():
            raise InputError(f"{self.path} holds something that is not the runner's", "name another folder")
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        command = ["init", "--quiet", "--bare", "--template=", "--initial-branch=main"]
        command += [f"--object-format={object_format}", str(fresh)]
        answer = run(command, env=environment(), cwd=fresh.parent)
        if answer.code:
            raise HostError(f"{fresh}: git could not make a repository (git: {shortened(answer.error)})", _hint(answer))
        fresh.chmod(0o700)
        (fresh / _MARKER).write_text("A copy that the runner keeps for itself; it may be deleted at any time.\n")
        if self.path.exists():
            shutil.rmtree(self.path)
        fresh.rename(self.path)
        self._is_new = True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with occupied(self.path.with_name(self.path.name + ".busy")):
            yield

    def _fetched(self, command: Sequence[str]) -> None:
        """A fetch; a mirror that is broken is made again first."""
        with self._alone():
            answer = self._talk(command)
            other = _OTHER_FORMAT.search(answer.error) if answer.code else None
            if answer.code and (other or _is_our_fault(answer.error)):
                self._make(other[1] if other else "sha1")
                answer = self._talk(command)
        if answer.code:
            raise self._failure(answer)
        self._is_new = False

    def _noted(self, ref: str) -> str | None:
        """Where a ref is here; None also where that cannot be read, which a fetch mends."""
        try:
            found = self.reader.ref(ref)
            return found if found is not None and self.reader.exists(found) else None
        except HostError:
            return None

    def _ask(self, words: Sequence[str]) -> Answer:
        """What `git ls-remote` hears; it changes nothing here. HostError where there is no answer in time."""
        command = [f"--git-dir={self.path}", "ls-remote", *words]
        env, patience = self._environment(self._network), patience_seconds()
        self.reader.counts["processes"] += 1
        try:
            return run(command, env=env, cwd=self.path, timeout_seconds=patience)
        except TookTooLong as problem:
            raise no_answer(self.url) from problem

    def _heard(self, answer: Answer) -> dict[str, str]:
        """Refs that `git ls-remote --symref` names, a tag as what it is of, and the default branch noted."""
        self._has_asked_for_head = True
        refs: dict[str, str] = {}
        for line in path_text(answer.out).splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: refs/heads/") and name == "HEAD":
                self._default_branch = value.removeprefix("ref: refs/heads/")
            elif name.startswith(_PLACES):
                refs[name.removesuffix("^{}")] = value  # the second row of a tag says what it is of
        return refs

    def _is_at(self, refs: Mapping[str, str]) -> bool:
        """Whether what a fetch brings is here, under these names alone."""
        try:
            return self.reader.refs(*_PLACES) == refs
        except HostError:  # it is damaged, which a fetch mends
            return False

    def _talk(self, arguments: Sequence[str], *, rarely: bool = False) -> Answer:
        """A command that reaches the remote; tried once more when a dead process left a lock in this mirror."""
        converse = self._by_gitpython if rarely else self._conversed
        answer = converse(arguments)
        if _is_locked(answer) and remove_stale_locks(self.path):
            answer = converse(arguments)
        return answer

    def _conversed(self, arguments: Sequence[str]) -> Answer:
        """A command that reaches the remote; one that took too long has failed, whatever it did before."""
        env, patience = self._environment(self._network), patience_seconds()
        self.reader.counts["processes"] += 1
        try:
            return run([f"--git-dir={self.path}", *arguments], env=env, cwd=self.path, timeout_seconds=patience)
        except TookTooLong as problem:
            return Answer(-signal.SIGKILL, b"", problem.message)

    def _by_gitpython(self, arguments: Sequence[str]) -> Answer:
        """The same by GitPython, whose import alone takes as long as ten git commands."""
        try:
            import git  # imported late: start-up
        except ImportError as problem:  # what GitPython raises where there is no git
            raise HostError(f"GitPython cannot be used: {problem}", "install git 2.36 or newer") from problem

        env = self._environment(self._network)
        # GitPython starts from this process's environment: what points elsewhere is overridden.
        env |= {name: "" for name in os.environ if name.startswith("GIT_") and name not in env}
        env |= {"GIT_COMMON_DIR": str(self.path), "GIT_OBJECT_DIRECTORY": str(self.path / "objects")}
        if "GIT_WORK_TREE" in env:
            env["GIT_WORK_TREE"] = str(self.path)
        try:
            code, out, error = git.cmd.Git(self.path).execute(
                ["git", f"--git-dir={self.path}", *arguments],
                env=env,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                start_new_session=True,  # Ctrl-C is for the runner, which still has results to push
                kill_after_timeout=patience_seconds(),
            )
        except git.exc.GitCommandNotFound as problem:
            raise HostError("git is not installed, or not on PATH", "install git 2.36 or newer") from problem
        self.reader.counts["processes"] += 1
        return Answer(int(code), out if isinstance(out, bytes) else b"", _text(error).strip())

    def _environment(self, network: NetworkConfig) -> dict[str, str]:
        # By these a push also moves what is here.
        fetched = (("remote.origin.fetch", _HEADS), ("remote.origin.fetch", _CLAIMS))
        origin = (("remote.origin.url", self.url), *fetched)
        trusted = [value for key, value in network if key == "safe.directory"]
        env = environment(network=True) | config_variables((*_WRITE_CONFIG, *network, *origin))
        if trusted and self.path.exists():
            # The other side of a local push or fetch is a process of its own, that reads files alone.
            text = "[safe]\n" + "".join(f"\tdirectory = {_config_value(value)}\n" for value in trusted)
            env["GIT_CONFIG_GLOBAL"] = str(self._trusted_file(text))
        has_own_ssh = any(name in env for name in ("GIT_SSH", "GIT_SSH_COMMAND"))
        if not has_own_ssh and all(key.lower() != "core.sshcommand" for key, _ in network):
            env["GIT_SSH_COMMAND"] = _SSH
        return env

    def _trusted_file(self, text: str) -> Path:
        """The file with this text; never seen half-written, since another thread's git may be reading it."""
        file = self.path / _TRUSTED
        if not file.exists() or file.read_text() != text:
            part = self.path / f"{_TRUSTED}.{os.getpid()}.{threading.get_ident()}"
            part.write_text(text)
            part.replace(file)
        return file

    def _run_locally(self, arguments: Sequence[str]) -> None:
        answer = run([f"--git-dir={self.path}", *arguments], env=self._environment(()), cwd=self.path)
        self.reader.counts["processes"] += 1
        if answer.code:
            raise HostError(f"{self.path}: git {arguments[0]} failed (git: {shortened(answer.error)})", _hint(answer))

    def _forget_crash_reports(self) -> None:
        for report in self.path.glob("fast_import_crash_*"):
            report.unlink(missing_ok=True)

    def _failure(self, answer: Answer) -> RunnerError:
        return network_failure(self.url, answer.error)


def _text(error: object) -> str:
    """What GitPython gives as an error: text, but bytes where it gave up itself."""
    return error.decode(errors="replace") if isinstance(error, bytes) else str(error)


def _is_locked(answer: Answer) -> bool:
    """Whether a command failed for a lock file in this mirror."""
    return answer.code != 0 and _LOCKED.search(answer.error) is not None


def _is_our_fault(said: str) -> bool:
    """Whether a failed fetch tells of damage on this side; what the other side says of itself does not count."""
    if _THEIRS.search(said):
        return False
    return any(_BROKEN.search(line) for line in said.splitlines() if not line.startswith("remote:"))


def _hint(answer: Answer) -> str:
    if re.search(r"no space left|disk quota", answer.error, re.IGNORECASE):
        return "the disk is full: make room, then run this again"
    if re.search(r"permission denied|read-only", answer.error, re.IGNORECASE):
        return "this user may not write there: set RUNNER_HOME to a folder of its own"
    return ""


def _config_value(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
