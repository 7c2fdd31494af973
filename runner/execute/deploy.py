"""The command of a target: run in a private worktree of a commit, with the release as JSON and the model as files."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runner.core.canonical import canonical_bytes
from runner.core.nouns import Address
from runner.core.targets import DEPLOY, CommandTarget
from runner.execute.context import Event
from runner.execute.worktree import Room, Worktrees
from runner.failpoints import reached
from runner.process.hiding import Hidden
from runner.process.isolation import LevelRefused
from runner.process.redaction import redacted_text
from runner.process.stage_run import Outcome, StageRun, run_stage
from runner.values import dataclass

_LONGEST_WORD = 300


@dataclass(frozen=True, slots=True)
class Order:
    """A command that is to run, and what for."""

    event: str
    """To put a release to use, or to take it away."""
    deployment: str
    environment: str
    release: Mapping[str, Any]
    """What the command is told: the file of the release."""
    target: CommandTarget
    specs: str
    """The commit that the command is of."""

    @property
    def address(self) -> Address:
        """How it is named beside stages."""
        return Address("deploy", f"{self.deployment}/{self.environment}")

    @property
    def command(self) -> str:
        """What runs."""
        return self.target.run if self.event == DEPLOY else self.target.undeploy


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command runs in."""

    worktrees: Worktrees
    wdir: str
    shell: str
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    logs: Path
    hidden: Hidden
    lay_out: Callable[[Path], None]
    """Has the files of the model in a new folder; raises HostError."""
    attempts: Callable[[], int]
    """Counts one more try, for good, before it begins: its number."""
    on_event: Callable[[Event], None]
    clock: Callable[[], float]
    """Seconds since the epoch."""
    run_id: str


def carry_out(order: Order, around: Surroundings, cancel: threading.Event) -> Mapping[str, Any] | None:
    """Run a command until it ends well or its retries are used up; what the record of its outcome says.

    None where it was stopped before its end. Raises HostError where this host cannot run it.
    """
    around.on_event(Event("started", order.address))
    left = order.target.retries
    try:
        while True:
            attempt = around.attempts()
            started_at = datetime.datetime.fromtimestamp(around.clock(), datetime.UTC)
            outcome = _tried(order, around, attempt, cancel)
            if outcome.reason == "cancelled":
                return None
            if outcome.reason == "ok" or not left:
                return _stated(order, around, outcome, attempt, started_at.isoformat(timespec="milliseconds"))
            left -= 1
            again = f"try {attempt} failed: {_why(order, outcome, around)}"
            around.on_event(Event("retried", order.address, again))
    finally:
        around.on_event(Event("finished", order.address))


def _tried(order: Order, around: Surroundings, attempt: int, cancel: threading.Event) -> Outcome:
    while True:
        try:
            with around.worktrees.room(()) as room:
                run = _run(order, around, room, attempt)
                room.watch()
                reached("deploy-begun")
                try:
                    return run_stage(run, cancel)
                finally:
                    room.tree.undo(room.strays(()))
        except LevelRefused as refused:
            around.worktrees.lower(refused)


def _run(order: Order, around: Surroundings, room: Room, attempt: int) -> StageRun:
    release, told = order.release, room.private / "release.json"
    told.write_bytes(canonical_bytes(release) + b"\n")
    given = {
        "RUNNER_EVENT": order.event,
        "RUNNER_DEPLOYMENT": order.deployment,
        "RUNNER_ENVIRONMENT": order.environment,
        "RUNNER_VERSION": str(release["version"]),
        "RUNNER_RELEASE": str(told),
        "RUNNER_ATTEMPT": str(attempt),
    }
    if order.event == DEPLOY:
        model = room.private / "model"
        around.lay_out(model)
        given["RUNNER_MODEL"] = str(model)
    return StageRun(
        commands=(order.command,),
        shell=around.shell,
        worktree=room.tree.folder,
        wdir=around.wdir,
        env={**around.environ, **order.target.env, **around.secrets, **given},
        timeout_seconds=order.target.timeout_seconds,
        log_path=around.logs / f"{around.run_id}.log",
        redact=around.secrets,
        outs=(),
        private_dir=room.private,
        isolation=room.level,
        on_line=lambda line: around.on_event(Event("line", order.address, line)),
        hidden=around.hidden,
        stdin=told,
    )


def _stated(order: Order, around: Surroundings, outcome: Outcome, attempt: int, started_at: str) -> Mapping[str, Any]:
    reached("deploy-ended")
    succeeded = outcome.reason == "ok"
    return {
        "event": order.event,
        "deployment": order.deployment,
        "environment": order.environment,
        "version": order.release["version"],
        "release": order.release["record"],
        "model": order.release["model"]["sha256"],
        "specs": order.specs,
        "runId": around.run_id,
        "outcome": {
            "succeeded": succeeded,
            "reason": outcome.reason,
            "message": "" if succeeded else _why(order, outcome, around),
            "exitCode": outcome.exit_code,
            "signal": outcome.signal,
            "attempts": attempt,
        },
        "startedAt": started_at,
        "seconds": outcome.seconds,
        "isolation": outcome.isolation.value,
        "log": {"sha256": outcome.log_sha256, "bytes": outcome.log_bytes, "tail": outcome.log_tail},
    }


def _why(order: Order, outcome: Outcome, around: Surroundings) -> str:
    """Why a command failed, for people: with the last that it printed."""
    if outcome.reason == "timeout":
        why = f"took longer than its timeout of {order.target.timeout_seconds:g} s"
    elif outcome.signal is not None:
        why = f"killed by signal {outcome.signal}" + (": out of memory" if outcome.reason == "oom" else "")
    else:
        why = f"exit code {outcome.exit_code}"
    last = outcome.log_tail.rstrip().rpartition("\n")[2].strip()[:_LONGEST_WORD]
    return redacted_text(f"{why}: {last}" if last else why, around.secrets)
