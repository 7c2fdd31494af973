"""`fetch` brings whole bytes or none, within its bounds, from http and https alone, and tells no secret."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas
import pytest

from runner.specs.builtin_stages import problems_of
from runner.stages.fetch import main

DATA = b'id,name\n1,a\n2,"b\nc"\n'
TOKEN = "s3cr3t-t0ken/with+signs"


class Server(BaseHTTPRequestHandler):
    """Answers by path; keeps what it was asked with."""

    asked: list[tuple[str, str | None]]
    other: str

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("Authorization")))
        path = self.path.partition("?")[0]
        leads = {
            "/to-file": "file:///etc/passwd",
            "/to-ftp": "ftp://127.0.0.1/data.csv",
            "/circle": "/circle",
            "/here": "/data.csv",
            "/there": f"{self.other}/data.csv",
        }
        if path in leads:
            self.send_response(302)
            self.send_header("Location", leads[path])
            self.end_headers()
            return
        codes = {"/data.csv": 200, "/short.csv": 200, "/busy": 503}
        self.send_response(codes.get(path, 404))
        self.send_header("Content-Length", str(len(DATA) + (5 if path == "/short.csv" else 0)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to stderr."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server on this host, and another one under the name of its address to lead to."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Server) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    Server.other = f"http://127.0.0.1:{servers[1].server_port}"
    yield f"http://127.0.0.1:{servers[0].server_port}"
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Server.asked = []
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def fetched(*words: str) -> int:
    return main([*words, "--out=out/data.csv", "--metrics=m.json"])


def test_bytes_come_as_they_are_from_an_address_or_a_file(address: str) -> None:
    Path("given.csv").write_bytes(DATA)
    for word in (f"--url={address}/data.csv", "--file=given.csv", f"--url={address}/here", f"--url={address}/there"):
        assert fetched(word) == 0
        assert Path("out/data.csv").read_bytes() == DATA
        wanted = {"bytes": len(DATA), "rows": 2, "sha256": hashlib.sha256(DATA).hexdigest()}
        assert json.loads(Path("m.json").read_text()) == wanted
        Path("out/data.csv").unlink()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--url={}/to-file"], 1, "neither http nor https"),
        (["--url={}/to-ftp"], 1, ""),
        (["--url={}/circle"], 1, "in a circle"),
        (["--url={}/nothing"], 1, "the server answered 404 (Not Found)"),
        (["--url={}/busy"], 4, "the server answered 503"),
        (["--url={}/short.csv"], 4, "the answer broke off after 20 of 25 bytes"),
        (["--url={}/data.csv", "--max_size=10"], 1, "more than 10 bytes"),
        (["--url={}/data.csv", "--sha256=" + "0" * 64], 1, "the bytes have the SHA-256 "),
        (["--url=http://127.0.0.1:1/x"], 4, "the address cannot be reached: "),
        (["--url=file:///etc/passwd"], 1, "`url` cannot be `file:///etc/passwd`"),
        (["--url=https://user:word@host/x"], 1, "`url` cannot be"),
        (["--file=nothing.csv"], 1, "nothing.csv: there is no such file"),
        (["--file=a", "--url={}/x"], 1, "it names `file` and `url`"),
        ([], 1, "it names no source"),
        (["--query=SELECT 1"], 1, "`query` and `dsn_env` belong together"),
        (["--file=a", "--max_size=much"], 1, "`max_size` cannot be `much`"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_told_and_nothing_is_left(
    words: list[str], code: int, told: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetched(*(word.replace("{}", address) for word in words)) == code
    assert told in capsys.readouterr().err
    assert not Path("m.json").exists()
    assert [*Path().rglob("*.csv"), *Path().rglob(".fetch-*")] == []


def test_a_secret_goes_to_its_own_server_and_to_no_other(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    header = '--secret_headers={"Authorization": "TOKEN"}'
    assert fetched(f"--url={address}/here", header) == 0
    assert Server.asked == [("/here", TOKEN), ("/data.csv", TOKEN)]
    Server.asked.clear()
    assert fetched(f"--url={address}/there", header) == 0
    assert Server.asked == [("/there", TOKEN), ("/data.csv", None)]


@pytest.mark.parametrize(
    "where",
    [
        "{}/nothing?key={token}",
        "http://no-such-host.invalid/{token}",
        "http://user:{token}@127.0.0.1/",
        "file:///etc/{token}",
        "http://[::{token}",
        "{token}",
        "http://127.0.0.1:1/a b{token}",
    ],
)
def test_no_message_tells_a_secret_address(
    where: str, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADDRESS", where.replace("{}", address).replace("{token}", TOKEN))
    assert fetched("--url_env=ADDRESS") in (1, 4)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not [part for part in (TOKEN, "s3cr3t", "t0ken", "no-such-host") if part in said]


def _database(rows: list[tuple[object, ...]]) -> None:
    Path("base.sqlite").unlink(missing_ok=True)
    with sqlite3.connect("base.sqlite") as connection:
        connection.execute("CREATE TABLE people (id INTEGER, name TEXT, size REAL, photo BLOB)")
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", rows)
    connection.close()


def test_rows_of_a_database_are_the_same_bytes_in_whichever_order_they_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSN", f"sqlite:///{Path('base.sqlite').resolve()}")
    rows: list[tuple[object, ...]] = [(2, "b", 0.1, None), (1, None, 1e-9, b"\x01"), (None, "c", None, None)]
    found = []
    for order in (rows, rows[::-1]):
        _database(order)
        assert fetched("--dsn_env=DSN", "--query=SELECT * FROM people") == 0
        found.append(Path("out/data.csv").read_text())
    assert found[0] == found[1] == "id,name,size,photo\n,c,,\n1,,1e-09,01\n2,b,0.1,\n"
    assert fetched("--dsn_env=DSN", "--query=SELECT id FROM people ORDER BY id DESC") == 0
    assert Path("out/data.csv").read_text() == 'id\n2\n1\n""\n'
    assert json.loads(Path("m.json").read_text())["rows"] == 3


def test_rows_of_a_database_become_a_parquet_with_their_types(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DSN", "sqlite:///base.sqlite")
    _database([(2, "b", 0.1, None), (1, None, 1.5, b"\x01")])
    words = ["--dsn_env=DSN", "--out=out.parquet"]
    assert main([*words, "--query=SELECT * FROM people"]) == 0
    found = pandas.read_parquet("out.parquet")
    assert found["id"].tolist() == [1, 2]
    assert found["size"].dtype == "float64"
    assert found["photo"].dropna().tolist() == ["01"]
    digest = hashlib.sha256(Path("out.parquet").read_bytes()).hexdigest()
    said = capsys.readouterr().out
    assert said.startswith("brought 2 rows, ")
    assert said.endswith(f" bytes, SHA-256 {digest}\n")
    Path("out.parquet").unlink()
    assert main([*words, "--query=SELECT 1 AS v UNION ALL SELECT 'a'"]) == 1
    assert "the column `v` cannot be a column of a .parquet: its values are of the types int, str" in (
        capsys.readouterr().err
    )
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize(
    ("dsn", "query", "told"),
    [
        ("sqlite:///base.sqlite", "SELECT * FROM absent", "the database says: no such table: absent"),
        ("sqlite:///base.sqlite", "SELECT 1 AS a, 2 AS a", "several columns `a`"),
        ("sqlite:///base.sqlite", "CREATE TABLE b (c)", "the query brings no rows"),
        (f"sqlite:////nowhere/{TOKEN}/x", "SELECT 1", "the database says: unable to open"),
        (f"nonsense://u:{TOKEN}@host/x", "SELECT 1", ""),
        (f"{TOKEN}", "SELECT 1", "`DSN` holds no address"),
        (f"postgresql+nothing://u:{TOKEN}@host/x", "SELECT 1", ""),
        (f"sqlite:///base.sqlite?key={TOKEN}", "SELECT 1 FROM s3cr3t", ""),
    ],
)
def test_no_message_tells_the_address_of_a_database(
    dsn: str, query: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _database([])
    monkeypatch.setenv("DSN", dsn)
    assert fetched("--dsn_env=DSN", f"--query={query}") in (1, 4)
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE people",
        "ALTER TABLE people ADD COLUMN more TEXT",
        "INSERT INTO people (id) VALUES (2) RETURNING id",
        "/* SELECT */ DELETE FROM people RETURNING id",
        "WITH a AS (SELECT 1) INSERT INTO people (id) SELECT 9 FROM a RETURNING id",
        "SELECT 1; DROP TABLE people",
        "SELECT * FROM absent",
        "SELECT FROM",
    ],
)
def test_a_query_changes_nothing_and_a_wrong_one_is_no_failure_of_the_host(
    query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _database([(1, "a", 0.5, None)])
    monkeypatch.setenv("DSN", "sqlite:///base.sqlite")
    before = Path("base.sqlite").read_bytes()
    assert fetched("--dsn_env=DSN", f"--query={query}") == 1
    assert Path("base.sqlite").read_bytes() == before
    assert fetched("--dsn_env=DSN", "--query=-- all; of them\nSELECT 'a;b' AS \"c;d\" FROM people;") == 0
    assert Path("out/data.csv").read_text() == "c;d\na;b\n"


def test_a_file_of_a_database_that_is_missing_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSN", "sqlite:///absent.sqlite")
    assert fetched("--dsn_env=DSN", "--query=SELECT 1") == 4
    assert not Path("absent.sqlite").exists()


def test_a_secret_that_is_not_there_or_not_the_stages_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert fetched("--url_env=NOWHERE") == 1
    assert "the environment has no NOWHERE" in capsys.readouterr().err
    stage = {"with": {"url": "https://a/b", "secret_headers": {"X": "TOKEN"}}, "outs": ["a"]}
    [(path, message, hint)] = problems_of("fetch", stage)
    assert (path, message) == (("with", "secret_headers", "X"), "`TOKEN` is no secret of this stage")
    assert hint == "say `secrets: [TOKEN]`"
    assert [*problems_of("fetch", stage, ["TOKEN"])] == []
