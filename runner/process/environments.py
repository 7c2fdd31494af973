"""Virtual environments for stages: one for each lock file and version of Python, built once and kept while it is
used."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from runner.errors import HostError, InputError
from runner.process.allowed_environment import base_environment
from runner.process.isolation import LevelRefused, Levels
from runner.process.private_folder import discard
from runner.process.stage_run import Outcome, StageRun, run_stage
from runner.values import dataclass, replace

COMPLETE = ".complete"
"""Written last; an environment without it was interrupted and is built again."""
USED = ".used"
"""Touched at each use; its age says when an environment may go."""
BUILD_SECONDS = 3600.0
KEPT_SECONDS = 30 * 24 * 3600.0
PIP_VARIABLES = ("PIP_", "UV_", "SSL_", "NETRC")
"""Beside what stages see, pip sees these: where its indexes are and how to speak to them."""


@dataclass(frozen=True, slots=True)
class VirtualEnvironment:
    """A complete environment: the folder of its programs (to be put first on PATH) and the SHA-256 that names it."""

    bin_dir: Path
    digest: str


@contextmanager
def in_use(
    lock_bytes: bytes,
    python: str | None,
    home: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    cancel: threading.Event | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Iterator[VirtualEnvironment]:
    """The environment below `home` that holds what a requirements file with pinned versions says, built if it is
    not there; nobody removes it until the block ends.

    python: `3.12` or `3.12.4`, the version that is running if None. Hashes in the file are checked by pip. Two
    builders of the same environment, threads or processes, do not meet: the second waits and finds it built.

    Raises InputError when that version of Python is not here, HostError with pip's last lines when the build fails.
    """
    interpreter, version = find_python(python, environ)
    digest = hashlib.sha256(version.encode() + b"\0" + lock_bytes).hexdigest()
    folder = home / digest
    with ExitStack() as held:
        try:
            home.mkdir(parents=True, exist_ok=True)
            while not held.enter_context(_shared(folder)):
                held.close()
                with _alone(folder):
                    if not _is_complete(folder):
                        _build(folder, interpreter, lock_bytes, environ, cancel or threading.Event(), on_line)
            (folder / USED).touch()
        except OSError as error:
            raise HostError(
                f"{home}: the environment cannot be built: {error.strerror}", "is the disk full?"
            ) from error
        yield VirtualEnvironment(folder / "bin", digest)


def prune(home: Path, kept_seconds: float = KEPT_SECONDS) -> None:
    """Remove environments that nobody has used for so long; one that a living process uses stays.

    Raises HostError where the file system does not let us.
    """
    before = time.time() - kept_seconds
    try:
        for file in home.glob("*.lock"):
            if _last_used(file.with_suffix("")) < before:
                _remove_unused(file, before)
    except OSError as error:
        raise HostError(f"{home}: an old environment cannot be removed: {error.strerror}") from error


def _remove_unused(lock: Path, before: float) -> None:
    folder = lock.with_suffix("")
    with _locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB) as is_ours:
        if is_ours and _last_used(folder) < before:
            discard(folder)
            folder.with_suffix(".log").unlink(missing_ok=True)
            lock.unlink()


def find_python(python: str | None, environ: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Path and full version of an interpreter; raises InputError when none of that version is on PATH."""
    running = platform.python_version()
    if python is None or _matches(running, python):
        return sys.executable, running
    minor = ".".join(python.split(".")[:2])
    for name in (f"python{python}", f"python{minor}", "python3", "python"):
        path = shutil.which(name, path=environ.get("PATH", os.defpath))
        version = _version_of(path) if path else ""
        if path and _matches(version, python):
            return path, version
    raise InputError(
        f"Python {python} is not on this host", f"install it so that python{minor} is on PATH, or ask for {running}"
    )


def _matches(version: str, wanted: str) -> bool:
    return version == wanted or version.startswith(wanted + ".")


@functools.cache
def _version_of(path: str) -> str:
    """The version an interpreter says it has; nothing when it does not run (a version manager's empty shim)."""
    program = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _is_complete(folder: Path) -> bool:
    """Whether it was built to its end, and the interpreter it stands on is still there."""
    return (folder / COMPLETE).exists() and os.access(folder / "bin" / "python", os.X_OK)


def _last_used(folder: Path) -> float:
    """Seconds since the epoch; of what is no complete environment the time of its lock file."""
    for path in (folder / USED, folder / COMPLETE, _lock_of(folder)):
        try:
            return path.stat().st_mtime
        except OSError:
            continue  # there is none, or it goes just now
    return time.time()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextmanager
def _shared(folder: Path) -> Iterator[bool]:
    """Keep an environment from being removed; gives whether it is complete."""
    with _locked(_lock_of(folder), fcntl.LOCK_SH):
        yield _is_complete(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with _locked(_lock_of(folder), fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(path: Path, how: int) -> Iterator[bool]:
    """Hold a lock that the kernel lets go when its holder ends in any way; it holds between threads too.

    Gives whether we have it: without waiting (LOCK_NB) somebody else may.
    """
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, how)
            except BlockingIOError:
                yield False
                return
            if _is_still(path, file):  # else it was removed while we waited, and holds nobody else off
                yield True
                return


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _build(
    folder: Path,
    interpreter: str,
    lock_bytes: bytes,
    environ: Mapping[str, str],
    cancel: threading.Event,
    on_line: Callable[[str], None] | None,
) -> None:
    """Build in the final place, because paths inside an environment name it; the marker comes last."""
    discard(folder)
    folder.mkdir()
    lock = folder / "requirements.lock"
    lock.write_bytes(lock_bytes)
    pip = [str(folder / "bin" / "python"), "-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    commands = (shlex.join([interpreter, "-I", "-m", "venv", str(folder)]), shlex.join([*pip, "-r", str(lock)]))
    for_pip = {name: value for name, value in environ.items() if name.startswith(PIP_VARIABLES)}
    private_dir = folder / ".build"
    levels = Levels(folder, overlay=False)
    run = StageRun(
        commands=commands,
        shell="/bin/sh",
        worktree=folder,
        wdir=".",
        env={**base_environment(environ), **for_pip},
        timeout_seconds=BUILD_SECONDS,
        log_path=folder.with_suffix(".log"),
        redact={},
        outs=(),
        private_dir=private_dir,
        isolation=levels.current,
        on_line=on_line,
    )
    try:
        outcome = _run_at(levels, run, cancel)
    finally:
        discard(private_dir)
    if outcome.reason != "ok":
        discard(folder)
        raise HostError(
            f"the environment of the lock file could not be built ({outcome.reason}):\n{outcome.log_tail}",
            f"the whole log: {run.log_path}",
        )
    (folder / COMPLETE).touch()


def _run_at(levels: Levels, run: StageRun, cancel: threading.Event) -> Outcome:
    while True:
        try:
            return run_stage(replace(run, isolation=levels.current), cancel)
        except LevelRefused as refused:
            levels.lower(refused)
