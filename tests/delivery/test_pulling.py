"""Real servers that follow real repositories: what is released is served, whatever else happens."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator

import pytest

from tests.delivery.worlds import (
    BODY,
    DEPLOYMENT,
    PIPELINE,
    PREDICT,
    Clients,
    Daemon,
    Pulling,
    model_files,
    object_of,
    pulling,
    released,
    until,
)
from tests.reconcile.keys import Keys
from tests.reconcile.worlds import STATE, World
from tests.repositories import git

SWAPS = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A repository in which nothing is released yet, and whose runner signs what it records."""
    world = World.create(tmp_path_factory.mktemp("pulled") / "world", {"runner.yaml": PIPELINE}, dvc=True)
    Keys.begun(world)
    world.edit(model_files(world.folder))
    world.reconcile()
    return world


@pytest.fixture(scope="module")
def daemon(world: World) -> Iterator[Daemon]:
    """What the remote is reached through."""
    with Daemon(world.folder) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def server(world: World, daemon: Daemon) -> Iterator[Pulling]:
    """A server that follows it; tests go on from whatever it serves."""
    with pulling(world.folder, daemon.url, "--trust", trust(world)) as server:
        yield server
        assert server.stop() == 0


def trust(world: World) -> str:
    """The trust file of the servers."""
    return str(Keys(world.folder.parent).trust)


def release(world: World, files: dict[str, bytes] | None = None) -> int:
    """Release a model; the version."""
    released(world, files)
    version: int = json.loads(world.file(".runner/releases/churn-api/production.json"))["version"]
    return version


def standing(world: World, server: Pulling) -> int:
    """The version that is served; one is released where there is none."""
    told = server.status
    if told["state"] != "serving" or told["failed"]:
        return int(server.serves(release(world))["version"])
    return int(told["version"])


def test_a_server_waits_for_the_first_release_and_then_serves_it(world: World, server: Pulling) -> None:
    told = server.says(lambda told: told["state"] == "waiting")
    assert told["why"] == "nothing is released yet"
    status, body, headers = server.ask("/v2/health/ready", x_request_id="mine")
    assert (status, b"nothing is released yet" in body, headers["retry-after"]) == (503, True, "5")
    assert headers["x-request-id"] == json.loads(body)["request_id"] == "mine"
    assert server.ask(PREDICT, BODY)[0] == 503
    assert server.told("/v2/health/live") == {"live": True}
    version = release(world)
    told = server.serves(version)
    assert (told["deployment"], told["environment"], told["failed"]) == ("churn-api", "production", None)
    assert told["source"]["commit"] == world.tip()
    assert told["verified"]["key"].startswith("SHA256:")
    assert told["verified"]["policy"] == trust(world)
    until(lambda: server.ask("/v2/health/ready")[0] == 200)
    assert f"release_version {version}.0" in server.ask("/metrics")[1].decode()


def test_releases_follow_each_other_and_no_request_fails(world: World, server: Pulling) -> None:
    standing(world, server)
    with Clients(server) as clients:
        for _ in range(SWAPS):
            before = server.predicts()
            server.serves(release(world))
            until(lambda before=before: server.predicts() != before)
    assert clients.failures == []
    assert clients.answers > SWAPS


def test_a_reconciler_hears_from_the_server_what_it_serves(world: World, server: Pulling) -> None:
    target = f"  target: {{server: {{urls: ['http://127.0.0.1:{server.port}']}}}}\n"
    released(world, spec=PIPELINE + DEPLOYMENT + target)
    row = json.loads(world.file(".runner/releases/churn-api/production.json"))
    assert server.serves(row["version"])["digest"] == row["model"]["sha256"]

    def is_deployed() -> bool:  # for a moment the old worker may still answer
        told = json.loads(world.runner("status", "--live", "--json", ok=(0, 3)).stdout)
        return [one["target"]["state"] for one in told["releases"]] == ["deployed"]

    until(is_deployed)


def test_a_server_does_what_its_deployment_says(world: World, server: Pulling) -> None:
    version = release(world)
    server.serves(version)
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT + "  limits: {rows: 1}\n  explain: true\n  replicas: 2\n"})
    world.reconcile()
    assert server.serves(version + 1)["workers"] == 2
    two = {"instances": BODY["instances"] * 2}
    until(lambda: server.ask(PREDICT, two)[0] == 413)
    until(lambda: b"server_workers 2.0" in server.ask("/metrics")[1])
    assert [one["method"] for one in server.told("/explain", BODY)["explanations"]] == ["linear"]
    world.edit({"runner.yaml": PIPELINE + DEPLOYMENT + "  log: {to: log, drop: [wage]}\n"})
    world.reconcile()
    why = server.says(lambda told: told["failed"])["failed"]["why"]
    assert "the prediction log is to leave out `wage`, which is no column of the model" in why
    assert server.predicts() in ("yes", "no")


def test_a_home_that_cannot_be_written_keeps_nobody_from_serving(world: World, server: Pulling) -> None:
    standing(world, server)
    (last,) = (world.folder / "server" / "serve").glob("*/last.json")
    last.unlink()
    (last / "in the way").mkdir(parents=True)
    server.serves(release(world))
    shutil.rmtree(last)
    server.serves(release(world))
    assert last.is_file()


def test_bytes_that_are_not_those_that_were_released_are_never_served(world: World, server: Pulling) -> None:
    before = standing(world, server)
    said = server.predicts()
    files = model_files(world.folder)
    good = files["trained/model.skops"]
    place = object_of(world, good)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(bytes([good[0] ^ 1]) + good[1:])  # as many bytes as there should be: no push replaces it
    with Clients(server) as clients:
        version = release(world, files)
        told = server.says(lambda told: told["failed"])
        assert told["failed"]["version"] == version
        assert "its bytes are not those that were released" in told["failed"]["why"]
        assert (told["version"], server.predicts()) == (before, said)
        place.chmod(0o644)
        place.write_bytes(good)
        assert server.serves(version)["failed"] is None
    assert clients.failures == []


def test_a_version_that_the_server_cannot_load_makes_way_for_the_one_before(world: World, server: Pulling) -> None:
    def spec(within: str) -> str:
        url = f"http://127.0.0.1:{server.port}"
        return PIPELINE + DEPLOYMENT + f"  target: {{server: {{urls: ['{url}'], within: {within}}}}}\n"

    def heard() -> list[tuple[str, int]]:
        [row] = json.loads(world.runner("status", "--live", "--json").stdout)["releases"]
        return [(one["state"], one["version"]) for one in row["target"]["servers"]]

    released(world, None, spec("1h"))
    before: int = json.loads(world.file(".runner/releases/churn-api/production.json"))["version"]
    server.serves(before)
    assert heard() == [("serves", before)]
    files = model_files(world.folder)
    place = object_of(world, files["trained/model.skops"])
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(bytes(len(files["trained/model.skops"])))  # as many bytes as there should be
    released(world, files, spec("1h"))
    server.says(lambda told: told["failed"])
    assert heard() == [("failed", before)]
    world.edit({"runner.yaml": spec("0.001")})
    [row] = world.reconcile(ok=(3,)).value["releases"]
    assert f"v{before + 1} failed, the model of v{before} is back" in row["why"]
    server.serves(before + 2)
    assert heard() == [("serves", before + 2)]
    place.chmod(0o644)
    place.write_bytes(files["trained/model.skops"])


def test_a_release_that_nobody_trusted_signed_is_refused_and_the_old_one_goes_on(world: World, server: Pulling) -> None:
    version = standing(world, server)
    tip = world.tip()
    stranger = World(world.folder, world.repo, world.remote)
    with Clients(server) as clients:
        stranger.edit(model_files(world.folder))
        stranger.reconcile(host="stranger")
        told = server.says(lambda told: told["failed"] and told["failed"]["version"] == version + 1)
        assert told["version"] == version
        assert "is not what a trusted runner left" in told["failed"]["why"]
        git(world.remote, "update-ref", f"refs/heads/{STATE}", str(tip))
        assert server.says(lambda told: not told["failed"] and not told["held"])["version"] == version
    assert clients.failures == []


def test_what_is_removed_is_drained_and_what_comes_back_is_served(world: World, server: Pulling) -> None:
    version = standing(world, server)
    world.edit({"runner.yaml": PIPELINE})
    world.reconcile()
    told = server.says(lambda told: told["state"] == "drained")
    assert told["why"] == f"churn-api is not released in production any more: it was removed after v{version}"
    until(lambda: server.ask(PREDICT, BODY)[0] == 404)
    assert b"not released in production any more" in server.ask(PREDICT, BODY)[1]
    until(lambda: server.ask("/v2/health/ready")[0] == 503)
    server.serves(release(world))


def test_a_state_branch_that_was_rewound_is_not_followed(world: World, server: Pulling) -> None:
    version = standing(world, server)
    tip = git(world.remote, "rev-parse", STATE)
    git(world.remote, "update-ref", f"refs/heads/{STATE}", f"{STATE}~2")
    told = server.says(lambda told: told["held"])
    assert "was rewritten" in told["held"]
    assert "--accept-state" in told["held"]
    assert (told["version"], told["state"]) == (version, "serving")
    git(world.remote, "update-ref", f"refs/heads/{STATE}", tip)
    assert server.says(lambda told: not told["held"])["version"] == version


def test_servers_behind_a_partition_go_on_also_after_a_restart_and_converge_when_it_heals(
    world: World, server: Pulling, daemon: Daemon
) -> None:
    version = release(world)
    with pulling(world.folder, daemon.url, "--trust", trust(world), home="other") as other:
        digest = other.serves(version)["digest"]
        assert other.stop() == 0
    daemon.stop()
    store = world.store.rename(world.store.with_name("away"))
    with pulling(world.folder, daemon.url, "--trust", trust(world), home="other") as other:
        assert other.serves(version)["digest"] == digest
        for one in (server, other):
            assert one.says(lambda told: told["source"]["fault"])["version"] == version
        store.rename(world.store)
        release(world)
        newest = release(world)
        assert other.status["version"] == version
        daemon.start()
        healed = [one.serves(newest) for one in (server, other)]
        assert healed[0]["digest"] == healed[1]["digest"] != digest
        assert [told["source"]["fault"] for told in healed] == [None, None]


TOLD = ("unreachable", "reachable", "held", "followed")


def test_the_end_of_what_was_wrong_is_told_as_its_beginning_was(world: World, daemon: Daemon) -> None:
    version = release(world)
    tip = git(world.remote, "rev-parse", STATE)
    with pulling(world.folder, daemon.url, home="told") as server:
        server.serves(version)
        daemon.stop()
        server.says(lambda told: told["source"]["fault"])
        daemon.start()
        server.says(lambda told: not told["source"]["fault"])
        git(world.remote, "update-ref", f"refs/heads/{STATE}", f"{STATE}~2")
        server.says(lambda told: told["held"])
        git(world.remote, "update-ref", f"refs/heads/{STATE}", tip)
        server.says(lambda told: not told["held"])
        assert server.stop() == 0
    told = [event["event"] for event in server.events if event["event"] in TOLD]
    # A remote may be away in more than one way, one after the other.
    assert [word for word, _ in itertools.groupby(told)] == list(TOLD)
    lines = (world.folder / "told.stderr").read_text().splitlines()
    assert lines.count("the repository can be asked again") == lines.count("what is released is followed again") == 1
