"""Approvals: a release waits until people have signed it, with keys that the host's trust file names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.reconcile.audits import findings
from tests.reconcile.keys import Keys
from tests.reconcile.test_releases import files, kinds, release, second_opinion, why
from tests.reconcile.worlds import World
from tests.repositories import git
from tests.saved import Saved

ASKS = "  approvals: [risk]\n"
PEOPLE = {
    "runner": "",
    "ada": ", approves: [risk], principal: ada@example.org",
    "bob": ", approves: [risk, lead], principal: bob@example.org",
}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Saved[World]:
    """A first model that waits for a signature; tests go on from here, each with a copy."""
    world = World.create(tmp_path_factory.mktemp("waiting") / "world", files(0.8, "one", ASKS), dvc=True)
    keys = Keys(world.folder)
    keys.trusted(world, PEOPLE)
    keys.signs(world, "runner")
    world.environ["RUNNER_TRUST"] = str(keys.trust)
    told = world.reconcile(ok=(6,))
    assert "risk has to sign: `runner approve churn-api@" in why(told)
    return Saved.of(world, world.folder)


def digest(world: World) -> str:
    """What a person types of the model that waits."""
    rows = json.loads(world.runner("plan", "--json", ok=(0, 2)).stdout)["releases"]
    return str(rows[0]["approvals"][0]["command"].partition("@")[2].partition(" ")[0])


def approve(world: World, who: str, *more: str, role: str = "risk", ok: tuple[int, ...] = (0,)) -> Any:
    key = world.folder / who
    done = world.runner("approve", f"churn-api@{digest(world)}", "--role", role, "--key", str(key), *more, ok=ok)
    return done


def signed(world: World) -> list[str]:
    return [ref for ref in world.refs() if "approvals" in ref]


def test_a_signature_releases_and_stands_in_the_ledger(waiting: Saved[World]) -> None:
    world = waiting.again()
    rows = json.loads(world.runner("status", "--json").stdout)["releases"]
    assert (rows[0]["outcome"], rows[0]["approvals"][0]["have"]) == ("held", [])
    done = approve(world, "ada", "--reason", "looked at it", "--json")
    paper = json.loads(done.stdout)
    assert "approve churn-api v1 as risk  first release: there is no champion" in done.stderr
    assert "gate    pass  good: 0.8" in done.stderr
    assert signed(world) == [paper["ref"]]
    told = world.reconcile()
    assert kinds(world)[-3:] == ["gate", "approval", "release"]
    found, stated = release(world), world.records()[-1]["release"]
    assert found["model"]["sha256"] == paper["model"]
    number = found["record"] - 1
    key = {"role": "risk", "keyid": paper["keyid"], "principal": "ada@example.org", "record": number}
    assert stated["approvals"] == [key]
    row = world.records()[-2]["approval"]
    assert (row["plan"], row["commit"], row["reason"]) == (paper["plan"], world.tip("main"), "looked at it")
    assert told.value["releases"][0]["approvals"][0]["have"] == ["ada@example.org"]
    assert signed(world) == []
    assert world.reconcile().commit is None
    keys = Keys(world.folder)
    world.runner("audit", "verify", "--trust", str(keys.trust))
    assert second_opinion(world).endswith("records, whole\n")
    keys.trusted(world, {"runner": "", "ada": ", approves: [lead]"})
    assert "may not approve as risk" in world.runner("audit", "verify", "--trust", str(keys.trust), ok=(14,)).stdout
    keys.trusted(world, {"runner": ""})
    assert "does not name" in world.runner("audit", "verify", "--trust", str(keys.trust), ok=(11,)).stdout


def test_any_change_of_the_commit_voids_a_signature(waiting: Saved[World]) -> None:
    world = waiting.again()
    before = world.tip("main")
    approve(world, "ada")
    world.edit({"README": "something else\n"})
    said = why(world.reconcile(ok=(6,)))
    assert f"what ada@example.org signed as risk is void: it is of another commit ({str(before)[:12]}" in said
    assert "runner approve churn-api@" in said
    approve(world, "ada")
    world.reconcile()
    assert release(world)["version"] == 1


def test_a_rejection_holds_until_its_signer_changes_his_mind(waiting: Saved[World]) -> None:
    world = waiting.again()
    approve(world, "ada")
    approve(world, "bob", "--reject", "--reason", "too early")
    assert "bob@example.org rejected it as risk: too early" in why(world.reconcile(ok=(6,)))
    approve(world, "bob")
    world.reconcile()
    assert release(world)["version"] == 1


def test_what_was_signed_by_others_or_of_something_else_is_named_and_passed_over(waiting: Saved[World]) -> None:
    world = waiting.again()
    world.runner("keys", "generate", str(world.folder / "eve"))
    assert "does not name" in approve(world, "eve").stderr
    told = world.reconcile(ok=(6,))
    assert "does not count as an approval: it is signed by SHA256:" in told.err
    [theirs] = signed(world)
    git(world.remote, "update-ref", "refs/runner/approvals/copy", world.refs()[theirs])
    git(world.remote, "update-ref", "refs/runner/approvals/main", str(world.tip("main")))
    git(world.remote, "update-ref", "refs/runner/approvals/blob", git(world.remote, "rev-parse", "main:runner.yaml"))
    assert world.reconcile(ok=(6,)).err.count("does not count as an approval") == 4
    approve(world, "ada")
    world.reconcile()
    assert release(world)["version"] == 1


def test_without_a_trust_file_no_signature_counts_and_it_says_so(waiting: Saved[World]) -> None:
    world = waiting.again()
    del world.environ["RUNNER_TRUST"]
    approve(world, "ada")
    assert "no trust file says whose signatures count" in why(world.reconcile(ok=(6,)))


def test_two_people_are_two_and_an_author_is_none(waiting: Saved[World]) -> None:
    world = waiting.again()
    rows = "  approvals: [{role: risk, count: 2}, {role: lead, notAuthor: true}]\n"
    world.edit(files(0.8, "one", rows))
    approve(world, "ada")
    approve(world, "bob")
    approve(world, "bob", role="lead")
    said = why(world.reconcile(ok=(6,)))
    assert "has to sign" in said
    author = git(world.repo.path, "log", "-1", "--format=%ae").strip()
    keys = Keys(world.folder)
    keys.made(world, "dan")
    keys.trusted(world, {**PEOPLE, "dan": f", approves: [lead], principal: {author}"})
    approve(world, "dan", role="lead")
    assert "is the author of the commit" in why(world.reconcile(ok=(6,)))
    keys.trusted(world, {**PEOPLE, "dan": ", approves: [lead], principal: dan@example.org"})
    world.reconcile()
    stated = world.records()[-1]["release"]
    used = sorted((row["role"], row["principal"][:3]) for row in stated["approvals"])
    assert used == [("lead", "dan"), ("risk", "ada"), ("risk", "bob")]
    assert findings(world.remote, "runner/state") == ()


def test_a_release_that_is_frozen_can_be_signed_ahead(waiting: Saved[World]) -> None:
    world = waiting.again()
    frozen = ASKS + "  freeze: [{from: '2020-01-01', until: '2999-01-01', reason: fair}]\n"
    model = digest(world)
    world.edit(files(0.8, "one", frozen))
    words = ["approve", f"churn-api@{model}", "--role", "risk", "--key", str(world.folder / "ada")]
    world.runner(*words)
    assert "fair" in why(world.reconcile(ok=(6,)))
    assert len(signed(world)) == 1


def test_what_cannot_be_signed_is_refused_in_words(waiting: Saved[World]) -> None:
    world = waiting.again()
    key = ["--key", str(world.folder / "ada")]
    for words, said in (
        (["churn-ap@12345678", "--role", "risk", *key], "did you mean `churn-api`?"),
        (["churn-api@1234567", "--role", "risk", *key], "too short"),
        (["churn-api@12345678", "--role", "risk", *key], "not 12345678"),
        (["churn-api@12345678", "--role", "cook", *key], "asks for no signature of `cook`"),
        (["churn-api@12345678", "--role", "risk", "--environment", "x", *key], "no environment `x`"),
        (["churn-api", "--role", "risk", *key], "no DEPLOYMENT@DIGEST"),
        (["churn-api@12345678", "--role", "risk", "--key", "nowhere"], "nowhere"),
    ):
        assert said in world.runner("approve", *words, ok=(1,)).stderr, words
    assert signed(world) == []


def test_where_a_remote_takes_branches_alone_an_approval_is_a_branch(waiting: Saved[World]) -> None:
    world = waiting.again()
    hook = world.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/heads/*) exit 0;; esac\nexit 1\n')
    hook.chmod(0o755)
    done = approve(world, "ada")
    assert "it is the branch runner/approvals/" in done.stdout
    world.reconcile()
    assert release(world)["version"] == 1
    assert signed(world) == []


def test_the_one_key_of_an_ssh_agent_signs_where_none_is_named(waiting: Saved[World]) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("there is no ssh-agent here")
    world = waiting.again()
    with tempfile.TemporaryDirectory() as folder:
        place, file = Path(folder) / "s", Path(folder) / "id"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.PIPE, text=True)
        try:
            assert agent.stdout is not None
            agent.stdout.readline()  # it listens now
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
            subprocess.run(["ssh-add", "-q", file], env={**os.environ, "SSH_AUTH_SOCK": str(place)}, check=True)
            line = " ".join(file.with_suffix(".pub").read_text().split()[:2])
            keys = Keys(world.folder)
            (world.folder / "agent.pub").write_text(line + "\n")
            keys.trusted(world, {"runner": "", "agent": ", approves: [risk]"})
            world.environ["SSH_AUTH_SOCK"] = str(place)
            world.runner("approve", f"churn-api@{digest(world)}", "--role", "risk")
            del world.environ["SSH_AUTH_SOCK"]
        finally:
            agent.terminate()
            agent.communicate()
    world.reconcile()
    assert world.records()[-1]["release"]["approvals"][0]["principal"] == ""


def test_refs_of_strangers_hide_no_signature_however_many_they_are(waiting: Saved[World]) -> None:
    world = waiting.again()
    ref = json.loads(approve(world, "ada", "--json").stdout)["ref"]
    name, main = ref.rpartition("/")[2], world.tip("main")
    places = [f"refs/runner/approvals/{number:040x}" for number in range(1100)]
    lines = "".join(f"create {place} {main}\n" for place in [*places, f"refs/heads/runner/approvals/{name}"])
    command = ["git", "-C", str(world.remote), "update-ref", "--stdin"]
    subprocess.run(command, input=lines.encode(), check=True)
    told = world.reconcile()
    assert release(world)["version"] == 1
    assert "1080 more refs for approvals are of nobody who may sign" in told.err
    assert told.err.count("does not count as an approval") == 21


def test_a_release_stands_in_staging_before_it_goes_on(tmp_path: Path) -> None:
    """Time passes between two reconciles; what staging released in one of them is not old enough in that one."""
    stages = "  environments: [{name: staging}, {name: production, from: staging, requires: {soak: 1ms}}]\n"
    world = World.create(tmp_path / "world", files(0.8, "one", stages), dvc=True)
    rows = world.reconcile(ok=(6,)).value["releases"]
    assert [row["outcome"] for row in rows] == ["release", "held"]
    assert "v1 of staging has to stand there until" in rows[1]["why"]
    world.reconcile()
    assert release(world)["version"] == 1


def test_what_waits_for_servers_elsewhere_can_be_signed_from_a_host_that_does_not_reach_them(
    waiting: Saved[World],
) -> None:
    world = waiting.again()
    stages = (
        "  environments:\n"
        "    - {name: staging, spec: {target: {server: {urls: ['http://127.0.0.1:9']}}}}\n"
        "    - {name: production, from: staging, requires: [risk]}\n"
    )
    world.edit(files(0.8, "one", stages))
    world.reconcile()
    rows = json.loads(world.runner("plan", "--json", ok=(0, 2)).stdout)["releases"]
    model = rows[1]["approvals"][0]["command"].partition("@")[2].partition(" ")[0]
    done = world.runner("approve", f"churn-api@{model}", "--role", "risk", "--key", str(world.folder / "ada"), "--json")
    assert json.loads(done.stdout)["environment"] == "production"
