"""The connection to a git daemon is cut, after any byte and in both ways: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.torture.forked import Ended, start
from tests.torture.stories import Story

EVERY = int(os.environ.get("CUT_EVERY", "0"))
"""Every so many bytes of the answer to the push of results is tried; 0 for a sample."""


@dataclass
class Line:
    """A story whose remote is reached through a proxy in front of a git daemon."""

    story: Story
    url: str
    folder: Path

    def fault(self, **fault: Any) -> None:
        """What the proxy does from now on."""
        (self.folder / "log").write_text("")
        (self.folder / "fault.json").write_text(json.dumps({**fault, "version": time.monotonic_ns()}))

    def reconcile(self, *, git_timeout: str = "20") -> Ended:
        """A reconcile over the line."""
        environ = {**self.story.world.environment("a"), "RUNNER_CLAIM_EXPIRY": "3", "RUNNER_GIT_TIMEOUT": git_timeout}
        folder = self.story.world.folder
        ended = start(["reconcile", "--json", "--repo", self.url], folder, environ, folder / "said").wait()
        self.story.note(ended)
        return ended

    def connections(self) -> list[dict[str, int]]:
        """Sizes of the connections since the fault was set, in order."""
        time.sleep(0.1)  # the last one's line is on its way
        rows = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        return sorted(rows, key=lambda row: row["connection"])

    def peace(self) -> list[str]:
        """Whole lines again, and what is wrong then."""
        self.fault()
        ended = self.reconcile()
        return ([] if ended.status == 3 else [f"{ended.status}: {ended.err}"]) + self.story.peace()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    story = Story.begin(tmp_path / "story")
    ports = _free_ports(2)
    (tmp_path / "fault.json").write_text("{}")
    base = story.world.folder
    daemon = ["git", "daemon", f"--base-path={base}", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1"]
    commands = [
        [*daemon, f"--port={ports[1]}", str(base)],
        [sys.executable, "-m", "tests.torture.proxy", str(ports[0]), str(ports[1]), str(tmp_path)],
    ]
    root = Path(__file__).parents[2]
    running = [subprocess.Popen(c, cwd=root, stderr=subprocess.DEVNULL, start_new_session=True) for c in commands]
    for port in ports:
        _wait_for(port)
    time.sleep(0.05)
    yield Line(story, f"git://127.0.0.1:{ports[0]}/remote.git", tmp_path)
    for process in running:
        os.killpg(process.pid, 15)
        process.wait()


def _push_of_results(line: Line) -> tuple[int, dict[str, int]]:
    """Number and sizes of the connection that pushes results: measured on a reconcile that nobody disturbs."""
    line.story.edit()
    line.fault()
    assert line.reconcile().status == 3
    rows = line.connections()
    last = max(rows, key=lambda row: row["up"])
    return last["connection"], last


def test_wherever_the_answer_to_a_push_is_cut_each_result_is_recorded_once(line: Line) -> None:
    number, sizes = _push_of_results(line)
    chance = random.Random(1)
    places = list(range(0, sizes["down"] + 1, EVERY)) if EVERY else chance.sample(range(sizes["down"]), 3)
    for place in places:
        line.story.edit()
        line.fault(connection=number, way="down", bytes=place, how="cut")
        line.reconcile()
        assert line.peace() == [], f"cut after byte {place} of {sizes['down']}"


def test_wherever_a_push_is_cut_each_result_is_recorded_once(line: Line) -> None:
    number, sizes = _push_of_results(line)
    chance = random.Random(2)
    step = max(1, EVERY)
    places = list(range(0, sizes["up"] + 1, step)) if EVERY else chance.sample(range(sizes["up"]), 2)
    for place in places:
        line.story.edit()
        line.fault(connection=number, way="up", bytes=place, how="cut")
        line.reconcile()
        assert line.peace() == [], f"cut after byte {place} of {sizes['up']}"


def test_whichever_connection_is_cut_the_next_reconcile_goes_on(line: Line) -> None:
    _push_of_results(line)
    count = len(line.connections())
    assert count >= 4
    for number in range(count):
        line.story.edit()
        line.fault(connection=number, way="down", bytes=random.Random(number).randrange(200), how="cut")
        ended = line.reconcile()
        assert ended.status in (3, 4), ended.err
    assert line.peace() == []


def test_a_remote_that_stops_answering_is_given_up(line: Line) -> None:
    number, sizes = _push_of_results(line)
    line.story.edit()
    line.fault(connection=number, way="down", bytes=sizes["down"] // 2, how="hang")
    ended = line.reconcile(git_timeout="2")
    assert ended.status in (3, 4)
    line.story.edit()
    line.fault(connection=0, way="down", bytes=10, how="hang")
    ended = line.reconcile(git_timeout="2")
    assert ended.status == 4
    assert "did not answer within 2 s" in ended.err
    assert line.peace() == []


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")
