"""Memory runs out, really: the kernel kills in a control group; it is told, recorded and gone on from."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.control_groups import MemoryGroup, memory_group
from tests.reconcile.worlds import TRACE, World, until

LIMIT_BYTES = 512 << 20
EAT = """\
import pathlib, sys
held = []
for _ in range(int(pathlib.Path("mebibytes").read_text())):
    held.append(b"x" * (1 << 20))
pathlib.Path("out").write_text("full\\n")
"""
STAGES = f"""\
stages:
  eat:
    cmd: sleep 600 & echo eating >> {TRACE}; while test -e $(dirname {TRACE})/wait; do sleep 0.05; done;
      {sys.executable} -S eat.py
    deps: [eat.py, mebibytes]
    outs: [out]
  after:
    cmd: cat out > after
    deps: [out]
    outs: [after]
  beside:
    cmd: cat mebibytes > beside
    deps: [mebibytes]
    outs: [beside]
"""
"""The stage that runs out of memory leaves a process that would outlive it."""


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    with memory_group(LIMIT_BYTES) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path) -> World:
    files = {"dvc.yaml": STAGES, "eat.py": EAT, "mebibytes": "4096\n"}
    return World.create(tmp_path / "world", files, dvc=True)


def reconcile(world: World, group: MemoryGroup) -> tuple[int, dict[str, Any], str]:
    """Reconcile inside the group."""
    runner = started(world, group)
    out, err = runner.communicate()
    return runner.returncode, json.loads(out) if out else {}, err


def started(world: World, group: MemoryGroup) -> subprocess.Popen[str]:
    words = group.command(world.command("reconcile", "--json", "--repo", str(world.remote)))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, cwd=world.folder, env=world.environment("a"), stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


@pytest.mark.slow
def test_a_stage_that_the_kernel_kills_for_want_of_memory_is_told_and_recorded_as_such(
    world: World, group: MemoryGroup
) -> None:
    code, _, err = reconcile(world, group)
    assert (code, group.kills()) == (3, 1), err
    assert "out of memory" in err
    assert group.is_empty_within(60)  # nothing outlived it, not even what it had left in the background
    outcomes = {run["stage"]: run["outcome"] for run in world.runs()}
    assert outcomes["beside"]["succeeded"]
    eaten = outcomes["eat"]
    assert (eaten["succeeded"], eaten["reason"], eaten["signal"]) == (False, "oom", 9)
    assert "out of memory" in eaten["message"]
    assert "after" not in outcomes
    # Not tried again as it is; with less to eat it fits.
    code, value, err = reconcile(world, group)
    assert (code, group.kills(), value["commit"]) == (3, 1, None), err
    world.edit({"mebibytes": "16\n"}, "Eat less")
    code, _, err = reconcile(world, group)
    assert (code, group.kills()) == (0, 1), err
    assert group.is_empty_within(60)


@pytest.mark.slow
def test_a_runner_that_the_kernel_kills_for_want_of_memory_leaves_nothing_and_the_next_goes_on(
    world: World, group: MemoryGroup
) -> None:
    (world.folder / "wait").touch()
    runner = started(world, group)
    until(lambda: "eating" in world.trace(), seconds=300)
    # The kernel takes whom it is told to prefer: here the runner, though the stage has the memory.
    Path(f"/proc/{runner.pid}/oom_score_adj").write_text("1000")
    (world.folder / "wait").unlink()
    _, err = runner.communicate()
    assert runner.returncode == -signal.SIGKILL, err
    assert group.kills() >= 1
    assert group.is_empty_within(60)
    world.edit({"mebibytes": "16\n"}, "Eat less")
    code, _, err = reconcile(world, group)
    assert code == 0, err
    assert {run["stage"] for run in world.runs() if run["outcome"]["succeeded"]} >= {"eat", "after", "beside"}
