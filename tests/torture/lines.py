"""A story whose remote is reached over a line that can be cut."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.torture.forked import Ended, start
from tests.torture.stories import Story

ROOT = Path(__file__).parents[2]


@dataclass
class Line:
    """A story whose remote is reached through a proxy in front of a git daemon."""

    story: Story
    folder: Path

    def fault(self, **fault: Any) -> None:
        """What the proxy does from now on; nobody may be connected."""
        (self.folder / "log").write_text("")
        (self.folder / "fault.json").write_text(json.dumps({**fault, "version": time.monotonic_ns()}))

    def reconcile(self, *, points: str = "", git_timeout: str = "60") -> Ended:
        """A reconcile over the line."""
        environ = {**self.story.world.environment("a"), "RUNNER_CLAIM_EXPIRY": "3", "RUNNER_GIT_TIMEOUT": git_timeout}
        folder = self.story.world.folder
        ended = start(
            ["reconcile", "--json", "--repo", self.story.url], folder, environ, folder / "said", points
        ).wait()
        self.story.note(ended)
        return ended

    def connections(self, seconds: float = 300.0) -> list[dict[str, int]]:
        """Sizes of the connections since the fault was set, in order; waits until every one of them has ended."""
        end = time.monotonic() + seconds
        while True:
            rows = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
            ended = sorted((row for row in rows if "begins" not in row), key=lambda row: int(row["connection"]))
            if 2 * len(ended) == len(rows):
                return ended
            assert time.monotonic() < end, f"a connection does not end: {rows}"
            time.sleep(0.01)

    def peace(self, *, went_well: bool = False) -> list[str]:
        """Whole lines again, and what is wrong then; see `Story.peace`."""
        self.connections()
        self.fault()
        return self.story.peace(went_well=went_well)


@contextlib.contextmanager
def line_of(story: Story, folder: Path, seconds: float = 300.0) -> Iterator[Line]:
    """A line to the remote of a story, while the block lasts."""
    folder.mkdir(exist_ok=True)
    (folder / "fault.json").write_text("{}")
    (folder / "log").write_text("")
    command = [sys.executable, "-m", "tests.torture.proxy", str(story.world.folder), str(folder)]
    proxy = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        end = time.monotonic() + seconds
        while not (folder / "port").exists():
            assert proxy.poll() is None, "the proxy does not start"
            assert time.monotonic() < end, "the proxy does not listen"
            time.sleep(0.02)
        story.url = f"git://127.0.0.1:{(folder / 'port').read_text()}/{story.world.remote.name}"
        yield Line(story, folder)
    finally:
        os.killpg(proxy.pid, signal.SIGTERM)
        proxy.wait()


def push_of_results(line: Line) -> tuple[int, dict[str, int]]:
    """Number and sizes of the connection that pushes results, of the reconcile that was last over the line."""
    rows = line.connections()
    last = max(rows, key=lambda row: row["up"])
    return last["connection"], last
