"""Errors that nobody raised on purpose: those that tell of the host, and those that are defects of the runner."""

from __future__ import annotations

import errno
import json
import os
import platform
import traceback
from pathlib import Path

from runner.cli.console import Console
from runner.errors import ExitCode, HostError, RunnerError

_HINTS = {
    errno.ENOSPC: "make room, then run this again",
    errno.EDQUOT: "make room within the quota, then run this again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), then run this again",
    errno.EROFS: "the file system is read-only: use a folder, or a clone, that can be written",
    errno.EACCES: "this user may not do that: change the permissions",
    errno.EPERM: "this user may not do that: change the permissions",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run this again",
    errno.ENFILE: "this host has too many open files; run this again later",
    errno.EIO: "the disk has a fault: look at the host's log",
    errno.ENOMEM: "free memory, then run this again",
    errno.ENOTDIR: "a file stands where a folder is needed",
}
_NO_HOME = "set RUNNER_HOME to a folder of its own that can be written"
_HINTS_AT_HOME = {
    errno.EROFS: f"the file system is read-only: {_NO_HOME}",
    errno.EACCES: f"this user may not do that: change the permissions, or {_NO_HOME}",
    errno.EPERM: f"this user may not do that: change the permissions, or {_NO_HOME}",
}
"""Of the runner's own folder alone: another one helps nobody who may not write to a clone."""


def host_fault(error: Exception) -> HostError | None:
    """What an error of the operating system means for people; None where it tells of nothing but a defect."""
    if isinstance(error, MemoryError):
        return HostError("this host has not enough memory for that", "free memory, then run this again")
    if isinstance(error, OSError) and error.errno in _HINTS:
        hints = _HINTS | _HINTS_AT_HOME if _is_at_home(error) else _HINTS
        return HostError(f"{error.filename or 'this host'}: {error.strerror}", hints[error.errno])
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error.strerror):
        return HostError("there is no folder for temporary files, or it is full", "make room, or set TMPDIR")
    if type(error).__module__ == "sqlite3":
        return HostError(f"a small database of the runner cannot be used: {error}", "look at the disk of RUNNER_HOME")
    return None


def _is_at_home(error: OSError) -> bool:
    """Whether a file of the error lies in the runner's own folder."""
    from runner.wiring.home import home_folder  # imported late: rare

    home = os.path.realpath(home_folder(os.environ))
    named = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes, os.PathLike))
    ]
    return any(Path(os.path.realpath(name)).is_relative_to(home) for name in named)


class Defect(RunnerError):
    """An error that nobody raised on purpose, in words; the daemon goes on after one."""

    exit_code = ExitCode.BUG


def defect_of(error: Exception) -> Defect:
    """An unknown error with everything that is needed for a report."""
    return Defect(_told(error)[2])


def report(error: Exception, console: Console) -> None:
    """A defect: everything needed for a report on stderr, and where it was asked for the same as JSON."""
    told, facts, text = _told(error)
    if console.as_json:
        body = {"message": told, "hint": "please report it", "exitCode": int(ExitCode.BUG)}
        console.result("", {"error": body | facts | {"traceback": _traceback(error)}})
    console.say(text)


def _told(error: Exception) -> tuple[str, dict[str, str], str]:
    """A defect in a sentence, what it happened with, and the whole text to report."""
    from runner import __version__

    facts = {"runner": __version__, "python": platform.python_version(), "platform": platform.platform()}
    told = f"this is a defect of the runner: {type(error).__name__}: {error}"
    return told, facts, f"{told}\nPlease report it with what follows:\n\n{json.dumps(facts)}\n{_traceback(error)}"


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
