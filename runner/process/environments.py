"""Virtual environments for stages: one for each lock file and version of Python, built once and kept."""

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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.errors import HostError, InputError
from runner.process.allowed_environment import base_environment
from runner.process.private_folder import discard
from runner.process.stage_run import StageRun, run_stage

COMPLETE = ".complete"
"""Written last; an environment without it was interrupted and is built again."""
BUILD_SECONDS = 3600.0
PIP_VARIABLES = ("PIP_", "UV_", "SSL_", "NETRC")
"""Beside what stages see, pip sees these: where its indexes are and how to speak to them."""


@dataclass(frozen=True, slots=True)
class VirtualEnvironment:
    """A complete environment: the folder of its programs (to be put first on PATH) and the SHA-256 that names it."""

    bin_dir: Path
    digest: str


def ensure(
    lock_bytes: bytes,
    python: str | None,
    home: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    cancel: threading.Event | None = None,
    on_line: Callable[[str], None] | None = None,
) -> VirtualEnvironment:
    """The environment below `home` that holds what a requirements file with pinned versions says, built if it is
    not there.

    python: `3.12` or `3.12.4`, the version that is running if None. Hashes in the file are checked by pip. Two
    builders of the same environment, threads or processes, do not meet: the second waits and finds it built.

    Raises InputError when that version of Python is not here, HostError with pip's last lines when the build fails.
    """
    interpreter, version = find_python(python, environ)
    digest = hashlib.sha256(version.encode() + b"\0" + lock_bytes).hexdigest()
    folder = home / digest
    found = VirtualEnvironment(folder / "bin", digest)
    if _is_complete(folder):
        return found
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _only_builder(home / f"{digest}.lock"):
            if not _is_complete(folder):
                _build(folder, interpreter, lock_bytes, environ, cancel or threading.Event(), on_line)
    except OSError as error:
        raise HostError(f"{home}: the environment cannot be built: {error.strerror}", "is the disk full?") from error
    return found


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


@contextmanager
def _only_builder(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel lets go when its holder ends in any way; it holds between threads too."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
        isolate=False,
        on_line=on_line,
    )
    outcome = run_stage(run, cancel)
    discard(private_dir)
    if outcome.reason != "ok":
        discard(folder)
        raise HostError(
            f"the environment of the lock file could not be built ({outcome.reason}):\n{outcome.log_tail}",
            f"the whole log: {run.log_path}",
        )
    (folder / COMPLETE).touch()
