"""What is said of keys and of the trust file itself, before anything is looked at that they judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reconcile.keys import Keys
from tests.reconcile.worlds import World

SPEC = """\
apiVersion: runner/v1
kind: Pipeline
metadata: {name: p}
spec:
  stages:
    make: {cmd: "cat seed > out", deps: [seed], outs: [out]}
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.create(tmp_path / "world", {"runner.yaml": SPEC, "seed": "1\n"})


@pytest.fixture
def keys(world: World) -> Keys:
    """Of a world that has a record."""
    keys = Keys.begun(world)
    world.reconcile()
    return keys


@pytest.mark.parametrize("way", ["relative", "absolute", "link", "option"])
def test_a_trust_file_in_the_work_tree_that_it_judges_is_refused(world: World, keys: Keys, way: str) -> None:
    file = world.repo.path / "mine.yaml"
    if way == "link":
        file.symlink_to(keys.trust)
    else:
        file.write_bytes(keys.trust.read_bytes())
    if way != "option":
        world.environ["RUNNER_TRUST"] = str(file) if way == "absolute" else "mine.yaml"
    named = ["--trust", "mine.yaml"] if way == "option" else []
    for words in (["reconcile"], ["status"], ["audit", "verify"]):
        done = world.runner(*words, *named, ok=(1,))
        assert "lies in the work tree of the repository that it judges" in done.stderr
        assert f"move it out of {world.repo.path.resolve()}" in done.stderr


def test_a_key_is_shown_with_what_it_is_trusted_with(world: World, keys: Keys) -> None:
    keys.made(world, "mallory")
    shown, mallory = world.runner("keys", "show"), str(keys.folder / "mallory")
    assert shown.stdout.strip() == keys.made(world, "runner")
    assert f"{keys.trust} lets it sign as runner, from record 1 on." in shown.stderr
    keys.trusted(world, {"runner": ", to: 6", "next": ""})
    value = json.loads(world.runner("keys", "show", str(keys.folder / "runner"), "--json").stdout)
    assert value["publicKey"] == keys.made(world, "runner")
    assert value["trusted"] == [{"roles": ["runner"], "from": 1, "to": 6}]
    assert "does not name it" in world.runner("keys", "show", mallory).stderr
    (keys.folder / "mallory").chmod(0o644)
    assert "others on this host may get at" in world.runner("keys", "show", mallory, ok=(1,)).stderr
    keys.signs(world, None)
    assert "no signing key is configured" in world.runner("keys", "show", ok=(1,)).stderr
    assert "PRIVATE" not in shown.stdout + shown.stderr


def test_a_trust_file_that_is_named_by_nothing_is_not_the_same_as_none(world: World) -> None:
    world.environ["RUNNER_TRUST"] = ""
    for words in (["reconcile"], ["status"], ["audit", "verify"]):
        assert "RUNNER_TRUST is set and empty" in world.runner(*words, ok=(1,)).stderr
