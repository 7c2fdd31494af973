"""What `.dvcignore` leaves out is in no output, at every level of isolation, and DVC agrees on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reconcile.test_stray_writes import level, world_at
from tests.reconcile.worlds import World, dvc_pull, dvc_repro, dvc_status
from tests.repositories import GitRepo, git
from tests.specs.readings import DVC_PROJECT, findings_of

__all__ = ["level"]

pytestmark = pytest.mark.filterwarnings("ignore")  # DVC's own

WRITES = "mkdir -p sub/o/deep/skip; cd sub/o; echo 1 > a.txt; echo 2 > b.tmp; cp a.txt kept.tmp; cp a.txt deep/c.log; "
STAGES = f"""\
stages:
  g:
    cmd: {WRITES} cp a.txt deep/skip/x; ln -s /etc/passwd e.tmp; head -c 2000000 /dev/zero > big.tmp
    outs: [sub/o]
  uncached:
    cmd: mkdir u; echo 1 > u/a.txt; head -c 2000000 /dev/zero > u/b.tmp
    outs: [u: {{cache: false}}]
  after:
    cmd: cd sub && find o -not -type d | sort > ../names
    deps: [sub/o]
    outs: [names]
"""
IGNORES = {".dvcignore": "*.tmp\n!kept.tmp\n", "sub/.dvcignore": "*.log\nskip/\n"}


def test_what_is_ignored_is_in_no_output_and_not_there_for_stages_after_it(level: str, tmp_path: Path) -> None:
    world = world_at(level, tmp_path, {"dvc.yaml": STAGES, **IGNORES})
    told = world.reconcile("--jobs", "1")
    assert told.outcomes == {"g": "ok", "uncached": "ok", "after": "ok"}
    assert world.output("names") == "o/a.txt\no/kept.tmp\n"
    assert [out["nfiles"] for run in world.runs() for out in run["outs"] if out["path"] != "names"] == [2, 1]
    assert [name for name in world.files() if name.startswith("u/")] == ["u/a.txt"]


def test_dvc_finds_nothing_to_do_where_outputs_held_ignored_files(tmp_path: Path) -> None:
    # DVC leaves what a command wrote where it is, so that in one working tree a stage after it would see it.
    world = World.create(tmp_path, {"dvc.yaml": STAGES.partition("  after:")[0], **IGNORES}, dvc=True)
    world.reconcile()
    verified = world.runner("verify", "--json", "--no-record", "g", "uncached")
    assert [row["result"] for row in json.loads(verified.stdout)["runs"]] == ["same"] * 2
    assert check_with_other_rules(world) == ["uncached"]
    root = world.clone("fresh")
    dvc_pull(root)
    assert dvc_status(root) == {}
    assert dvc_repro(root) == []
    (root / "dvc.lock").unlink()
    dvc_repro(root, force=True, run_cache=False)
    assert git(root, "diff", "--name-only") == ""


def check_with_other_rules(world: World) -> list[str]:
    """The stages that are verified while `sub/` has no rules of its own, which nobody must take for another result."""
    world.edit(delete=("sub/.dvcignore",))
    assert set(world.plan().values()) == {"keep"}
    told = json.loads(world.runner("verify", "--json", "--no-record", "g", "uncached").stdout)
    assert "`.dvcignore` does not leave the same out" in json.dumps(told["skipped"])
    return [row["stage"] for row in told["runs"]]


HIDDEN = {
    "*.tmp": "x.tmp",
    "data/": "data/x",
    "/models/": "models",
    "*\n!keep": "other",
}


@pytest.mark.parametrize("pattern", HIDDEN)
def test_outputs_that_dvc_does_not_see_are_named(pattern: str, git_repo: Callable[..., GitRepo]) -> None:
    out = HIDDEN[pattern]
    text = f"stages:\n  a: {{cmd: c, outs: [keep, {out}]}}\n"
    repo = git_repo({**DVC_PROJECT, ".dvcignore": "!dvc.yaml\n", "dvc.yaml": text})
    assert findings_of(repo) == []
    repo.commit({"sub/.dvcignore": pattern})
    assert findings_of(repo) == []
    repo.commit({".dvcignore": f"{pattern}\n!dvc.yaml\n"})
    hint = "(choose another name, or change the pattern in `.dvcignore`)"
    assert findings_of(repo) == [f"dvc.yaml:2:28: the output `{out}` is hidden from DVC by `.dvcignore` {hint}"]


def test_folders_that_hold_a_dvcignore_are_no_inputs(git_repo: Callable[..., GitRepo]) -> None:
    text = "stages:\n  a: {cmd: c, deps: [data]}\n  f: {cmd: c, deps: [data], frozen: true}\n"
    inner = {"data/project/.dvc/config": "", "data/project/.dvcignore": "", "above/.dvcignore": "", "data/x": ""}
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": text, **inner})
    assert findings_of(repo) == []
    repo.commit({"data/sub/.dvcignore": "*.tmp\n"})
    message = "the folder `data` holds `data/sub/.dvcignore`, with which DVC cannot read it"
    hint = "(move its patterns to a `.dvcignore` above the folder)"
    assert findings_of(repo) == [f"dvc.yaml:2:22: {message} {hint}"]
    repo.commit({".dvcignore": "/data/sub\n"})
    assert findings_of(repo) == []


def test_a_folder_that_dvc_never_sees_holds_no_output(git_repo: Callable[..., GitRepo]) -> None:
    repo = git_repo({**DVC_PROJECT, "dvc.yaml": "stages:\n  a: {cmd: c, outs: [.hg/x]}\n"})
    message = "the output `.hg/x` lies in `.hg`, which is not for outputs (write it to another folder)"
    assert [finding.partition(": ")[2] for finding in findings_of(repo)] == [message]
