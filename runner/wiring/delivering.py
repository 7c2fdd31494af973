"""What is released, looked up in git and fetched from DVC remotes: the process behind a server that pulls.

`python -m runner.wiring.delivering`: a line of JSON says what is followed, each one after it is a question, and each
question gets one line in answer (runner/delivery/child.py is the other side).
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import functools
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from runner.core.canonical import canonical_bytes
from runner.core.dsse import parse_envelope
from runner.core.records import parse_record
from runner.core.release_files import FILE_FIELDS
from runner.data import faults
from runner.data.cache import Cache
from runner.data.config import COMMITTED_NAME
from runner.data.hash_index import HashIndex
from runner.data.hashing import file_md5
from runner.data.remotes import Remotes
from runner.delivery.child import Followed
from runner.delivery.release import Release, check_servable, read_release
from runner.delivery.store import Fetch, Store, copy_of, files_up_to
from runner.errors import Held, InputError, RunnerError
from runner.git.mirror import Mirror
from runner.git.network import network_config
from runner.git.objects import DamagedObjects
from runner.git.read import Reader
from runner.ledger import layout
from runner.ledger.in_place import newest_state
from runner.ledger.state import State
from runner.observe import refs
from runner.wiring.data import dvc_cache_of, dvc_folder_of, remotes_at
from runner.wiring.home import RepositoryHome, home_folder, repository_home
from runner.wiring.states import is_rewritten, read_seen
from runner.wiring.watched import is_worked_in

if TYPE_CHECKING:
    from runner.wiring.trust import Trusting

_READ = (layout.STATE, f"{layout.RELEASES}/", f"{layout.RELEASED}/")
_MOST_BYTES = 16 << 20
_PR_SET_PDEATHSIG = 1
_BEYOND_BYTES = 1 << 20
"""What a process may write to other files while it fetches one."""
_HEAVY_BYTES = 64 << 20
"""A process of this size has imported what it needs once in a while; it makes room."""


class Deliveries:
    """Answers questions about the releases of one Deployment in one environment."""

    def __init__(self, followed: Followed, environ: Mapping[str, str]) -> None:
        self._followed = followed
        self._environ = environ
        self._home = RepositoryHome(Path(followed.home))
        self._store = Store(Path(followed.home))
        # With a trust file records are read back to the first one; without, a few files of the newest commit.
        folder = self._home.root / ("whole.git" if followed.trust else "mirror.git")
        self._mirror = Mirror.open(folder, followed.url, network_config(None))
        self._filtered = False
        self._deployment = followed.deployment

    @functools.cached_property
    def _trusting(self) -> Trusting | None:
        if self._followed.trust is None:
            return None
        from runner.specs.parse_cache import ParseCache  # imported late: few have a trust file
        from runner.wiring.trust import Trusting

        parsed = ParseCache(home_folder(self._environ) / "parsed")
        return Trusting(Path(self._followed.trust), self._home, parsed)

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be said to a question; never raises what is an error of the runner's own."""
        try:
            answer = self._here() if question["do"] == "here" else self._looked(question)
        except Held as held:
            answer = {"say": "held", "why": held.line}
        except DamagedObjects as error:
            self._begin_anew()
            answer = {"say": "unreachable", "why": error.line}
        except RunnerError as error:
            answer = {"say": "unreachable", "why": error.line}
        return {**answer, "deployment": self._deployment, "heavy": _resident_bytes() > _HEAVY_BYTES}

    # Git

    def _begin_anew(self) -> None:
        """Drop the copy of the repository: some of it cannot be read, and all of it can be fetched again."""
        self._mirror.close()
        shutil.rmtree(self._mirror.path, ignore_errors=True)
        self._mirror = Mirror.open(self._mirror.path, self._followed.url, network_config(None))

    def _looked(self, question: Mapping[str, Any]) -> dict[str, Any]:
        branches = self._followed.branches
        is_own = all(branch.startswith(refs.OWN_PREFIX) for branch in branches)
        self._filtered = is_own and self._trusting is None
        branch, tip = self._mirror.follow(branches, filtered=self._filtered) or (branches[0], None)
        self._check_not_rewritten(branch, tip)
        commit = self._state_commit(branch, tip)
        if commit is None:
            return {"say": "none", "commit": None, "why": f"nothing is recorded on {branch} yet"}
        if commit == question["commit"]:
            return {"say": "same", "commit": commit}
        try:
            state = self._opened(branch, commit)
        except Held as held:
            return self._refused(commit, held, question)
        answer = self._of_state(state, question)
        self._see(branch, commit)
        self._mirror.tidy()
        return answer

    def _state_commit(self, branch: str, tip: str | None) -> str | None:
        """The newest commit of the runner on a branch, which may be a watched one."""
        if tip is None or branch.startswith(refs.OWN_PREFIX):
            return tip
        reader = self._mirror.reader
        return newest_state(reader, [tip], self._trusting.ends(reader, branch) if self._trusting else None)

    def _check_not_rewritten(self, branch: str, tip: str | None) -> None:
        """Hold where the branch does not hold any more what this server has followed of it."""
        seen = read_seen(self._home.seen_state(branch))
        accept = self._followed.accept
        if not seen or not is_rewritten(self._mirror.reader, branch, seen, tip):
            return
        if accept is not None and (tip or "none").startswith(accept):
            return
        now = f"is at {tip[:12]} now" if tip else "is gone"
        raise Held(
            f"{branch} was rewritten: {seen[:12]}, which this server followed, is not part of it any more; it {now}",
            f"bring it back, or start the server with `--accept-state {tip or 'none'}` to go on from what is there",
        )

    def _see(self, branch: str, commit: str) -> None:
        file = self._home.seen_state(branch)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.{os.getpid()}")
        part.write_text(commit + "\n")
        os.replace(part, file)

    def _opened(self, branch: str, commit: str) -> State:
        """The state at a commit; raises Held where a trust file does not let it count."""
        reader = self._mirror.reader
        if self._trusting is None:
            self._bring(commit)
            return State(reader, commit)
        if self._followed.accept is not None and commit.startswith(self._followed.accept):
            self._trusting.accept(reader, commit, branch)
        return self._trusting.opened(reader, commit, branch, None, [commit])

    def _bring(self, commit: str) -> None:
        """Have the few files here that are read below, where the fetch left them out."""
        if self._filtered:
            files = self._mirror.reader.tree(commit).files
            wanted = [path for path in files if path.startswith(_READ) or path.endswith(COMMITTED_NAME)]
            self._mirror.bring(files[path].oid for path in wanted)

    def _refused(self, commit: str, held: Held, question: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing of a state that is not trusted is followed; the version that it would release is named."""
        data = self._release_file(commit, self._deployment) if self._deployment is not None else None
        if data is None or hashlib.sha256(data).hexdigest() in question["known"][:1]:
            return {"say": "held", "commit": commit, "why": held.line}  # what is served has no fault
        version = None
        with contextlib.suppress(InputError):
            version = read_release(data).version
        digest = hashlib.sha256(data).hexdigest()
        failed = {"say": "failed", "commit": commit, "id": digest, "version": version, "why": held.line}
        return {**failed, "lasting": False}  # another release would be trusted no more

    # Releases

    def _of_state(self, state: State, question: Mapping[str, Any]) -> dict[str, Any]:
        """What a state says of the Deployment."""
        commit, released = state.commit, state.released()
        names = sorted({name for name, _ in released})
        here = sorted({name for name, place in released if place == self._followed.environment})
        self._deployment = self._deployment or self._before(here)
        if self._deployment is None and len(here or names) > 1:
            why, hint = f"there are releases of {', '.join(here or names)}", f"say which one: --deployment {names[0]}"
            return {"say": "several", "commit": commit, "why": why, "hint": hint}
        self._deployment = self._deployment or next(iter(here or names), None)
        data = self._release_file(commit, self._deployment) if self._deployment is not None else None
        if data is None:
            return {**self._nothing(state, names), "commit": commit}
        digest = hashlib.sha256(data).hexdigest()
        if digest in question["known"]:
            return {"say": "same", "commit": commit, "id": digest}
        version = None
        try:
            release = read_release(data)
            version = release.version
            if (release.deployment, release.environment) != (self._deployment, self._followed.environment):
                raise InputError(
                    f"the release file of {self._deployment} in {self._followed.environment} says {release.deployment} "
                    f"in {release.environment}",
                    "`runner audit verify` says more of the state branch",
                )
            check_servable(release)
            found = self._vouched(state, release)
            folder = self._store.brought(release, self._fetcher(commit, release))
        except RunnerError as error:
            failed = {"say": "failed", "commit": commit, "id": digest, "version": version, "why": error.line}
            return {**failed, "lasting": isinstance(error, InputError | faults.DamagedObjects)}
        answer = {"say": "release", "commit": commit, "id": digest, "release": release.row}
        return {**answer, "folder": str(folder), **found}

    def _before(self, names: Sequence[str]) -> str | None:
        """The Deployment that was served from here before, where none is named: another beside it changes nothing."""
        try:
            name = (self._store.kept() or {})["release"]["deployment"]
        except (KeyError, TypeError):
            return None
        return name if name in names else None

    def _nothing(self, state: State, names: Sequence[str]) -> dict[str, Any]:
        """Why nothing is to be served."""
        name, environment = self._deployment, self._followed.environment
        if name is None:
            return {"say": "none", "why": "nothing is released yet"}
        memory = state.release_files(name, environment).memory
        if memory is not None and memory["last"]:
            why = f"{name} is not released in {environment} any more: it was removed after v{memory['last']}"
            return {"say": "gone", "why": why}
        places = sorted(place for other, place in state.released() if other == name)
        there = f"released in {', '.join(places)}" if places else f"there is: {', '.join(names)}" if names else ""
        return {
            "say": "none",
            "why": f"nothing of {name} is released in {environment} yet" + f" ({there})" * bool(there),
        }

    def _release_file(self, commit: str, deployment: str) -> bytes | None:
        path = layout.release_path(deployment, self._followed.environment)
        return self._mirror.reader.file(commit, path, _MOST_BYTES)

    def _vouched(self, state: State, release: Release) -> dict[str, Any]:
        """Who signed the release, and its record as it stands; raises InputError for a record that says otherwise."""
        if self._trusting is None:
            return {"verified": {"key": None, "policy": "no trust file"}, "record": None}
        data = state.record_bytes(release.record)
        return self._signed(data, release)

    def _signed(self, data: bytes | None, release: Release) -> dict[str, Any]:
        trusting = self._trusting
        assert trusting is not None
        if data is None or trusting.doubts([data], release.record):
            raise InputError(
                f"record {release.record}, which releases v{release.version}, is not signed by who may",
                f"`runner audit verify --trust {trusting.file}` says more",
            )
        record = parse_record(data)
        stated = record.own.get("release")
        if not isinstance(stated, Mapping) or any(stated[name] != release.row[name] for name in FILE_FIELDS):
            raise InputError(
                f"the release file of v{release.version} does not say what record {release.record} says",
                "`runner audit verify` says more",
            )
        key = next((made.keyid for made in parse_envelope(data).signatures if trusting.trust.named(made.keyid)), None)
        return {"verified": {"key": key, "policy": str(trusting.file)}, "record": base64.b64encode(data).decode()}

    # Bytes

    def _fetcher(self, commit: str, release: Release) -> Fetch:
        """Fetches objects: from the cache that a runner keeps on this host, else from the DVC remote."""
        clone_dvc = self._clone_dvc()
        here = [repository_home(home_folder(self._environ), self._followed.url).cache]
        here += [dvc_cache_of(clone_dvc)] if clone_dvc is not None else []
        remotes: list[Remotes] = []

        sizes = {file.md5: file.size for file in release.files}

        def fetch(md5: str, target: Path) -> None:
            for cache in here:
                if copy_of(cache / "files" / "md5" / md5[:2] / md5[2:], target):
                    if file_md5(target) == md5:
                        return
                    target.unlink()  # damaged here; the remote may have it whole
            if not remotes:
                remotes.append(self._remotes(commit, clone_dvc))
            with files_up_to(sizes[md5] + _BEYOND_BYTES):  # else a remote that never ends would fill the disk
                remotes[0].copy(md5, target, release.remote)

        return fetch

    def _remotes(self, commit: str, clone_dvc: Path | None) -> Remotes:
        """The DVC remotes that a state commit names, and this host."""
        paths = self._mirror.reader.tree(commit).files
        found = sorted((path for path in paths if f"/{path}".endswith(f"/{COMMITTED_NAME}")), key=len)
        root = found[0].removesuffix(COMMITTED_NAME).rstrip("/") if found else ""
        cache = Cache(self._home.cache, HashIndex(self._home.root / "hashes.sqlite"))
        return remotes_at(self._mirror.reader, commit, root or ".", clone_dvc, self._environ, cache)

    def _clone_dvc(self) -> Path | None:
        """The `.dvc` of the repository that is followed, where that is a folder that people work in."""
        if not is_worked_in(self._followed.url):
            return None
        with Reader.discover(Path(self._followed.url)) as reader:
            return dvc_folder_of(reader)

    # This host alone

    def _here(self) -> dict[str, Any]:
        """What was served last, looked at as if it had just come."""
        last = self._store.kept()
        try:
            if last is None:
                raise InputError("nothing was served from here before")
            release = read_release(canonical_bytes(last["release"]) + b"\n")
            if release.environment != self._followed.environment or self._deployment not in (None, release.deployment):
                raise InputError("what was served last is of another Deployment")
            check_servable(release)
            found = {"verified": {"key": None, "policy": "no trust file"}, "record": None}
            if self._trusting is not None:
                found = self._signed(base64.b64decode(last["record"] or ""), release)
            folder = self._store.holds(release)
            if folder is None:
                raise InputError(f"the files of v{release.version} on this host are not those that were released")
        except (RunnerError, KeyError, TypeError, ValueError, AttributeError) as error:
            return {"say": "nothing", "why": error.line if isinstance(error, RunnerError) else str(error)}
        self._deployment = release.deployment
        answer = {"say": "kept", "commit": last.get("commit"), "id": last.get("id"), "release": release.row}
        return {**answer, "folder": str(folder), **found}


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _end(number: int, frame: FrameType | None) -> None:
    """End at once, with every process that was started: git may wait for a host that does not answer."""
    waiting = [os.getpid()]
    while waiting:
        found = waiting.pop()
        with contextlib.suppress(OSError):  # it has ended
            for thread in Path(f"/proc/{found}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
            if found != os.getpid():
                os.kill(found, signal.SIGKILL)
    os._exit(128 + number)


def main() -> int:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGTERM, _end)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # whatever ends the server ends this, too
    deliveries: Deliveries | None = None
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    followed = Followed(**json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        try:
            deliveries = deliveries or Deliveries(followed, os.environ)
            answer = deliveries.answer(json.loads(line))
        except RunnerError as error:
            answer = {"say": "unreachable", "why": error.line}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
