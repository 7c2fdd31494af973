"""Which isolation of stages this system allows, found out by trying, and the one place where it is decided."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from runner.errors import HostError, InputError
from runner.process.launcher import launcher
from runner.process.private_folder import discard

OVERRIDE = "RUNNER_ISOLATION"
"""auto | overlay | pid | group"""


class Isolation(StrEnum):
    """How a stage is kept apart, best first; the value is what records say."""

    OVERLAY = "overlay+pid"
    """Its writes to the worktree land in a layer of its own; it sees only its own processes."""
    PID = "pid"
    """It sees only its own processes, and all of them die with it."""
    GROUP = "group"
    """Its processes are found and killed at the end by a walk of /proc."""

    @property
    def code(self) -> bytes:
        """The byte that asks the keeper for this level."""
        return {Isolation.OVERLAY: b"o", Isolation.PID: b"p", Isolation.GROUP: b"g"}[self]


LEVELS = tuple(Isolation)


class LevelRefused(HostError):
    """A level could not be entered for a stage; no command of it has started."""

    def __init__(self, level: Isolation, why: str) -> None:
        super().__init__(
            f"the stage cannot be isolated by {level}: {why}", f"set {OVERRIDE}=auto to take the best that works"
        )
        self.level = level


class Levels:
    """The level of the stages of one place: the best that works there, tried with a real mount before the first
    question is answered, and lowered where it turns out not to work after all. Safe for threads."""

    def __init__(self, place: Path, *, overlay: bool = True, environ: Mapping[str, str] = os.environ) -> None:
        """`overlay`: whether stages may run on an overlay; `place`: a folder on the file system of its layers."""
        self._place = place
        self._overlay = overlay
        self._environ = environ
        self._guard = threading.Lock()
        self._current: Isolation | None = None

    @property
    def current(self) -> Isolation:
        """The level of a stage that starts now; see `available_isolation` for what is raised."""
        with self._guard:
            if self._current is None:
                best = available_isolation(self._place, self._environ)
                self._current = _allowed(best, overlay=self._overlay)
            return self._current

    @property
    def leave_processes(self) -> bool:
        """Whether a stage may have run in no PID namespace, with which its processes end; levels only ever go down."""
        with self._guard:
            return self._current is Isolation.GROUP

    def lower(self, refused: LevelRefused) -> None:
        """Take the next level from now on; raises what was refused where a person asked for that very level, or where
        there is none below it."""
        if wanted_isolation(self._environ) is not None or refused.level is LEVELS[-1]:
            raise refused
        with self._guard:
            if self._current is refused.level:
                self._current = LEVELS[LEVELS.index(refused.level) + 1]


OVERRIDES = {"overlay": Isolation.OVERLAY, "pid": Isolation.PID, "group": Isolation.GROUP}

_lock = threading.Lock()
_found: dict[int, tuple[Isolation, str]] = {}


def available_isolation(place: Path | None = None, environ: Mapping[str, str] = os.environ) -> Isolation:
    """The best level that works for a private folder at `place` (default: the folder for temporary files), tried
    once for each file system.

    `RUNNER_ISOLATION` asks for one level. Raises InputError when it holds another word, HostError when the level
    asked for does not work here.
    """
    wanted = wanted_isolation(environ)
    if wanted is Isolation.GROUP:
        return wanted
    best, why_not = _best_level(Path(tempfile.gettempdir()) if place is None else place)
    if wanted is None:
        return best
    if LEVELS.index(best) > LEVELS.index(wanted):
        raise HostError(
            f"{OVERRIDE}={environ[OVERRIDE]} does not work here: {why_not}",
            f"set {OVERRIDE}=auto to take the best that works",
        )
    return wanted


def prepare_supervisors(place: Path, count: int, *, overlay: bool) -> None:
    """Have supervisors wait for the first stages at `place`, at the level that these will have (see `Levels`).

    Raises what `available_isolation` and `Launcher.prepare` raise.
    """
    launcher.prepare(_allowed(available_isolation(place), overlay=overlay).code, count)


def _allowed(best: Isolation, *, overlay: bool) -> Isolation:
    return Isolation.PID if best is Isolation.OVERLAY and not overlay else best


def wanted_isolation(environ: Mapping[str, str] = os.environ) -> Isolation | None:
    """The level that `RUNNER_ISOLATION` asks for; None for the best that works."""
    word = environ.get(OVERRIDE, "") or "auto"
    if word != "auto" and word not in OVERRIDES:
        raise InputError(f"{OVERRIDE}: unknown level {word!r}", "use auto, overlay, pid or group")
    return OVERRIDES.get(word)


def _best_level(place: Path) -> tuple[Isolation, str]:
    """The best level that works for private folders on the file system of `place`, and why a better one does not."""
    try:
        device = place.stat().st_dev
    except OSError as error:
        raise HostError(f"{place}: {error.strerror}") from error
    with _lock:
        if device not in _found:
            _found[device] = _try_levels(place)
        return _found[device]


def _try_levels(place: Path) -> tuple[Isolation, str]:
    reasons: list[str] = []
    for level in LEVELS[:-1]:
        why_not = _try_level(level, place)
        if why_not is None:
            return level, "; ".join(reasons)
        reasons.append(f"{level}: {why_not}")
    return Isolation.GROUP, "; ".join(reasons)


def _try_level(level: Isolation, place: Path) -> str | None:
    """Enter a level without running a command; None when it works, else why not."""
    folder = Path(tempfile.mkdtemp(prefix="runner-probe-", dir=place))
    try:
        layers = [folder / name for name in ("worktree", "upper", "work")]
        for layer in layers:
            layer.mkdir()
        worktree, upper, work = map(os.fsencode, layers)
        seen = folder / "seen"
        seen.touch()
        request = {
            "commands": [],
            "directory": worktree,
            "environment": {},
            "worktree": worktree,
            "upper": upper,
            "work": work,
            "hidden": [worktree, os.fsencode(seen)],
            "locked": True,
            "fixed": [os.fsencode(folder)],
        }
        supervised = launcher.launch(level.code, request)
        try:
            answer = supervised.answer()
        finally:
            supervised.close()
        if answer is None:
            return "the supervisor was killed"
        return answer.get("setup")
    finally:
        discard(folder)
