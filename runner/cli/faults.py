"""Errors that nobody raised on purpose: those that tell of the host, and those that are defects of the runner."""

from __future__ import annotations

import errno
import json
import platform
import traceback

from runner.cli.console import Console
from runner.errors import ExitCode, HostError, RunnerError

_HINTS = {
    errno.ENOSPC: "make room, then run this again",
    errno.EDQUOT: "make room within the quota, then run this again",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f), then run this again",
    errno.EROFS: "the file system is read-only: set RUNNER_HOME to a folder that can be written",
    errno.EACCES: "this user may not do that: change the permissions, or set RUNNER_HOME to a folder of its own",
    errno.EPERM: "this user may not do that: change the permissions, or set RUNNER_HOME to a folder of its own",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run this again",
    errno.ENFILE: "this host has too many open files; run this again later",
    errno.EIO: "the disk has a fault: look at the host's log",
    errno.ENOMEM: "free memory, then run this again",
    errno.ENOTDIR: "a file stands where a folder is needed",
}


def host_fault(error: Exception) -> HostError | None:
    """What an error of the operating system means for people; None where it tells of nothing but a defect."""
    if isinstance(error, MemoryError):
        return HostError("this host has not enough memory for that", "free memory, then run this again")
    if isinstance(error, OSError) and error.errno in _HINTS:
        return HostError(f"{error.filename or 'this host'}: {error.strerror}", _HINTS[error.errno])
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error.strerror):
        return HostError("there is no folder for temporary files, or it is full", "make room, or set TMPDIR")
    if type(error).__module__ == "sqlite3":
        return HostError(f"a small database of the runner cannot be used: {error}", "look at the disk of RUNNER_HOME")
    return None


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
