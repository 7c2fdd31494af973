"""What a daemon says: a start, each thing that happens, now and then that nothing does, and an end."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from runner.daemon import Beat, Heart
from tests.cli.command import call, spawn
from tests.cli.worlds import Team, copy_of
from tests.reconcile.worlds import World, until

STAGES = "stages:\n  a: {cmd: cp in a, deps: [in], outs: [a]}\n"
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ( |$)")


def test_that_nothing_is_new_is_said_at_first_and_then_every_hour() -> None:
    heart = Heart()
    said = {minute: beat for minute in range(200) if (beat := heart.quiet(minute * 60.0))}
    assert said == {0: Beat(0.0, 1), 60: Beat(3600.0, 61), 120: Beat(7200.0, 121), 180: Beat(10800.0, 181)}
    heart.woken()
    assert heart.quiet(200 * 60.0) == Beat(0.0, 1)
    assert heart.quiet(201 * 60.0) is None


def test_a_daemon_says_when_it_starts_what_happens_and_when_it_stops(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    log = tmp_path / "daemon.log"
    process = world.start("daemon", "--interval", "0.05s", "--repo", str(world.remote), cwd=tmp_path, log=log)
    until(lambda: "nothing to do" in log.read_text())
    mended = world.edit({"in": "2\n"})
    until(lambda: f"{mended[:12]}: nothing to do" in log.read_text())
    world.edit({"dvc.yaml": "stages: [\n"}, "Break")
    until(lambda: "trying again in" in log.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    lines = log.read_text().splitlines()
    assert [line for line in lines if not STAMP.match(line)] == []
    texts = [STAMP.sub("", line, count=1) for line in lines]
    assert texts[0] == f"runner 0.1.0: reconciling the watched branch of {world.remote}, a round every 50 ms"
    assert [text for text in texts if "nothing to do" in text] == [
        f"{world.runs()[0]['desired'][:12]}: nothing to do",
        f"{mended[:12]}: nothing to do",
    ]
    assert sum("Recorded 1 run in" in text for text in texts) == 2
    counts = re.fullmatch(r"stopped after (\d+) rounds: 2 did something, (\d+) failed", texts[-1])
    assert counts is not None, texts[-1]
    assert int(counts[1]) >= 5
    assert int(counts[2]) >= 1


def test_a_defect_in_one_round_is_told_with_a_report_and_the_next_round_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.create(tmp_path, {"dvc.yaml": STAGES, "in": "1\n"})
    rounds: list[int] = []

    def broken(*_: object) -> None:
        rounds.append(1)
        if len(rounds) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        raise KeyError("nobody knows this")

    monkeypatch.setattr("runner.cli.daemon.open_repository", broken)
    answer = call(world.repo.path, "daemon", "--interval", "0.01s")
    assert (answer.code, len(rounds)) == (0, 2), answer.err
    for part in ("this is a defect of the runner: KeyError: ", "Please report it", "Traceback", "trying again in"):
        assert answer.err.count(part) >= 2
    assert "stopped after 2 rounds: 0 did something, 2 failed" in answer.err


def test_a_single_round_that_fails_does_not_promise_another(tmp_path: Path) -> None:
    world = World.create(tmp_path, {"dvc.yaml": "stages: [\n"})
    answer = call(world.repo.path, "daemon", "--once")
    assert (answer.code, "not YAML" in answer.err, "trying again" in answer.err) == (1, True, False)


def test_a_daemon_says_what_stands_failed_all_the_same(team: Team, tmp_path: Path) -> None:
    team = copy_of(team, tmp_path)
    answer = call(team.path, "daemon", "--once")
    assert (answer.code, answer.out) == (3, "")
    assert f"{team.broken[:12]}: nothing to do; 1 stage stands failed" in answer.err


def test_a_password_in_the_address_is_not_said(tmp_path: Path) -> None:
    answer = spawn(tmp_path, "daemon", "--once", "--repo", "http://me:secret@127.0.0.1:9/wine.git")
    assert answer.code == 4
    assert "reconciling the watched branch of http://***@127.0.0.1:9/wine.git" in answer.err
    assert "secret" not in answer.err


@pytest.mark.parametrize("words", [["daemon"], ["daemon", "--once"]], ids=" ".join)
def test_a_daemon_without_a_repository_ends_at_once(words: list[str], tmp_path: Path) -> None:
    answer = spawn(tmp_path, *words)
    assert (answer.code, "is not in a git repository" in answer.err) == (1, True)
