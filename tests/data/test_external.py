"""Looking at inputs outside the repository, on this host and behind a URL."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.core.digests import folder_digest, md5_hex
from runner.data.cache import Cache
from runner.data.external import probe
from runner.errors import HostError


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(404 if self.path == "/gone" else 200)
        if self.path == "/tagged":
            self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", "3")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_on_this_host_is_its_md5(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "a").write_bytes(b"1")
    assert probe(str(tmp_path / "a"), cache) == md5_hex(b"1")


def test_a_folder_on_this_host_is_its_listing(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"1")
    assert probe(str(tmp_path / "d"), cache) == folder_digest([("e/f", md5_hex(b"1"))])


def test_a_url_is_what_the_server_says_of_it(site: str, cache: Cache) -> None:
    assert probe(f"{site}/tagged", cache) == "checksum:v1"


@pytest.mark.parametrize("path", ["gone", "untagged"])
def test_a_url_that_says_nothing_is_an_error_with_a_hint(site: str, path: str, cache: Cache) -> None:
    with pytest.raises(HostError) as caught:
        probe(f"{site}/{path}", cache)
    assert caught.value.hint


def test_what_is_not_on_this_host_is_named(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(HostError, match="is not on this host"):
        probe(str(tmp_path / "gone"), cache)


def test_a_url_that_nobody_answers_says_why(cache: Cache) -> None:
    with pytest.raises(HostError, match=r"cannot be looked at: .*Connect call failed"):
        probe("http://127.0.0.1:1/x", cache)
