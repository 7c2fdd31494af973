"""What an audit finds: the kind of breach, the place, and what is wrong there."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from runner.errors import ExitCode
from runner.values import dataclass


class Breach(IntEnum):
    """A kind of finding; the number is the exit code of `runner audit verify`."""

    CHAIN = int(ExitCode.AUDIT_CHAIN)
    """A record is not canonical, not valid, or not in its place."""
    SIGNATURE = int(ExitCode.AUDIT_SIGNATURE)
    """A signature is missing, is wrong, or is by a key that nobody trusts."""
    ROLLBACK = int(ExitCode.AUDIT_ROLLBACK)
    """History was changed: records vanished, were exchanged, or the end is not the end."""
    BYTES = int(ExitCode.AUDIT_BYTES)
    """What lies beside the records does not agree with them."""
    POLICY = int(ExitCode.AUDIT_POLICY)
    """Well signed, but not by somebody who may."""


@dataclass(frozen=True, slots=True, order=True)
class Breakage:
    """One thing that is wrong."""

    breach: Breach
    place: str
    """`record 7`, a path, or a commit."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def exit_code(found: Iterable[Breakage]) -> int:
    """The exit code for all that was found: of the first kind in the order of the numbers; 0 for nothing."""
    return min((int(one.breach) for one in found), default=0)
