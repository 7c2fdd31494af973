"""Several workers on one socket are one server: to clients, in its metrics, in its logs, and when one of them dies."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serve.models import ROW, churn
from tests.serve.servers import PATIENCE, Server, ask_over, serving, wait_until

PATH = "/v1/models/churn:predict"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = churn(tmp_path_factory.mktemp("models") / "churn")
    log, access = folder.parent / "log", folder.parent / "access.jsonl"
    with serving(folder, "--workers", "2", "--log", str(log), "--access-log", str(access)) as running:
        running.folder = folder.parent
        yield running


def count(server: Server, name: str, **labels: str) -> float:
    """A number of `/metrics`, added up over all other labels."""
    _, text, _ = server.ask("/metrics")
    return sum(
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def pids(server: Server) -> set[int]:
    """Of the workers that answer, once there are two: connections that come at the same time are for both."""
    found: set[int] = set()

    def two() -> bool:
        with contextlib.ExitStack() as stack:
            made = [http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE) for _ in range(8)]
            for one in made:
                stack.callback(one.close)
                one.connect()
            found.update(json.loads(ask_over(one, "/status")[1])["pid"] for one in made)
        return len(found) >= 2

    wait_until(two)
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_scrape_counts_what_all_workers_did(server: Server) -> None:
    route = {"route": "/v1/models:predict"}
    before = count(server, "http_requests_total", **route)
    pids(server)
    for _ in range(40):
        assert server.told(PATH, {"instances": [ROW]}) == {"predictions": ["yes"]}
    assert count(server, "http_requests_total", **route) == before + 40
    assert count(server, "http_request_duration_seconds_count", **route) == before + 40
    assert count(server, "server_workers") == 2
    assert count(server, "process_cpu_seconds_total") > 0


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(server: Server) -> None:
    counted = count(server, "http_requests_total", route="/v1/models:predict")
    first = pids(server)
    wait_until(lambda: count(server, "http_requests_total", route="/v1/models:predict") >= counted)
    os.kill(min(first), signal.SIGKILL)
    died = server.wait_for("died")
    assert died["pid"] == min(first)
    wait_until(lambda: server.told(PATH, {"instances": [ROW]}) == {"predictions": ["yes"]})
    server.wait_for("serving")
    assert max(first) in pids(server)
    wait_until(lambda: count(server, "server_workers") == 2)


def test_both_workers_write_whole_lines_to_one_access_log(server: Server) -> None:
    path = server.folder / "access.jsonl"
    for number in range(20):
        server.told(PATH, {"instances": [ROW] * 3}, x_request_id=f"mine-{number}")
    server.ask("/nowhere", x_request_id="lost")
    server.ask(PATH, {"instances": [{}]}, x_request_id="wrong")
    asked = {f"mine-{number}" for number in range(20)} | {"lost", "wrong"}
    wait_until(lambda: asked <= {line["id"] for line in lines(path)})
    by_id = {line["id"]: line for line in lines(path)}
    known = by_id["mine-3"]
    assert known.pop("seconds") >= 0
    assert known.pop("at").endswith("Z")
    assert known == {
        "id": "mine-3", "client": "127.0.0.1", "method": "POST", "path": PATH, "status": 200, "rows": 3, "version": "1"
    }  # fmt: skip
    assert (by_id["lost"]["status"], by_id["lost"]["path"], by_id["wrong"]["status"]) == (404, "/nowhere", 400)
    path.rename(path.with_suffix(".old"))
    for number in range(10):
        server.told(PATH, {"instances": [ROW]}, x_request_id=f"later-{number}")
    wait_until(lambda: path.exists() and len([one for one in lines(path) if "later" in one["id"]]) == 10)


def test_no_worker_leaves_a_torn_prediction_log(server: Server) -> None:
    assert server.stop() == 0
    files = list((server.folder / "log").iterdir())
    assert files
    assert [file.suffix for file in files] == [".jsonl"] * len(files)
    assert all(json.loads(line)["prediction"] == "yes" for file in files for line in file.read_text().splitlines())
