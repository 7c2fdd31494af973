"""The access log holds whole lines, drops rather than delays, and samples what is no defect."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import HostError
from runner.serve import access_log
from runner.serve.access_log import AccessLog
from runner.serve.settings import AccessSettings
from tests.serve.bad_models import Parent
from tests.serve.models import ROW, customers, labels, write_model
from tests.serve.servers import PATIENCE, REPOSITORY, Server, serving, wait_until


def offer(log: AccessLog, name: str, status: int = 200) -> None:
    log.offer((0.0, name, "::1", "GET", "/", status, 0.25, 1))


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_line_that_another_worker_left_torn_stays_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "access.jsonl"
    log = AccessLog(AccessSettings(str(path)), "1")
    path.write_bytes(b'{"id": "a"}\n{"id": "to')
    offer(log, "b")
    log.close()
    first, torn, whole = path.read_bytes().splitlines()
    assert (json.loads(first)["id"], torn, json.loads(whole)["id"]) == ("a", b'{"id": "to', "b")
    assert (log.written, log.dropped, log.fault) == (1, 0, None)


def test_a_sample_keeps_every_defect(tmp_path: Path) -> None:
    path = tmp_path / "access.jsonl"
    log = AccessLog(AccessSettings(str(path), sample=0.0), "1")
    offer(log, "fine")
    offer(log, "defect", 500)
    log.close()
    assert ids(path) == ["defect"]


def test_what_cannot_be_written_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST_WAITING", 1)
    log = AccessLog(AccessSettings("/dev/full"), "1")
    offer(log, "a")
    log.close()
    assert (log.written, log.dropped) == (0, 1)
    assert "No space left" in str(log.fault)
    offer(log, "b")
    offer(log, "c")
    assert log.dropped == 2
    with pytest.raises(HostError, match="the access log cannot be written"):
        AccessLog(AccessSettings(str(tmp_path)), "1")


def test_what_a_model_prints_is_no_line_of_the_log_and_a_full_disk_ends_no_server(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "churn", Parent(), labels(customers()), "classification", format="joblib")
    with serving(folder, "--allow-format", "joblib", "--access-log", "-") as server:
        assert server.ask("/invocations", {"instances": [ROW]})[0] == 200
        assert server.stop() == 0
        assert [event["path"] for event in server.events if "path" in event] == ["/invocations"]
    assert "hello" in (tmp_path / "stderr.txt").read_text()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "runner",
        "serve",
        "--json",
        "--listen",
        f"127.0.0.1:{port}",
        "--model",
        str(folder),
    ]
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen([*command, "--allow-format", "joblib"], stdout=full, env=environ)
    server = Server(process)
    server.port = port
    try:
        wait_until(lambda: process.poll() is not None or _answers(server))
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def _answers(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return server.ask("/ping")[0] == 200
    return False
