"""What came of a push: judged by the status of the one ref, then by the words beside it."""

from __future__ import annotations

import re
from enum import Enum

from runner.git.network import redacted, shortened
from runner.patterns import regex
from runner.values import dataclass


class PushStatus(Enum):
    """The four ends of a push."""

    ACCEPTED = "accepted"
    """The branch is there and is ours."""
    LOST_RACE = "lost race"
    """Somebody else moved the branch first: fetch, decide again."""
    REFUSED = "refused"
    """The other side will not have it; the same push will be refused again."""
    UNKNOWN = "unknown"
    """The connection broke: fetch and look for the own record before trying again."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The status of a push, what the other side said, and what to do about it."""

    status: PushStatus
    detail: str = ""
    hint: str = ""


_RACE = regex(
    r"non-fast-forward|fetch first|needs force|stale info|already exists|cannot lock ref|incorrect old value|"
    r"failed to (?:update|lock)|reference already exists|remote ref updated since checkout",
    re.IGNORECASE,
)
_DENIED = regex(
    r"returned error: 40[13]|denied to|permission denied|authentication failed|could not read (?:user|pass)|"
    r"access denied|service not enabled|not authorized|terminal prompts disabled|insufficient permission|"
    r"protected branch|read-only",
    re.IGNORECASE,
)
_HINTS: tuple[tuple[str, str], ...] = (
    (r"currently checked out", "check out another branch in that repository, or make it a bare one"),
    (r"protected branch|GH006|GH013|rule", "allow the runner's user to push to this branch in the branch protection"),
    (r"hook declined", "a hook of the remote declined it: whoever looks after the remote can say what it wants"),
    (
        r"quota|no space left|unpacker error|unpack failed",
        "the remote cannot store it: check its disk and its permissions",
    ),
    (r"exists; cannot create", "a branch whose name is a part of this one is in the way: rename it"),
    (r"deny updating a hidden ref", "the remote hides this ref: name another branch in record.branch"),
    (r"workflow", "the token may not push workflow files"),
)
_PERMISSION_HINT = "give the runner's credentials write access (on GitHub: permissions: contents: write)"


def push_result(code: int, out: str, error: str, ref: str) -> PushResult:
    """Judge `git push --porcelain` by its exit code and what it says of one ref, given by its full name."""
    said = redacted(error)
    flag, summary = _ref_line(out, ref)
    if flag in (" ", "+", "*", "=", "-"):
        return PushResult(PushStatus.ACCEPTED, summary)
    if flag == "!":
        return _rejected(redacted(summary), said)
    if code == 0:  # nothing was said of our ref
        return PushResult(PushStatus.UNKNOWN, shortened(said) or "git said nothing of the branch")
    if _DENIED.search(said):
        return PushResult(PushStatus.REFUSED, shortened(said), _PERMISSION_HINT)
    return PushResult(PushStatus.UNKNOWN, shortened(said), "the connection broke; whether it arrived is not known")


def _ref_line(out: str, ref: str) -> tuple[str, str]:
    for line in out.splitlines():
        fields = line.split("\t")
        if len(fields) >= 3 and fields[1].endswith(f":{ref}"):
            return fields[0], fields[2]
    return "", ""


def _rejected(summary: str, said: str) -> PushResult:
    words = shortened(said)
    detail = f"{summary}: {words}" if words else summary
    in_the_way = "exists; cannot create" in said
    if "[remote failure]" in summary or "failed to report status" in summary:
        return PushResult(PushStatus.UNKNOWN, detail, "the connection broke; whether it arrived is not known")
    if _RACE.search(summary) and not in_the_way and "hook declined" not in summary:
        return PushResult(PushStatus.LOST_RACE, detail)
    return PushResult(PushStatus.REFUSED, detail, _hint(f"{summary}\n{said}"))


def _hint(text: str) -> str:
    for pattern, hint in _HINTS:
        if re.search(pattern, text, re.IGNORECASE):
            return hint
    return _PERMISSION_HINT if _DENIED.search(text) else ""
