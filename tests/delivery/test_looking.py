"""What the looker says of real repositories: which release is next, whether it counts, and where its bytes are."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from runner.delivery.child import Child, Followed
from runner.errors import HostError
from runner.wiring.delivering import Deliveries
from tests.reconcile.keys import Keys
from tests.reconcile.worlds import STATE, World
from tests.repositories import git

PIPELINE = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: churn}
spec:
  stages:
    train:
      cmd: mkdir -p model; cp weights.txt model/model.skops; printf '{"format":"skops"}' > model/manifest.json
      deps: [weights.txt]
      outs: [model]
    plain: {cmd: cp weights.txt plain.joblib, deps: [weights.txt], outs: [plain.joblib]}
"""
CHURN = """\
---
apiVersion: runner/v1
kind: Deployment
metadata: {name: churn-api}
spec:
  model: {pipeline: churn, out: model}
"""
OTHER = CHURN.replace("churn-api", "other-api")
PLAIN = CHURN.replace("out: model}", "out: plain.joblib}\n  formats: [joblib]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One release, which nobody signed; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("looked") / "world"
    world = World.create(folder, {"runner.yaml": PIPELINE + CHURN, "weights.txt": "one", "large": "x" * 99}, dvc=True)
    world.reconcile()
    return world


@pytest.fixture
def copied(world: World, tmp_path: Path) -> World:
    """A copy of the remotes alone."""
    for name in ("remote.git", "store"):
        shutil.copytree(world.folder / name, tmp_path / name)
    return World(tmp_path, world.repo, tmp_path / "remote.git")


def looker(tmp_path: Path, url: Path | str, deployment: str | None = None, **more: Any) -> Deliveries:
    """A looker of a server on a host that has nothing yet."""
    home = tmp_path / "server"
    followed = Followed(str(url), (STATE,), deployment, more.pop("environment", "production"), str(home), **more)
    return Deliveries(followed, {"RUNNER_HOME": str(tmp_path / "home")})


def look(deliveries: Deliveries, commit: str | None = None, known: Any = ()) -> dict[str, Any]:
    return deliveries.answer({"do": "look", "commit": commit, "known": list(known)})


def test_the_only_deployment_is_taken_and_what_is_known_is_not_delivered_again(world: World, tmp_path: Path) -> None:
    deliveries = looker(tmp_path, world.remote)
    answer = look(deliveries)
    assert (answer["say"], answer["deployment"], answer["release"]["version"]) == ("release", "churn-api", 1)
    folder = Path(answer["folder"])
    assert sorted(file.name for file in folder.iterdir()) == ["manifest.json", "model.skops"]
    assert (folder / "model.skops").read_text() == "one"
    assert look(deliveries, answer["commit"])["say"] == "same"
    assert look(deliveries, None, [answer["id"]])["say"] == "same"


def test_a_deployment_that_is_not_there_is_told_beside_those_that_are(world: World, tmp_path: Path) -> None:
    answer = look(looker(tmp_path, world.remote, "chrun-api"))
    assert (answer["say"], answer["why"]) == (
        "none",
        "nothing of chrun-api is released in production yet (there is: churn-api)",
    )
    answer = look(looker(tmp_path, world.remote, "churn-api", environment="staging"))
    assert answer["why"] == "nothing of churn-api is released in staging yet (released in production)"


def test_of_several_deployments_one_has_to_be_named_unless_one_was_served_before(tmp_path: Path) -> None:
    spec = PIPELINE + CHURN + OTHER + PLAIN.replace("churn-api", "plain")
    world = World.create(tmp_path / "world", {"runner.yaml": spec, "weights.txt": "1"}, dvc=True)
    world.reconcile()
    answer = look(looker(tmp_path, world.remote))
    assert (answer["say"], answer["why"]) == ("several", "there are releases of churn-api, other-api, plain")
    named = looker(tmp_path, world.remote, "other-api")
    answer = look(named)
    assert answer["release"]["deployment"] == "other-api"
    named._store.keep({name: answer[name] for name in ("release", "id", "record", "commit")})
    assert look(looker(tmp_path, world.remote))["release"]["deployment"] == "other-api"
    answer = look(looker(tmp_path, world.remote, "plain"))
    assert (answer["say"], answer["version"]) == ("failed", 1)
    assert "no folder with a manifest.json" in answer["why"]


def test_what_was_served_last_is_taken_from_this_host_as_long_as_it_is_whole(copied: World, tmp_path: Path) -> None:
    deliveries = looker(tmp_path, copied.remote)
    assert deliveries.answer({"do": "here"})["why"] == "nothing was served from here before"
    answer = look(deliveries)
    deliveries._store.keep({name: answer[name] for name in ("release", "id", "record", "commit")})
    shutil.rmtree(copied.remote)
    assert look(looker(tmp_path, copied.remote))["say"] in ("unreachable", "held")
    here = looker(tmp_path, copied.remote).answer({"do": "here"})
    assert (here["say"], here["release"], here["folder"]) == ("kept", answer["release"], answer["folder"])
    damaged = Path(here["folder"]) / "model.skops"
    damaged.chmod(0o644)
    damaged.write_text("two")
    here = looker(tmp_path, copied.remote).answer({"do": "here"})
    assert (here["say"], "not those that were released" in here["why"]) == ("nothing", True)


def test_where_the_remote_can_filter_nothing_is_fetched_but_what_is_read(copied: World, tmp_path: Path) -> None:
    for name in ("allowFilter", "allowAnySHA1InWant"):
        git(copied.remote, "config", f"uploadpack.{name}", "true")
    answer = look(looker(tmp_path, f"file://{copied.remote}"))
    assert answer["say"] == "release", answer
    mirror = tmp_path / "server" / "mirror.git"
    large = git(copied.remote, "rev-parse", f"{STATE}:large")
    listed = git(mirror, "cat-file", "--batch-all-objects", "--batch-check")
    assert large not in listed
    assert git(copied.remote, "rev-parse", f"{STATE}:.runner/releases/churn-api/production.json") in listed


def test_releases_are_found_on_the_watched_branch_where_results_are_recorded_there(tmp_path: Path) -> None:
    spec = "apiVersion: runner/v1\nkind: Project\nmetadata: {name: p}\nspec: {record: {branch: main}}\n---\n"
    world = World.create(tmp_path / "world", {"runner.yaml": spec + PIPELINE + CHURN, "weights.txt": "1"}, dvc=True)
    world.reconcile()
    followed = Followed(str(world.remote), ("runner/state-of/main", "main"), None, "production", str(tmp_path / "s"))
    deliveries = Deliveries(followed, {"RUNNER_HOME": str(tmp_path / "home")})
    answer = look(deliveries)
    assert (answer["say"], answer["release"]["version"]) == ("release", 1)
    world.repo.git("pull", "--quiet", "origin", "main")
    world.edit({"note": "by a person"})
    assert look(deliveries, answer["commit"])["say"] == "same"


@pytest.mark.parametrize("accepted", [False, True])
def test_a_state_branch_that_was_rewound_is_held_until_a_person_accepts_it(
    copied: World, tmp_path: Path, accepted: bool
) -> None:
    tip = git(copied.remote, "rev-parse", STATE)
    assert look(looker(tmp_path, copied.remote))["say"] == "release"
    older = git(copied.remote, "rev-parse", f"{STATE}~1")
    git(copied.remote, "update-ref", f"refs/heads/{STATE}", older)
    answer = look(looker(tmp_path, copied.remote, accept=older[:9] if accepted else None))
    if not accepted:
        assert answer["say"] == "held"
        assert f"{STATE} was rewritten: {tip[:12]}" in answer["why"]
        assert f"--accept-state {older}" in answer["why"]
        return
    assert (answer["say"], answer["why"]) == ("none", "nothing is released yet")
    git(copied.remote, "update-ref", f"refs/heads/{STATE}", tip)
    assert look(looker(tmp_path, copied.remote))["say"] == "release"


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("signed")
    files = {"runner.yaml": PIPELINE + CHURN, "weights.txt": "one"}
    world = World.create(folder / "world", files, dvc=True)
    keys = Keys.begun(world)
    keys.made(world, "mallory")
    world.reconcile()
    return world


def test_a_look_at_a_host_that_says_nothing_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"git://127.0.0.1:{silent.getsockname()[1]}/silent.git"
        followed = Followed(url, (STATE,), None, "production", str(tmp_path / "server"))
        child, stop = Child("runner.wiring.delivering", followed, os.environ), threading.Event()

        open_ones = []

        def accept() -> None:
            open_ones.append(silent.accept()[0])
            stop.set()

        waiting = threading.Thread(target=accept)
        waiting.start()
        with pytest.raises(HostError, match="no answer"):
            child.ask({"do": "look", "commit": None, "known": []}, 90.0, stop)
        waiting.join()
        open_ones[0].close()
    assert [words for words in running() if url in words] == []


def running() -> list[str]:
    """The command lines of all processes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(file.read_text(errors="replace"))
    return found


def test_a_release_that_a_trusted_runner_signed_is_delivered_with_the_key(signed: World, tmp_path: Path) -> None:
    trust = str(Keys(signed.folder.parent).trust)
    deliveries = looker(tmp_path, signed.remote, trust=trust)
    answer = look(deliveries)
    assert answer["say"] == "release", answer
    assert answer["verified"]["key"].startswith("SHA256:")
    assert answer["verified"]["policy"] == trust
    deliveries._store.keep({name: answer[name] for name in ("release", "id", "record", "commit")})
    assert looker(tmp_path, signed.remote, trust=trust).answer({"do": "here"})["verified"] == answer["verified"]


def test_what_nobody_signed_is_not_delivered_and_named_with_its_version(
    world: World, signed: World, tmp_path: Path
) -> None:
    trust = str(Keys(signed.folder.parent).trust)
    answer = look(looker(tmp_path, world.remote, "churn-api", trust=trust))
    assert (answer["say"], answer["version"]) == ("failed", 1)
    assert "is not what a trusted runner left" in answer["why"]
    again = look(looker(tmp_path, world.remote, "churn-api", trust=trust), None, [answer["id"], None])
    assert (again["say"], again["commit"], again["why"]) == ("held", answer["commit"], answer["why"])


def test_a_file_that_says_otherwise_than_its_record_is_not_delivered(signed: World, tmp_path: Path) -> None:
    trust = str(Keys(signed.folder.parent).trust)
    shutil.copytree(signed.remote, tmp_path / "remote.git")
    path = ".runner/releases/churn-api/production.json"
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", STATE, str(tmp_path / "remote.git"), str(clone))
    row = json.loads((clone / path).read_text())
    (clone / path).write_text(json.dumps({**row, "version": 2}))
    git(clone, "commit", "--quiet", "--all", "--message", "Release churn-api v2")
    git(clone, "push", "--quiet")
    answer = look(looker(tmp_path, tmp_path / "remote.git", "churn-api", trust=trust))
    assert (answer["say"], answer["version"]) == ("failed", 2)
    here = looker(tmp_path, tmp_path / "remote.git", trust=trust).answer({"do": "here"})
    assert here["say"] == "nothing"


def test_an_object_that_does_not_end_is_not_brought(copied: World, world: World, tmp_path: Path) -> None:
    store = tmp_path / "store"
    (endless,) = (path for path in store.rglob("*") if path.is_file() and path.read_bytes() == b"one")
    endless.chmod(0o644)
    endless.write_bytes(b"x" * (3 << 20))
    config = tmp_path / "dvc.config"
    config.write_text(git(world.remote, "show", f"{STATE}:.dvc/config").replace(str(world.store), str(store)))
    deliveries = looker(tmp_path, copied.remote)
    deliveries._environ = {"RUNNER_HOME": str(tmp_path / "home"), "RUNNER_DVC_CONFIG": str(config)}
    answer = look(deliveries)
    assert (answer["say"], "too large" in answer.get("why", "")) == ("failed", True), answer


def test_a_release_of_another_environment_in_its_place_is_not_delivered(copied: World, tmp_path: Path) -> None:
    path = ".runner/releases/churn-api/production.json"
    row = json.loads(git(copied.remote, "show", f"{STATE}:{path}"))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "-b", STATE, str(copied.remote), str(clone))
    (clone / path).write_text(json.dumps({**row, "environment": "staging"}))
    git(clone, "commit", "-qam", "put back")
    git(clone, "push", "-q", "origin", STATE)
    answer = look(looker(tmp_path, copied.remote, "churn-api"))
    assert (answer["say"], "says churn-api in staging" in answer["why"]) == ("failed", True)


def test_bytes_that_are_out_of_reach_are_no_fault_of_the_release(world: World, tmp_path: Path) -> None:
    config = tmp_path / "dvc.config"
    gone = str(tmp_path / "gone")
    config.write_text(git(world.remote, "show", f"{STATE}:.dvc/config").replace(str(world.store), gone))
    deliveries = looker(tmp_path, world.remote)
    deliveries._environ = {"RUNNER_HOME": str(tmp_path / "home"), "RUNNER_DVC_CONFIG": str(config)}
    answer = look(deliveries)
    assert (answer["say"], answer["version"], answer["lasting"]) == ("failed", 1, False), answer
