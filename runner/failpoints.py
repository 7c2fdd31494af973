"""Named places between two steps where a test may have the process die or an operation fail; off, and free, elsewhere.

`RUNNER_FAILPOINTS` arms them when the process starts: `NAME=ACTION`, several with `;` between. ACTION is `kill` (as
`kill -9` does it), `exit`, `error:ERRNO` such as `error:ENOSPC`, or `trace:FILE` (the name is appended to a file). With
`@N` behind it happens at the Nth time the place is reached only, with `@N+` from then on; `*` stands for every name.
"""

from __future__ import annotations

import errno
import os
import signal

from runner.values import dataclass

NAMES = {
    "fetched": "the remote's branches are in the mirror",
    "observed": "desired and recorded are read",
    "planned": "it is decided what runs",
    "claim-placed": "others see what this runner is going to run",
    "inputs-placed": "a stage's inputs are in its worktree, its outputs are cleared",
    "commands-ended": "a stage's commands have ended, nothing of its outputs is kept yet",
    "object-stored": "a file or folder is in the cache",
    "outputs-stored": "all outputs of a run are in the cache",
    "journal-opened": "the file of the journal is there, without the run",
    "journal-written": "a run is in the journal, perhaps not on the disk",
    "journaled": "a run is in the journal, for good",
    "cache-synced": "the bytes of outputs are on the disk",
    "bytes-pushed": "the DVC remote has a part of the bytes",
    "bytes-safe": "the DVC remote has all bytes that the commit will name",
    "composed": "the files of the state commit are put together",
    "commit-built": "the state commit is in the mirror",
    "push-begun": "the state commit is about to be pushed",
    "pushed": "the remote has answered the push",
    "acknowledged": "the answer was understood",
    "journal-cleaned": "the journal knows that the run is published",
    "claim-dropped": "the claim is taken back",
    "deploy-begun": "a release is recorded, and its command is about to run",
    "deploy-ended": "the command of a release has ended, and nobody knows",
    "released": "what is released is recorded, and put to use",
    "closing": "everything is done but the tidying up",
}
"""Every failpoint, and what is true when it is reached."""


@dataclass
class _Point:
    action: str
    at: int
    lasting: bool
    seen: int = 0


_armed: dict[str, _Point] = {}


def arm(text: str) -> None:
    """Arm failpoints as `RUNNER_FAILPOINTS` does, in place of those before; raises ValueError for what is not one."""
    _armed.clear()
    for part in filter(None, text.split(";")):
        name, _, action = part.partition("=")
        action, _, when = action.partition("@")
        if name not in NAMES and name != "*":
            raise ValueError(f"there is no failpoint {name!r}; there are: {', '.join(NAMES)}")
        number = when.removesuffix("+")
        _armed[name] = _Point(action, int(number or 1), when.endswith("+") or not when)


def reached(name: str) -> None:
    """Say that a place is reached."""
    if _armed:
        _act(name)


def _act(name: str) -> None:
    for point in (_armed.get(name), _armed.get("*")):
        if point is None:
            continue
        point.seen += 1
        if point.seen == point.at or (point.lasting and point.seen > point.at):
            _perform(point.action, name)


def _perform(action: str, name: str) -> None:
    what, _, detail = action.partition(":")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "exit":
        os._exit(int(detail or 1))
    elif what == "error":
        number = getattr(errno, detail)
        raise OSError(number, os.strerror(number), f"failpoint {name}")
    elif what == "trace":
        descriptor = os.open(detail, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(descriptor, f"{name}\n".encode())
        os.close(descriptor)
    else:
        raise ValueError(f"{action!r} is no action of a failpoint")


arm(os.environ.get("RUNNER_FAILPOINTS", ""))
