"""Stages of the library in a reconcile: run, kept, run again for another argument, and run by DVC just the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.process.own_command import own_command
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import World
from tests.repositories import git

SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    split:
      uses: split
      with: {data: raw.csv, parts: "${parts}"}
      outs: [train.csv, test.csv]
      seed: 3
      env: {PYTHONPATH: "."}
    count: {cmd: "wc -l < test.csv > count", deps: [test.csv], outs: [count: {cache: false}]}
"""
FILES = {
    "runner.yaml": SPEC,
    "params.yaml": "parts: [0.8, 0.2]\n",
    "raw.csv": "a\n" + "".join(f"{number}\n" for number in range(50)),
    # What Python would import first where it looks into the working folder.
    **{f"{name}.py": 'raise SystemExit("taken from the working folder")\n' for name in ("json", "pandas", "runner")},
}


@pytest.mark.filterwarnings("ignore")  # DVC's own
def test_a_stage_of_the_library_is_work_like_any_other_and_dvc_runs_it_to_the_same_bytes(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    assert sorted(world.reconcile().ran) == ["count", "split"]
    assert world.file("count") == "11\n"
    assert world.reconcile().commit is None
    world.edit({"params.yaml": "parts: [0.5, 0.5]\n"})
    [row] = [row for row in world.plan_rows() if row["stage"] == "split"]
    assert (row["action"], row["reasons"]) == ("run", ["with parts: [0.8, 0.2] → [0.5, 0.5]"])
    world.reconcile()
    assert world.file("count") == "26\n"
    check_ledger(world.remote)

    clone = world.clone("by hand")
    recorded = (clone / ".runner/pipelines/p/dvc.lock").read_bytes()
    environ = {**os.environ, "PATH": f"{own_command(tmp_path / 'bin')}:{os.environ['PATH']}", "RUNNER_SEED": "3"}
    command = [sys.executable, "-m", "dvc", "repro", "--force", ".runner/pipelines/p/dvc.yaml:split"]
    # The clone holds files that would be imported in place of modules; DVC is called from elsewhere.
    done = subprocess.run(
        [*command[:1], "-P", *command[1:3], "--cd", str(clone), *command[3:]],
        env=environ, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / ".runner/pipelines/p/dvc.lock").read_bytes() == recorded
    assert git(clone, "status", "--porcelain") == ""


def test_what_goes_wrong_in_a_stage_of_the_library_is_told_in_its_words(tmp_path: Path) -> None:
    spec = SPEC.replace('parts: "${parts}"', 'parts: "${parts}", groups: b')
    world = World.create(tmp_path / "world", {**FILES, "runner.yaml": spec})
    told = world.reconcile(ok=(3,))
    assert "split: raw.csv: there is no column `b`" in told.err
    assert "Traceback" not in told.err


def test_an_environment_without_the_runner_is_told_and_nothing_else_of_that_name_is_run(tmp_path: Path) -> None:
    spec = SPEC.replace("      seed: 3\n", "      environment: {lock: requirements.lock}\n")
    world = World.create(tmp_path / "world", {**FILES, "runner.yaml": spec, "requirements.lock": ""})
    other = tmp_path / "other"
    other.mkdir()
    (other / "runner").write_text("#!/bin/sh\necho FAKE > train.csv; echo FAKE > test.csv\n")
    (other / "runner").chmod(0o755)
    world.environ["PATH"] = f"{other}:{os.environ['PATH']}"
    told = world.reconcile(ok=(4,))
    assert "requirements.lock does not hold the runner, whose stage `split@1` is" in told.err
