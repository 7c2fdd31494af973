"""However a request comes over its connection, in one piece or in many, it gets the same answer, in its turn."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httptools
import pytest

from tests.serve.models import ROW, churn
from tests.serve.servers import Server, serving

PATH = b"/v1/models/churn:predict"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(churn(tmp_path_factory.mktemp("models") / "churn")) as running:
        yield running


def body(rows: int, **change: Any) -> bytes:
    return json.dumps({"instances": [{**ROW, **change}] * rows}).encode()


def request(data: bytes, *headers: bytes, path: bytes = PATH, version: bytes = b"1.1") -> bytes:
    """A request as it is sent."""
    head = [b"POST " + path + b" HTTP/" + version, b"host: x", b"content-length: %d" % len(data), *headers]
    return b"\r\n".join([*head, b"", data])


class Answers:
    """Reads answers as they come."""

    def __init__(self) -> None:
        self.found: list[tuple[int, bytes]] = []
        self.keeps_open = True
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() == 100:
            return
        self.found.append((self._parser.get_status_code(), self._body))
        self.keeps_open, self._body = self._parser.should_keep_alive(), b""

    def read(self, bare: socket.socket, count: int) -> list[tuple[int, Any]]:
        """That many of them, or those that came before the connection ended."""
        while len(self.found) < count and (data := bare.recv(65536)):
            self._parser.feed_data(data)
        return [(status, json.loads(told)) for status, told in self.found]


YES = (200, {"predictions": ["yes"]})


def test_a_request_in_one_piece_and_in_many_gets_the_same_answer(server: Server) -> None:
    whole = request(body(1))
    for size in (len(whole), len(whole) - 1, len(whole) - len(body(1)), 20):
        with server.connect() as bare:
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for place in range(0, len(whole), size):
                bare.sendall(whole[place : place + size])
            assert Answers().read(bare, 1) == [YES]


def test_requests_that_come_together_are_answered_in_their_order(server: Server) -> None:
    many = [
        request(body(2)), request(body(1, age="x")), request(body(70)), request(b"", path=b"/v2/health/live"),
        b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n", request(body(1), b"x-request-id: last"),
    ]  # fmt: skip
    with server.connect() as bare:
        bare.sendall(b"".join(many))
        answers = Answers().read(bare, 4)
        assert [status for status, _ in answers] == [200, 400, 200, 405]
        assert [len(told.get("predictions", ())) for _, told in answers] == [2, 0, 70, 0]
    with server.connect() as bare:
        bare.sendall(b"".join([*many[:3], *many[4:]]))
        assert [status for status, _ in Answers().read(bare, 5)] == [200, 400, 200, 200, 200]


def test_what_the_headers_ask_for_is_done_in_the_quick_way_and_in_the_other(server: Server) -> None:
    for headers, version, open_after in (
        ((), b"1.1", True),
        ((b"connection: close",), b"1.1", False),
        ((), b"1.0", False),
        ((b"expect: 100-continue",), b"1.1", True),
    ):
        with server.connect() as bare:
            bare.sendall(request(body(1), *headers, version=version))
            answers = Answers()
            assert answers.read(bare, 1) == [YES]
            assert answers.keeps_open == open_after
            assert open_after or bare.recv(1) == b""


def test_a_chunked_body_and_a_path_with_a_query_are_taken(server: Server) -> None:
    with server.connect() as bare:
        data = body(1)
        bare.sendall(b"POST " + PATH + b" HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        bare.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
        bare.sendall(request(data, path=PATH + b"?trace=1"))
        assert Answers().read(bare, 2) == [YES, YES]


def test_a_client_that_reads_no_answers_is_cut_off_and_others_are_served(server: Server) -> None:
    with server.connect() as bare:
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bare.setblocking(False)
        sent, asked = 0, request(body(400))
        try:
            while sent < 200 << 20:
                sent += bare.send(asked * 10)
        except BlockingIOError:
            pass
        assert sent < 200 << 20
        assert server.ask(PATH.decode(), body(1))[0] == 200


def test_an_address_that_is_none_is_told_so_also_before_its_body_came(server: Server) -> None:
    for path in (b"http://[::1", b"http://:x"):
        with server.connect() as bare:
            bare.sendall(request(b"x" * 50, path=path)[:-40])
            assert bare.recv(12) == b"HTTP/1.1 400"


def test_a_wish_for_another_protocol_is_passed_over_and_the_body_read(server: Server) -> None:
    wish = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")
    with server.connect() as bare:
        bare.sendall(request(body(1), *wish) + request(body(1, city="\r\nupgrade: x")))
        assert [status for status, _ in Answers().read(bare, 2)] == [200, 200]


def test_the_beginning_of_the_next_request_takes_no_answer_away(server: Server) -> None:
    with server.connect() as bare:
        bare.sendall(request(body(1200)) + b"GET /ping HTTP/1.1\r\nho")
        assert Answers().read(bare, 1) == [(200, {"predictions": ["yes"] * 1200})]


def test_clients_that_announce_large_bodies_and_send_none_keep_nobody_waiting(server: Server) -> None:
    silent = [server.connect() for _ in range(8)]
    for one in silent:
        one.sendall(request(b"x" * (16 << 20), path=b"/invocations")[:200])
    try:
        for rows in (1, 2000):
            status, answer, _ = server.ask(PATH.decode(), body(rows))
            assert (status, len(json.loads(answer).get("predictions", ()))) == (200, rows)
    finally:
        for one in silent:
            one.close()


@pytest.mark.parametrize("age", ["4_1", "٤١", "0x1p3", "infinity", "4 1"])
def test_a_number_in_csv_is_one_of_digits(server: Server, age: str) -> None:
    def status(cell: str) -> int:
        table = f"age,income,orders,city,paid\n{cell},1,1,Ulm,true\n"
        return server.ask("/invocations", table.encode(), content_type="text/csv")[0]

    assert status(age) == 400
    assert {status(cell) for cell in ("41", " 41.5 ", "+4.1e1", ".5", "-1.")} == {200}
