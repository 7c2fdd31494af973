"""Targets: commands that put releases to use, what becomes of those that fail, and who is left to decide."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.core.canonical import canonical_bytes
from runner.core.releases import digest_of
from tests.reconcile.audits import findings
from tests.reconcile.keys import Keys
from tests.reconcile.test_releases import PIPELINE, RELEASE, files, release, second_opinion, why
from tests.reconcile.worlds import Told, World, until
from tests.repositories import git
from tests.saved import Saved

DEPLOYED = ".runner/deployed/churn-api/production.json"
COMMAND = """\
#!/bin/sh
set -e
place=$1
test "$(cat)" = "$(cat "$RUNNER_RELEASE")"
echo "$RUNNER_EVENT $RUNNER_DEPLOYMENT $RUNNER_ENVIRONMENT v$RUNNER_VERSION try $RUNNER_ATTEMPT" >> "$place/calls"
if [ "$RUNNER_EVENT" = undeploy ]; then rm -f "$place/live"; exit; fi
while [ -e "$place/wait" ]; do sleep 0.05; done
echo "the token is $TOKEN"
if [ -e "$place/jam" ]; then echo jammed; exit 8; fi
if grep -q bad "$RUNNER_MODEL/weights.bin"; then echo no room for it; exit 9; fi
cp "$RUNNER_MODEL/weights.bin" "$place/live"
"""


def target(place: Path, more: str = "", run: str = "./deploy.sh") -> str:
    return f"  target: {{command: {{run: {run} {place}, deps: [deploy.sh]{more}}}}}\n"


def calls(place: Path) -> list[str]:
    file = place / "calls"
    return file.read_text().splitlines() if file.exists() else []


def live(place: Path) -> str | None:
    file = place / "live"
    return file.read_text() if file.exists() else None


def standing(told: Told) -> tuple[str, int | None]:
    [row] = told.value["releases"]
    return row["target"]["state"], row["target"]["version"]


def sound(world: World) -> None:
    assert findings(world.remote, "runner/state") == ()
    assert second_opinion(world).endswith("records, whole\n")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """The first model is released and deployed; `world.folder / "there"` is where to."""
    folder = tmp_path_factory.mktemp("deployed") / "world"
    (folder / "there").mkdir(parents=True)
    first = files(
        0.8, "one", target(folder / "there", ", secrets: [TOKEN], undeploy: ./deploy.sh " + str(folder / "there"))
    )
    world = World.create(folder, {**first, "deploy.sh": COMMAND}, dvc=True)
    os.chmod(world.repo.path / "deploy.sh", 0o755)
    world.edit()
    world.environ["TOKEN"] = "s3cr3t-t0ken"
    assert standing(world.reconcile()) == ("deployed", 1)
    return Saved.of(world, world.folder)


def edited(world: World, auc: float, weights: str, more: str = "") -> None:
    there = world.folder / "there"
    world.edit(files(auc, weights, target(there, f", secrets: [TOKEN], undeploy: ./deploy.sh {there}") + more))


def test_a_release_is_deployed_by_its_command_and_the_outcome_is_recorded(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    assert (calls(there), live(there)) == (["deploy churn-api production v1 try 1"], "one")
    release_record, outcome = world.records()[-2:]
    stated = outcome["deploy"]
    assert (stated["version"], stated["release"]) == (1, release_record["sequence"])
    assert (stated["outcome"]["succeeded"], stated["outcome"]["exitCode"], stated["specs"]) == (
        True,
        0,
        world.tip("main"),
    )
    assert stated["log"]["tail"] == "the token is [TOKEN]"
    assert "s3cr3t-t0ken" not in json.dumps(world.records())
    assert json.loads(world.file(DEPLOYED))["good"] == 1
    assert (world.reconcile().commit, len(calls(there))) == (None, 1)
    assert "the token is [TOKEN]" in world.runner("log", "churn-api").stdout
    sound(world)


def test_other_settings_and_another_script_deploy_the_same_model_again(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    plain = world.repo.path / "deploy.sh"
    plain.write_text(plain.read_text() + "# another way\n")
    world.edit()
    assert "deploy   churn-api v2  `./deploy.sh" in world.runner("plan", ok=(2,)).stdout
    assert standing(world.reconcile()) == ("deployed", 2)
    assert release(world)["model"]["files"]
    assert calls(there)[-1] == "deploy churn-api production v2 try 1"
    world.edit({"README": "nothing of it\n"})
    world.reconcile()
    assert len(calls(there)) == 2


def test_a_version_that_cannot_be_deployed_makes_way_for_the_one_before(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "bad")
    told = world.reconcile(ok=(3,))
    assert "v2 failed, the model of v1 is back: exit code 9: no room for it" in why(told)
    assert standing(told) == ("deployed", 3)
    assert [line.split()[3] for line in calls(there)] == ["v1", "v2", "v3"]
    assert live(there) == "one"
    stated = [row["release"] for row in world.records() if "release" in row][-1]
    assert (stated["event"], stated["automatic"], stated["of"]) == ("rollback", True, 1)
    assert stated["quarantined"]["version"] == 2
    held = world.reconcile(ok=(6,))
    assert (held.commit, len(calls(there))) == (None, 3)
    assert "v2 was rolled back (exit code 9" in why(held)
    edited(world, 0.9, "good")
    assert standing(world.reconcile()) == ("deployed", 4)
    sound(world)


def test_a_rollback_that_fails_too_is_left_to_a_person(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "two")
    world.reconcile()
    (there / "jam").touch()  # nothing can be put there any more
    edited(world, 0.9, "bad")
    told = world.reconcile(ok=(3,))
    assert standing(told) == ("failed", 4)
    assert "it is a rollback itself, so a person decides" in told.value["releases"][0]["target"]["why"]
    assert [line.split()[3] for line in calls(there)] == ["v1", "v2", "v3", "v4"]
    again = world.reconcile(ok=(3,))
    assert (again.commit, standing(again)) == (None, ("failed", 4))
    assert "failed   churn-api v4" in world.runner("status", ok=(3,)).stdout
    (there / "jam").unlink()
    assert standing(world.reconcile("--retry", ok=(6,))) == ("deployed", 4)
    assert (live(there), calls(there)[-1]) == ("two", "deploy churn-api production v4 try 1")
    sound(world)


def test_a_first_version_that_fails_is_withdrawn(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    more = f", retries: 1, undeploy: sh deploy.sh {there}"
    world = World.create(tmp_path / "world", files(0.8, "bad", target(there, more, "sh deploy.sh")), dvc=True)
    world.edit({"deploy.sh": COMMAND})
    told = world.reconcile(ok=(3,))
    assert "v1 failed, and there is none before it" in why(told)
    assert [tuple(line.split()[::5]) for line in calls(there)] == [("deploy", "1"), ("deploy", "2"), ("undeploy", "1")]
    assert RELEASE not in world.files()
    assert world.records()[-2]["release"]["event"] == "withdrawn"
    held = world.reconcile(ok=(6,))
    assert (held.commit, len(calls(there))) == (None, 3)
    assert why(held).startswith("v1 was withdrawn (exit code 9")
    sound(world)
    manual = target(there, ", env: {AGAIN: 1}", "sh deploy.sh") + "  rollback: manual\n"
    world.edit(files(0.8, "bad", manual))
    told = world.reconcile(ok=(3,))
    assert standing(told) == ("failed", 2)
    assert "`rollback: manual` leaves it to a person" in told.value["releases"][0]["target"]["why"]
    assert release(world)["version"] == 2
    sound(world)


def test_a_script_without_its_execute_bit_is_tried_again_once_it_has_it(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    first = {**files(0.8, "one", target(there)), "deploy.sh": COMMAND}
    world = World.create(tmp_path / "world", first, dvc=True)
    assert "exit code 126" in why(world.reconcile(ok=(3,)))
    assert why(world.reconcile(ok=(6,))).endswith("another model, another spec, or a change of `deploy.sh`")
    os.chmod(world.repo.path / "deploy.sh", 0o755)
    world.edit()
    assert standing(world.reconcile()) == ("deployed", 2)
    assert release(world)["serving"]["target"]["command"]["executable"] == ["deploy.sh"]
    sound(world)


def test_a_runner_that_is_killed_after_the_command_runs_it_again(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "two")
    world.environ["RUNNER_FAILPOINTS"] = "deploy-ended=kill"
    assert world.start("reconcile").wait(120) == -9
    del world.environ["RUNNER_FAILPOINTS"]
    assert release(world)["version"] == 2
    assert "deploy   churn-api v2  v1 is deployed" in world.runner("plan", "--fetch", ok=(2,)).stdout
    assert standing(world.reconcile()) == ("deployed", 2)
    assert calls(there)[1:] == ["deploy churn-api production v2 try 1", "deploy churn-api production v2 try 2"]
    sound(world)


def test_a_stop_ends_the_command_and_the_next_reconcile_runs_it_again(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "two")
    (there / "wait").touch()
    process = world.start("reconcile", "--json")
    until(lambda: len(calls(there)) == 2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, live(there)) == (143, "one"), err
    assert "the next reconcile runs it again" in json.loads(out)["releases"][0]["target"]["why"]
    (there / "wait").unlink()
    assert standing(world.reconcile()) == ("deployed", 2)
    assert calls(there)[-1] == "deploy churn-api production v2 try 2"


def test_two_reconciles_at_once_deploy_once(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "two")
    (there / "wait").touch()
    started = [world.start("reconcile", "--repo", str(world.remote), host=host, cwd=world.folder) for host in "bc"]
    until(lambda: len(calls(there)) == 2)
    later = world.runner("reconcile", "--no-wait", host="d", ok=(5,))
    assert "deploys it now" in later.stdout
    (there / "wait").unlink()
    assert [process.wait(300) for process in started] == [0, 0]
    assert (len(calls(there)), live(there)) == (2, "two")
    sound(world)


def test_a_person_rolls_back_and_the_command_runs_with_the_model_before(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    edited(world, 0.9, "two")
    world.reconcile()
    text = files(0.9, "two", target(there, "", "sh ship.sh").replace("deploy.sh]", "ship.sh]"))
    world.edit({**text, "ship.sh": COMMAND}, delete=("deploy.sh",))
    assert standing(world.reconcile()) == ("deployed", 3)
    # What comes back is deployed as it was then, by a script that the branch does not have any more.
    told = json.loads(world.runner("rollback", "churn-api", "--reason", "slow", "--json").stdout)
    assert (told["version"], told["of"], told["target"]["state"], live(there)) == (4, 1, "deployed", "one")
    assert world.records()[-1]["deploy"]["specs"] == world.records()[4]["release"]["desired"]
    assert world.reconcile(ok=(6,)).commit is None
    sound(world)


@pytest.mark.parametrize("left", [PIPELINE, files(0.8, "one", "  target: {server: {}}\n")["runner.yaml"]])
def test_what_the_specs_do_not_name_any_more_is_taken_away(deployed: Saved[World], left: str) -> None:
    world = deployed.again()
    there = world.folder / "there"
    world.edit({"runner.yaml": left}, delete=("deploy.sh",))
    world.reconcile()
    assert (calls(there)[1:], live(there)) == (["undeploy churn-api production v1 try 1"], None)
    assert json.loads(world.file(DEPLOYED))["good"] is None
    assert world.reconcile().commit is None
    sound(world)


def test_with_a_trust_file_outcomes_are_built_on_and_cannot_be_forged(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    spec = files(0.8, "one", target(there, "", "sh deploy.sh"))
    world = World.create(tmp_path / "world", {**spec, "deploy.sh": COMMAND}, dvc=True)
    Keys.begun(world)
    world.reconcile()
    world.edit(files(0.9, "bad", target(there, "", "sh deploy.sh")))
    assert standing(world.reconcile(ok=(3,))) == ("deployed", 3)
    assert world.reconcile(host="fresh", ok=(6,)).commit is None
    clone = world.clone("forger")
    (clone / DEPLOYED).write_text(world.file(DEPLOYED).strip().replace('"good":3', '"good":1') + "\n")
    git(clone, "commit", "--quiet", "--all", "--amend", "--no-edit")
    git(clone, "push", "--quiet", "--force")
    assert "releases say" in world.runner("reconcile", host="third", ok=(6,)).stderr
    assert [line.split()[3] for line in calls(there)] == ["v1", "v2", "v3"]


def test_on_the_watched_branch_itself_outcomes_are_commits_like_others(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    project = "---\napiVersion: runner/v1\nkind: Project\nspec: {record: {branch: main}}\n"
    spec = files(0.8, "one", target(there, "", "sh deploy.sh") + project)
    world = World.create(tmp_path / "world", {**spec, "deploy.sh": COMMAND}, dvc=True)
    told = world.reconcile()
    assert (len(told.value["commits"]), standing(told), live(there)) == (3, ("deployed", 1), "one")
    assert world.reconcile().commit is None
    world.repo.git("pull", "--quiet", "origin", "main")
    world.edit(files(0.9, "bad", target(there, "", "sh deploy.sh") + project))
    assert standing(world.reconcile(ok=(3,))) == ("deployed", 3)
    assert findings(world.remote, "main") == ()


def test_a_missing_secret_leaves_the_release_waiting(deployed: Saved[World]) -> None:
    world = deployed.again()
    edited(world, 0.9, "two")
    del world.environ["TOKEN"]
    told = world.reconcile(ok=(1,))
    assert standing(told) == ("pending", 2)
    assert "TOKEN (needed by the command of churn-api)" in told.value["releases"][0]["target"]["why"]
    world.environ["TOKEN"] = "s3cr3t-t0ken"
    assert standing(world.reconcile()) == ("deployed", 2)


def test_the_next_environment_waits_until_the_one_before_is_deployed(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"
    more = "  environments: [{name: staging}, {name: production, from: staging}]\n  rollback: manual\n"
    edited(world, 0.9, "bad", more)
    told = world.reconcile(ok=(3,))
    rows: list[Any] = [(row["environment"], row["outcome"], row["target"]["state"]) for row in told.value["releases"]]
    assert rows == [("staging", "release", "failed"), ("production", "keep", "deployed")]
    edited(world, 0.9, "two", more)
    world.reconcile()
    assert [line.split()[2:4] for line in calls(there)[-2:]] == [["staging", "v2"], ["production", "v2"]]
    sound(world)


def test_a_proposal_deploys_nothing(deployed: Saved[World]) -> None:
    world = deployed.again()
    world.repo.git("switch", "--quiet", "--create", "idea")
    edited(world, 0.9, "two")
    world.reconcile("idea")
    assert len(calls(world.folder / "there")) == 1


def forged(world: World, change: Callable[[dict[str, Any]], None]) -> None:
    """Somebody changes the release on the state branch, so that it looks as if it were still to be deployed."""
    row = release(world)
    change(row)
    clone = world.clone("forger")
    (clone / RELEASE).write_bytes(canonical_bytes(row) + b"\n")
    (clone / DEPLOYED).unlink()
    git(clone, "commit", "--quiet", "--all", "--message", "forge")
    git(clone, "push", "--quiet")


def test_a_command_that_the_state_branch_made_up_is_not_run(deployed: Saved[World]) -> None:
    world = deployed.again()
    there = world.folder / "there"

    def change(row: dict[str, Any]) -> None:
        row["serving"]["target"]["command"]["run"] = f"touch {there}/forged"
        row["settings"] = digest_of(row["serving"])

    forged(world, change)
    world.edit(files(0.8, "one", "  freeze: [{from: '2020-01-01', until: '2999-01-01'}]\n" + target(there)))
    told = world.reconcile(ok=(6,))
    assert "do not say the command that v1 names" in told.value["releases"][0]["target"]["why"]
    assert not (there / "forged").exists()


def test_other_bytes_than_those_of_the_release_are_not_deployed(deployed: Saved[World]) -> None:
    world = deployed.again()
    forged(world, lambda row: row["model"]["files"][1].update(sha256="0" * 64))
    told = world.reconcile(ok=(4,))
    assert "weights.bin of model is not the file that was released" in told.value["releases"][0]["target"]["why"]
    assert len(calls(world.folder / "there")) == 1
