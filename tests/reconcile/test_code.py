"""Code that counts by what it says: edits of form run nothing and are recorded, edits of what is used run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reconcile.audits import findings
from tests.reconcile.keys import Keys
from tests.reconcile.ledgers import check_ledger
from tests.reconcile.worlds import STATE, World, dvc_status
from tests.repositories import git

ROOT = Path(__file__).parents[2]
SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    build:
      uses: python
      with: {call: "src.features:build", inputs: {data: raw.txt}, args: {factor: 2}}
      outs: [built.txt: {cache: false}]
      metrics: [numbers.json: {cache: false}]
    after: {cmd: "cp built.txt after.txt", deps: [built.txt], outs: [after.txt: {cache: false}]}
"""
FEATURES = """\
def build(data, factor, out):
    from .helpers import scaled
    with open(data) as source, open(out, "w") as target:
        total = scaled(int(source.read()), factor)
        target.write(f"{total}\\n")
    return {"total": total}
"""
HELPERS = "def scaled(number, factor):\n    return number * factor\n"
FILES = {
    "runner.yaml": SPEC,
    "raw.txt": "3",
    "src/features.py": FEATURES,
    "src/helpers.py": HELPERS,
    "src/unused.py": "x = 1\n",
}
REFORMATTED = {
    "src/features.py": FEATURES.replace('"w"', "'w'").replace(
        "def build(data, factor, out)", "def build( data,factor,out )"
    ),
    "src/helpers.py": "# It scales.\n\n" + HELPERS,
}


@pytest.mark.filterwarnings("ignore")  # DVC's own
def test_an_edit_of_form_runs_nothing_and_is_recorded_and_an_edit_of_a_helper_runs_what_uses_it(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", FILES, dvc=True)
    assert world.reconcile().ran == ["after", "build"]
    assert (world.file("built.txt"), json.loads(world.file("numbers.json"))) == ("6\n", {"total": 6})
    [before] = [run for run in world.runs() if run["stage"] == "build"]
    assert {path: digest[:4] for path, digest in before["material"]["dep"].items()} == {
        "raw.txt": before["material"]["dep"]["raw.txt"][:4],
        "src/features.py": "ast:",
        "src/helpers.py": "ast:",
    }
    assert world.reconcile().commit is None

    world.edit(REFORMATTED, "Reformat")
    reasons = ["src/features.py changed in form only", "src/helpers.py changed in form only"]
    done = world.runner("plan", "--fetch")
    assert all(reason in done.stdout for reason in reasons)
    assert "Nothing to run: 2 stages; a reconcile records the new form." in done.stdout
    [row] = [row for row in world.plan_rows() if row["stage"] == "build"]
    assert (row["action"], row["reasons"]) == ("keep", reasons)
    summary = world.runner("plan", "--format", "markdown").stdout
    assert "**Nothing to run:** 2 stages; a reconcile records the new form." in summary
    assert "src/helpers.py changed in form only" in summary
    told = world.reconcile()
    assert (told.ran, told.actions) == ([], {"build": "keep", "after": "keep"})
    [stated] = world.records()[-1]["reconcile"]["standing"]
    assert (stated["stage"], stated["record"], sorted(stated["forms"])) == ("p:build", 1, sorted(REFORMATTED))
    assert "changed in form only" in world.runner("runs", "show", str(len(world.records()))).stdout
    assert world.reconcile().commit is None
    assert dvc_status(world.clone("reformatted")) == {}
    check_ledger(world.remote)
    other = [sys.executable, str(ROOT / "examples/verify/verify.py"), str(world.remote), STATE]
    assert subprocess.run(other, capture_output=True, check=False).returncode in (0, 14), "unsigned, and nothing else"

    world.edit({"src/unused.py": "x = 2\n"}, "Touch what nobody uses")
    assert world.reconcile().commit is None
    world.edit({"src/helpers.py": HELPERS.replace("*", "+")}, "Edit a helper")
    [row] = [row for row in world.plan_rows("--fetch") if row["stage"] == "build"]
    assert (row["action"], row["reasons"]) == ("run", ["dep src/helpers.py changed"])
    assert world.reconcile().ran == ["after", "build"]
    assert world.file("after.txt") == "5\n"
    assert dvc_status(world.clone("edited")) == {}

    world.edit(FILES | REFORMATTED, "Back to what ran before, in the other form")
    told = world.reconcile()
    assert (told.ran, told.actions["build"]) == ([], "reuse")
    assert dvc_status(world.clone("back")) == {}
    check_ledger(world.remote)


def test_what_is_recorded_of_a_form_is_built_on_and_held_against_the_records(tmp_path: Path) -> None:
    world, keys = World.create(tmp_path / "world", FILES, dvc=True), Keys(tmp_path)
    keys.trusted(world, {"runner": ""})
    keys.signs(world, "runner")
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    world.reconcile()
    world.edit(REFORMATTED, "Reformat")
    assert world.reconcile().ran == []
    for host in ("a", "fresh"):
        world.edit({"src/unused.py": f"x = '{host}'\n"}, "Touch what nobody uses")
        assert world.reconcile(host=host).commit is None
    world.runner("verify", "build")
    world.runner("replay", "1")
    world.edit({"src/helpers.py": HELPERS + "# After a verification\n"}, "Reformat again")
    assert world.reconcile().commit is not None
    check_ledger(world.remote)

    clone = world.clone("forged")
    file = clone / ".runner/recorded/p/build.json"
    said = json.loads(file.read_text())
    said["forms"]["src/helpers.py"]["md5"] = "0" * 32
    file.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Forge")
    git(clone, "push", "--quiet", "origin", "HEAD:runner/state")
    wrong = "is not what the reconciles say stands for the stage"
    assert wrong in {one.message for one in findings(world.remote, STATE)}
    world.edit({"src/unused.py": "x = 9\n"}, "Ask again")
    for host in ("a", "fresh", "new"):
        world.reconcile(host=host, ok=(6,))
