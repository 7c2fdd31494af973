"""Runs the commands of one stage as processes: isolated, timed, logged, and with nothing left when it returns."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.errors import HostError, InputError
from runner.process import memory_kills
from runner.process.allowed_environment import base_environment
from runner.process.hiding import Hidden
from runner.process.isolation import Isolation, LevelRefused
from runner.process.launcher import Supervised, launcher, wait_readable
from runner.process.overlay import undeclared_writes
from runner.process.stage_log import StageLog
from runner.process.survivors import end_survivors
from runner.values import dataclass, field

__all__ = ["Outcome", "StageRun", "base_environment", "run_stage", "upper_layer"]

CANCEL_SECONDS = 0.2
"""How soon a cancellation is seen."""
DRAIN_SECONDS = 2.0
"""How long output is awaited after the end from a process that could not be killed."""
END_SECONDS = 10.0
"""How long the supervisor may take to clear away a stage that was killed."""
TEMPORARY = "tmp"
"""Name of the folder below a private one that TMPDIR points to; it may be there, and empty, beforehand."""
NOTHING_COUNTED: Mapping[str, Any] = {"cpu_seconds": 0.0, "max_rss_kib": 0, "cleared": True}
"""What is known of a stage whose supervisor did not answer."""
SIGNAL_EXIT = 128
"""A shell ends with this plus the number of the signal that killed its command."""
KILLING_SIGNALS = frozenset(
    {
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTERM,
        signal.SIGSYS,
    }
)


@dataclass(frozen=True, slots=True)
class StageRun:
    """What to run and how; everything is decided by the caller.

    commands: one after the other, stopped at the first that fails. shell: its path or a name on the run's PATH. wdir:
    relative to the worktree. env: the whole environment, but for TMPDIR, which points below
    private_dir. redact: secret values by name. outs: declared outputs, relative to the worktree. private_dir: of this
    run alone, outside the worktree, on the file system where outputs shall be; its path should be short (sockets are
    made in TMPDIR). isolation: the level to run at, none below it. With an overlay the stage also sees what the
    caller has put below `upper_layer(private_dir)`, over the worktree, and may change it; without one it writes into
    the worktree itself. hidden: what it finds nothing of, at any level but the lowest. stdin: a file that it reads;
    None for nothing.
    """

    commands: tuple[str, ...]
    shell: str
    worktree: Path
    wdir: str
    env: Mapping[str, str]
    timeout_seconds: float | None
    log_path: Path
    redact: Mapping[str, str]
    outs: tuple[str, ...]
    private_dir: Path
    isolation: Isolation
    on_line: Callable[[str], None] | None = None
    grace_seconds: float = 5.0
    hidden: Hidden = field(default_factory=Hidden)
    stdin: Path | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage ended.

    exit_code: of the last command that ran; None when a signal killed it. signal: what killed it, also where only the
    shell told (exit code 128 + n). reason: ok | failed | timeout | cancelled | killed | oom. seconds: wall time of
    the commands. cpu_seconds, max_rss_bytes: what the kernel counted for every process of the tree, and for its
    largest one (never less than about 10 MB, the size of the fork it starts from). log_*: of the log as written.
    undeclared: paths written (or deleted) in the worktree that are no declared output, a new folder as one path with
    a slash at its end, 100 at most; known with an overlay only. output_root: the folder below which outs are found.
    leftovers: whether something would not die even by SIGKILL. supervisor_lost: whether the process that watched the
    stage was killed; the stage was ended then.
    """

    exit_code: int | None
    signal: int | None
    reason: str
    seconds: float
    cpu_seconds: float
    max_rss_bytes: int
    log_bytes: int
    log_sha256: str
    log_tail: str
    isolation: Isolation
    undeclared: tuple[str, ...]
    output_root: Path
    log_left_out_bytes: int = 0
    leftovers: bool = False
    supervisor_lost: bool = False


def upper_layer(private_dir: Path) -> Path:
    """Where the writes of a stage on an overlay land; what is there beforehand, the stage finds."""
    return private_dir / "upper"


def run_stage(run: StageRun, cancel: threading.Event) -> Outcome:
    """Run a stage to its end, whatever that is; when this returns none of its processes is left.

    Raises LevelRefused when its level cannot be entered (no command has started), HostError when the host cannot start
    it or write its log, InputError when the shell is not there.
    """
    shell = _shell_command(run.shell, run.env.get("PATH", os.defpath))
    folders = _private_folders(run)
    kills_before = memory_kills.count()
    log = StageLog(run.log_path, run.redact, run.on_line)
    begun = time.monotonic()
    answer: dict[str, Any] | None = None
    try:
        supervised = launcher.launch(run.isolation.code, _request(run, shell, folders))
        try:
            stopped_by, answer = _Watch(run, cancel, supervised, log).until_the_end()
        finally:
            supervised.close()
            # Without a PID namespace a stage can kill its supervisor, and the keeper that would clear away after it.
            watched = run.isolation is not Isolation.GROUP or answer is not None
            gone = watched or end_survivors(folders["tmp"], END_SECONDS)
        written = log.finish()
    except BaseException:
        log.abandon()
        raise
    if answer is not None and "setup" in answer:
        raise LevelRefused(run.isolation, str(answer["setup"]))
    upper = folders.get("upper")
    exit_code, killed_by = _exit(answer)
    counted = {**NOTHING_COUNTED, "seconds": time.monotonic() - begun, **(answer or {})}
    return Outcome(
        exit_code=exit_code,
        signal=killed_by,
        reason=stopped_by or _reason(exit_code, killed_by, kills_before),
        seconds=counted["seconds"],
        cpu_seconds=counted["cpu_seconds"],
        max_rss_bytes=counted["max_rss_kib"] * 1024,
        log_bytes=written.size_bytes,
        log_sha256=written.sha256,
        log_tail=written.tail,
        isolation=run.isolation,
        undeclared=_undeclared(run, upper) if upper is not None else (),
        output_root=upper or run.worktree,
        log_left_out_bytes=written.left_out_bytes,
        leftovers=not (counted["cleared"] and gone),
        supervisor_lost=answer is None,
    )


def _undeclared(run: StageRun, upper: Path) -> tuple[str, ...]:
    try:
        return undeclared_writes(upper, run.worktree, run.outs)
    except OSError as error:
        raise HostError(
            f"{upper}: what the stage wrote cannot be read: {error.strerror}",
            "did a command remove or change folders of the runner? it may only write below its working folder",
        ) from error


@functools.lru_cache(maxsize=8)
def _shell_command(shell: str, path: str) -> tuple[str, ...]:
    """The beginning of each command's argument list.

    The shell is looked for until it is found, and then believed to stay there. Raises InputError.
    """
    found = shutil.which(shell, path=path)
    if found is None:
        raise InputError(f"the shell {shell!r} is not on this host", "install it, or name another one")
    quiet = ("--noprofile", "--norc") if Path(found).name == "bash" else ()
    return (found, *quiet, "-c")


def _private_folders(run: StageRun) -> dict[str, Path]:
    """The folders of this run below private_dir, made; a work folder of an overlay must not have been used."""
    folders = {"tmp": run.private_dir / TEMPORARY}
    try:
        if not os.path.isdir(folders["tmp"]):
            folders["tmp"].mkdir(parents=True, exist_ok=True)
        if run.isolation is Isolation.OVERLAY:
            upper = upper_layer(run.private_dir)
            folders |= {"upper": upper, "work": upper.with_name("work")}
            if not os.path.isdir(upper):
                os.mkdir(upper)
            os.mkdir(folders["work"])
    except OSError as error:
        raise HostError(
            f"{error.filename or run.private_dir}: {error.strerror}", "the private folder of a stage must be writable"
        ) from error
    return folders


def _request(run: StageRun, shell: tuple[str, ...], folders: Mapping[str, Path]) -> dict[str, Any]:
    """What the keeper needs to know, in bytes (see keeper.py)."""
    # Python may read compiled code beside installed packages, and writes none: a private place for byte code would have
    # every run compile every package that it imports again, which takes seconds where the work takes milliseconds.
    environment = {**run.env, "TMPDIR": str(folders["tmp"]), "PYTHONDONTWRITEBYTECODE": "1"}
    beginning = _encoded(shell)
    names, values = _encoded(environment), _encoded(environment.values())
    request: dict[str, Any] = {
        "commands": [[*beginning, command] for command in _encoded(run.commands)],
        "directory": os.fsencode(os.path.join(run.worktree, run.wdir)),
        "folder": os.fsencode(run.wdir),
        "environment": dict(zip(names, values, strict=True)),
    }
    if run.stdin is not None:
        request["stdin"] = os.fsencode(run.stdin)
    if run.isolation is not Isolation.GROUP:
        hidden = run.hidden
        request |= {"hidden": _of_paths(hidden.paths), "fixed": _of_paths(hidden.fixed), "locked": hidden.locked}
    if "upper" in folders:
        layers = {"worktree": run.worktree, "upper": folders["upper"], "work": folders["work"]}
        request |= {name: os.fsencode(path) for name, path in layers.items()}
    return request


def _encoded(texts: Iterable[str]) -> list[bytes]:
    """Texts as a program gets them, all at once. Raises InputError for one with a NUL byte."""
    given = list(texts)
    found = os.fsencode("\0".join(given)).split(b"\0") if given else []
    if len(found) != len(given):
        raise InputError("a command or a variable of the stage has a NUL byte", "no program can be given one")
    return found


@functools.lru_cache(maxsize=4)
def _of_paths(paths: tuple[Path, ...]) -> list[bytes]:
    return [os.fsencode(path) for path in paths]


class _Watch:
    """Follows one running stage: takes its output, stops it in time, takes its answer."""

    def __init__(self, run: StageRun, cancel: threading.Event, supervised: Supervised, log: StageLog) -> None:
        self._run = run
        self._cancel = cancel
        self._supervised = supervised
        self._log = log
        self._stopped_by: str | None = None
        self._timeout_at = None if run.timeout_seconds is None else time.monotonic() + run.timeout_seconds
        self._kill_at: float | None = None
        self._give_up_at: float | None = None

    def until_the_end(self) -> tuple[str | None, dict[str, Any] | None]:
        """Why we stopped it (timeout, cancelled, or None) and the supervisor's answer, if it lived to give one."""
        try:
            return self._follow()
        except BaseException:
            self._supervised.kill()
            wait_readable([self._supervised.control.fileno()], END_SECONDS)
            raise

    def _follow(self) -> tuple[str | None, dict[str, Any] | None]:
        control, output = self._supervised.control.fileno(), self._supervised.output
        waiting = [control, output]
        while not self._overdue():
            ready = wait_readable(waiting, self._patience())
            if output in ready and not self._take_output():
                waiting = [control]
            if control in ready:
                answer = self._supervised.answer()
                self._drain(output if output in waiting else None)
                return self._stopped_by, answer
        return self._stopped_by, {**NOTHING_COUNTED, "statuses": [], "cleared": False}

    def _patience(self) -> float:
        """Seconds until something has to be looked at."""
        times = (self._timeout_at if self._stopped_by is None else None, self._kill_at, self._give_up_at)
        return max(0.0, min([CANCEL_SECONDS, *(at - time.monotonic() for at in times if at is not None)]))

    def _take_output(self) -> bool:
        data = os.read(self._supervised.output, 1 << 16)
        self._log.feed(data)
        return bool(data)

    def _drain(self, output: int | None) -> None:
        """What is still in the pipe; its end comes at once unless a process survived that holds it."""
        until = time.monotonic() + DRAIN_SECONDS
        while output is not None and time.monotonic() < until:
            if wait_readable([output], CANCEL_SECONDS) and not self._take_output():
                return

    def _overdue(self) -> bool:
        """Stop the stage when it is time: SIGTERM, after the grace SIGKILL; True when even the supervisor does not
        end."""
        now = time.monotonic()
        if self._stopped_by is None:
            if self._cancel.is_set():
                self._stopped_by = "cancelled"
            elif self._timeout_at is not None and now >= self._timeout_at:
                self._stopped_by = "timeout"
            if self._stopped_by is not None:
                self._supervised.ask_to_end()
                self._kill_at = now + self._run.grace_seconds
        elif self._kill_at is not None and now >= self._kill_at:
            self._supervised.kill()
            self._kill_at, self._give_up_at = None, now + END_SECONDS
        return self._give_up_at is not None and now >= self._give_up_at


def _reason(exit_code: int | None, killed_by: int | None, kills_before: int) -> str:
    """Why commands ended that nobody stopped. `kills_before`: how often memory had run out when the stage began."""
    if exit_code == 0:
        return "ok"
    if killed_by == signal.SIGKILL and memory_kills.count() > kills_before:
        return "oom"
    return "failed" if killed_by is None else "killed"


def _exit(answer: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """Exit code and signal of the last command; a supervisor without an answer was killed, and its stage with it."""
    if answer is None:
        return None, signal.SIGKILL
    if not answer["statuses"]:
        return None, None
    status = answer["statuses"][-1]
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    exit_code = os.WEXITSTATUS(status)
    return exit_code, exit_code - SIGNAL_EXIT if exit_code - SIGNAL_EXIT in KILLING_SIGNALS else None
