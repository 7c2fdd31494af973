"""A factory of stage runs in folders of their own, and what a test needs to know about processes."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.process.isolation import Isolation, available_isolation
from runner.process.launcher import launcher
from runner.process.stage_run import Outcome, StageRun, base_environment, run_stage

Run = Callable[..., Outcome]


@pytest.fixture(scope="session", autouse=True)
def no_keeper_is_left() -> Iterator[None]:
    yield
    launcher.close()


@pytest.fixture
def stage(tmp_path: Path) -> StageRun:
    """A run to start from: an empty worktree, no commands."""
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    return StageRun(
        commands=(),
        shell="/bin/sh",
        worktree=worktree,
        wdir=".",
        env=base_environment(os.environ),
        timeout_seconds=60,
        log_path=tmp_path / "logs" / "stage.log",
        redact={},
        outs=(),
        private_dir=tmp_path / "private",
        isolation=available_isolation(tmp_path),
    )


@pytest.fixture
def run(stage: StageRun) -> Run:
    """Run commands in the stage's worktree at the level of the test; keywords change the stage, `cancel` is the
    event. A second run has a private folder of its own."""
    numbers = itertools.count()

    def run_commands(*commands: str, cancel: threading.Event | None = None, **changes: object) -> Outcome:
        private = stage.private_dir.with_name(f"private{next(numbers) or ''}")
        changes = {"isolation": available_isolation(stage.worktree), "private_dir": private, **changes}
        return run_stage(replace(stage, commands=commands, **changes), cancel or threading.Event())  # type: ignore[arg-type]  # keywords of the dataclass

    return run_commands


@pytest.fixture(params=["overlay", "pid", "group"])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each level of isolation that this system allows."""
    word: str = request.param
    wanted = {"overlay": 0, "pid": 1, "group": 2}[word]
    if wanted < list(Isolation).index(available_isolation(tmp_path)):
        pytest.skip(f"this system does not allow {word}")
    monkeypatch.setenv("RUNNER_ISOLATION", word)
    return word


def is_running(marker: str) -> bool:
    """Whether a process that is no zombie has the marker in its arguments."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if marker.encode() in (folder / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
