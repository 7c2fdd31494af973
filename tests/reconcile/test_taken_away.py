"""What was recorded is taken away while stages run: the hold is not slept through, and no result is lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import STATE, World, until
from tests.repositories import git

STAGES = """\
stages:
  slow:
    cmd: echo slow >> @TRACE@; while [ ! -e @GATE@ ]; do sleep 0.05; done; cp in slow
    deps: [in]
    outs: [slow]
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Reconciled once; from then on its stage runs until there is a file `gate`."""
    gate = tmp_path / "gate"
    gate.touch()
    world = World.create(tmp_path, {"dvc.yaml": STAGES.replace("@GATE@", str(gate)), "in": "1\n"}, dvc=True)
    world.reconcile()
    return world


def begin(world: World, *rev: str) -> subprocess.Popen[str]:
    """A reconcile of a new commit that has begun its stage."""
    (world.folder / "gate").unlink()
    world.edit({"in": "3\n"})
    world.trace()
    process = world.start("reconcile", *rev, log=world.folder / "log")
    until(lambda: "slow" in (world.folder / "trace").read_text())
    return process


def end(world: World, process: subprocess.Popen[str]) -> tuple[int, str]:
    """Let the stage end; returns the exit code and what was said."""
    (world.folder / "gate").touch()
    return process.wait(), (world.folder / "log").read_text()


def rewritten(world: World, *words: str, host: str = "a") -> list[dict[str, Any]]:
    """What a command that reads says of state branches that were rewritten."""
    rows: list[dict[str, Any]] = json.loads(world.runner(*words, "--json", host=host, ok=(0, 2)).stdout)["rewritten"]
    return rows


@pytest.mark.parametrize("gone", [False, True])
def test_a_state_branch_that_is_rewound_or_deleted_meanwhile_is_held(world: World, gone: bool) -> None:
    first = world.tip()
    world.edit({"in": "2\n"})
    seen = str(world.reconcile().commit)
    process = begin(world)
    git(world.remote, "update-ref", *(["-d", f"refs/heads/{STATE}"] if gone else [f"refs/heads/{STATE}", str(first)]))
    code, said = end(world, process)
    assert code == 6, said
    assert f"{STATE} was rewritten meanwhile: {seen[:12]} is not part of it any more" in said
    assert world.tip() == (None if gone else first)

    accept = "none" if gone else str(first)
    row = {"branch": STATE, "known": seen, "now": world.tip(), "holds": True}
    row["accept"] = f"runner reconcile --accept-state {accept}"
    assert rewritten(world, "status") == [row]
    assert rewritten(world, "plan", "--fetch", host="b") == [{**row, "holds": False, "accept": None}]
    assert rewritten(world, "plan", "--fetch") == [row]
    text = world.runner("status").stdout
    assert f"{STATE} was rewritten on the remote: {seen[:12]}, which this host has seen, is not part of it" in text
    assert f"A reconcile holds (exit code 6) until you push {seen[:12]} there again" in text
    world.trace()
    world.reconcile(ok=(6,))
    told = world.reconcile("--accept-state", accept)
    assert (told.ran, world.trace()) == ([], [])
    assert rewritten(world, "plan", "--fetch") == rewritten(world, "status") == []
    check_ledger(world.remote)


def test_the_branch_of_a_proposal_that_is_deleted_meanwhile_is_begun_anew(world: World) -> None:
    world.repo.git("switch", "-qc", "change")
    world.edit({"in": "2\n"})
    world.reconcile("change")
    process = begin(world, "change")
    git(world.remote, "update-ref", "-d", "refs/heads/runner/proposed/change")
    code, said = end(world, process)
    assert code == 0, said
    check_ledger(world.remote, "runner/proposed/change")
    assert world.reconcile("change").commit is None


def test_a_rewritten_state_of_a_branch_with_a_slash_can_be_accepted(world: World) -> None:
    world.repo.git("switch", "-qc", "fix/one")
    world.edit({"in": "2\n"})
    first = world.reconcile("fix/one").commit
    world.edit({"in": "3\n"})
    world.reconcile("fix/one")
    git(world.remote, "update-ref", "refs/heads/runner/proposed/fix%2Fone", str(first))
    assert f"--accept-state {first}" in world.reconcile("fix/one", ok=(6,)).err
    assert world.reconcile("fix/one", "--accept-state", str(first)).commit is not None


def test_the_rewrite_that_rewinds_a_protected_branch_cannot_switch_the_protection_off(tmp_path: Path) -> None:
    protecting = "apiVersion: runner/v1\nkind: Project\nspec: {protect: true}\n"
    stages = 'stages:\n  a: {cmd: "cp in out", deps: [in], outs: [out]}\n'
    world = World.create(tmp_path, {"dvc.yaml": stages, "in": "1\n", "runner.yaml": protecting})
    world.edit({"in": "2\n"})
    world.reconcile()
    world.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    (world.repo.path / "runner.yaml").write_text(protecting.replace("true", "false"))
    world.repo.git("commit", "--quiet", "--all", "-m", "Without protection")
    world.repo.git("push", "--quiet", "--force", "origin", "HEAD")
    assert "main was rewound" in world.reconcile(ok=(6,)).err
