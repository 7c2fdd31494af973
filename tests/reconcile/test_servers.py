"""Servers that are asked what they serve: what they say is told, and a version that they cannot serve makes way."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runner.core.targets import Asked
from runner.release.servers import ask
from tests.reconcile.test_releases import RELEASE, files, release, second_opinion, why
from tests.reconcile.test_targets import standing
from tests.reconcile.worlds import World


@dataclass
class Model:
    """A model server's `/status`, as far as anybody asks."""

    status: Any = field(default_factory=dict)
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    url: str = ""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    model: Model


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        model = self.server.model
        model.asked += 1
        if self.path != "/status":
            model.code = 404
        body = model.status if isinstance(model.status, bytes) else json.dumps(model.status).encode()
        self.send_response(model.code)
        for name, value in model.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def models() -> Iterator[list[Model]]:
    """Two servers."""
    servers = [_Server(("127.0.0.1", 0), _Handler) for _ in range(2)]
    for server in servers:
        server.model = Model(url=f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield [server.model for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


def says(version: int | None, **more: Any) -> dict[str, Any]:
    place = {"deployment": "churn-api", "environment": "production"}
    return {**place, "version": version, "state": "serving", "failed": None, **more}


def target(models: list[Model], within: str) -> str:
    urls = ", ".join(model.url for model in models)
    return f"  target: {{server: {{urls: [{urls}], within: {within}}}}}\n"


def test_servers_are_compared_with_what_is_recorded_and_a_failure_goes_back(
    tmp_path: Path, models: list[Model]
) -> None:
    first, second = models
    world = World.create(tmp_path / "world", files(0.8, "one", target(models, "1h")), dvc=True)
    first.status = second.status = says(None, state="loading")
    assert standing(world.reconcile()) == ("pending", 1)
    before = release(world)
    assert f"pending  churn-api v1  {first.url}: serves nothing yet" in world.runner("daemon", "--once").stderr
    first.status = second.status = says(1)
    told = world.reconcile()
    assert (told.commit, standing(told)) == (None, ("deployed", 1))
    asked = first.asked
    [row] = json.loads(world.runner("status", "--json").stdout)["releases"]
    assert (row["target"]["state"], first.asked) == ("unknown", asked)  # nobody asks unless told to
    [row] = json.loads(world.runner("status", "--live", "--json").stdout)["releases"]
    assert [server["state"] for server in row["target"]["servers"]] == ["serves", "serves"]

    world.edit(files(0.9, "two", target(models, "1h")))
    second.status = says(1, failed={"version": 2, "why": "another answer to the example"})
    told = world.reconcile()
    assert standing(told) == ("failed", 2)  # they have an hour
    shown = world.runner("status", "--live").stdout
    assert f"{second.url}  cannot serve v2: another answer to the example" in shown
    world.edit(files(0.9, "two", target(models, "0.001")))
    told = world.reconcile(ok=(3,))
    assert "v2 failed, the model of v1 is back" in why(told)
    assert "another answer to the example" in why(told)
    assert (release(world)["version"], release(world)["model"]) == (3, before["model"])
    assert [row["release"]["automatic"] for row in world.records()[-1:]] == [True]
    assert second_opinion(world).endswith("records, whole\n")


def test_a_rollback_that_servers_refuse_is_held_and_silence_is_no_reason(tmp_path: Path, models: list[Model]) -> None:
    first, second = models
    world = World.create(tmp_path / "world", files(0.8, "one", target(models, "0.001")), dvc=True)
    first.status, second.code = says(1), 503
    told = world.reconcile()
    assert (standing(told), release(world)["version"]) == (("unreachable", 1), 1)
    assert "answers 503" in told.value["releases"][0]["target"]["why"]
    world.edit(files(0.9, "two", target(models, "0.001")))
    first.status = says(1, failed={"version": 2, "why": "no"})
    world.reconcile(ok=(0, 3))  # it may be asked within the very millisecond
    told = world.reconcile(ok=(3, 6))
    assert release(world)["version"] == 3
    first.status = says(1, failed={"version": 3, "why": "no again"})
    told = world.reconcile(ok=(3,))
    assert (told.commit, standing(told)) == (None, ("failed", 3))
    assert "a person decides" in told.value["releases"][0]["target"]["why"]
    assert RELEASE in world.files()


def test_the_next_environment_waits_until_servers_of_the_one_before_serve_it(
    tmp_path: Path, models: list[Model]
) -> None:
    staging = f"{{name: staging, spec: {{target: {{server: {{urls: [{models[0].url}]}}}}}}}}"
    more = f"  environments: [{staging}, {{name: production, from: staging}}]\n"
    world = World.create(tmp_path / "world", files(0.8, "one", more), dvc=True)
    models[0].status = says(None, environment="staging", state="loading")
    told = world.reconcile()
    rows = [(row["outcome"], row["why"]) for row in told.value["releases"]]
    assert rows[1] == ("keep", "nothing is released: v1 is not deployed in staging yet")
    models[0].status = says(1, environment="staging")
    told = world.reconcile()
    assert [row["outcome"] for row in told.value["releases"]] == ["keep", "release"]


def test_only_the_servers_that_are_named_answer_and_they_say_little(models: list[Model]) -> None:
    first, second = models
    first.status, first.code, first.headers = says(1), 302, {"location": f"{second.url}/status"}
    second.status = b"[" * 200_000
    found = ask([first.url, second.url, "http://127.0.0.1:1"])
    assert [row.status for row in found.values()] == [None, None, None]
    assert second.asked == 1
    assert ["302" in found[first.url].trouble, "too long" in found[second.url].trouble] == [True, True]
    second.status = b"[" * 60_000
    assert "no JSON" in ask([second.url])[second.url].trouble


def test_a_server_that_says_nothing_holds_nobody_up(models: list[Model]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        models[0].status = says(1)
        begun = time.monotonic()
        found = ask([url, models[0].url], patience_seconds=1.0)
        assert time.monotonic() - begun < 60
    assert found[url] == Asked(url, None, "no answer within 1 s")
    assert found[models[0].url].status == says(1)
