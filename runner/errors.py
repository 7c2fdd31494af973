"""Every error the runner raises on purpose, as one tree, each with the exit code that tells the caller what to do next.

    RunnerError                 a sentence for people: where, what is wrong, what to do
    ├── InputError        1     the input or the usage is wrong: mend it and call again
    ├── HostError         4     this host or the network let us down: the same call may work later
    ├── RaceLost          5     somebody else was first, or a plan is no longer the plan
    └── Held              6     a person has to say something first (approval, window, rewritten state)

Anything else that reaches the top is a bug and exits with 70 and a report to paste.
"""

from __future__ import annotations

from enum import IntEnum

from runner.values import dataclass


class ExitCode(IntEnum):
    """What the process says when it ends; the numbers are a contract with scripts."""

    DONE = 0
    """Everything asked for was done, or there was nothing to do."""
    INPUT = 1
    """The input or the usage is wrong."""
    CHANGES = 2
    """Only from `plan`: something other than `keep` is planned, or something would be released."""
    FAILED = 3
    """A stage, a gate or a deploy failed, or stands failed; from `doctor --strict`: something lacks."""
    HOST = 4
    """The host or the network failed; the same call may work later."""
    RACE = 5
    """A race was lost for good, or `apply` refused a plan whose ground has moved."""
    HELD = 6
    """A person has to decide first."""
    AUDIT_CHAIN = 10
    """Only from `audit verify`: a record is not canonical, not valid, or not in its place."""
    AUDIT_SIGNATURE = 11
    """Only from `audit verify`: a signature is missing, wrong, or by nobody who is trusted."""
    AUDIT_ROLLBACK = 12
    """Only from `audit verify`: what was recorded is gone or was exchanged."""
    AUDIT_BYTES = 13
    """Only from `audit verify`: what lies beside the records does not agree with them."""
    AUDIT_POLICY = 14
    """Only from `audit verify`: well signed, but not by somebody who may."""
    BUG = 70
    """A defect of the runner."""
    INTERRUPTED = 130
    """SIGINT."""
    TERMINATED = 143
    """SIGTERM."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file of the repository; lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Place("")
"""The place of what came from no file."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong with the input: where, what, and what to do about it."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = str(Place(self.file, self.line, self.column))
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class RunnerError(Exception):
    """The root of what the runner raises on purpose; `hint` says what to do."""

    exit_code = ExitCode.BUG

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message + (f"\n  {self.hint}" if self.hint else "")

    @property
    def line(self) -> str:
        """The same in one line, for where others stand around it."""
        hint = f" ({self.hint})" if self.hint else ""
        return " ".join(part.strip() for part in f"{self.message}{hint}".splitlines())


class InputError(RunnerError):
    """The input or the usage is wrong; the same call will fail again."""

    exit_code = ExitCode.INPUT


class SpecError(InputError):
    """The specs have findings; all of them are here, sorted by place, and nothing ran."""

    def __init__(self, findings: list[Finding], of: str = "the specs") -> None:
        """`of` says what was read."""
        self.findings = sorted(findings)
        count = len(self.findings)
        super().__init__(f"{count} finding{'s' if count != 1 else ''} in {of}")

    def __str__(self) -> str:
        return "\n".join([self.message + ":", *(f"  {finding}" for finding in self.findings)])

    @property
    def line(self) -> str:
        """All of them in one line."""
        return f"{self.message}: {'; '.join(map(str, self.findings))}"


class HostError(RunnerError):
    """The host or the network let us down; the same call may work later."""

    exit_code = ExitCode.HOST


class RaceLost(RunnerError):
    """Somebody else was first, or a plan is no longer the plan."""

    exit_code = ExitCode.RACE


class Held(RunnerError):
    """A person has to say something first."""

    exit_code = ExitCode.HELD
