"""Error budgets: a real Prometheus that scrapes a page of counters says whether anything new is released."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.core.budgets import default_query
from runner.release.prometheus import ask
from tests.reconcile.test_releases import files, release, why
from tests.reconcile.worlds import World, until

PROMETHEUS = shutil.which("prometheus")
QUERY = default_query('job="churn-api"', 3600)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Served:
    """Counters as a server of models has them."""

    def __init__(self) -> None:
        self.good = self.bad = 0

    def text(self) -> bytes:
        rows = f'http_requests_total{{method="POST",route="/invocations",status="200"}} {self.good}\n'
        rows += 'http_requests_total{method="GET",route="/status",status="500"} 7\n'
        if self.bad:
            rows += f'http_requests_total{{method="POST",route="/invocations",status="500"}} {self.bad}\n'
        return rows.encode()


@contextmanager
def metrics_page(served: Served) -> Iterator[int]:
    """The page at a port of its own."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = served.text()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(folder: Path, page: int) -> Iterator[str]:
    """The URL of a Prometheus that looks at the page five times a second."""
    folder.mkdir()
    target = f"    static_configs: [{{targets: ['127.0.0.1:{page}']}}]\n"
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 200ms}\nscrape_configs:\n  - job_name: churn-api\n" + target
    )
    url = f"http://127.0.0.1:{free_port()}"
    words = [str(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*words, f"--web.listen-address={url.removeprefix('http://')}"], stdout=log, stderr=log
        )
    try:
        until(lambda: not ask(url, "vector(1)").trouble)
        yield url
    finally:
        process.terminate()
        process.wait()


def budgeted(url: str, weights: str, more: str = "") -> dict[str, str]:
    budget = f"  budget: {{objective: 0.9, window: 1h, prometheus: '{url}'{more}}}\n"
    return files(0.8, weights, budget)


@pytest.mark.skipif(PROMETHEUS is None, reason="there is no prometheus on this host")
def test_nothing_new_is_released_once_the_error_budget_is_spent(tmp_path: Path) -> None:
    served = Served()
    with metrics_page(served) as page:
        with prometheus(tmp_path / "prometheus", page) as url:
            world = World.create(tmp_path / "world", budgeted(url, "one"), dvc=True)
            world.reconcile()  # the first release: nothing was served before
            until(lambda: bool(ask(url, QUERY).values))  # known, and none was asked for
            served.good = 100
            world.edit(budgeted(url, "two"))
            world.reconcile()
            assert release(world)["version"] == 2
            served.bad = 1  # the series has to be there before it can grow
            until(lambda: ask(url, 'http_requests_total{status="500",method="POST"}').values == (1.0,))
            served.bad = 60
            until(lambda: max(ask(url, QUERY).values, default=0.0) > 0.2)
            world.edit(budgeted(url, "three"))
            world.reconcile(ok=(6,))
            held = why(world.reconcile(ok=(6,)))
            assert "the error budget is spent" in held
            assert "of the requests of 1h failed" in held
            assert "is asked when it is reconciled" in world.runner("plan", ok=(0, 2)).stdout
            world.edit(budgeted(url, "four", ", selector: 'job=\"other\"'"))
            assert "gives no value" in why(world.reconcile(ok=(6,)))
            world.edit(budgeted(url, "four", ", query: 'sum('"))
            assert "says 400" in why(world.reconcile(ok=(6,)))
            world.runner("rollback", "churn-api", "--reason", "it fails")
            assert release(world)["version"] == 3
        world.edit(budgeted(url, "five"))
        assert "does not answer" in why(world.reconcile(ok=(6,)))


def test_a_budget_that_cannot_be_asked_for_is_a_finding(tmp_path: Path) -> None:
    world = World.create(tmp_path / "world", files(0.8, "one", "  budget: {objective: 0.9, window: never}\n"), dvc=True)
    said = json.loads(world.runner("validate", "--json", ok=(1,)).stdout)
    messages = " ".join(row["message"] for row in said["findings"])
    assert "window" in messages
