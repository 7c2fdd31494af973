"""How a runner shows that it lives: a lock that its home's other runners see at once, a beat that all others see."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from runner.record.file_lock import is_locked, open_locked


class Locks(Protocol):
    """Locks of the runners of one home, by their ids; `HomeLocks` has them, and the simulator's host."""

    def hold(self, name: str) -> None:
        """Lock this name until it is let go, or this process ends."""

    def let_go(self) -> None:
        """Unlock what is held."""

    def is_free(self, name: str) -> bool:
        """Whether no living process holds this name."""


class Beat(Protocol):
    """Something that is done again and again beside all else; `ThreadBeat` does it, and the simulator's clock."""

    def start(self, act: Callable[[], None], every_seconds: float) -> None:
        """Begin; `act` raises nothing."""

    def stop(self) -> None:
        """End, and return once `act` is not under way any more."""


class HomeLocks:
    """A locked file for each runner in a folder of its home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: io.FileIO | None = None

    def hold(self, name: str) -> None:
        """See Locks."""
        if self._held is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._held = open_locked(self._file(name))

    def let_go(self) -> None:
        """See Locks."""
        if self._held is not None:
            Path(self._held.name).unlink(missing_ok=True)
            self._held.close()
            self._held = None

    def is_free(self, name: str) -> bool:
        """See Locks."""
        try:
            return not is_locked(self._file(name))
        except FileNotFoundError:
            return True

    def dead(self) -> list[str]:
        """Names that are left behind: their processes ended without letting go."""
        names = sorted(file.stem for file in self._folder.glob("*.lock")) if self._folder.is_dir() else []
        return [name for name in names if self.is_free(name)]

    def forget(self, name: str) -> None:
        """Remove what a dead process left."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class ThreadBeat:
    """A thread that acts and sleeps."""

    def __init__(self) -> None:
        self._quiet = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, act: Callable[[], None], every_seconds: float) -> None:
        """See Beat."""

        def go() -> None:
            while not self._quiet.wait(every_seconds):
                act()

        self._quiet.clear()
        self._thread = threading.Thread(target=go, name="claims", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See Beat."""
        self._quiet.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
