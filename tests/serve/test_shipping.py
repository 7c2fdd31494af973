"""Files of the prediction log reach the place where they are wanted, once and whole, or wait for it within bounds."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy
import pyarrow
import pyarrow.parquet
import pytest

from runner.errors import InputError
from runner.serve.checks import Rows
from runner.serve.prediction_log import PredictionLog
from runner.serve.predictors import Said
from runner.serve.settings import LogSettings
from runner.serve.shipping import Shipper, Way, check_address
from tests.serve.models import ROW, churn
from tests.serve.servers import Server, serving, wait_until

KINDS = {"age": "number", "orders": "integer", "paid": "boolean", "name": "string", "": "string"}
VALUES = [41.5, 4, 1.0, "Ada"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def written(folder: Path, to: str, rows: int = 2, **settings: Any) -> None:
    """A finished file of the log, with a gap in its second row."""
    names = [name for name in KINDS if name]
    log = PredictionLog(
        LogSettings(str(folder), to=to, **settings), names, ["no", "yes"], {"digest": "ab" * 32}, b"k" * 16, KINDS
    )
    few = [VALUES if number % 2 == 0 else [float("nan"), *VALUES[1:]] for number in range(rows)]
    log.offer("r", Rows(rows, few=few), Said(numpy.array(["yes"] * rows), numpy.full((rows, 2), 0.5)))
    log.close()


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def test_a_file_is_shipped_once_and_then_gone_here(tmp_path: Path, memory: Any) -> None:
    to = "memory://log/churn"
    written(tmp_path, to)
    (kept,) = tmp_path.glob("*.jsonl")
    data = kept.read_bytes()
    shipper = Shipper(Way(str(tmp_path), to, "jsonl", 1 << 20))
    assert shipper.ship()
    (there,) = memory.find("log/churn")
    assert memory.cat(there) == data
    assert there.split("/")[3] == f"{kept.name[12:16]}-{kept.name[16:18]}-{kept.name[18:20]}"
    kept.write_bytes(data)  # as if it had been killed before it could remove it
    assert shipper.ship()
    assert (memory.find("log/churn"), shipper.shipped_files) == ([there], 2)
    assert list(tmp_path.glob("*.jsonl")) == []


def test_parquet_has_the_types_of_the_signature(tmp_path: Path) -> None:
    to = f"file://{tmp_path / 'lake'}"
    written(tmp_path / "spool", to, drop=("orders",), hashed=("name",))
    assert Shipper(Way(str(tmp_path / "spool"), to, "parquet", 1 << 20)).ship()
    (file,) = (tmp_path / "lake").glob("*/*")
    assert file.suffix == ".parquet"
    table = pyarrow.parquet.read_table(file)
    assert [f"{field.name} {field.type}" for field in table.schema][1:] == [
        "at timestamp[ms, tz=UTC]", "model string", "version string", "digest string", "prediction string",
        "probabilities.no double", "probabilities.yes double", "inputs.age double", "inputs.paid bool",
        "inputs.name string",
    ]  # fmt: skip
    told = table.to_pylist()
    assert [row["inputs.age"] for row in told] == [41.5, None]
    assert (told[0]["inputs.paid"], told[0]["prediction"], len(told[0]["inputs.name"])) == (True, "yes", 64)
    assert list((tmp_path / "spool").glob("*.parquet*")) == []


def test_an_address_that_cannot_be_reached_is_tried_again_and_the_disk_stays_bounded(tmp_path: Path) -> None:
    place = tmp_path / "lake"
    place.write_text("no folder")
    to, clock = f"file://{place}", Clock()
    for _ in range(3):
        written(tmp_path / "spool", to)
    size = next((tmp_path / "spool").glob("*.jsonl")).stat().st_size
    shipper = Shipper(Way(str(tmp_path / "spool"), to, "jsonl", 2 * size + 10), clock)
    assert not shipper.ship()
    assert (shipper.lost_files, shipper.waiting_bytes > size) == (1, True)
    assert str(shipper.fault).startswith(f"{to}: ")
    place.unlink()
    assert not shipper.ship()  # not yet: it failed a moment ago
    clock.now = 1.1
    assert shipper.ship()
    assert (shipper.shipped_files, shipper.fault, shipper.waiting_bytes) == (2, None, 0)


def test_a_file_that_cannot_be_read_is_set_aside_and_keeps_no_other_waiting(tmp_path: Path) -> None:
    to = f"file://{tmp_path / 'lake'}"
    for _ in range(2):
        written(tmp_path / "spool", to)
    broken = min((tmp_path / "spool").glob("*.jsonl"))
    broken.write_bytes(broken.read_bytes() + b"\0" * 4096 + b"\n")
    shipper = Shipper(Way(str(tmp_path / "spool"), to, "parquet", 1 << 20))
    assert shipper.ship()
    assert (shipper.shipped_files, shipper.lost_files) == (1, 1)
    assert broken.with_suffix(".unreadable").is_file()
    assert list((tmp_path / "spool").glob("predictions-*")) == [broken.with_suffix(".unreadable")]
    assert f"{broken.name}: it holds no rows" in str(shipper.fault)


def test_no_password_of_an_address_is_shown(tmp_path: Path) -> None:
    to = "ftp://ada:secret@127.0.0.1:1/log"
    written(tmp_path, to)
    shipper = Shipper(Way(str(tmp_path), to, "jsonl", 1 << 20))
    assert not shipper.ship()
    assert str(shipper.fault).startswith("ftp://***@127.0.0.1:1/log: ")
    with pytest.raises(InputError) as refused:
        check_address(to.replace("ftp", "nowhere"), "jsonl")
    assert "secret" not in refused.value.line


def test_an_address_that_nothing_knows_is_refused_before_anything_is_served() -> None:
    with pytest.raises(InputError, match="such as s3://BUCKET/FOLDER"):
        check_address("nowhere://x", "jsonl")
    check_address("file:///x", "parquet")


def test_a_bucket_holds_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moto = pytest.importorskip("moto.server", reason="pip install 'moto[server]' s3fs, and a bucket is tried, too")
    boto3, _ = pytest.importorskip("boto3"), pytest.importorskip("s3fs")
    bucket = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    bucket.start()
    try:
        url = "http://{}:{}".format(*bucket.get_host_and_port())
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "ENDPOINT_URL": url}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        client = boto3.client("s3", region_name="us-east-1")
        written(tmp_path, "s3://log/churn")
        shipper = Shipper(Way(str(tmp_path), "s3://log/churn", "parquet", 1 << 20))
        assert not shipper.ship()
        assert "bucket does not exist" in str(shipper.fault)
        client.create_bucket(Bucket="log")
        assert shipper.ship(at_once=True)
        (there,) = client.list_objects_v2(Bucket="log")["Contents"]
        body = client.get_object(Bucket="log", Key=there["Key"])["Body"].read()
        assert pyarrow.parquet.read_table(pyarrow.BufferReader(body)).num_rows == 2
    finally:
        bucket.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = churn(tmp_path_factory.mktemp("models") / "churn")
    options = ("--log", "lake", "--log-format", "parquet", "--log-spool", str(folder.parent / "spool"))
    with serving(folder, *options) as running:
        running.folder = folder.parent
        yield running


def test_a_server_ships_what_it_logged_also_after_its_shipper_was_killed(server: Server) -> None:
    for number in range(5):
        server.told("/invocations", {"dataframe_records": [ROW]}, x_request_id=f"r{number}")
    wait_until(lambda: server.told("/status").get("shipping") == {"fault": None})
    (first,) = _shippers(server)
    os.kill(first, signal.SIGKILL)
    assert "it died with -9" in server.wait_for("log not shipped")["reason"]
    wait_until(lambda: _shippers(server) not in ([], [first]))
    wait_until(lambda: server.told("/status")["shipping"] == {"fault": None})
    assert b"prediction_log_shipped_files_total" in server.ask("/metrics")[1]
    os.kill(*_shippers(server), signal.SIGKILL)  # and nobody waits until it is there again
    assert server.stop() == 0
    tables = [pyarrow.parquet.read_table(path) for path in (server.folder / "lake").glob("*/*.parquet")]
    ids = [row["id"] for table in tables for row in table.to_pylist()]
    assert sorted(ids) == [f"r{number}/0" for number in range(5)]
    assert list((server.folder / "spool").glob("predictions-*")) == []
    assert json.loads(next((server.folder / "spool").glob("columns-*")).read_bytes())["inputs"]["city"] == "string"


def _shippers(server: Server) -> list[int]:
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"runner.serve.shipping" in _read(path) and _parent(path.parent) == server.process.pid
    ]


def _read(path: Path) -> bytes:
    """Nothing, where the process is gone meanwhile."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _parent(process: Path) -> int:
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])
