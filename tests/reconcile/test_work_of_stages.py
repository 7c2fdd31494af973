"""How much work the runner makes for each stage that runs, in exact counts, so that none is added unnoticed."""

from __future__ import annotations

import collections
import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runner.core.plan import Walk
from runner.process.host import host_resources
from runner.process.launcher import launcher
from tests.counted import calls, counted
from tests.reconcile.worlds import World

FEW, MANY = 3, 11
OUTPUT_BYTES = 8
KINDS = {
    r"host-a/r/[^/]+/w/0/tree/o": "output, where the stage left it",
    r"repo/\.dvc/cache/runner-tmp/": "object of the cache, written",
    r"repo/\.dvc/cache/files/": "object of the cache, to be sent",
    r"repo/\.dvc/cache/runs/": "run-cache of DVC",
    r"store/runner-tmp/": "object of the DVC remote",
}
FOR_EACH_STAGE = {
    **{f"opened: {kind}": 1 for kind in KINDS.values()},
    "synced": 1,
    "bytes in MD5": OUTPUT_BYTES + len("/o01\n"),  # and the line in `.gitignore`, which is an input's file
}
"""A stage of one input and one output that prints nothing, without an overlay; beside it the shell that runs the
command."""


class _Counter:
    """Counts what a block asks for beside the files that it opens."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        fsync, popen, md5, counts = os.fsync, subprocess.Popen.__init__, hashlib.md5, self.counts

        def counting_fsync(descriptor: int) -> None:
            counts["synced"] += 1
            fsync(descriptor)

        def counting_popen(*values: Any, **more: Any) -> None:
            counts["programs started"] += 1
            popen(*values, **more)

        class CountingMd5:
            def __init__(self, data: bytes = b"", **more: Any) -> None:
                self._digest = md5(**more)
                self.update(data)

            def update(self, data: bytes) -> None:
                counts["bytes in MD5"] += len(data)
                self._digest.update(data)

            def hexdigest(self) -> str:
                return self._digest.hexdigest()

        patched.setattr(os, "fsync", counting_fsync)
        patched.setattr(subprocess.Popen, "__init__", counting_popen)
        patched.setattr(hashlib, "md5", CountingMd5)


def counts_of(folder: Path, stages: int, monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """What a first reconcile asks of the system, and which processes watched over its stages."""
    rows = "".join(
        f"  s{number}:\n    cmd: echo $PPID >> {folder}/supervisors; printf %0{OUTPUT_BYTES}d {number} > o{number:02}\n"
        f"    deps: [o{number - 1:02}]\n    outs: [o{number:02}]\n"
        for number in range(1, stages + 1)
    )
    world = World.create(folder, {"dvc.yaml": f"stages:\n{rows}", "o00": "0\n"}, dvc=True)
    world.environ["RUNNER_ISOLATION"] = "group"  # everywhere the same
    with monkeypatch.context() as patched, counted() as work:
        counts = _Counter(patched).counts
        assert len(world.reconcile("--jobs", "1").ran) == stages
    for path in work.below(folder):
        where = path.removeprefix(f"{folder}/")
        kind = next((kind for pattern, kind in KINDS.items() if re.match(pattern, where)), "all else")
        counts[f"opened: {kind}"] += 1
    counts["supervisors"] = len(set((folder / "supervisors").read_text().split()))
    return counts


def test_a_stage_more_costs_what_it_always_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts_of(tmp_path / "first", 1, monkeypatch)  # what is done once in a process is done now
    few = counts_of(tmp_path / "few", FEW, monkeypatch)
    many = counts_of(tmp_path / "many", MANY, monkeypatch)
    assert few["supervisors"] == many["supervisors"] == 1
    many.subtract(few)
    assert {what: count / (MANY - FEW) for what, count in many.items() if count} == FOR_EACH_STAGE


def test_no_more_supervisors_wait_than_the_host_can_run_stages(tmp_path: Path) -> None:
    cores = int(host_resources()[0])
    keeper = "k=$(cut -d' ' -f4 /proc/$PPID/stat); cat /proc/$k/task/$k/children"
    rows = "".join(
        f"  s{number}:\n    cmd: {keeper} > o{number}\n    outs: [o{number}]\n"
        "    meta: {runner: {resources: {cpu: 1}}}\n"
        for number in range(cores + 6)
    )
    world = World.create(tmp_path, {"dvc.yaml": f"stages:\n{rows}"}, dvc=True)
    world.environ["RUNNER_ISOLATION"] = "group"
    launcher.close()  # with whatever waits from before
    ran = world.reconcile("--jobs", str(cores + 6)).ran
    assert len(ran) == cores + 6
    seen = [len(world.output(f"o{number}").split()) for number in range(cores + 6)]
    assert 1 <= max(seen) <= max(1, cores)


def test_a_stage_that_waits_is_asked_again_once_nothing_is_missing(tmp_path: Path) -> None:
    parts = "".join(f"  s{number}:\n    cmd: touch o{number}\n    outs: [o{number}]\n" for number in range(MANY))
    deps = ", ".join(f"o{number}" for number in range(MANY))
    world = World.create(
        tmp_path, {"dvc.yaml": f"stages:\n{parts}  all:\n    cmd: touch end\n    deps: [{deps}]\n    outs: [end]\n"}
    )
    with calls(Walk.decide) as asked:
        assert len(world.reconcile().ran) == MANY + 1
    assert asked["decide"] == (MANY + 1) + 1 + (MANY + 1)  # in the plan, in its execution, and to say what stands


def test_what_waits_in_the_end_says_only_what_is_missing(tmp_path: Path) -> None:
    rows = (
        "stages:\n  good:\n    cmd: touch a\n    outs: [a]\n  bad:\n    cmd: 'false'\n    outs: [b]\n"
        "  both:\n    cmd: touch c\n    deps: [a, b]\n    outs: [c]\n"
    )
    world = World.create(tmp_path, {"dvc.yaml": rows})
    told = world.reconcile(ok=(3,))
    assert {row["stage"]: row["reasons"] for row in told.value["stages"]}["both"] == ["waits for b of bad"]
